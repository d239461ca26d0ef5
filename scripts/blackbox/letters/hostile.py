"""Hostile messages on every subject: each is one explained dead letter, or passed over as documented, and nothing else
stops."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from dataclasses import dataclass

from ..api import TERMINAL_EVENTS
from ..nats import NATS, NATSError
from ..stack import Stack, StackError, table
from .subjects import ROWS, Case, Row, some_id, unreadable

SETTLED_SECONDS_MAX = 120
#: What MessageBus leaves for the headers of a letter whose message is too large beside them.
STORY_BYTES = 8 << 10
CONSUMERS = (("WORK", "work-developer"), ("RESULTS", "orchestrator-results"), ("PRC", "orchestrator-decisions"),
             ("PRC", "peer-hub-requests"), ("PRC", "peer-hub-responses"), ("PRC", "peer-hub-cancels"),
             ("ESCALATIONS", "supervisor-escalations"), ("ESCALATIONS", "supervisor-analyses"),
             ("ESCALATIONS", "orchestrator-resolutions"), ("SANDBOX", "sandbox-executor"), ("DLQ", "dlq-worker"))


@dataclass(frozen=True)
class Expected:
    what: str
    #: SQL that finds its letters.
    letters: str
    #: None: passed over.
    reason: str | None
    payload_bytes: int | None = None


def hostile(stack: Stack, nats: NATS) -> bool:
    complete_a_task(stack)
    before = {process.name: process.pid for process in stack.processes()}
    expected: list[Expected] = []
    for name, row in ROWS.items():
        expected += publish(name, row, nats)
    expected += largest(nats, stack.status()["stores"]["nats"])
    wait_until_settled(stack, nats, expected)
    wrong = [["message", "expected", "filed"]]
    for case in expected:
        found = stack.database.rows(
            f"SELECT reason, coalesce(error, ''), octet_length(data) FROM dlq_messages WHERE {case.letters}")
        if not explained(case, found):
            wrong.append([case.what, case.reason or "passed over", "; ".join(" ".join(line) for line in found) or "-"])
    print(f"{len(expected)} hostile messages on {len(ROWS)} subjects: {len(expected) - len(wrong) + 1} as documented.")
    if len(wrong) > 1:
        print(table(wrong))
    after = {process.name: process.pid for process in stack.processes()}
    if after != before:
        print(f"Processes died: {before} became {after}.")
    complete_a_task(stack)
    return len(wrong) == 1 and after == before


def publish(name: str, row: Row, nats: NATS) -> list[Expected]:
    """Everything that is wrong with one subject."""
    expected: list[Expected] = []
    for what, payload in unreadable(row.subject):
        subject = row.subject.replace("{id}", some_id())
        if not row.is_consumed and not row.is_stored:
            nats.publish(subject, payload)
            continue
        sequence = nats.store(subject, payload)
        if row.is_consumed:
            expected.append(Expected(f"{name}: {what}", stored(subject, sequence), "undecodable"))
    for case in row.cases:
        expected.append(publish_case(name, row, case, nats))
    return expected


def publish_case(name: str, row: Row, case: Case, nats: NATS) -> Expected:
    about = some_id()
    subject = row.subject.replace("{id}", about)
    body = case.body(about)
    sequence = nats.store(subject, json.dumps(body).encode())
    letters = stored(subject, sequence)
    if case.elsewhere:
        letters = f"original_subject = '{case.elsewhere.replace('{task}', str(body.get('task_id')))}'"
    return Expected(f"{name}: {case.what}", letters, case.reason)


def largest(nats: NATS, url: str) -> list[Expected]:
    """Large, as large as fits with the story of its death, and as large as the server takes: of that one the beginning
    is kept. What is larger never gets in."""
    found: list[Expected] = []
    bound = nats.payload_bytes_max
    for size, kept in ((1 << 20, 1 << 20), (bound - STORY_BYTES, bound - STORY_BYTES), (bound, bound - STORY_BYTES)):
        subject = f"results.developer.{some_id()}"
        sequence = nats.store(subject, b"\xff" * size)
        # Bytes that are no text are kept as base64.
        found.append(Expected(f"{size} bytes", stored(subject, sequence), "undecodable", 4 * -(-kept // 3)))
    subject = f"results.developer.{some_id()}"
    # The server hangs up on what it has not read, which may overtake the words that say why.
    with NATS(url) as other, contextlib.suppress(NATSError, ConnectionError):
        other.store(subject, b"x" * (bound + 1))
    known = nats.request("$JS.API.STREAM.INFO.RESULTS", json.dumps({"subjects_filter": subject}).encode())
    if known["state"].get("subjects"):
        raise RuntimeError("a message above the server's bound was stored")
    return found


def stored(subject: str, sequence: int) -> str:
    return f"original_subject = '{subject}' AND stream_sequence = {sequence}"


def explained(case: Expected, found: list[list[str]]) -> bool:
    if case.reason is None:
        return not found
    if len(found) != 1:
        return False
    reason, error, size = found[0]
    return reason == case.reason and bool(error) and case.payload_bytes in (None, int(size))


def wait_until_settled(stack: Stack, nats: NATS, expected: list[Expected]) -> None:
    """Until no consumer has anything to do and everything that should be filed is."""
    awaited = sum(case.reason is not None for case in expected)
    limit = time.monotonic() + SETTLED_SECONDS_MAX
    while time.monotonic() < limit:
        states = [nats.request(f"$JS.API.CONSUMER.INFO.{stream}.{name}") for stream, name in CONSUMERS]
        busy = [state["name"] for state in states if state["num_pending"] + state["num_ack_pending"] > 0]
        filed = stack.database.number("SELECT count(*) FROM dlq_messages WHERE stream IS NOT NULL")
        if not busy and filed >= awaited:
            return
        time.sleep(0.2)
    print("Not everything settled; what is missing is told below.", file=sys.stderr)


def complete_a_task(stack: Stack) -> None:
    client = stack.client()
    answer = client.submit({"role": "developer", "input": {"say": "hello"}})
    if answer.status != 202:
        raise StackError(f"a task was not accepted: {answer}")
    for event in client.events(answer.json["id"]):
        if event.kind in TERMINAL_EVENTS:
            if event.kind != "task.completed":
                raise StackError(f"a task ended as {event.kind}: {event.body}")
            return
    raise StackError("a task's stream ended before the task")
