#!/usr/bin/env python3
"""Changes a Python module as asked, in the style it finds there, and mends what reviewers say of it.

Input:
    request     what is wanted, for people
    files       {"path": "text", …}
    change      {"kind": "add_query", "file", "function", "table", "columns", "where"}: a function that reads a table
                {"kind": "add_table", "file", "function", "parameter", "values"}: a function that looks a value up
                {"kind": "rename_function", "from", "to"}: another name, in all files
    examples    {"function": [{"arguments": […], "returns": …}, {"arguments": […], "raises": …}]}, optional

The first attempt writes as the module's author does, flaws included: where the others put values into the text of SQL,
so does the new function. When the work comes back, the reviewers' concerns say by rule and line what to mend
(code_fixes.py), and it looks for more of the kind. It says what it could not mend; nothing here learns or guesses.
"""

import ast
import json
import sys

sys.dont_write_bytecode = True
import code_fixes  # noqa: E402
import code_source  # noqa: E402
import code_words  # noqa: E402
import docs_tests_reviewer  # noqa: E402
import quality_reviewer  # noqa: E402
import review_kit as kit  # noqa: E402
import security_reviewer  # noqa: E402

CONCERNS_MAX = 200
TEST_RULES = {"missing-tests", "untested-function"}
COLUMNS_MAX = 30
VALUES_MAX = 200


class Refused(Exception):
    """The input cannot be worked on; says why."""


def need(condition, why):
    """Refuses the input unless `condition` holds."""
    if not condition:
        raise Refused(why)


# The change


def add_query(files, change):
    """A function that reads rows of a table, with values bound the way the module's other statements do it."""
    path, name = target(files, change)
    table, columns, keys = change.get("table"), change.get("columns"), change.get("where", [])
    need(
        all(isinstance(n, list) and len(n) <= COLUMNS_MAX for n in (columns, keys))
        and columns
        and all(map(code_fixes.is_name, [table, *columns, *keys])),
        "`table`, `columns` and `where` must be names of a table and of its columns.",
    )
    module = kit.Module(path, files[path])
    sql = f"SELECT {', '.join(columns)} FROM {table}"
    style = sql_style(module)
    if not keys:
        arguments = f'"{sql}"'
    elif style == "f-string":
        arguments = f'f"{sql} WHERE ' + " AND ".join(f"{k} = '{{{k}}}'" for k in keys) + '"'
    elif style == "percent":
        arguments = f'"{sql} WHERE ' + " AND ".join(f"{k} = '%s'" for k in keys) + f'" % ({", ".join(keys)},)'
    else:
        arguments = f'"{sql} WHERE ' + " AND ".join(f"{k} = ?" for k in keys) + f'", ({", ".join(keys)},)'
    lines = [f"def {name}({', '.join(['connection', *keys])}):"]
    if has_docstrings(module):
        about = "".join(f"\n    {k}: the value of the column `{k}`" for k in keys)
        lines.append(
            f'    """Return {code_words.listed(columns)} of the rows of `{table}`{" that match" if keys else ""}.\n\n'
            f'    connection: an open database connection{about}\n    """'
        )
    lines.append(f"    return connection.execute({arguments}).fetchall()")
    return {**files, path: append(files[path], "\n".join(lines))}


def sql_style(module):
    """How the module puts values into SQL: `f-string`, `percent` or `parameters`."""
    for call in module.of(ast.Call):
        if (
            not isinstance(call.func, ast.Attribute)
            or call.func.attr not in ("execute", "executemany")
            or not call.args
        ):
            continue
        text = call.args[0]
        if isinstance(text, ast.Name):
            text = next(iter(module.assigned(module.scope(call)).get(text.id, [])), text)
        if isinstance(text, (ast.JoinedStr, ast.Call)):
            return "f-string"
        if isinstance(text, ast.BinOp):
            return "percent" if isinstance(text.op, ast.Mod) else "f-string"
    return "parameters"


def add_table(files, change):
    """A function that looks its parameter up, with an error for what is not in the table."""
    path, name = target(files, change)
    parameter, values = change.get("parameter"), change.get("values")
    need(code_fixes.is_name(parameter), "`parameter` must be a name.")
    need(
        isinstance(values, dict)
        and 0 < len(values) <= VALUES_MAX
        and all(isinstance(v, (str, int, float, bool)) for v in values.values()),
        "`values` must be a table of plain values.",
    )
    table = name.upper()
    rows = "".join(f"    {code_words.literal(k)}: {code_words.literal(v)},\n" for k, v in values.items())
    docstring = ""
    if has_docstrings(kit.Module(path, files[path])):
        docstring = (
            f'    """Return the {code_words.words(name)} for a {parameter}; ValueError when nobody knows it."""\n'
        )
    text = (
        f"{table} = {{\n{rows}}}\n\n\ndef {name}({parameter}):\n{docstring}    if {parameter} not in {table}:\n"
        f'        raise ValueError("unknown {code_words.words(parameter)}")\n    return {table}[{parameter}]'
    )
    return {**files, path: append(files[path], text)}


def rename_function(files, change):
    """Another name for a function, wherever the files speak of it."""
    old, new = change.get("from"), change.get("to")
    need(code_fixes.is_name(old) and code_fixes.is_name(new) and old != new, "`from` and `to` must be two names.")
    made, count = dict(files), 0
    for path in filter(kit.is_python, files):
        source = code_source.Source(path, files[path])
        taken = {getattr(n, "name", None) or getattr(n, "id", None) for n in source.module.nodes}
        need(new not in taken, f"`{new}` is a name in {path} already.")
        for node in source.module.nodes:
            count += rename(source, node, old, new)
        need(source.apply(), f"The names in {path} cannot be changed.")
        made[path] = source.finish()
    need(count > 0, f"No file defines or uses `{old}`.")
    return made


def rename(source, node, old, new):
    """Edits one node when it is the old name; how many edits that were."""
    start = None
    if isinstance(node, ast.Name) and node.id == old:
        start = source.span(node)[0]
    elif isinstance(node, ast.Attribute) and node.attr == old:
        start = source.span(node)[1] - len(old)
    elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == old:
        begin = source.span(node)[0]
        start = source.bytes.index(old.encode(), source.bytes.index(b"def", begin))
    elif isinstance(node, ast.ImportFrom) and any(a.name == old for a in node.names):
        names = ", ".join(
            (new if a.name == old else a.name) + (f" as {a.asname}" if a.asname else "") for a in node.names
        )
        source.replace(node, f"from {'.' * node.level}{node.module or ''} import {names}")
        return 1
    if start is None:
        return 0
    source.edits.append((start, start + len(old), new.encode()))
    return 1


def target(files, change):
    """The file to change and the name of the function to add."""
    path, name = change.get("file"), change.get("function")
    need(isinstance(path, str) and path in files and kit.is_python(path), "`file` must be one of the Python files.")
    need(code_fixes.is_name(name), "`function` must be a name.")
    need(f"def {name}(" not in files[path], f"`{name}` is there already.")
    return path, name


def has_docstrings(module):
    """Whether the module's functions mostly say what they do."""
    functions = [f for f, _ in module.functions()]
    return bool(functions) and 2 * sum(ast.get_docstring(f) is not None for f in functions) > len(functions)


def append(text, more):
    """The text with more at its end, before `if __name__ == …`."""
    begin = text.rfind("\nif __name__ ==")
    head, tail = (text[:begin], text[begin:]) if begin >= 0 else (text, "")
    return f"{head.rstrip()}\n\n\n{more}\n{f'{chr(10)}{tail}' if tail else ''}".lstrip("\n")


DONE = {"add_query": "Added the query", "add_table": "Added the look-up", "rename_function": "Renamed to"}
KINDS = {"add_query": add_query, "add_table": add_table, "rename_function": rename_function}


# What comes back


def concerns_in(plan):
    """Whatever in an action plan names a rule and a line; where it stands does not matter."""
    found, waiting = [], [plan]
    while waiting and len(found) < CONCERNS_MAX:
        one = waiting.pop()
        if isinstance(one, list):
            waiting.extend(one)
        elif isinstance(one, dict):
            if isinstance(one.get("rule"), str) and type(one.get("line")) is int and isinstance(one.get("file"), str):
                if one not in found:
                    found.append({"rule": one["rule"], "line": one["line"], "file": one["file"]})
            waiting.extend(one.values())
    return found


def concerns_of(files, plan):
    """What to mend: what the plan names, and what the same analysis finds besides.

    A review ends as soon as its outcome is certain, so a plan may speak for one reviewer alone; who is sent back once
    looks over the rest too.
    """
    found = concerns_in(plan)
    for reviewer in (security_reviewer, quality_reviewer, docs_tests_reviewer):
        own = ({"rule": c["rule"], "line": c["line"], "file": c["file"]} for c in reviewer.analyse(files) or [])
        found += [one for one in own if one not in found]
    return found


def mend(files, concerns, examples):
    """The files with the concerns seen to, what was done, and what is left."""
    made, done, left = dict(files), [], []
    by_file = {}
    for one in concerns:
        by_file.setdefault(one["file"], []).append(one)
    for path, ones in by_file.items():
        if path not in made or not kit.is_python(path):
            left += ones
            continue
        others = [c for c in ones if c["rule"] not in TEST_RULES]
        made[path], did, remaining = code_fixes.mend(path, made[path], others)
        done += did
        left += remaining
    # Only now, since tests are made from what the code has become.
    for path in sorted({c["file"] for c in concerns if c["rule"] in TEST_RULES} & set(made)):
        did, untested = add_tests(made, path, examples)
        done += did
        left += untested
    return made, done, left


def add_tests(files, path, examples):
    """Tests for the public functions of a file that no test names; changes `files`."""
    modules, _ = kit.parsed(files)
    module = next((m for m in modules if m.path == path), None)
    if module is None:
        return [], [{"rule": "missing-tests", "file": path, "line": 1}]
    tests = [m for m in modules if kit.is_test(m.path)]
    named = {getattr(n, "attr", None) or getattr(n, "id", None) for t in tests for n in t.nodes}
    functions = [
        f for f, owner in docs_tests_reviewer.public_functions(module) if owner is None and f.name not in named
    ]
    folder, name = path.rpartition("/")[0], path.rsplit("/", 1)[-1].removesuffix(".py")
    test_path = f"{folder}/test_{name}.py" if folder else f"test_{name}.py"
    text, imports, covered = code_words.test_class(
        module, functions, examples, "Further" if test_path in files else ""
    )
    if covered and test_path not in files:
        files[test_path] = code_words.test_file(text, name, imports)
    elif covered:
        source = code_source.Source(test_path, append(files[test_path], text.rstrip("\n")))
        source.imports |= set(imports)
        files[test_path] = source.finish()
    done = [
        {"rule": "untested-function", "file": path, "line": f.lineno, "did": f"tests `{f.name}`"}
        for f in functions
        if f.name in covered
    ]
    left = [{"rule": "untested-function", "file": path, "line": f.lineno} for f in functions if f.name not in covered]
    return done, left


def checks(files):
    """What can be said about the files without asking anybody; security is for others to say."""
    about = docs_tests_reviewer.analyse(files) or []
    documentation = [c for c in about if "doc" in c["rule"] or "parameter" in c["rule"]]
    return {
        "has_tests": all(c in documentation for c in about),
        "has_documentation": not documentation,
        "code_quality": kit.choice(quality_reviewer.analyse(files) or []) == "approve",
    }


def work(item):
    """The result of an attempt: the first one, or one that mends what came back."""
    task = item.get("input")
    need(isinstance(task, dict), "The input must be an object.")
    files = kit.files_of(task)
    need(files is not None, "The input needs `files`: texts by path.")
    change = task.get("change")
    need(
        isinstance(change, dict) and change.get("kind") in KINDS, f"`change.kind` must be one of {', '.join(KINDS)}."
    )
    examples = task["examples"] if isinstance(task.get("examples"), dict) else {}
    draft = kit.files_of(previous(item))
    try:
        made = draft if draft is not None else KINDS[change["kind"]](files, change)
    except kit.Unreadable as error:
        raise Refused(f"{error.concern['file']}:{error.concern['line']}: {error}") from error
    done, left = [], []
    plan = item.get("plan")
    if plan is not None:
        made, done, left = mend(made, concerns_of(made, plan), examples)
    words = [f"{DONE[change['kind']]} `{change.get('function', change.get('to'))}`."]
    if done:
        words.append(
            "Mended: " + "; ".join(f"{d['file']}:{d['line']} {d['rule']}: {d['did']}" for d in done[:20]) + "."
        )
    if left:
        words.append(
            "Needs somebody who may decide: "
            + "; ".join(f"{c['file']}:{c['line']} {c['rule']}" for c in left[:20])
            + "."
        )
    return {"files": made, "checks": checks(made), "summary": " ".join(words), "mended": done, "left": left}


def previous(item):
    """What the attempt before made, however it is handed on."""
    before = item.get("previous")
    if isinstance(before, dict) and not isinstance(before.get("files"), dict):
        return next((v for v in before.values() if isinstance(v, dict) and isinstance(v.get("files"), dict)), None)
    return before


def main():
    """Work item in, files out."""
    try:
        item = json.loads(sys.stdin.buffer.read().decode("utf-8"))
        need(isinstance(item, dict), "A work item is an object.")
        made = kit.within_bounds(lambda: attempt(item))
        need(made is not None, "The files are too much to work on: too large or too nested.")
        need("refused" not in made, made.get("refused"))
    except (ValueError, RecursionError, Refused) as error:
        print(kit.printable(str(error), 1000), file=sys.stderr)
        sys.exit(kit.REJECTED)
    said = (
        f"mended {len(made['mended'])} concerns, {len(made['left'])} left" if item.get("plan") else "made the change"
    )
    print(json.dumps({"progress": said}), file=sys.stderr, flush=True)
    sys.stdout.buffer.write(json.dumps(made, ensure_ascii=False).encode("utf-8"))


def attempt(item):
    """`work`, with a refusal as a value: it crosses from one process to another."""
    try:
        return work(item)
    except Refused as refused:
        return {"refused": str(refused)}


if __name__ == "__main__":
    main()
