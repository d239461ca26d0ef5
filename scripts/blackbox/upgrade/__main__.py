"""`scripts/upgrade`: what clients notice of an upgrade, which must be nothing."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from ..stack import ROOT, Stack, StackError, binaries, end_cleanly_on_signals
from .builds import make
from .gate import NEXT, RELEASE, Gate
from .traffic import PROBLEMS_MAX, Traffic

SECONDS_MAX = 400
UPGRADE_SECONDS_MAX = 240
TASKS_SECONDS_MAX = 60
VERSION_SECONDS_MAX = 20
#: Traffic before, between and after the upgrades.
CALM_SECONDS = 2.0
OTHERS = ("nats", "redis", "postgres")


def versions(stack: Stack) -> Mapping[str, str | None]:
    """What each of Golden's own processes says it is; asked again while one is too busy to say so."""
    limit = time.monotonic() + VERSION_SECONDS_MAX
    while True:
        found = {p["name"]: p.get("version") for p in stack.status()["processes"] if p["name"] not in OTHERS}
        if None not in found.values() or time.monotonic() > limit:
            return found
        time.sleep(0.5)


def upgrade(stack: Stack, programs: Path) -> tuple[subprocess.CompletedProcess[str], float]:
    start = time.monotonic()
    command = [str(programs / "golden"), "upgrade", "--data", str(stack.folder)]
    # Where this build's programs are is no news to the next.
    environment = {name: value for name, value in os.environ.items() if name not in ("GOLDEN_BIN", "GOLDEN_MIGRATIONS")}
    done = subprocess.run(command, capture_output=True, text=True, timeout=UPGRADE_SECONDS_MAX, env=environment)
    return done, time.monotonic() - start


def unfinished(stack: Stack, accepted: list[str]) -> Mapping[str, str]:
    """Accepted tasks that are not completed, and what they are instead."""
    states = dict(stack.database.rows("SELECT id, state FROM tasks"))
    return {task: states.get(task, "lost") for task in accepted if states.get(task) != "completed"}


def check(stack: Stack, gate: Gate, folder: Path, problems: list[str]) -> None:
    before = versions(stack)
    time.sleep(CALM_SECONDS)
    programs = make(folder / "next", "next")
    gate.before(folder / "next" / "migrations")
    done, _ = upgrade(stack, programs)
    print(done.stdout + done.stderr, end="")
    after = versions(stack)
    print(f"From {sorted(set(map(str, before.values())))} to {sorted(set(map(str, after.values())))}.")
    if done.returncode:
        problems.append(f"golden upgrade ended with {done.returncode}")
    if after.keys() != before.keys() or any(not str(version).endswith("+next") for version in after.values()):
        problems.append(f"after the upgrade runs {dict(after)}")
    if stack.database.number("SELECT count(*) FROM information_schema.columns WHERE column_name = 'next_build'") != 1:
        problems.append("the next build's migration was not applied")
    time.sleep(CALM_SECONDS)
    done, seconds = upgrade(stack, make(folder / "broken", "broken", broken="supervisor"))
    print(f"A build whose supervisor does not start was taken back after {seconds:.1f} s:\n{done.stderr}", end="")
    left = versions(stack)
    if done.returncode == 0 or left != after:
        problems.append(f"a broken build ended with {done.returncode} and left {dict(left)}")
    time.sleep(CALM_SECONDS)


def settle(stack: Stack, traffic: Traffic, problems: list[str]) -> None:
    limit = time.monotonic() + TASKS_SECONDS_MAX
    while (left := unfinished(stack, traffic.accepted)) and time.monotonic() < limit:
        time.sleep(0.5)
    traffic.stop(TASKS_SECONDS_MAX)
    if left:
        problems.append(f"{len(left)} of {len(traffic.accepted)} accepted tasks are not completed: {list(left.items())[:5]}")
    missing = set(traffic.accepted) - traffic.streamed.keys()
    if missing:
        problems.append(f"{len(missing)} tasks were not streamed to their end, such as {sorted(missing)[:3]}")


def report(traffic: Traffic, problems: list[str]) -> None:
    for what, count in sorted(traffic.requests.items()):
        print(f"  {count:6} {what}")
    print(
        f"{traffic.total} requests, {len(traffic.problems)} failed; {len(traffic.accepted)} tasks accepted, "
        f"{len(traffic.streamed)} streamed to their end; {traffic.closed} answers closed their connection, "
        f"{traffic.resumed} streams were resumed."
    )
    for problem in [*problems, *traffic.problems[:PROBLEMS_MAX]]:
        print(f"PROBLEM {problem}")


def main() -> int:
    argparse.ArgumentParser(
        prog="scripts/upgrade",
        description="Upgrades a private stack to a next build, and back from a broken one, under traffic that must not "
        "notice.",
        epilog="Exit codes: 0 nobody noticed, 1 somebody did or the stack broke, 2 wrong usage.",
    ).parse_args()
    end_cleanly_on_signals(SECONDS_MAX)
    folder = Path(tempfile.mkdtemp(prefix="golden-upgrade-", dir=binaries()))
    problems: list[str] = []
    try:
        with Stack("--slots", "16") as stack:
            gate = Gate(stack, folder / "gate", problems)
            gate.after("of what runs", ROOT / "migrations", RELEASE)
            traffic = Traffic(stack.urls[0], stack.token)
            traffic.start()
            try:
                check(stack, gate, folder, problems)
            finally:
                settle(stack, traffic, problems)
            gate.after("after the upgrade", folder / "next" / "migrations", NEXT)
            gate.evaluate()
            problems_all = problems + traffic.problems
            report(traffic, problems)
            if not traffic.closed or not traffic.resumed:
                problems_all.append("no client met a drain: the test saw nothing")
            if problems_all:
                print(stack.logs(5))
            return 1 if problems_all else 0
    except StackError as error:
        print(f"FAILED {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
