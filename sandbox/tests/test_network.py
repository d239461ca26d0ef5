"""A slot's network namespace, which its sandboxes enter one after the other: nothing of one is there for the next."""

import contextlib
import ctypes
import fcntl
import os
import socket
import struct
import threading
import time
import unittest

from .launching import CLONE_NEWNET, Sandbox, groups, new_network

LOOK = """
import os
print(os.readlink("/proc/self/ns/net"))
print(open("/proc/self/net/sockstat").readline().strip())
for line in open("/proc/self/net/unix").readlines()[1:]:
    print(line.strip())
"""

# A socket with a name, one that nobody has a descriptor of but the other's queue, and one that holds itself.
LEAVE = """
import os, socket
named = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
named.bind("\\0left-behind")
one, other = socket.socketpair()
socket.send_fds(one, [b"x"], [named.fileno(), one.fileno(), other.fileno()])
socket.send_fds(other, [b"x"], [one.fileno(), other.fileno()])
if os.fork() == 0:
    os.setsid()
    import time
    time.sleep(60)
print("left", flush=True)
"""


def run(code, network):
    with groups("network") as made:
        return Sandbox(code=code.encode(), groups=made, network=network).run()


def inside(network, action):
    """What a thread does in that namespace; it ends there."""
    done = []

    def enter():
        if ctypes.CDLL(None).setns(network, CLONE_NEWNET) == 0:
            done.append(action())

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    return done[0]


def add_interface():
    """Held by its descriptor."""
    fd = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(fd, 0x400454CA, struct.pack("16sH22x", b"planted", 0x0001))  # TUNSETIFF, IFF_TUN
    return fd


class Network(unittest.TestCase):
    def setUp(self):
        self.network = new_network()
        self.addCleanup(os.close, self.network)
        self.name = f"net:[{os.fstat(self.network).st_ino}]"

    def assert_own(self, result):
        """It went unharmed, in a namespace of its own, and its launcher says why."""
        self.assertEqual((result.status, result.record("layers")["network"]), ("ok", "unclean"))
        name, sockets, *others = result.stdout.decode().splitlines()
        self.assertNotIn(name, (self.name, os.readlink("/proc/self/ns/net")))
        self.assertEqual((sockets, others), ("sockets: used 0", []))

    def assert_empty_again(self):
        """The kernel lets go of some sockets a while after they were closed."""
        deadline = time.monotonic() + 30
        while run(LOOK, self.network).record("layers")["network"] != "slot":
            self.assertLess(time.monotonic(), deadline)

    def test_it_is_entered_again_and_again(self):
        for _ in range(3):
            result = run(LOOK, self.network)
            self.assertEqual((result.status, result.record("layers")["network"]), ("ok", "slot"))
            self.assertEqual(result.stdout.decode().splitlines(), [self.name, "sockets: used 0"])
        self.assertNotEqual(self.name, os.readlink("/proc/self/ns/net"))

    def test_without_one_a_sandbox_makes_its_own(self):
        result = run(LOOK, None)
        self.assertEqual((result.status, result.record("layers")["network"]), ("ok", "new"))
        self.assertNotIn(os.readlink("/proc/self/ns/net"), result.stdout.decode())

    def test_sockets_of_one_are_not_there_for_the_next(self):
        for _ in range(5):
            left = run(LEAVE, self.network)
            self.assertEqual((left.status, left.stdout), ("ok", b"left\n"), left.stderr)
            result = run(LOOK, self.network)
            self.assertEqual(result.status, "ok")
            self.assertEqual(result.stdout.decode().splitlines()[1:], ["sockets: used 0"])
            # The kernel may still be collecting; whoever comes then stays out.
            here = result.stdout.decode().splitlines()[0] == self.name
            self.assertEqual(result.record("layers")["network"], "slot" if here else "unclean")

    def test_a_socket_that_was_left_keeps_the_next_one_out(self):
        kinds = {
            "abstract": lambda: socket.socket(socket.AF_UNIX),
            "internet": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
            "packet": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
            "netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0),
        }
        for kind, make in kinds.items():
            with self.subTest(kind):
                planted = inside(self.network, make)
                if kind == "abstract":
                    planted.bind("\0planted")
                with planted:
                    self.assert_own(run(LOOK, self.network))
                self.assert_empty_again()

    def test_an_interface_keeps_the_next_one_out(self):
        if not os.path.exists("/dev/net/tun"):
            self.skipTest("this kernel makes no interfaces for programs")
        planted = inside(self.network, add_interface)
        with contextlib.closing(os.fdopen(planted, "rb", 0)):
            self.assert_own(run(LOOK, self.network))

    def test_that_of_the_host_is_refused(self):
        own = os.open("/proc/self/ns/net", os.O_RDONLY)
        self.addCleanup(os.close, own)
        other = os.open("/proc/self/ns/ipc", os.O_RDONLY)
        self.addCleanup(os.close, other)
        for fd in (own, other):
            result = run("print('ran')", fd)
            self.assertEqual((result.status, result.stdout), ("sandbox_error", b""))
            self.assertIsNotNone(result.record("error", stage="namespace", errno="22", at="--network-fd"))
            self.assertEqual(result.returncode, 125)

    def test_the_program_gets_no_socket_that_could_change_it(self):
        families = [socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK, socket.AF_PACKET]
        code = "import socket\n" + "".join(
            f"try: socket.socket({int(family)}, socket.SOCK_RAW)\nexcept OSError as error: print(error.errno)\n"
            for family in families
        )
        result = run(code, self.network)
        self.assertEqual((result.status, len(result.stdout.split())), ("ok", len(families)), result)


if __name__ == "__main__":
    unittest.main()
