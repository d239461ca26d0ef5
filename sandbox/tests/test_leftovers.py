"""Nothing stays: no process, mount, cgroup or file, however a run ends and whoever dies in the middle of it."""

import os
import pathlib
import random
import signal
import subprocess
import sys
import time
import unittest

from . import launching
from .launching import Sandbox, groups

KILLS = 200

PROGRAM = b"""
import os, signal, time
for folder in ("/box", "/tmp", "/dev/shm"):
    open(folder + "/left", "w").write("x")
for number in range(4):
    if os.fork() == 0:
        os.setsid()
        for number in range(1, 32):
            if number not in (9, 19): signal.signal(number, signal.SIG_IGN)
        if os.fork(): os.kill(os.getpid(), signal.SIGSTOP)
        time.sleep(60)
print("up", flush=True)
time.sleep(60)
"""

# An executor that starts one sandbox and is killed: it holds the status pipe, as the real one does.
EXECUTOR = f"""
import sys
sys.path.insert(0, {str(launching.SANDBOX)!r})
from tests.launching import Sandbox
sandbox = Sandbox(code={PROGRAM!r}, slot=int(sys.argv[1])).start()
print("started", flush=True)
sandbox.finish()
"""


def of_slots():
    """Processes of any slot's uid, launchers not included: those are root's."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and launching.SLOTS <= entry.stat().st_uid < launching.SLOTS + 1000:
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def launchers():
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "comm").read_text().strip() == "sandbox-launche":
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def shared_objects(kind):
    """The System V objects of root and of any slot's uid: a database's come and go."""
    head, *rows = [line.split() for line in pathlib.Path(f"/proc/sysvipc/{kind}").read_text().splitlines()]
    owner, creator = head.index("uid"), head.index("cuid")
    ours = {0, *range(launching.SLOTS, launching.SLOTS + 1000)}
    return sum(int(row[owner]) in ours or int(row[creator]) in ours for row in rows)


def traces():
    """What the host shows of a sandbox: mounts, cgroups, System V objects, files where sandboxes have theirs."""
    # No deeper: what others have there comes and goes.
    groups = [path for place in (".", "*") for path in launching.CGROUPS.glob(f"{place}/golden-sandbox-test/*")]
    folders = [pathlib.Path(folder) for folder in ("/tmp", "/dev/shm", "/box", "/code")]
    return (
        pathlib.Path("/proc/self/mountinfo").read_text(),
        sorted(str(path) for path in groups if path.is_dir()),
        [shared_objects(kind) for kind in ("shm", "sem", "msg")],
        sorted(str(path) for folder in folders if folder.exists() for path in folder.glob("left*")),
    )


class Leftovers(unittest.TestCase):
    def setUp(self):
        launching.launcher()
        self.before = traces()

    def tearDown(self):
        deadline = time.monotonic() + 10
        while (of_slots() or launchers()) and time.monotonic() < deadline:
            time.sleep(0.01)
        self.assertEqual((of_slots(), launchers()), ([], []))
        self.assertEqual(traces(), self.before)

    def test_after_every_kind_of_end(self):
        programs = [b"", b"1 / 0", b"import os; os.abort()", PROGRAM, b"x = b'x' * (1 << 30)"]
        for number, code in enumerate(programs):
            with groups(f"end-{number}") as made:
                Sandbox(code=code, groups=made, timeout=1, artifacts=["."]).run()
                self.assertEqual(made.processes(), set())

    def test_the_end_comes_when_all_is_gone(self):
        """When the last record is there, not a process is."""
        for _ in range(10):
            with groups("gone") as made:
                result = Sandbox(code=PROGRAM, groups=made, timeout=0.5).run()
                self.assertIsNotNone(result.record("end"))
                self.assertEqual((made.processes(), of_slots()), (set(), []))

    def test_an_executor_that_is_killed_takes_its_sandboxes_along(self):
        """At any moment: from before the launcher has looked at its arguments to long after the program was up."""
        seed = random.randrange(1 << 32)
        moments = random.Random(seed)
        running, lived = [], 0
        for number in range(KILLS):
            executor = subprocess.Popen(
                [sys.executable, "-c", EXECUTOR, str(number)], stdout=subprocess.PIPE, start_new_session=True
            )
            running.append(executor)
            if len(running) == 8 or number == KILLS - 1:
                for each in running:
                    each.stdout.readline()
                time.sleep(moments.random() * 0.2)
                lived += len(of_slots()) > 0
                for each in running:
                    each.kill()
                    each.wait()
                    each.stdout.close()
                running = []
        self.assertGreater(lived, KILLS // 8 // 4, f"too few were killed in the middle; seed {seed}")

    def test_a_launcher_that_is_killed_takes_its_sandbox_along(self):
        for number in range(KILLS // 4):
            sandbox = Sandbox(code=PROGRAM, slot=number).start()
            if number % 2:
                os.read(sandbox.streams["stdout"], 1)
            else:
                time.sleep(number / 2000)
            sandbox.process.kill()
            result = sandbox.finish()
            self.assertIsNone(result.record("end"))
            deadline = time.monotonic() + 5
            while of_slots() and time.monotonic() < deadline:
                time.sleep(0.001)
            self.assertEqual(of_slots(), [])

    def test_a_group_that_is_killed_takes_everything_along(self):
        for number in range(10):
            with groups(f"killed-{number}") as made:
                sandbox = Sandbox(code=PROGRAM, groups=made, slot=number).start()
                os.read(sandbox.streams["stdout"], 1)
                made.kill()
                result = sandbox.finish()
                self.assertIsNotNone(result.record("end", init=f"signal:{int(signal.SIGKILL)}"))
                self.assertEqual(made.processes(), set())

    def test_a_status_pipe_without_readers_ends_the_run(self):
        sandbox = Sandbox(code=PROGRAM).start()
        os.read(sandbox.streams["stdout"], 1)
        os.close(sandbox.streams.pop("status"))
        self.assertEqual(sandbox.process.wait(5), 125)
        for fd in sandbox.streams.values():
            os.close(fd)


if __name__ == "__main__":
    unittest.main()
