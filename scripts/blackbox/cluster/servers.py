"""Who leads, and whether all follow: asked of the servers themselves, as a client of each would."""

from __future__ import annotations

import json
import socket
import subprocess
import time
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from ..stack import Process, Stack, StackError

TIMEOUT_SECONDS = 3.0
#: How long a cluster may take to find another leader, or to be whole again.
WHOLE_SECONDS_MAX = 90.0
TOOK_OVER = "another server took over from each that was killed"


def jetstream(stack: Stack, subject: str) -> Any:
    """The answer of one of the servers to a JetStream request; None when none gives one."""
    for url in stack.status()["stores"]["nats"].split(","):
        parts = urlsplit(url)
        try:
            return _request(int(parts.port or 0), str(parts.username), str(parts.password), subject)
        except (OSError, ValueError, IndexError):
            continue
    return None


def _request(port: int, user: str, password: str, subject: str) -> Any:
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS) as connection:
        lines = connection.makefile("rb")
        lines.readline()  # INFO
        options = json.dumps({"user": user, "pass": password, "verbose": False, "lang": "python"})
        inbox = f"_INBOX.{uuid.uuid4().hex}"
        connection.sendall(f"CONNECT {options}\r\nSUB {inbox} 1\r\nPUB {subject} {inbox} 0\r\n\r\n".encode())
        while line := lines.readline():
            if line.startswith(b"MSG"):
                return json.loads(lines.read(int(line.split()[-1])))
            if line.startswith(b"PING"):
                connection.sendall(b"PONG\r\n")
            if line.startswith(b"-ERR"):
                raise ValueError(line.decode())
    raise ValueError("no answer")


def jetstream_leader(stack: Stack, stream: str) -> Process:
    """The server that leads the stream."""
    answer = jetstream(stack, f"$JS.API.STREAM.INFO.{stream}")
    leader = str((answer or {}).get("cluster", {}).get("leader", ""))
    return _process(stack, leader.removeprefix("golden-"))


def replicas(stack: Stack, stream: str) -> int:
    """How many servers keep a copy and are not behind."""
    answer = jetstream(stack, f"$JS.API.STREAM.INFO.{stream}") or {}
    return 1 + sum(bool(peer.get("current")) for peer in answer.get("cluster", {}).get("replicas", []))


def redis_master(stack: Stack) -> Process:
    for process in stack.processes("redis-"):
        if b"role:master" in _replication(stack, process):
            return process
    raise StackError("no Redis server calls itself master")


def is_copied(stack: Stack) -> bool:
    """A replica follows the Redis master, and has all it had when it joined."""
    return any(b"state=online" in _replication(stack, process) for process in stack.processes("redis-"))


def _replication(stack: Stack, process: Process) -> bytes:
    """What a Redis server says of its part; nothing when it does not answer."""
    password = urlsplit(stack.redis_url.split(",")[0]).password
    answer = b""
    try:
        with socket.create_connection(("127.0.0.1", port(stack, process)), timeout=TIMEOUT_SECONDS) as connection:
            connection.sendall(f"AUTH {password}\r\nINFO replication\r\nQUIT\r\n".encode())
            while part := connection.recv(4096):
                answer += part
    except OSError:
        pass
    return answer


def postgres_primary(stack: Stack) -> Process:
    for process in stack.processes("postgres-"):
        environment = stack.database.environment | {
            "PGHOST": "127.0.0.1", "PGPORT": str(port(stack, process)), "PGTARGETSESSIONATTRS": "read-write",
            "PGCONNECT_TIMEOUT": "3",
        }
        done = subprocess.run(["psql", "--no-psqlrc", "-c", "SELECT 1"], env=environment, capture_output=True)
        if done.returncode == 0:
            return process
    raise StackError("no Postgres server takes writes")


def is_synchronous(stack: Stack) -> bool:
    """What is committed on the primary is on the standby, too; a plain account sees no more of it than the setting."""
    try:
        return stack.database.rows("SHOW synchronous_standby_names") == [["*"]]
    except RuntimeError:
        return False


def port(stack: Stack, process: Process) -> int:
    for entry in stack.status()["processes"]:
        if entry["name"] == process.name:
            return int(entry["address"].rpartition(":")[2])
    raise StackError(f"{process.name} has no address")


def _process(stack: Stack, name: str) -> Process:
    for process in stack.processes(name):
        if process.name == name and process.pid:
            return process
    raise StackError(f"the leader {name!r} is no running process")


def wait_for(find: Callable[[], Process], fits: Callable[[Process], bool], otherwise: str) -> Process:
    limit = time.monotonic() + WHOLE_SECONDS_MAX
    while time.monotonic() < limit:
        try:
            found = find()
            if fits(found):
                return found
        except (StackError, RuntimeError, OSError):
            pass  # Nobody leads at the moment.
        time.sleep(0.1)
    raise StackError(f"{otherwise} within {WHOLE_SECONDS_MAX:.0f} s")


def wait(until: Callable[[], bool], otherwise: str) -> None:
    limit = time.monotonic() + WHOLE_SECONDS_MAX
    while not until():
        if time.monotonic() > limit:
            raise StackError(f"{otherwise} within {WHOLE_SECONDS_MAX:.0f} s")
        time.sleep(0.5)
