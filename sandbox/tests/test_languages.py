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

    def test_python_without_site_is_as_a_plain_start(self):
        plain = ["/usr/bin/python3", "-B", "{code}/main.py"]
        programs = [
            "print(sorted(globals()), [globals()[n] for n in ('__name__', '__file__', '__spec__', '__package__')])",
            "import sys; print(sys.argv, sys.path[0], sys.path[-1] in sys.path)",
            "def f():\n  1/0\nf()",
            "try:\n  1/0\nexcept Exception as error:\n  raise ValueError('again') from error",
            "x = (",
            "exit(3)",
            "quit()",
            "raise SystemExit('bye')",
            "raise KeyboardInterrupt",
            "print(input())",
            "import multiprocessing as m\ndef f(x): return x * 2\nif __name__ == '__main__':\n"
            "  with m.get_context('spawn').Pool(1) as pool: print(pool.map(f, [1, 2]))",
            "import inspect\ndef f(): pass\nprint(inspect.getsource(f))",
            "import subprocess, sys\nprint(subprocess.run([sys.executable, '-c', 'exit(4)']).returncode)",
            # What the compiler has to say, and what it leaves behind.
            "",
            "'said of it'\nprint(__doc__)",
            "x = 1 is 1\nprint(x)",
            "print('\\d')",
            "return 1",
            "(" * 300,
            "# coding: latin-1\nprint(ascii('\u00e9'))",
            "# coding: cp1252\nprint(ascii('\u00e9'))",
            "from __future__ import annotations\ndef f(x: y): pass\nprint(f.__annotations__, f.__code__.co_filename)",
            "import sys, warnings\nprint(sys.gettrace(), sys.warnoptions, warnings.filters, sys.exc_info())",
            "class A:\n  def f(self):\n    return [x / 0 for x in (1, 2)]\nA().f()",
        ]
        for code in programs:
            with groups("site") as made:
                ours = Sandbox(code=code.encode(), stdin=b"typed", groups=made).run()
            with groups("site") as made:
                theirs = Sandbox(code=code.encode(), stdin=b"typed", groups=made, run_command=plain).run()
            with self.subTest(code=code):
                self.assertEqual(ours.stdout, theirs.stdout)
                self.assertEqual(ours.stderr, theirs.stderr)
                ends = [result.record("exit", step="run") for result in (ours, theirs)]
                self.assertEqual(*[(end["kind"], end["value"]) for end in ends])

    def test_python_runs_tests_without_what_the_host_adds(self):
        code = b"""import sys, unittest
class Tests(unittest.TestCase):
    def test_it(self):
        import helper
        self.assertEqual((helper.x, sys.flags.no_site, 'site' in sys.modules), (7, 1, False))
        with self.assertRaises(SystemExit): exit(3)
"""
        for files, value in (({"/code/test_it.py": code, "/code/helper.py": b"x = 7"}, "0"), ({}, "5")):
            with groups("test") as made:
                command = launching.language("python")["test"]
                result = Sandbox(files=files, groups=made, run_command=command).run()
            self.assertIsNotNone(result.record("exit", kind="code", value=value), result)

    def test_the_files_of_a_language_know_the_keys(self):
        known = {
            "id",
            "aliases",
            "version",
            "source",
            "compile",
            "run",
            "test",
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


class Compatibility(unittest.TestCase):
    """What programs ordinarily use still works in there."""

    def works(self, name, code):
        with groups("works", memory=512 * MiB) as made:
            result = Sandbox(language=name, code=code.encode(), groups=made).run()
        self.assertEqual((result.status, result.stdout.split()[-1:]), ("ok", [b"works"]), result)

    def test_python(self):
        self.works("python", PYTHON)

    def test_javascript(self):
        self.works("javascript", JAVASCRIPT)

    def test_shell(self):
        self.works("shell", SHELL)


PYTHON = """
import asyncio, ctypes, hashlib, multiprocessing, os, socket, sqlite3, subprocess, tempfile, threading, time, uuid
import zoneinfo
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import shared_memory

def square(x):
    return x * x

async def many():
    process = await asyncio.create_subprocess_exec("/bin/echo", "x", stdout=subprocess.PIPE)
    output, _ = await process.communicate()
    first, second = socket.socketpair()
    server = await asyncio.start_unix_server(lambda r, w: w.close(), "/tmp/s")
    reader, writer = await asyncio.open_unix_connection("/tmp/s")
    assert await reader.read() == b"" and output == b"x\\n"
    await asyncio.gather(*[asyncio.sleep(0.01) for _ in range(100)])
    return await asyncio.to_thread(square, 3)

if __name__ == "__main__":
    assert asyncio.run(many()) == 9
    for method in ("fork", "spawn", "forkserver"):
        with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(method)) as pool:
            assert list(pool.map(square, range(4))) == [0, 1, 4, 9]
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(square, range(4))) == 14
    memory = shared_memory.SharedMemory(create=True, size=100)
    memory.close(); memory.unlink()
    base = sqlite3.connect("/box/base.db")
    base.execute("PRAGMA journal_mode=WAL"); base.execute("CREATE TABLE t (x)"); base.commit()
    assert subprocess.run("echo a | tr a b | sort", shell=True, capture_output=True).stdout == b"b\\n"
    subprocess.run(["/bin/true"], start_new_session=True, check=True)
    with tempfile.TemporaryDirectory() as folder:
        open(folder + "/x", "w").write("x"); os.rename(folder + "/x", folder + "/y")
    callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(lambda a, b: 0)
    array = (ctypes.c_int * 3)(3, 1, 2)
    ctypes.CDLL(None).qsort(array, 3, 4, callback)
    lock = threading.Lock(); lock.acquire(timeout=1)
    hashlib.sha256(uuid.uuid4().bytes); zoneinfo.ZoneInfo("Europe/Berlin"); os.urandom(8); time.sleep(0.01)
    print("works")
"""

JAVASCRIPT = """
const { Worker } = require('worker_threads');
const { execFileSync, spawn } = require('child_process');
const crypto = require('crypto'), fs = require('fs'), zlib = require('zlib'), net = require('net');
(async () => {
  await new Promise((done, no) => new Worker('1 + 1', { eval: true }).on('exit', done).on('error', no));
  execFileSync('/bin/echo', ['x']);
  await new Promise((done) => spawn('/bin/sh', ['-c', 'exit 0']).on('close', done));
  await fs.promises.writeFile('/box/x', 'x'); await fs.promises.readFile('/box/x');
  fs.watchFile('/box/x', () => {}); fs.unwatchFile('/box/x');
  await new Promise((done) => crypto.pbkdf2('a', 'b', 1000, 32, 'sha512', done));
  crypto.createHash('sha256').update('x').digest('hex'); zlib.gzipSync('x');
  new WebAssembly.Module(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]));
  await new Promise((done) => { const s = net.createServer().listen('/tmp/s', () => s.close(done)); });
  await Promise.all(Array.from({ length: 100 }, () => new Promise((done) => setTimeout(done, 1))));
  new Intl.DateTimeFormat('en', { timeZone: 'Europe/Berlin' }).format(new Date());
  console.log('works');
})();
"""

SHELL = """
set -e
seq 10 | xargs -n1 -P4 echo | sort -n | awk '{ s += $1 } END { print s }' > sum
[ "$(cat sum)" = 55 ]
mkfifo pipe; (echo x > pipe) & read -r x < pipe; wait; [ "$x" = x ]
mkdir d; cp -a /usr/bin/env d/; tar -cf - d | tar -xf - -C /tmp; cmp d/env /tmp/d/env
find / -name main.sh 2>/dev/null | grep -q code
sed -i s/55/56/ sum; diff sum sum; date > /dev/null; perl -e 'print 1' > /dev/null; trap 'true' TERM; kill -TERM $$
ulimit -n 100; bash -c 'echo <(true)' > /dev/null; timeout 5 true; nproc > /dev/null; rm -r d
echo works
"""


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

    def test_a_file_stands_for_a_module_as_in_a_cold_start(self):
        for name in ("json", "types", "enum", "os", "encodings", "helper", "prelude", "main"):
            code = f"import sys, {name}\nprint({name}.__file__, getattr({name}, 'x', None), sys.argv)\n1 / 0"
            path = "/code/encodings/__init__.py" if name == "encodings" else f"/code/{name}.py"
            files = {path: b"x = 7"} if name != "main" else {}
            keys = {"arguments": ["a b", "{code}"], "env": {"A": "1"}, "files": files}
            cold, warm = run(code, **keys), self.warm(code.encode(), **keys)
            with self.subTest(name):
                self.assertEqual((warm.stdout, warm.stderr), (cold.stdout, cold.stderr))

    def test_only_a_module_that_is_there_already_needs_a_new_interpreter(self):
        code = b"import sys; print('json' in sys.modules)"
        self.assertEqual(self.warm(code, files={"/code/helper.py": b""}).stdout, b"True\n")
        self.assertEqual(self.warm(code, files={"/code/enum.py": b""}).stdout, b"False\n")

    def test_python_has_of_site_what_a_cold_start_has(self):
        code = "import sys\nprint(exit, quit, help, sys.path, 'site' in sys.modules, sys.flags.no_site)\nexit(3)"
        cold, warm = run(code), self.warm(code.encode())
        self.assertEqual((warm.stdout, warm.stderr), (cold.stdout, cold.stderr))
        self.assertEqual(warm.record("exit")["value"], "3")

    def test_the_program_is_not_for_writing_and_its_copy_is(self):
        python = """import os, shutil
for path in ('/code/main.py', '/code/d/f'):
    try: print('GOT', open(path, 'a'))
    except OSError: print('refused', oct(os.stat(path).st_mode))
shutil.copytree('/code', '/tmp/copy')
for path in ('/tmp/copy/new', '/tmp/copy/d/new'): open(path, 'w')
os.unlink('/tmp/copy/d/f'); print(sorted(os.listdir('/tmp/copy')), os.listdir('/tmp/copy/d'))
open('/box/in', 'a').write('x'); print(open('/box/in').read())"""
        javascript = """const fs = require('fs');
for (const path of ['/code/main.js', '/code/d/f'])
  try { console.log('GOT', fs.appendFileSync(path, 'x')); }
  catch (error) { console.log('refused', '0o' + fs.statSync(path).mode.toString(8)); }
fs.cpSync('/code', '/tmp/copy', { recursive: true });
for (const path of ['/tmp/copy/new', '/tmp/copy/d/new']) fs.writeFileSync(path, '');
fs.unlinkSync('/tmp/copy/d/f'); console.log(fs.readdirSync('/tmp/copy').sort(), fs.readdirSync('/tmp/copy/d'));
fs.appendFileSync('/box/in', 'x'); console.log(fs.readFileSync('/box/in').toString());"""
        for name, code in (("python", python), ("javascript", javascript)):
            keys = {"files": {"/code/d/f": b"", "/box/in": b"data"}, "language": name}
            cold = run(code, limits={"memory": 512 * MiB}, **keys)
            keys["name"] = keys.pop("language")
            for result in (cold, self.warm(code.encode(), **keys)):
                with self.subTest(name, warm=result is not cold):
                    main = launching.language(name)["source"]
                    listed = f"['d', '{main}', 'new'] ['new']"
                    listed = listed if name == "python" else listed.replace("[", "[ ").replace("]", " ]")
                    expected = f"refused 0o100444\nrefused 0o100444\n{listed}\ndatax\n"
                    self.assertEqual((result.status, result.stdout.decode()), ("ok", expected), result)

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
