"""Says in words, and in tests, what Python code shows about itself.

Nothing is made up: a docstring speaks of names, statements of SQL and errors that stand in the code, and a test is
written only where what must come out is known, from the SQL or from the requester's examples.
"""

import ast
import builtins
import re

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
SELECT = re.compile(
    r"(?is)^\s*select\s+(?P<columns>[\w\s,]+?)\s+from\s+(?P<table>\w+)(?:\s+where\s+(?P<where>.+?))?"
    r"(?:\s+order\s+by\s+[\w\s,]+)?\s*;?\s*$"
)
INSERT = re.compile(
    r"(?is)^\s*insert\s+into\s+(?P<table>\w+)\s*\((?P<columns>[\w\s,]+)\)\s*values\s*\((?P<values>[?\s,]+)\)\s*;?\s*$"
)
DELETE = re.compile(r"(?is)^\s*delete\s+from\s+(?P<table>\w+)\s+where\s+(?P<where>.+?)\s*;?\s*$")
UPDATE = re.compile(r"(?is)^\s*update\s+(?P<table>\w+)\s+set\s+(?P<set>.+?)\s+where\s+(?P<where>.+?)\s*;?\s*$")
EQUALS = re.compile(r"(?is)^\s*(\w+)\s*=\s*\?\s*$")
# Longer statements have no certain outcome anyway, and patterns take their time with them.
SQL_MAX = 2000
# A value that breaks a statement which it becomes a part of.
HOSTILE = "O'Brien'); --"


def words(name):
    return " ".join(re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name)) or name


def listed(names):
    quoted = [f"`{n}`" for n in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}" if quoted else ""


class Statement:
    """The one statement of SQL that a function executes.

    `columns` are those that it selects or sets, `keys` the columns with the parameter that each gets.
    """

    def __init__(self, kind, table, columns, keys, connection, result):
        self.kind, self.table, self.columns, self.keys = kind, table, columns, keys
        self.connection, self.result = connection, result


def names_of(text):
    return [n.strip() for n in text.split(",")]


def assignments(text, separator):
    """The columns in `a = ? and b = ?`; None when there is anything else."""
    matches = [EQUALS.match(part) for part in re.split(separator, text)]
    return [m[1] for m in matches] if all(matches) else None


def statement(module, function):
    """None unless the function executes exactly one statement in a form whose outcome is certain."""
    calls = [
        n
        for n in ast.walk(function)
        if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute) and n.func.attr == "execute"
    ]
    if len(calls) != 1 or len(calls[0].args) > 2 or not calls[0].args or isinstance(function, ast.AsyncFunctionDef):
        return None
    text = calls[0].args[0]
    values = module.assigned(function)
    if isinstance(text, ast.Name) and len(values.get(text.id, [])) == 1:
        text = values[text.id][0]
    owner = calls[0].func.value
    if isinstance(owner, ast.Name) and len(values.get(owner.id, [])) == 1:
        cursor = values[owner.id][0]
        owner = (
            cursor.func.value
            if isinstance(cursor, ast.Call) and getattr(cursor.func, "attr", "") == "cursor"
            else owner
        )
    parameters = [a.arg for a in function.args.args]
    arguments = (
        calls[0].args[1].elts
        if len(calls[0].args) > 1 and isinstance(calls[0].args[1], (ast.Tuple, ast.List))
        else []
    )
    bound = [a.id for a in arguments if isinstance(a, ast.Name)]
    if (
        not (isinstance(text, ast.Constant) and isinstance(text.value, str) and isinstance(owner, ast.Name))
        or owner.id not in parameters
        or len(bound) != len(arguments)
        or sorted([owner.id, *bound]) != sorted(parameters)
        or text.value.count("?") != len(bound)
    ):
        return None
    return _read(text.value, bound, owner.id, _result(function, calls[0], values))


def _read(sql, bound, connection, result):
    if len(sql) > SQL_MAX:
        return None
    match = SELECT.match(sql)
    if match:
        keys = assignments(match["where"], r"(?i)\s+and\s+") if match["where"] else []
        columns = names_of(match["columns"])
        if keys is None or any(not re.fullmatch(r"\w+", c) for c in columns):
            return None
        return Statement("select", match["table"], columns, list(zip(keys, bound)), connection, result)
    match = INSERT.match(sql)
    if match and len(names_of(match["columns"])) == len(bound):
        columns = names_of(match["columns"])
        return Statement("insert", match["table"], columns, list(zip(columns, bound)), connection, None)
    match = DELETE.match(sql)
    if match:
        keys = assignments(match["where"], r"(?i)\s+and\s+")
        return Statement("delete", match["table"], [], list(zip(keys, bound)), connection, None) if keys else None
    match = UPDATE.match(sql)
    if match:
        keys, columns = assignments(match["where"], r"(?i)\s+and\s+"), assignments(match["set"], ",")
        if keys and columns and not set(keys) & set(columns):
            return Statement("update", match["table"], columns, list(zip([*columns, *keys], bound)), connection, None)
    return None


def _result(function, call, values):
    """`fetchall` or `fetchone` where the function returns just that."""
    last = function.body[-1]
    value = last.value if isinstance(last, ast.Return) else None
    if isinstance(value, ast.Name) and len(values.get(value.id, [])) == 1:
        value = values[value.id][0]
    if (
        isinstance(value, ast.Call)
        and isinstance(value.func, ast.Attribute)
        and value.func.attr in ("fetchall", "fetchone")
    ):
        source = value.func.value
        if source is call or isinstance(source, ast.Name):
            return value.func.attr
    return None


# Documentation


def module_summary(module):
    names = [
        n.name for n in module.tree.body if isinstance(n, (*FUNCTIONS, ast.ClassDef)) and not n.name.startswith("_")
    ]
    name = words(module.path.rsplit("/", 1)[-1].rsplit(".", 1)[0]).capitalize()
    return f"{name}: {', '.join(words(n) for n in names[:6])}." if names else f"{name}."


def summary(module, node):
    """One sentence about a function or a class."""
    if isinstance(node, ast.ClassDef):
        methods = [n.name for n in node.body if isinstance(n, FUNCTIONS) and not n.name.startswith("_")]
        return f"{words(node.name).capitalize()}{f', with {listed(methods)}' if methods else ''}."
    known = statement(module, node)
    if known is None:
        return f"{words(node.name).capitalize()}."
    keys = [parameter for _, parameter in known.keys]
    if known.kind == "select":
        rows = "the first row" if known.result == "fetchone" else "the rows"
        which = f" with this {listed(keys)}" if keys else ""
        return f"Return {listed(known.columns)} of {rows} of `{known.table}`{which}."
    if known.kind == "insert":
        return f"Add a row to `{known.table}`."
    if known.kind == "delete":
        return f"Delete the rows of `{known.table}` with this {listed(keys)}."
    where = [column for column, _ in known.keys if column not in known.columns]
    return f"Set {listed(known.columns)} of `{known.table}` where {listed(where)} is as given."


def docstring(module, node, indent):
    """The inside of a docstring; a sentence that was there stays the first."""
    present = ast.get_docstring(node)
    first = " ".join((present or summary(module, node)).split())
    if isinstance(node, ast.ClassDef):
        return first
    parameters = [
        a for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs) if a.arg not in ("self", "cls")
    ]
    lines = [f"{indent}{a.arg}: {parameter_words(module, node, a)}" for a in parameters]
    raised = sorted(
        {
            ast.unparse(n.exc.func if isinstance(n.exc, ast.Call) else n.exc)
            for n in ast.walk(node)
            if isinstance(n, ast.Raise) and n.exc
        }
    )
    if raised:
        lines.append(f"{indent}raises: {', '.join(raised)}")
    body = "\n" + "\n".join(["", *lines, indent]) if lines else ""
    return (first.replace("\\", "\\\\").replace('"""', "'''")) + body


def parameter_words(module, function, parameter):
    known = statement(module, function)
    if known and parameter.arg == known.connection:
        return "an open database connection"
    column = next((c for c, p in known.keys if p == parameter.arg), None) if known else None
    if column:
        return f"the value of the column `{column}`"
    optional = function.args.args[len(function.args.args) - len(function.args.defaults) :]
    kind = ast.unparse(parameter.annotation) if parameter.annotation else f"the {words(parameter.arg)}"
    return f"{kind}, optional" if parameter in optional or parameter in function.args.kwonlyargs else kind


# Tests


def columns_of(module, table):
    """All columns of a table that the module speaks of."""
    found = {}
    for function, _ in module.functions():
        known = statement(module, function)
        if known and known.table == table:
            found.update(dict.fromkeys([*known.columns, *(column for column, _ in known.keys)]))
    return list(found)


def literal(value):
    return (
        f'"{value}"'
        if isinstance(value, str) and value.isprintable() and not re.search(r'["\\]', value)
        else repr(value)
    )


def row(values):
    return f"({', '.join(literal(v) for v in values)}{',' if len(values) == 1 else ''})"


def test_of_statement(module, function, name):
    """A test against a database in memory: what must be found, changed or left alone, with a hostile value among it."""
    known = statement(module, function)
    if known is None or (known.kind == "select" and known.result is None):
        return None
    columns = columns_of(module, known.table)
    given = {c: HOSTILE if i == 0 else f"{c} given" for i, (c, _) in enumerate(known.keys)}
    hit = [
        given.get(c, f"{c} 1") if known.kind != "update" or c not in known.columns else f"{c} before" for c in columns
    ]
    other = [f"{c} 2" for c in columns]
    by_parameter = {p: given[c] for c, p in known.keys}
    arguments = ", ".join(
        "self.connection" if a.arg == known.connection else literal(by_parameter[a.arg]) for a in function.args.args
    )
    call = f"{name}.{function.name}({arguments})"
    stored = f'        stored = self.connection.execute("SELECT {", ".join(columns)} FROM {known.table}").fetchall()'
    fill = [f'        self.connection.execute("CREATE TABLE {known.table} ({", ".join(columns)})")']
    if known.kind != "insert":
        places = ", ".join("?" * len(columns))
        fill += [
            f"        rows = [{row(hit)}, {row(other)}]",
            f'        self.connection.executemany("INSERT INTO {known.table} VALUES ({places})", rows)',
        ]
    if known.kind == "insert":
        added = row([given.get(c) for c in columns])
        check = [f"        {call}", stored, f"        self.assertEqual(stored, [{added}])"]
    elif known.kind == "select" and known.result == "fetchone":
        check = [f"        self.assertEqual(tuple({call}), {row([hit[columns.index(c)] for c in known.columns])})"]
    elif known.kind == "select":
        wanted = [hit] if known.keys else [hit, other]
        rows = ", ".join(row([r[columns.index(c)] for c in known.columns]) for r in wanted)
        check = [f"        found = {call}", f"        self.assertEqual([tuple(row) for row in found], [{rows}])"]
    else:
        changed = [] if known.kind == "delete" else [[given.get(c, v) for c, v in zip(columns, hit)]]
        rows = ", ".join(row(r) for r in [*changed, other])
        check = [f"        {call}", stored, f"        self.assertEqual(stored, [{rows}])"]
    return [f"    def test_{function.name}(self):", *fill, *check, ""]


def tests_of_examples(function, name, examples):
    """A test of what the requester says a function must do; None when they say nothing usable."""
    lines = []
    for example in examples:
        if not isinstance(example, dict) or not isinstance(example.get("arguments"), list):
            continue
        call = f"{name}.{function.name}({', '.join(literal(a) for a in example['arguments'])})"
        if "returns" in example:
            lines.append(f"        self.assertEqual({call}, {literal(example['returns'])})")
        elif str(example.get("raises", "")).isidentifier():
            error = example["raises"] if hasattr(builtins, example["raises"]) else f"{name}.{example['raises']}"
            lines += [f"        with self.assertRaises({error}):", f"            {call}"]
    return [f"    def test_{function.name}(self):", *lines, ""] if lines else None


def test_class(module, functions, examples, suffix=""):
    """A class of tests, the modules it needs, and the names of the functions for which it has a test."""
    name = module.path.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    parts, covered, needs_database = [], [], False
    for function in functions:
        given = examples.get(function.name)
        part = tests_of_examples(function, name, given) if isinstance(given, list) else None
        if part is None:
            part = test_of_statement(module, function, name)
            needs_database = needs_database or part is not None
        if part:
            parts += part
            covered.append(function.name)
    title = "".join(p.capitalize() for p in re.split(r"\W|_", name)) + suffix
    head = [f"class {title}Tests(unittest.TestCase):", f'    """What {listed(covered)} must do."""', ""]
    database = (
        [
            "    def setUp(self):",
            '        self.connection = sqlite3.connect(":memory:")',
            "        self.addCleanup(self.connection.close)",
            "",
        ]
        if needs_database
        else []
    )
    imports = [*(["sqlite3"] if needs_database else []), "unittest", name]
    return "\n".join([*head, *database, *parts]).rstrip("\n") + "\n", imports, covered


def test_file(text, name, imports):
    """A whole file of tests around a class."""
    usual = "".join(f"import {i}\n" for i in imports if i != name)
    main = 'if __name__ == "__main__":\n    unittest.main()\n'
    return f'"""Tests of {name}."""\n{usual}\nimport {name}\n\n\n{text}\n\n{main}'
