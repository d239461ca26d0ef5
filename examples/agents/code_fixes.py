"""Mends Python by the rules that the reviewers name: each fix rewrites what it finds at a concern's line.

A fix either does all of what its rule asks or leaves the file as it was; what nobody can do without deciding something
(what may a formula compute? how are the stored passwords hashed anew?) has no fix here.
"""

import ast
import keyword
import re
import shlex

import code_words
import review_kit as kit
from code_source import Source

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
# What may fail in what is called, by the last part of its name; for naming what an `except` expects.
FAILURES = {
    "int": "ValueError",
    "float": "ValueError",
    "fromisoformat": "ValueError",
    "strptime": "ValueError",
    "loads": "ValueError",
    "load": "ValueError",
    "safe_load": "ValueError",
    "decode": "ValueError",
    "open": "OSError",
    "read_text": "OSError",
    "write_text": "OSError",
    "unlink": "OSError",
    "remove": "OSError",
    "mkdir": "OSError",
    "urlopen": "OSError",
    "connect": "OSError",
    "run": "OSError",
    "index": "ValueError",
}
PERCENT_DRIVERS = {"psycopg", "psycopg2", "MySQLdb", "pymysql", "mysql"}
SHELL_SYNTAX = re.compile(r"[|&;<>()$`\\*?\[\]#~!{}]")
MARK = "\x1a"


def with_marks(pieces):
    """A built string as text with a mark for each expression, and the expressions."""
    text = "".join(p if isinstance(p, str) else MARK for p in pieces)
    return (
        (text, [p for p in pieces if not isinstance(p, str)])
        if text.count(MARK) == sum(not isinstance(p, str) for p in pieces)
        else (None, [])
    )


def built_at(source, line, accepts):
    """The outermost built string that begins on a line, with its pieces."""
    for node in source.at(line, ast.JoinedStr, ast.BinOp, ast.Call):
        pieces = kit.string_pieces(node)
        if pieces and any(not isinstance(p, str) for p in pieces) and accepts(node):
            return node, pieces
    return None, None


# Injection


def parameterize(source, line):
    """Values out of the statement's text and into the call's parameters."""
    module = source.module
    node, pieces = built_at(source, line, lambda n: True)
    if node is None:
        return None
    text, values = with_marks(pieces)
    bound = bind(text, values, "%s" if set(module.imports) & PERCENT_DRIVERS else "?") if text else None
    parent = module.parents[node]
    if bound is None:
        return None
    sql, arguments = bound
    if isinstance(parent, ast.Call) and parent.args[:1] == [node]:
        calls = [parent]
    elif isinstance(parent, ast.Assign) and isinstance(parent.targets[0], ast.Name):
        name, scope = parent.targets[0].id, module.scope(node)
        calls = [
            c
            for c in module.of(ast.Call)
            if module.scope(c) is scope and c.args and isinstance(c.args[0], ast.Name) and c.args[0].id == name
        ]
        stable = {n.id for v in values for n in ast.walk(v) if isinstance(n, ast.Name)}
        if len(module.assigned(scope)[name]) != 1 or any(len(module.assigned(scope)[n]) > 1 for n in stable):
            return None
    else:
        return None
    if not calls or any(len(c.args) != 1 or c.keywords for c in calls):
        return None
    source.replace(node, literal(sql))
    listed = ", ".join(arguments) + ("," if len(arguments) == 1 else "")
    for call in calls:
        end = source.span(call)[1] - 1
        source.edits.append((end, end, f", ({listed})".encode()))
    return f"passes {', '.join(arguments)} as a parameter of the statement"


def bind(text, values, placeholder):
    """A statement with placeholders, and the values as source; None when a mark stands where no value may."""
    if any(isinstance(v, ast.Call) and getattr(v.func, "attr", "") == "join" for v in values):
        return None  # A list of values in the text is not one value.
    sql, arguments, position = "", [], 0
    waiting = list(values)
    # A quoted text with marks in it is one value; outside quotes a mark is a value of its own.
    for match in re.finditer(r"'([^']*\x1a[^']*)'|\x1a", text):
        before = text[position : match.start()]
        if (
            match[1] is None
            and re.search(r"(?i)\b(from|into|update|table|join|by|select|set|,|asc|desc|\w)\s*$", before)
            and not re.search(
                r"(?i)\b(and|or|not|like|between|in|limit|offset|values|is|when|then|else|set\s+\w+\s*=)\s*$", before
            )
        ):
            return None
        sql += before + placeholder
        position = match.end()
        if match[1] is None or match[1] == MARK:
            arguments.append(ast.unparse(waiting.pop(0)))
        else:
            parts = [
                ast.Constant(piece) if index % 2 == 0 else ast.FormattedValue(waiting.pop(0), -1, None)
                for index, piece in enumerate(re.split(f"({MARK})", match[1]))
            ]
            arguments.append(
                ast.unparse(ast.JoinedStr([p for p in parts if not (isinstance(p, ast.Constant) and p.value == "")]))
            )
    return (sql + text[position:], arguments) if not waiting else None


def literal(text):
    """A string as source, in double quotes where that needs no escape."""
    return f'"{text}"' if not re.search(r'["\\]', text) and text.isprintable() else repr(text)


def without_shell(source, line):
    """A program and its arguments as a list, where the command has no shell syntax."""
    module = source.module
    for call in source.at(line, ast.Call):
        name = module.dotted(call.func)
        is_run = name.startswith("subprocess.") and name != "subprocess.getoutput"
        if (name != "os.system" and not is_run) or len(call.args) != 1:
            continue
        pieces = kit.string_pieces(call.args[0])
        text, values = with_marks(pieces) if pieces else (None, [])
        if not text or SHELL_SYNTAX.search(text):
            return None
        waiting, words = list(values), []
        for word in shlex.split(text):
            if MARK not in word:
                words.append(literal(word))
            elif word == MARK:
                words.append(f"str({ast.unparse(waiting.pop(0))})")
            else:
                parts = [
                    ast.Constant(p) if i % 2 == 0 else ast.FormattedValue(waiting.pop(0), -1, None)
                    for i, p in enumerate(re.split(f"({MARK})", word))
                ]
                words.append(ast.unparse(ast.JoinedStr([p for p in parts if getattr(p, "value", None) != ""])))
        options = [f"{k.arg}={ast.unparse(k.value)}" for k in call.keywords if k.arg not in ("shell", None)]
        if name == "os.system":
            used = not isinstance(module.parents[call], ast.Expr)
            # The shell's exit code was not looked at either, unless it is used.
            options, function = ["check=False"], "subprocess.run"
            source.imports.add("subprocess")
        else:
            used, function = False, ast.unparse(call.func)
        made = f"{function}([{', '.join(words)}]{''.join(f', {o}' for o in options)})"
        source.replace(call, made + (".returncode" if used else ""))
        return "starts the program itself, without a shell"
    return None


def safe_yaml(source, line):
    for call in source.at(line, ast.Call):
        if source.module.dotted(call.func) in ("yaml.load", "yaml.load_all") and call.args:
            source.replace(
                call,
                f"yaml.safe_{call.func.attr}({ast.unparse(call.args[0])})"
                if isinstance(call.func, ast.Attribute)
                else source.source(call),
            )
            return "reads plain values only" if isinstance(call.func, ast.Attribute) else None
    return None


def verified(source, line):
    """Certificates are checked again."""
    for call in source.at(line, ast.Call):
        kept = [k for k in call.keywords if not (k.arg == "verify" and isinstance(k.value, ast.Constant))]
        if len(kept) < len(call.keywords):
            made = ast.Call(call.func, call.args, kept)
            source.replace(call, ast.unparse(made))
            return "checks certificates"
    return None


def from_environment(source, line):
    """A secret at a module's top is read from the environment instead."""
    for statement in source.at(line, ast.Assign):
        target = statement.targets[0]
        if (
            isinstance(target, ast.Name)
            and isinstance(statement.value, ast.Constant)
            and source.module.scope(statement) is source.module.tree
        ):
            source.replace(statement.value, f'os.environ.get("{target.id.upper()}")')
            source.imports.add("os")
            return f"reads {target.id.upper()} from the environment"
    return None


# Error handling, defaults, what stays open


def narrow(source, line):
    """An `except` that names what may fail in its `try`."""
    module = source.module
    for handler in source.at(line, ast.ExceptHandler):
        body = module.parents[handler].body
        names = set()
        for node in (n for s in body for n in ast.walk(s)):
            if isinstance(node, ast.Call):
                last = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                if last in FAILURES:
                    names.add(FAILURES[last])
                elif last in ("execute", "executemany", "commit") and "sqlite3" in module.imports:
                    names.add("sqlite3.Error")
            elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
                names.add("LookupError")
        if not names:
            return None
        expected = sorted(names)[0] if len(names) == 1 else f"({', '.join(sorted(names))})"
        begin = source.span(handler)[0]
        end = source.bytes.index(b":", source.span(handler.type)[1] if handler.type else begin)
        source.edits.append(
            (begin, end, f"except {expected}{f' as {handler.name}' if handler.name else ''}".encode())
        )
        return f"expects {expected} alone"
    return None


def fresh_default(source, line):
    """None as the default, and the value made anew in each call."""
    for function, _ in source.module.functions():
        named = [*function.args.posonlyargs, *function.args.args]
        pairs = [
            *zip(reversed(named), reversed(function.args.defaults)),
            *((a, d) for a, d in zip(function.args.kwonlyargs, function.args.kw_defaults) if d),
        ]
        for parameter, default in pairs:
            if default.lineno == line and isinstance(default, (ast.List, ast.Dict, ast.Set, ast.Call)):
                first = function.body[1 if ast.get_docstring(function) and len(function.body) > 1 else 0]
                if first.lineno == function.lineno:
                    return None
                indent = source.indentation(first)
                source.insert(
                    first.lineno,
                    f"{indent}if {parameter.arg} is None:\n{indent}    {parameter.arg} = {ast.unparse(default)}\n",
                )
                source.replace(default, "None")
                return f"makes `{parameter.arg}` anew in each call"
    return None


def closed(source, line):
    """What is opened is closed by a `with`, whatever happens."""
    module = source.module
    for call in source.at(line, ast.Call):
        statement = module.statement(call)
        if (
            module.dotted(call.func).rsplit(".", 1)[-1] not in ("open", "urlopen", "socket", "ZipFile")
            or not isinstance(statement, (ast.Assign, ast.Expr, ast.Return))
            or call.end_lineno != call.lineno
        ):
            continue
        indent = source.indentation(statement)
        if isinstance(statement, ast.Assign) and statement.value is call:
            return with_block(source, call, statement, indent)
        start, end = source.span(statement)
        inner = source.span(call)
        made = (source.bytes[start : inner[0]] + b"source" + source.bytes[inner[1] : end]).decode()
        if "\n" in made:
            return None
        source.replace(statement, f"with {source.source(call)} as source:\n{indent}    {made}")
        return "closes the file in any case"
    return None


def with_block(source, call, statement, indent):
    """`f = open()` … `f.close()` as a `with`, where both stand in one block."""
    name = statement.targets[0].id if isinstance(statement.targets[0], ast.Name) else None
    parent = source.module.parents[statement]
    block = next(
        (
            b
            for b in (getattr(parent, f, None) for f in ("body", "orelse", "finalbody"))
            if isinstance(b, list) and statement in b
        ),
        [],
    )
    after = block[block.index(statement) + 1 :] if name else []
    ends = [i for i, s in enumerate(after) if isinstance(s, ast.Expr) and ast.unparse(s) == f"{name}.close()"]
    inside = after[: ends[0]] if ends else []
    if not inside or any("\n" in str(n.value) for s in inside for n in ast.walk(s) if isinstance(n, ast.Constant)):
        return None
    first, last = statement.end_lineno + 1, inside[-1].end_lineno
    text = source.bytes.decode().split("\n")[first - 1 : last]
    moved = "".join(f"    {one}\n" if one.strip() else "\n" for one in text)
    source.lines(
        statement.lineno, after[ends[0]].end_lineno, f"{indent}with {source.source(call)} as {name}:\n{moved}"
    )
    return "closes the file in any case"


# What is untidy


def is_none(source, line):
    for node in source.at(line, ast.Compare):
        if len(node.ops) == 1 and isinstance(node.comparators[0], ast.Constant) and node.comparators[0].value is None:
            operator = "is" if isinstance(node.ops[0], ast.Eq) else "is not"
            source.replace(node, f"{source.source(node.left)} {operator} None")
            return "compares by identity"
    return None


def drop_import(source, line):
    """The names of an import that nothing uses."""
    module = source.module
    used = {n.id for n in module.of(ast.Name)}
    for statement in source.at(line, ast.Import, ast.ImportFrom):
        kept = [a for a in statement.names if (a.asname or a.name.split(".")[0]) in used | source.imports]
        if len(kept) == len(statement.names):
            return "needs the import now"
        if kept:
            names = ", ".join(f"{a.name} as {a.asname}" if a.asname else a.name for a in kept)
            made = (
                f"import {names}"
                if isinstance(statement, ast.Import)
                else f"from {'.' * statement.level}{statement.module or ''} import {names}"
            )
            source.replace(statement, made)
        else:
            source.remove(statement)
        return "takes the import out"
    return None


def drop_unreachable(source, line):
    for statement in source.at(line, ast.stmt):
        parent = source.module.parents[statement]
        block = next(
            (
                b
                for b in (getattr(parent, f, None) for f in ("body", "orelse", "finalbody"))
                if isinstance(b, list) and statement in b
            ),
            None,
        )
        if block:
            source.lines(statement.lineno, block[-1].end_lineno, "")
            return "takes out what nothing reaches"
    return None


def drop_variable(source, line):
    """A value that nobody reads; a call is still made."""
    for statement in source.at(line, ast.Assign):
        if len(statement.targets) == 1 and isinstance(statement.targets[0], ast.Name):
            if any(isinstance(n, (ast.Call, ast.Await, ast.Yield)) for n in ast.walk(statement.value)):
                source.replace(statement, source.source(statement.value))
            else:
                source.remove(statement)
            return f"takes `{statement.targets[0].id}` out"
    return None


def drop_function(source, line):
    for function in source.at(line, *FUNCTIONS):
        if function.name.startswith("_") and not function.decorator_list:
            source.remove(function)
            return f"takes `{function.name}` out"
    return None


# Documentation


def document_module(source, line):
    if ast.get_docstring(source.module.tree) is not None:
        return None
    source.insert(1, f'"""{code_words.module_summary(source.module)}"""\n')
    return "says what the module is for"


def document(source, line):
    """A docstring made of what the code shows: its name, its parameters, its statements of SQL, what it raises."""
    for node in source.at(line, *FUNCTIONS, ast.ClassDef):
        first = node.body[0]
        if first.lineno == node.lineno:
            return None
        indent = source.indentation(first)
        made = code_words.docstring(source.module, node, indent)
        if ast.get_docstring(node) is None:
            source.insert(
                first.decorator_list[0].lineno if getattr(first, "decorator_list", None) else first.lineno,
                f'{indent}"""{made}"""\n',
            )
        else:
            source.replace(first.value, f'"""{made}"""')
        return f"says what `{node.name}` does"
    return None


FIXES = {
    "sql-injection": parameterize,
    "shell-injection": without_shell,
    "shell": without_shell,
    "unsafe-yaml": safe_yaml,
    "tls-not-verified": verified,
    "hard-coded-secret": from_environment,
    "bare-except": narrow,
    "broad-except": narrow,
    "swallowed-error": narrow,
    "mutable-default": fresh_default,
    "resource-leak": closed,
    "none-comparison": is_none,
    "unused-import": drop_import,
    "unreachable-code": drop_unreachable,
    "unused-variable": drop_variable,
    "unused-private": drop_function,
    "missing-module-docstring": document_module,
    "missing-docstring": document,
    "undocumented-parameter": document,
    "empty-docstring": document,
}


def mend(path, text, concerns):
    """The file with every concern seen to that has a fix, what was done, and what is left.

    From the bottom up, so that a fix moves no line that another concern names.
    """
    done, left = [], []
    try:
        source = Source(path, text)
    except kit.Unreadable:
        return text, done, list(concerns)
    for one in sorted(concerns, key=lambda c: (-c["line"], c["rule"])):
        fix = FIXES.get(one["rule"])
        did = fix(source, one["line"]) if fix else None
        if did and (not source.edits or source.apply()):
            done.append({"rule": one["rule"], "file": path, "line": one["line"], "did": did})
        else:
            source.edits = []
            left.append(one)
    return source.finish(), done, left


def is_name(text):
    """Whether a text can name something in Python."""
    return (
        isinstance(text, str)
        and len(text) <= 80
        and text.isidentifier()
        and text.isascii()
        and not keyword.iskeyword(text)
    )
