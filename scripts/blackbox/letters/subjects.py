"""A row for every subject of Contracts/Subject.swift: where it leads, and what nobody can make sense of there."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..stack import ROOT

SOURCE = ROOT / "Sources" / "Contracts" / "Subject.swift"
LATER = "2099-01-01T00:00:00.000Z"


@dataclass(frozen=True)
class Case:
    """One message, well-formed and impossible."""

    what: str
    body: Callable[[str], dict[str, Any]]
    #: What the dead letter says; none when it is passed over, which docs/dead-letters.md then explains.
    reason: str | None = None
    #: Where the dead letter is addressed to, when it is another message's that this one brings about.
    elsewhere: str | None = None


@dataclass(frozen=True)
class Row:
    #: An id stands for `{id}`.
    subject: str
    #: Whether a consumer takes it from a stream. What is only heard is passed over when it cannot be read.
    is_consumed: bool
    cases: list[Case] = field(default_factory=list)
    #: Whether a stream keeps it, although no consumer of ours takes it from there.
    is_stored: bool = False


def some_id() -> str:
    return str(uuid.uuid4())


def report(_: str, **fields: Any) -> dict[str, Any]:
    return {"v": 1, "task_id": some_id(), "attempt": 1, "lease_token": "x", "agent": "stranger",
            "outcome": "completed", "output": {}} | fields


def work(_: str, **fields: Any) -> dict[str, Any]:
    return {"v": 1, "task_id": some_id(), "tenant": "default", "workflow": "single", "stage": "work", "kind": "work",
            "role": "developer", "attempt": 1, "lease_token": "x", "deadline": LATER, "input": {}} | fields


def review(session: str, **fields: Any) -> dict[str, Any]:
    return {"v": 1, "session_id": session, "tenant": "default", "task_id": some_id(), "attempt": 1, "round": 1,
            "author": "a", "author_owner": "o", "artifact": {}, "timeout_seconds": 1} | fields


def decision(session: str, **fields: Any) -> dict[str, Any]:
    return {"v": 1, "session_id": session, "tenant": "default", "task_id": some_id(), "attempt": 1, "round": 1,
            "artifact_sha256": "ab" * 32, "decision": "approved", "score": 1, "explanation": {},
            "decided_at": LATER, "votes": []} | fields


def escalation(_: str) -> dict[str, Any]:
    return {"v": 1, "escalation_id": some_id(), "tenant": "default", "task_id": some_id(), "attempt": 1,
            "role": "developer", "source": "failure"}


def closing(session: str) -> dict[str, Any]:
    return {"v": 1, "session_id": session, "tenant": "default", "task_id": some_id(), "reason": "x"}


def resolution(task: str) -> dict[str, Any]:
    return {"v": 1, "escalation_id": some_id(), "tenant": "default", "task_id": task, "resolution": "retry"}


def execution(_: str, **fields: Any) -> dict[str, Any]:
    return {"v": 1, "execution_id": some_id(), "tenant": "default", "caller": "x"} | fields


#: By the name of the declaration in Contracts/Subject.swift.
ROWS: dict[str, Row] = {
    "work": Row("work.developer", True, [
        Case("work of a task that does not exist", work, "unknown_task", elsewhere="results.developer.{task}"),
    ]),
    "results": Row("results.developer.{id}", True, [
        Case("a report of a task that does not exist", report, "unknown_task"),
        Case("an attempt before the first", lambda id: report(id, attempt=-1), "unknown_task"),
        Case("more tokens than there are", lambda id: report(id, usage={"tokens": 10**18}), "undecodable"),
        Case("an outcome that nobody knows", lambda id: report(id, outcome="perhaps"), "undecodable"),
    ]),
    "reviewRequest": Row("prc.{id}.request", True, [
        Case("another session in the subject", lambda _: review(some_id()), "wrong_subject"),
        Case("no reviewers", lambda id: review(id, reviewers=[]), "undecodable"),
        Case("a quorum above all votes", lambda id: review(id, quorum=1.5), "undecodable"),
        Case("a round before the first", lambda id: review(id, round=0), "undecodable"),
    ]),
    "reviewResponse": Row("prc.{id}.response", True, [Case("a vote in a session that does not exist", report)]),
    "reviewDecision": Row("prc.{id}.decision", True, [
        Case("another session in the subject", lambda _: decision(some_id()), "wrong_subject"),
        Case("a session that does not exist", decision),
        Case("a decision that decides nothing", lambda id: decision(id, decision="open"), "undecodable"),
    ]),
    "reviewCancel": Row("prc.{id}.cancel", True, [
        Case("another session in the subject", lambda _: closing(some_id()), "wrong_subject"),
        Case("a session that does not exist", closing),
    ]),
    "escalation": Row("supervisor.escalation", True, [Case("an escalation that does not exist", escalation)]),
    "analysis": Row("supervisor.analysis.{id}", True, [
        Case("an escalation that does not exist", report, "unknown_escalation"),
    ]),
    "resolution": Row("supervisor.resolution.{id}", True, [
        Case("an escalation that does not exist", resolution),
        Case("a resolution that nobody knows", lambda id: resolution(id) | {"resolution": "pray"}, "undecodable"),
    ]),
    "sandboxExecute": Row("sandbox.execute", True, [
        Case("a run that is not stored", execution),
        Case("a program in no language", lambda id: execution(id, program={"language": "klingon", "code": "x"})),
        Case("no program", lambda id: execution(id, program={}), "undecodable"),
    ]),
    "sandboxResult": Row("sandbox.result.{id}", False, is_stored=True),
    "events": Row("events.default", False),
    "alert": Row("alerts.critical", False),
    "cancel": Row("control.cancel.{id}", False),
    "dispatch": Row("control.dispatch", False),
    "replicas": Row("control.replica", False),
    "breakers": Row("control.breaker", False),
    "rateLimits": Row("control.rate-limits", False),
    "revocations": Row("control.revocations", False),
    "announceNow": Row("control.announce", False),
    "announcements": Row("agents.announce", False),
    "sandboxEvents": Row("events.default.sandbox.{id}", False),
    "sandboxControl": Row("control.sandbox", False),
    # Whatever is buried is filed as it is; nothing is undecodable there.
    "deadLetter": Row("dlq.nobody.listens", False, is_stored=True),
    "renamedDeadLetter": Row("dlq.renamed", False, is_stored=True),
}


def declared() -> set[str]:
    """The names of all subjects, as the source has them."""
    text = SOURCE.read_text()
    return set(re.findall(r"package static func (\w+)\([^)]*\) -> Subject \{", text)) | set(
        re.findall(r"package static let (\w+) = Subject\(", text)
    )


def unreadable(subject: str) -> list[tuple[str, bytes]]:
    """What is no message on any subject."""
    good = json.dumps(work(subject)).encode()
    return [
        ("nothing", b""),
        ("bytes that are no text", bytes(range(256)) * 8),
        ("half a message", good[: len(good) // 2]),
        ("no object", b"[1, 2, 3]"),
        ("no fields", b"{}"),
        ("another version", good.replace(b'"v": 1', b'"v": 99')),
        ("nested without end", b"[" * 100_000),
        ("numbers without end", b'{"v": ' + b"9" * 100_000 + b"}"),
        ("SQL and terminal codes", b"'; DROP TABLE tasks; --\x1b[2J\x00"),
    ]
