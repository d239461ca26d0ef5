#!/usr/bin/env python3
"""Reviews Python for documentation and tests: both must be there, and the tests must be able to fail.

Tests are read, not run. A public function counts as tested when a test names it, so this finds what is surely
untested; it cannot say that what is tested is tested well.
"""

import ast
import re
import sys

sys.dont_write_bytecode = True
import review_kit as kit  # noqa: E402

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
# Below this many parameters the docstring need not speak of each.
DOCUMENTED_FROM = 2
# A function this short whose name and parameters say all needs no docstring.
EVIDENT_LINES = 2
BROAD = {"Exception", "BaseException"}


def is_public(function, owner):
    return not function.name.startswith("_") and not (owner and owner.name.startswith("_"))


def public_functions(module):
    """The functions and methods that others may use; those inside functions are none of them."""
    for function, owner in module.functions():
        outer = module.parents.get(owner or function)
        if is_public(function, owner) and isinstance(outer, ast.Module):
            yield function, owner


def documented_parameters(function):
    return [p.arg for p in kit.parameters(function) if p.arg not in ("self", "cls") and not p.arg.startswith("_")]


def documentation(module):
    """What is not documented in a module that others use."""
    found = []

    def add(node, rule, severity, message, fix):
        found.append(kit.concern(module.path, getattr(node, "lineno", 1), rule, severity, message, fix))

    if module.tree.body and ast.get_docstring(module.tree) is None and not module.path.endswith("__init__.py"):
        add(
            module.tree,
            "missing-module-docstring",
            "low",
            "Nothing says what the module is for.",
            "Begin with a docstring.",
        )
    for node in module.tree.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_") and ast.get_docstring(node) is None:
            add(
                node,
                "missing-docstring",
                "medium",
                f"Nothing says what `{node.name}` stands for.",
                "Give it a docstring.",
            )
    for function, _ in public_functions(module):
        text = ast.get_docstring(function)
        lines = function.end_lineno - function.lineno + 1
        if text is None:
            if lines > EVIDENT_LINES and not any("overload" in ast.unparse(d) for d in function.decorator_list):
                add(
                    function,
                    "missing-docstring",
                    "medium",
                    f"Nothing says what `{function.name}` does.",
                    "Give it a docstring.",
                )
            continue
        if len(text.split()) < 2:
            add(
                function,
                "empty-docstring",
                "low",
                f"The docstring of `{function.name}` says nothing.",
                "Say what it does.",
            )
        names = documented_parameters(function)
        missing = [
            n for n in names if not re.search(rf"\b{re.escape(n.replace('_', ' '))}\b|\b{re.escape(n)}\b", text)
        ]
        if len(names) >= DOCUMENTED_FROM and missing:
            add(
                function,
                "undocumented-parameter",
                "low",
                f"The docstring of `{function.name}` does not speak of {', '.join(f'`{n}`' for n in missing)}.",
                "Say what each is.",
            )
    return found


class TestReview:
    """What is wrong with one file of tests."""

    def __init__(self, module, defined):
        self.module, self.defined, self.found = module, defined, []

    def add(self, node, rule, severity, message, fix):
        self.found.append(kit.concern(self.module.path, node.lineno, rule, severity, message, fix))

    def run(self):
        tests = list(self.tests())
        if not tests:
            self.add(
                ast.Pass(lineno=1),
                "no-tests",
                "high",
                "A runner finds no test in this file.",
                "Name tests `test_…`, in a TestCase or at the top.",
            )
        for test in tests:
            self.assertions(test)
        self.twins()
        self.names()
        return self.found

    def tests(self):
        for function, owner in self.module.functions():
            if function.name.startswith("test") and isinstance(
                self.module.parents.get(owner or function), ast.Module
            ):
                yield function

    def assertions(self, test):
        count = 0
        helpers = {f.name: f for f, _ in self.module.functions() if f is not test}
        for node in ast.walk(test):
            if isinstance(node, ast.Assert):
                count += 1
                if self.cannot_fail(node.test):
                    self.add(
                        node,
                        "vacuous-assertion",
                        "high",
                        f"`assert {ast.unparse(node.test)[:80]}` can never fail.",
                        "Assert what the code under test returned or did.",
                    )
            elif isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                if (
                    name.startswith("assert")
                    or name in ("raises", "fail", "warns", "approx")
                    or (name in helpers and any(self._asserts(n) for n in ast.walk(helpers[name])))
                ):
                    count += 1
                    self.vacuous_call(node, name)
            elif isinstance(node, ast.ExceptHandler) and all(isinstance(s, ast.Pass) for s in node.body):
                self.add(
                    node,
                    "swallowed-failure",
                    "high",
                    "A failure inside this test is dropped.",
                    "Let it fail, or assert that it is raised.",
                )
        if count == 0:
            self.add(
                test, "test-without-assertion", "high", f"`{test.name}` asserts nothing.", "Assert what must hold."
            )

    @staticmethod
    def _asserts(node):
        return isinstance(node, ast.Assert) or (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr.startswith("assert")
        )

    @staticmethod
    def cannot_fail(node):
        if isinstance(node, ast.Constant):
            return bool(node.value)
        if isinstance(node, ast.Tuple):
            return bool(node.elts)
        if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or):
            return any(TestReview.cannot_fail(v) for v in node.values)
        if (
            isinstance(node, ast.Compare)
            and len(node.ops) == 1
            and isinstance(node.ops[0], (ast.Eq, ast.Is, ast.GtE, ast.LtE))
        ):
            left, right = node.left, node.comparators[0]
            if (
                isinstance(left, ast.Call)
                and getattr(left.func, "id", "") == "len"
                and isinstance(node.ops[0], ast.GtE)
            ):
                return isinstance(right, ast.Constant) and right.value == 0
            calls = any(isinstance(n, (ast.Call, ast.Await)) for n in ast.walk(left))
            return not calls and ast.dump(left) == ast.dump(right)
        return False

    def vacuous_call(self, call, name):
        values = call.args
        same = (
            len(values) >= 2
            and name in ("assertEqual", "assertIs", "assertEquals", "assertListEqual", "assertDictEqual")
            and ast.dump(values[0]) == ast.dump(values[1])
            and not any(isinstance(n, ast.Call) for n in ast.walk(values[0]))
        )
        constants = (
            len(values) >= 2
            and name in ("assertEqual", "assertEquals")
            and all(isinstance(v, ast.Constant) for v in values[:2])
            and values[0].value == values[1].value
        )
        fixed = bool(values) and (
            (name == "assertTrue" and self.cannot_fail(values[0]))
            or (name == "assertFalse" and isinstance(values[0], ast.Constant) and not values[0].value)
        )
        if same or constants or fixed:
            self.add(
                call,
                "vacuous-assertion",
                "high",
                f"`{ast.unparse(call)[:80]}` can never fail.",
                "Assert what the code under test returned or did.",
            )
        elif (
            name in ("assertRaises", "raises")
            and values
            and isinstance(values[0], ast.Name)
            and values[0].id in BROAD
            and "match" not in {k.arg for k in call.keywords}
        ):
            self.add(
                call,
                "broad-expectation",
                "medium",
                "Any error passes this, a misspelt name too.",
                "Expect the error that the code promises.",
            )

    def twins(self):
        for scope in self.module.of(ast.Module, ast.ClassDef):
            seen = {}
            for node in scope.body:
                if isinstance(node, FUNCTIONS) and node.name.startswith("test"):
                    if node.name in seen:
                        self.add(
                            node,
                            "duplicate-test",
                            "high",
                            f"`{node.name}` replaces the test of line {seen[node.name]}.",
                            "Give it a name of its own.",
                        )
                    seen[node.name] = node.lineno

    def names(self):
        """Tests of what is not there: names that the module under test does not define."""
        for node in self.module.of(ast.ImportFrom):
            defined = self.defined.get((node.module or "").rsplit(".", 1)[-1])
            for alias in node.names if defined is not None else ():
                if alias.name not in defined and alias.name != "*":
                    self.add(
                        node,
                        "unknown-name",
                        "high",
                        f"`{node.module}` defines no `{alias.name}`.",
                        "Test what is there.",
                    )
        for node in self.module.of(ast.Attribute):
            if isinstance(node.value, ast.Name):
                name = self.module.imports.get(node.value.id, "").rsplit(".", 1)[-1]
                if (
                    name in self.defined
                    and node.attr not in self.defined[name]
                    and not node.attr.startswith("__")
                    and not isinstance(node.ctx, ast.Store)
                ):
                    self.add(
                        node, "unknown-name", "high", f"`{name}` defines no `{node.attr}`.", "Test what is there."
                    )


def definitions(module):
    """The names at a module's top, or None when it imports names that nobody can list."""
    names = set(module.imports)
    for node in module.nodes:
        if isinstance(node, ast.ImportFrom):
            if any(a.name == "*" for a in node.names):
                return None
            names |= {a.asname or a.name for a in node.names}
        elif isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


def untested(modules, tests):
    """Public functions that no test names."""
    named = {
        name
        for test in tests
        for node in test.nodes
        for name in [getattr(node, "attr", None) or getattr(node, "id", None)]
        if name
    }
    for module in modules:
        functions = list(public_functions(module))
        if functions and not tests:
            names = ", ".join(f"`{f.name}`" for f, _ in functions[:5])
            yield kit.concern(
                module.path,
                functions[0][0].lineno,
                "missing-tests",
                "high",
                f"Nothing tests {names}{', …' if len(functions) > 5 else ''}.",
                f"Add a file `test_{module.path.rsplit('/', 1)[-1]}` that calls them and asserts what they do.",
            )
            continue
        for function, owner in functions:
            if function.name not in named and not (owner and owner.name in named and function.name.startswith("__")):
                yield kit.concern(
                    module.path,
                    function.lineno,
                    "untested-function",
                    "medium",
                    f"No test names `{function.name}`.",
                    "Test it.",
                )


def analyse(files):
    modules, found = kit.parsed(files)
    if not modules and not found:
        return None
    code = [m for m in modules if not kit.is_test(m.path) and not m.path.endswith(("setup.py", "conftest.py"))]
    tests = [m for m in modules if kit.is_test(m.path)]
    defined = {}
    for module in code:
        names = definitions(module)
        if names is not None:
            defined[module.path.rsplit("/", 1)[-1].removesuffix(".py")] = names
        found += documentation(module)
    for test in tests:
        found += TestReview(test, defined).run()
    return found + list(untested(code, tests))


if __name__ == "__main__":
    kit.main(analyse, "documentation and tests")
