#!/usr/bin/env python3
"""Reviews Python for quality: complexity, dead code, error handling, what is open and never closed.

`high` is what cannot work or hides every failure, `medium` what will cost the next reader, `low` what is untidy.
"""

import ast
import builtins
import sys

sys.dont_write_bytecode = True
import symtable  # noqa: E402
import warnings  # noqa: E402

import review_kit as kit  # noqa: E402

COMPLEXITY_MAX = 10
COMPLEXITY_SERIOUS = 25
LINES_MAX = 60
DEPTH_MAX = 4
PARAMETERS_MAX = 7
BRANCHES = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.comprehension)
BLOCKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
ENDS = (ast.Return, ast.Raise, ast.Break, ast.Continue)
OPENERS = {
    "open",
    "io.open",
    "codecs.open",
    "gzip.open",
    "bz2.open",
    "lzma.open",
    "socket.socket",
    "tempfile.TemporaryFile",
    "tempfile.NamedTemporaryFile",
    "zipfile.ZipFile",
    "tarfile.open",
    "urllib.request.urlopen",
}
# Shadowing these has led to bugs; `id`, `type` or `input` as a name of one's own is usual.
SHADOWED = {
    "list",
    "dict",
    "set",
    "str",
    "int",
    "float",
    "tuple",
    "bytes",
    "len",
    "sum",
    "min",
    "max",
    "open",
    "print",
    "range",
    "map",
    "filter",
    "sorted",
    "zip",
    "any",
    "all",
    "iter",
    "next",
    "object",
    "super",
    "isinstance",
}
MODULE_NAMES = {
    "__name__",
    "__file__",
    "__doc__",
    "__spec__",
    "__package__",
    "__loader__",
    "__path__",
    "__builtins__",
    "__annotations__",
    "__dict__",
    "__class__",
    "__module__",
    "__qualname__",
    "WindowsError",
    "reveal_type",
}


def own_nodes(function):
    """A function's nodes without those of the functions and classes in it."""
    waiting = list(ast.iter_child_nodes(function))
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, (*FUNCTIONS, ast.ClassDef, ast.Lambda)):
            waiting.extend(ast.iter_child_nodes(node))


def complexity(function):
    """The number of paths through a function that do not follow from others (McCabe, 1976)."""
    return 1 + sum(isinstance(node, BRANCHES) for node in own_nodes(function))


class QualityReview:
    """The findings in one module."""

    def __init__(self, module):
        self.module, self.found = module, []

    def add(self, node, rule, severity, message, fix):
        self.found.append(kit.concern(self.module.path, getattr(node, "lineno", 1), rule, severity, message, fix))

    def run(self):
        for function, _ in self.module.functions():
            self.size(function)
            self.defaults(function)
            self.unused_variables(function)
        self.redefinitions()
        self.unreachable()
        self.handlers()
        self.comparisons()
        self.leaks()
        self.imports()
        self.unused_private()
        self.shadowing()
        self.undefined()
        return self.found

    def size(self, function):
        paths = complexity(function)
        if paths > COMPLEXITY_MAX:
            self.add(
                function,
                "complex-function",
                "high" if paths > COMPLEXITY_SERIOUS else "medium",
                f"`{function.name}` has {paths} paths; more than {COMPLEXITY_MAX} are hard to test.",
                "Take parts of it out, or decide by a table.",
            )
        lines = function.end_lineno - function.lineno + 1
        if lines > LINES_MAX:
            self.add(
                function,
                "long-function",
                "medium",
                f"`{function.name}` is {lines} lines long.",
                f"Say in one function of up to {LINES_MAX} lines what is done, and do it in others.",
            )
        deepest = max(
            (
                sum(isinstance(a, BLOCKS) for a in self._ancestors_within(n, function))
                for n in own_nodes(function)
                if isinstance(n, BLOCKS)
            ),
            default=0,
        )
        if deepest > DEPTH_MAX:
            self.add(
                function,
                "deep-nesting",
                "medium",
                f"`{function.name}` nests {deepest} blocks.",
                "Return early, or take the inner part out.",
            )
        if len(kit.parameters(function)) > PARAMETERS_MAX:
            self.add(
                function,
                "many-parameters",
                "low",
                f"`{function.name}` takes {len(kit.parameters(function))} parameters.",
                "Pass what belongs together as one value.",
            )

    def _ancestors_within(self, node, function):
        yield node
        for ancestor in self.module.ancestors(node):
            if ancestor is function:
                return
            # `elif` is written flat, so it counts flat.
            parent = self.module.parents.get(ancestor)
            if not (isinstance(ancestor, ast.If) and isinstance(parent, ast.If) and ancestor in parent.orelse):
                yield ancestor

    def defaults(self, function):
        for default in (*function.args.defaults, *(d for d in function.args.kw_defaults if d)):
            if isinstance(default, (ast.List, ast.Dict, ast.Set)) or (
                isinstance(default, ast.Call) and self.module.dotted(default.func) in ("list", "dict", "set")
            ):
                self.add(
                    default,
                    "mutable-default",
                    "medium",
                    f"All calls of `{function.name}` share this one `{ast.unparse(default)}`.",
                    "Make the default None and the value inside the function.",
                )

    def unused_variables(self, function):
        used, stored, declared = set(), {}, set()
        for node in ast.walk(function):
            if isinstance(node, (ast.Global, ast.Nonlocal)):
                declared.update(node.names)
            elif isinstance(node, ast.Name):
                if isinstance(node.ctx, ast.Store) and self.module.scope(node) is function:
                    stored.setdefault(node.id, node)
                elif not isinstance(node.ctx, ast.Store):
                    used.add(node.id)
            elif isinstance(node, ast.Call) and self.module.dotted(node.func) in ("locals", "exec", "eval", "vars"):
                return
        for name, node in stored.items():
            parent = self.module.parents[node]
            # A part of a tuple or a loop's variable has to be named; a class's attribute is read elsewhere.
            if (
                name not in used | declared
                and not name.startswith("_")
                and isinstance(parent, (ast.Assign, ast.AnnAssign))
                and isinstance(self.module.parents[parent], (*FUNCTIONS, *BLOCKS, ast.ExceptHandler))
            ):
                self.add(node, "unused-variable", "low", f"`{name}` is set and never read.", "Leave it out.")

    def redefinitions(self):
        for scope in self.module.of(ast.Module, ast.ClassDef):
            seen = {}
            for node in scope.body:
                if isinstance(node, FUNCTIONS):
                    before = seen.get(node.name)
                    if before and not node.decorator_list and not before.decorator_list:
                        self.add(
                            node,
                            "redefinition",
                            "high",
                            f"`{node.name}` replaces the one of line {before.lineno}.",
                            "Give them different names, or remove one.",
                        )
                    seen[node.name] = node
        for node in self.module.of(ast.Dict):
            keys = [k.value for k in node.keys if isinstance(k, ast.Constant)]
            twice = {repr(k) for k in keys if keys.count(k) > 1} if len(keys) < 500 else set()
            if twice:
                self.add(
                    node,
                    "duplicate-key",
                    "medium",
                    f"{', '.join(sorted(twice))} stands twice; the last one counts.",
                    "Remove one.",
                )

    def unreachable(self):
        for node in self.module.nodes:
            for field in ("body", "orelse", "finalbody"):
                block = getattr(node, field, None)
                for before, after in zip(block, block[1:]) if isinstance(block, list) else ():
                    if isinstance(before, ENDS):
                        self.add(
                            after,
                            "unreachable-code",
                            "medium",
                            f"Nothing comes here after line {before.lineno}.",
                            "Remove it.",
                        )
                        break

    def handlers(self):
        for handler in self.module.of(ast.ExceptHandler):
            names = (
                [self.module.dotted(n) for n in ast.walk(handler.type) if isinstance(n, (ast.Name, ast.Attribute))]
                if handler.type
                else []
            )
            is_silent = all(
                isinstance(s, (ast.Pass, ast.Continue))
                or (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))
                for s in handler.body
            )
            raises = any(isinstance(n, ast.Raise) for n in ast.walk(handler))
            is_broad = bool({"Exception", "BaseException"} & set(names))
            if handler.type is None and not raises:
                self.add(
                    handler,
                    "bare-except",
                    "high" if is_silent else "medium",
                    "This catches everything, even the request to stop.",
                    "Name the errors that are expected here.",
                )
            elif is_broad and is_silent:
                self.add(
                    handler,
                    "swallowed-error",
                    "high",
                    "Every failure ends here without a trace.",
                    "Name the errors that are expected here, and say what becomes of them.",
                )
            elif is_broad and not raises and not self._tells(handler):
                self.add(
                    handler,
                    "broad-except",
                    "medium",
                    "Failures that nobody thought of are taken for expected ones.",
                    "Name the errors that are expected here, or log them.",
                )
        for node in self.module.of(ast.Try):
            for statement in node.finalbody:
                if isinstance(statement, (ast.Return, ast.Break, ast.Continue)):
                    self.add(
                        statement,
                        "finally-leaves",
                        "high",
                        "Leaving from `finally` drops the error under way.",
                        "Leave after the `try`.",
                    )

    @staticmethod
    def _tells(handler):
        """Whether the error is used or logged."""
        for node in ast.walk(handler):
            if isinstance(node, ast.Name) and handler.name and node.id == handler.name:
                return True
            if isinstance(node, ast.Attribute) and node.attr in (
                "exception",
                "error",
                "warning",
                "critical",
                "print_exc",
            ):
                return True
        return False

    def comparisons(self):
        for node in self.module.of(ast.Compare):
            for operator, right in zip(node.ops, node.comparators):
                if (
                    isinstance(operator, (ast.Eq, ast.NotEq))
                    and isinstance(right, ast.Constant)
                    and right.value is None
                ):
                    self.add(
                        node,
                        "none-comparison",
                        "low",
                        "`==` asks the other value whether it is None.",
                        "Use `is None` or `is not None`.",
                    )
                elif (
                    isinstance(operator, (ast.Is, ast.IsNot))
                    and isinstance(right, ast.Constant)
                    and isinstance(right.value, (str, int, bytes))
                    and not isinstance(right.value, bool)
                ):
                    self.add(
                        node,
                        "literal-identity",
                        "medium",
                        "`is` compares identity, which literals do not promise.",
                        "Use `==` or `!=`.",
                    )

    def leaks(self):
        for call in self.module.of(ast.Call):
            if self.module.dotted(call.func) not in OPENERS:
                continue
            parent = self.module.parents[call]
            if isinstance(parent, ast.withitem) or isinstance(parent, (ast.Return, ast.Yield, ast.YieldFrom)):
                continue
            # Handed on whole, it is somebody else's to close: contextlib.closing, enter_context, an attribute.
            if isinstance(parent, ast.Call) and self.module.dotted(parent.func).rsplit(".", 1)[-1] in (
                "closing",
                "enter_context",
                "push",
                "TextIOWrapper",
                "Popen",
            ):
                continue
            statement = self.module.statement(call)
            if isinstance(statement, ast.Assign) and statement.value is call:
                target = statement.targets[0]
                if not isinstance(target, ast.Name) or self._is_closed(target.id, call):
                    continue
            if (
                isinstance(statement, (ast.With, ast.AsyncWith))
                and self.module.parents[statement] is not None
                and any(call is n for item in statement.items for n in ast.walk(item.context_expr))
            ):
                continue
            self.add(
                call,
                "resource-leak",
                "medium",
                f"What `{ast.unparse(call.func)}` opens stays open when this fails.",
                "Open it in a `with` statement.",
            )

    def _is_closed(self, name, call):
        """Whether a `finally`, a `with` or a `return` takes care of the opened thing."""
        scope = self.module.scope(call)
        for node in ast.walk(scope):
            if isinstance(node, (ast.withitem, ast.Return)):
                value = node.context_expr if isinstance(node, ast.withitem) else node.value
                if (
                    value is not None
                    and any(
                        isinstance(n, ast.Name) and n.id == name
                        for n in ast.walk(value)
                        if not isinstance(n, ast.Attribute)
                    )
                    and (isinstance(node, ast.withitem) or isinstance(value, (ast.Name, ast.Tuple)))
                ):
                    return True
            elif isinstance(node, ast.Try):
                for n in (n for s in node.finalbody for n in ast.walk(s)):
                    if (
                        isinstance(n, ast.Attribute)
                        and n.attr == "close"
                        and isinstance(n.value, ast.Name)
                        and n.value.id == name
                    ):
                        return True
        return False

    def imports(self):
        used = {n.id for n in self.module.of(ast.Name)}
        used |= {n.value for n in self.module.of(ast.Constant) if isinstance(n.value, str) and n.value.isidentifier()}
        # Annotations may be texts, and a package's front file imports for others.
        quoted = " ".join(
            n.value for n in self.module.of(ast.Constant) if isinstance(n.value, str) and len(n.value) < 200
        )
        if self.module.path.endswith("__init__.py"):
            return
        lines = self.module.text.split("\n")
        for node in self.module.of(ast.Import, ast.ImportFrom):
            if isinstance(node, ast.ImportFrom) and node.module == "__future__" or "noqa" in lines[node.lineno - 1]:
                continue
            if any(isinstance(a, ast.Try) for a in self.module.ancestors(node)):
                continue
            for alias in node.names:
                name = alias.asname or alias.name.split(".")[0]
                if name != "*" and name not in used and alias.asname != alias.name and f"{name}." not in quoted:
                    self.add(node, "unused-import", "low", f"`{name}` is imported and never used.", "Leave it out.")

    def unused_private(self):
        used = {n.id for n in self.module.of(ast.Name) if not isinstance(n.ctx, ast.Store)}
        used |= {n.attr for n in self.module.of(ast.Attribute)}
        used |= {n.value for n in self.module.of(ast.Constant) if isinstance(n.value, str) and n.value.isidentifier()}
        for function, owner in self.module.functions():
            name = function.name
            if (
                name.startswith("_")
                and not name.startswith("__")
                and name not in used
                and not function.decorator_list
                and not (owner and owner.bases)
                and name != "_"
            ):
                self.add(function, "unused-private", "medium", f"Nothing in the file uses `{name}`.", "Remove it.")

    def shadowing(self):
        for function, owner in self.module.functions():
            for parameter in kit.parameters(function):
                if parameter.arg in SHADOWED:
                    self.add(
                        parameter,
                        "shadowed-builtin",
                        "low",
                        f"`{parameter.arg}` hides the built-in one.",
                        "Rename it.",
                    )
            if function.name in SHADOWED and owner is None:
                self.add(
                    function, "shadowed-builtin", "low", f"`{function.name}` hides the built-in one.", "Rename it."
                )
        for node in self.module.of(ast.Name):
            if (
                isinstance(node.ctx, ast.Store)
                and node.id in SHADOWED
                and not isinstance(self.module.parents[self.module.statement(node)], ast.ClassDef)
            ):
                self.add(node, "shadowed-builtin", "low", f"`{node.id}` hides the built-in one.", "Rename it.")

    def undefined(self):
        """Names that nothing defines, by the compiler's own table of scopes."""
        if any(a.name == "*" for n in self.module.of(ast.ImportFrom) for a in n.names):
            return
        try:
            # Compiled, not run: that finds what parses but has no meaning, such as `return` outside a function.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                compile(self.module.text, "reviewed", "exec", dont_inherit=True)
                top = symtable.symtable(self.module.text, "reviewed", "exec")
        except SyntaxError as error:
            self.found.append(
                kit.concern(
                    self.module.path,
                    error.lineno or 1,
                    "syntax-error",
                    "high",
                    f"This does not compile: {error.msg}.",
                    "Make it compile.",
                )
            )
            return
        known = {s.get_name() for s in top.get_symbols() if s.is_assigned() or s.is_imported() or s.is_namespace()}
        known |= {name for n in self.module.of(ast.Global) for name in n.names} | set(dir(builtins)) | MODULE_NAMES
        missing, waiting = set(), [top]
        while waiting:
            table = waiting.pop()
            waiting.extend(table.get_children())
            missing |= {
                s.get_name()
                for s in table.get_symbols()
                if s.is_referenced() and (s.is_global() or table is top) and s.get_name() not in known
            }
        for name in sorted(missing):
            node = next((n for n in self.module.of(ast.Name) if n.id == name and isinstance(n.ctx, ast.Load)), None)
            if node is not None and not self._is_guarded(node):
                self.add(node, "undefined-name", "high", f"Nothing defines `{name}`.", "Import or define it.")

    def _is_guarded(self, node):
        return any(
            isinstance(a, ast.Try) and any("NameError" in ast.dump(h.type) for h in a.handlers if h.type)
            for a in self.module.ancestors(node)
        )


def analyse(files):
    modules, found = kit.parsed(files)
    if not modules and not found:
        return None
    for module in modules:
        found += QualityReview(module).run()
    return found


if __name__ == "__main__":
    kit.main(analyse, "complexity, dead code and error handling")
