"""What the reviewers share: reading what is reviewed, looking at it within bounds, and saying what comes of it.

An artifact is `{"files": {"path": "text", ...}}`; other fields beside `files` are not looked at. What is reviewed is
somebody else's and may be hostile. It is only ever read, never run and never obeyed; it is read in a process of its
own, with bounded time and memory; and whatever happens there, a vote comes out.
"""

import ast
import collections
import hashlib
import json
import os
import re
import resource
import select
import signal
import string
import sys
import time
import warnings

REJECTED = 65
FILES_MAX = 200
FILE_BYTES_MAX = 256 << 10
NODES_MAX = 200_000
# Of a vote, as docs/reviews.md has them; a little less, so that a comma more does not cost the vote.
CONCERNS_MAX = 50
CONCERNS_BYTES_MAX = 30 << 10
RATIONALE_BYTES_MAX = 4000
TEXT_MAX = 240
# More remarks than these are a reason to ask for better.
LOW_MAX = 5
SECONDS_MAX = 20
MEMORY_BYTES_MAX = 1 << 30
SEVERITIES = ("high", "medium", "low")


def printable(text, characters_max=TEXT_MAX):
    """`text` as one line that is safe to show: nothing invisible, nothing that turns the line around, not too long."""
    shown = "".join(
        c if c.isprintable() else " " if c.isspace() else f"\\u{ord(c):04x}" for c in text[: characters_max + 1]
    )
    return shown if len(shown) <= characters_max else shown[: characters_max - 1] + "…"


def concern(path, line, rule, severity, message, fix):
    """One thing to be mended, as it stands in the vote."""
    return {
        "file": printable(path),
        "line": line,
        "rule": rule,
        "severity": severity,
        "message": printable(message),
        "fix": printable(fix),
    }


def is_python(path):
    return path.endswith((".py", ".pyi"))


def is_test(path):
    """Whether a test runner would look for tests in the file."""
    name = path.rsplit("/", 1)[-1]
    return is_python(path) and (name.startswith("test_") or name.endswith("_test.py"))


class Unreadable(Exception):
    """A file that nobody can judge; says why as a concern."""

    def __init__(self, concern):
        super().__init__(concern["message"])
        self.concern = concern


class Module:
    """A Python file, parsed, with what its names stand for."""

    def __init__(self, path, text):
        self.path, self.text = path, text
        if len(text.encode("utf-8", "surrogatepass")) > FILE_BYTES_MAX:
            raise self._unreadable(
                1, "too-large", f"The file is longer than {FILE_BYTES_MAX >> 10} KiB.", "Split it."
            )
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.tree = ast.parse(text)
        except SyntaxError as error:
            raise self._unreadable(
                error.lineno or 1, "syntax-error", f"This is no Python: {error.msg}.", "Make it parse."
            ) from error
        except (ValueError, RecursionError, MemoryError) as error:
            raise self._unreadable(
                1,
                "syntax-error",
                f"This cannot be parsed ({type(error).__name__}).",
                "Take out what no parser reads: NUL characters, lone surrogates, extreme nesting.",
            ) from error
        self.nodes, self.parents = [], {}
        for node in ast.walk(self.tree):
            self.nodes.append(node)
            for child in ast.iter_child_nodes(node):
                self.parents[child] = node
            if len(self.nodes) > NODES_MAX:
                raise self._unreadable(1, "too-large", "The file has too many parts to be judged.", "Split it.")
        self.imports = self._imports()
        self._assigned = {}

    def _unreadable(self, line, rule, message, fix):
        return Unreadable(concern(self.path, line, rule, "high", message, fix))

    def _imports(self):
        names = {}
        for node in self.nodes:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    names[alias.asname or alias.name.split(".")[0]] = (
                        alias.name if alias.asname else alias.name.split(".")[0]
                    )
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                for alias in node.names:
                    names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
        return names

    def of(self, *kinds):
        return (node for node in self.nodes if isinstance(node, kinds))

    def dotted(self, node):
        """What `a.b.c` stands for with the imports looked up, such as `subprocess.run`; empty for anything else."""
        parts = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return ""
        return ".".join([self.imports.get(node.id, node.id), *reversed(parts)])

    def ancestors(self, node):
        while node in self.parents:
            node = self.parents[node]
            yield node

    def scope(self, node):
        """The function around a node, or the module."""
        return next(
            (a for a in self.ancestors(node) if isinstance(a, (ast.FunctionDef, ast.AsyncFunctionDef))), self.tree
        )

    def statement(self, node):
        """The innermost statement around a node."""
        return (
            node if isinstance(node, ast.stmt) else next(a for a in self.ancestors(node) if isinstance(a, ast.stmt))
        )

    def assigned(self, scope):
        """Each name's values in a scope, as far as assignments say."""
        if scope not in self._assigned:
            values = collections.defaultdict(list)
            for node in self.of(ast.Assign, ast.AnnAssign, ast.AugAssign):
                if node.value is None or self.scope(node) is not scope:
                    continue
                for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                    if isinstance(target, ast.Name):
                        values[target.id].append(node.value)
            self._assigned[scope] = values
        return self._assigned[scope]

    def functions(self):
        """Functions and methods in the order of the file, each with the class it belongs to or None."""
        for node in self.of(ast.FunctionDef, ast.AsyncFunctionDef):
            parent = self.parents.get(node)
            yield node, parent if isinstance(parent, ast.ClassDef) else None


def parameters(function):
    """All of a function's parameters, in order."""
    of = function.args
    variadic = [a for a in (of.vararg, of.kwarg) if a]
    return [*of.posonlyargs, *of.args, *of.kwonlyargs, *variadic]


def string_pieces(node):
    """What a string is put together from, its texts and the expressions between them; None when it is no string.

    Knows f-strings, `+`, `%` and `.format`; each only in the forms whose parts are certain.
    """
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return [v.value if isinstance(v, (ast.Constant, ast.FormattedValue)) else v for v in node.values]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
        return _percent_pieces(node)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        operands = []
        while isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            operands.append(node.right)
            node = node.left
        found = [string_pieces(operand) for operand in [node, *reversed(operands)]]
        if not any(found):
            return None
        return [piece for operand, pieces in zip([node, *reversed(operands)], found) for piece in pieces or [operand]]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
        return _format_pieces(node)
    return None


def _percent_pieces(node):
    if not isinstance(node.left, ast.Constant) or not isinstance(node.left.value, str):
        return None
    values = list(node.right.elts) if isinstance(node.right, ast.Tuple) else [node.right]
    texts = re.split(r"%[sdr]", node.left.value)
    if len(texts) != len(values) + 1:
        return [node.left.value, *values]
    return [piece for pair in zip(texts, values) for piece in pair] + [texts[-1]]


def _format_pieces(call):
    text = call.func.value
    if not isinstance(text, ast.Constant) or not isinstance(text.value, str):
        return None
    named = {keyword.arg: keyword.value for keyword in call.keywords}
    pieces, position = [], 0
    try:
        for literal, field, _, _ in string.Formatter().parse(text.value):
            pieces.append(literal)
            if field is None:
                continue
            if field == "":
                field, position = str(position), position + 1
            pieces.append(call.args[int(field)] if field.isdigit() else named[field])
    except (ValueError, IndexError, KeyError):
        return [text.value, *call.args, *named.values()]
    return pieces


# Reading a work item


def member(text, start, name):
    """Where the value of an object's member begins and ends in a JSON text; None when there is none."""
    space = re.compile(r"[ \t\r\n]*")
    decoder = json.JSONDecoder()
    at = space.match(text, start).end()
    if text[at : at + 1] != "{":
        return None
    while text[at : at + 1] in ("{", ","):
        at = space.match(text, at + 1).end()
        if text[at : at + 1] != '"':
            return None
        key, at = json.decoder.scanstring(text, at + 1)
        at = space.match(text, space.match(text, at).end() + 1).end()
        _, end = decoder.raw_decode(text, at)
        if key == name:
            return at, end
        at = space.match(text, end).end()
    return None


def read_item(stream):
    """The work item, and the bytes of the artifact in it as they came, over which its hash goes."""
    try:
        text = stream.read().decode("utf-8")
        item = json.loads(text)
        if not isinstance(item, dict) or not isinstance(item.get("input"), dict):
            raise ValueError("it is no object with an `input`")
        if item.get("kind") != "review":
            # Tried by hand, or a stage of work: the input is what is looked at.
            return {"artifact": item["input"]}, None
        span = member(text, member(text, 0, "input")[0], "artifact")
        if span is None:
            raise ValueError("it has no artifact")
        return item["input"], text[span[0] : span[1]].encode("utf-8")
    except (ValueError, RecursionError) as error:
        print(f"This is no work item to review: {printable(str(error))}.", file=sys.stderr)
        sys.exit(REJECTED)


def files_of(artifact):
    """The files of an artifact, by path; None when it has another shape."""
    files = artifact.get("files") if isinstance(artifact, dict) else None
    if not isinstance(files, dict) or not files or len(files) > FILES_MAX:
        return None
    return files if all(isinstance(text, str) for text in files.values()) else None


# Looking at it, within bounds


def within_bounds(work, seconds=SECONDS_MAX):
    """What `work` returns, made in a process of its own; None when that took too long, too much, or went wrong.

    A parser's stack may overflow on what an attacker writes, and no handler catches that.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(reading)
            for limit, most in (
                (resource.RLIMIT_CPU, seconds),
                (resource.RLIMIT_CORE, 0),
                (resource.RLIMIT_AS, MEMORY_BYTES_MAX),
            ):
                try:
                    resource.setrlimit(limit, (most, most))
                except (OSError, ValueError):
                    pass  # Not every system has every limit; the time is bounded by the parent too.
            with os.fdopen(writing, "wb") as pipe:
                pipe.write(json.dumps(work()).encode())
            code = 0
        except BaseException as error:  # noqa: B902 - whatever it is, the parent says that nothing came.
            print(f"The analysis ended with {type(error).__name__}.", file=sys.stderr)
        finally:
            os._exit(code)
    os.close(writing)
    deadline, received = time.monotonic() + seconds, []
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        while select.select([pipe], [], [], max(0, deadline - time.monotonic()))[0]:
            chunk = pipe.read(1 << 16)
            if not chunk:
                break
            received.append(chunk)
        else:
            os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return json.loads(b"".join(received)) if status == 0 else None


def parsed(files):
    """The Python files that can be judged, and a concern for each that cannot."""
    modules, concerns = [], []
    for path in sorted(filter(is_python, files)):
        try:
            modules.append(Module(path, files[path]))
        except Unreadable as unreadable:
            concerns.append(unreadable.concern)
    return modules, concerns


# Saying what comes of it


def ordered(concerns):
    """The worst first; in one file, from top to bottom; each once."""
    unique = {(c["file"], c["line"], c["rule"], c["message"]): c for c in concerns}
    return sorted(unique.values(), key=lambda c: (SEVERITIES.index(c["severity"]), c["file"], c["line"], c["rule"]))


def choice(concerns):
    """The vote that concerns lead to."""
    count = collections.Counter(c["severity"] for c in concerns)
    if count["high"]:
        return "reject"
    return "conditional" if count["medium"] or count["low"] > LOW_MAX else "approve"


def bounded(concerns):
    """As many of the concerns as a vote may carry."""
    kept, size = [], 2
    for one in concerns[:CONCERNS_MAX]:
        size += len(json.dumps(one, ensure_ascii=False).encode("utf-8", "replace")) + 2
        if size > CONCERNS_BYTES_MAX:
            break
        kept.append(one)
    return kept


def rationale(vote, concerns, kept, looked_at):
    """Why, in sentences: the worst first, what to do about it, and what was looked at."""
    count = collections.Counter(c["severity"] for c in concerns)
    words = {"high": "serious", "medium": "to mend", "low": "minor"}
    counts = ", ".join(f"{count[s]} {words[s]}" for s in SEVERITIES if count[s])
    begin = {"reject": "Not like this", "conditional": "Good once mended", "approve": "Fine"}[vote]
    if not concerns:
        return f"{begin}: nothing found. {looked_at}"
    places = ", ".join(f"{c['rule']} ({c['file']}:{c['line']})" for c in concerns[:3])
    sentences = [f"{begin}: {counts}: {places}{', …' if len(concerns) > 3 else '.'}"]
    sentences += [f"{c['file']}:{c['line']}: {c['message']} {c['fix']}" for c in concerns[:8]]
    if len(kept) < len(concerns):
        sentences.append(f"{len(concerns) - len(kept)} more were found than a vote may carry.")
    text = " ".join([*sentences, looked_at])
    return text.encode("utf-8", "replace")[:RATIONALE_BYTES_MAX].decode("utf-8", "ignore")


def judge(item, raw, analyse, looked_for):
    """The vote on a work item's artifact.

    `analyse(files)` lists concerns, or answers None when there is nothing that it could judge.
    """
    vote = {}
    digest = item.get("artifact_sha256")
    if raw is not None:
        vote["artifact_sha256"] = hashlib.sha256(raw).hexdigest()
        if digest is not None and digest != vote["artifact_sha256"]:
            return {
                "vote": "abstain",
                "concerns": [],
                "rationale": "This is not the artifact whose hash the review names, so there is nothing to vote on.",
            }
    files = files_of(item.get("artifact"))
    if files is None:
        why = f"The artifact has no `files` (1 to {FILES_MAX} texts by path), so there is nothing that I can read."
        return {**vote, "vote": "abstain", "concerns": [], "rationale": why}
    answer = within_bounds(lambda: [analyse(files)])
    if answer is None:
        found = [
            concern(
                "",
                1,
                "unanalysable",
                "high",
                "Reading this took more time or memory than a change should.",
                "Make it smaller and less nested.",
            )
        ]
    elif answer[0] is None:
        return {**vote, "vote": "abstain", "concerns": [], "rationale": f"None of the files is for me: {looked_for}."}
    else:
        found = ordered(answer[0])
    lines = sum(text.count("\n") + 1 for path, text in files.items() if is_python(path))
    looked_at = f"Looked at {len(files)} file{'s' * (len(files) != 1)} with {lines} lines of Python for {looked_for}."
    kept, made = bounded(found), choice(found)
    return {**vote, "vote": made, "concerns": kept, "rationale": rationale(made, found, kept, looked_at)}


def main(analyse, looked_for):
    """The whole agent: work item in, vote out."""
    item, raw = read_item(sys.stdin.buffer)
    vote = judge(item, raw, analyse, looked_for)
    print(json.dumps({"progress": f"{vote['vote']}: {len(vote['concerns'])} concerns"}), file=sys.stderr, flush=True)
    sys.stdout.buffer.write(json.dumps(vote, ensure_ascii=False).encode("utf-8", "replace"))
