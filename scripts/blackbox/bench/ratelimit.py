"""Rate limit decisions beside Redis' own benchmark of the same script, and what admission costs a request.

Runs: the stack's Redis; `rate-replica`, which decides like an orchestrator does, with 64 callers and 1000 keys; before
and after it redis-benchmark, which calls the very script for as many keys. Then wrk sends requests to a route that
authenticates, authorises and counts, and does next to nothing else: the orchestrator's CPU time is read from /proc.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import textwrap
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from statistics import mean

from ..stack import ROOT, Stack, binaries
from ..wrk import CONNECTIONS, answered_with
from .report import Row, below, exactly, note, ratio_at_least

NAME = "ratelimit"
SOURCE = ROOT / "Sources" / "Coordination" / "RateLimit" / "RateScript.swift"
KEYS = 1000
REQUESTS = 200_000
SECONDS = 6
WARM_SECONDS = 2
#: Authenticated, authorised, counted; then it is no task's id, and nothing is looked up.
PATH = "/tasks/none"
STATUS = 404


def script() -> str:
    """The Lua that the limiter runs."""
    found = re.search(r'RedisScript\(\s*"""\n(.*?)\n\s*"""', SOURCE.read_text(), re.DOTALL)
    if found is None:
        raise RuntimeError(f"{SOURCE} holds no script")
    return textwrap.dedent(found.group(1))


def redis(stack: Stack, *command: str) -> str:
    return run(["redis-cli", "--no-auth-warning", *place(stack), *command])


def place(stack: Stack) -> list[str]:
    url = urllib.parse.urlparse(stack.redis_url)
    return ["-h", str(url.hostname), "-p", str(url.port), *(["-a", url.password] if url.password else [])]


def run(command: list[str], text: str | None = None, seconds: int = 120) -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=seconds)
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout.strip()


def reference(stack: Stack, digest: str) -> float:
    """Calls a second of the script by redis-benchmark, one key each, as many at once as ours."""
    arguments = ["0", "0", "1", "1", "60000000", "1", "0"]
    output = run(
        ["redis-benchmark", *place(stack), "-c", str(CONNECTIONS), "-n", str(REQUESTS), "-r", str(KEYS), "--csv",
         "EVALSHA", digest, "1", "golden:rate:{bench}:__rand_int__", *arguments]
    )
    # The command in quotes, then the rate.
    return float(output.splitlines()[-1].split('","')[1].strip('"'))


def ours(stack: Stack, seconds: int) -> float:
    """Decisions a second, each for one of as many keys."""
    url = urllib.parse.urlparse(stack.redis_url)
    command = [str(binaries() / "rate-replica"), str(url.port), url.password or "", "1", "1000"]
    # What comes after `done` is its end, when it has let Redis go.
    lines = run(command, f"measure {seconds} {CONNECTIONS} {KEYS}\n").partition("\ndone")[0]
    rates = [float(line.split()[1]) for line in lines.splitlines() if line.startswith("rate ")]
    if len(rates) != 1 or "log " in lines:
        raise RuntimeError(f"rate-replica did not answer as documented: {lines}")
    return rates[0]


def cpu_seconds(pid: int) -> float:
    """Of all threads, in user and kernel mode."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def admission(stack: Stack) -> tuple[float, int, int]:
    """CPU milliseconds for each request, how many there were, and how many were not answered as they should be."""
    client = stack.client()
    answer = client.request("GET", PATH)
    if answer.status != STATUS or "ratelimit" not in {name.lower() for name in answer.headers}:
        raise RuntimeError(f"GET {PATH} does not answer as documented: {answer}")
    url, token = stack.urls[0] + PATH, stack.token()
    answered_with(STATUS, url, token, WARM_SECONDS)
    pid = stack.processes("orchestrator")[0].pid
    before = cpu_seconds(pid)
    answered, wrong = answered_with(STATUS, url, token, SECONDS)
    return (cpu_seconds(pid) - before) * 1000 / answered, answered, wrong


def bench(tell: Callable[[str], None] = note) -> list[Row]:
    with Stack() as stack:
        # The limiter loads its script itself, so that Redis knows this one only if it is the very same.
        ours(stack, WARM_SECONDS)
        digest = hashlib.sha1(script().encode()).hexdigest()
        known = redis(stack, "SCRIPT", "EXISTS", digest)
        if known.split()[-1] != "1":
            raise RuntimeError("the limiter runs another script than the one in its source")
        tell("ratelimit: redis-benchmark with the limiter's script, then the limiter, then redis-benchmark again")
        before = reference(stack, digest)
        decided = ours(stack, SECONDS)
        after = reference(stack, digest)
        tell("ratelimit: requests that are authenticated, authorised and counted")
        milliseconds, answered, wrong = admission(stack)
        return [
            ratio_at_least(0.5, NAME, "decisions", decided, "1/s", mean((before, after))),
            below(0.3, NAME, "CPU of one request's admission", milliseconds, "ms"),
            Row(NAME, "requests counted", answered, ""),
            exactly(0, NAME, "answers that are not the route's own", wrong, ""),
        ]
