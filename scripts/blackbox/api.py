"""The public API as a client sees it: tokens, JSON requests and event streams."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

#: Longer than the heartbeat of an event stream (15 s): silence beyond it means a dead connection.
TIMEOUT_SECONDS = 25.0
TERMINAL_EVENTS = ("task.completed", "task.failed", "task.canceled", "task.rejected")
#: What a request may die of while servers are being killed.
CONNECTION_ERRORS = (OSError, http.client.HTTPException)


def encode(part: Mapping[str, Any]) -> bytes:
    """One part of a token."""
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")


def mint(secret: str, *, header: Mapping[str, Any] | None = None, **claims: Any) -> str:
    """A token signed with HS256; `claims` replace the usual ones, None leaves a claim out."""
    now = int(time.time())
    usual = {
        "iss": "golden", "aud": "golden-api", "sub": "blackbox", "role": "developer", "tenant": "default",
        "iat": now, "exp": now + 3600,
    }
    body = {name: value for name, value in {**usual, **claims}.items() if value is not None}
    signed = encode(header or {"alg": "HS256", "typ": "JWT"}) + b"." + encode(body)
    signature = base64.urlsafe_b64encode(hmac.digest(secret.encode(), signed, hashlib.sha256)).rstrip(b"=")
    return (signed + b"." + signature).decode()


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Event:
    sequence: int
    kind: str
    #: The whole event as it was sent.
    body: Any


class Client:
    """One keep-alive connection for requests; each stream has a connection of its own. Not for several threads."""

    def __init__(self, url: str, token: str | None, timeout: float = TIMEOUT_SECONDS) -> None:
        parts = urlsplit(url)
        self.host = parts.hostname or "127.0.0.1"
        self.port = parts.port or 80
        self.token = token
        self.timeout = timeout
        self._connection = self._connect()

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.host, self.port, timeout=self.timeout)

    def _headers(self, extra: Mapping[str, str]) -> dict[str, str]:
        return ({"Authorization": f"Bearer {self.token}"} if self.token else {}) | dict(extra)

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One exchange; after an error the next call connects anew."""
        try:
            self._connection.request(method, path, body, self._headers(headers or {}))
            response = self._connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        except CONNECTION_ERRORS:
            self._connection.close()
            raise

    def submit(self, body: Mapping[str, Any], key: str | None = None) -> Answer:
        headers = {"Content-Type": "application/json"} | ({"Idempotency-Key": key} if key else {})
        return self.request("POST", "/tasks", json.dumps(body).encode(), headers)

    def events(self, task: str, after: int = 0) -> Iterator[Event]:
        """Follows a task's stream until the server ends it; raises one of CONNECTION_ERRORS when it breaks."""
        connection = self._connect()
        try:
            headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": str(after)} if after else {})
            connection.request("GET", f"/tasks/{task}/events", None, self._headers(headers))
            response = connection.getresponse()
            if response.status != 200:
                raise http.client.HTTPException(f"the stream of {task} answered {response.status}: {response.read()!r}")
            yield from parse(response)
        finally:
            connection.close()


def parse(lines: Iterator[bytes] | http.client.HTTPResponse) -> Iterator[Event]:
    """Events of a text/event-stream; comments and retry hints are skipped."""
    fields: dict[str, str] = {}
    for raw in lines:
        line = raw.decode().rstrip("\r\n")
        if line.startswith(":"):
            continue
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
            continue
        if "data" in fields:
            yield Event(int(fields["id"]), fields["event"], json.loads(fields["data"]))
        fields = {}
