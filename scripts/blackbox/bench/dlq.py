"""Dead letters: 50,000 of twelve causes, seen as twelve lines, and replayed in bulk beside raw JetStream publishing.

Runs: one dlq-worker that files the letters from the bus, one orchestrator, the stores. The letters are addressed to a
subject of the reviews' stream that nobody consumes, so that what is measured is the replay and not what it brings
about. The reference publishes the very messages that the replay does (the same bodies, headers, lengths of ids and
number of subjects, to the same stream of one file-backed copy) by the same C client (`publisher.c`), every one of them
acknowledged by the server and each acknowledgement matched to its message, as many unacknowledged at a time as the
replay has, right before and right after it. It does nothing else: nothing is read, decided or written down. Beside it
stands what a bare socket gets that only counts acknowledgements. The replay is stopped in its middle and resumed.
"""

from __future__ import annotations

import json
import math
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..api import Client
from ..nats import NATS
from ..stack import ROOT, Stack, StackError, binaries
from .report import Row, below, exactly, note, ratio_at_least

NAME = "dlq"
LETTERS = 50_000
CAUSES = 12
REFERENCE = 20_000
#: A replay's batch.
IN_FLIGHT = 1000
GROUPS_TRIES = 5
RATE = 100_000
SECONDS_MAX = 300
SUBJECT = "prc.bench.replayed"
REFERENCE_SUBJECT = "prc.bench.reference"


def payload(number: int) -> bytes:
    return json.dumps({"v": 1, "number": number, "text": "x" * 200}).encode()


def letters() -> Iterator[tuple[str, bytes, Mapping[str, str]]]:
    """As a consumer writes them that gives up."""
    for number in range(LETTERS):
        cause = number % CAUSES
        yield f"dlq.{SUBJECT}{cause % 3}", payload(number), {
            "Nats-Msg-Id": f"dlq:BENCH:{number}", "Golden-Reason": f"reason_{'abcd'[cause // 3]}",
            "Golden-Error": f"field {number} of \"{number}\" is missing", "Golden-Attempts": "5",
            "Golden-Stream": "PRC", "Golden-Sequence": str(number + 1), "Golden-Consumer": "bench",
            "golden-tenant": "default",
        }


class Publisher:
    """Messages a second that JetStream stores for one publisher that does nothing else."""

    def __init__(self, stack: Stack) -> None:
        self._url = str(stack.status()["stores"]["nats"])
        self._program = stack.folder / "publisher"
        source = ROOT / "scripts" / "blackbox" / "bench" / "publisher.c"
        subprocess.run(["gcc", "-O2", "-o", str(self._program), str(source), "-lnats"], check=True)

    def rate(self, turn: str) -> float:
        words = [str(self._program), self._url, REFERENCE_SUBJECT, str(REFERENCE), str(IN_FLIGHT), turn]
        done = subprocess.run(words, capture_output=True, text=True, timeout=SECONDS_MAX)
        if done.returncode != 0:
            raise StackError(f"the reference failed: {done.stderr}")
        return REFERENCE / float(done.stdout)


def bare_socket(nats: NATS, turn: str) -> float:
    """The same messages; which one an acknowledgement belongs to is not looked at."""
    messages = []
    for number in range(REFERENCE):
        letter = uuid.uuid5(uuid.NAMESPACE_OID, f"{turn}.{number}")
        messages.append((f"{REFERENCE_SUBJECT}{number % 3}", payload(number), {
            "golden-tenant": "default", "Golden-Replay-Of": str(letter), "Nats-Msg-Id": f"replay:{letter}:1",
        }))
    return REFERENCE / nats.store_all(messages, IN_FLIGHT)


def file_all(stack: Stack, nats: NATS) -> float:
    """Seconds from the first letter published to the last one filed."""
    start = time.monotonic()
    nats.store_all(letters(), IN_FLIGHT)
    # Counting is work, too: not more often than it matters for a rate over some seconds.
    wait_for(
        lambda: stack.database.number("SELECT count(*) FROM dlq_messages") >= LETTERS, "the letters to be filed", 0.2)
    return time.monotonic() - start


def wait_for(condition: Callable[[], bool], what: str, every: float = 0.02) -> None:
    limit = time.monotonic() + SECONDS_MAX
    while not condition():
        if time.monotonic() > limit:
            raise StackError(f"waited {SECONDS_MAX} s for {what}")
        time.sleep(every)


def groups(stack: Stack) -> tuple[float, int]:
    """Seconds of the slowest `golden dlq groups`, and the lines it printed below its heading."""
    slowest, lines = 0.0, 0
    command = [str(binaries() / "golden"), "dlq", "groups", "--data", str(stack.folder)]
    for _ in range(GROUPS_TRIES):
        start = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
        slowest = max(slowest, time.monotonic() - start)
        if done.returncode != 0:
            raise StackError(f"golden dlq groups ended with {done.returncode}: {done.stderr}")
        lines = sum("reason_" in line for line in done.stdout.splitlines())
    return slowest, lines


def post(client: Client, path: str, body: Mapping[str, Any]) -> Any:
    answer = client.request("POST", path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    if answer.status >= 300:
        raise StackError(f"POST {path} answered {answer.status}: {answer.body.decode()}")
    return answer.json


class Replay:
    """One bulk replay as its caller sees it."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._body = post(client, "/dlq/replay", {"subject": "prc.bench.>", "rate": RATE})
        #: When each new step of progress was seen first.
        self.steps: dict[int, float] = {}

    def look(self) -> Any:
        self._body = self._client.request("GET", f"/dlq/replays/{self._body['id']}").json
        self.steps.setdefault(self.done, time.monotonic())
        return self._body

    @property
    def done(self) -> int:
        return int(self._body["replayed"] + self._body["skipped"])

    def turn(self, verb: str) -> None:
        post(self._client, f"/dlq/replays/{self._body['id']}/{verb}", {})

    def run_until(self, condition: Callable[[Any], bool]) -> float:
        """Letters a second, from the first step of progress on: a worker looks for new replays four times a second."""
        before = self.done
        wait_for(lambda: condition(self.look()), "the replay")
        steps = [(done, at) for done, at in self.steps.items() if done > before]
        (first, start), (last, end) = steps[0], steps[-1]
        return (last - first) / (end - start) if end > start else math.nan


def stand_still(replay: Replay) -> int:
    """What a stopped replay still sent after the batch that was under way."""
    time.sleep(1)
    replay.look()
    before = replay.done
    time.sleep(1)
    replay.look()
    return replay.done - before


def bench(tell: Callable[[str], None] = note) -> list[Row]:
    with Stack() as stack, NATS(stack.status()["stores"]["nats"]) as nats:
        tell(f"dlq: {LETTERS} letters of {CAUSES} causes are filed")
        filing = file_all(stack, nats)
        seconds, lines = groups(stack)
        tell("dlq: the reference, a bulk replay that is stopped and resumed, the reference again")
        publisher = Publisher(stack)
        publisher.rate("warm")
        before = publisher.rate("bfor")
        replay = Replay(stack.client(role="operator"))
        running = replay.run_until(lambda body: replay.done >= LETTERS // 3)
        replay.turn("stop")
        moved = stand_still(replay)
        replay.turn("resume")
        resumed = replay.run_until(lambda body: body["state"] == "done")
        after = publisher.rate("aftr")
        raw = (before + after) / 2
        bare = bare_socket(nats, "bare")
        stored = nats.request("$JS.API.STREAM.INFO.PRC", b'{"subjects_filter":"prc.bench.*"}')
        subjects = stored["state"].get("subjects") or {}
        sent = sum(count for subject, count in subjects.items() if subject.startswith(SUBJECT))
        settled = stack.database.number("SELECT count(*) FROM dlq_messages WHERE resolved AND replay_count = 1")
        return [
            below(1, NAME, f"golden dlq groups over {LETTERS} letters, the slowest of {GROUPS_TRIES}", seconds, "s"),
            exactly(CAUSES, NAME, "lines it printed", lines, "lines"),
            ratio_at_least(0.3, NAME, "bulk replay beside raw JetStream publishing",
                           resumed, "1/s", raw),
            Row(NAME, "bulk replay until it was stopped", running, "1/s"),
            Row(NAME, "a bare socket that counts acknowledgements", bare, "1/s"),
            exactly(0, NAME, "letters sent while it was stopped", moved, "letters"),
            exactly(LETTERS, NAME, "letters in the stream again, each once", sent, "letters"),
            exactly(LETTERS, NAME, "letters settled by one replay", settled, "letters"),
            Row(NAME, "steps of progress seen", len(replay.steps), "steps"),
            Row(NAME, "letters filed by one dlq-worker", LETTERS / filing, "1/s"),
        ]
