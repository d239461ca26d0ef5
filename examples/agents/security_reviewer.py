#!/usr/bin/env python3
"""Reviews Python for security: injection, unsafe calls, secrets. A vote with line numbers, nothing executed.

A finding is `high` where input decides what is executed or a secret is readable, `medium` where it depends on who
calls. Values that cannot come from outside (constants, numbers, placeholders, look-ups in constant tables) are none.
"""

import ast
import math
import re
import sys

sys.dont_write_bytecode = True
import review_kit as kit  # noqa: E402

SQL = re.compile(
    r"(?i)^\s*(select|with|insert|update|delete|replace|create|drop|alter|pragma|truncate)\s"
    r"|\bwhere\s|\border\s+by\b|\bvalues\s*\("
)
SQL_METHODS = {"execute", "executemany", "executescript", "raw", "read_sql", "read_sql_query", "mogrify"}
SHELLS = {"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput", "commands.getoutput"}
SUBPROCESS = {
    "subprocess.run",
    "subprocess.call",
    "subprocess.check_call",
    "subprocess.check_output",
    "subprocess.Popen",
}
DESERIALIZERS = {
    f"{module}.{name}"
    for module in ("pickle", "cPickle", "_pickle", "dill", "cloudpickle", "marshal")
    for name in ("load", "loads", "Unpickler")
} | {"shelve.open", "joblib.load", "jsonpickle.decode", "pandas.read_pickle", "yaml.unsafe_load", "yaml.full_load"}
SAFE_LOADERS = {"SafeLoader", "CSafeLoader", "BaseLoader", "CBaseLoader"}
HASHES = {"md5", "sha1", "sha224", "sha256", "sha384", "sha512", "new", "blake2b", "blake2s", "sha3_256", "sha3_512"}
PASSWORD = re.compile(r"(?i)(^|_)(password|passwd|passphrase|pwd|pin)s?(_|$)|password")
SECRET_NAME = re.compile(
    r"(?i)(^|_)(password|passwd|passphrase|pwd|secret|secret_?key|token|api_?key|auth_?key|access_?key|private_?key"
    r"|client_?secret|credentials?)$|_(secret|token|password|api_?key)(_|$)"
)
PLACEHOLDER = re.compile(
    r"(?i)^(<.*>|\$\{.*\}|\{.*\}|%\(.*|x+|\*+|\.+|-+)$|change.?me|example|placeholder|your[-_ ]|dummy|todo|redacted"
    r"|^(none|null|true|false)$"
)
KNOWN_SECRETS = re.compile(
    r"\b(AKIA|ASIA)[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36,}\b|\bxox[abprs]-[A-Za-z0-9-]{10,}|\bsk-[A-Za-z0-9_-]{20,}"
    r"|\bsk_live_[A-Za-z0-9]{16,}|\bAIza[0-9A-Za-z_-]{35}\b|-----BEGIN ([A-Z]+ )?PRIVATE KEY-----"
    r"|\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"
)
SETTING_LINE = re.compile(r"^\s*(?:export\s+)?[\"']?([A-Za-z_][A-Za-z0-9_]*)[\"']?\s*[:=]\s*[\"']?([^\s\"'#,]+)")
# Written to turn or hide text for a reader while the parser sees another program (CVE-2021-42574).
HIDDEN = re.compile("[\u202a-\u202e\u2066-\u2069]")
PATH_CHECKS = {
    "resolve",
    "realpath",
    "is_relative_to",
    "relative_to",
    "commonpath",
    "basename",
    "secure_filename",
    "safe_join",
    "fullmatch",
}
SAFE_CALLS = {"int", "float", "len", "bool", "ord", "round", "abs", "shlex.quote", "uuid.uuid4"}
DEPTH_MAX = 6


def entropy(text):
    """Bits per character, by the characters' own frequencies (Shannon, 1948)."""
    return -sum(text.count(c) / len(text) * math.log2(text.count(c) / len(text)) for c in set(text)) if text else 0.0


class Flow:
    """Whether a value can come from outside, as far as its function and module say."""

    def __init__(self, module):
        self.module = module

    def values(self, name, scope):
        """What a name may hold; None when that is open: a parameter, a loop's variable, something imported."""
        if isinstance(scope, (ast.FunctionDef, ast.AsyncFunctionDef)):
            if any(p.arg == name for p in kit.parameters(scope)):
                return None
            return self.module.assigned(scope).get(name) or self.module.assigned(self.module.tree).get(name)
        return self.module.assigned(scope).get(name)

    def is_safe(self, node, scope, depth=DEPTH_MAX):
        """True when the value is written down in the program, or cannot carry a text."""
        if depth == 0:
            return False
        if isinstance(node, (str, ast.Constant)):
            return True
        if isinstance(node, ast.Name):
            values = self.values(node.id, scope)
            return bool(values) and all(self.is_safe(v, scope, depth - 1) for v in values)
        if isinstance(node, ast.IfExp):
            return all(self.is_safe(n, scope, depth - 1) for n in (node.body, node.orelse))
        if isinstance(node, (ast.Tuple, ast.List, ast.Set)):
            return all(self.is_safe(n, scope, depth - 1) for n in node.elts)
        if isinstance(node, ast.Dict):
            return all(self.is_safe(n, scope, depth - 1) for n in node.values)
        if isinstance(node, (ast.GeneratorExp, ast.ListComp)):
            return self.is_safe(node.elt, scope, depth - 1)
        if isinstance(node, ast.Subscript):
            return self.is_safe(node.value, scope, depth - 1)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
            return any(
                isinstance(n, (ast.Constant, ast.List)) and self.is_safe(n, scope) for n in (node.left, node.right)
            )
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Attribute) and node.func.attr == "join":
                return all(self.is_safe(n, scope, depth - 1) for n in (node.func.value, *node.args))
            if self.module.dotted(node.func) in SAFE_CALLS:
                return True
        pieces = kit.string_pieces(node)
        return pieces is not None and all(self.is_safe(piece, scope, depth - 1) for piece in pieces)

    def built(self, node, scope, depth=DEPTH_MAX):
        """The strings behind a value that are put together from what may come from outside."""
        if depth == 0:
            return
        if isinstance(node, ast.Name):
            for value in self.values(node.id, scope) or []:
                yield from self.built(value, scope, depth - 1)
        elif isinstance(node, ast.Call) and self.module.dotted(node.func).rsplit(".", 1)[-1] == "text" and node.args:
            yield from self.built(node.args[0], scope, depth - 1)
        else:
            pieces = kit.string_pieces(node)
            if pieces is not None and not all(self.is_safe(piece, scope) for piece in pieces):
                yield node, pieces


class SecurityReview:
    """The findings in one module."""

    def __init__(self, module):
        self.module, self.flow, self.found = module, Flow(module), []

    def add(self, node, rule, severity, message, fix):
        self.found.append(kit.concern(self.module.path, node.lineno, rule, severity, message, fix))

    def run(self):
        for call in self.module.of(ast.Call):
            name = self.module.dotted(call.func)
            keywords = {k.arg: k.value for k in call.keywords if k.arg}
            self.injection(call, name, keywords)
            self.unsafe_call(call, name, keywords)
            self.transport(call, name, keywords)
            self.passwords(call, name, keywords)
            self.paths(call, name)
        self.context_settings()
        self.secrets()
        return self.found

    def injection(self, call, name, keywords):
        scope = self.module.scope(call)
        method = call.func.attr if isinstance(call.func, ast.Attribute) else name
        if method in SQL_METHODS and call.args:
            for node, pieces in self.flow.built(call.args[0], scope):
                if SQL.search(" ".join(p for p in pieces if isinstance(p, str))):
                    what = " and ".join(f"`{ast.unparse(p)}`" for p in pieces if not self.flow.is_safe(p, scope))
                    self.add(
                        node,
                        "sql-injection",
                        "high",
                        f"The SQL statement is put together from {what}.",
                        "Put placeholders there and pass the values as parameters of the call.",
                    )
        is_shell = name in SHELLS or (
            name in SUBPROCESS and isinstance(keywords.get("shell"), ast.Constant) and keywords["shell"].value is True
        )
        command = call.args[0] if call.args else keywords.get("args")
        if is_shell and command is not None:
            if self.flow.is_safe(command, scope):
                self.add(
                    call,
                    "shell",
                    "low",
                    f"`{name}` starts a shell that is not needed.",
                    "Pass the program and its arguments as a list.",
                )
            else:
                self.add(
                    call,
                    "shell-injection",
                    "high",
                    f"`{name}` has a shell read `{ast.unparse(command)[:80]}`.",
                    "Pass the program and its arguments as a list, without a shell.",
                )
        if name in ("eval", "exec") and call.args:
            is_fixed = self.flow.is_safe(call.args[0], scope)
            self.add(
                call,
                "dynamic-code",
                "medium" if is_fixed else "high",
                f"`{name}` runs whatever `{ast.unparse(call.args[0])[:80]}` says.",
                "Say what may be asked for, and look that up or parse that; `ast.literal_eval` reads plain values.",
            )

    def unsafe_call(self, call, name, keywords):
        if name in DESERIALIZERS:
            self.add(
                call,
                "unsafe-deserialization",
                "high",
                f"`{name}` runs code that its data names.",
                "Use a format that carries data only, such as JSON.",
            )
        elif name in ("yaml.load", "yaml.load_all"):
            loader = keywords.get("Loader") or (call.args[1] if len(call.args) > 1 else None)
            if loader is None or self.module.dotted(loader).rsplit(".", 1)[-1] not in SAFE_LOADERS:
                self.add(
                    call,
                    "unsafe-yaml",
                    "high",
                    f"`{name}` builds any object that the text names.",
                    f"Use `yaml.safe_{name.rsplit('.', 1)[-1]}`.",
                )
        elif name in ("tempfile.mktemp", "os.tempnam", "os.tmpnam"):
            self.add(
                call,
                "insecure-temp-file",
                "high",
                f"Between `{name}` and its use, another may make that file.",
                "Use `tempfile.NamedTemporaryFile` or `tempfile.mkstemp`, which make the file.",
            )
        elif name.endswith(".extractall") and "tarfile" in self.module.imports and "filter" not in keywords:
            self.add(
                call,
                "unsafe-archive",
                "medium",
                "An archive may write outside the folder it is unpacked to.",
                'Pass `filter="data"`.',
            )
        elif name.endswith(".run") and self._is(keywords.get("debug"), True) and "flask" in self.module.text.lower():
            self.add(
                call,
                "debug-server",
                "medium",
                "The debugger runs code for whoever reaches the port.",
                "Leave `debug` off outside your own machine.",
            )

    def transport(self, call, name, keywords):
        if self._is(keywords.get("verify"), False) and (
            name.split(".")[0] in ("requests", "httpx", "aiohttp", "session", "client")
            or name.endswith((".get", ".post", ".put", ".delete", ".patch", ".request", ".Client", ".Session"))
        ):
            self.add(
                call,
                "tls-not-verified",
                "high",
                "Whoever stands in between can answer: certificates are not checked.",
                "Leave `verify` on; name your own authority's file there if you have one.",
            )
        elif name in ("ssl._create_unverified_context", "ssl._create_stdlib_context"):
            self.add(
                call,
                "tls-not-verified",
                "high",
                f"`{name}` checks no certificate.",
                "Use `ssl.create_default_context`.",
            )
        elif name.endswith("jwt.decode") and any(
            isinstance(n, ast.Constant) and n.value is False for k in call.keywords for n in ast.walk(k.value)
        ):
            self.add(
                call,
                "signature-not-verified",
                "high",
                "Anybody can write this token: its signature is not checked.",
                "Verify it, with the algorithms named.",
            )
        elif name.endswith(".set_missing_host_key_policy") and call.args and "AutoAdd" in ast.unparse(call.args[0]):
            self.add(
                call,
                "host-key-not-verified",
                "medium",
                "The first host that answers is believed.",
                "Load the known host keys and refuse others.",
            )

    def context_settings(self):
        for node in self.module.of(ast.Assign):
            for target in (t for t in node.targets if isinstance(t, ast.Attribute)):
                if (target.attr == "check_hostname" and self._is(node.value, False)) or (
                    target.attr == "verify_mode" and self.module.dotted(node.value).endswith("CERT_NONE")
                ):
                    self.add(
                        node,
                        "tls-not-verified",
                        "high",
                        f"`{ast.unparse(target)}` switches a check of TLS off.",
                        "Leave it as `ssl.create_default_context` made it.",
                    )

    def passwords(self, call, name, keywords):
        words = [
            n.id if isinstance(n, ast.Name) else n.attr if isinstance(n, ast.Attribute) else n.arg
            for a in (*call.args, *keywords.values())
            for n in ast.walk(a)
            if isinstance(n, (ast.Name, ast.Attribute, ast.arg))
        ]
        if name.startswith("hashlib.") and name.split(".")[1] in HASHES and any(PASSWORD.search(w) for w in words):
            self.add(
                call,
                "weak-password-hash",
                "high",
                f"`{name}` is fast: stolen hashes are guessed by the billion.",
                "Use `hashlib.scrypt` or a library for Argon2, with a salt of its own for each password.",
            )
        statement = self.module.statement(call)
        targets = [t.id for t in getattr(statement, "targets", []) if isinstance(t, ast.Name)]
        if (
            name.startswith("random.")
            and name.split(".")[1] in ("choice", "choices", "randint", "random", "sample", "getrandbits")
            and any(SECRET_NAME.search(t) for t in targets)
        ):
            self.add(
                call,
                "weak-random",
                "high",
                f"`{name}` can be predicted by who has seen enough of it.",
                "Use `secrets`.",
            )

    def paths(self, call, name):
        """A file whose name is joined from a parameter, in a function that never checks where it leads."""
        scope = self.module.scope(call)
        if scope is self.module.tree:
            return
        if name in ("open", "io.open") and call.args:
            path = call.args[0]
        elif (
            isinstance(call.func, ast.Attribute)
            and call.func.attr in ("read_text", "read_bytes", "write_text", "write_bytes", "unlink", "open")
            and call.func.attr != name
        ):
            path = call.func.value
        else:
            return
        taken = {p.arg for p in kit.parameters(scope)} - {"self", "cls"}
        if isinstance(path, ast.Name):
            path = next(iter(self.module.assigned(scope).get(path.id, [])), path)
        joined = []
        if isinstance(path, ast.Call) and self.module.dotted(path.func).endswith(("path.join", "joinpath")):
            joined = path.args if path.func.attr == "joinpath" else path.args[1:]
        elif isinstance(path, ast.BinOp) and isinstance(path.op, ast.Div):
            joined = [path.right]
        elif (kit.string_pieces(path) or [None])[0] is not None and not isinstance(path, ast.Constant):
            joined = [p for p in kit.string_pieces(path)[1:] if not isinstance(p, str)]
        names = {n.id for part in joined for n in ast.walk(part) if isinstance(n, ast.Name)} & taken
        checks = {
            n.attr if isinstance(n, ast.Attribute) else n.id
            for n in ast.walk(scope)
            if isinstance(n, (ast.Attribute, ast.Name))
        } & PATH_CHECKS
        if names and not checks:
            self.add(
                call,
                "path-traversal",
                "medium",
                f"`{sorted(names)[0]}` may be `../…` and lead out of the folder.",
                "Resolve the path and check with `is_relative_to` that it is still inside.",
            )

    def secrets(self):
        in_test = kit.is_test(self.module.path)
        for node in self.module.of(ast.Constant):
            if isinstance(node.value, str) and KNOWN_SECRETS.search(node.value):
                self.add(
                    node,
                    "hard-coded-secret",
                    "high",
                    "This is a key in the form of a known service.",
                    "Revoke it, and read the next one from the environment or a secret store.",
                )
        for node in self.module.of(ast.Assign, ast.AnnAssign, ast.keyword, ast.Dict):
            for name, value in self._named(node):
                if (
                    not in_test
                    and SECRET_NAME.search(name)
                    and isinstance(value, ast.Constant)
                    and self._is_secret(value.value)
                    and not KNOWN_SECRETS.search(value.value)
                ):
                    self.add(
                        value,
                        "hard-coded-secret",
                        "high",
                        f"`{name}` stands readable in the code.",
                        "Read it from the environment or a secret store.",
                    )

    @staticmethod
    def _named(node):
        if isinstance(node, ast.Dict):
            return [
                (k.value, v)
                for k, v in zip(node.keys, node.values)
                if isinstance(k, ast.Constant) and isinstance(k.value, str)
            ]
        if isinstance(node, ast.keyword):
            return [(node.arg or "", node.value)]
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return [
            (t.id if isinstance(t, ast.Name) else t.attr, node.value)
            for t in targets
            if isinstance(t, (ast.Name, ast.Attribute))
        ]

    @staticmethod
    def _is_secret(value):
        """Long and mixed enough to be one, and no word that stands in for one."""
        return (
            isinstance(value, str)
            and len(value) >= 8
            and " " not in value
            and not PLACEHOLDER.search(value)
            and not re.fullmatch(r"[a-z]+([-_./:][a-z]+)*|[A-Z]+(_[A-Z]+)*", value)
            and entropy(value) >= 2.8
        )

    @staticmethod
    def _is(node, value):
        return isinstance(node, ast.Constant) and node.value is value


def settings(path, text):
    """Secrets in files that are not Python, line by line."""
    found = []
    for number, line in enumerate(text[: kit.FILE_BYTES_MAX].split("\n"), 1):
        line = line[:2000]
        match = SETTING_LINE.match(line)
        if KNOWN_SECRETS.search(line) or (
            match
            and not path.endswith((".md", ".txt", ".rst"))
            and SECRET_NAME.search(match[1])
            and SecurityReview._is_secret(match[2])
        ):
            found.append(
                kit.concern(
                    path,
                    number,
                    "hard-coded-secret",
                    "high",
                    "A secret stands readable in the file.",
                    "Revoke it, and keep the next one out of the files.",
                )
            )
    return found


def analyse(files):
    modules, found = kit.parsed(files)
    for module in modules:
        found += SecurityReview(module).run()
    for path, text in files.items():
        if not kit.is_python(path):
            found += settings(path, text)
        for number, line in enumerate(text[: kit.FILE_BYTES_MAX].split("\n"), 1):
            if kit.is_python(path) and HIDDEN.search(line):
                found.append(
                    kit.concern(
                        path,
                        number,
                        "hidden-text",
                        "high",
                        "Invisible characters make this line read otherwise than it runs.",
                        "Take them out, or write them as escapes.",
                    )
                )
    return found


if __name__ == "__main__":
    kit.main(analyse, "injection, unsafe calls, weak cryptography and secrets")
