"""The load generator: wrk with 64 connections on two threads, each request with a key of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).with_name("submit.lua")
STATUS_SCRIPT = Path(__file__).with_name("status.lua")
CONNECTIONS = 64
THREADS = 2
#: wrk sleeps through its duration; a counted run is stopped from outside before this.
COUNTED_SECONDS_MAX = 600


@dataclass(frozen=True)
class Load:
    """What one run of wrk did. Latencies are in milliseconds."""

    answers: int
    seconds: float
    #: Answers outside 200..399.
    bad_status: int
    #: Connections that failed, broke or timed out.
    broken: int
    p50: float
    p99: float
    max: float

    @property
    def rate(self) -> float:
        return self.answers / self.seconds

    @property
    def is_clean(self) -> bool:
        return self.bad_status == 0 and self.broken == 0


def answered_with(status: int, url: str, token: str, seconds: int) -> tuple[int, int]:
    """Answers to GET at full speed, and how many had another status or did not come at all."""
    command = ["wrk", "-t", str(THREADS), "-c", str(CONNECTIONS), "-d", f"{seconds}s", "--timeout", "10s",
               "-H", f"Authorization: Bearer {token}", "-s", str(STATUS_SCRIPT), url]
    environment = os.environ | {"STATUS": str(status)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30, env=environment)
    if done.returncode != 0:
        raise RuntimeError(f"wrk ended with {done.returncode}: {done.stdout}{done.stderr}")
    numbers = json.loads(done.stdout.splitlines()[-1])
    return numbers["answers"], numbers["others"] + numbers["broken"]


class Submitter:
    """Sends POST /tasks; the tasks carry the run's name, by which the database finds them again."""

    def __init__(self, url: str, token: str, role: str, task_input: Mapping[str, Any] | None = None) -> None:
        self.run = f"run-{uuid.uuid4().hex[:12]}"
        self._url = url
        body = json.dumps({"name": self.run, "role": role, "input": task_input or {}}, separators=(",", ":"))
        self._environment = os.environ | {"TOKEN": token, "BODY": body, "RUN": self.run, "THREADS": str(THREADS)}

    def for_seconds(self, seconds: int) -> Load:
        """Full speed for that long."""
        process = self._start(seconds, count=0)
        output, _ = process.communicate(timeout=seconds + 30)
        return self._read(output)

    def start(self, count: int) -> subprocess.Popen[str]:
        """Sends `count` (an even number) or a few more at full speed and then idles; end it with `finish`."""
        return self._start(COUNTED_SECONDS_MAX, count)

    def finish(self, process: subprocess.Popen[str]) -> Load:
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=30)
        return self._read(output)

    def _start(self, seconds: int, count: int) -> subprocess.Popen[str]:
        command = ["wrk", "-t", str(THREADS), "-c", str(CONNECTIONS), "-d", f"{seconds}s", "--timeout", "10s",
                   "-s", str(SCRIPT), self._url]
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=self._environment | {"COUNT": str(count)}
        )

    def _read(self, output: str) -> Load:
        lines = output.splitlines()
        if not lines:
            raise RuntimeError("wrk ended without a word; it was stopped before its first answer")
        numbers = json.loads(lines[-1])
        return Load(
            answers=numbers["answers"], seconds=numbers["microseconds"] / 1e6, bad_status=numbers["bad_status"],
            broken=numbers["broken"], p50=numbers["p50"] / 1000, p99=numbers["p99"] / 1000,
            max=numbers["max"] / 1000,
        )
