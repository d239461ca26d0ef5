"""The chaos suite: faults from a seeded schedule under mixed traffic, then an independent check of the promises."""

from __future__ import annotations

import argparse
import collections
import random
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ..api import CONNECTION_ERRORS, mint
from ..cluster.servers import TOOK_OVER
from ..faults.checker import Finding
from ..faults.followers import Followers
from ..faults.money import MoneyStorm
from ..faults.stored import stored
from ..stack import StackError, binaries, end_cleanly_on_signals, table
from .faults import CLUSTER_DECK, DECK, NEEDS_ROOT, Faults, folder_of, schedule
from .kept import KEPT
from .poison import Poisoner
from .proxy import STORES
from .rules import RULES, Delivery, Story, check
from .stack import ChaosStack
from .traffic import KINDS, Receiver, Traffic

MINUTES = 3.0
CALM_SECONDS = (2.0, 6.0)
END_SECONDS_MAX = 420
#: Beyond the minutes asked for: start, end, and the last fault's own time.
SPARE_SECONDS = 900
FOLLOWERS = 10
MONEY_CLIENTS = 6
SHOWN_MAX = 8


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/chaos",
        description="Faults from a seeded schedule under mixed traffic; then checks that nothing accepted was lost, "
        "done twice or left over. As root it can also fill the stores' disks.",
        epilog="Exit codes: 0 nothing wrong, 1 findings or the stack broke, 2 wrong usage.",
    )
    parser.add_argument("--minutes", type=float, help="of faults (default 3); with --kept only seeds that need no more")
    parser.add_argument("--seed", type=int, default=random.randrange(100_000), help="of faults and traffic")
    parser.add_argument("--pace", type=float, default=8.0, help="tasks a second (default 8)")
    parser.add_argument(
        "--beside", metavar="DIR", help="programs of another build, whose orchestrator runs beside the stack's"
    )
    parser.add_argument(
        "--cluster", action="store_true", help="several servers of each store, whose leaders are killed, too"
    )
    parser.add_argument("--kept", action="store_true", help="run the seeds that once failed, one after the other")
    arguments = parser.parse_args()
    runs = [(arguments.seed, arguments.minutes or MINUTES, arguments.cluster)]
    if arguments.kept:
        within = [one for one in KEPT if one.minutes <= (arguments.minutes or one.minutes)]
        runs = [(one.seed, one.minutes, one.is_cluster) for one in within]
    if not runs:
        parser.error("No kept seed needs so little time.")
    end_cleanly_on_signals(int(sum(minutes for _, minutes, _ in runs) * 60) + SPARE_SECONDS * len(runs))
    beside = folder_of(arguments.beside)
    return max(one_run(seed, minutes, arguments.pace, beside, is_cluster) for seed, minutes, is_cluster in runs)


def one_run(seed: int, minutes: float, pace: float, beside: Path | None, is_cluster: bool) -> int:
    try:
        with ChaosStack(beside, is_cluster=is_cluster) as stack:
            return Run(stack, seed, minutes, pace).run()
    except (StackError, RuntimeError, OSError) as error:
        print(f"The chaos suite broke: {error}", file=sys.stderr)
        return 1


class Run:
    def __init__(self, stack: ChaosStack, seed: int, minutes: float, pace: float) -> None:
        self._stack = stack
        self._seed = seed
        self._minutes = minutes
        # Longer than any run.
        token = mint(stack.secret, exp=int(time.time()) + 6 * 3600)
        self._admin = mint(stack.secret, role="admin", exp=int(time.time()) + 6 * 3600)
        self._receiver = Receiver(seed)
        self._traffic = Traffic(stack.urls, token, seed, pace, self._receiver.url)
        self._followers = Followers(stack.urls, token, self._traffic.fresh, seed, clients=FOLLOWERS)
        admin = stack.client(role="admin")
        admin.token = self._admin
        self._storm = MoneyStorm(
            stack.urls, token, admin, stack.database, seed, clients=MONEY_CLIENTS, sample_seconds=2.0
        )
        self._poisoner = Poisoner(stack.nats_address, seed)
        self._faults = Faults(stack, self._poisoner)
        self._injected: collections.Counter[str] = collections.Counter()
        self._retried: set[str] = set()

    def run(self) -> int:
        deck = CLUSTER_DECK if self._stack.is_cluster else DECK
        kind = "a cluster" if self._stack.is_cluster else "one server of each store"
        print(f"Seed {self._seed}, {self._minutes:g} minutes, {kind}, {self._stack.folder}.")
        if len(self._stack.mounted) < len(STORES) and not set(NEEDS_ROOT).isdisjoint(deck):
            print(f"LEFT OUT, as this machine cannot do them: {', '.join(NEEDS_ROOT)}.")
            deck = tuple(one for one in deck if one not in NEEDS_ROOT)
        self._storm.start()
        self._traffic.start()
        self._followers.start()
        self._poisoner.start()
        self._disturb(deck)
        self._finish()
        story = self._gather()
        findings = check(story) + self._shortfalls()
        self._report(story, findings)
        if findings:
            print(self._stack.logs(40))
        return 1 if findings else 0

    def _disturb(self, deck: Sequence[str]) -> None:
        start = time.monotonic()
        pause = random.Random(self._seed)
        for kind, chance in schedule(self._seed, deck):
            time.sleep(pause.uniform(*CALM_SECONDS))
            at = time.monotonic() - start
            if at > self._minutes * 60:
                return
            what = getattr(self._faults, kind)(chance)
            took = self._faults.recover()
            self._injected[kind] += 1
            print(f"{at:7.1f} s  {what}; all ready {took:.1f} s later; {self._traffic.count} accepted", flush=True)

    def _finish(self) -> None:
        """No new traffic, and time for what is under way."""
        self._poisoner.stop()
        self._traffic.stop()
        self._storm.stop()
        print(f"The traffic ends: {self._traffic.count} tasks accepted.", flush=True)
        begun = time.monotonic()
        self._wait(self._is_settled)
        self._followers.stop(30)
        print(f"All settled, or had the time to, {time.monotonic() - begun:.0f} s later.", flush=True)

    def _wait(self, until: Callable[[], bool]) -> None:
        limit = time.monotonic() + END_SECONDS_MAX
        while not until() and time.monotonic() < limit:
            self._resolve_escalations()
            time.sleep(1)

    def _is_settled(self) -> bool:
        open_things = self._stack.database.number(
            "SELECT (SELECT count(*) FROM tasks WHERE ended_at IS NULL) + (SELECT count(*) FROM webhook_deliveries "
            "WHERE state IN ('pending', 'parked')) + (SELECT count(*) FROM outbox)"
        )
        filed = self._faults.filed()
        missing = [one for one in self._poisoner.sent if one.stored and not one.wiped and not filed.get(one.text)]
        return open_things == 0 and not missing

    def _resolve_escalations(self) -> None:
        """What faults made of a review is put before a human, who has it done again."""
        waiting = self._stack.database.rows(
            "SELECT e.id FROM escalations e JOIN tasks t ON t.id = e.task_id "
            "WHERE e.status = 'waiting_for_human' AND t.state = 'escalated'"
        )
        for (escalation,) in waiting:
            client = self._stack.client(role="admin")
            client.token = self._admin
            try:
                client.request(
                    "POST", f"/escalations/{escalation}/resolve", b'{"resolution": "retry"}',
                    {"Content-Type": "application/json"},
                )
                self._retried.add(escalation)
            except CONNECTION_ERRORS:
                continue

    def _gather(self) -> Story:
        rows = self._stack.database.rows
        tasks, events = stored(self._stack.database)
        filed = self._faults.filed()
        return Story(
            accepted=self._traffic.accepted, tasks=tasks, events=events, followed=self._followers.followed,
            money=self._storm.evidence(), kinds=self._traffic.kinds,
            with_callback=frozenset(self._traffic.with_callback),
            deliveries=[
                Delivery(row[0], row[1], int(row[2]), row[3], row[4])
                for row in rows("SELECT id, task_id, sequence, kind, state FROM webhook_deliveries")
            ],
            received=self._receiver.events(),
            votes=[(row[0], row[1]) for row in rows("SELECT session_id, reviewer_role FROM peer_votes")],
            sessions=[
                (row[0], int(row[1]), row[2]) for row in rows("SELECT task_id, round, status FROM peer_review_sessions")
            ],
            poison={str(one): (one.stored, one.wiped, filed.get(one.text, 0)) for one in self._poisoner.sent},
            other_letters=[
                " ".join(row) for row in rows(
                    "SELECT original_subject, reason, coalesce(error, '') FROM dlq_messages "
                    "WHERE NOT starts_with(data, 'poison-')"
                )
            ],
            audit=self._audit(),
            outbox=int(self._stack.database.number("SELECT count(*) FROM outbox")),
            open_holds=int(self._stack.database.number(
                "SELECT count(*) FROM budget_reservations WHERE state = 'pending' AND task_id IS NOT NULL"
            )),
        )

    def _audit(self) -> str:
        done = subprocess.run(
            [str(binaries() / "golden"), "audit", "verify", "--data", str(self._stack.folder)], capture_output=True,
            text=True, timeout=120,
        )
        return "" if done.returncode == 0 else (done.stdout + done.stderr).strip()

    def _shortfalls(self) -> list[Finding]:
        """A run that tested too little, or met answers it should not have, is no proof."""
        wanted = int(self._minutes * 60)
        found = []
        if self._traffic.count < wanted:
            found.append(Finding(ENOUGH, "", f"only {self._traffic.count} tasks were accepted, not {wanted}"))
        if self._traffic.abandoned or self._traffic.uncanceled:
            found.append(Finding(ENOUGH, "", f"unanswered: {self._traffic.abandoned} {self._traffic.uncanceled}"))
        if not any(one.stored for one in self._poisoner.sent):
            found.append(Finding(ENOUGH, "", "no unreadable message reached a stream"))
        if self._stack.beside.restarts > 3 * sum(self._injected.values()) + 3:
            found.append(Finding(ENOUGH, "", f"the orchestrator beside ended {self._stack.beside.restarts} times"))
        found += [Finding(TOOK_OVER, "", f"{one}, led again") for one in self._faults.not_replaced]
        strange = self._traffic.unexpected + self._storm.unexpected
        return found + [Finding(ANSWERS, "", f"clients were answered {what}") for what in strange]

    def _report(self, story: Story, findings: list[Finding]) -> None:
        states = collections.Counter((story.kinds.get(row.name, "?"), row.state) for row in story.stored())
        retried = sum(row.attempt > 1 for row in story.stored())
        poison = list(story.poison.values())
        print(f"\nFaults: {dict(self._injected)}, {sum(self._injected.values())} in all; "
              f"{self._stack.beside.restarts} starts of the orchestrator beside.")
        print("Tasks: " + ", ".join(f"{kind} {state} {states[kind, state]}" for kind in KINDS
                                    for state in sorted({s for k, s in states if k == kind})) + ".")
        print(f"{retried} needed more than one attempt; {len(self._retried)} escalations were retried by hand; "
              f"{len(story.sessions)} reviews, {len(story.votes)} votes.")
        print(f"Webhooks: {len(story.deliveries)} deliveries in {self._receiver.attempts} attempts.")
        print(f"Unreadable messages: {len(poison)} published, {sum(stored for stored, _, _ in poison)} acknowledged, "
              f"{sum(filed for _, _, filed in poison)} filed, "
              f"{sum(wiped and not filed for _, wiped, filed in poison)} gone with a wiped store.")
        print(f"Answers to submissions: {dict(self._traffic.answers)}; about budgets: {dict(self._storm.answers)}.\n")
        rows = [["rule", "verdict"]]
        for rule in [*RULES, ENOUGH, ANSWERS, *((TOOK_OVER,) if self._stack.is_cluster else ())]:
            broken = sum(finding.rule == rule for finding in findings)
            rows.append([rule, f"{broken} BROKEN" if broken else "holds"])
        print(table(rows))
        for rule in dict.fromkeys(finding.rule for finding in findings):
            details = [finding for finding in findings if finding.rule == rule]
            print(f"\nBroken: {rule}")
            for finding in details[:SHOWN_MAX]:
                print(f"  {finding.task} {finding.detail}")
            if len(details) > SHOWN_MAX:
                print(f"  and {len(details) - SHOWN_MAX} more")


ENOUGH = "one task a second was accepted, and every submission and cancelation answered"
ANSWERS = "clients met only success, 402, 404, 409, 429, 503 and broken connections"


if __name__ == "__main__":
    sys.exit(main())
