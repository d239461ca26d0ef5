"""A private stack: `golden up` on free ports and a temporary data folder, and nothing left of it afterwards."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from .api import Client, mint
from .database import Database

ROOT = Path(__file__).resolve().parents[2]
UP_SECONDS_MAX = 120
#: Longer than `golden down` itself waits before it kills.
DOWN_SECONDS_MAX = 120
PORT_TRIES_MAX = 200
#: Far above any measured rate, so that the limiter works for every request and refuses none.
UNLIMITED = ",".join(
    f"{role}=60000000" for role in ("admin", "operator", "developer", "observer", "agent", "anonymous")
)


class StackError(Exception):
    """The stack did not start or answer; the message says what was seen."""


@dataclass(frozen=True)
class Process:
    name: str
    #: 0 while it is down.
    pid: int

    @property
    def resident_mib(self) -> float:
        return resident_mib(self.pid)


def resident_mib(pid: int) -> float:
    """Resident memory now; 0 when the process is gone."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
    except (FileNotFoundError, ProcessLookupError):
        pass
    return 0.0


# Options of `golden up` for a machine so busy that Redis is late: a limit that cannot be looked at refuses what spends
# money, with 503.
PATIENT = ("--env", "GOLDEN_REDIS_TIMEOUT_MS=1000")


class Stack:
    """Use as a context manager; `arguments` go to `golden up`."""

    def __init__(self, *arguments: str, orchestrators: int = 1, limits: str = UNLIMITED) -> None:
        self.orchestrators = orchestrators
        self.port = free_ports(orchestrators)
        self.folder = Path(tempfile.mkdtemp(prefix="golden-blackbox-"))
        self._arguments = ["--orchestrators", str(orchestrators), "--env", f"GOLDEN_RATE_LIMITS={limits}", *arguments]
        self._program = str(binaries() / "golden")

    def __enter__(self) -> Stack:
        try:
            # --detach answers when everything is ready.
            self._golden("up", "--detach", "--port", str(self.port), *self._arguments, seconds=UP_SECONDS_MAX)
            status = self.status()
            self._secret = json.loads((self.folder / "secrets.json").read_text())["jwt"]
            self.database = Database(status["stores"]["postgres"])
            self.redis_url: str = status["stores"]["redis"]
        except BaseException:
            self._clean()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._clean()

    @property
    def urls(self) -> list[str]:
        return [f"http://127.0.0.1:{self.port + index}" for index in range(self.orchestrators)]

    @property
    def secret(self) -> str:
        """What signs the stack's tokens."""
        return str(self._secret)

    def token(self, tenant: str = "default", role: str = "developer") -> str:
        return mint(self._secret, tenant=tenant, role=role)

    def client(self, tenant: str = "default", role: str = "developer", replica: int = 0) -> Client:
        return Client(self.urls[replica], self.token(tenant, role))

    def status(self) -> dict[str, Any]:
        # It ends with 1 while something is being restarted, which is what the fault test looks at.
        answer = json.loads(self._golden("status", "--json", "--secrets", seconds=30, allowed=(0, 1)))
        assert isinstance(answer, dict)
        return answer

    def processes(self, *prefixes: str) -> list[Process]:
        """The stack's processes whose names start with one of `prefixes`; all without."""
        found = [Process(str(entry["name"]), int(entry.get("pid") or 0)) for entry in self.status()["processes"]]
        return [process for process in found if not prefixes or process.name.startswith(prefixes)]

    def is_ready(self) -> bool:
        """True when every orchestrator says so."""
        for url in self.urls:
            try:
                with urllib.request.urlopen(f"{url}/ready", timeout=2) as response:
                    if response.status != 200:
                        return False
            except (urllib.error.URLError, OSError):
                return False
        return True

    def wait_until_ready(self, seconds: float) -> float:
        """How long it took; raises after `seconds`."""
        start = time.monotonic()
        while not self.is_ready():
            if time.monotonic() - start > seconds:
                raise StackError(f"the orchestrators were not ready within {seconds:.0f} s")
            time.sleep(0.05)
        return time.monotonic() - start

    def logs(self, lines: int = 15) -> str:
        """The ends of all logs, for a failure's report."""
        parts = []
        for log in sorted((self.folder / "logs").glob("*.log")):
            parts.append(f"--- {log.name}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-lines:]))
        return "\n".join(parts)

    def _golden(self, *arguments: str, seconds: float, allowed: tuple[int, ...] = (0,)) -> str:
        command = [self._program, *arguments, "--data", str(self.folder)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, stdin=subprocess.DEVNULL)
        if done.returncode not in allowed or (done.returncode and not done.stdout):
            raise StackError(
                f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}\n{self.logs()}"
            )
        return done.stdout

    def _clean(self) -> None:
        try:
            if (self.folder / "stack.json").exists():
                self._golden("down", "--delete", seconds=DOWN_SECONDS_MAX)
        except (StackError, subprocess.TimeoutExpired, OSError) as error:
            print(f"The private stack in {self.folder} did not stop cleanly: {error}", file=sys.stderr)
            return
        shutil.rmtree(self.folder, ignore_errors=True)


def binaries() -> Path:
    """Where the built programs are: GOLDEN_BIN, or the release build."""
    return Path(os.environ.get("GOLDEN_BIN", ROOT / ".build" / "release"))


def free_ports(count: int) -> int:
    """The first of `count` consecutive free ports on loopback."""
    for _ in range(PORT_TRIES_MAX):
        first = random.randrange(20_000, 32_000)
        if all(is_free(first + index) for index in range(count)):
            return first
    raise StackError("no free ports were found on loopback")


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def end_cleanly_on_signals(seconds_max: int) -> None:
    """SIGTERM, SIGHUP and the time limit unwind the program, so that stacks are stopped on the way out."""

    def leave(number: int, _: object) -> None:
        signal.alarm(0)
        why = f"the limit of {seconds_max} s passed" if number == signal.SIGALRM else signal.Signals(number).name
        raise SystemExit(f"Ended early: {why}.")

    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, leave)
    signal.alarm(seconds_max)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Columns aligned, the first row a heading."""
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)
