"""The restore drill: back up under load, destroy everything, restore; nothing in the backup is lost or done twice."""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ..faults.checker import RULES, Evidence, Finding, Money, check
from ..faults.load import ROLE, Load
from ..faults.stored import stored
from ..stack import ROOT, Stack, StackError, end_cleanly_on_signals, table

BEFORE = 300
AFTER = 150
SECONDS_MAX = 400
END_SECONDS_MAX = 150.0
COMMAND_SECONDS_MAX = 120
NO_MONEY = Money(samples=0, excesses=[], verdicts={}, differences=[], charges={}, used_by_tasks=0)
BACKED_UP = "every task accepted before the backup began is there and completed"
COUNTED = "what was accepted after the backup is gone or completed, and counted"
NOT_UNDONE = "no task that the backup knows as ended ran again"


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/restore-drill",
        description="Backs a stack up under load, destroys it with its JetStream and Redis, and restores it.",
        epilog="Exit codes: 0 nothing wrong, 1 findings or the stack broke, 2 wrong usage.",
    )
    parser.add_argument("--seed", type=int, default=random.randrange(100_000), help="of the load's randomness")
    arguments = parser.parse_args()
    end_cleanly_on_signals(SECONDS_MAX)
    agents = [part for _ in range(2) for part in ("--agent", f"{ROLE}=sh {ROOT}/scripts/blackbox/sleeper.sh")]
    with tempfile.TemporaryDirectory(prefix="golden-backup-") as backup:
        try:
            with DrillStack(*agents, "--slots", "4", orchestrators=2) as stack:
                return run(stack, arguments.seed, Path(backup) / "drill")
        except (StackError, RuntimeError, OSError, subprocess.TimeoutExpired) as error:
            print(f"The restore drill broke: {error}", file=sys.stderr)
            return 1


class DrillStack(Stack):
    """A stack that can be destroyed and brought back in its place."""

    def back_up(self, target: Path) -> str:
        return self._golden("backup", str(target), seconds=COMMAND_SECONDS_MAX)

    def destroy(self) -> None:
        """Its supervisor and everything it runs are killed, and all their files go."""
        status = self.status()
        place = Path(status["postgres_data"])
        pids = [int(status["supervisor_pid"]), *(process.pid for process in self.processes() if process.pid)]
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        limit = time.monotonic() + 30
        while any(Path(f"/proc/{pid}").exists() and not is_zombie(pid) for pid in pids):
            if time.monotonic() > limit:
                raise StackError("what was killed still runs after 30 s")
            time.sleep(0.1)
        # Postgres' own children end when they notice that their parent is gone.
        time.sleep(2)
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.rmtree(place, ignore_errors=True)
        if self.folder.exists():
            raise StackError(f"{self.folder} could not be removed")

    def restore(self, source: Path) -> None:
        self._golden("restore", str(source), "--port", str(self.port), seconds=COMMAND_SECONDS_MAX)

    def start_again(self) -> None:
        self._golden("up", "--detach", "--port", str(self.port), *self._arguments, seconds=COMMAND_SECONDS_MAX)
        self.database.url = self.status()["stores"]["postgres"]


def is_zombie(pid: int) -> bool:
    try:
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True


def run(stack: DrillStack, seed: int, backup: Path) -> int:
    load = Load(stack.urls, stack.token(), seed, pace=40.0)
    load.start()
    wait_for(load, BEFORE)
    before = {task for ids in dict(load.accepted).values() for task in ids}
    began = time.monotonic()
    stack.back_up(backup)
    took = time.monotonic() - began
    wait_for(load, load.count + AFTER)
    load.stop()
    size = (backup / "database.dump").stat().st_size
    print(f"{len(before)} tasks were accepted when the backup began; it took {took:.1f} s and has {size >> 10} KiB.")
    print(f"{load.count - len(before)} more were accepted. Now everything is destroyed.", flush=True)
    stack.destroy()

    began = time.monotonic()
    stack.restore(backup)
    restored = time.monotonic() - began
    ended = knows_as_ended(stack, backup)
    stack.start_again()
    print(f"Restored in {restored:.1f} s; the stack takes tasks {time.monotonic() - began:.1f} s after it was gone.")
    limit = time.monotonic() + END_SECONDS_MAX
    open_tasks = "SELECT count(*) FROM tasks WHERE ended_at IS NULL"
    while stack.database.number(open_tasks) > 0 and time.monotonic() < limit:
        time.sleep(0.5)

    tasks, events = stored(stack.database)
    known = {key: ids & tasks.keys() for key, ids in load.accepted.items()}
    findings = check(Evidence({k: v for k, v in known.items() if v}, tasks, events, [], NO_MONEY))
    findings += [
        Finding(BACKED_UP, task, "is gone" if task not in tasks else f"is {tasks[task].state}")
        for task in before if task not in tasks or tasks[task].state != "completed"
    ]
    findings += [
        Finding(NOT_UNDONE, task, f"had {sequence} events, and has {tasks[task].event_seq}")
        for task, sequence in ended.items() if tasks[task].event_seq != sequence
    ]
    lost = sum(1 for ids in load.accepted.values() if not ids & tasks.keys())
    print(f"{len(tasks)} tasks were in the backup, {len(ended)} of them ended and {len(tasks) - len(ended)} under way; "
          f"{lost} accepted after it are gone, as they must be.")
    again = resubmit(stack, load, lost)
    if again != lost:
        findings.append(Finding(COUNTED, "", f"{again} of the {lost} lost tasks could be submitted again"))
    # Nobody follows streams or spends money here.
    rules = [rule for rule in RULES if not any(word in rule for word in ("account", "budget", "charged", "streams"))]
    rows = [["rule", "verdict"]]
    for rule in [*rules, BACKED_UP, NOT_UNDONE, COUNTED]:
        broken = sum(finding.rule == rule for finding in findings)
        rows.append([rule, f"{broken} BROKEN" if broken else "holds"])
    print(table(rows))
    for finding in findings[:10]:
        print(f"Broken: {finding.rule}: {finding.task} {finding.detail}")
    if findings:
        print(stack.logs())
    return 1 if findings else 0


def wait_for(load: Load, count: int) -> None:
    limit = time.monotonic() + 60
    while load.count < count:
        if time.monotonic() > limit:
            raise StackError(f"only {load.count} tasks were accepted within a minute")
        time.sleep(0.1)


def knows_as_ended(stack: DrillStack, backup: Path) -> dict[str, int]:
    """Each task that had ended by the backup, with how many events it had: read from the dump itself."""
    dumped = subprocess.run(
        ["pg_restore", "--data-only", "--table=tasks", "--file=-", str(backup / "database.dump")],
        capture_output=True, text=True, check=True, timeout=COMMAND_SECONDS_MAX,
    ).stdout
    lines = iter(dumped.splitlines())
    columns = next(line for line in lines if line.startswith("COPY ")).partition("(")[2].partition(")")[0].split(", ")
    place = {name: columns.index(name) for name in ("id", "event_seq", "ended_at")}
    found = {}
    for line in lines:
        if line == "\\.":
            break
        values = line.split("\t")
        if values[place["ended_at"]] != "\\N":
            found[values[place["id"]]] = int(values[place["event_seq"]])
    return found


def resubmit(stack: DrillStack, load: Load, lost: int) -> int:
    """Clients that repeat their lost submissions under the same keys have them accepted anew."""
    tasks, _ = stored(stack.database)
    client = stack.client()
    accepted = 0
    for key, ids in load.accepted.items():
        if ids & tasks.keys():
            continue
        number = int(key.rpartition("-")[2])
        answer = client.submit(load.body(key, number, random.Random(number)), key)
        accepted += answer.status == 202
    return accepted


if __name__ == "__main__":
    sys.exit(main())
