"""Mixed traffic: plain, reviewed, flaky, failing, unfit and canceled tasks with budgets, some with a callback."""

from __future__ import annotations

import http.server
import json
import queue
import random
import threading
import time
from collections import defaultdict

from ..api import CONNECTION_ERRORS, Client
from ..faults.load import Load

SUBMITTERS = 8
KINDS = {"plain": 55, "reviewed": 10, "flawed": 4, "flaky": 8, "doomed": 6, "unfit": 4, "canceled": 13}
#: How each kind may end.
ENDINGS = {
    "plain": {"completed"}, "reviewed": {"completed"}, "flawed": {"completed"}, "flaky": {"completed"},
    "doomed": {"failed"}, "unfit": {"rejected"}, "canceled": {"canceled", "completed"},
}
#: One task in so many names a callback, and one first delivery in so many is refused by the receiver.
CALLBACK_EVERY = 4
REFUSE_EVERY = 6
CANCEL_SECONDS_MAX = 1.5
CANCEL_TRIES_MAX = 400


class Traffic(Load):
    """A load of all kinds; remembers which task is what."""

    def __init__(self, urls: list[str], token: str, seed: int, pace: float, callback: str) -> None:
        super().__init__(urls, token, seed, clients=SUBMITTERS, pace=pace, tasks_max=1_000_000)
        self.kinds: dict[str, str] = {}
        self.with_callback: set[str] = set()
        #: Tasks whose cancelation was asked for and never answered.
        self.uncanceled: list[str] = []
        self._callback = callback
        self._to_cancel: queue.Queue[tuple[float, str]] = queue.Queue()
        self._ended = threading.Event()
        self._canceler = threading.Thread(target=self._cancel, args=(Client(urls[0], token, timeout=10),), daemon=True)
        self._canceler.start()

    def body(self, key: str, number: int, chance: random.Random) -> dict[str, object]:
        # Drawn from the number alone: whichever client gets it, the same seed gives the same task.
        own = random.Random(f"{key}")
        kind = own.choices(list(KINDS), list(KINDS.values()))[0]
        # What is to be canceled works for a while, so that it is met at work.
        sleep = own.randint(500, 4000) if kind == "canceled" else own.randint(50, 400)
        told: dict[str, object] = {"number": number, "sleep_ms": sleep}
        body: dict[str, object] = {
            "name": key, "timeout_seconds": 60, "max_attempts": 8, "budget_tokens": 50, "input": told,
        }
        if kind in ("reviewed", "flawed"):
            body["workflow"] = "reviewed"
        else:
            body["role"] = "worker"
        if kind in ("flawed", "flaky", "doomed", "unfit"):
            told[kind] = True
        if own.randrange(CALLBACK_EVERY) == 0:
            body["callback_url"] = self._callback
            self.with_callback.add(key)
        self.kinds[key] = kind
        return body

    def accept(self, key: str, task: str) -> None:
        is_first = key not in self.accepted
        super().accept(key, task)
        if is_first and self.kinds[key] == "canceled":
            self._to_cancel.put((time.monotonic() + random.random() * CANCEL_SECONDS_MAX, task))

    def stop(self) -> None:
        super().stop()
        self._ended.set()
        self._canceler.join(120)

    def _cancel(self, client: Client) -> None:
        while not (self._ended.is_set() and self._to_cancel.empty()):
            try:
                due, task = self._to_cancel.get(timeout=0.5)
            except queue.Empty:
                continue
            time.sleep(max(0.0, due - time.monotonic()))
            for _ in range(CANCEL_TRIES_MAX):
                try:
                    # 409: it has ended already.
                    if client.request("POST", f"/tasks/{task}/cancel").status in (200, 202, 409):
                        break
                except CONNECTION_ERRORS:
                    pass
                time.sleep(0.3)
            else:
                self.uncanceled.append(task)


class Receiver:
    """Takes webhooks; refuses some the first time, so that they come again."""

    def __init__(self, seed: int) -> None:
        #: Delivery id -> the distinct bodies that came under it.
        self.bodies: dict[str, set[bytes]] = defaultdict(set)
        self.attempts = 0
        lock = threading.Lock()
        chance = random.Random(seed)
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                delivery = self.headers["webhook-id"]
                with lock:
                    outer.attempts += 1
                    is_new = delivery not in outer.bodies
                    outer.bodies[delivery].add(body)
                    refused = is_new and chance.randrange(REFUSE_EVERY) == 0
                self.send_response(503 if refused else 200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def events(self) -> dict[str, set[tuple[str, int, str]]]:
        """Delivery id -> (task, sequence, kind) of each body that came under it."""
        found: dict[str, set[tuple[str, int, str]]] = {}
        for delivery, bodies in self.bodies.items():
            parsed = [json.loads(body) for body in bodies]
            found[delivery] = {(one["data"]["task_id"], one["data"]["seq"], one["type"]) for one in parsed}
        return found
