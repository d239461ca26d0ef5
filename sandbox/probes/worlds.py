"""The host's side: what probes attack. A world belongs to one tenant and is made anew for each run of run.py."""

import contextlib
import os
import pathlib
import secrets
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from tests.launching import SLOTS, Sandbox  # noqa: E402

PROBES = pathlib.Path(__file__).resolve().parent
CATEGORIES = ["files", "kernel", "network", "processes", "exhaustion", "remains"]

VICTIM = """
import ctypes, mmap, os, sys, time
memory = mmap.mmap(-1, 8192)
memory.write(sys.argv[1].encode())
file = open(sys.argv[2])
print(ctypes.addressof(ctypes.c_char.from_buffer(memory)), file.fileno(), flush=True)
time.sleep(1000000)
"""

NEIGHBOUR = b"""
import os, socket, sys, time
marker = os.environ["NEIGHBOUR"]
for folder in ("/box", "/tmp", "/dev/shm"):
    open(f"{folder}/{marker}", "w").write(marker)
server = socket.socket(socket.AF_UNIX)
server.bind("\\0" + marker)
server.listen()
print("up", flush=True)
time.sleep(1000000)
"""


class World:
    def __init__(self, tenant):
        self.tenant, self.uid, self.inside = tenant, SLOTS + tenant, False
        self.marker = f"CANARY-{tenant}-{secrets.token_hex(8)}"
        self.victim_marker = f"VICTIM-{tenant}-{secrets.token_hex(8)}"
        self.neighbour_markers = [self.victim_marker]
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="golden-probes-", dir="/var/tmp"))
        self.folder.chmod(0o755)
        self.stack = contextlib.ExitStack()
        self.stack.callback(shutil.rmtree, self.folder)
        self.canary = {"marker": self.marker, "name": f"golden-probe-{tenant}-{secrets.token_hex(4)}", "inside": False}
        self.victim = None
        self._make_files()
        self._make_servers()
        self.neighbour_pids = []

    def _make_files(self):
        for name, mode, uid in (("secret", 0o644, 0), ("private", 0o600, 0), ("own", 0o644, self.uid)):
            path = self.folder / name
            path.write_text(self.marker)
            path.chmod(mode)
            os.chown(path, uid, uid)
            self.canary[name] = str(path)
        for name in ("writable", "box", "tmp", "code"):
            (self.folder / name).mkdir()
            os.chown(self.folder / name, self.uid, self.uid)
            self.canary[name] = str(self.folder / name)
        for name in ["probe", *CATEGORIES]:
            target = self.folder / "code" / ("main.py" if name == "probe" else f"{name}.py")
            shutil.copyfile(PROBES / f"{name}.py", target)
            os.chown(target, self.uid, self.uid)
        self.canary["main"] = str(self.folder / "code/main.py")
        self._make_setuid(self.folder / "setuid")
        device = os.stat("/").st_dev
        self.canary["disk"] = [os.major(device), os.minor(device)]
        self.canary["hostname"] = socket.gethostname()

    def _make_setuid(self, folder):
        """Copies of two harmless programs: one belongs to root with the setuid bit, one may read every file."""
        folder.mkdir()
        shutil.copyfile("/usr/bin/id", folder / "id")
        (folder / "id").chmod(0o4755)
        shutil.copyfile("/usr/bin/cat", folder / "cat")
        (folder / "cat").chmod(0o755)
        read_everything = struct.pack("<5I", 0x02000001, 1 << 2, 0, 0, 0)  # CAP_DAC_READ_SEARCH, effective
        os.setxattr(folder / "cat", "security.capability", read_everything)
        (folder / "private").write_text(self.marker)
        (folder / "private").chmod(0o600)
        self.canary["setuid"] = str(folder)

    def _make_servers(self):
        def listening(family, kind, address):
            server = socket.socket(family, kind)
            self.stack.enter_context(server)
            server.bind(address)
            threading.Thread(target=serve, args=(server, kind), daemon=True).start()
            return server.getsockname()

        def serve(server, kind):
            if kind == socket.SOCK_STREAM:
                server.listen()
            with contextlib.suppress(OSError):  # closed at the end
                while True:
                    if kind == socket.SOCK_STREAM:
                        connection, _ = server.accept()
                        with connection, contextlib.suppress(OSError):
                            connection.sendall(self.marker.encode())
                    else:
                        _, address = server.recvfrom(100)
                        if address:  # an end of a pair has none
                            server.sendto(self.marker.encode(), address)

        self.canary["tcp4"] = listening(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))[1]
        self.canary["tcp6"] = listening(socket.AF_INET6, socket.SOCK_STREAM, ("::1", 0))[1]
        self.canary["udp4"] = listening(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0))[1]
        self.canary["udp6"] = listening(socket.AF_INET6, socket.SOCK_DGRAM, ("::1", 0))[1]
        self.canary["abstract"] = self.marker + "-abstract"
        listening(socket.AF_UNIX, socket.SOCK_STREAM, "\0" + self.canary["abstract"])
        self.canary["unix"] = str(self.folder / "socket")
        listening(socket.AF_UNIX, socket.SOCK_STREAM, self.canary["unix"])
        os.chmod(self.canary["unix"], 0o777)
        self.canary["datagram"] = str(self.folder / "datagram")
        listening(socket.AF_UNIX, socket.SOCK_DGRAM, self.canary["datagram"])
        os.chmod(self.canary["datagram"], 0o666)
        with socket.create_server(("127.0.0.1", 0)) as unused:
            self.canary["free_port"] = unused.getsockname()[1]

    def start_victim(self):
        """A process of the very uid that the probe will have, with secrets in memory, environment and descriptors."""
        if self.victim and self.victim.poll() is None:
            return
        self.victim = subprocess.Popen(
            ["/usr/bin/python3", "-c", VICTIM, self.victim_marker + self.marker, self.canary["secret"]],
            env={"VICTIM": self.victim_marker + self.marker},
            stdout=subprocess.PIPE,
            user=self.uid,
            group=self.uid,
            extra_groups=[],
        )
        address, fd = self.victim.stdout.readline().split()
        self.canary.update(victim=self.victim.pid, address=int(address), victim_fd=int(fd))

    def start_neighbour(self):
        """Another tenant's run, in a sandbox of its own for as long as this world lasts."""
        marker = f"NEIGHBOUR-{self.tenant}-{secrets.token_hex(8)}"
        self.neighbour_markers.append(marker)
        self.neighbour = Sandbox(
            code=NEIGHBOUR, env={"NEIGHBOUR": marker}, arguments=[marker], slot=100 + self.tenant
        ).start()
        assert os.read(self.neighbour.streams["stdout"], 1) == b"u"  # "up"
        self.stack.callback(self.neighbour.finish)
        self.stack.callback(self.neighbour.process.kill)
        records = os.read(self.neighbour.streams["status"], 4096).decode().split()
        init = int(next(word for word in records if word.startswith("pid=")).removeprefix("pid="))
        self.neighbour_pids = [self.neighbour.process.pid, init]

    def alive(self):
        time.sleep(0.05)
        return self.victim.poll() is None and all(pathlib.Path(f"/proc/{pid}").exists() for pid in self.neighbour_pids)

    def refresh(self):
        """As new for the next probe: what one left on the host must not help another."""
        self.start_victim()
        self.canary["neighbours"] = self.neighbour_pids + self.other_pids
        for name in ("box", "tmp", "writable"):
            path = self.folder / name
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir()
            os.chown(path, self.uid, self.uid)
        shutil.copyfile(PROBES / "probe.py", self.canary["main"])
        shutil.rmtree("/dev/shm/" + self.canary["name"], ignore_errors=True)

    other_pids = []

    def sweep(self):
        """Ends what a probe left running outside, where nothing else does."""
        for entry in pathlib.Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and entry.stat().st_uid == self.uid and int(entry.name) != self.victim.pid:
                    os.kill(int(entry.name), 9)

    def close(self):
        if self.victim:
            self.victim.kill()
            self.victim.wait()
            self.victim.stdout.close()
        shutil.rmtree("/dev/shm/" + self.canary["name"], ignore_errors=True)
        self.stack.close()
