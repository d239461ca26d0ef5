"""A collector of traces that keeps what it is sent, and what one task's trace must hold."""

from __future__ import annotations

import http.server
import json
import secrets
import threading
from dataclasses import dataclass

from ..stack import Stack

#: By the service that reports each; agents are named after themselves.
EXPECTED = {
    ("orchestrator", "POST /tasks"), ("orchestrator", "publish work"), ("orchestrator", "consume results"),
    ("orchestrator", "task attempt"), ("orchestrator", "task"), ("peer-hub", "consume prc"), ("peer-hub", "publish work"),
    ("peer-hub", "peer review"), ("orchestrator", "consume prc"), ("agent-developer-1", "agent work"),
    ("agent-developer-1", "publish results"), ("agent-security-1", "agent work"),
}
#: What hangs on what, from a span to its root: each message on what had it published, and what came of it on the message.
PATHS = {
    ("task attempt", "task", "POST /tasks"),
    ("consume results", "publish results", "agent work", "publish work", "task", "POST /tasks"),
    ("peer review", "consume prc", "publish prc", "task", "POST /tasks"),
    ("consume prc", "publish prc", "agent work", "publish work", "consume prc", "publish prc", "task", "POST /tasks"),
}
SANDBOX = {("orchestrator", "POST /sandbox/execute"), ("sandbox-executor", "sandbox execution")}


@dataclass(frozen=True)
class Span:
    service: str
    name: str
    trace: str
    span: str
    parent: str | None
    start: int
    end: int


class Collector:
    """OTLP over HTTP, in JSON; use as a context manager."""

    def __init__(self) -> None:
        self._spans: list[Span] = []
        self._lock = threading.Lock()
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # noqa: N802, the library's name for it
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                is_right = self.path == "/v1/traces" and self.headers.get("Content-Type") == "application/json"
                if is_right:
                    collector.keep(json.loads(body))
                self.send_response(200 if is_right else 404)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, format: str, *arguments: object) -> None:
                """Every second of every service would be a line."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True

    def __enter__(self) -> Collector:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def keep(self, document: object) -> None:
        assert isinstance(document, dict)
        found = []
        for resource in document["resourceSpans"]:
            names = {entry["key"]: entry["value"]["stringValue"] for entry in resource["resource"]["attributes"]}
            for scope in resource["scopeSpans"]:
                found += [
                    Span(names["service.name"], span["name"], span["traceId"], span["spanId"], span.get("parentSpanId"),
                         int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"]))
                    for span in scope["spans"]
                ]
        with self._lock:
            self._spans += found

    def trace(self, identity: str) -> list[Span]:
        with self._lock:
            return [span for span in self._spans if span.trace == identity]


class Traced:
    """A reviewed task and a sandbox run under traces that their caller began."""

    def __init__(self, stack: Stack, collector: Collector, task: bytes) -> None:
        self._collector = collector
        self.task, self.run = secrets.token_hex(16), secrets.token_hex(16)
        self._caller = secrets.token_hex(8)
        self._post(stack, "/tasks", task, self.task)
        self._post(stack, "/sandbox/execute", json.dumps({"code": "print(1)"}).encode(), self.run)

    def _post(self, stack: Stack, path: str, body: bytes, trace: str) -> None:
        headers = {"Content-Type": "application/json", "traceparent": f"00-{trace}-{self._caller}-01"}
        answer = stack.client().request("POST", path, body, headers)
        if answer.status >= 400:
            raise RuntimeError(f"{path} answered {answer.status}: {answer.body!r}")

    def missing(self) -> set[tuple[str, ...]]:
        """What the traces still lack."""
        found = {(span.service, span.name) for span in self._collector.trace(self.task)}
        ran = {(span.service, span.name) for span in self._collector.trace(self.run)}
        return (EXPECTED - found) | (SANDBOX - ran) | (PATHS - self._paths())

    def _paths(self) -> set[tuple[str, ...]]:
        """The names from every span of the task's trace up to what has no parent there."""
        spans = {span.span: span for span in self._collector.trace(self.task)}
        paths = set()
        for span in spans.values():
            path: list[str] = []
            while span is not None and len(path) < len(spans):
                path.append(span.name)
                span = spans.get(span.parent or "")
            paths.add(tuple(path))
        return paths

    def faults(self) -> list[str]:
        """Spans that do not hang together."""
        faults = []
        for trace in (self.task, self.run):
            spans = self._collector.trace(trace)
            known = {span.span for span in spans} | {self._caller}
            roots = [span for span in spans if span.parent == self._caller]
            if len(roots) != 1 or not roots[0].name.startswith("POST "):
                faults.append(f"{trace} hangs on {roots}")
            faults += [f"{span} has no parent there" for span in spans if span.parent not in known]
            faults += [f"{span} ends before it starts" for span in spans if span.end < span.start]
        return faults
