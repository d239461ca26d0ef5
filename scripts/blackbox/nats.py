"""As much of NATS as the tests and benchmarks need, over one socket: anything may be published, whatever it is."""

from __future__ import annotations

import json
import random
import socket
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from urllib.parse import unquote, urlsplit

SECONDS_MAX = 30.0


class NATSError(RuntimeError):
    """The server refused something, or did not answer."""


@dataclass(frozen=True)
class Message:
    subject: str
    reply: str
    headers: Mapping[str, str]
    payload: bytes


class NATS:
    """One connection. Not for several threads."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._socket = socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 4222), SECONDS_MAX)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""
        self._inbox = f"_INBOX.{random.getrandbits(64):x}"
        self._asked = 0
        greeting = self._line()
        if not greeting.startswith(b"INFO "):
            raise NATSError(f"no NATS server answered: {greeting!r}")
        self.info: dict[str, Any] = json.loads(greeting[5:])
        login = {"verbose": False, "pedantic": False, "headers": True, "no_responders": True, "lang": "python"}
        if parts.username:
            login |= {"user": unquote(parts.username), "pass": unquote(parts.password or "")}
        self._socket.sendall(b"CONNECT " + json.dumps(login).encode() + b"\r\nPING\r\n")
        while (line := self._line()) != b"PONG":
            if line.startswith(b"-ERR"):
                raise NATSError(line.decode())
        self._socket.sendall(f"SUB {self._inbox}.* 1\r\n".encode())

    def __enter__(self) -> NATS:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    @property
    def payload_bytes_max(self) -> int:
        """What the server takes at most, headers included."""
        return int(self.info["max_payload"])

    # Publishing

    def publish(self, subject: str, payload: bytes, headers: Mapping[str, str] | None = None) -> None:
        """To whoever listens; nobody confirms it."""
        self._socket.sendall(frame(subject, payload, headers))

    def store(self, subject: str, payload: bytes, headers: Mapping[str, str] | None = None) -> int:
        """Into whichever stream takes the subject; answers the number it has there."""
        answer = self.request(subject, payload, headers)
        if "error" in answer:
            raise NATSError(f"{subject}: {answer['error']}")
        return int(answer["seq"])

    def request(self, subject: str, payload: bytes = b"", headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        self._asked += 1
        reply = f"{self._inbox}.{self._asked}"
        self._socket.sendall(frame(subject, payload, headers, reply))
        while True:
            message = self.next()
            if message.subject == reply:
                if message.headers.get("Status") == "503":
                    raise NATSError(f"nobody answers on {subject}")
                return dict(json.loads(message.payload))

    def store_all(self, messages: Iterable[tuple[str, bytes, Mapping[str, str]]], in_flight: int = 512) -> float:
        """Stores them as fast as the server confirms, so many unconfirmed at a time; answers the seconds it took."""
        start = time.monotonic()
        reply = f"{self._inbox}.all"
        batch: list[bytes] = []
        unconfirmed = 0
        for subject, payload, headers in messages:
            batch.append(frame(subject, payload, headers, reply))
            if len(batch) == in_flight // 4:
                self._socket.sendall(b"".join(batch))
                unconfirmed += len(batch)
                batch = []
                while unconfirmed > in_flight - in_flight // 4:
                    unconfirmed -= self._confirmations()
        self._socket.sendall(b"".join(batch))
        unconfirmed += len(batch)
        while unconfirmed > 0:
            unconfirmed -= self._confirmations()
        return time.monotonic() - start

    def _confirmations(self) -> int:
        """How many confirmations came with what was read now."""
        if b"\r\n" not in self._buffer:
            self._read()
        whole, _, self._buffer = self._buffer.rpartition(b"\r\n")
        if b'"error"' in whole or b"-ERR" in whole:
            raise NATSError(f"a message was not stored: {whole[-500:]!r}")
        if b"PING" in whole:
            self._socket.sendall(b"PONG\r\n")
        return whole.count(b'{"stream"')

    # Hearing

    def subscribe(self, subject: str) -> None:
        """From now on `next` answers what is published there, too."""
        self._socket.sendall(f"SUB {subject} 2\r\nPING\r\n".encode())
        while self._line() != b"PONG":
            pass

    def next(self) -> Message:
        """Raises TimeoutError when nothing comes."""
        while True:
            words = self._line().split(b" ")
            match words[0]:
                case b"PING":
                    self._socket.sendall(b"PONG\r\n")
                case b"MSG":
                    payload = self._bytes(int(words[-1]))
                    return Message(words[1].decode(), _reply(words, 5), {}, payload)
                case b"HMSG":
                    whole = self._bytes(int(words[-1]))
                    size = int(words[-2])
                    return Message(words[1].decode(), _reply(words, 6), _headers(whole[:size]), whole[size:])
                case b"-ERR":
                    raise NATSError(b" ".join(words).decode())

    # Reading

    def _line(self) -> bytes:
        while b"\r\n" not in self._buffer:
            self._read()
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        return line

    def _bytes(self, count: int) -> bytes:
        while len(self._buffer) < count + 2:
            self._read()
        found, self._buffer = self._buffer[:count], self._buffer[count + 2 :]
        return found

    def _read(self) -> None:
        data = self._socket.recv(1 << 18)
        if not data:
            raise NATSError("the server closed the connection")
        self._buffer += data


def frame(subject: str, payload: bytes, headers: Mapping[str, str] | None = None, reply: str = "") -> bytes:
    """One message as it goes over the wire."""
    target = f"{subject} {reply}" if reply else subject
    if not headers:
        return f"PUB {target} {len(payload)}\r\n".encode() + payload + b"\r\n"
    head = b"NATS/1.0\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode() + b"\r\n"
    return f"HPUB {target} {len(head)} {len(head) + len(payload)}\r\n".encode() + head + payload + b"\r\n"


def _reply(words: list[bytes], count: int) -> str:
    return words[3].decode() if len(words) == count else ""


def _headers(head: bytes) -> dict[str, str]:
    first, *lines = head.decode(errors="replace").split("\r\n")
    headers = {name: value.strip() for name, _, value in (line.partition(":") for line in lines) if name}
    status = first.removeprefix("NATS/1.0").strip()
    return headers | ({"Status": status[:3]} if status else {})
