"""20,000 requests of 64 clients for 200 request ids, with room for half of them: who is told what, to the one."""

from __future__ import annotations

import collections
import json
import random
import threading
import time

from ..api import Client

CLIENTS = 64
IDS = 200
#: Requests for each id.
TIMES = 100
ROOM = 100
TOKENS = 10
PROJECT = "exact"


class ExactStorm:
    """Runs on a stack where nothing is disturbed; every client is answered every time."""

    def __init__(self, urls: list[str], token: str, admin: Client, seed: int) -> None:
        self.answers: collections.Counter[int] = collections.Counter()
        self.seconds = 0.0
        #: Request id -> how often it was answered 201, 200 and 402.
        self._heard: dict[str, collections.Counter[int]] = {}
        self._urls = urls
        self._token = token
        self._admin = admin
        self._lock = threading.Lock()
        names = [f"exact-{number}" for number in range(IDS) for _ in range(TIMES)]
        random.Random(seed).shuffle(names)
        self._shares = [names[client::CLIENTS] for client in range(CLIENTS)]

    def run(self) -> None:
        body = json.dumps({"project": PROJECT, "total_limit": ROOM * TOKENS}).encode()
        answer = self._admin.request("PUT", "/budget/limits", body, {"Content-Type": "application/json"})
        if answer.status != 200:
            raise RuntimeError(f"the account was not opened: {answer.status} {answer.body!r}")
        start = time.monotonic()
        threads = [threading.Thread(target=self._client, args=(number,), daemon=True) for number in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.seconds = time.monotonic() - start

    def _client(self, number: int) -> None:
        client = Client(self._urls[number % len(self._urls)], self._token)
        heard: list[tuple[str, int]] = []
        for name in self._shares[number]:
            body = json.dumps({"request_id": name, "project": PROJECT, "tokens": TOKENS}).encode()
            answer = client.request("POST", "/budget/request", body, {"Content-Type": "application/json"})
            heard.append((name, answer.status))
        with self._lock:
            for name, status in heard:
                self.answers[status] += 1
                self._heard.setdefault(name, collections.Counter())[status] += 1

    def wrongs(self) -> list[str]:
        """What is not as promised; empty when all is."""
        wrong = []
        if sum(self.answers.values()) != IDS * TIMES or len(self._heard) != IDS:
            wrong.append(f"{sum(self.answers.values())} answers about {len(self._heard)} ids")
        held = [heard for heard in self._heard.values() if heard[201]]
        refused = [heard for heard in self._heard.values() if not heard[201]]
        if len(held) != ROOM:
            wrong.append(f"{len(held)} ids were held, with room for {ROOM}")
        if any(heard != {201: 1, 200: TIMES - 1} for heard in held):
            wrong.append("an id that was held was not answered 201 once and 200 afterwards")
        if any(heard != {402: TIMES} for heard in refused):
            wrong.append("an id that was refused was answered something else besides 402")
        return wrong
