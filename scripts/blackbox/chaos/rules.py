"""What the chaos suite judges beyond the fault test's rules. No I/O."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ..faults import checker
from ..faults.checker import Evidence, Finding
from .traffic import ENDINGS


@dataclass(frozen=True)
class Delivery:
    id: str
    task: str
    sequence: int
    kind: str
    state: str


@dataclass(frozen=True)
class Story(Evidence):
    #: Key -> what kind of task it was, and which keys named a callback.
    kinds: Mapping[str, str] = field(default_factory=dict)
    with_callback: frozenset[str] = frozenset()
    deliveries: Sequence[Delivery] = ()
    #: Delivery id -> the events that came under it.
    received: Mapping[str, set[tuple[str, int, str]]] = field(default_factory=dict)
    #: (session, seat) of every vote, and each session's (task, round, status).
    votes: Sequence[tuple[str, str]] = ()
    sessions: Sequence[tuple[str, int, str]] = ()
    #: Text of each poison -> (stored for certain, lay in a wiped store, times filed).
    poison: Mapping[str, tuple[bool, bool, int]] = field(default_factory=dict)
    #: Letters that are no poison: what they are.
    other_letters: Sequence[str] = ()
    #: What the audit's verification said; empty when it found the chain whole.
    audit: str = ""
    #: Messages and holds that should be gone by the end.
    outbox: int = 0
    open_holds: int = 0


def ended_as_meant(story: Story) -> Iterable[tuple[str, str]]:
    for row in story.stored():
        kind = story.kinds.get(row.name, "plain")
        if row.state not in ENDINGS[kind]:
            yield row.id, f"is {kind} and ended {row.state}"


def charged_once(story: Story) -> Iterable[tuple[str, str]]:
    charges = story.money.charges
    for task, (usage, state, actual) in charges.items():
        # What used nothing may have its hold released instead.
        if not (state == "committed" and actual == usage) and not (usage == 0 and state == "released"):
            yield task, f"used {usage} tokens, its hold is {state} with {actual}"
    whole = sum(usage for usage, _, _ in charges.values())
    if whole != story.money.used_by_tasks:
        yield "", f"tasks used {whole} tokens, their account says {story.money.used_by_tasks}"


def all_accounted_for(story: Story) -> Iterable[tuple[str, str]]:
    accepted = sum(len(ids) for ids in story.accepted.values())
    ends = collections.Counter(row.state for row in story.stored() if row.has_ended)
    if accepted != sum(ends.values()):
        yield "", f"{accepted} accepted, {dict(ends)} ended"
    if story.outbox or story.open_holds:
        yield "", f"{story.outbox} messages are still to be sent, {story.open_holds} tasks' holds are still open"


def one_delivery(story: Story) -> Iterable[tuple[str, str]]:
    by_task: dict[str, list[Delivery]] = collections.defaultdict(list)
    for delivery in story.deliveries:
        by_task[delivery.task].append(delivery)
    for row in story.stored():
        found = by_task.get(row.id, [])
        wanted = 1 if row.name in story.with_callback else 0
        if len(found) != wanted:
            yield row.id, f"has {len(found)} deliveries, not {wanted}"
        elif found and (found[0].state != "delivered" or found[0].kind != f"task.{row.state}"):
            yield row.id, f"is {row.state}, its delivery {found[0].id} of {found[0].kind} is {found[0].state}"


def one_id_one_event(story: Story) -> Iterable[tuple[str, str]]:
    known = {delivery.id: (delivery.task, delivery.sequence, delivery.kind) for delivery in story.deliveries}
    ids: dict[tuple[str, int, str], set[str]] = collections.defaultdict(set)
    for delivery, events in story.received.items():
        if len(events) != 1 or known.get(delivery) not in events:
            yield "", f"delivery {delivery} came with {sorted(events)}, the database says {known.get(delivery)}"
        for event in events:
            ids[event].add(delivery)
    for event, several in ids.items():
        if len(several) > 1:
            yield event[0], f"{event[2]} came under {len(several)} ids: {sorted(several)}"
    for delivery in story.deliveries:
        if delivery.state == "delivered" and delivery.id not in story.received:
            yield delivery.task, f"delivery {delivery.id} is delivered, but never came"


def one_vote_a_seat(story: Story) -> Iterable[tuple[str, str]]:
    for (session, seat), count in collections.Counter(story.votes).items():
        if count > 1:
            yield "", f"seat {seat} of session {session} has {count} votes"
    approved = collections.Counter(task for task, _, status in story.sessions if status == "approved")
    for row in story.stored():
        if story.kinds.get(row.name) in ("reviewed", "flawed") and row.state == "completed" and not approved[row.id]:
            yield row.id, "completed without an approval"
    for task, count in approved.items():
        if count > 1:
            yield task, f"was approved {count} times"


def letters_accounted_for(story: Story) -> Iterable[tuple[str, str]]:
    for text, (stored, wiped, filed) in story.poison.items():
        if filed > 1:
            yield "", f"{text} was filed {filed} times"
        if stored and not wiped and filed == 0:
            yield "", f"{text} was stored by its stream and never filed"
    for letter in story.other_letters:
        yield "", f"a message of Golden's own became a dead letter: {letter}"


def audit_is_whole(story: Story) -> Iterable[tuple[str, str]]:
    if story.audit:
        yield "", story.audit


Rule = Callable[[Story], Iterable[tuple[str, str]]]
REPLACED = ("no task failed because of a fault", "each task is charged once, with what its agents reported")
RULES: dict[str, Rule] = {
    **{name: rule for name, rule in checker.RULES.items() if name not in REPLACED},
    "every task ended as its kind must": ended_as_meant,
    "each task is charged once, with what its agents reported": charged_once,
    "accepted = completed + failed + canceled + rejected, and nothing is left over": all_accounted_for,
    "each callback has one delivery, and it arrived": one_delivery,
    "one delivery id carries one event, and one event has one id": one_id_one_event,
    "a seat has one vote, a task one approval": one_vote_a_seat,
    "every dead letter is filed once": letters_accounted_for,
    "the audit chain is whole": audit_is_whole,
}


def check(story: Story) -> list[Finding]:
    return [Finding(rule, task, detail) for rule, judge in RULES.items() for task, detail in judge(story)]
