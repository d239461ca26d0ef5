"""What goes wrong, in turn: kill -9 of every kind of process, then JetStream's whole store."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..stack import Process, Stack, StackError

#: How long a process may take to run again, and the stack to be ready.
RESTART_SECONDS_MAX = 60.0
#: Load without a fault, between two: so long, or half as long again or less.
CALM_SECONDS = 5.0


@dataclass(frozen=True)
class Disturbance:
    what: str
    #: Since the load began.
    at: float
    #: Until the process ran again, and until all orchestrators were ready.
    running_after: float
    ready_after: float


def process(stack: Stack, prefix: str, index: int = 0) -> Process:
    """The running process; waits for it when it is just being restarted."""
    limit = time.monotonic() + RESTART_SECONDS_MAX
    while time.monotonic() < limit:
        found = stack.processes(prefix)
        if len(found) > index and found[index].pid:
            return found[index]
        time.sleep(0.1)
    raise StackError(f"no process {prefix} number {index + 1} was running within {RESTART_SECONDS_MAX:.0f} s")


def kill(stack: Stack, prefix: str, index: int = 0) -> Callable[[], bool]:
    """Ends it at once; the answer tells whether it runs again."""
    victim = process(stack, prefix, index)
    os.kill(victim.pid, signal.SIGKILL)
    return lambda: process(stack, prefix, index).pid != victim.pid


def wipe_jetstream(stack: Stack) -> Callable[[], bool]:
    """Stops nats-server, takes its whole store away and lets it start with nothing.

    It is paused first and the store renamed, so that neither it nor its successor can find or write a part of it.
    """
    store = jetstream_folder(stack.folder)
    victim = process(stack, "nats")
    os.kill(victim.pid, signal.SIGSTOP)
    gone = store.rename(stack.folder / "wiped")
    os.kill(victim.pid, signal.SIGKILL)
    shutil.rmtree(gone)
    return lambda: process(stack, "nats").pid != victim.pid


def jetstream_folder(folder: Path) -> Path:
    """nats-server keeps all streams below a folder of this name; the outermost holds nothing else."""
    found = sorted((folder / "nats").rglob("jetstream"), key=lambda path: len(path.parts))
    if not found:
        raise StackError(f"there is no jetstream folder below {folder / 'nats'}")
    return found[0]


FAULTS: list[tuple[str, Callable[[Stack], Callable[[], bool]]]] = [
    ("kill -9 the first orchestrator", lambda stack: kill(stack, "orchestrator", 0)),
    ("kill -9 an agent-worker", lambda stack: kill(stack, "agent-sleeper", 0)),
    ("kill -9 nats-server", lambda stack: kill(stack, "nats")),
    ("kill -9 redis-server", lambda stack: kill(stack, "redis")),
    ("kill -9 postgres", lambda stack: kill(stack, "postgres")),
    ("kill -9 the second orchestrator", lambda stack: kill(stack, "orchestrator", 1)),
    ("stop nats-server, delete its JetStream store", wipe_jetstream),
]


def disturb(
    stack: Stack, name: str, fault: Callable[[Stack], Callable[[], bool]], start: float, chance: random.Random
) -> Disturbance:
    """Causes one fault, at a moment that nobody knows, and waits until everything runs again."""
    time.sleep(CALM_SECONDS * chance.uniform(0.5, 1.5))
    at = time.monotonic()
    runs_again = fault(stack)
    while not runs_again():
        if time.monotonic() - at > RESTART_SECONDS_MAX:
            raise StackError(f"{name}: it did not run again within {RESTART_SECONDS_MAX:.0f} s")
        time.sleep(0.1)
    running = time.monotonic()
    stack.wait_until_ready(RESTART_SECONDS_MAX)
    return Disturbance(name, at - start, running - at, time.monotonic() - at)
