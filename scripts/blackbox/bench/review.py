"""Peer review: sessions of five voters each at full speed, and how soon the last needed vote becomes a decision.

Runs: one peer-hub, one orchestrator, one agent-worker, the stores, and review-load, which asks for the reviews, is all
five reviewers and hears the decisions, over NATS in one process, all on the same cores. Each vote counts and each is
needed: the heaviest comes last. The idle system's consensus takes turns with an idle no-op task from submit to the
completion on its stream, so that whatever else the machine does meets both.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from typing import Any

from ..stack import Stack, binaries
from .latency import PAUSE_SECONDS, golden_task, percentiles, pipe
from .reference import Bracket
from .report import Row, exactly, note, ratio_at_least, ratio_at_most

NAME = "review"
SESSIONS = 4_000
AT_ONCE = 128
WARM_SESSIONS = 400
TURNS = 400
WARM_TURNS = 30
VOTERS = 5
KNOWN_SECONDS_MAX = 20


class ReviewLoad:
    """review-load, told one line at a time; each is answered by one JSON object."""

    def __init__(self, stack: Stack) -> None:
        self._process = subprocess.Popen(
            [str(binaries() / "review-load")], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env=os.environ | {"GOLDEN_NATS_URL": stack.status()["stores"]["nats"]},
        )

    def __enter__(self) -> ReviewLoad:
        line = pipe(self._process.stdout).readline()
        if line != "ready\n":
            self.__exit__()
            raise RuntimeError(f"review-load is not ready: {line!r}")
        return self

    def __exit__(self, *_: object) -> None:
        pipe(self._process.stdin).close()  # It ends with its input.
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def ask(self, line: str) -> Any:
        questions = pipe(self._process.stdin)
        questions.write(line + "\n")
        questions.flush()
        answer = pipe(self._process.stdout).readline()
        if not answer:
            raise RuntimeError(f"review-load ended with {self._process.wait(timeout=20)} when asked for {line}")
        return json.loads(answer)


def wait_until_known(stack: Stack) -> None:
    """An agent nobody knows has no vote."""
    limit = time.monotonic() + KNOWN_SECONDS_MAX
    while stack.database.number("SELECT count(*) FROM agents WHERE starts_with(id, 'bench-')") < VOTERS:
        if time.monotonic() > limit:
            raise RuntimeError("the reviewers never became known")
        time.sleep(0.1)


def turns(stack: Stack, load: ReviewLoad) -> tuple[list[float], list[float]]:
    """Milliseconds of the consensus and of a no-op task, one of each in turn."""
    client = stack.client()
    consensus: list[float] = []
    tasks: list[float] = []
    for number in range(WARM_TURNS + TURNS):
        ours = load.ask("one")["consensus"] / 1000
        time.sleep(PAUSE_SECONDS)
        task = golden_task(client, {"role": "developer", "input": {}})
        time.sleep(PAUSE_SECONDS)
        if number >= WARM_TURNS:
            consensus.append(ours)
            tasks.append(task)
    return consensus, tasks


def faulty(stack: Stack) -> float:
    """Sessions that are not approved by exactly five votes, or whose decision was not announced."""
    time.sleep(1)  # What was announced is noted a moment later.
    return stack.database.number(
        "SELECT count(*) FROM peer_review_sessions s WHERE status <> 'approved' OR score <> 1"
        " OR decision_published_at IS NULL"
        f" OR (SELECT count(*) FROM peer_votes v WHERE v.session_id = s.id) <> {VOTERS}"
    )


def bench(tell: Callable[[str], None] = note) -> list[Row]:
    with Stack() as stack, ReviewLoad(stack) as load:
        wait_until_known(stack)
        load.ask(f"flow {WARM_SESSIONS} {AT_ONCE}")
        tell(f"review: {TURNS} sessions and no-op tasks, one at a time, in turns")
        consensus, tasks = turns(stack, load)
        tell(f"review: the reference, then {SESSIONS} sessions, {AT_ONCE} at a time, then the reference again")
        reference = Bracket(stack.database)
        flow = load.ask(f"flow {SESSIONS} {AT_ONCE}")
        inserts = reference.close()
        expected = WARM_SESSIONS + WARM_TURNS + TURNS + SESSIONS
        stored = stack.database.number("SELECT count(*) FROM peer_review_sessions")
        (p50, p99), (task50, task99) = percentiles(consensus), percentiles(tasks)
        return [
            ratio_at_least(0.04, NAME, "sessions of five voters beside one-row INSERTs",
                           flow["sessions"] / flow["microseconds"] * 1e6, "1/s", inserts),
            ratio_at_most(1, NAME, "consensus when idle, p50, beside a no-op task's p50", p50, "ms", task50),
            ratio_at_most(5, NAME, "consensus when idle, p99, beside a no-op task's p50", p99, "ms", task50),
            Row(NAME, "a no-op task's p99", task99, "ms"),
            Row(NAME, "consensus at full speed, p50", flow["p50"] / 1000, "ms"),
            Row(NAME, "consensus at full speed, p99", flow["p99"] / 1000, "ms"),
            exactly(expected, NAME, "sessions stored", stored, "sessions"),
            exactly(0, NAME, "sessions without five votes and one announced approval", faulty(stack), "sessions"),
        ]
