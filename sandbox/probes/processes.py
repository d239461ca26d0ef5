"""Other processes: the host's, the neighbour's, the one that watches; and new namespaces to gain power in."""

import contextlib
import ctypes
import os
import resource
import signal
import struct
import time

from probe import LIBC, call, first, probe

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET, CLONE_NEWPID = 0x20000, 0x10000000, 0x40000000, 0x20000000


def each_pid(canary):
    """Processes that are not one's own: the victim's number on the host, the first ones, the parent."""
    return [canary["victim"], *canary["neighbours"], os.getppid(), 1]


@probe(judge="victim_dead")
def kill_a_neighbour(canary):
    for pid in [canary["victim"], *canary["neighbours"]]:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)


@probe(judge="victim_dead")
def kill_by_thread(canary):
    call("tgkill", canary["victim"], canary["victim"], int(signal.SIGKILL))


@probe(judge="victim_dead")
def kill_by_descriptor(canary):
    signal.pidfd_send_signal(os.pidfd_open(canary["victim"]), signal.SIGKILL)


@probe(judge="victim_dead")
def kill_all(canary):
    """Every process that the uid may signal. Outside it runs as the slot's uid, and that one's alone."""
    if os.geteuid() == 0:
        raise PermissionError("never as root")
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.kill(-1, signal.SIGTERM)


@probe()
def kill_the_parent(canary):
    """Outside it is the shell that started the probe, inside the init: that one must outlive it."""
    parent = os.getppid()
    os.kill(parent, signal.SIGKILL)
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        if os.getppid() != parent:
            return parent
        time.sleep(0.01)
    return None


@probe()
def stop_the_parent(canary):
    """Outside the shell stops and shows T; run.py continues it."""
    parent = os.getppid()
    os.kill(parent, signal.SIGSTOP)
    time.sleep(0.1)
    with open(f"/proc/{parent}/stat") as file:
        state = file.read().rsplit(")", 1)[1].split()[0]
    with contextlib.suppress(OSError):
        os.kill(parent, signal.SIGCONT)
    return state == "T" and parent


@probe()
def trace_a_neighbour(canary):
    def seize(pid):
        call("ptrace", 0x4206, pid, 0, 0)
        return pid

    return first([lambda p=pid: seize(p) for pid in each_pid(canary)])


@probe()
def read_memory(canary):
    """process_vm_readv of a page that the victim filled with the marker."""
    buffer = ctypes.create_string_buffer(64)
    local = ctypes.create_string_buffer(struct.pack("<QQ", ctypes.addressof(buffer), 64))
    remote = ctypes.create_string_buffer(struct.pack("<QQ", canary["address"], 64))
    call("process_vm_readv", canary["victim"], local, 1, remote, 1, 0)
    return buffer.raw if canary["marker"].encode() in buffer.raw else None


@probe()
def write_memory(canary):
    buffer = ctypes.create_string_buffer(b"x")
    local = ctypes.create_string_buffer(struct.pack("<QQ", ctypes.addressof(buffer), 1))
    remote = ctypes.create_string_buffer(struct.pack("<QQ", canary["address"] + 4096, 1))
    return call("process_vm_writev", canary["victim"], local, 1, remote, 1, 0)


@probe()
def memory_file(canary):
    def read(pid, address):
        with open(f"/proc/{pid}/mem", "rb") as memory:
            memory.seek(address)
            return memory.read(64)

    return first([lambda: read(canary["victim"], canary["address"])])


@probe()
def memory_of_the_parent(canary):
    """The parent's stack: inside, the init's, where the ends of the status pipe are known."""
    parent = os.getppid()
    with open(f"/proc/{parent}/maps") as file:
        line = next(line for line in file if "[stack]" in line)
    with open(f"/proc/{parent}/mem", "r+b") as memory:
        memory.seek(int(line.split("-")[0], 16))
        return memory.read(64) and "read"


@probe()
def descriptors_of_the_parent(canary):
    """By /proc and by pidfd_getfd. Outside the shell has standard streams to take."""
    parent = os.getppid()
    return first(
        [
            lambda: os.listdir(f"/proc/{parent}/fd"),
            lambda: call("pidfd_getfd", os.pidfd_open(parent), 1, 0),
            lambda: call("pidfd_getfd", os.pidfd_open(parent), 3, 0),
        ]
    )


@probe()
def descriptors_of_a_neighbour(canary):
    return call("pidfd_getfd", os.pidfd_open(canary["victim"]), canary["victim_fd"], 0)


@probe()
def limits_of_a_neighbour(canary):
    return resource.prlimit(canary["victim"], resource.RLIMIT_NOFILE)


@probe()
def limits_of_the_parent(canary):
    """A limit on CPU time of 0 would end it."""
    resource.prlimit(os.getppid(), resource.RLIMIT_CORE, (0, 0))
    return "set"


@probe()
def priority_of_a_neighbour(canary):
    os.setpriority(os.PRIO_PROCESS, canary["victim"], 5)
    return "set"


@probe()
def compare_with_a_neighbour(canary):
    return call("kcmp", os.getpid(), canary["victim"], 1, 0, 0) >= 0 and "compared"


@probe()
def user_namespace(canary):
    call("unshare", CLONE_NEWUSER)
    return "made"


@probe()
def user_namespace_by_clone(canary):
    """In a child, so that outside the probe itself stays where it is."""
    pid = call("clone", CLONE_NEWUSER | int(signal.SIGCHLD), 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return pid


@probe()
def user_namespace_by_clone3(canary):
    arguments = ctypes.create_string_buffer(struct.pack("<8Q", CLONE_NEWUSER, 0, 0, 0, int(signal.SIGCHLD), 0, 0, 0))
    pid = call("clone3", arguments, 64)
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return pid


@probe(root=True)
def mount_namespace(canary):
    call("unshare", CLONE_NEWNS)
    return "made"


@probe(root=True)
def network_namespace(canary):
    call("unshare", CLONE_NEWNET | CLONE_NEWPID)
    return "made"


@probe(root=True)
def namespace_of_the_host(canary):
    for kind, flag in (("net", CLONE_NEWNET), ("mnt", CLONE_NEWNS)):
        with open(f"/proc/{canary['victim'] if not canary['inside'] else 1}/ns/{kind}") as file:
            call("setns", file.fileno(), flag)
            return kind
    return None


@probe(root=True)
def mount_something(canary):
    call("mount", "tmpfs", canary["tmp"], "tmpfs", 0, None)
    call("umount2", canary["tmp"], 2)
    return "mounted"


@probe(root=True)
def mount_by_the_new_calls(canary):
    return first([lambda: call("fsopen", "tmpfs", 0), lambda: call("open_tree", -100, "/usr", 1)])


@probe(root=True)
def mount_cgroups(canary):
    call("mount", "cgroup2", canary["tmp"], "cgroup2", 0, None)
    call("umount2", canary["tmp"], 2)
    return "mounted"


@probe(root=True)
def remount_writable(canary):
    """A mount attribute changed on what is shown read-only. Outside: on a mount made for it."""
    target = "/usr/bin"
    if not canary["inside"]:
        call("mount", canary["tmp"], canary["tmp"], None, 4096, None)
        target = canary["tmp"]
    call("mount", None, target, None, 32 | 4096, None)  # remount, bind
    if not canary["inside"]:
        call("umount2", target, 2)
    return "remounted"


@probe(root=True)
def unmount(canary):
    """What lies below the sandbox's own mounts."""
    if not canary["inside"]:
        call("mount", "tmpfs", canary["tmp"], "tmpfs", 0, None)
    return call("umount2", canary["tmp"] if not canary["inside"] else "/proc", 2) == 0 and "unmounted"


@probe(root=True)
def become_root(canary):
    """Any identity but one's own."""
    return first(
        [
            lambda: os.setresuid(0, 0, 0) or "root",
            lambda: os.setgid(0) or "root's group",
            lambda: os.setgroups([0]) or "root's groups",
        ]
    )


@probe(root=True)
def regain_capabilities(canary):
    """The bounding set, the ambient set, and the inheritable one."""
    with open("/proc/self/status") as file:
        sets = {line.split(":")[0]: int(line.split()[1], 16) for line in file if line.startswith("Cap")}
    return sets if sets["CapBnd"] or sets["CapPrm"] or sets["CapEff"] else None


@probe()
def undo_no_new_privileges(canary):
    """Without it setuid programs would be what they are on the host."""
    with open("/proc/self/status") as file:
        return "NoNewPrivs:\t0" in file.read() and LIBC.prctl(39, 0, 0, 0, 0) == 0


@probe(judge="neighbour_seen")
def look_for_the_neighbour(canary):
    """Prints whatever of another tenant can be found: names, contents, environments, shared memory."""
    for folder in ("/box", "/tmp", "/dev/shm", "/var/tmp", "/code", canary["tmp"]):
        for root, _, names in os.walk(folder, onerror=lambda error: None):
            for name in names:
                print(name)
                with contextlib.suppress(OSError, UnicodeError):
                    print(open(os.path.join(root, name)).read(4096))
    for entry in os.listdir("/proc"):
        for name in ("cmdline", "environ"):
            if entry.isdigit() and int(entry) != os.getpid():
                with contextlib.suppress(OSError, UnicodeError):
                    print(open(f"/proc/{entry}/{name}").read(1 << 16))
