#!/usr/bin/env python3
"""Compiles the policies of this folder into seccomp filters.

    compile.py            writes NAME.x86_64.bpf and NAME.aarch64.bpf for every NAME.policy
    compile.py --check    compares them with what is written, exit 1 when they differ

The filters are committed, so that running Golden needs no libseccomp; compiling them needs libseccomp.so.2, whose own
compiler does the work. A filter is an array of struct sock_filter as the kernel takes it.
"""

import ctypes
import ctypes.util
import errno
import os
import pathlib
import re
import sys
import tempfile

FOLDER = pathlib.Path(__file__).resolve().parent
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}  # AUDIT_ARCH_*, which libseccomp's tokens are

ALLOW, KILL_PROCESS, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
COMPARE = {"!=": 1, "==": 4, "&": 7}  # enum scmp_compare
ATTRIBUTE_BAD_ARCHITECTURE, ATTRIBUTE_OPTIMIZE = 2, 8


class Comparison(ctypes.Structure):
    """struct scmp_arg_cmp"""

    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


def error_action(name):
    return ERRNO | getattr(errno, name)


class Policy:
    """One policy's text: for each system call its rules, (action, conditions that must all hold), in the order they are written."""

    CONDITION = re.compile(r"^(int )?arg([0-5]) (?:(==|!=) (\S+)|& (\S+) == (\S+))$")

    def __init__(self, path):
        self.rules, self.words = {}, {}
        self._read(path)

    def _read(self, path):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            line = line.split("#")[0].strip()
            if line:
                try:
                    self._take(path, line)
                except (ValueError, KeyError, AttributeError, IndexError) as reason:
                    sys.exit(f"{path.name}:{number}: {line}: {reason!r}")

    def _take(self, path, line):
        line, _, condition = line.partition(" if ")
        verb, *names = line.split()
        if verb == "define":
            self.words[names[0]] = int(names[1], 0)
        elif verb == "include":
            self._read(path.with_name(names[0] + ".policy"))
        elif verb == "forget":
            for name in names:
                del self.rules[name]
        elif verb == "allow":
            self._add(names, ALLOW, condition)
        elif verb == "deny":
            self._add(names[1:], error_action(names[0]), condition)
        else:
            raise ValueError(verb)

    def _add(self, names, action, condition):
        parsed = [self._condition(part) for part in condition.split(" and ")] if condition else []
        for name in names:
            rules = self.rules.setdefault(name, [])
            if any(not parsed or not old for _, old in rules):
                raise ValueError(f"{name} is unconditional and named twice")
            rules.append((action, parsed))

    def _condition(self, text):
        """(argument, comparison, first value, second value)"""
        is_int, argument, compare, value, mask, masked = self.CONDITION.match(text).groups()
        if mask:
            return int(argument), "&", self._value(mask), self._value(masked)
        if is_int:
            if compare != "==":
                raise ValueError("an int is compared by ==")
            return int(argument), "&", 0xFFFFFFFF, self._value(value)
        return int(argument), compare, self._value(value), 0

    def _value(self, word):
        return self.words[word] if word in self.words else int(word, 0)


class Library:
    """libseccomp, as far as compiling takes it."""

    def __init__(self):
        self.c = ctypes.CDLL(ctypes.util.find_library("seccomp") or "libseccomp.so.2")
        self.c.seccomp_init.restype = ctypes.c_void_p
        self.c.seccomp_arch_native.restype = ctypes.c_uint32
        self.c.seccomp_syscall_resolve_name.argtypes = [ctypes.c_char_p]
        self.c.seccomp_syscall_resolve_name_arch.argtypes = [ctypes.c_uint32, ctypes.c_char_p]

    def version(self):
        class Version(ctypes.Structure):
            _fields_ = [("major", ctypes.c_uint), ("minor", ctypes.c_uint), ("micro", ctypes.c_uint)]

        self.c.seccomp_version.restype = ctypes.POINTER(Version)
        found = self.c.seccomp_version().contents
        return (found.major, found.minor, found.micro)

    def number(self, architecture, name):
        """The system call's number there, or None where it has none."""
        number = self.c.seccomp_syscall_resolve_name_arch(ARCHITECTURES[architecture], name.encode())
        return number if number >= 0 else None

    def compile(self, policy, architecture):
        token = ARCHITECTURES[architecture]
        filter = ctypes.c_void_p(self.c.seccomp_init(error_action("ENOSYS")))
        try:
            native = self.c.seccomp_arch_native()
            if token != native:
                self._checked(self.c.seccomp_arch_add(filter, token), "arch_add")
                self._checked(self.c.seccomp_arch_remove(filter, native), "arch_remove")
            self._checked(self.c.seccomp_attr_set(filter, ATTRIBUTE_BAD_ARCHITECTURE, KILL_PROCESS), "attr")
            self._checked(self.c.seccomp_attr_set(filter, ATTRIBUTE_OPTIMIZE, 2), "attr")
            for name, rules in sorted(policy.rules.items()):
                self._add(filter, architecture, name, rules)
            return self._export(filter)
        finally:
            self.c.seccomp_release(filter)

    def _add(self, filter, architecture, name, rules):
        number = self.c.seccomp_syscall_resolve_name(name.encode())
        if number == -1:
            sys.exit(f"libseccomp {self.version()} knows no system call {name}")
        if self.number(architecture, name) is None:
            return
        for action, conditions in rules:
            comparisons = (Comparison * 6)()
            for position, (argument, compare, first, second) in enumerate(conditions):
                comparisons[position] = Comparison(argument, COMPARE[compare], first, second)
            added = self.c.seccomp_rule_add_array(
                filter, ctypes.c_uint32(action), number, ctypes.c_uint(len(conditions)), comparisons
            )
            self._checked(added, name)

    def _export(self, filter):
        with tempfile.TemporaryFile() as file:
            self._checked(self.c.seccomp_export_bpf(filter, file.fileno()), "export")
            file.seek(0)
            return file.read()

    @staticmethod
    def _checked(result, what):
        if result != 0:
            sys.exit(f"libseccomp: {what}: {os.strerror(-result)}")


def main():
    check = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not check:
        sys.exit(__doc__)
    library, differing = Library(), []
    for path in sorted(FOLDER.glob("*.policy")):
        for architecture in ARCHITECTURES:
            target = path.with_suffix(f".{architecture}.bpf")
            compiled = library.compile(Policy(path), architecture)
            if not check:
                target.write_bytes(compiled)
                print(f"{target.name}: {len(compiled) // 8} instructions")
            elif not target.exists() or target.read_bytes() != compiled:
                differing.append(target.name)
    if differing:
        sys.exit(f"not compiled from their policies: {', '.join(differing)}")


if __name__ == "__main__":
    main()
