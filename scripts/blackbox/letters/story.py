"""What becomes of dead letters: who hears of them, what replays do, what answers itself, what is kept."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..api import parse
from ..nats import NATS
from ..stack import Stack, StackError, binaries
from .receivers import Alertmanager, Chat
from .subjects import some_id

WAIT_SECONDS_MAX = 120


class Story:
    """Chapters on one stack; each says what it found."""

    def __init__(self, stack: Stack, nats: NATS, alertmanager: Alertmanager, chat: Chat, archive: Path) -> None:
        self._stack = stack
        self._nats = nats
        self._alertmanager = alertmanager
        self._chat = chat
        self._archive = archive
        self._client = stack.client(role="operator")
        self._wrong: list[str] = []

    def told(self) -> bool:
        chapters = (
            self.alerts_begin, self.a_beginning_is_not_sent, self.bytes_come_back, self.an_edited_letter_is_sent,
            self.a_replayed_attempt_counts_once, self.a_bulk_replay_is_followed_stopped_and_resumed,
            self.a_transient_cause_is_answered_once, self.the_work_of_a_crashed_agent_is_answered_once,
            self.alerts_end, self.old_letters_are_archived,
        )
        for chapter in chapters:
            before = len(self._wrong)
            try:
                chapter()
            except TimeoutError as error:
                self._wrong.append(f"{chapter.__name__}: waited in vain for {error}")
            verdict = "holds" if len(self._wrong) == before else "DOES NOT HOLD"
            print(f"{chapter.__name__.replace('_', ' ')}: {verdict}", flush=True)
        for text in self._wrong:
            print(f"  {text}")
        return not self._wrong

    # Alerts

    def alerts_begin(self) -> None:
        """More than a hundred letters are there by now, some on the subject that may not wait."""
        expected = [("DeadLettersOnCriticalSubject", "critical"), ("DeadLettersPilingUp", "critical")]
        wait_for(lambda: self._alertmanager.firing() == expected, "Alertmanager to hear of both alerts")
        wait_for(lambda: any("DeadLettersPilingUp" in text for text in self._chat.texts), "the chat to hear, too")
        self.expect(self._chat.refused == Chat.BROKEN_ANSWERS, "a broken chat was not told again")
        # A worker that begins anew tells everything again; to Alertmanager it is the same.
        told = len(self._chat.texts)
        self.restart_worker()
        wait_for(lambda: len(self._chat.texts) > told, "the new worker to tell the chat")
        self.expect(self._alertmanager.firing() == expected, f"told twice: {self._alertmanager.firing()}")

    def alerts_end(self) -> None:
        self.resolve_all()
        wait_for(lambda: not self._alertmanager.firing(), "Alertmanager to hear that it is over")
        wait_for(lambda: any("[resolved] DeadLettersPilingUp" in text for text in self._chat.texts),
                 "the chat to hear that it is over")

    def was_escalated(self, task: str) -> bool:
        """Also when the supervisor has had its work begun again since."""
        return self._stack.database.number("SELECT count(*) FROM escalations WHERE task_id = :'task'", task=task) > 0

    # Replays

    def a_beginning_is_not_sent(self) -> None:
        """Of a message as large as the server takes the beginning is kept, which is no message."""
        found = self._stack.database.rows("SELECT id FROM dlq_messages WHERE headers ? 'Golden-Whole-Bytes'")
        self.expect(len(found) == 1, f"{len(found)} letters hold a beginning only, not one")
        for row in found:
            self.post(f"/dlq/{row[0]}/replay", {})
            self.expect(self.get(f"/dlq/{row[0]}")["state"] == "open", "a beginning was sent as a message")

    def bytes_come_back(self) -> None:
        """Binary, with NUL and what looks like base64, byte for byte."""
        for payload in (bytes(range(256)), b"\x00", b"QUJD"):
            subject = f"prc.{some_id()}.probe"
            letter = self.bury(subject, payload)
            shown = self.get(f"/dlq/{letter}")
            data = shown["data"].encode() if shown["data_encoding"] == "utf8" else base64.b64decode(shown["data"])
            self.expect(data == payload, f"{payload!r} was filed as {shown['data']!r}")
            self.post(f"/dlq/{letter}/replay", {})
            again = self._nats.request("$JS.API.STREAM.MSG.GET.PRC", json.dumps({"last_by_subj": subject}).encode())
            sent = base64.b64decode(again["message"].get("data", ""))
            self.expect(sent == payload, f"{payload!r} was sent again as {sent!r}")

    def an_edited_letter_is_sent(self) -> None:
        """An agent misspells its outcome; an operator mends it, and the task completes: unless it was escalated for the
        letter before, which is looked for every two seconds. So another task is taken then, and the operator is quicker
        than the command line can be."""
        note = "the outcome was misspelt"
        for turn in range(12):
            task, item = self.held_task()
            report = self.report(task, item)
            subject = f"results.held.{task}"
            self._nats.store(subject, json.dumps(report | {"outcome": "complete"}).encode())
            letter = self.letter_on(subject)
            if turn < 2:
                fixed = self._stack.folder / "fixed.json"
                fixed.write_text(json.dumps(report))
                done = self.golden("dlq", "replay", letter, "--payload", str(fixed), "--note", note)
                self.expect(done.returncode == 0, f"golden dlq replay ended with {done.returncode}: {done.stderr}")
            else:
                self.post(f"/dlq/{letter}/replay", {"payload": report, "note": note})
            wait_for(lambda: self.state(task) == "completed" or self.was_escalated(task), "the task to complete")
            if self.state(task) == "completed":
                break
        self.expect(self.state(task) == "completed", "no task completed for which a report was mended")
        shown = self.get(f"/dlq/{letter}")
        self.expect('"complete"' in shown["data"], "what was filed was not kept")
        self.expect(shown["state"] == "resolved", "an edited letter that was sent stays open")
        audited = self._stack.database.number(
            "SELECT count(*) FROM audit_log WHERE action = 'replayDeadLetter' AND strpos(resource, :'letter') > 0"
            " AND outcome = 'allowed'", letter=letter)
        self.expect(audited >= 1, "the replay is not in the audit log")

    def a_replayed_attempt_counts_once(self) -> None:
        """Two letters hold the work of an attempt whose original still waits; all three are done, and one counts."""
        task, item = self.held_task()
        letters = [self.bury("work.held", json.dumps(item).encode(), reason="it_failed") for _ in range(2)]
        for letter in letters:
            self.post(f"/dlq/{letter}/replay", {})
        again = self._client.request("POST", f"/dlq/{letters[0]}/replay", b"{}", {"Content-Type": "application/json"})
        self.expect(again.status == 409, f"a letter was replayed twice: {again.status}")
        held = self._nats.request("$JS.API.STREAM.INFO.WORK", b'{"subjects_filter":"work.held"}')
        copies = (held["state"].get("subjects") or {}).get("work.held", 0)
        self.expect(copies >= 3, f"{copies} copies of the work wait, not three")
        subject = f"results.held.{task}"
        for number in range(3):
            report = self.report(task, item) | {"output": {"number": number}, "usage": {"tokens": 7}}
            self._nats.store(subject, json.dumps(report).encode(), {"Nats-Msg-Id": f"{task}.copy.{number}"})
        wait_for(lambda: self.state(task) == "completed", "the task to complete")
        late = self.bury(subject, json.dumps(self.report(task, item)).encode())
        self.post(f"/dlq/{late}/replay", {})
        self.expect(self.get(f"/dlq/{late}").get("resolution_notes") == "task_ended", "a late report was sent again")
        time.sleep(1)
        ends = self._stack.database.number(
            f"SELECT count(*) FROM task_events WHERE task_id = '{task}' AND kind = 'task.completed'")
        used = self._stack.database.number(f"SELECT usage_tokens FROM tasks WHERE id = '{task}'")
        self.expect((ends, used) == (1, 7), f"the task completed {ends:.0f} times and used {used:.0f} tokens")
        # Work of a task that has ended becomes a new task, which names the old one.
        gone = self.bury("work.held", json.dumps(item).encode())
        anew = self.post(f"/dlq/{gone}/replay", {})
        self.expect(anew.get("labels", {}).get("replay_of") == task, f"the new task does not name the old: {anew}")

    def a_bulk_replay_is_followed_stopped_and_resumed(self) -> None:
        subject = f"prc.{some_id()}.probe"
        for number in range(60):
            self._nats.store(f"dlq.{subject}", json.dumps({"number": number}).encode(), {
                "Nats-Msg-Id": some_id(), "Golden-Reason": "bulk", "golden-tenant": "default"})
        wait_for(lambda: len(self.letters_on(subject)) == 60, "sixty letters")
        dry = self.post("/dlq/replay", {"subject": subject, "dry_run": True})
        self.expect(dry["total"] == 60 and len(dry["sample"]) > 0, f"the rehearsal says {dry}")
        self.expect(self.sent_on(subject) == 0, "a rehearsal sent something")
        replay = self.post("/dlq/replay", {"subject": subject, "rate": 5})
        steps = self.follow(replay["id"], stop_at=10)
        self.expect(steps[-1]["state"] == "stopped" and 10 <= steps[-1]["replayed"] < 60, f"it stopped at {steps[-1]}")
        self.expect(len({step["replayed"] for step in steps}) >= 3, "its progress was not told")
        time.sleep(2)
        half = self.get(f"/dlq/replays/{replay['id']}")["replayed"]
        self.expect(half < 60 and self.sent_on(subject) == half, "it went on although it was stopped")
        self.post(f"/dlq/replays/{replay['id']}/resume", {})
        self.expect(self.follow(replay["id"])[-1]["state"] == "done", "it did not end after it was resumed")
        self.expect(self.sent_on(subject) == 60, f"{self.sent_on(subject)} messages were sent, not sixty")

    def a_transient_cause_is_answered_once(self) -> None:
        subject = f"prc.{some_id()}.decision"
        letter = self.bury(subject, b'{"v": 99}', reason="deliveries_exhausted")
        wait_for(lambda: self.get(f"/dlq/{letter}").get("resolved_by") == "policy:retry-once", "the policy to answer")
        # It dies again of another cause; that letter is for people.
        second = self.letter_on(subject, but=letter)
        time.sleep(4)
        self.expect(self.get(f"/dlq/{second}")["state"] == "open", "the policy answered twice")

    def the_work_of_a_crashed_agent_is_answered_once(self) -> None:
        """Work that a stranger's agent died with is handed out again; that of an attempt that is over is not."""
        task, item = self.held_task()
        letter = self.bury("work.held", json.dumps(item).encode(), reason="max_deliveries")
        wait_for(lambda: self.get(f"/dlq/{letter}").get("resolved_by") == "policy:retry-once", "the policy to answer")
        self.expect(self.get(f"/dlq/{letter}").get("resolution_notes") == "replayed", "live work was not sent again")
        old = self.bury("work.held", json.dumps(item | {"lease_token": "old"}).encode(), reason="max_deliveries")
        wait_for(lambda: self.get(f"/dlq/{old}").get("resolved_by") == "policy:retry-once", "the policy to answer")
        self.expect(self.get(f"/dlq/{old}").get("resolution_notes") == "superseded", "old work was sent again")

    # Keeping

    def old_letters_are_archived(self) -> None:
        count = self._stack.database.number("SELECT count(*) FROM dlq_messages WHERE resolved")
        self._stack.database.execute(
            "UPDATE dlq_messages SET created_at = now() - interval '2 days', resolved_at = now() - interval '2 days' "
            "WHERE resolved")
        self.restart_worker()  # It looks when it begins, and every minute.
        wait_for(lambda: self._stack.database.number("SELECT count(*) FROM dlq_messages WHERE resolved") == 0,
                 "old letters to leave the table")
        lines = [json.loads(line) for file in self._archive.glob("*.jsonl") for line in file.read_text().splitlines()]
        self.expect(len(lines) == count > 100, f"{len(lines)} letters are in the archive, {count:.0f} were resolved")
        self.expect(all("original_subject" in line and "data_base64" in line for line in lines), "the archive lacks fields")

    # Hands

    def expect(self, holds: bool, what: str) -> None:
        if not holds:
            self._wrong.append(what)

    def get(self, path: str) -> Any:
        answer = self._client.request("GET", path)
        if answer.status != 200:
            raise StackError(f"GET {path} answered {answer.status}: {answer.body.decode()}")
        return answer.json

    def post(self, path: str, body: Any) -> Any:
        answer = self._client.request("POST", path, json.dumps(body).encode(), {"Content-Type": "application/json"})
        if answer.status >= 300:
            raise StackError(f"POST {path} answered {answer.status}: {answer.body.decode()}")
        return answer.json

    def golden(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(binaries() / "golden"), *arguments, "--data", str(self._stack.folder)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)

    def follow(self, replay: str, stop_at: int | None = None) -> list[Any]:
        """What the replay's event stream says until it ends."""
        request = urllib.request.Request(
            f"{self._stack.urls[0]}/dlq/replays/{replay}/events",
            headers={"Accept": "text/event-stream", "Authorization": f"Bearer {self._stack.token(role='operator')}"})
        steps: list[Any] = []
        with urllib.request.urlopen(request, timeout=WAIT_SECONDS_MAX) as response:
            for event in parse(response):
                steps.append(event.body)
                if stop_at is not None and event.body["replayed"] >= stop_at:
                    self.post(f"/dlq/replays/{replay}/stop", {})
                    stop_at = None
        return steps

    def sent_on(self, subject: str) -> int:
        found = self._nats.request("$JS.API.STREAM.INFO.PRC", json.dumps({"subjects_filter": subject}).encode())
        return int((found["state"].get("subjects") or {}).get(subject, 0))

    def bury(self, subject: str, payload: bytes, reason: str = "undecodable") -> str:
        """Writes a letter as a consumer does that gives up; answers its id once it is filed."""
        before = self.letters_on(subject)
        self._nats.store(f"dlq.{subject}", payload, {
            "Nats-Msg-Id": some_id(), "Golden-Reason": reason, "Golden-Error": "it failed", "Golden-Attempts": "5",
            "golden-tenant": "default",
        })
        wait_for(lambda: len(self.letters_on(subject)) > len(before), f"a letter on {subject}")
        return next(letter for letter in self.letters_on(subject) if letter not in before)

    def letters_on(self, subject: str) -> list[str]:
        return [row[0] for row in self._stack.database.rows(
            "SELECT id FROM dlq_messages WHERE original_subject = :'subject'", subject=subject)]

    def letter_on(self, subject: str, but: str = "") -> str:
        wait_for(lambda: any(letter != but for letter in self.letters_on(subject)), f"a letter on {subject}")
        return next(letter for letter in self.letters_on(subject) if letter != but)

    def held_task(self) -> tuple[str, Any]:
        """A task whose work waits for agents that do not exist, and that work."""
        answer = self._client.submit({"role": "held", "input": {}})
        if answer.status != 202:
            raise StackError(f"a task was not accepted: {answer}")
        task = str(answer.json["id"])
        found: list[Any] = []

        def look() -> bool:
            last = self._nats.request("$JS.API.STREAM.MSG.GET.WORK", b'{"last_by_subj": "work.held"}')
            if "message" in last:
                item = json.loads(base64.b64decode(last["message"]["data"]))
                if item["task_id"] == task:
                    found.append(item)
            return bool(found)

        wait_for(look, "the task's work")
        return task, found[0]

    def report(self, task: str, item: Any) -> dict[str, Any]:
        return {"v": 1, "task_id": task, "attempt": item["attempt"], "lease_token": item["lease_token"],
                "agent": "held-1", "outcome": "completed", "output": {"said": "done"}}

    def state(self, task: str) -> str:
        return str(self.get(f"/tasks/{task}")["state"])

    def restart_worker(self) -> None:
        """kill -9; the stack starts another."""
        (worker,) = self._stack.processes("dlq-worker")
        os.kill(worker.pid, signal.SIGKILL)

        def is_another() -> bool:
            processes = self._stack.processes("dlq-worker")
            return bool(processes) and processes[0].pid not in (0, worker.pid)

        wait_for(is_another, "another dlq-worker")

    def resolve_all(self) -> None:
        for row in self._stack.database.rows("SELECT id FROM dlq_messages WHERE NOT resolved"):
            self.post(f"/dlq/{row[0]}/resolve", {"notes": "a test's"})


def wait_for(condition: Callable[[], bool], what: str) -> None:
    limit = time.monotonic() + WAIT_SECONDS_MAX
    while not condition():
        if time.monotonic() > limit:
            raise TimeoutError(what)
        time.sleep(0.1)
