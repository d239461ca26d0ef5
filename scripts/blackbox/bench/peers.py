"""The same no-op tasks, submitted and completed, by Golden, by Celery over Redis and by Procrastinate over Postgres.

All use the private stack's stores, one after the other on the same cores. Each peer's settings (see its file) are tried
with a few tasks first; the fastest is then measured with as many as Golden.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

from ..stack import Stack
from ..tools import python_with
from .e2e import SLOTS, WARM_TASKS, send
from .report import Row, exactly, note, ratio_at_least

NAME = "peers"
TASKS = 20_000
TRIAL_TASKS = 1_500
PEER_SECONDS_MAX = 400
HERE = Path(__file__).parent
#: The arguments of celery_peer.py after the number of tasks.
CELERY = [
    (pool, size, tracking)
    for tracking in ("results", "counter")
    for pool, size in (("prefork", "2"), ("threads", "4"), ("solo", "1"))
]
#: How many worker processes procrastinate_peer.py starts.
PROCRASTINATE = [("1",), ("2",)]


def run(stack: Stack, program: str, *arguments: str) -> tuple[float, str]:
    """Tasks per second, and the settings in words."""
    python = python_with(HERE / "requirements.txt")
    done = subprocess.run(
        [str(python), str(HERE / program), *arguments], cwd=HERE, capture_output=True, text=True,
        env=stack.database.environment | {"REDIS_URL": stack.redis_url}, timeout=PEER_SECONDS_MAX,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{program} {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr[-4000:]}")
    answer = json.loads(done.stdout.splitlines()[-1])
    return float(answer["rate"]), str(answer["settings"])


def celery(stack: Stack, count: int, settings: tuple[str, ...]) -> tuple[float, str]:
    return run(stack, "celery_peer.py", str(count), *settings)


def procrastinate(stack: Stack, count: int, settings: tuple[str, ...]) -> tuple[float, str]:
    return run(stack, "procrastinate_peer.py", "rate", str(count), *settings)


def best(
    stack: Stack, peer: Callable[[Stack, int, tuple[str, ...]], tuple[float, str]],
    choices: list[tuple[str, ...]], tell: Callable[[str], None],
) -> tuple[float, str]:
    """The peer with its fastest settings and the full number of tasks."""
    trials = []
    for choice in choices:
        rate, words = peer(stack, TRIAL_TASKS, choice)
        tell(f"peers: {peer.__name__} {words}: {rate:,.0f}/s")
        trials.append((rate, choice))
    return peer(stack, TASKS, max(trials)[1])


def bench(tell: Callable[[str], None] = note) -> list[Row]:
    with Stack("--slots", str(SLOTS)) as stack:
        peers = {
            "Celery": best(stack, celery, [*CELERY], tell),
            "Procrastinate": best(stack, procrastinate, [*PROCRASTINATE], tell),
        }
        send(stack, WARM_TASKS)
        tell(f"peers: Golden, {TASKS} tasks")
        flow = send(stack, TASKS)
    better = max(rate for rate, _ in peers.values())
    return [
        ratio_at_least(3, NAME, "Golden beside the better peer", flow.rate, "1/s", better),
        exactly(flow.load.answers, NAME, "Golden's tasks completed", flow.completed, "tasks"),
        *(Row(NAME, f"{name} ({words})", rate, "1/s") for name, (rate, words) in peers.items()),
    ]
