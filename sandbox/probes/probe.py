"""What every probe is made of. Inside a sandbox this file is the program: it runs one probe of one category.

A probe is a function that tries one thing and returns evidence when it succeeded. What it may attack is in `canary`,
put there by run.py, which runs every probe outside the sandbox first: a probe that cannot succeed there proves nothing.
"""

import ctypes
import importlib
import json
import os
import platform
import sys

PROBES = {}


class Probe:
    def __init__(self, function, root, judge, needs):
        self.function, self.root, self.judge, self.needs = function, root, judge, needs
        self.category, self.name = function.__module__, function.__name__


def probe(root=False, judge="said", needs=None):
    """root: outside, only root succeeds. judge: who decides in run.py. needs: options for how it is run."""

    def register(function):
        PROBES[function.__name__] = Probe(function, root, judge, needs or {})
        return function

    return register


X86 = {
    "clone": 56,
    "ptrace": 101,
    "syslog": 103,
    "personality": 135,
    "modify_ldt": 154,
    "pivot_root": 155,
    "chroot": 161,
    "mount": 165,
    "umount2": 166,
    "swapon": 167,
    "reboot": 169,
    "sethostname": 170,
    "iopl": 172,
    "quotactl": 179,
    "shmget": 29,
    "semget": 64,
    "msgget": 68,
    "add_key": 248,
    "keyctl": 250,
    "unshare": 272,
    "vmsplice": 278,
    "perf_event_open": 298,
    "fanotify_init": 300,
    "name_to_handle_at": 303,
    "open_by_handle_at": 304,
    "setns": 308,
    "process_vm_readv": 310,
    "process_vm_writev": 311,
    "kcmp": 312,
    "finit_module": 313,
    "seccomp": 317,
    "bpf": 321,
    "userfaultfd": 323,
    "kexec_load": 246,
    "mq_open": 240,
    "settimeofday": 164,
    "tgkill": 234,
    "prlimit64": 302,
}
ARM = {
    "clone": 220,
    "ptrace": 117,
    "syslog": 116,
    "personality": 92,
    "pivot_root": 41,
    "chroot": 51,
    "mount": 40,
    "umount2": 39,
    "swapon": 224,
    "reboot": 142,
    "sethostname": 161,
    "quotactl": 60,
    "shmget": 194,
    "semget": 190,
    "msgget": 186,
    "add_key": 217,
    "keyctl": 219,
    "unshare": 97,
    "vmsplice": 75,
    "perf_event_open": 241,
    "fanotify_init": 262,
    "name_to_handle_at": 264,
    "open_by_handle_at": 265,
    "setns": 268,
    "process_vm_readv": 270,
    "process_vm_writev": 271,
    "kcmp": 272,
    "finit_module": 273,
    "seccomp": 277,
    "bpf": 280,
    "userfaultfd": 282,
    "kexec_load": 104,
    "mq_open": 180,
    "settimeofday": 170,
    "tgkill": 131,
    "prlimit64": 261,
}
BOTH = {
    "io_uring_setup": 425,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "clone3": 435,
    "pidfd_getfd": 438,
    "pidfd_open": 434,
    "pidfd_send_signal": 424,
    "mount_setattr": 442,
    "memfd_secret": 447,
}
NUMBERS = {**BOTH, **(X86 if platform.machine() == "x86_64" else ARM)}
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.syscall.restype = ctypes.c_long


def call(name, *arguments):
    """A system call by its name; strings and buffers are passed by reference, errors are raised."""
    words = []
    for argument in arguments:
        if isinstance(argument, str):
            argument = argument.encode()
        words.append(ctypes.c_long(argument) if isinstance(argument, int) else argument)
    result = LIBC.syscall(ctypes.c_long(NUMBERS[name]), *words)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), name)
    return result


def permitted(name, *arguments, harmless):
    """True when the call came past its permission checks: it worked, or failed with one of the harmless errors."""
    try:
        call(name, *arguments)
    except OSError as error:
        if error.errno in harmless:
            return os.strerror(error.errno)
        raise
    return "done"


def first(attempts):
    """The first evidence among several ways to one thing; the last error when there is none."""
    last = None
    for attempt in attempts:
        try:
            evidence = attempt()
            if evidence:
                return evidence
        except Exception as error:  # any way may fail in any manner
            last = error
    if last:
        raise last
    return None


def main():
    category, name = sys.argv[1:3]
    # In a file and not among the arguments: probes search those of other processes for it.
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "canary.json")) as file:
        canary = json.load(file)
    # Categories import this file by its own name: there is one table.
    sys.modules["probe"] = sys.modules["__main__"]
    importlib.import_module(category)
    print("TRY", name, flush=True)
    try:
        evidence = PROBES[name].function(canary)
    except BaseException as error:
        print("NO", type(error).__name__, error, flush=True)
        sys.exit(1)
    print("GOT" if evidence else "NO", evidence, flush=True)


if __name__ == "__main__":
    main()
