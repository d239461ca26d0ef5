"""The cluster test: 2,000 tasks while the JetStream leader, the Redis master and the Postgres primary are killed."""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import time
from collections.abc import Callable

from ..faults.checker import RULES, Evidence, Finding, Money, check
from ..faults.load import ROLE, Load
from ..faults.stored import stored
from ..stack import ROOT, Process, Stack, StackError, end_cleanly_on_signals, table
from .servers import (
    TOOK_OVER, jetstream_leader, is_synchronous, postgres_primary, redis_master, replicas, wait, wait_for,
)

TASKS = 2_000
PACE = 40.0
SECONDS_MAX = 420
#: Between two kills.
CALM_SECONDS = 4.0
END_SECONDS_MAX = 150.0
PAUSE_SECONDS_MAX = 10.0
STREAM = "WORK"
NO_MONEY = Money(samples=0, excesses=[], verdicts={}, differences=[], charges={}, used_by_tasks=0)


class TimedLoad(Load):
    """Remembers when each task was accepted."""

    def __init__(self, urls: list[str], token: str, seed: int) -> None:
        super().__init__(urls, token, seed, pace=PACE, tasks_max=TASKS)
        self.times: list[float] = []

    def accept(self, key: str, task: str) -> None:
        self.times.append(time.monotonic())
        super().accept(key, task)

    def longest_pause(self) -> float:
        times = sorted(self.times)
        return max((later - sooner for sooner, later in zip(times, times[1:])), default=0.0)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/cluster",
        description="Kills the leading server of each store of a clustered stack under load: every task completes.",
        epilog="Exit codes: 0 nothing wrong, 1 findings or the stack broke, 2 wrong usage.",
    )
    parser.add_argument("--seed", type=int, default=random.randrange(100_000), help="of the load's randomness")
    arguments = parser.parse_args()
    end_cleanly_on_signals(SECONDS_MAX)
    agents = [part for _ in range(2) for part in ("--agent", f"{ROLE}=sh {ROOT}/scripts/blackbox/sleeper.sh")]
    try:
        with Stack("--cluster", *agents, "--slots", "12", orchestrators=2) as stack:
            return run(stack, arguments.seed)
    except (StackError, RuntimeError, OSError) as error:
        print(f"The cluster test broke: {error}", file=sys.stderr)
        return 1


def run(stack: Stack, seed: int) -> int:
    wait(lambda: replicas(stack, STREAM) == 3 and is_synchronous(stack), "the cluster was not whole at its start")
    print(f"Three copies of {STREAM}, Postgres replicates synchronously; {stack.folder}, seed {seed}.", flush=True)
    load = TimedLoad(stack.urls, stack.token(), seed)
    load.start()
    took_over = [
        lose(stack, load, "JetStream leader", lambda: jetstream_leader(stack, STREAM)),
        lose(stack, load, "Redis master", lambda: redis_master(stack)),
        lose(stack, load, "Postgres primary", lambda: postgres_primary(stack)),
    ]
    wait(lambda: load.count >= TASKS, f"fewer than {TASKS} tasks were accepted")
    load.stop()
    ended = "SELECT count(*) FROM tasks WHERE ended_at IS NULL"
    limit = time.monotonic() + END_SECONDS_MAX
    while stack.database.number(ended) > 0 and time.monotonic() < limit:
        time.sleep(0.5)
    wait(lambda: replicas(stack, STREAM) == 3 and is_synchronous(stack), "the cluster was not whole at the end")

    tasks, events = stored(stack.database)
    findings = check(Evidence(load.accepted, tasks, events, [], NO_MONEY))
    pause = load.longest_pause()
    if pause >= PAUSE_SECONDS_MAX:
        findings.append(Finding(PAUSE, "", f"it was {pause:.1f} s"))
    findings += [Finding(TOOK_OVER, "", f"the {what} did not change") for what, changed in took_over if not changed]
    completed = sum(row.state == "completed" for row in tasks.values())
    print(f"\n{load.count} tasks accepted, {completed} completed; answers {dict(load.answers)}.")
    print(f"The longest pause in accepting tasks: {pause:.2f} s.\n")
    # Nobody follows streams or spends money here.
    rules = [rule for rule in RULES if not any(word in rule for word in ("account", "budget", "charged", "streams"))]
    rows = [["rule", "verdict"]]
    for rule in [*rules, TOOK_OVER, PAUSE]:
        broken = [finding for finding in findings if finding.rule == rule]
        rows.append([rule, f"{len(broken)} BROKEN" if broken else "holds"])
    print(table(rows))
    for finding in findings[:10]:
        print(f"Broken: {finding.rule}: {finding.task} {finding.detail}")
    if findings:
        print(stack.logs())
    return 1 if findings else 0


def lose(stack: Stack, load: TimedLoad, what: str, leader: Callable[[], Process]) -> tuple[str, bool]:
    """Kills who leads; answers whether another leads when the cluster is whole again."""
    time.sleep(CALM_SECONDS)
    victim = leader()
    at, before = time.monotonic(), load.count
    os.kill(victim.pid, signal.SIGKILL)
    successor = wait_for(lambda: leader(), lambda process: process.pid != victim.pid, f"no other {what} was found")
    led = time.monotonic() - at
    wait(lambda: replicas(stack, STREAM) == 3 and is_synchronous(stack), f"not whole after the loss of the {what}")
    print(
        f"kill -9 {victim.name}, the {what}: {successor.name} leads after {led:.1f} s, the cluster is whole after "
        f"{time.monotonic() - at:.1f} s; {load.count - before} tasks accepted meanwhile", flush=True,
    )
    return what, successor.name != victim.name


PAUSE = f"tasks were accepted with no pause of {PAUSE_SECONDS_MAX:.0f} s or more"


if __name__ == "__main__":
    sys.exit(main())
