"""Drives sandbox-launcher as the executor does, for tests, probes and measurements. Python's own library alone.

It follows sandbox/README.md and knows nothing else of the launcher.
"""

import atexit
import contextlib
import ctypes
import dataclasses
import functools
import json
import math
import os
import pathlib
import platform
import selectors
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time

SANDBOX = pathlib.Path(__file__).resolve().parent.parent
CGROUPS = pathlib.Path("/sys/fs/cgroup")
SLOTS, MiB = 61000, 1 << 20  # the first slot's uid on the host


def launcher():
    """The program under test: $GOLDEN_BIN/sandbox-launcher, or one compiled here and now."""
    if "GOLDEN_BIN" in os.environ:
        return str(pathlib.Path(os.environ["GOLDEN_BIN"], "sandbox-launcher").absolute())
    folder = tempfile.mkdtemp(prefix="golden-launcher-")
    atexit.register(shutil.rmtree, folder)
    target = f"{folder}/sandbox-launcher"
    sources = sorted(str(path) for path in (SANDBOX / "launcher").glob("*.c"))
    strict = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-Wshadow", "-Wconversion"]
    subprocess.run([os.environ.get("CC", "cc"), *strict, "-o", target, *sources], check=True)
    os.environ["GOLDEN_BIN"] = folder
    return target


@functools.cache
def exists(path):
    """What does not change while tests run."""
    return path.exists()


class Groups:
    """The cgroups of one run, of v2 where that has the controllers, else of v1 with an empty v2 group beside them."""

    def __init__(self, name, memory=256 * MiB, pids=64, cpu=1.0):
        self.v1, self.v2, quota = {}, None, str(int(cpu * 100000))
        name = f"golden-sandbox-test/{name}"
        if self._has_v2():
            self.v2 = CGROUPS / name
            self._make(
                self.v2, {"memory.max": memory, "memory.oom.group": 1, "pids.max": pids, "cpu.max": f"{quota} 100000"}
            )
            with contextlib.suppress(FileNotFoundError):
                (self.v2 / "memory.swap.max").write_text("0")
            return
        limits = {
            "memory": {"memory.limit_in_bytes": memory},
            "pids": {"pids.max": pids},
            "cpu": {"cpu.cfs_period_us": 100000, "cpu.cfs_quota_us": quota},
        }
        for controller, files in limits.items():
            self.v1[controller] = CGROUPS / controller / name
            self._make(self.v1[controller], files)
        if exists(CGROUPS / "unified/cgroup.procs"):
            self.v2 = CGROUPS / "unified" / name
            self._make(self.v2, {})

    @staticmethod
    def _has_v2():
        if not exists(CGROUPS / "cgroup.controllers"):
            return False
        base = CGROUPS / "golden-sandbox-test"
        base.mkdir(exist_ok=True)
        for folder in (CGROUPS, base):
            (folder / "cgroup.subtree_control").write_text("+memory +pids +cpu")
        return True

    @staticmethod
    def _make(folder, files):
        # Plain calls, because measure.py counts their time as the sandbox's.
        try:
            os.mkdir(folder)
        except FileNotFoundError:
            folder.mkdir(parents=True)
        for name, value in files.items():
            file = os.open(f"{folder}/{name}", os.O_WRONLY)
            os.write(file, str(value).encode())
            os.close(file)

    def all(self):
        return [*self.v1.values(), *([self.v2] if self.v2 else [])]

    def options(self):
        words = [word for folder in self.v1.values() for word in ("--cgroup-v1", str(folder))]
        return words + (["--cgroup-v2", str(self.v2)] if self.v2 else [])

    def join(self):
        for folder in self.all():
            (folder / "cgroup.procs").write_text("0")

    def processes(self):
        return {int(pid) for folder in self.all() for pid in (folder / "cgroup.procs").read_text().split()}

    def oom_kills(self):
        file = self.v1["memory"] / "memory.oom_control" if self.v1 else self.v2 / "memory.events"
        words = dict(line.split() for line in file.read_text().splitlines())
        return int(words["oom_kill"])

    def kill(self):
        if self.v2 and (self.v2 / "cgroup.kill").exists():
            (self.v2 / "cgroup.kill").write_text("1")
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def remove(self):
        deadline = time.monotonic() + 10
        for folder in self.all():
            while True:
                try:
                    folder.rmdir()
                    break
                except OSError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.01)


@dataclasses.dataclass
class Result:
    status: str
    stdout: bytes
    stderr: bytes
    records: list
    artifacts: dict
    output_bytes: int
    seconds: float
    returncode: int

    def record(self, name, /, **keys):
        """The first record of that name and with those values, or None."""
        return next((words for words in self.records if words[""] == name and keys.items() <= words.items()), None)


def parse_records(data):
    """Every record as a dictionary; its kind is under the empty key."""
    records = []
    for line in data.decode("ascii").splitlines():
        kind, *words = line.split(" ")
        records.append({"": kind, **dict(word.split("=", 1) for word in words)})
    return records


def parse_archive(data):
    """Names to contents, or None when the end mark is missing."""
    files, at = {}, 0
    while at + 4 <= len(data):
        (name_length,) = struct.unpack_from(">I", data, at)
        if name_length == 0:
            return files if at + 4 == len(data) else None
        (length,) = struct.unpack_from(">Q", data, at + 4)
        at += 12
        files[data[at : at + name_length]] = data[at + name_length : at + name_length + length]
        at += name_length + length
    return None


@functools.cache
def language(name):
    return json.loads((SANDBOX / f"languages/{name}.json").read_text())


def memfd(content):
    fd = os.memfd_create("golden-data", os.MFD_CLOEXEC)
    with os.fdopen(os.dup(fd), "wb") as file:
        file.write(content)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


CLONE_NEWNET = 0x40000000


def new_network():
    """A descriptor of an empty network namespace, which lives for as long as that is open."""
    made = []

    def make():  # on a thread of its own, which is never used again
        if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) == 0:
            made.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    if not made:
        raise OSError("no network namespace can be made")
    return made[0]


@functools.cache
def slot_network(slot):
    """The one that all sandboxes of a slot enter, one after the other."""
    return new_network()


@dataclasses.dataclass
class Sandbox:
    """One sandbox to be. Call run() once, or start() and finish()."""

    run_command: list = None
    language: str = "python"
    code: bytes = b""
    arguments: list = dataclasses.field(default_factory=list)
    files: dict = dataclasses.field(default_factory=dict)
    stdin: bytes = b""
    stdin_fd: int = None
    env: dict = dataclasses.field(default_factory=dict)
    slot: int = 0
    network: int = None  # a descriptor of its slot's namespace; by default it gets one of its own
    groups: Groups = None
    artifacts: list = dataclasses.field(default_factory=list)
    options: list = dataclasses.field(default_factory=list)  # more for the launcher
    mounts: list = dataclasses.field(default_factory=list)
    restricted: str = None
    warm: bool = False
    timeout: float = 10
    output_max: int = 8 * MiB
    pass_fds: tuple = ()
    launcher_env: dict = dataclasses.field(default_factory=dict)
    user: int = None  # who calls the launcher; root by default
    stop_after: float = None  # SIGTERM then, as the executor does when it wants the artifacts
    stop_at_output: bool = False  # the same, once something was written

    def command(self, status_fd, data_fds, artifacts_fd, feed_fd, ready_fd):
        """The launcher's words for this sandbox."""
        spec = language(self.language)
        policy = "restricted" if self.restricted else spec["seccomp"]
        words = [launcher(), "--status-fd", str(status_fd), "--slot-uid", str(SLOTS + self.slot)]
        words += ["--seccomp", str(SANDBOX / f"policy/{policy}.{platform.machine()}.bpf")]
        words += self.groups.options() if self.groups else ["--no-cgroup"]
        mounts = spec["mounts"] + [path for path in spec["mounts_if_present"] if os.path.exists(path)] + self.mounts
        if self.restricted:
            words += ["--restricted", self.restricted]
            mounts += [path for path in ("/etc/ld.so.cache",) if os.path.exists(path)]
        else:
            words += ["--network-fd", str(self.network)] if self.network is not None else []
            words += ["--ro", str(SANDBOX / "rootfs/etc"), "/etc"]
            words += [word for path, text in spec["links"].items() for word in ("--link", text, path)]
        words += [word for path in mounts for word in ("--ro", path, path)]
        environment = {"PATH": "/usr/bin:/bin", "HOME": "{box}", "TMPDIR": "{tmp}", "LANG": "C.UTF-8", **spec["env"]}
        for name, value in {**environment, **self.env}.items():
            words += ["--env", f"{name}={self.place(value)}"]
        for path, fd in data_fds.items():
            words += ["--data", str(fd), path]
        for path in self.artifacts:
            words += ["--artifact", path]
        if artifacts_fd is not None:
            words += ["--artifacts-fd", str(artifacts_fd)]
        if feed_fd is not None:
            words += ["--feed-fd", str(feed_fd), "--ready-fd", str(ready_fd)]
        words += self.options
        run = self.run_command or (spec["warm"]["run"] + spec["warm"]["preimport"] if self.warm else spec["run"])
        if not self.warm and not self.run_command and "compile" in spec:
            words += ["--compile-words", str(len(spec["compile"]))]
            run = spec["compile"] + run
        arguments = [] if self.warm else self.arguments
        return words + ["--"] + [self.place(word) for word in run] + arguments

    def place(self, text):
        base = self.restricted or ""
        return text.replace("{code}", base + "/code").replace("{box}", base + "/box").replace("{tmp}", base + "/tmp")

    def start(self):
        spec = language(self.language)
        self.sources = {f"/code/{spec['source']}": self.code, **self.files}
        data = self.sources
        if self.warm:
            prelude = (SANDBOX / "prelude" / spec["warm"]["prelude"]).read_bytes()
            data = {"/code/prelude" + pathlib.Path(spec["source"]).suffix: prelude}
        data_fds = {path: memfd(content) for path, content in data.items()}
        stdin = self.stdin_fd if self.stdin_fd is not None else memfd(self.stdin)
        self.streams, inside = {}, []
        pipes = ["status", "stdout", "stderr"] + (["artifacts"] if self.artifacts else [])
        pipes += ["ready"] if self.warm else []
        ends = {}
        for name in pipes:
            self.streams[name], ends[name] = os.pipe()
            inside.append(ends[name])
        if self.warm:
            ends["feed"], self.feed = os.pipe()
            inside.append(ends["feed"])
        words = self.command(ends["status"], data_fds, ends.get("artifacts"), ends.get("feed"), ends.get("ready"))
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            words,
            stdin=stdin,
            stdout=ends["stdout"],
            stderr=ends["stderr"],
            env=self.launcher_env,
            close_fds=True,
            user=self.user,
            group=None if self.user is None else self.user + 1,
            extra_groups=None if self.user is None else [],
            pass_fds=[
                ends["status"],
                *data_fds.values(),
                *[fd for fd in inside if fd not in (ends["stdout"], ends["stderr"])],
                *([self.network] if self.network is not None and not self.restricted else []),
                *self.pass_fds,
            ],
        )
        for fd in [*inside, *data_fds.values()] + ([stdin] if self.stdin_fd is None else []):
            os.close(fd)
        return self

    def send_request(self):
        """To a warm interpreter: what it shall become."""
        header = json.dumps(
            {
                "argv": self.arguments,
                "env": self.env,
                "files": [[path, len(code)] for path, code in self.sources.items()],
                "run": [self.place(word) for word in language(self.language)["run"]] + self.arguments,
            }
        ).encode()
        with os.fdopen(self.feed, "wb") as feed:
            feed.write(struct.pack(">I", len(header)) + header + b"".join(self.sources.values()))

    def await_ready(self):
        ready = self.streams.pop("ready")
        byte = os.read(ready, 1)
        os.close(ready)
        return byte == b"\n"

    def finish(self):
        """Reads everything until the sandbox is gone; ends it when time or output is over, as the executor does."""
        data = {name: bytearray() for name in self.streams}
        reason, output, hard = None, 0, None
        stop_at = math.inf if self.stop_after is None else self.started + self.stop_after
        with selectors.DefaultSelector() as selector:
            for name, fd in self.streams.items():
                selector.register(fd, selectors.EVENT_READ, name)
            deadline = self.started + self.timeout
            # The status pipe ends when all is gone; what the others hold then is read without waiting for an EOF.
            while (self.streams["status"] in selector.get_map()) or selector.select(0):
                now = time.monotonic()
                if now >= stop_at:
                    stop_at = math.inf
                    self.process.send_signal(signal.SIGTERM)
                if reason is None and (now > deadline or output > self.output_max):
                    reason = "timeout" if now > deadline else "output_limit"
                    self.process.send_signal(signal.SIGTERM)
                    hard = now + 1
                if hard is not None and now > hard:
                    hard = None
                    self.end()
                for key, _ in selector.select(0.05):
                    part = os.read(key.fd, 1 << 16)
                    if not part:
                        selector.unregister(key.fd)
                    if key.data in ("stdout", "stderr"):
                        if self.stop_at_output and part and output == 0:
                            stop_at = now
                        output += len(part)
                    if output <= self.output_max or key.data not in ("stdout", "stderr"):
                        data[key.data] += part
        for fd in self.streams.values():
            os.close(fd)
        returncode = self.process.wait()
        seconds = time.monotonic() - self.started
        records = parse_records(bytes(data["status"]))
        artifacts = parse_archive(bytes(data["artifacts"])) if self.artifacts else None
        return Result(
            self._status(records, reason),
            bytes(data["stdout"]),
            bytes(data["stderr"]),
            records,
            artifacts,
            output,
            seconds,
            returncode,
        )

    def end(self):
        if self.groups and self.groups.v2:
            self.groups.kill()
        else:
            self.process.kill()

    def run(self):
        self.start()
        if self.warm:
            self.await_ready()
            self.started = time.monotonic()
            self.send_request()
        return self.finish()

    def _status(self, records, reason):
        """The table of README, section 3."""
        kinds = {words[""]: words for words in records}
        end = kinds.get("exit", {})
        if "error" in kinds:
            return "sandbox_error"
        if reason:
            return reason
        if self.groups and self.groups.oom_kills() > 0:
            return "memory_limit"
        if not end:
            return "sandbox_error"
        if end["kind"] == "signal":
            cpu = (int(end["user_us"]) + int(end["system_us"])) / 1e6
            limit = (
                int(self.options[self.options.index("--cpu-seconds") + 1]) if "--cpu-seconds" in self.options else 11
            )
            over = end["value"] == str(int(signal.SIGXCPU)) or (end["value"] == "9" and cpu >= limit)
            return "cpu_limit" if over else "signal"
        return "ok" if end["value"] == "0" else "error"


@contextlib.contextmanager
def groups(name, **limits):
    made = Groups(f"{os.getpid()}-{name}", **limits)
    try:
        yield made
    finally:
        made.kill()
        made.remove()
        for folder in {group.parent for group in made.all()}:
            with contextlib.suppress(OSError):
                folder.rmdir()


if __name__ == "__main__":
    # A program from the command line: launching.py LANGUAGE FILE [ARGUMENT...]
    with groups("main") as made:
        result = Sandbox(
            language=sys.argv[1], code=pathlib.Path(sys.argv[2]).read_bytes(), arguments=sys.argv[3:], groups=made
        ).run()
    sys.stdout.buffer.write(result.stdout)
    sys.stderr.buffer.write(result.stderr)
    print(*result.records, sep="\n", file=sys.stderr)
    print(result.status, f"{result.seconds * 1000:.1f} ms", file=sys.stderr)
