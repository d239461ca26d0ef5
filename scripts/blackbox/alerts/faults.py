"""Real faults, each of which one alert must notice, and how each is mended."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import signal
import socket
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

from ..api import CONNECTION_ERRORS, Client
from ..stack import Stack

JSON = {"Content-Type": "application/json"}
PAUSE_SECONDS = 0.2


class Fault:
    """`begin` breaks something, `mend` repairs it; between them a thread may keep it broken."""

    alert = ""
    labels: dict[str, str] = {}
    what = ""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.over = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        self._thread = threading.Thread(target=self._repeat, daemon=True)
        self._thread.start()

    def mend(self) -> None:
        self.over.set()
        if self._thread:
            self._thread.join()

    def turn(self) -> None:
        """Breaks it once more."""

    def _repeat(self) -> None:
        while not self.over.is_set():
            self.turn()
            self.over.wait(PAUSE_SECONDS)

    def post(self, path: str, body: Any, tenant: str = "default", role: str = "admin", method: str = "POST") -> Any:
        answer = self.stack.client(tenant, role).request(method, path, json.dumps(body).encode(), JSON)
        if answer.status >= 400:
            raise RuntimeError(f"{path} answered {answer.status}: {answer.body!r}")
        return answer.json


class OpenBreakers(Fault):
    """An operator opens a breaker, which pages. So does a webhook's receiver that answers 500, which must not: until it
    is mended; then its probes close it."""

    alert = "CircuitBreakerOpen"
    what = "an operator opens a breaker"
    labels = {"name": "external_api"}

    def __init__(self, stack: Stack) -> None:
        super().__init__(stack)
        fault = self

        class Receiver(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # noqa: N802, the library's name for it
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.send_response(204 if fault.over.is_set() else 500)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *arguments: object) -> None:
                """Thirty lines would say one thing."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)

    def begin(self) -> None:
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{self.server.server_address[1]}/hook"
        self.post("/webhooks", {"url": url, "events": ["task.completed"]}, tenant="hooks")
        # A breaker judges from twenty calls on. What it parks then makes the probes that close it.
        for _ in range(40):
            self.post("/tasks", {"input": "x", "role": "echo"}, tenant="hooks")
        self.post("/admin/circuit-breaker/force-open", self.labels | {"reason": "to see whether anybody is told"})

    def mend(self) -> None:
        super().mend()
        self.post("/admin/circuit-breaker/reset", self.labels)

    def close(self) -> None:
        self.server.shutdown()


class Garbage(Fault):
    """Results that nobody can read."""

    alert = "DeadLettersPilingUp"
    what = "unreadable results"

    def begin(self) -> None:
        url = urlsplit(self.stack.status()["stores"]["nats"])
        login = json.dumps({"user": url.username, "pass": url.password, "verbose": False, "lang": "python"})
        with socket.create_connection((url.hostname or "127.0.0.1", url.port or 4222), timeout=10) as wire:
            lines = [f"CONNECT {login}"] + [f"PUB results.echo.{uuid.uuid4()} 4\r\nnope" for _ in range(15)]
            wire.sendall(("\r\n".join([*lines, "PING"]) + "\r\n").encode())
            heard = b""
            while b"PONG" not in heard:
                part = wire.recv(4096)
                if not part or b"-ERR" in heard:
                    raise RuntimeError(f"NATS refused the messages: {heard!r}")
                heard += part

    def mend(self) -> None:
        self.stack.database.execute(
            "UPDATE dlq_messages SET resolved = TRUE, resolved_at = now(), resolution_notes = 'a test''s' "
            "WHERE resolved = FALSE"
        )


class HangingOrchestrator(Fault):
    """The second orchestrator stands still, and so does whatever takes its place."""

    alert = "ServiceDown"
    labels = {"job": "orchestrator"}
    what = "an orchestrator hangs"

    def turn(self) -> None:
        self._signal(signal.SIGSTOP)

    def mend(self) -> None:
        super().mend()
        self._signal(signal.SIGCONT)

    def _signal(self, signal_: signal.Signals) -> None:
        for process in self.stack.processes("orchestrator-2"):
            if process.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal_)


class UsedUpBudget(Fault):
    alert = "BudgetExhausted"
    labels = {"tenant": "spender"}
    what = "a tenant holds all its tokens"

    def begin(self) -> None:
        self.post("/budget/limits", {"project": "default", "total_limit": 1000}, "spender", method="PUT")
        self.post("/budget/request", {"request_id": "all", "tokens": 1000}, "spender", role="developer")

    def mend(self) -> None:
        self.post("/budget/limits", {"project": "default", "total_limit": 100_000}, "spender", method="PUT")


class LockedTables(Fault):
    """Somebody's transaction holds tables for a while, and again."""

    alert = "DatabaseSlow"
    what = "transactions hold tables"
    SECONDS = 0.6

    def turn(self) -> None:
        tables = "tasks, outbox, budget_reservations, webhook_deliveries, escalations, peer_review_sessions"
        try:
            self.stack.database.execute(
                f"BEGIN; LOCK TABLE {tables} IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep({self.SECONDS}); COMMIT"
            )
        except RuntimeError:
            # A deadlock that the server ended; the next turn comes at once.
            return


class EndlessPrograms(Fault):
    alert = "SandboxTimeouts"
    what = "programs that never end"
    RUNS = 6

    def begin(self) -> None:
        with ThreadPoolExecutor(self.RUNS) as pool:
            ended = list(pool.map(lambda _: self.run("while True: pass", 1000), range(self.RUNS)))
        if any(answer.get("status") != "timeout" for answer in ended):
            raise RuntimeError(f"programs that never end ended: {ended}")

    def run(self, code: str, milliseconds: int) -> Any:
        program = {"language": "python", "code": code, "limits": {"wall_ms": milliseconds}}
        return self.post("/sandbox/execute", program)

    def mend(self) -> None:
        """Good programs from now on, until the bad ones are a small part."""
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: self.run("pass", 30_000), range(30 * self.RUNS)))


class Load:
    """What a stack does all day, so that dashboards have something to show and rare faults become rare."""

    REVIEW_EVERY_SECONDS = 10

    def __init__(self, stack: Stack, reviewed: Any) -> None:
        self.stack = stack
        self.reviewed = reviewed
        self.over = threading.Event()
        self.gentle = threading.Event()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(3)]
        self._threads.append(threading.Thread(target=self._review, daemon=True))

    def begin(self) -> None:
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self.over.set()
        for thread in self._threads:
            thread.join()

    def _review(self) -> None:
        while not self.over.is_set():
            try:
                self.stack.client("busy").submit(self.reviewed)
            except CONNECTION_ERRORS:
                continue
            finally:
                self.over.wait(self.REVIEW_EVERY_SECONDS)

    def _work(self) -> None:
        client = self.stack.client("busy")
        admin, nobody = self.stack.client("busy", "admin"), Client(self.stack.urls[0], None)
        turn = 0
        while not self.over.is_set():
            turn += 1
            try:
                if turn % 50 == 1:
                    client.submit({"input": f"turn {turn}", "role": "echo"})
                    admin.request("GET", "/budget/state")
                if turn % 500 == 1:
                    nobody.request("GET", "/tasks")
                client.request("GET", "/tasks?limit=1")
            except CONNECTION_ERRORS:
                time.sleep(PAUSE_SECONDS)
            if self.gentle.is_set():
                time.sleep(PAUSE_SECONDS)
