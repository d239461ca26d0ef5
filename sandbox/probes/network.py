"""The network and every other kind of socket: to the host, to other tenants, to the hypervisor."""

import os
import socket
import struct

from probe import first, probe


def fetch(family, address):
    with socket.socket(family, socket.SOCK_STREAM) as connection:
        connection.settimeout(2)
        connection.connect(address)
        return connection.recv(200)


def ask(family, address):
    with socket.socket(family, socket.SOCK_DGRAM) as endpoint:
        endpoint.settimeout(2)
        endpoint.sendto(b"?", address)
        return endpoint.recv(200)


@probe()
def tcp_to_the_host(canary):
    return fetch(socket.AF_INET, ("127.0.0.1", canary["tcp4"]))


@probe()
def tcp_over_ipv6(canary):
    return fetch(socket.AF_INET6, ("::1", canary["tcp6"]))


@probe()
def tcp_by_mapped_address(canary):
    return fetch(socket.AF_INET6, ("::ffff:127.0.0.1", canary["tcp4"]))


@probe()
def udp_to_the_host(canary):
    return ask(socket.AF_INET, ("127.0.0.1", canary["udp4"]))


@probe()
def udp_over_ipv6(canary):
    return ask(socket.AF_INET6, ("::1", canary["udp6"]))


@probe()
def abstract_socket(canary):
    return fetch(socket.AF_UNIX, "\0" + canary["abstract"])


@probe()
def unix_socket(canary):
    return fetch(socket.AF_UNIX, canary["unix"])


@probe()
def datagram_pair_to_a_path(canary):
    """A pair needs no socket of its own to be bound or connected, and a datagram takes any address."""
    pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with pair[0], pair[1]:
        return pair[0].sendto(canary["marker"].encode(), canary["datagram"])


@probe()
def vsock(canary):
    """The way to the hypervisor, which network namespaces do not cover."""
    with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as endpoint:
        endpoint.bind((socket.VMADDR_CID_ANY, socket.VMADDR_PORT_ANY))
        return str(endpoint.getsockname())


@probe(root=True)
def raw_socket(canary):
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as endpoint:
        return endpoint.fileno() + 1


@probe(root=True)
def packet_socket(canary):
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as endpoint:
        return endpoint.fileno() + 1


@probe()
def host_interfaces(canary):
    """By netlink, by ioctl and by /proc: an interface of the host beside the loopback's."""
    return first(
        [
            lambda: [name for _, name in socket.if_nameindex() if name != "lo"],
            lambda: [line for line in open("/proc/net/dev") if ":" in line and "lo:" not in line],
        ]
    )


@probe()
def netlink(canary):
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as endpoint:
        endpoint.settimeout(2)
        endpoint.bind((0, 0))
        endpoint.send(struct.pack("<IHHIIBxxxIII", 32, 18, 0x301, 1, 0, 0, 0, 0, 0))  # RTM_GETLINK
        return len(endpoint.recv(4096)) > 40 and "answered"


@probe()
def routes_and_connections(canary):
    return first(
        [lambda n=name: "\n".join(open(f"/proc/net/{n}").read().splitlines()[1:]) for name in ("tcp", "udp", "unix")]
    )


@probe()
def crypto_socket(canary):
    """AF_ALG: the door of several privilege escalations."""
    with socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET, 0) as endpoint:
        endpoint.bind(("hash", "sha256"))
        return "bound"


@probe(judge="reached")
def a_server_for_the_host(canary):
    """Listens where run.py looks for it from outside."""
    with socket.create_server(("127.0.0.1", canary["free_port"])) as server:
        server.settimeout(3)
        connection, _ = server.accept()
        connection.sendall(canary["marker"].encode())
        connection.close()


@probe()
def other_families(canary):
    """Families that programs have no use for and that exploits had."""

    def made(family, kind, protocol):
        with socket.socket(family, kind, protocol) as endpoint:
            return endpoint.fileno() + 1

    families = [
        (41, 2, 0),
        (38, 5, 0),
        (16, 3, 15),
        (43, 2, 0),
        (21, 5, 0),
        (31, 3, 1),
        (30, 1, 0),
        (44, 3, 0),
        (16, 3, 16),
    ]
    return first([lambda f=family: made(*f) for family in families])


@probe()
def name_of_a_host(canary):
    """Datagrams without a connection: any address will do for a message to leave."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as endpoint:
        endpoint.connect(("127.0.0.1", canary["udp4"]))
        return os.write(endpoint.fileno(), b"leak")
