"""Judges a run from two things alone: what clients were told, and what the database holds. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

ENDINGS = {
    "task.completed": "completed", "task.failed": "failed", "task.canceled": "canceled", "task.rejected": "rejected",
}


@dataclass(frozen=True)
class TaskRow:
    id: str
    name: str
    state: str
    attempt: int
    event_seq: int
    has_output: bool
    has_ended: bool


@dataclass(frozen=True)
class EventRow:
    sequence: int
    kind: str
    attempt: int
    data: Any


@dataclass
class Followed:
    """What one client saw of one task's stream, over however many connections."""

    task: str
    client: int
    events: list[EventRow] = field(default_factory=list)
    connections: int = 0
    #: The terminal event came.
    ended: bool = False


@dataclass(frozen=True)
class Money:
    #: How often the accounts were looked at, and where more was used and held than the limit.
    samples: int
    excesses: Sequence[str]
    #: Request id -> every verdict clients heard: reserved, denied.
    verdicts: Mapping[str, set[str]]
    #: What the ledger's own verification names.
    differences: Sequence[str]
    #: Task -> its reported usage, its hold's state, and what the hold was committed with.
    charges: Mapping[str, tuple[int, str, int]]
    used_by_tasks: int


@dataclass(frozen=True)
class Finding:
    rule: str
    task: str
    detail: str


@dataclass(frozen=True)
class Evidence:
    #: Idempotency key (the task's name as well) -> the ids that 202 answers gave for it.
    accepted: Mapping[str, set[str]]
    tasks: Mapping[str, TaskRow]
    events: Mapping[str, Sequence[EventRow]]
    followed: Sequence[Followed]
    money: Money

    def stored(self) -> Iterable[TaskRow]:
        """Accepted tasks that the database knows; the others are one rule's finding, not every rule's."""
        for ids in self.accepted.values():
            for task in sorted(ids):
                if task in self.tasks:
                    yield self.tasks[task]

    def history(self, task: str) -> Sequence[EventRow]:
        return self.events.get(task, ())


def accepted_exists(evidence: Evidence) -> Iterable[tuple[str, str]]:
    for key, ids in evidence.accepted.items():
        for task in sorted(ids - evidence.tasks.keys()):
            yield task, f"answered 202 for {key}, but the database does not know it"


def one_key_one_task(evidence: Evidence) -> Iterable[tuple[str, str]]:
    for key, ids in evidence.accepted.items():
        if len(ids) > 1:
            yield min(ids), f"{key} was answered with {len(ids)} ids: {', '.join(sorted(ids))}"
    names: dict[str, list[str]] = {}
    for row in evidence.tasks.values():
        names.setdefault(row.name, []).append(row.id)
    for name, rows in names.items():
        if len(rows) > 1:
            yield rows[0], f"{name} was stored {len(rows)} times"


def one_terminal_state(evidence: Evidence) -> Iterable[tuple[str, str]]:
    for row in evidence.stored():
        if row.state not in ENDINGS.values() or not row.has_ended:
            yield row.id, f"is {row.state}"


def one_terminal_event(evidence: Evidence) -> Iterable[tuple[str, str]]:
    for row in evidence.stored():
        history = evidence.history(row.id)
        endings = [event for event in history if event.kind in ENDINGS]
        if len(endings) != 1:
            yield row.id, f"has {len(endings)} terminal events"
        elif endings[0] is not history[-1]:
            yield row.id, f"goes on after {endings[0].kind}"
        elif ENDINGS[endings[0].kind] != row.state:
            yield row.id, f"is {row.state}, but its history ends with {endings[0].kind}"


def applied_once(evidence: Evidence) -> Iterable[tuple[str, str]]:
    for row in evidence.stored():
        completions = sum(event.kind == "task.completed" for event in evidence.history(row.id))
        if completions != (row.state == "completed") or row.has_output != (row.state == "completed"):
            yield row.id, f"is {row.state} with {completions} completions, output: {row.has_output}"


def attempts_consistent(evidence: Evidence) -> Iterable[tuple[str, str]]:
    for row in evidence.stored():
        current = 0
        for event in evidence.history(row.id):
            current += event.kind == "task.dispatched"
            if event.attempt != current:
                yield row.id, f"event {event.sequence} ({event.kind}) says attempt {event.attempt}, not {current}"
                break
        else:
            if row.attempt != current:
                yield row.id, f"counts {row.attempt} attempts, its history {current}"


def gap_free(evidence: Evidence) -> Iterable[tuple[str, str]]:
    for row in evidence.stored():
        history = evidence.history(row.id)
        numbers = [event.sequence for event in history]
        if numbers != list(range(1, row.event_seq + 1)):
            yield row.id, f"has the sequences {numbers} and counts {row.event_seq} events"
        elif not history or history[0].kind != "task.created":
            yield row.id, "does not start with task.created"


def streams_match(evidence: Evidence) -> Iterable[tuple[str, str]]:
    for seen in evidence.followed:
        history = list(evidence.history(seen.task))
        if seen.events != history:
            mine, theirs = ([(event.sequence, event.kind) for event in events] for events in (seen.events, history))
            what = f"saw {mine}, the database has {theirs}" if mine != theirs else "saw other attempts or data"
            yield seen.task, f"client {seen.client} {what}"
        elif not seen.ended:
            yield seen.task, f"client {seen.client} never saw the end"


def work_survives(evidence: Evidence) -> Iterable[tuple[str, str]]:
    for row in evidence.stored():
        if row.state in ("failed", "canceled", "rejected"):
            yield row.id, f"ended {row.state}, though its work always succeeds"


def never_above_limit(evidence: Evidence) -> Iterable[tuple[str, str]]:
    for excess in evidence.money.excesses:
        yield "", f"an account showed {excess}"


def one_verdict(evidence: Evidence) -> Iterable[tuple[str, str]]:
    for request, verdicts in evidence.money.verdicts.items():
        if len(verdicts) > 1:
            yield "", f"{request} was answered {' and '.join(sorted(verdicts))}"


def ledger_adds_up(evidence: Evidence) -> Iterable[tuple[str, str]]:
    for difference in evidence.money.differences:
        yield "", difference


def charged_once(evidence: Evidence) -> Iterable[tuple[str, str]]:
    charges = evidence.money.charges
    for task, (usage, state, actual) in charges.items():
        if state != "committed" or actual != usage:
            yield task, f"used {usage} tokens, its hold is {state} with {actual}"
    whole = sum(usage for usage, _, _ in charges.values())
    if whole != evidence.money.used_by_tasks:
        yield "", f"tasks used {whole} tokens, their account says {evidence.money.used_by_tasks}"


#: Every rule with what it says when it holds.
RULES: dict[str, Callable[[Evidence], Iterable[tuple[str, str]]]] = {
    "every accepted task is stored": accepted_exists,
    "one key made at most one task": one_key_one_task,
    "every accepted task is in one terminal state": one_terminal_state,
    "exactly one terminal event, and it is the last": one_terminal_event,
    "no result was applied twice": applied_once,
    "attempts count up and events belong to theirs": attempts_consistent,
    "sequences run from 1 to n without gaps": gap_free,
    "streams followed through the faults equal the database": streams_match,
    "no task failed because of a fault": work_survives,
    "no account ever had more used and held than its limit": never_above_limit,
    "each budget request has one verdict": one_verdict,
    "the ledger adds up to every account": ledger_adds_up,
    "each task is charged once, with what its agents reported": charged_once,
}


def check(evidence: Evidence) -> list[Finding]:
    """Everything that is wrong, in the order of the rules."""
    return [Finding(rule, task, detail) for rule, judge in RULES.items() for task, detail in judge(evidence)]
