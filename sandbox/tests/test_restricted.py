"""The tier without namespaces."""

import contextlib
import ctypes
import errno
import fcntl
import os
import pathlib
import platform
import struct
import subprocess
import tempfile
import threading
import time
import unittest

from . import launching
from .launching import Sandbox


class Restricted(unittest.TestCase):
    def restricted(self, code, **keys):
        with tempfile.TemporaryDirectory() as folder:
            work = pathlib.Path(folder, "work")
            work.mkdir(mode=0o700)
            os.chown(work, launching.SLOTS, launching.SLOTS)
            os.chmod(folder, 0o711)
            result = Sandbox(code=code.encode(), restricted=str(work), **keys).run()
            self.assertEqual(list(work.iterdir()), [], "the working folder is emptied")
        return result

    def test_it_runs(self):
        result = self.restricted(
            "import os; open('a', 'w').write('x'); print(os.getuid(), os.getcwd().endswith('/box'))", artifacts=["a"]
        )
        self.assertEqual(
            (result.status, result.stdout, result.artifacts), ("ok", b"61000 True\n", {b"a": b"x"}), result
        )
        self.assertEqual(result.record("layers")["tier"], "restricted")

    def test_it_sees_no_file_of_the_host_and_opens_no_socket(self):
        code = """import socket, os
for attempt in (lambda: open('/etc/hostname').read(), lambda: open('/proc/1/status').read(), lambda: socket.socket(),
                lambda: socket.socket(socket.AF_UNIX), lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM),
                lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_RAW),
                lambda: os.setsid(), lambda: os.setpgid(0, 0), lambda: os.kill(os.getppid(), 9),
                lambda: open('/var/tmp/x', 'w'), lambda: os.listdir('/')):
    try: print('GOT', attempt())
    except OSError as error: print(error.errno)"""
        result = self.restricted(code)
        self.assertNotIn(b"GOT", result.stdout)
        self.assertEqual(len(result.stdout.split()), 11)

    def test_what_it_leaves_behind_dies(self):
        code = "import os, time\nfor _ in range(5):\n  if os.fork() == 0: time.sleep(60)\nos.makedirs('a/b')"
        result = self.restricted(code)
        self.assertEqual(result.status, "ok", "it ended before its time was over")
        self.assertIsNotNone(result.record("end", init="code:0"))
        self.nothing_is_left()

    def test_orphans_that_have_ended_count_no_more(self):
        code = "i=0; while [ $i -lt 200 ]; do (true &); i=$((i+1)); done; echo all"
        result = self.restricted(code, language="shell", options=["--nproc", "64"])
        self.assertEqual((result.status, result.stdout, result.stderr), ("ok", b"all\n", b""), result)

    def test_sigterm_is_heard_while_orphans_come(self):
        code = "echo up; while :; do (true &); done"
        result = self.restricted(code, language="shell", options=["--nproc", "64"], stop_at_output=True)
        self.assertIsNotNone(result.record("stopped"))
        self.assertIsNotNone(result.record("exit", kind="signal", value="9"))
        self.nothing_is_left()

    def test_a_tree_that_resists_removal(self):
        code = (
            "import os\nfor i in range(50): os.mkdir('d'); open('f', 'w'); os.chdir('d')\n"
            "fd = os.open('/', 0) if False else os.open('..', os.O_RDONLY); os.fchmod(fd, 0)"
        )
        self.restricted(code)

    def test_a_tree_of_any_depth_is_removed(self):
        code = """import os
for place in '.', os.environ['TMPDIR']:
    os.chdir(place)
    for i in range(300): os.mkdir('d'); os.mkdir('e'); os.chdir('d')
    open('f', 'w').close()
print('made')"""
        result = self.restricted(code)
        self.assertEqual((result.status, result.stdout), ("ok", b"made\n"), result)

    def test_not_even_root_runs_where_landlock_lets_signals_through(self):
        for abi in (4, 5):
            with tempfile.TemporaryDirectory() as folder:
                os.chown(folder, launching.SLOTS, launching.SLOTS)
                started = on_older_landlock(abi, Sandbox(code=b"print('ran')", restricted=folder).start)
                result = started.finish()
            self.assertEqual((result.status, result.stdout), ("sandbox_error", b""))
            self.assertIsNotNone(result.record("error", stage="landlock", errno=str(errno.ENOTSUP)), result)

    def test_time_over(self):
        code = "import os, time\nfor _ in range(5): os.fork()\ntime.sleep(60)"
        self.assertEqual(self.restricted(code, timeout=0.5).status, "timeout")
        self.nothing_is_left()

    def test_a_launcher_that_is_killed_takes_all_with_it(self):
        code = b"import os, time\nfor _ in range(5): os.fork()\nprint('up', flush=True); time.sleep(60)"
        with tempfile.TemporaryDirectory() as folder:
            os.chown(folder, launching.SLOTS, launching.SLOTS)
            sandbox = Sandbox(code=code, restricted=folder).start()
            os.read(sandbox.streams["stdout"], 1)
            sandbox.process.kill()
            sandbox.finish()
            self.nothing_is_left()

    def test_a_folder_that_was_left_is_emptied_as_its_owner_and_no_other(self):
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o711)
            theirs = pathlib.Path(folder, "theirs")
            theirs.mkdir(0o777)
            (theirs / "file").touch()
            left = pathlib.Path(folder, "left")
            (left / "box/a/b").mkdir(parents=True)
            (left / "0").mkdir()
            (left / "0/file").touch()
            (left / "box/a/folder").symlink_to(theirs)
            (left / "box/a/file").symlink_to(theirs / "file")
            for path in [left, *left.rglob("*")]:
                os.chown(path, launching.SLOTS, launching.SLOTS, follow_symlinks=False)
            os.chmod(left / "box/a", 0)
            link = pathlib.Path(folder, "link")
            link.symlink_to(left)
            os.chown(link, launching.SLOTS, launching.SLOTS, follow_symlinks=False)
            self.assertEqual(empty(left, launching.SLOTS + 1)[0], 125, "another uid's")
            self.assertEqual(empty(link, launching.SLOTS)[0], 125, "a link")
            self.assertEqual(empty(theirs, launching.SLOTS)[0], 125, "a folder of root")
            self.assertTrue((left / "0/file").exists())
            self.assertIn(b"error stage=arguments errno=22 at=--slot-uid\n", empty(left, 0)[1])
            self.assertEqual(empty(left, launching.SLOTS), (0, b""))
            self.assertEqual(list(left.iterdir()), [])
            self.assertTrue((theirs / "file").exists(), "links are not followed")

    def nothing_is_left(self):
        deadline = time.monotonic() + 5
        while owned(launching.SLOTS) and time.monotonic() < deadline:
            time.sleep(0.01)
        self.assertEqual(owned(launching.SLOTS), [])


def empty(path, uid):
    """Has a folder emptied that a launcher left: its exit code and its records."""
    reading, writing = os.pipe()
    words = [launching.launcher(), "--status-fd", str(writing), "--slot-uid", str(uid), "--empty", str(path), "--"]
    code = subprocess.run(words, pass_fds=[writing]).returncode
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        return code, file.read()


SECCOMP = {"x86_64": 317, "aarch64": 277}[platform.machine()]
LANDLOCK_CREATE_RULESET = 444
SET_FILTER, NEW_LISTENER, ASK, ALLOW = 1, 8, 0x7FC00000, 0x7FFF0000
RECEIVE, SEND, GO_ON = 0xC0502100, 0xC0182101, 1


def on_older_landlock(abi, start):
    """Calls start on a thread whose children are told that the kernel's Landlock is no newer than that."""
    libc, results = ctypes.CDLL(None, use_errno=True), []
    instructions = [(0x20, 0, 0, 0), (0x15, 0, 1, LANDLOCK_CREATE_RULESET), (0x06, 0, 0, ASK), (0x06, 0, 0, ALLOW)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *each) for each in instructions))
    program = struct.pack("<HxxxxxxQ", len(instructions), ctypes.addressof(code))

    def answer(listener):
        with contextlib.suppress(OSError):  # until none is left that could ask
            while True:
                asked = bytearray(80)
                fcntl.ioctl(listener, RECEIVE, asked)
                (number,) = struct.unpack_from("<Q", asked)
                (flags,) = struct.unpack_from("<Q", asked, 48)  # the third argument: 1 asks for the version
                reply = (abi, 0, 0) if flags == 1 else (0, 0, GO_ON)
                fcntl.ioctl(listener, SEND, struct.pack("<QqiI", number, *reply))
        os.close(listener)

    def run():
        listener = libc.syscall(SECCOMP, SET_FILTER, NEW_LISTENER, program)
        if listener < 0:
            return
        threading.Thread(target=answer, args=(listener,), daemon=True).start()
        results.append(start())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if not results:
        raise OSError("no filter can be set")
    return results[0]


def owned(uid):
    """The processes of a uid on this host."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and entry.stat().st_uid == uid:
                found.append(int(entry.name))
        except OSError:
            continue
    return found


if __name__ == "__main__":
    unittest.main()
