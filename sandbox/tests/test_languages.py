"""Languages, cold and warm."""

import os
import pathlib
import unittest

from . import launching
from .launching import MiB, Sandbox, groups


def run(code, *, limits=None, **keys):
    with groups("launcher", **(limits or {})) as made:
        return Sandbox(code=code.encode(), groups=made, **keys).run()


class Languages(unittest.TestCase):
    def test_each_language_runs_and_reads(self):
        programs = {
            "python": b"import sys; print(sys.stdin.read() + sys.argv[1])",
            "javascript": b"console.log(require('fs').readFileSync(0).toString() + process.argv[2])",
            "shell": b'cat; echo "$1" | awk "{print}"',
            "c": b"#include <stdio.h>\nint main(int c, char **v) {"
            b' char b[9] = ""; fgets(b, 9, stdin); printf("%s%s\\n", b, v[1]); }',
        }
        for name, code in programs.items():
            with self.subTest(name), groups(name, memory=512 * MiB) as made:
                result = Sandbox(language=name, code=code, stdin=b"in", arguments=["arg"], groups=made).run()
                self.assertEqual((result.status, result.stdout), ("ok", b"inarg\n"), result)

    def test_a_program_that_does_not_compile(self):
        with groups("c") as made:
            result = Sandbox(language="c", code=b"int main() { nonsense }", groups=made).run()
        self.assertIsNotNone(result.record("exit", step="compile", kind="code", value="1"))
        self.assertIsNone(result.record("started", step="run"))
        self.assertIn(b"nonsense", result.stderr)

    def test_the_files_of_a_language_know_the_keys(self):
        known = {
            "id",
            "aliases",
            "version",
            "source",
            "compile",
            "run",
            "mounts",
            "mounts_if_present",
            "links",
            "env",
            "seccomp",
            "limits",
            "warm",
        }
        names = []
        for path in (launching.SANDBOX / "languages").glob("*.json"):
            spec = launching.language(path.stem)
            self.assertEqual(spec["id"], path.stem)
            self.assertLessEqual(spec.keys(), known)
            self.assertTrue((launching.SANDBOX / f"policy/{spec['seccomp']}.policy").exists())
            names += [spec["id"], *spec["aliases"]]
        self.assertEqual(len(names), len(set(names)))

    def test_the_seeds_line_shows_nothing_of_the_host(self):
        result = run('import os; os.system("cat /etc/passwd")')
        own = (launching.SANDBOX / "rootfs/etc/passwd").read_bytes()
        self.assertEqual(result.stdout, own)
        self.assertNotIn(pathlib.Path("/etc/passwd").read_bytes().splitlines()[0], result.stdout)


class Warm(unittest.TestCase):
    def warm(self, code, name="python", **keys):
        with groups("warm", memory=512 * MiB) as made:
            return Sandbox(language=name, code=code, groups=made, warm=True, **keys).run()

    def test_python_becomes_what_it_is_sent(self):
        code = (
            b"import sys, os, helper\n"
            b"print(__name__, __file__, sys.argv, sys.path[0], sorted(vars()), os.environ['A'],\n"
            b" open('/box/in').read(), input(), os.listdir('/proc/self/fd'), os.listdir('/code'), helper.__file__)"
        )
        result = self.warm(
            code, arguments=["x"], env={"A": "1"}, stdin=b"line\n", files={"/box/in": b"data", "/code/helper.py": b""}
        )
        names = [
            "__annotations__",
            "__builtins__",
            "__cached__",
            "__doc__",
            "__file__",
            "__loader__",
            "__name__",
            "__package__",
            "__spec__",
            "helper",
            "os",
            "sys",
        ]
        expected = f"__main__ /code/main.py ['/code/main.py', 'x'] /code {names} 1 data line ['0', '1', '2', '3']"
        self.assertEqual(result.status, "ok", result)
        self.assertTrue(result.stdout.decode().startswith(expected), (expected, result.stdout))
        self.assertNotIn(b"prelude", result.stdout)

    def test_a_traceback_shows_the_program_alone(self):
        cold, warm = run("def f(): 1 / 0\nf()"), self.warm(b"def f(): 1 / 0\nf()")
        self.assertEqual((warm.status, warm.stderr), ("error", cold.stderr))
        cold, warm = run("def f(:"), self.warm(b"def f(:")
        self.assertEqual((warm.status, warm.stderr), ("error", cold.stderr))

    def test_javascript_becomes_what_it_is_sent(self):
        code = (
            b"console.log(require.main === module, __filename, process.argv.slice(1), process.env.A,"
            b" require('/code/helper').x, require('fs').readdirSync('/proc/self/fd').includes('4'))"
        )
        result = self.warm(
            code, name="javascript", arguments=["x"], env={"A": "1"}, files={"/code/helper.js": b"exports.x = 5"}
        )
        self.assertEqual(result.stdout, b"true /code/main.js [ '/code/main.js', 'x' ] 1 5 false\n", result)

    def test_one_that_nobody_needs_ends(self):
        with groups("unused") as made:
            sandbox = Sandbox(groups=made, warm=True).start()
            self.assertTrue(sandbox.await_ready())
            os.close(sandbox.feed)
            self.assertEqual(sandbox.finish().status, "ok")

    def test_two_never_share_a_seed(self):
        outputs = {self.warm(b"import random; print(random.random(), hash('a'))").stdout for _ in range(3)}
        self.assertEqual(len(outputs), 3)


if __name__ == "__main__":
    unittest.main()
