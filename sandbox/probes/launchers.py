"""The ways to run a probe: outside any sandbox, in one of ours, and in one of bubblewrap's."""

import contextlib
import dataclasses
import json
import os
import pathlib
import pty
import re
import select
import signal
import socket
import subprocess
import tempfile
import threading
import time

from worlds import CATEGORIES  # first: it says where the tests' own library is

from tests.launching import SANDBOX, SLOTS, MiB, Sandbox, groups, language, memfd, slot_network

PROBES = pathlib.Path(__file__).resolve().parent


@dataclasses.dataclass
class Run:
    stdout: bytes
    stderr: bytes
    status_says: int
    seconds: float
    output_bytes: int
    artifacts: dict = dataclasses.field(default_factory=dict)
    collecting_stuck: bool = False
    read_as_bytes: bool = True
    reached: bytes = b""
    records: list = None


class Visitor(threading.Thread):
    """Looks from outside for the server that one probe opens."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.found, self.over = port, b"", threading.Event()

    def run(self):
        while not self.over.is_set() and not self.found:
            with contextlib.suppress(OSError):
                with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                    self.found = connection.recv(200)
            time.sleep(0.05)


class Stage:
    """What a probe needs around it, for one run: inherited descriptors, an environment, a terminal."""

    def __init__(self, world, wanted):
        self.world, self.needs, self.stack = world, wanted.needs, contextlib.ExitStack()
        self.pass_fds, self.environment, self.stdin_fd = [], {}, None
        if "inherit" in self.needs:
            fd = os.open(world.canary["secret"], os.O_RDONLY)
            self.stack.callback(os.close, fd)
            os.set_inheritable(fd, True)
            self.pass_fds.append(fd)
        if "environment" in self.needs:
            self.environment = {"SECRET": world.marker}
        if "terminal" in self.needs:
            leader, self.stdin_fd = pty.openpty()
            self.stack.callback(os.close, leader)
            self.stack.callback(os.close, self.stdin_fd)
        self.visitor = Visitor(world.canary["free_port"])
        if wanted.judge == "reached":
            self.visitor.start()

    def canary(self, **places):
        return json.dumps({**self.world.canary, **places}).encode()

    def close(self):
        self.visitor.over.set()
        self.stack.close()


def read_naively(process, status_read):
    """As programs do that were not written for hostile ones: until EOF, as text, trusting what is said."""
    output = bytearray()
    while select.select([process.stdout], [], [], 30)[0]:
        part = os.read(process.stdout.fileno(), 1 << 16)
        if not part:
            break
        output += part
    process.wait()
    said = bytes(output)
    with contextlib.suppress(BlockingIOError):
        os.set_blocking(status_read, False)
        said += os.read(status_read, 1 << 16)
    forged = re.findall(rb"exit step=run kind=code value=(\d+)", said)
    return bytes(output), int(forged[-1]) if forged else process.returncode


def collect_naively(box):
    """Opens what is there by its path, as root, and waits for what it says."""
    found, stuck = {}, False
    for path in pathlib.Path(box).glob("artifact*"):
        with contextlib.suppress(OSError):
            if path.is_fifo():
                reader = subprocess.Popen(["/usr/bin/cat", str(path)], stdout=subprocess.DEVNULL)
                try:
                    reader.wait(1)
                except subprocess.TimeoutExpired:
                    stuck = True
                    reader.kill()
                    reader.wait()
            elif path.is_file():
                found[path.name] = path.read_bytes()
    for path in pathlib.Path(box).glob("folder/private"):
        found["folder/private"] = path.read_bytes()
    with contextlib.suppress(OSError):
        found["folder"] = (pathlib.Path(box, "folder")).read_bytes()
    return found, stuck


def outside(world, wanted):
    """Without a sandbox: below a shell, as the tenant's uid or as root, within nothing but the probe's own bounds."""
    stage = Stage(world, wanted)
    code = world.folder / "code"
    (code / "canary.json").write_bytes(stage.canary())
    (code / "canary.json").chmod(0o644)
    status_read, status_write = os.pipe()
    identity = {} if wanted.root else {"user": world.uid, "group": world.uid, "extra_groups": []}
    started = time.monotonic()
    process = subprocess.Popen(
        ["/bin/sh", "-c", f"/usr/bin/python3 -B {code}/main.py {wanted.category} {wanted.name}; exit $?"],
        stdin=stage.stdin_fd if stage.stdin_fd is not None else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=[status_write, *stage.pass_fds],
        start_new_session=True,
        cwd=world.canary["box"],
        env={"PATH": "/usr/bin:/bin", "HOME": world.canary["box"], **stage.environment},
        **identity,
    )
    os.close(status_write)
    ended = threading.Timer(wanted.needs.get("timeout", 60), process.kill)
    if wanted.needs.get("timeout"):
        # Whoever ends a program by its own process alone leaves what it started.
        python = threading.Timer(wanted.needs["timeout"], lambda: end_children(process.pid))
        python.start()
    ended.start()
    output, status = read_naively(process, status_read)
    ended.cancel()
    seconds = time.monotonic() - started
    os.close(status_read)
    process.stdout.close()
    artifacts, stuck = collect_naively(world.canary["box"])
    run = Run(output, b"", status, seconds, len(output), artifacts, stuck, is_text(output), stage.visitor.found)
    stage.close()
    return run


def end_children(pid):
    for entry in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(entry), signal.SIGKILL)


def is_text(output):
    try:
        output.decode()
    except UnicodeDecodeError:
        return False
    return True


def program_files(stage, places):
    files = {f"/code/{name}.py": (PROBES / f"{name}.py").read_bytes() for name in CATEGORIES}
    return {**files, "/code/canary.json": stage.canary(**places)}


def native(world, wanted, restricted=None):
    """In a sandbox of ours, driven as the executor drives it."""
    stage = Stage(world, wanted)
    base = restricted or ""
    places = {
        "box": base + "/box",
        "tmp": base + "/tmp",
        "code": base + "/code",
        "main": base + "/code/main.py",
        "inside": True,
    }
    options = ["--cpu-seconds", str(wanted.needs["cpu_seconds"])] if "cpu_seconds" in wanted.needs else []
    if restricted:
        options += ["--address-space", str(300 * MiB), "--nproc", "64"]
    with contextlib.ExitStack() as stack:
        made = None if restricted else stack.enter_context(groups(f"probe-{world.tenant}-{wanted.name}"))
        sandbox = Sandbox(
            code=(PROBES / "probe.py").read_bytes(),
            files=program_files(stage, places),
            slot=world.tenant,
            network=None if restricted else slot_network(world.tenant),
            groups=made,
            arguments=[wanted.category, wanted.name],
            artifacts=[".", "folder/private"],
            options=options,
            mounts=[world.canary["setuid"]] if "setuid" in wanted.needs else [],
            pass_fds=tuple(stage.pass_fds),
            launcher_env=stage.environment,
            stdin_fd=stage.stdin_fd,
            restricted=restricted,
            timeout=wanted.needs.get("timeout", 10),
        )
        result = sandbox.run()
    ended = result.record("exit") or {"kind": "signal", "value": "9"}
    status = int(ended["value"]) if ended["kind"] == "code" else -int(ended["value"])
    artifacts = {name.decode(errors="replace"): content for name, content in (result.artifacts or {}).items()}
    stuck = result.record("artifacts") is None and result.status in ("ok", "error")
    run = Run(
        result.stdout + result.stderr,
        result.stderr,
        status,
        result.seconds,
        result.output_bytes,
        artifacts,
        stuck,
        True,
        stage.visitor.found,
        result.records,
    )
    stage.close()
    return run


def restricted(world, wanted):
    with tempfile.TemporaryDirectory(dir=world.folder) as folder:
        os.chown(folder, world.uid, world.uid)
        return native(world, wanted, restricted=folder)


def bwrap(world, wanted):
    """The same by an independent launcher, as well as it can be had: bubblewrap, seccomp, rlimits, cgroups."""
    stage = Stage(world, wanted)
    places = {"box": "/box", "tmp": "/tmp", "code": "/code", "main": "/code/main.py", "inside": True}
    files = {**program_files(stage, places), "/code/main.py": (PROBES / "probe.py").read_bytes()}
    data = {path: memfd(content) for path, content in files.items()}
    filter = os.open(SANDBOX / f"policy/strict.{os.uname().machine}.bpf", os.O_RDONLY)
    words = bwrap_words(world, wanted, data, filter)
    with groups(f"bwrap-{world.tenant}-{wanted.name}") as made:
        started = time.monotonic()
        process = subprocess.Popen(
            join_words(made) + words,
            stdin=stage.stdin_fd if stage.stdin_fd is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=stage.environment,
            pass_fds=[*data.values(), filter],
            start_new_session=True,
        )
        for fd in [*data.values(), filter]:
            os.close(fd)
        output = bytearray()
        deadline = started + wanted.needs.get("timeout", 10)
        while process.poll() is None or select.select([process.stdout], [], [], 0)[0]:
            if select.select([process.stdout], [], [], 0.05)[0]:
                part = os.read(process.stdout.fileno(), 1 << 16)
                if not part:
                    break
                output += part
            if time.monotonic() > deadline or len(output) > 8 * MiB:
                made.kill()
        process.wait()
    process.stdout.close()
    run = Run(
        bytes(output), b"", process.returncode, time.monotonic() - started, len(output), reached=stage.visitor.found
    )
    stage.close()
    return run


def join_words(made):
    """Joins the groups as root, before the uid changes and before anything is forked."""
    files = " ".join(f"{folder}/cgroup.procs" for folder in made.all())
    return ["/bin/sh", "-c", f'for file in {files}; do echo 0 > "$file"; done; exec "$@"', "join"]


HIDDEN_BY_BWRAP = (
    "cmdline",
    "kallsyms",
    "keys",
    "timer_list",
    "partitions",
    "diskstats",
    "config.gz",
    "iomem",
    "vmallocinfo",
    "slabinfo",
    "kcore",
    "kpagecount",
)


def bwrap_words(world, wanted, data, filter):
    spec = language("python")
    cpu = str(wanted.needs.get("cpu_seconds", 11))
    words = [
        "prlimit",
        f"--cpu={cpu}:{int(cpu) + 1}",
        "--nofile=256",
        "--fsize=67108864",
        "--core=0",
        "--memlock=65536",
    ]
    words += ["setpriv", f"--reuid={SLOTS + world.tenant}", f"--regid={SLOTS + world.tenant}", "--clear-groups"]
    words += ["bwrap", "--unshare-all", "--unshare-user", "--disable-userns"]
    words += [
        "--uid",
        "1000",
        "--gid",
        "1000",
        "--hostname",
        "sandbox",
        "--ro-bind",
        str(SANDBOX / "rootfs/etc"),
        "/etc",
    ]
    mounts = spec["mounts"] + [path for path in spec["mounts_if_present"] if os.path.exists(path)]
    mounts += [world.canary["setuid"]] if "setuid" in wanted.needs else []
    for path in mounts:
        words += ["--ro-bind", path, path]
    for path, text in spec["links"].items():
        words += ["--symlink", text, path]
    words += ["--proc", "/proc"]
    for name in HIDDEN_BY_BWRAP:
        if os.path.exists(f"/proc/{name}"):
            words += ["--ro-bind", "/dev/null", f"/proc/{name}"]
    words += ["--remount-ro", "/proc", "--size", "65536", "--tmpfs", "/dev"]
    for name in ("null", "zero", "full", "random", "urandom"):
        words += ["--dev-bind", f"/dev/{name}", f"/dev/{name}"]
    words += [
        "--symlink",
        "/proc/self/fd",
        "/dev/fd",
        "--size",
        str(16 * MiB),
        "--tmpfs",
        "/dev/shm",
        "--remount-ro",
        "/dev",
    ]
    words += ["--size", str(64 * MiB), "--tmpfs", "/tmp", "--size", str(64 * MiB), "--tmpfs", "/box"]
    words += [
        "--perms",
        "0755",
        "--dir",
        "/code",
        "--chdir",
        "/box",
        "--die-with-parent",
        "--new-session",
        "--clearenv",
    ]
    words += ["--setenv", "PATH", "/usr/bin:/bin", "--setenv", "HOME", "/box", "--cap-drop", "ALL"]
    for path, fd in data.items():
        words += ["--ro-bind-data", str(fd), path]
    words += ["--remount-ro", "/", "--seccomp", str(filter), "--"]
    return words + ["/usr/bin/python3", "-B", "/code/main.py", wanted.category, wanted.name]


LAUNCHERS = {"native": native, "restricted": restricted, "bwrap": bwrap}
