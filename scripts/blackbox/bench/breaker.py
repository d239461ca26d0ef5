"""What a closed circuit breaker costs a call, and how fast a fleet of three processes hears of a transition.

Runs: a redis-server and a nats-server of its own, so that every command counted is the breaker's, and three processes
of breaker-replica, each one replica with one breaker. The cost stands beside an uncontended lock and a look at the
clock, timed the same way in the same process. Propagation is from before an operator's command is sent until the last
of the three acts by it, on one clock.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from statistics import median, quantiles
from typing import IO

from ..stack import binaries, free_ports
from .report import Row, below, exactly, note

NAME = "breaker"
REPLICAS = 3
CALLS = 2_000_000
TRANSITIONS = 200
START_SECONDS_MAX = 10
#: No look at the fleet's state falls into the measurement, which lasts seconds.
IDLE_INTERVAL_MS = 3_600_000


class Replica:
    """One process, spoken to by lines; its answers carry the microseconds of the machine's common clock."""

    def __init__(self, name: str, redis: str, nats: str, *options: str) -> None:
        program = str(binaries() / "breaker-replica")
        self._process = subprocess.Popen(
            [program, "--name", name, "--replicas", str(REPLICAS), *options], text=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env=os.environ | {"GOLDEN_REDIS_URL": redis, "GOLDEN_NATS_URL": nats},
        )

    def tell(self, line: str) -> None:
        _pipe(self._process.stdin).write(line + "\n")

    def hear(self, words: str) -> tuple[int, list[str]]:
        """When it said the next line that begins with these words, and the rest of it."""
        for line in _pipe(self._process.stdout):
            stamp, _, text = line.rstrip("\n").partition(" ")
            if text == words or text.startswith(words + " "):
                return int(stamp), text[len(words):].split()
            if text.startswith("error"):
                raise RuntimeError(f"breaker-replica says: {text}")
        raise RuntimeError(f"breaker-replica ended without saying: {words}")

    def ask(self, line: str) -> list[str]:
        self.tell(line)
        return self.hear(f"done {line}")[1]

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe


def is_open(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


@contextmanager
def server(port: int, *command: str) -> Iterator[None]:
    """A server on that port, gone afterwards."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + START_SECONDS_MAX
        while not is_open(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command[0]} did not start")
            time.sleep(0.02)
        yield
    finally:
        process.kill()
        process.wait()


def commands(port: int) -> int:
    """Commands the server has run since its counters were reset, apart from those that ask and reset."""
    done = subprocess.run(
        ["redis-cli", "-p", str(port), "INFO", "commandstats"], capture_output=True, text=True, check=True, timeout=10
    )
    counted = 0
    for line in done.stdout.splitlines():
        # cmdstat_evalsha:calls=3,usec=…
        name, _, values = line.partition(":calls=")
        if values and not name.startswith(("cmdstat_info", "cmdstat_config")):
            counted += int(values.split(",")[0])
    return counted


def cost(replica: Replica, port: int) -> list[Row]:
    subprocess.run(["redis-cli", "-p", str(port), "CONFIG", "RESETSTAT"], capture_output=True, check=True, timeout=10)
    numbers = dict(word.split("=") for word in replica.ask(f"measure {CALLS}"))
    asked = commands(port)
    if numbers["state"] != "closed" or int(numbers["counted"]) == 0:
        raise RuntimeError(f"the breaker did not stay closed, or counted nothing: {numbers}")
    reference = float(numbers["lock"])

    def against(row: str, name: str) -> Row:
        value = float(numbers[name])
        return Row(NAME, row, value, "ns", reference, value / reference, "< 1000 ns", value < 1000)

    return [
        against("decision while closed", "decision"),
        against("decision while closed, p99 of batches", "decision_p99"),
        against("decision and its outcome counted", "call"),
        Row(NAME, "the same from two tasks at once", float(numbers["shared"]), "ns"),
        Row(NAME, "a lock and its release", reference, "ns"),
        Row(NAME, "a look at the clock", float(numbers["clock"]), "ns"),
        exactly(0, NAME, f"Redis commands for {CALLS * 4:,} decisions", asked, "commands"),
    ]


def propagation(replicas: list[Replica]) -> list[Row]:
    first = replicas[0]
    milliseconds: list[float] = []
    for number in range(TRANSITIONS):
        line, state = ("open", "open") if number % 2 == 0 else ("reset", "closed")
        first.tell(line)
        start, _ = first.hear(f"begins {line}")
        last = max(replica.hear(f"state {state}")[0] for replica in replicas)
        milliseconds.append((last - start) / 1000)
    return [
        below(100, NAME, "a transition heard by all of three processes, p99",
              quantiles(milliseconds, n=100, method="inclusive")[98], "ms"),
        Row(NAME, "the same, p50", median(milliseconds), "ms"),
    ]


def bench(tell: Callable[[str], None] = note) -> list[Row]:
    folder = tempfile.mkdtemp(prefix="golden-breaker-")
    try:
        with ExitStack() as stack:
            redis_port = free_ports(2)
            nats_port = redis_port + 1
            stack.enter_context(server(
                redis_port, "redis-server", "--bind", "127.0.0.1", "--port", str(redis_port), "--save", "",
                "--appendonly", "no", "--dir", folder,
            ))
            stack.enter_context(server(nats_port, "nats-server", "-a", "127.0.0.1", "-p", str(nats_port)))
            redis, nats = f"redis://127.0.0.1:{redis_port}/0", f"nats://127.0.0.1:{nats_port}"

            tell(f"breaker: {CALLS:,} calls while closed")
            alone = Replica("alone", redis, nats, "--interval", str(IDLE_INTERVAL_MS))
            stack.callback(alone.stop)
            alone.hear("ready")
            # Known to the fleet, so that it decides as one of it.
            while alone.ask("state")[3] != "shared":
                time.sleep(0.05)
            rows = cost(alone, redis_port)
            alone.stop()

            tell(f"breaker: {TRANSITIONS} transitions through three processes")
            replicas = [Replica(f"replica-{number}", redis, nats) for number in range(REPLICAS)]
            for replica in replicas:
                stack.callback(replica.stop)
                replica.hear("ready")
            for replica in replicas:
                while replica.ask("state")[3] != "shared":
                    time.sleep(0.05)
            return rows + propagation(replicas)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
