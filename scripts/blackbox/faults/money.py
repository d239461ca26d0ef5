"""Clients that reserve, commit and release on one account with little room, repeating what they get no answer to."""

from __future__ import annotations

import collections
import json
import random
import threading
import time

from ..api import CONNECTION_ERRORS, Answer, Client
from ..database import Database
from .checker import Money

CLIENTS = 64
#: Requests a second of each client, and how often the set of ids they draw from moves on by one.
PACE = 3.0
IDS_PER_SECOND = 5.0
#: Ids in use at a time; the account has room for half of them.
WINDOW = 100
TOKENS = 10
PROJECT = "storm"
TASKS_PROJECT = "default"
TASKS_LIMIT = 100_000_000
SAMPLE_SECONDS = 0.2
OPEN_SECONDS_MAX = 30.0
#: Unknown when an id was never reserved; a conflict when another client settled it otherwise.
ALLOWED = {"200", "201", "402", "404", "409", "429", "503", "no answer"}


class MoneyStorm:
    """Opens the accounts, then storms and samples until `stop`."""

    def __init__(
        self, urls: list[str], token: str, admin: Client, database: Database, seed: int, *, clients: int = CLIENTS,
        sample_seconds: float = SAMPLE_SECONDS
    ) -> None:
        self.answers: collections.Counter[str] = collections.Counter()
        self._verdicts: dict[str, set[str]] = {}
        self._samples = 0
        self._excesses: list[str] = []
        self._urls = urls
        self._token = token
        self._admin = admin
        self._database = database
        self._seed = seed
        self._sample_seconds = sample_seconds
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._start = time.monotonic()
        self._threads = [threading.Thread(target=self._client, args=(n,), daemon=True) for n in range(clients)]
        self._threads.append(threading.Thread(target=self._sample, daemon=True))

    def start(self) -> None:
        for project, limit in ((PROJECT, WINDOW * TOKENS // 2), (TASKS_PROJECT, TASKS_LIMIT)):
            body = json.dumps({"project": project, "total_limit": limit}).encode()
            answer = self._wait_for("PUT", "/budget/limits", body)
            if answer.status != 200:
                raise RuntimeError(f"the account of {project} was not opened: {answer.status} {answer.body!r}")
        self._start = time.monotonic()
        for thread in self._threads:
            thread.start()

    def _wait_for(self, method: str, path: str, body: bytes | None = None) -> Answer:
        """Stacks that are ready, or have settled, may be without Redis yet or again, and money waits for it: 503 until then."""
        limit = time.monotonic() + OPEN_SECONDS_MAX
        while True:
            # A connection of its own each time: whoever the last one went to may have been killed since.
            client = Client(self._urls[0], self._admin.token)
            answer = client.request(method, path, body, {"Content-Type": "application/json"} if body else {})
            if answer.status != 503 or time.monotonic() > limit:
                return answer
            time.sleep(0.2)

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    @property
    def unexpected(self) -> list[str]:
        """Statuses no client should see, with how often."""
        return [f"{status} × {count}" for status, count in sorted(self.answers.items()) if status not in ALLOWED]

    def evidence(self) -> Money:
        verified = self._wait_for("GET", "/budget/verification")
        if verified.status != 200:
            raise RuntimeError(f"the ledger could not be added up: {verified}")
        holds = self._database.rows(
            "SELECT t.id, t.usage_tokens, coalesce(r.state, 'missing'), coalesce(r.actual, -1) FROM tasks t "
            "LEFT JOIN budget_reservations r ON r.tenant_id = t.tenant_id AND r.task_id = t.id"
        )
        used = self._database.number(
            "SELECT current_usage FROM budget_limits WHERE project_id = :'project'", project=TASKS_PROJECT
        )
        return Money(
            samples=self._samples, excesses=self._excesses, verdicts=self._verdicts,
            differences=[json.dumps(difference) for difference in verified.json["differences"]],
            charges={task: (int(usage), state, int(actual)) for task, usage, state, actual in holds},
            used_by_tasks=int(used),
        )

    def _client(self, number: int) -> None:
        chance = random.Random(self._seed * 1000 + number)
        clients = [Client(url, self._token, timeout=10) for url in self._urls]
        while not self._stop.wait(chance.expovariate(PACE)):
            newest = WINDOW + int((time.monotonic() - self._start) * IDS_PER_SECOND)
            name = f"storm-{self._seed}-{chance.randrange(newest - WINDOW, newest)}"
            verb = chance.choices(("request", "commit", "release"), (6, 1, 1))[0]
            body: dict[str, object] = {"request_id": name, "project": PROJECT}
            if verb == "request":
                body["tokens"] = TOKENS
            if verb == "commit":
                body["actual"] = 1
            self._ask(chance.choice(clients), verb, name, body)

    def _ask(self, client: Client, verb: str, name: str, body: dict[str, object]) -> None:
        try:
            answer = client.request(
                "POST", f"/budget/{verb}", json.dumps(body).encode(), {"Content-Type": "application/json"}
            )
            # However it is wrapped: a deadlock is nothing a client should hear of.
            status = "deadlock" if b"deadlock" in answer.body.lower() else str(answer.status)
        except CONNECTION_ERRORS:
            status = "no answer"
        with self._lock:
            self.answers[status] += 1
            if verb == "request" and status in ("200", "201", "402"):
                self._verdicts.setdefault(name, set()).add("denied" if status == "402" else "reserved")

    def _sample(self) -> None:
        while not self._stop.wait(self._sample_seconds):
            try:
                rows = self._database.rows(
                    "SELECT project_id, current_usage, reserved, total_limit, "
                    "current_usage + reserved > total_limit FROM budget_limits"
                )
            except RuntimeError:
                # Postgres is one of those being killed.
                continue
            self._samples += 1
            self._excesses += [" ".join(row) for row in rows if row[4] == "t"]
