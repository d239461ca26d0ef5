"""An idle system, one task at a time: from submit until the client sees the completion, beside Procrastinate's.

Runs: one orchestrator, one agent-worker, the stores; one Procrastinate worker on the same Postgres. The two take turns,
so that whatever else the machine does meets both. Golden's client reads the task's event stream; Procrastinate's hears
of the finished job by NOTIFY (see procrastinate_peer.py), the fastest way it can be told.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from statistics import quantiles
from typing import IO

from ..api import Client
from ..stack import Stack
from ..tools import python_with
from .report import Row, note, ratio_at_most

NAME = "latency"
TASKS = 400
WARM_TASKS = 30
PAUSE_SECONDS = 0.01
HERE = Path(__file__).parent


def golden_task(client: Client, body: dict[str, object]) -> float:
    """Milliseconds from submit to the completion on the task's stream."""
    start = time.perf_counter()
    answer = client.submit(body)
    if answer.status != 202:
        raise RuntimeError(f"POST /tasks answered {answer.status}: {answer.body!r}")
    for event in client.events(answer.json["id"]):
        if event.kind == "task.completed":
            return (time.perf_counter() - start) * 1000
    raise RuntimeError(f"the stream of {answer.json['id']} ended without its completion")


class Procrastinate:
    """A worker and a client of it in a process of their own; one line in, one measurement out."""

    def __init__(self, stack: Stack) -> None:
        python = python_with(HERE / "requirements.txt")
        self._process = subprocess.Popen(
            [str(python), str(HERE / "procrastinate_peer.py"), "latency"], cwd=HERE, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=stack.database.environment,
        )

    def __enter__(self) -> Procrastinate:
        return self

    def __exit__(self, *_: object) -> None:
        pipe(self._process.stdin).close()  # It stops its worker and ends.
        try:
            self._process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def task(self) -> float:
        """Milliseconds from defer to the notification that the job succeeded."""
        questions = pipe(self._process.stdin)
        questions.write("\n")
        questions.flush()
        return float(pipe(self._process.stdout).readline()) * 1000


def pipe(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream


def percentiles(values: list[float]) -> tuple[float, float]:
    """The median and the 99th percentile."""
    cuts = quantiles(values, n=100, method="inclusive")
    return cuts[49], cuts[98]


def bench(tell: Callable[[str], None] = note) -> list[Row]:
    golden: list[float] = []
    peer: list[float] = []
    with Stack() as stack, Procrastinate(stack) as procrastinate:
        client = stack.client()
        tell(f"latency: {TASKS} tasks each, one at a time, in turns")
        for number in range(WARM_TASKS + TASKS):
            ours = golden_task(client, {"role": "developer", "input": {}})
            time.sleep(PAUSE_SECONDS)
            theirs = procrastinate.task()
            time.sleep(PAUSE_SECONDS)
            if number >= WARM_TASKS:
                golden.append(ours)
                peer.append(theirs)
    (p50, p99), (peer50, peer99) = percentiles(golden), percentiles(peer)
    return [
        ratio_at_most(1.5, NAME, "p50 beside Procrastinate's", p50, "ms", peer50),
        ratio_at_most(2, NAME, "p99 beside Procrastinate's", p99, "ms", peer99),
    ]
