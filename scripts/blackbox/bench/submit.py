"""POST /tasks at 64 connections: rate, p99, and the orchestrator's memory meanwhile.

Runs: one orchestrator, the three stores, and wrk, all on the same cores. The tasks are for a role that no agent serves,
so that accepting is measured alone; the way through an agent is `e2e`'s.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from ..stack import Process, Stack
from ..wrk import CONNECTIONS, Submitter
from .reference import Bracket
from .report import Row, below, exactly, note, ratio_at_least

NAME = "submit"
ROLE = "nobody"
WARM_SECONDS = 3
SECONDS = 15
SAMPLE_SECONDS = 0.25


class PeakMemory:
    """Watches the resident memory of processes while a block runs."""

    def __init__(self, processes: list[Process]) -> None:
        self._processes = processes
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.mib = 0.0

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(SAMPLE_SECONDS):
            self.mib = max([self.mib, *(process.resident_mib for process in self._processes)])


def lost(stack: Stack, submitter: Submitter, answers: int) -> float:
    """Answers without a task in the database. wrk hangs up on what is under way at the end, so more tasks are fine."""
    stored = stack.database.number("SELECT count(*) FROM tasks WHERE name = :'run'", run=submitter.run)
    return max(answers - stored, 0) + max(stored - answers - CONNECTIONS, 0)


def bench(tell: Callable[[str], None] = note) -> list[Row]:
    with Stack() as stack:
        check_one(stack)
        Submitter(stack.urls[0], stack.token(), ROLE).for_seconds(WARM_SECONDS)
        tell("submit: the reference, then 64 connections, then the reference again")
        reference = Bracket(stack.database)
        submitter = Submitter(stack.urls[0], stack.token(), ROLE)
        with PeakMemory(stack.processes("orchestrator")) as memory:
            load = submitter.for_seconds(SECONDS)
        return [
            ratio_at_least(0.5, NAME, "POST /tasks", load.rate, "1/s", reference.close()),
            below(50, NAME, "p99", load.p99, "ms"),
            Row(NAME, "p50", load.p50, "ms"),
            exactly(0, NAME, "errors", load.bad_status + load.broken, "answers"),
            exactly(0, NAME, "answers that do not match the tasks stored", lost(stack, submitter, load.answers), ""),
            below(250, NAME, "orchestrator under this load", memory.mib, "MiB"),
        ]


def check_one(stack: Stack) -> None:
    """A single request first, whose answer is read: wrk counts statuses only."""
    client = stack.client()
    answer = client.submit({"role": ROLE, "input": {}}, key="bench-one")
    again = client.submit({"role": ROLE, "input": {}}, key="bench-one")
    if answer.status != 202 or again.status != 202 or answer.json["id"] != again.json["id"]:
        raise RuntimeError(f"POST /tasks does not answer as documented: {answer} and, repeated, {again}")
