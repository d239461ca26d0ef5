"""The tier without namespaces."""

import os
import pathlib
import tempfile
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
                lambda: socket.socket(socket.AF_UNIX), lambda: os.setsid(), lambda: os.setpgid(0, 0),
                lambda: os.kill(os.getppid(), 9), lambda: open('/var/tmp/x', 'w'), lambda: os.listdir('/')):
    try: print('GOT', attempt())
    except OSError as error: print(error.errno)"""
        result = self.restricted(code)
        self.assertNotIn(b"GOT", result.stdout)
        self.assertEqual(len(result.stdout.split()), 9)

    def test_what_it_leaves_behind_dies(self):
        code = "import os, time\nfor _ in range(5):\n  if os.fork() == 0: time.sleep(60)\nos.makedirs('a/b'); os.chmod"
        result = self.restricted(code)
        self.assertLess(result.seconds, 3)
        self.assertIsNotNone(result.record("end", init="code:0"))

    def test_a_tree_that_resists_removal(self):
        code = (
            "import os\nfor i in range(50): os.mkdir('d'); open('f', 'w'); os.chdir('d')\n"
            "fd = os.open('/', 0) if False else os.open('..', os.O_RDONLY); os.fchmod(fd, 0)"
        )
        self.restricted(code)

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

    def nothing_is_left(self):
        deadline = time.monotonic() + 5
        while owned(launching.SLOTS) and time.monotonic() < deadline:
            time.sleep(0.01)
        self.assertEqual(owned(launching.SLOTS), [])


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
