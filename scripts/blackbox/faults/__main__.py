"""The fault test: 2,000 tasks while everything is killed in turn, then an independent check of what was promised."""

from __future__ import annotations

import argparse
import collections
import random
import sys
import time
from collections.abc import Callable

from ..stack import PATIENT, ROOT, Stack, StackError, end_cleanly_on_signals, table
from .checker import RULES, Evidence, Finding, check
from .disturb import FAULTS, disturb
from .exact import CLIENTS, IDS, ROOM, TIMES, ExactStorm
from .followers import Followers
from .load import ROLE, Load
from .money import WINDOW, MoneyStorm
from .stored import stored

TASKS = 2_000
#: Looks at the accounts while everything is killed.
SAMPLES = 100
#: The whole test ends by itself before this.
SECONDS_MAX = 590
#: How long the load may go on after the last fault to reach TASKS, and how long the tasks may take to end.
LOAD_SECONDS_MAX = 120
END_SECONDS_MAX = 200
SHOWN_MAX = 10


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/faults",
        description="Kills every kind of process under load and checks that nothing accepted was lost or done twice.",
        epilog="Exit codes: 0 nothing wrong, 1 findings (their task ids are shown) or the stack broke, 2 wrong usage.",
    )
    parser.add_argument("--seed", type=int, default=random.randrange(100_000), help="of the load's randomness")
    arguments = parser.parse_args()
    end_cleanly_on_signals(SECONDS_MAX)
    agents = [part for _ in range(2) for part in ("--agent", f"{ROLE}=sh {ROOT}/scripts/blackbox/sleeper.sh")]
    try:
        with Stack(*agents, *PATIENT, "--slots", "8", orchestrators=2) as stack:
            return run(stack, arguments.seed)
    except (StackError, RuntimeError, OSError) as error:
        print(f"The fault test broke: {error}", file=sys.stderr)
        return 1


def run(stack: Stack, seed: int) -> int:
    print(f"Two orchestrators, two agent-workers, {stack.folder}; seed {seed}.", flush=True)
    load = Load(stack.urls, stack.token(), seed)
    followers = Followers(stack.urls, stack.token(), load.fresh, seed)
    storm = MoneyStorm(stack.urls, stack.token(), stack.client(role="admin"), stack.database, seed)
    exact = ExactStorm(stack.urls, stack.token(), stack.client(role="admin"), seed)
    exact.run()
    print(
        f"{IDS * TIMES} budget requests of {CLIENTS} clients over {IDS} ids with room for {ROOM} in "
        f"{exact.seconds:.1f} s: {dict(exact.answers)}", flush=True
    )
    chance = random.Random(seed)
    start = time.monotonic()
    storm.start()
    load.start()
    followers.start()
    for name, fault in FAULTS:
        before = load.count
        done = disturb(stack, name, fault, start, chance)
        print(
            f"{done.at:6.1f} s  {done.what}: runs again after {done.running_after:.1f} s, "
            f"ready after {done.ready_after:.1f} s; {load.count - before} tasks accepted since the last",
            flush=True,
        )
    wait(lambda: load.count >= TASKS, LOAD_SECONDS_MAX)
    load.stop()
    storm.stop()
    print(f"{time.monotonic() - start:6.1f} s  the load ends: {load.count} tasks accepted", flush=True)
    # Whatever was accepted, whether or not its client heard of it.
    wait(lambda: stack.database.number("SELECT count(*) FROM tasks WHERE ended_at IS NULL") == 0, END_SECONDS_MAX)
    followers.stop(30)
    print(f"{time.monotonic() - start:6.1f} s  all has ended, or had the time to", flush=True)

    evidence = gather(stack, load, followers, storm)
    findings = check(evidence) + shortfalls(evidence, load, storm)
    findings += [Finding(EXACT, "", wrong) for wrong in exact.wrongs()]
    report(evidence, load, storm, findings)
    if findings:
        print(stack.logs())
    return 1 if findings else 0


def wait(until: Callable[[], bool], seconds: float) -> None:
    """Until it is so, or that long: the check says what is missing then."""
    limit = time.monotonic() + seconds
    while not until() and time.monotonic() < limit:
        time.sleep(0.5)


def gather(stack: Stack, load: Load, followers: Followers, storm: MoneyStorm) -> Evidence:
    tasks, events = stored(stack.database)
    return Evidence(load.accepted, tasks, events, followers.followed, storm.evidence())


def shortfalls(evidence: Evidence, load: Load, storm: MoneyStorm) -> list[Finding]:
    """A run that tested too little, or met answers it should not have, is no proof."""
    found = []
    if load.count < TASKS:
        found.append(Finding(ENOUGH, "", f"only {load.count} tasks were accepted"))
    if load.abandoned:
        found.append(Finding(ENOUGH, "", f"{len(load.abandoned)} submissions never succeeded: {load.abandoned[:5]}"))
    clients = len({seen.client for seen in evidence.followed})
    if clients < 50:
        found.append(Finding(ENOUGH, "", f"only {clients} clients followed"))
    money = evidence.money
    both = {verdict for verdicts in money.verdicts.values() for verdict in verdicts}
    if money.samples < SAMPLES or len(money.verdicts) < 2 * WINDOW or len(both) < 2:
        found.append(Finding(ENOUGH, "", f"{money.samples} samples, {len(money.verdicts)} budget ids, {both}"))
    found += [Finding(ANSWERS, "", f"clients were answered {what}") for what in load.unexpected + storm.unexpected]
    return found


EXACT = f"{IDS * TIMES} requests over {IDS} ids: {ROOM} held once, {IDS - ROOM} refused, the rest replays"
ENOUGH = f"{TASKS} tasks, all submissions succeeded, 50 clients followed, {SAMPLES} looks at the accounts"
ANSWERS = "clients met only success, 402, 404, 409, 429, 503 and broken connections"


def report(evidence: Evidence, load: Load, storm: MoneyStorm, findings: list[Finding]) -> None:
    states = collections.Counter(evidence.tasks[task].state for ids in evidence.accepted.values() for task in ids
                                 if task in evidence.tasks)
    retried = sum(row.attempt > 1 for row in evidence.stored())
    connections = sum(seen.connections for seen in evidence.followed)
    print(f"\nAccepted: {dict(states)}; {retried} needed more than one attempt.")
    print(f"Answers to submissions: {dict(load.answers)}.")
    print(f"Answers about budgets: {dict(storm.answers)}; {evidence.money.samples} looks at the accounts.")
    print(f"Streams: {len(evidence.followed)} followed over {connections} connections.\n")
    rows = [["rule", "verdict"]]
    for rule in [*RULES, EXACT, ENOUGH, ANSWERS]:
        broken = sum(finding.rule == rule for finding in findings)
        rows.append([rule, f"{broken} BROKEN" if broken else "holds"])
    print(table(rows))
    for rule in dict.fromkeys(finding.rule for finding in findings):
        details = [finding for finding in findings if finding.rule == rule]
        print(f"\nBroken: {rule}")
        for finding in details[:SHOWN_MAX]:
            print(f"  {finding.task} {finding.detail}".replace("   ", "  "))
        if len(details) > SHOWN_MAX:
            print(f"  and {len(details) - SHOWN_MAX} more: {' '.join(finding.task for finding in details[SHOWN_MAX:])}")


if __name__ == "__main__":
    sys.exit(main())
