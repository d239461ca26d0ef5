"""Clients that follow event streams through the faults, each time on the other orchestrator, with Last-Event-ID."""

from __future__ import annotations

import queue
import random
import threading
import time

from ..api import CONNECTION_ERRORS, TERMINAL_EVENTS, Client
from .checker import EventRow, Followed

CLIENTS = 50
RETRY_SECONDS = 0.2
#: How often a client hangs up by itself after an event.
HANG_UP_CHANCE = 0.15
#: A task not ended by then is left, and shows as never ended.
FOLLOW_SECONDS_MAX = 300.0


class Followers:
    """Clients with one task each at a time."""

    def __init__(
        self, urls: list[str], token: str, fresh: queue.Queue[str], seed: int, clients: int = CLIENTS
    ) -> None:
        self.followed: list[Followed] = []
        self._urls = urls
        self._token = token
        self._fresh = fresh
        self._seed = seed
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._client, args=(number,), daemon=True) for number in range(clients)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self, seconds: float) -> None:
        """No new tasks; gives those being followed that long to reach their end."""
        self._stop.set()
        limit = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, limit - time.monotonic()))

    def _client(self, number: int) -> None:
        chance = random.Random(self._seed * 1000 + number)
        while not self._stop.is_set():
            try:
                task = self._fresh.get(timeout=0.5)
            except queue.Empty:
                continue
            seen = Followed(task, number)
            with self._lock:
                self.followed.append(seen)
            self._follow(seen, chance)

    def _follow(self, seen: Followed, chance: random.Random) -> None:
        limit = time.monotonic() + FOLLOW_SECONDS_MAX
        turn = chance.randrange(len(self._urls))
        while not seen.ended and time.monotonic() < limit:
            client = Client(self._urls[turn % len(self._urls)], self._token)
            turn += 1
            seen.connections += 1
            try:
                self._read(client, seen, chance)
            except CONNECTION_ERRORS:
                time.sleep(RETRY_SECONDS)

    def _read(self, client: Client, seen: Followed, chance: random.Random) -> None:
        """One connection, until it breaks, the server ends it, or the client hangs up."""
        last = seen.events[-1].sequence if seen.events else 0
        for event in client.events(seen.task, after=last):
            seen.events.append(EventRow(event.sequence, event.kind, event.body["attempt"], event.body["data"]))
            if event.kind in TERMINAL_EVENTS:
                seen.ended = True
            elif chance.random() < HANG_UP_CHANCE:
                return
