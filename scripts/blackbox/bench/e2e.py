"""No-op tasks from submit to completed, with one agent-worker that answers at once (the echo back end).

Runs: one orchestrator, one agent-worker with 256 slots, the stores and wrk, all on the same cores. Timed by the
database: from the first task's created_at to the last one's ended_at, submitting included.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from ..stack import Stack
from ..wrk import Load, Submitter
from .reference import Bracket
from .report import Row, exactly, note, ratio_at_least

NAME = "e2e"
ROLE = "developer"
TASKS = 30_000
WARM_TASKS = 2_000
SLOTS = 256
SECONDS_MAX = 240
POLL_SECONDS = 0.5
#: wrk counts connections that idle for ten seconds as timed out, so it is stopped before.
QUIET_SECONDS = 5


@dataclass(frozen=True)
class Flow:
    """What became of the tasks of one run."""

    stored: int
    completed: int
    #: Completion events; more than tasks would mean a result applied twice.
    completions: int
    #: From the first submit to the last completion.
    seconds: float
    load: Load

    @property
    def rate(self) -> float:
        return self.completed / self.seconds if self.seconds else 0.0


def send(stack: Stack, count: int, role: str = ROLE) -> Flow:
    """Submits `count` tasks at full speed and waits until all have ended."""
    submitter = Submitter(stack.urls[0], stack.token(), role)
    process = submitter.start(count)
    try:
        limit = time.monotonic() + SECONDS_MAX
        done, moved = 0.0, time.monotonic()
        # wrk sends a few more or less than asked for: each of its connections decides alone whether to send one more.
        while done < count and time.monotonic() < min(limit, moved + QUIET_SECONDS) and process.poll() is None:
            time.sleep(POLL_SECONDS)
            if (now := ended(stack, submitter.run)) > done:
                done, moved = now, time.monotonic()
    finally:
        load = submitter.finish(process)
    while ended(stack, submitter.run) < load.answers and time.monotonic() < limit:
        time.sleep(POLL_SECONDS)
    stored, completed, seconds = stack.database.rows(
        "SELECT count(*), count(*) FILTER (WHERE state = 'completed'),"
        " coalesce(extract(epoch FROM max(ended_at) - min(created_at)), 0) FROM tasks WHERE name = :'run'",
        run=submitter.run,
    )[0]
    completions = stack.database.number(
        "SELECT count(*) FROM task_events e JOIN tasks t ON t.id = e.task_id"
        " WHERE t.name = :'run' AND e.kind = 'task.completed'", run=submitter.run,
    )
    return Flow(int(stored), int(completed), int(completions), float(seconds), load)


def ended(stack: Stack, run: str) -> float:
    return stack.database.number("SELECT count(*) FROM tasks WHERE name = :'run' AND ended_at IS NOT NULL", run=run)


def bench(tell: Callable[[str], None] = note) -> list[Row]:
    with Stack("--slots", str(SLOTS)) as stack:
        send(stack, WARM_TASKS)
        tell(f"e2e: the reference, then {TASKS} tasks to completion, then the reference again")
        reference = Bracket(stack.database)
        flow = send(stack, TASKS)
        return [
            ratio_at_least(0.25, NAME, "submit to completed", flow.rate, "1/s", reference.close()),
            exactly(flow.load.answers, NAME, "tasks stored, of those accepted", flow.stored, "tasks"),
            exactly(flow.load.answers, NAME, "tasks completed", flow.completed, "tasks"),
            exactly(flow.load.answers, NAME, "completions recorded", flow.completions, "events"),
            exactly(0, NAME, "errors", flow.load.bad_status + flow.load.broken, "answers"),
        ]
