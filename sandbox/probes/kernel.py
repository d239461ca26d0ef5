"""What the kernel tells and what it lets be changed: /proc, /sys, its logs, and the calls that exploits begin with."""

import ctypes
import os
import mmap
import platform
import struct

from probe import LIBC, call, first, permitted, probe


def read(path, most=4096):
    with open(path, "rb") as file:
        return file.read(most)


def readable(paths):
    found = []
    for path in paths:
        try:
            if read(path, 64):
                found.append(path)
        except OSError:
            continue
    return found


@probe()
def host_processes(canary):
    """Any process that is not of this sandbox."""
    for entry in os.listdir("/proc"):
        if entry.isdigit() and entry != str(os.getpid()):
            try:
                if canary["marker"].encode() in read(f"/proc/{entry}/cmdline"):
                    return entry
            except OSError:
                continue
    return None


@probe()
def host_environments(canary):
    for entry in os.listdir("/proc"):
        if entry.isdigit() and entry != str(os.getpid()):
            try:
                if canary["marker"].encode() in read(f"/proc/{entry}/environ", 1 << 16):
                    return entry
            except OSError:
                continue
    return None


@probe(needs={"environment": True})
def inherited_environment(canary):
    seen = str(os.environ) + str(read("/proc/self/environ", 1 << 16))
    try:
        seen += str(read("/proc/1/environ", 1 << 16))
    except OSError:
        pass
    return seen if canary["marker"] in seen else None


@probe()
def host_name(canary):
    seen = {os.uname().nodename, platform.node()}
    return seen if canary["hostname"] in seen else None


@probe(root=True)
def kernel_addresses(canary):
    lines = read("/proc/kallsyms", 1 << 16).splitlines()
    return next((line for line in lines if not line.startswith(b"0" * 16)), None)


@probe()
def kernel_information(canary):
    names = (
        "cmdline config.gz meminfo cpuinfo stat interrupts partitions diskstats modules timer_list keys vmstat uptime"
    )
    return readable(["/proc/" + name for name in names.split()])


@probe(root=True)
def kernel_memory(canary):
    return readable(["/proc/kcore", "/proc/kpagecount", "/proc/iomem", "/proc/slabinfo", "/proc/vmallocinfo"])


@probe()
def sysfs(canary):
    return os.listdir("/sys/kernel") or os.listdir("/sys/class/net")


@probe(root=True)
def kernel_log(canary):
    return first([lambda: call("syslog", 3, ctypes.create_string_buffer(4096), 4096), lambda: readable(["/dev/kmsg"])])


def opened_for_writing(path):
    os.close(os.open(path, os.O_WRONLY))
    return path


@probe(root=True)
def core_pattern(canary):
    return opened_for_writing("/proc/sys/kernel/core_pattern")


@probe(root=True)
def sysrq(canary):
    return opened_for_writing("/proc/sysrq-trigger")


@probe(root=True)
def helper_paths(canary):
    """Programs that the kernel starts as root: modprobe, hotplug, binfmt, a cgroup's release agent."""
    paths = [
        "/proc/sys/kernel/modprobe",
        "/proc/sys/fs/binfmt_misc/register",
        "/sys/kernel/uevent_helper",
        "/proc/sys/kernel/poweroff_cmd",
        "/proc/sys/kernel/hotplug",
    ]
    return first([lambda p=path: opened_for_writing(p) for path in paths])


@probe(root=True)
def kernel_settings(canary):
    return first(
        [lambda p=path: opened_for_writing("/proc/sys/" + p) for path in ("vm/overcommit_memory", "kernel/hostname")]
    )


@probe()
def key_ring(canary):
    call("add_key", "user", "golden-probe", ctypes.c_char_p(b"x"), 1, -2)
    return "added"


@probe()
def session_keys(canary):
    """The keys that the process which started the sandbox may hold."""
    return call("keyctl", 0, -3, 1)


@probe(root=True)
def bpf_map(canary):
    attributes = ctypes.create_string_buffer(struct.pack("<IIII", 1, 4, 4, 1) + bytes(112))
    return call("bpf", 0, attributes, 128)


@probe()
def bpf_socket_filter(canary):
    """A program loaded into the kernel: two instructions that return 0."""
    code = ctypes.create_string_buffer(bytes.fromhex("b700000000000000" "9500000000000000"))
    name = ctypes.create_string_buffer(b"GPL")
    head = struct.pack("<IIQQ", 1, 2, ctypes.addressof(code), ctypes.addressof(name))
    return call("bpf", 5, ctypes.create_string_buffer(head + bytes(104)), 128)


@probe()
def io_uring(canary):
    return call("io_uring_setup", 4, ctypes.create_string_buffer(256))


@probe(root=True)
def perf(canary):
    attributes = ctypes.create_string_buffer(struct.pack("<IIQ", 1, 112, 0) + bytes(96))
    return call("perf_event_open", attributes, 0, -1, -1, 0)


@probe(root=True)
def user_fault(canary):
    return call("userfaultfd", 0)


@probe()
def user_fault_user_mode(canary):
    return call("userfaultfd", 1)


@probe(root=True)
def fanotify(canary):
    return call("fanotify_init", 0, 0)


@probe()
def secret_memory(canary):
    return call("memfd_secret", 0)


@probe()
def seccomp_listener(canary):
    """A filter of one's own that hands calls to another process."""
    LIBC.prctl(38, 1, 0, 0, 0)
    code = ctypes.create_string_buffer(struct.pack("<HBBI", 6, 0, 0, 0x7FFF0000))
    program = struct.pack("<HxxxxxxQ", 1, ctypes.addressof(code))
    return call("seccomp", 1, 8, ctypes.create_string_buffer(program)) or "installed"


@probe()
def no_randomization(canary):
    call("personality", 0x0040000)
    return "set"


@probe()
def foreign_architecture(canary):
    """A call by the i386 gate, numbered as there: filters that forget the architecture let it pass."""
    if platform.machine() != "x86_64":
        return None
    code = bytes.fromhex("b814000000" "cd80" "c3")  # eax = 20, getpid there; int 0x80; ret
    memory = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    memory.write(code)
    function = ctypes.CFUNCTYPE(ctypes.c_long)(ctypes.addressof(ctypes.c_char.from_buffer(memory)))
    return function() == os.getpid()


@probe()
def local_descriptor_table(canary):
    if platform.machine() != "x86_64":
        return None
    entry = ctypes.create_string_buffer(struct.pack("<IIII", 0, 0, 0, 0x51))
    return call("modify_ldt", 1, entry, 16) == 0 and "set"


@probe(root=True)
def io_ports(canary):
    if platform.machine() != "x86_64":
        return None
    return call("iopl", 3) == 0 and "granted"


@probe(root=True)
def load_a_module(canary):
    file = os.open("/usr/bin/env", os.O_RDONLY)
    return permitted("finit_module", file, "", 0, harmless=[8, 22, 129])


@probe(root=True)
def kexec(canary):
    """Past its checks an empty image of too many segments is refused as invalid."""
    return permitted("kexec_load", 0, 1000, None, 0, harmless=[22])


@probe(root=True)
def reboot(canary):
    return permitted("reboot", 0, 0, 0, None, harmless=[22])


@probe(root=True)
def swap(canary):
    return permitted("swapon", "/golden-none", 0, harmless=[2])


@probe(root=True)
def set_host_name(canary):
    name = os.uname().nodename
    call("sethostname", name, len(name))
    return name if name == canary["hostname"] else None


@probe(root=True)
def set_the_clock(canary):
    """The time zone, to what it is: one permission with the time, and nobody notices."""
    return call("settimeofday", None, ctypes.create_string_buffer(8)) == 0 and "set"


@probe(root=True)
def real_time_priority(canary):
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    return "granted"


@probe(root=True)
def higher_priority(canary):
    os.setpriority(os.PRIO_PROCESS, 0, -10)
    return "granted"


@probe(root=True)
def writable_cgroup(canary):
    for folder, _, names in os.walk("/sys/fs/cgroup", onerror=lambda error: None):
        if "cgroup.procs" in names:
            return opened_for_writing(folder + "/cgroup.procs")
    return None


@probe(root=True)
def release_agent(canary):
    for folder, _, names in os.walk("/sys/fs/cgroup", onerror=lambda error: None):
        if "release_agent" in names:
            return opened_for_writing(folder + "/release_agent")
    return None


@probe(root=True, needs={"terminal": True})
def type_into_a_terminal(canary):
    """TIOCSTI, and with a bit above those that the kernel looks at."""
    LIBC.ioctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_char_p]
    for request in (0x5412, 0x5412 | 1 << 32):
        if LIBC.ioctl(0, request, b"x") == 0:
            return "typed"
    return None
