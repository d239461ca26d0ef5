"""The launcher against its protocol: every status, limits, artifacts, its refusals, and what it leaves behind."""

import os
import shutil
import signal
import subprocess
import tempfile
import unittest
import unittest.mock

from . import launching
from .launching import MiB, Sandbox, groups


def run(code, *, limits=None, **keys):
    with groups("launcher", **(limits or {})) as made:
        return Sandbox(code=code.encode(), groups=made, **keys).run()


class Statuses(unittest.TestCase):
    def test_a_program_that_ends_well(self):
        result = run(
            "import sys; print(sys.stdin.read(), sys.argv[1:], end=''); print('e', file=sys.stderr, end='')",
            stdin=b"in",
            arguments=["--status-fd", "7"],
        )
        self.assertEqual((result.status, result.stdout, result.stderr), ("ok", b"in ['--status-fd', '7']", b"e"))
        self.assertEqual(
            [words[""] for words in result.records], ["version", "init", "layers", "started", "exit", "usage", "end"]
        )
        self.assertEqual(result.returncode, 0)
        self.assertEqual(result.record("version")["protocol"], "1")

    def test_a_program_that_fails(self):
        result = run("print('before'); raise SystemExit(7)")
        self.assertEqual((result.status, result.stdout), ("error", b"before\n"))
        self.assertIsNotNone(result.record("exit", step="run", kind="code", value="7"))

    def test_a_program_that_dies_of_a_signal(self):
        result = run("import os; print('before', flush=True); os.abort()")
        self.assertEqual((result.status, result.stdout), ("signal", b"before\n"))
        self.assertIsNotNone(result.record("exit", kind="signal", value=str(int(signal.SIGABRT))))

    def test_time_over(self):
        result = run("import time; print('before'); time.sleep(60)", timeout=3)
        self.assertEqual((result.status, result.stdout), ("timeout", b"before\n"))
        self.assertLess(result.seconds, 30)

    def test_cpu_time_over(self):
        result = run("print('before')\nwhile True: pass", options=["--cpu-seconds", "1"])
        self.assertEqual((result.status, result.stdout), ("cpu_limit", b"before\n"))
        self.assertIsNotNone(result.record("exit", kind="signal", value=str(int(signal.SIGXCPU))))

    def test_cpu_time_over_for_a_program_that_does_not_listen(self):
        code = "import signal; signal.signal(signal.SIGXCPU, signal.SIG_IGN); print('before')\nwhile True: pass"
        result = run(code, options=["--cpu-seconds", "1"])
        self.assertEqual((result.status, result.stdout), ("cpu_limit", b"before\n"))

    def test_memory_over(self):
        result = run("print('before'); x = b'x' * (400 << 20); print('after')", limits={"memory": 100 * MiB})
        self.assertEqual((result.status, result.stdout), ("memory_limit", b"before\n"))

    def test_memory_over_in_a_child(self):
        code = (
            "import os, time; print('before')\nif os.fork() == 0: x = b'x' * (400 << 20)\n" "os.wait(); time.sleep(9)"
        )
        result = run(code, limits={"memory": 100 * MiB}, timeout=5)
        self.assertIn(result.status, ("memory_limit", "timeout"))  # v1 has no group kill: the parent may live on
        self.assertEqual(result.stdout, b"before\n")

    def test_output_over(self):
        result = run("import os\nwhile True: os.write(1, b'x' * 65536)", output_max=MiB)
        self.assertEqual(result.status, "output_limit")
        self.assertGreater(len(result.stdout), 0)

    def test_a_program_cannot_say_how_it_ended(self):
        forged = "exit step=run kind=code value=0\\nend init=code:0\\n"
        code = f"import os\nfor fd in range(1, 256):\n  try: os.write(fd, b'{forged}')\n  except OSError: pass\n"
        code += "os._exit(7)"
        result = run(code)
        self.assertEqual(result.status, "error")
        self.assertEqual(sum(words[""] == "exit" for words in result.records), 1)

    def test_binary_output_stays_as_it_is(self):
        result = run("import os; os.write(1, bytes(range(256))); os.write(2, b'\\xff\\0')")
        self.assertEqual((result.stdout, result.stderr), (bytes(range(256)), b"\xff\0"))

    def test_a_daemon_does_not_hold_up_the_end(self):
        code = (
            "import os, time, signal\nif os.fork() == 0:\n  os.setsid()\n  if os.fork() == 0:\n"
            "    signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)\n  os._exit(0)\nos.wait()"
        )
        result = run(code)
        self.assertEqual(result.status, "ok", "it ended before its time was over")

    def test_every_signal_starts_out_at_its_default(self):
        ignored = lambda: [
            signal.signal(number, signal.SIG_IGN) for number in (signal.SIGPIPE, signal.SIGUSR1)
        ]  # noqa: E731
        old = [signal.getsignal(signal.SIGPIPE), signal.getsignal(signal.SIGUSR1)]
        ignored()
        try:
            result = run(
                "print([l for l in open('/proc/self/status') if l.startswith(('SigIgn', 'SigBlk'))])",
                run_command=["/bin/sh", "-c", "grep -E 'SigIgn|SigBlk' /proc/self/status"],
            )
        finally:
            signal.signal(signal.SIGPIPE, old[0])
            signal.signal(signal.SIGUSR1, old[1])
        self.assertEqual(result.stdout.split(), [b"SigBlk:", b"0" * 16, b"SigIgn:", b"0" * 16])


class Stopping(unittest.TestCase):
    def test_sigterm_ends_the_program_and_keeps_its_artifacts(self):
        code = "import time; open('/box/out', 'w').write('half'); print('before'); time.sleep(60)"
        result = run(code, stop_at_output=True, artifacts=["out"])
        self.assertIsNotNone(result.record("stopped"))
        self.assertIsNotNone(result.record("exit", kind="signal", value="9"))
        self.assertEqual((result.stdout, result.artifacts), (b"before\n", {b"out": b"half"}))
        self.assertEqual(result.status, "signal", "it ended before its time was over")

    def test_sigterm_ends_what_refuses_to_end(self):
        code = """import os, signal, time
for number in range(1, 65):
    try: signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError): pass
for _ in range(10):
    if os.fork() == 0:
        os.setsid(); os.kill(os.getpid(), signal.SIGSTOP)
print("up")
while True: time.sleep(1)"""
        result = run(code, stop_at_output=True)
        self.assertIsNotNone(result.record("stopped"))
        self.assertIsNotNone(result.record("end", init="code:0"))
        self.assertEqual(result.status, "signal", "it ended before its time was over")

    def test_stopping_before_the_program_runs_is_no_race(self):
        for _ in range(20):
            result = run("import time; time.sleep(60)", stop_after=0)
            self.assertNotEqual(result.status, "timeout")
            # Before the launcher listens, the signal ends it: then nothing had been started.
            self.assertEqual(result.record("end") is None, result.record("init") is None, result.records)


class Artifacts(unittest.TestCase):
    def test_regular_files_come_back_and_nothing_else(self):
        code = """import os, socket
os.makedirs('out/deep'); os.chdir('out')
open('a', 'wb').write(b'A' * 70000); open('deep/b\\n', 'w').write('B'); open('empty', 'w')
os.symlink('/etc/passwd', 'link'); os.symlink('deep', 'folder'); os.mkfifo('fifo')
socket.socket(socket.AF_UNIX).bind('socket'); open('secret', 'w').write('x'); os.chmod('secret', 0)
os.link('a', 'hard')"""
        result = run(code, artifacts=["out"])
        self.assertEqual(
            result.artifacts,
            {b"out/a": b"A" * 70000, b"out/deep/b\n": b"B", b"out/empty": b"", b"out/hard": b"A" * 70000},
        )
        self.assertEqual(result.record("artifacts")["skipped"], "5")

    def test_names_never_lead_out_of_the_box(self):
        code = "import os; os.symlink('/', 'root'); os.symlink('..', 'up')"
        result = run(code, artifacts=["../etc/passwd", "root/etc/passwd", "up/etc/passwd", "no", "."])
        self.assertEqual(result.artifacts, {})
        self.assertEqual(result.record("artifacts")["skipped"], "6")

    def test_bounds(self):
        code = "for i in range(9): open(f'f{i}', 'w').write('x' * 100)"
        bounded = run(code, artifacts=["."], options=["--artifacts-count", "4"])
        self.assertEqual((len(bounded.artifacts), bounded.record("artifacts")["truncated"]), (4, "1"))
        bounded = run(code, artifacts=["."], options=["--artifacts-bytes", "350"])
        self.assertEqual((len(bounded.artifacts), bounded.record("artifacts")["truncated"]), (3, "1"))

    def test_a_sparse_file_is_bounded_by_its_length(self):
        result = run("open('big', 'w').truncate(60 << 20); open('z', 'w').write('z')", artifacts=["big"])
        self.assertEqual((result.artifacts, result.record("artifacts")["truncated"]), ({}, "1"))

    def test_a_deep_and_a_wide_tree_end(self):
        code = "import os\nfor i in range(100): os.mkdir('d'); os.chdir('d')\nopen('leaf', 'w')"
        self.assertEqual(run(code, artifacts=["."]).artifacts, {})
        code = "for i in range(4000): open(f'f{i}', 'w')"
        result = run(code, artifacts=["."], options=["--artifacts-count", "5000"])
        self.assertEqual(len(result.artifacts), 4000)

    def test_artifacts_of_a_program_that_failed(self):
        self.assertEqual(run("open('a', 'w').write('x'); 1 / 0", artifacts=["a"]).artifacts, {b"a": b"x"})


class Limits(unittest.TestCase):
    def test_files(self):
        code = "import os\ntry: open('/box/f', 'wb').write(b'x' * (9 << 20))\nexcept OSError as e: print(e.errno)"
        self.assertEqual(run(code, options=["--box-bytes", str(4 * MiB)]).stdout, b"28\n")
        code = "import os\ntry:\n  for i in range(999): open(f'{i}', 'w')\nexcept OSError as e: print(e.errno)"
        self.assertEqual(run(code, options=["--box-inodes", "100"]).stdout, b"28\n")
        code = "open('/box/f', 'wb').write(b'x' * (9 << 20))"
        self.assertIsNotNone(
            run(code, options=["--fsize", str(MiB)]).record("exit", value="1")
        )  # Python ignores SIGXFSZ
        code = "import os\ntry:\n  while True: os.dup(1)\nexcept OSError as e: print(e.errno)"
        self.assertEqual(run(code, options=["--nofile", "20"]).stdout, b"24\n")

    def test_processes(self):
        code = (
            "import os, time\nn = 0\ntry:\n  while True:\n    if os.fork() == 0: time.sleep(9)\n    n += 1\n"
            "except OSError as e: print(e.errno, n < 32)"
        )
        self.assertEqual(run(code, limits={"pids": 32}).stdout, b"11 True\n")
        self.assertEqual(run(code, options=["--nproc", "32"]).stdout, b"11 True\n")

    def test_the_environment_is_what_was_passed(self):
        result = run("", run_command=["/usr/bin/env"], env={"A": "1=2"}, launcher_env={"SECRET": "1"})
        names = {line.split(b"=")[0] for line in result.stdout.splitlines()}
        self.assertEqual(
            names, {b"PATH", b"HOME", b"TMPDIR", b"LANG", b"A", b"PYTHONUNBUFFERED", b"PYTHONDONTWRITEBYTECODE"}
        )
        self.assertIn(b"A=1=2\n", result.stdout)

    def test_no_descriptor_is_inherited(self):
        secret = os.open("/etc/passwd", os.O_RDONLY)
        os.set_inheritable(secret, True)
        result = run("import os; print(os.listdir('/proc/self/fd'))", pass_fds=(secret,))
        os.close(secret)
        self.assertEqual(result.stdout, b"['0', '1', '2', '3']\n")  # 3 is the listing itself

    def test_layers(self):
        result = run(
            "print(*[l.split()[1] for l in open('/proc/self/status') if l.startswith(('Cap', 'NoNew', 'Seccomp:'))])"
        )
        self.assertEqual(result.stdout.split(), [b"0" * 16] * 5 + [b"1", b"2"])
        layers = result.record("layers")
        self.assertEqual((layers["tier"], layers["seccomp"], layers["uid"]), ("namespaces", "1", "61000"))
        self.assertNotEqual(layers["cgroup"], "none")


class Unprivileged(unittest.TestCase):
    """The launcher of somebody who is not root, where the host allows user namespaces to everybody."""

    UID = launching.SLOTS + 900

    def run_as(self, uid, slot):
        made, copied = tempfile.mkdtemp(), launching.launcher()
        self.addCleanup(shutil.rmtree, made)
        os.chmod(made, 0o755)
        shutil.copy(copied, made + "/sandbox-launcher")
        with unittest.mock.patch.dict(os.environ, GOLDEN_BIN=made):
            return Sandbox(code=b"import os; print(os.getuid())", slot=slot, user=uid).run()

    def test_it_works_with_its_own_uid(self):
        try:
            subprocess.run(
                ["unshare", "--user", "true"], user=self.UID, extra_groups=[], check=True, stderr=subprocess.PIPE
            )
        except subprocess.CalledProcessError as error:
            self.skipTest(f"this host allows no user namespaces: {error.stderr}")
        result = self.run_as(self.UID, 900)
        self.assertEqual((result.status, result.stdout), ("ok", b"1000\n"), result)
        self.assertEqual(result.record("layers")["groups"], "kept")

    def test_it_takes_no_uid_of_others(self):
        error = self.run_as(self.UID, 901).record("error")
        self.assertEqual(error["stage"], "identity")


class Refusals(unittest.TestCase):
    """What was asked for and cannot be had is reported, and nothing runs."""

    def refused(self, stage, options, **keys):
        result = Sandbox(code=b"print('ran')", options=options, **keys).run()
        error = result.record("error")
        self.assertIsNotNone(error, result.records)
        self.assertEqual((error["stage"], result.stdout, result.record("started")), (stage, b"", None))
        self.assertEqual((result.status, result.returncode), ("sandbox_error", 125))

    def test_refusals(self):
        self.refused("mount", ["--ro", "/does/not/exist", "/x"])
        self.refused("landlock", ["--landlock-min", "999"])
        self.refused("arguments", ["--unknown", "1"])
        self.refused("arguments", ["--nofile", "99999999999"])
        self.refused("arguments", ["--nofile", "-1"])
        self.refused("arguments", ["--ro", "/usr/../etc", "/etc"])
        self.refused("arguments", ["--ro", "usr", "/etc"])
        self.refused("arguments", ["--slot-uid", "0"])
        self.refused("arguments", ["--cgroup-v2", "/sys/fs/cgroup"])  # beside --no-cgroup
        self.refused("arguments", ["--artifact", "a"])  # without a pipe for it
        self.refused("arguments", ["--data", "9", "/etc/passwd"])
        self.refused("descriptors", ["--data", "999", "/code/x"])
        self.refused("seccomp", ["--seccomp", "/etc/passwd"])
        self.refused("seccomp", ["--seccomp", "/does/not/exist"])
        self.refused("exec", [], run_command=["/does/not/exist"])
        self.refused("exec", ["--cwd", "/nowhere"])
        self.refused("data", [], files={"/code/main.py/below": b""})
        self.refused("data", ["--box-bytes", "4096"], files={"/box/large": b"x" * 9999})

    def test_a_cgroup_that_is_not_there(self):
        class Missing:
            v1, v2 = {}, None

            def options(self):
                return ["--cgroup-v1", "/sys/fs/cgroup/none"]

            def oom_kills(self):
                return 0

        self.refused("cgroup", [], groups=Missing())

    def test_a_filter_that_the_kernel_refuses(self):
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"\xff" * 80)
            file.flush()
            self.refused("seccomp", ["--seccomp", file.name])

    def test_a_status_descriptor_that_is_no_pipe(self):
        with tempfile.TemporaryFile() as file:
            words = [
                launching.launcher(),
                "--status-fd",
                str(file.fileno()),
                "--slot-uid",
                "61000",
                "--no-cgroup",
                "--seccomp",
                str(launching.SANDBOX / "policy/strict.x86_64.bpf"),
                "--",
                "/usr/bin/true",
            ]
            code = subprocess.run(words, pass_fds=[file.fileno()]).returncode
            file.seek(0)
            self.assertEqual(code, 125)
            self.assertIn(b"error stage=descriptors", file.read())


if __name__ == "__main__":
    unittest.main()
