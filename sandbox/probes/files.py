"""Files of the host: reading them, writing them, reaching them by another way than a path."""

import ctypes
import os
import pathlib
import stat
import subprocess

from probe import call, first, permitted, probe


def read(path):
    return pathlib.Path(path).read_bytes()


@probe()
def host_file(canary):
    return read(canary["secret"])


@probe(judge="host_passwd")
def the_seeds_line(canary):
    os.system("cat /etc/passwd")


@probe(root=True)
def shadow(canary):
    return read("/etc/shadow")


@probe()
def dot_dot(canary):
    os.chdir("/")
    return read("../" * 40 + canary["secret"])


@probe()
def through_proc_root(canary):
    places = [
        "/proc/self/root",
        "/proc/1/root",
        f"/proc/{os.getppid()}/root",
        f"/proc/{os.getppid()}/cwd/../../../../..",
    ]
    return first([lambda p=place: read(p + canary["secret"]) for place in places])


@probe(root=True)
def private_host_file(canary):
    return read(canary["private"])


@probe()
def everything_below_root(canary):
    """Walks all there is for a file with the canary's name."""
    for folder, folders, names in os.walk("/", onerror=lambda error: None):
        folders[:] = sorted((name for name in folders if name not in ("proc", "sys")), key=lambda name: name != "var")
        if os.path.basename(canary["secret"]) in names:
            return read(f"{folder}/{os.path.basename(canary['secret'])}")
    return None


@probe(judge="written")
def write_to_the_host(canary):
    pathlib.Path(canary["writable"], "written").write_text("x")


@probe(root=True)
def write_to_usr(canary):
    path = pathlib.Path("/usr/lib/golden-probe")
    path.write_text("x")
    path.unlink()
    return "written"


@probe(root=True)
def chmod_of_a_shown_file(canary):
    mode = stat.S_IMODE(os.stat("/usr/bin/env").st_mode)
    os.chmod("/usr/bin/env", mode)
    return "changed"


@probe(needs={"box": "code"})
def write_to_its_own_code(canary):
    """The sources are read-only, so that what ran is what was sent."""
    with open(canary["main"], "a") as file:
        file.write("#")
    return "appended"


@probe()
def hard_link_to_a_host_file(canary):
    os.link(canary["own"], canary["tmp"] + "/link")
    return read(canary["tmp"] + "/link")


@probe(root=True)
def device_node(canary):
    """A node for the null device, made where one may write."""
    path = canary["tmp"] + "/node"
    os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    os.unlink(path)
    return "made"


@probe(root=True)
def disk_node(canary):
    """A node for the disk that the host's root lies on."""
    path, device = canary["tmp"] + "/disk", canary["disk"]
    os.mknod(path, 0o600 | stat.S_IFBLK, os.makedev(*device))
    try:
        with open(path, "rb") as disk:
            return len(disk.read(512))
    finally:
        os.unlink(path)


@probe(root=True)
def by_handle(canary):
    """open_by_handle_at: files by number instead of by path, below whatever mount one has."""

    class Handle(ctypes.Structure):
        _fields_ = [("bytes", ctypes.c_uint), ("type", ctypes.c_int), ("data", ctypes.c_ubyte * 128)]

    handle, mount = Handle(bytes=128), ctypes.c_int()
    call("name_to_handle_at", -100, "/usr/bin/env", ctypes.byref(handle), ctypes.byref(mount), 0)
    directory = os.open("/usr/bin", os.O_RDONLY)
    return os.read(call("open_by_handle_at", directory, ctypes.byref(handle), os.O_RDONLY), 4)


@probe(needs={"inherit": True})
def inherited_descriptor(canary):
    def take(fd):
        os.lseek(fd, 0, os.SEEK_SET)
        data = os.read(fd, 4096)
        return data if canary["marker"].encode() in data else None

    return first([lambda fd=fd: take(fd) for fd in range(3, 512)])


@probe(needs={"setuid": True})
def setuid_program(canary):
    """A copy of `id` that belongs to root and has the setuid bit, shown to the sandbox."""
    output = subprocess.run([canary["setuid"] + "/id", "-u"], capture_output=True).stdout
    return "root" if output.strip() == b"0" else None


@probe(needs={"setuid": True})
def file_with_capabilities(canary):
    """A copy of `cat` that may read every file."""
    output = subprocess.run([canary["setuid"] + "/cat", canary["setuid"] + "/private"], capture_output=True).stdout
    return output


@probe(root=True)
def raw_devices(canary):
    def open_it(path):
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
        return path

    names = [
        "mem",
        "kmem",
        "kmsg",
        "kvm",
        "fuse",
        "net/tun",
        "vhost-vsock",
        "loop-control",
        "tty",
        "tty0",
        "console",
        "vda",
        "sda",
    ]
    return first([lambda n=name: open_it("/dev/" + n) for name in names])


@probe(root=True)
def chroot(canary):
    call("chroot", canary["tmp"])
    return "changed"


@probe(root=True)
def quota(canary):
    """Asks for a quota of a disk: past the check it only finds no disk."""
    return permitted("quotactl", 0x80000800, "/dev/none", 0, ctypes.create_string_buffer(128), harmless=[2, 3, 15, 20])
