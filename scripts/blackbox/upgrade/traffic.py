"""Clients that do what the documentation says and forgive nothing: every request is made once and must be answered.

They keep their connections. A connection whose answer said `Connection: close` is opened anew, an event stream that
ended without the task's end is asked for again with Last-Event-ID; nothing else is repeated.
"""

from __future__ import annotations

import collections
import http.client
import queue
import threading
import time
from collections.abc import Callable

from ..api import CONNECTION_ERRORS, TERMINAL_EVENTS, Answer, Client

SUBMITTERS = 4
READERS = 4
FOLLOWERS = 12
#: Between two requests of one client; the longest is still within the second that idle connections are left open when a
#: server drains.
PAUSES = (0.0, 0.05, 0.2, 0.5)
SUBMIT_PAUSE = 0.15
#: A role without an agent.
NOBODY = "nobody"
PROBLEMS_MAX = 20


class Traffic:
    """Starts with `start`; after `stop` every request has been answered, and everything seen stands in here."""

    def __init__(self, url: str, token: Callable[[], str]) -> None:
        self.requests: collections.Counter[str] = collections.Counter()
        self.problems: list[str] = []
        #: Tasks that were accepted, and how many of their streams' events came.
        self.accepted: list[str] = []
        self.streamed: dict[str, int] = {}
        #: Answers that closed their connection, and streams that asked to come back: what a drain looks like.
        self.closed = 0
        self.resumed = 0
        #: A task that nobody does, whose stream is open throughout.
        self._waiting = ""
        self._url = url
        self._token = token
        self._fresh: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._guarded, args=(work, number), daemon=True)
            for work, count in (
                (self._submit, SUBMITTERS), (self._read, READERS), (self._follow, FOLLOWERS), (self._wait, 1))
            for number in range(count)
        ]

    def start(self) -> None:
        answer = Client(self._url, self._token()).submit({"name": "waits", "role": NOBODY})
        if answer.status != 202:
            raise RuntimeError(f"the first task was answered {answer.status}: {answer.body!r}")
        self._waiting = str(answer.json["id"])
        for thread in self._threads:
            thread.start()

    def stop(self, seconds: float) -> None:
        self._stop.set()
        answer = Client(self._url, self._token()).request("POST", f"/tasks/{self._waiting}/cancel")
        if answer.status >= 300:
            self._problem(f"the task that waits was not canceled: {answer.status} {answer.body!r}")
        limit = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, limit - time.monotonic()))
            if thread.is_alive():
                self._problem("a client still waits for its answer")

    @property
    def total(self) -> int:
        return sum(self.requests.values())

    def _guarded(self, work: Callable[[int], None], number: int) -> None:
        try:
            work(number)
        except Exception as error:  # noqa: BLE001  whatever ends a client is a finding
            self._problem(f"{work.__name__}: {error!r}")

    def _submit(self, number: int) -> None:
        client = Client(self._url, self._token())
        count = 0
        while not self._stop.is_set():
            count += 1
            name = f"upgrade-{number}-{count}"
            answer = self._ask("POST /tasks", lambda: client.submit({"name": name, "input": {"n": count}}, name), 202)
            if answer is not None:
                with self._lock:
                    self.accepted.append(str(answer.json["id"]))
                self._fresh.put(self.accepted[-1])
            time.sleep(SUBMIT_PAUSE)

    def _read(self, number: int) -> None:
        client = Client(self._url, self._token())
        pause = PAUSES[number % len(PAUSES)]
        turn = 0
        while not self._stop.is_set():
            turn += 1
            with self._lock:
                task = self.accepted[-1 - turn % min(50, len(self.accepted))] if self.accepted else None
            path = f"/tasks/{task}" if task and turn % 4 else ("/tasks?limit=20", "/agents", "/budget/state")[turn % 3]
            self._ask(f"GET {'/tasks/{id}' if task and turn % 4 else path}", lambda: client.request("GET", path), 200)
            time.sleep(pause or 0.01)

    def _follow(self, _: int) -> None:
        client = Client(self._url, self._token())
        while True:
            try:
                task = self._fresh.get(timeout=0.2)
            except queue.Empty:
                if self._stop.is_set():
                    return
                continue
            self._stream(client, task)

    def _wait(self, _: int) -> None:
        self._stream(Client(self._url, self._token()), self._waiting)

    def _stream(self, client: Client, task: str) -> None:
        last, ended = 0, False
        while not ended:
            with self._lock:
                self.requests["GET /tasks/{id}/events"] += 1
            try:
                for event in client.events(task, after=last):
                    if event.sequence != last + 1:
                        self._problem(f"the stream of {task} went from event {last} to {event.sequence}")
                    last, ended = event.sequence, event.kind in TERMINAL_EVENTS
            except CONNECTION_ERRORS as error:
                return self._problem(f"the stream of {task} broke after event {last}: {error!r}")
            if not ended:
                with self._lock:
                    self.resumed += 1
        with self._lock:
            self.streamed[task] = last

    def _ask(self, what: str, ask: Callable[[], Answer], expected: int) -> Answer | None:
        with self._lock:
            self.requests[what] += 1
        try:
            answer = ask()
        except CONNECTION_ERRORS as error:
            partial = isinstance(error, http.client.IncompleteRead)
            self._problem(f"{what}: {'its answer was cut' if partial else 'no answer'}: {error!r}")
            return None
        if answer.headers.get("connection") == "close":
            with self._lock:
                self.closed += 1
        if answer.status != expected:
            self._problem(f"{what}: {answer.status} {answer.body[:200]!r}")
            return None
        return answer

    def _problem(self, what: str) -> None:
        with self._lock:
            self.problems.append(f"{time.strftime('%X')} {what}")
