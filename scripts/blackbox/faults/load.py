"""Clients that submit at a steady pace and repeat with the same key until they hear 202."""

from __future__ import annotations

import collections
import queue
import random
import threading
import time

from ..api import CONNECTION_ERRORS, Client

CLIENTS = 12
#: Per second, over all clients.
PACE = 27.0
TASKS_MAX = 8_000
#: How long one task is tried before the client gives up; it then promises nothing.
TRY_SECONDS_MAX = 120.0
RETRY_SECONDS = 0.2
#: Answers that ask a client to come again. Any other but 202 is a finding.
TRANSIENT = (409, 429, 503)
#: One accepted submission in so many is sent again, as by a client that missed its answer.
REPEAT_EVERY = 15
ROLE = "sleeper"


class Load:
    """Submits until `stop`; everything that was accepted stands in `accepted`."""

    def __init__(
        self, urls: list[str], token: str, seed: int, *, clients: int = CLIENTS, pace: float = PACE,
        tasks_max: int = TASKS_MAX
    ) -> None:
        self.accepted: dict[str, set[str]] = {}
        self.answers: collections.Counter[str] = collections.Counter()
        self.abandoned: list[str] = []
        #: Accepted tasks for those who follow streams; what nobody takes is dropped.
        self.fresh: queue.Queue[str] = queue.Queue(maxsize=100)
        self._urls = urls
        self._token = token
        self._seed = seed
        self._pace = pace
        self._tasks_max = tasks_max
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._issued = 0
        self._start = time.monotonic()
        self._threads = [
            threading.Thread(target=self._client, args=(number,), daemon=True) for number in range(clients)
        ]

    def start(self) -> None:
        self._start = time.monotonic()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """No new tasks; returns when every one under way was accepted or given up."""
        self._stop.set()
        for thread in self._threads:
            thread.join(TRY_SECONDS_MAX + 30)

    @property
    def count(self) -> int:
        """Tasks accepted so far."""
        with self._lock:
            return len(self.accepted)

    @property
    def unexpected(self) -> list[str]:
        """Statuses no client should see, with how often."""
        allowed = {"202", "no answer", *(str(status) for status in TRANSIENT)}
        return [f"{status} × {count}" for status, count in sorted(self.answers.items()) if status not in allowed]

    def _client(self, number: int) -> None:
        chance = random.Random(self._seed * 1000 + number)
        clients = [Client(url, self._token, timeout=10) for url in self._urls]
        while (task := self._next()) is not None:
            key = f"fault-{self._seed}-{task}"
            body = self.body(key, task, chance)
            chance.shuffle(clients)
            if self._submit(clients, key, body) and task % REPEAT_EVERY == 0:
                self._submit(clients[::-1], key, body)

    def body(self, key: str, number: int, chance: random.Random) -> dict[str, object]:
        """What is submitted under that key."""
        return {
            "name": key, "role": ROLE, "timeout_seconds": 60, "max_attempts": 5, "budget_tokens": 50,
            "input": {"number": number, "sleep_ms": chance.randint(50, 200)},
        }

    def _next(self) -> int | None:
        """The next task's number when it is due; nil at the end."""
        with self._lock:
            number = self._issued
            self._issued += 1
        if number >= self._tasks_max:
            return None
        # Clients held up by a fault catch up afterwards, which makes the burst real systems see.
        due = self._start + number / self._pace
        return None if self._stop.wait(max(0.0, due - time.monotonic())) else number

    def _submit(self, clients: list[Client], key: str, body: dict[str, object]) -> bool:
        limit = time.monotonic() + TRY_SECONDS_MAX
        turn = 0
        while time.monotonic() < limit:
            client = clients[turn % len(clients)]
            turn += 1
            try:
                answer = client.submit(body, key)
            except CONNECTION_ERRORS:
                self._count("no answer")
                time.sleep(RETRY_SECONDS)
                continue
            self._count(str(answer.status))
            if answer.status == 202:
                self.accept(key, str(answer.json["id"]))
                return True
            time.sleep(RETRY_SECONDS)
        with self._lock:
            self.abandoned.append(key)
        return False

    def accept(self, key: str, task: str) -> None:
        """A client heard that its task is accepted."""
        with self._lock:
            known = self.accepted.setdefault(key, set())
            is_new = task not in known
            known.add(task)
        if is_new:
            try:
                self.fresh.put_nowait(task)
            except queue.Full:
                return

    def _count(self, what: str) -> None:
        with self._lock:
            self.answers[what] += 1
