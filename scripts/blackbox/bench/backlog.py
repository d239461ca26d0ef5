"""200,000 queued tasks of one tenant: how long another tenant's task takes, and how fast submitting stays.

Two variants of what agents do meanwhile:

- `waiting`: the backlog is for a role that no agent serves; the other tenant's no-op tasks go to idle agents. This
  shows what the backlog itself costs.
- `busy`: the backlog is for the agents that the other tenant needs too. Every slot works at the backlog, one second a
  task; the other tenant's task works one second as well, on the idle system and behind the backlog alike. The agents'
  programs take their share of the cores, so they work while submitting is measured without the backlog, too.

The backlog is submitted through the API. Submitting is measured at 64 connections, with the queue empty and with it
full.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from ..stack import ROOT, Stack
from ..wrk import CONNECTIONS, Submitter
from .latency import golden_task, percentiles
from .report import Row, exactly, note, ratio_at_least, ratio_at_most

NAME = "backlog"
TASKS = 200_000
#: A few more are sent: the busy agents finish some of them meanwhile.
SPARE = 20_000
FILL_SECONDS_MAX = 300
IDLE_TASKS = 100
BUSY_TASKS = 20
SUBMIT_SECONDS = 10
SLOTS = 16
SLEEPER = ROOT / "scripts" / "blackbox" / "sleeper.sh"
QUEUED = "SELECT count(*) FROM tasks WHERE state = 'queued' AND role = :'role'"


def fill(stack: Stack, role: str, count: int = TASKS + SPARE) -> None:
    """Queues tenant `heavy`'s tasks at full speed."""
    submitter = Submitter(stack.urls[0], stack.token("heavy"), role, {"sleep_ms": 1000})
    process = submitter.start(count)
    try:
        limit = time.monotonic() + FILL_SECONDS_MAX
        stored = "SELECT count(*) FROM tasks WHERE name = :'run'"
        # Each of wrk's connections decides alone whether to send one more: a few may be missing.
        while stack.database.number(stored, run=submitter.run) < count - CONNECTIONS:
            if time.monotonic() > limit:
                raise RuntimeError(f"the backlog was not queued within {FILL_SECONDS_MAX} s")
            time.sleep(1)
    finally:
        load = submitter.finish(process)
    if not load.is_clean:
        raise RuntimeError(f"queueing the backlog met errors: {load}")


def latency(stack: Stack, role: str, count: int, sleep_ms: int) -> float:
    """The median of tenant `light`'s tasks, one at a time, in milliseconds."""
    client = stack.client("light")
    body: dict[str, object] = {"role": role, "input": {"sleep_ms": sleep_ms}}
    return percentiles([golden_task(client, body) for _ in range(count)])[0]


def submit_rate(stack: Stack) -> float:
    load = Submitter(stack.urls[0], stack.token("light"), "nobody").for_seconds(SUBMIT_SECONDS)
    if not load.is_clean:
        raise RuntimeError(f"submitting met errors: {load}")
    return load.rate


def waiting(tell: Callable[[str], None]) -> list[Row]:
    with Stack() as stack:
        submit_rate(stack)  # To warm up.
        idle, empty = latency(stack, "developer", IDLE_TASKS, 0), submit_rate(stack)
        tell(f"backlog, waiting: queueing {TASKS + SPARE} tasks")
        fill(stack, "absent")
        behind, full = latency(stack, "developer", IDLE_TASKS, 0), submit_rate(stack)
        queued = stack.database.number(QUEUED, role="absent")
    return [
        ratio_at_most(2, NAME, "waiting: other tenant's task, p50", behind, "ms", idle),
        ratio_at_least(0.8, NAME, "waiting: POST /tasks", full, "1/s", empty),
        exactly(1, NAME, f"waiting: {queued:,.0f} tasks were still queued, enough", float(queued >= TASKS), ""),
    ]


def busy(tell: Callable[[str], None]) -> list[Row]:
    role = "sleeper"
    with Stack("--agent", f"{role}=sh {SLEEPER}", "--slots", str(SLOTS)) as stack:
        submit_rate(stack)  # To warm up.
        idle = latency(stack, role, BUSY_TASKS, 1000)
        fill(stack, role, SLOTS * (SUBMIT_SECONDS + 2))
        empty = submit_rate(stack)
        tell(f"backlog, busy: queueing {TASKS + SPARE} tasks, {SLOTS} slots working at them")
        fill(stack, role)
        behind, full = latency(stack, role, BUSY_TASKS, 1000), submit_rate(stack)
        queued = stack.database.number(QUEUED, role=role)
    return [
        ratio_at_most(2, NAME, "busy: other tenant's 1 s task, p50", behind, "ms", idle),
        ratio_at_least(0.8, NAME, "busy: POST /tasks", full, "1/s", empty),
        exactly(1, NAME, f"busy: {queued:,.0f} tasks were still queued, enough", float(queued >= TASKS), ""),
    ]


def bench(tell: Callable[[str], None] = note) -> list[Row]:
    return waiting(tell) + busy(tell)
