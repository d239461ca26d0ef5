"""Edits Python by its syntax tree, so that what is not edited stays as it was, comments and all."""

import ast

import review_kit as kit


class Source:
    """A file being mended. Works on bytes, since that is what a syntax tree counts columns in."""

    def __init__(self, path, text):
        self.path = path
        self.imports = set()
        self.load(text)
        self.used = self.names()

    def load(self, text):
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        self.module = kit.Module(self.path, text)
        self.bytes = text.encode()
        self.starts = [0]
        for line in text.split("\n"):
            self.starts.append(self.starts[-1] + len(line.encode()) + 1)
        self.edits = []

    def names(self):
        """The names that the code reads."""
        return {n.id for n in self.module.of(ast.Name) if isinstance(n.ctx, ast.Load)}

    def at(self, line, *kinds):
        """The nodes of these kinds that begin on a line, the outermost first."""
        return [n for n in self.module.of(*kinds) if getattr(n, "lineno", 1) == line]

    def span(self, node):
        return (
            self.starts[node.lineno - 1] + node.col_offset,
            self.starts[node.end_lineno - 1] + node.end_col_offset,
        )

    def source(self, node):
        start, end = self.span(node)
        return self.bytes[start:end].decode()

    def replace(self, node, text):
        self.edits.append((*self.span(node), text.encode()))

    def insert(self, line, text):
        """Whole lines before a line, from 1."""
        self.edits.append((self.starts[line - 1], self.starts[line - 1], text.encode()))

    def lines(self, first, last, text):
        """Other lines in the place of these."""
        self.edits.append((self.starts[first - 1], min(self.starts[last], len(self.bytes)), text.encode()))

    def indentation(self, statement):
        return " " * statement.col_offset

    def remove(self, statement):
        """Takes a statement out that has its lines for itself; a block that would be empty gets `pass`."""
        block = next(
            b
            for f in ("body", "orelse", "finalbody")
            for b in [getattr(self.module.parents[statement], f, None)]
            if isinstance(b, list) and statement in b
        )
        kept = "" if len(block) > 1 or isinstance(self.module.parents[statement], ast.Module) else "pass\n"
        self.lines(statement.lineno, statement.end_lineno, self.indentation(statement) + kept if kept else "")

    def apply(self):
        """Carries the edits out; False, and nothing done, when they overlap or what comes out does not parse."""
        edits = sorted(self.edits)
        before = self.bytes.decode()
        if any(one[1] > two[0] for one, two in zip(edits, edits[1:])):
            self.edits = []
            return False
        made = bytearray(self.bytes)
        for start, end, text in reversed(edits):
            made[start:end] = text
        try:
            self.load(made.decode())
        except kit.Unreadable:
            self.load(before)
            return False
        return True

    def finish(self):
        """The text, with the imports that fixes asked for, and without those that they left unused."""
        for statement in reversed(list(self.module.of(ast.Import))):
            name = statement.names[0].asname or statement.names[0].name
            if len(statement.names) == 1 and name in self.used - self.names() - self.imports:
                self.remove(statement)
                self.apply()
        for name in sorted(self.imports):
            self.add_import(name)
        return self.bytes.decode()

    def add_import(self, name):
        """Among the others, in their order."""
        plain = [s for s in self.module.tree.body if isinstance(s, ast.Import)]
        if any(a.name == name and not a.asname for s in plain for a in s.names):
            return
        later = [s for s in plain if s.names[0].name > name]
        has_words = ast.get_docstring(self.module.tree) is not None
        if plain:
            self.insert(later[0].lineno if later else plain[-1].end_lineno + 1, f"import {name}\n")
        elif has_words:
            line = self.module.tree.body[0].end_lineno + 1
            is_close = self.bytes[self.starts[line - 1] : self.starts[line - 1] + 1] not in (b"", b"\n")
            self.insert(line, f"import {name}\n" + ("\n" if is_close else ""))
        else:
            futures = [s.end_lineno for s in self.module.tree.body if getattr(s, "module", "") == "__future__"]
            line = max(futures, default=0) + 1
            is_close = self.bytes[self.starts[line - 1] : self.starts[line - 1] + 1] not in (b"", b"\n")
            self.insert(line, f"import {name}\n" + ("\n\n" if is_close else ""))
        self.apply()
