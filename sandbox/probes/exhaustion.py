"""Using up what others need. Outside each of these goes well past the limit that the sandbox promises."""

import ctypes
import fcntl
import mmap
import os
import pathlib
import resource
import signal
import threading
import time

from probe import LIBC, call, probe

MiB = 1 << 20


def forked(count):
    children = []
    try:
        for _ in range(count):
            pid = os.fork()
            if pid == 0:
                time.sleep(30)
                os._exit(0)
            children.append(pid)
    except OSError:
        pass
    for pid in children:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return len(children)


@probe()
def many_processes(canary):
    count = forked(200)
    return count >= 200 and count


@probe()
def fork_bomb(canary):
    """Children that fork; counted by a pipe that each writes into."""
    reading, writing = os.pipe()
    root = os.getpid()
    deadline = time.monotonic() + 1.5
    started = 1
    while time.monotonic() < deadline and started < 200:
        try:
            if os.fork() == 0:
                os.write(writing, b"x")
                if len(os.listdir("/proc")) > 2000:
                    os._exit(0)
            else:
                started += 1
        except OSError:
            time.sleep(0.01)
        if os.getpid() != root and started > 3:
            time.sleep(max(0, deadline - time.monotonic()))
    if os.getpid() != root:
        time.sleep(1)
        os._exit(0)
    os.set_blocking(reading, False)
    try:
        alive = len(os.read(reading, 1 << 16))
    except BlockingIOError:
        alive = 0
    return alive >= 200 and alive


@probe()
def many_threads(canary):
    stop = threading.Event()
    threading.stack_size(64 * 1024)
    count = 0
    try:
        for _ in range(200):
            threading.Thread(target=stop.wait, daemon=True).start()
            count += 1
    except RuntimeError:
        pass
    stop.set()
    return count >= 200 and count


@probe()
def much_memory(canary):
    memory = mmap.mmap(-1, 400 * MiB)
    for at in range(0, 400 * MiB, 4096):
        memory[at] = 1
    return "400 MiB"


@probe()
def much_memory_in_children(canary):
    """Each below the limit, together above it."""
    reading, writing = os.pipe()
    children = []
    for _ in range(4):
        pid = os.fork()
        if pid == 0:
            memory = mmap.mmap(-1, 120 * MiB)
            for at in range(0, 120 * MiB, 4096):
                memory[at] = 1
            os.write(writing, b"x")
            time.sleep(20)
            os._exit(0)
        children.append(pid)
    os.close(writing)
    filled = 0
    deadline = time.monotonic() + 8
    os.set_blocking(reading, False)
    while filled < 4 and time.monotonic() < deadline:
        try:
            part = os.read(reading, 4)
            if not part:
                break
            filled += len(part)
        except BlockingIOError:
            time.sleep(0.05)
    alive = 0
    for pid in children:
        alive += os.waitpid(pid, os.WNOHANG) == (0, 0)
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    return filled == 4 and alive == 4 and "480 MiB"


@probe()
def much_anonymous_file(canary):
    file = os.memfd_create("x")
    block = b"x" * MiB
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.getrlimit(resource.RLIMIT_FSIZE)[1],) * 2)
    files = [file, *[os.memfd_create("x") for _ in range(9)]]
    for each in files:
        for _ in range(40):
            os.write(each, block)
    return "400 MiB"


def fill(folder, size):
    block, written = b"x" * MiB, 0
    for number in range(size // (32 * MiB)):
        with open(f"{folder}/fill-{number}", "wb") as file:
            for _ in range(32):
                file.write(block)
                written += MiB
    return f"{written // MiB} MiB"


@probe()
def disk_of_the_box(canary):
    return fill(canary["box"], 160 * MiB)


@probe()
def disk_of_tmp(canary):
    return fill(canary["tmp"], 160 * MiB)


@probe()
def shared_memory(canary):
    pathlib.Path("/dev/shm/" + canary["name"]).mkdir()
    return fill("/dev/shm/" + canary["name"], 96 * MiB)


@probe()
def memory_by_file_systems(canary):
    """Below each file system's own size, together above the memory limit."""
    shared = "/dev/shm/" + canary["name"]
    os.mkdir(shared)
    for folder, size in ((canary["box"], 60), (canary["tmp"], 60), (shared, 12)):
        with open(folder + "/x", "wb") as file:
            file.write(b"x" * (size * MiB))
    return fill(canary["tmp"], 160 * MiB)


def make_files(folder, count):
    os.mkdir(folder + "/inodes")
    for number in range(count):
        os.close(os.open(f"{folder}/inodes/{number}", os.O_CREAT | os.O_WRONLY))
    return count


@probe()
def inodes_of_the_box(canary):
    return make_files(canary["box"], 10000)


@probe()
def inodes_of_tmp(canary):
    return make_files(canary["tmp"], 10000)


@probe()
def inodes_of_shared_memory(canary):
    folder = "/dev/shm/" + canary["name"]
    os.mkdir(folder)
    return make_files(folder, 10000)


@probe(judge="cpu_time")
def all_processors(canary):
    """A loop in each of four processes for a second and a half: what they used together is what they were given."""
    children = []
    for _ in range(3):
        children.append(os.fork())
        if children[-1] == 0:
            break
    deadline = time.monotonic() + 1.5
    while time.monotonic() < deadline:
        pass
    if not all(children):
        os._exit(0)
    for _ in children:
        os.wait()
    print("CPU", sum(os.times()[:4]), flush=True)


@probe(needs={"cpu_seconds": 1}, judge="outlived")
def processor_time_without_end(canary):
    """Two seconds of computing, deaf to SIGXCPU."""
    signal.signal(signal.SIGXCPU, signal.SIG_IGN)
    while time.process_time() < 2.5:
        pass
    print("OUTLIVED", flush=True)


@probe()
def many_descriptors(canary):
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    for count in range(1000):
        os.dup(1)
    return 1000


@probe()
def raised_limits(canary):
    """The limits that the launcher set, raised to what the host has."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    return "raised"


@probe()
def terminals(canary):
    """Pseudo-terminals come from one pool for the whole host."""
    return [os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY) for _ in range(20)]


@probe()
def watchers(canary):
    """Instances of inotify, of which a uid has 128: a sandbox's count for whoever made its namespace as well."""
    for _ in range(100):
        instance = LIBC.inotify_init1(0)
        if instance < 0:
            return None
    return 100


@probe()
def pipes(canary):
    """Kernel memory in pipes: with the program's own, more than its limit. The kernel gives a uid 64 MiB of them."""
    memory = mmap.mmap(-1, 220 * MiB)
    for at in range(0, 220 * MiB, 4096):
        memory[at] = 1
    held = 0
    for _ in range(56):
        reading, writing = os.pipe()
        size = fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, MiB)
        os.set_blocking(writing, False)
        held += os.write(writing, b"x" * size)
    return held == 56 * MiB and held + len(memory)


@probe()
def one_huge_file(canary):
    """Its length alone, without a byte in it."""
    with open(canary["box"] + "/huge", "wb") as file:
        file.truncate(1 << 40)
    os.unlink(canary["box"] + "/huge")
    return "1 TiB"


@probe(root=True)
def locked_memory(canary):
    memory = mmap.mmap(-1, 32 * MiB)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    return LIBC.mlock(ctypes.c_void_p(address), ctypes.c_size_t(32 * MiB)) == 0 and "32 MiB"


@probe()
def system_v_memory(canary):
    """Shared memory that outlives its processes."""
    segment = call("shmget", 0, 4096, 0o1600)
    LIBC.shmctl(ctypes.c_int(segment), 0, None)
    return "made"


@probe()
def system_v_queues(canary):
    queue = call("msgget", 0, 0o1600)
    LIBC.msgctl(ctypes.c_int(queue), 0, None)
    return "made"


@probe()
def message_queues(canary):
    queue = call("mq_open", canary["name"], os.O_CREAT | os.O_RDWR, 0o600, None)
    os.close(queue)
    LIBC.syscall(ctypes.c_long(241), canary["name"].encode())
    return "made"


@probe()
def core_dump(canary):
    """A limit for core dumps by which a crash reaches a disk, or a program of the host: any but 1 byte."""
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    if hard == 1:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    return hard


@probe(judge="flood")
def flood_of_output(canary):
    for _ in range(64):
        os.write(1, b"x" * MiB)
