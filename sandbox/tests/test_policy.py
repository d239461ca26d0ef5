"""The committed filters are what their policies say: compiled again they are the same, and run instruction by
instruction in an interpreter of our own they decide as the policies' text does, for every call and hostile arguments.
"""

import itertools
import pathlib
import struct
import sys
import unittest

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "policy"
sys.path.insert(0, str(FOLDER))
import compile as policy_compiler  # noqa: E402

COMPILED_BY = (2, 5, 4)  # Debian 12's libseccomp; another one may order its tree otherwise
SYSTEM_CALLS = range(0, 1024)
X32 = 0x40000000
TIOCSTI, AF_INET, AF_INET6, AF_VSOCK, CLONE_NEWUSER = 0x5412, 2, 10, 40, 0x10000000
AF_UNIX, SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET = 1, 1, 2, 3, 5
SOCK_CLOEXEC, SOCK_NONBLOCK = 0o2000000, 0o4000


def decide(filter, architecture, number, arguments):
    """What the kernel would answer: a seccomp filter is classic BPF over struct seccomp_data."""
    data = struct.pack("<IIQ6Q", number, architecture, 0, *arguments)
    accumulator, at = 0, 0
    while True:
        code, jump_true, jump_false, value = struct.unpack_from("<HBBI", filter, 8 * at)
        at += 1
        if code == 0x20:  # load a word
            (accumulator,) = struct.unpack_from("<I", data, value)
        elif code == 0x54:  # and
            accumulator &= value
        elif code == 0x05:  # jump
            at += value
        elif code in (0x15, 0x25, 0x35, 0x45):  # jump if equal, greater, greater or equal, any bit
            tests = {0x15: accumulator == value, 0x25: accumulator > value, 0x35: accumulator >= value}
            at += jump_true if tests.get(code, bool(accumulator & value)) else jump_false
        elif code == 0x06:  # return
            return value
        else:
            raise AssertionError(f"instruction {code:#x} at {at - 1}")


def expected(rules, arguments):
    """What the policy's text says."""
    tests = {"==": lambda value, first, _: value == first, "!=": lambda value, first, _: value != first}
    tests["&"] = lambda value, mask, masked: value & mask == masked
    for action, conditions in rules:
        if all(tests[compare](arguments[position], first, second) for position, compare, first, second in conditions):
            return action
    return policy_compiler.error_action("ENOSYS")


def interesting(rules):
    """Arguments around every value that a rule names, with and without high bits."""
    values = {0, 1, 2**32 - 1, 2**32, 2**63, 2**64 - 1}
    used = {0}
    for _, conditions in rules:
        for position, _, *named in conditions:
            used.add(position)
            for value in named:
                values |= {value, value + 1, value ^ 1, value | 2**32, value | 2**63, ~value & 2**64 - 1}
    values = sorted({value & 2**64 - 1 for value in values})
    for chosen in itertools.product(values if len(used) < 3 else values[:24], repeat=len(used)):
        arguments = [0] * 6
        for position, value in zip(sorted(used), chosen):
            arguments[position] = value
        yield arguments


class Filters(unittest.TestCase):
    def setUp(self):
        self.library = policy_compiler.Library()

    def each(self):
        for path, architecture in itertools.product(sorted(FOLDER.glob("*.policy")), policy_compiler.ARCHITECTURES):
            yield path, architecture, path.with_suffix(f".{architecture}.bpf").read_bytes()

    def test_compiled_again_they_are_the_same(self):
        if self.library.version() != COMPILED_BY:
            self.skipTest(f"libseccomp {self.library.version()}: test_they_decide_as_their_text_says covers it")
        for path, architecture, filter in self.each():
            self.assertEqual(self.library.compile(policy_compiler.Policy(path), architecture), filter)

    def test_they_decide_as_their_text_says(self):
        for path, architecture, filter in self.each():
            token, policy, known, checked = (
                policy_compiler.ARCHITECTURES[architecture],
                policy_compiler.Policy(path),
                {},
                0,
            )
            for name, rules in policy.rules.items():
                number = self.library.number(architecture, name)
                if number is None:
                    continue
                known[number] = name
                for arguments in interesting(rules):
                    self.assertEqual(
                        decide(filter, token, number, arguments), expected(rules, arguments), (name, arguments)
                    )
                    checked += 1
            for number in set(SYSTEM_CALLS) - known.keys():
                self.assertEqual(decide(filter, token, number, [0] * 6), policy_compiler.error_action("ENOSYS"), number)
            self.assertGreater(checked, 1000)

    def test_other_architectures_are_killed(self):
        for _, architecture, filter in self.each():
            for other in (0x40000003, 0xC000003E, 0xC00000B7, 0x40000028):  # i386, x86_64, aarch64, arm
                if other != policy_compiler.ARCHITECTURES[architecture]:
                    self.assertEqual(decide(filter, other, 0, [0] * 6), policy_compiler.KILL_PROCESS)
            if architecture == "x86_64":
                for number in (0, 59, 520):
                    self.assertNotEqual(decide(filter, 0xC000003E, X32 | number, [0] * 6), policy_compiler.ALLOW)

    def test_known_ways_out_are_closed(self):
        hostile = [
            ("ioctl", [0, TIOCSTI]),
            ("ioctl", [0, TIOCSTI | 2**32]),
            ("ioctl", [0, TIOCSTI | 2**63]),
            ("socket", [AF_INET]),
            ("socket", [AF_INET6]),
            ("socket", [AF_VSOCK]),
            ("socket", [AF_INET | 2**32]),
            ("socketpair", [AF_INET, SOCK_STREAM]),
            ("clone", [CLONE_NEWUSER | 17]),
            ("clone", [0x20000 | 17]),
            ("prctl", [22, 2]),
            ("personality", [0x40000]),
            ("prlimit64", [1]),
            ("mknod", [0, 0o020666]),
            ("mknod", [0, 0o060666]),
            *[
                (name, [])
                for name in (
                    "clone3",
                    "unshare",
                    "setns",
                    "mount",
                    "bpf",
                    "ptrace",
                    "keyctl",
                    "io_uring_setup",
                    "userfaultfd",
                    "perf_event_open",
                    "process_vm_readv",
                    "pidfd_getfd",
                    "open_by_handle_at",
                    "kexec_load",
                    "memfd_secret",
                    "inotify_init",
                    "inotify_init1",
                )
            ],
        ]
        for _, architecture, filter in self.each():
            for name, arguments in hostile:
                if self.library.number(architecture, name) is not None:
                    answer = self.answer(filter, architecture, name, arguments)
                    self.assertNotEqual(answer, policy_compiler.ALLOW, (architecture, name, arguments))

    def test_where_paths_of_the_host_are_in_sight_no_pair_takes_one(self):
        allowed = {SOCK_STREAM: True, SOCK_SEQPACKET: True, SOCK_DGRAM: False, SOCK_RAW: False}
        for path, architecture, filter in self.each():
            for kind, flags in itertools.product(allowed, (0, SOCK_CLOEXEC | SOCK_NONBLOCK)):
                answer = self.answer(filter, architecture, "socketpair", [AF_UNIX, kind | flags])
                wanted = path.stem == "strict" or allowed[kind]
                self.assertEqual(answer == policy_compiler.ALLOW, wanted, (path.stem, architecture, kind, flags))

    def answer(self, filter, architecture, name, arguments):
        number = self.library.number(architecture, name)
        return decide(filter, policy_compiler.ARCHITECTURES[architecture], number, (arguments + [0] * 6)[:6])


if __name__ == "__main__":
    unittest.main()
