"""Publishes messages that no consumer can read, in NATS' own protocol, and remembers which were acknowledged."""

from __future__ import annotations

import json
import random
import socket
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

EVERY_SECONDS = 2.0
ANSWER_SECONDS_MAX = 5.0
SUBJECTS = ("results.worker.{}", "prc.{}.request", "supervisor.resolution.{}")


@dataclass(eq=False)
class Poison:
    #: What it says, which no other one says.
    text: str
    subject: str
    #: The stream that has it, and the number it got there: a dead letter will come of it, unless the stream goes first.
    place: tuple[str, int] | None = None
    #: It lay in a stream when the store was wiped.
    wiped: bool = False

    @property
    def stored(self) -> bool:
        return self.place is not None

    def __str__(self) -> str:
        return f"{self.text} ({self.place[0]} {self.place[1]})" if self.place else self.text


class Poisoner:
    """Publishes one at a time until `stop`."""

    def __init__(self, address: Callable[[], tuple[int, str, str]], seed: int) -> None:
        """`address`: port, user and password of nats-server."""
        self.sent: list[Poison] = []
        self._address = address
        self._seed = seed
        self._stop = threading.Event()
        #: Held while one is published, and by whoever wants none to be under way.
        self.pause = threading.Lock()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(30)

    def _run(self) -> None:
        chance = random.Random(self._seed)
        while not self._stop.wait(EVERY_SECONDS * chance.uniform(0.5, 1.5)):
            subject = chance.choice(SUBJECTS).format(uuid.UUID(int=chance.getrandbits(128), version=4))
            poison = Poison(f"poison-{self._seed}-{len(self.sent)}", subject)
            with self.pause:
                self.sent.append(poison)
                try:
                    poison.place = publish(self._address(), subject, poison.text.encode(), poison.text)
                except (OSError, ValueError, IndexError):
                    continue


def publish(address: tuple[int, str, str], subject: str, payload: bytes, message: str) -> tuple[str, int] | None:
    """The stream that acknowledged it within ANSWER_SECONDS_MAX, and its number there."""
    port, user, password = address
    with socket.create_connection(("127.0.0.1", port), timeout=ANSWER_SECONDS_MAX) as connection:
        lines = connection.makefile("rb")
        lines.readline()  # INFO
        options = json.dumps({"user": user, "pass": password, "verbose": False, "headers": True, "lang": "python"})
        headers = f"NATS/1.0\r\nNats-Msg-Id: {message}\r\n\r\n".encode()
        inbox = f"_INBOX.{uuid.uuid4().hex}"
        connection.sendall(
            f"CONNECT {options}\r\nSUB {inbox} 1\r\n".encode()
            + f"HPUB {subject} {inbox} {len(headers)} {len(headers) + len(payload)}\r\n".encode()
            + headers + payload + b"\r\nPING\r\n"
        )
        limit = time.monotonic() + ANSWER_SECONDS_MAX
        while time.monotonic() < limit:
            line = lines.readline()
            if line.startswith(b"MSG"):
                return place_of(lines.read(int(line.split()[-1])))
            if not line or line.startswith(b"HMSG") or line.startswith(b"-ERR"):
                return None
        return None


def place_of(answer: bytes) -> tuple[str, int] | None:
    """Where a stream says that it put a message. One that could not, having no byte free for one, names itself, too."""
    said = json.loads(answer)
    return (said["stream"], said["seq"]) if "stream" in said and "error" not in said else None
