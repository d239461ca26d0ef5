#!/usr/bin/env python3
"""How long a sandbox takes, as ratios to a bare `python3 -c pass` of the same run: measure.py [--rounds N] [--json]

Everything is started by posix_spawn and measured until it is gone, in turns, so that a busy moment hits all alike.
Cold: groups made, launcher started, program run, groups removed. Warm: from the request to the end; the interpreter
waited.
Needs root.
"""

import argparse
import atexit
import json
import multiprocessing
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from tests.launching import Groups, Sandbox, memfd, parse_records, slot_network  # noqa: E402

PYTHON = "/usr/bin/python3"
LOOP = (
    "import time\nstarted = time.perf_counter()\nfor _ in range(30000000): pass\nprint(time.perf_counter() - started)"
)
NAMES = iter(range(1 << 30))


def spawn(words, keep=(), standard=()):
    actions = [(os.POSIX_SPAWN_DUP2, fd, number) for fd, number in standard]
    for fd in filter(None, keep):
        os.set_inheritable(fd, True)
    return os.posix_spawn(words[0], words, {"PATH": "/usr/bin:/bin"}, file_actions=actions)


def bare(words=(PYTHON, "-c", "pass")):
    os.waitpid(spawn(list(words)), 0)


class Cold:
    """One program in a sandbox of its own, from nothing to nothing."""

    def __init__(self, code=b"pass", slot=0, grouped=True):
        self.sandbox, self.grouped = Sandbox(slot=slot, network=slot_network(slot)), grouped
        self.source = memfd(code)

    def __call__(self, output=None):
        groups = Groups(f"measure-{os.getpid()}-{next(NAMES)}", memory=512 << 20) if self.grouped else None
        self.sandbox.groups = groups
        status, writing = os.pipe()
        words = self.sandbox.command(writing, {"/code/main.py": self.source}, None, None, None)
        child = spawn(words, (writing, self.source, self.sandbox.network), [(output, 1)] if output else [])
        os.close(writing)
        records = read_all(status)
        os.waitpid(child, 0)
        if groups:
            groups.remove()
        check(records)


class Warm:
    """One request to an interpreter that waited in its sandbox; the next one is started when nobody measures."""

    def __init__(self):
        self.refill()

    def refill(self):
        self.groups = Groups(f"measure-{os.getpid()}-{next(NAMES)}")
        self.sandbox = Sandbox(code=b"pass", warm=True, groups=self.groups, stdin_fd=os.open("/dev/null", os.O_RDONLY))
        self.sandbox.start()
        os.close(self.sandbox.stdin_fd)
        if not self.sandbox.await_ready():
            raise RuntimeError("the interpreter never was ready")

    def __call__(self):
        self.sandbox.send_request()
        self.records = read_all(self.sandbox.streams["status"])

    def after(self):
        check(self.records)
        self.close()
        self.refill()

    def close(self):
        for name in ("stdout", "stderr"):
            os.close(self.sandbox.streams[name])
        self.sandbox.process.wait()
        self.groups.remove()


def read_all(fd):
    data = bytearray()
    while part := os.read(fd, 4096):
        data += part
    os.close(fd)
    return bytes(data)


def check(data):
    records = parse_records(data)
    if not any(record[""] == "exit" and record["value"] == "0" for record in records):
        raise RuntimeError(f"a sandbox failed: {records}")


def others():
    """Other launchers of this host, each with the one line that comes nearest."""
    found = {}
    if shutil.which("bwrap"):
        words = [
            shutil.which("bwrap"),
            "--unshare-all",
            "--die-with-parent",
            "--new-session",
            "--clearenv",
            "--proc",
            "/proc",
        ]
        for path in ("/usr/bin", "/usr/lib", "/usr/lib64"):
            words += ["--ro-bind", path, path, "--symlink", path[1:], path.removeprefix("/usr")]
        words += ["--tmpfs", "/tmp", "--tmpfs", "/box", "--", PYTHON, "-B", "-c", "pass"]
        found["bwrap"] = lambda: bare(words)
    if shutil.which("runc"):
        found["runc"] = runc(shutil.which("runc"))
        try:
            found["runc"]()
        except RuntimeError as error:  # not every host's control groups are to its liking
            print(error, file=sys.stderr)
            del found["runc"]
    if shutil.which("firejail"):
        found["firejail"] = lambda: bare(
            [shutil.which("firejail"), "--quiet", "--net=none", "--seccomp", PYTHON, "-c", "pass"]
        )
    return found


def runc(program):
    """An OCI container of the same folders, from `create` to `delete`; its bundle is made once."""
    bundle = tempfile.mkdtemp(prefix="golden-runc-")
    atexit.register(shutil.rmtree, bundle)
    subprocess.run([program, "spec", "--bundle", bundle], check=True)
    config = pathlib.Path(bundle, "config.json")
    spec = json.loads(config.read_text())
    spec["process"] |= {"terminal": False, "args": [PYTHON, "-c", "pass"], "env": ["PATH=/usr/bin:/bin"]}
    # Of a host with several hierarchies it mounts what it finds, and fails where it finds none of version 1.
    spec["mounts"] = [mount for mount in spec["mounts"] if mount["type"] != "cgroup"]
    spec["mounts"] += [
        {"destination": path, "type": "none", "source": path, "options": ["rbind", "ro"]}
        for path in ("/usr", "/lib", "/lib64", "/bin")
        if os.path.exists(path)
    ]
    for mount in spec["mounts"]:
        pathlib.Path(bundle, "rootfs", mount["destination"][1:]).mkdir(parents=True, exist_ok=True)
    config.write_text(json.dumps(spec))

    def way():
        name = f"golden-measure-{os.getpid()}-{next(NAMES)}"
        if os.waitpid(spawn([program, "run", "--bundle", bundle, name]), 0)[1] != 0:
            raise RuntimeError("runc failed")

    return way


def latencies(rounds):
    warm = Warm()
    ways = {"bare": bare, "cold": Cold(), "cold without groups": Cold(grouped=False), "warm": warm, **others()}
    times = {name: [] for name in ways}
    for number in range(rounds + 10):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            if number >= 10:  # the first ones fill caches
                times[name].append(time.perf_counter() - started)
            if way is warm:
                way.after()
    warm.sandbox.process.kill()
    os.close(warm.sandbox.streams["status"])
    os.close(warm.sandbox.feed)
    warm.close()
    return {name: statistics.median(values) for name, values in times.items()}


def throughput(count):
    """Programs a second: bare ones one after the other, sandboxed ones in two slots at a time; both in turns."""
    turns = 10
    fork = multiprocessing.get_context("fork")
    gate = fork.Barrier(3)

    def slot(number):
        way = Cold(slot=number)
        for _ in range(turns):
            gate.wait()
            for _ in range(count // turns):
                way()
            gate.wait()

    # Processes, because the executor's slots do not wait for one another as Python's threads do.
    slots = [fork.Process(target=slot, args=(number,), daemon=True) for number in range(2)]
    for process in slots:
        process.start()
    alone, both = [], []
    for _ in range(turns):
        started = time.perf_counter()
        for _ in range(count // turns):
            bare()
        alone.append(time.perf_counter() - started)
        gate.wait(60)  # a slot that failed never comes
        started = time.perf_counter()
        gate.wait(120)
        both.append(time.perf_counter() - started)
    programs = count // turns * turns
    return programs / sum(alone), 2 * programs / sum(both)


def computing(rounds):
    """Seconds of one loop, as the loop itself counts them: outside and inside."""
    inside, outside = [], []
    way = Cold(LOOP.encode())
    for _ in range(rounds):
        outside.append(float(subprocess.run([PYTHON, "-c", LOOP], capture_output=True, text=True, check=True).stdout))
        reading, writing = os.pipe()
        way(writing)
        os.close(writing)
        inside.append(float(read_all(reading)))
    return min(outside), min(inside)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    medians = latencies(arguments.rounds)
    alone, slots = throughput(arguments.rounds)
    outside, inside = computing(5)
    result = {
        "seconds": medians,
        "ratios": {name: value / medians["bare"] for name, value in medians.items()},
        "throughput": {"bare": alone, "two slots": slots, "ratio": slots / alone},
        "computing": {"bare": outside, "sandboxed": inside, "ratio": inside / outside},
    }
    if arguments.json:
        print(json.dumps(result))
        return
    for name, value in medians.items():
        print(f"{name:22} {value * 1000:7.2f} ms {value / medians['bare']:6.2f}x")
    print(f"{'two slots':22} {slots:7.1f} /s {slots / alone:6.2f}x of bare ones one by one")
    print(f"{'computing':22} {inside:7.3f} s  {inside / outside:6.3f}x")


if __name__ == "__main__":
    main()
