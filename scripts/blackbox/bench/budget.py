"""Reservations on one hot account, through the store and by POST /budget/request, beside pgbench on one hot row.

Runs: one orchestrator, the three stores, and wrk with 64 connections or the store with 256 callers, all on the same
cores; before and after pgbench with 64 clients on the same Postgres, as durable. Every reservation is a new one and changes the same account.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path
from statistics import mean, quantiles

from ..database import Database
from ..stack import Stack, binaries
from ..wrk import CONNECTIONS, THREADS, Load
from .report import Row, exactly, note, ratio_at_least, ratio_at_most

NAME = "budget"
PROJECT = "bench"
LIMIT = 1_000_000_000_000
SECONDS = 15
WARM_SECONDS = 3
PGBENCH_SECONDS = 6
SCRIPT = Path(__file__).parents[1] / "reserve.lua"
JSON_HEADERS = {"Content-Type": "application/json"}


def hot_row(database: Database, seconds: int = PGBENCH_SECONDS) -> tuple[float, float]:
    """Updates a second of one row by 64 clients, and their 99th percentile in milliseconds."""
    durability = {name: database.rows(f"SHOW {name}")[0][0] for name in ("synchronous_commit", "fsync")}
    if set(durability.values()) != {"on"}:
        raise RuntimeError(f"the reference would not be durable: {durability}")
    database.execute("CREATE TABLE bench_hot (id int PRIMARY KEY, n bigint NOT NULL) WITH (fillfactor = 20)")
    try:
        database.execute("INSERT INTO bench_hot VALUES (1, 0)")
        with tempfile.TemporaryDirectory() as folder:
            script = Path(folder) / "update.sql"
            script.write_text("UPDATE bench_hot SET n = n + 1 WHERE id = 1;\n")
            command = ["pgbench", "--no-vacuum", "--protocol=prepared", f"--client={CONNECTIONS}",
                       f"--jobs={THREADS}", f"--time={seconds}", f"--file={script}", "--log", "--log-prefix=hot"]
            done = subprocess.run(
                command, capture_output=True, text=True, cwd=folder, env=os.environ | database.environment,
                timeout=seconds + 60,
            )
            if done.returncode != 0:
                raise RuntimeError(f"pgbench ended with {done.returncode}: {done.stdout}{done.stderr}")
            # One line a transaction; the third field is its microseconds.
            latencies = [int(line.split()[2]) / 1000 for log in Path(folder).glob("hot.*")
                         for line in log.read_text().splitlines()]
        return len(latencies) / seconds, quantiles(latencies, n=100, method="inclusive")[98]
    finally:
        database.execute("DROP TABLE bench_hot")


def reserve(stack: Stack, seconds: int) -> tuple[str, Load]:
    """The run's name, by which the database finds its reservations, and what wrk saw."""
    run = f"run-{uuid.uuid4().hex[:12]}"
    command = ["wrk", "-t", str(THREADS), "-c", str(CONNECTIONS), "-d", f"{seconds}s", "--timeout", "10s",
               "-s", str(SCRIPT), stack.urls[0]]
    environment = os.environ | {"TOKEN": stack.token(), "PROJECT": PROJECT, "RUN": run}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=seconds + 60)
    if done.returncode != 0 or not done.stdout:
        raise RuntimeError(f"wrk ended with {done.returncode}: {done.stdout}{done.stderr}")
    numbers = json.loads(done.stdout.splitlines()[-1])
    return run, Load(
        answers=numbers["answers"], seconds=numbers["microseconds"] / 1e6, bad_status=numbers["bad_status"],
        broken=numbers["broken"], p50=numbers["p50"] / 1000, p99=numbers["p99"] / 1000, max=numbers["max"] / 1000,
    )


def reserve_through_store(stack: Stack, seconds: int) -> dict[str, int]:
    """What the store alone does for as many callers as it writes in one batch, in a process of its own."""
    done = subprocess.run(
        [str(binaries() / "budget-load"), "--seconds", str(seconds), "--project", PROJECT,
         "--run", f"store-{uuid.uuid4().hex[:12]}"],
        capture_output=True, text=True, timeout=seconds + 60,
        env=os.environ | {"GOLDEN_POSTGRES_URL": stack.database.url},
    )
    if done.returncode != 0:
        raise RuntimeError(f"budget-load ended with {done.returncode}: {done.stdout}{done.stderr}")
    numbers: dict[str, int] = json.loads(done.stdout)
    return numbers


def lost(stack: Stack, run: str, answers: int) -> float:
    """Answers without a hold in the database. wrk hangs up on what is under way at the end, so more are fine."""
    held = stack.database.number(
        "SELECT count(*) FROM budget_reservations WHERE state = 'pending' AND starts_with(request_id, :'run')",
        run=run + "-",
    )
    return max(answers - held, 0) + max(held - answers - CONNECTIONS, 0)


def check_one(stack: Stack) -> None:
    """Single requests first, whose answers are read: wrk counts statuses only."""
    admin, client = stack.client(role="admin"), stack.client()
    body = json.dumps({"project": PROJECT, "total_limit": LIMIT}).encode()
    limit = admin.request("PUT", "/budget/limits", body, JSON_HEADERS)
    if limit.status != 200:
        raise RuntimeError(f"PUT /budget/limits does not answer as documented: {limit}")
    body = json.dumps({"request_id": "bench-one", "tokens": 1, "project": PROJECT}).encode()
    first, again = (client.request("POST", "/budget/request", body, JSON_HEADERS) for _ in range(2))
    if (first.status, again.status) != (201, 200) or first.json != again.json:
        raise RuntimeError(f"POST /budget/request does not answer as documented: {first} and, repeated, {again}")


def bench(tell: Callable[[str], None] = note) -> list[Row]:
    with Stack() as stack:
        check_one(stack)
        reserve(stack, WARM_SECONDS)
        reserve_through_store(stack, WARM_SECONDS)
        tell("budget: pgbench on one hot row, then the store, then 64 connections on one account, then pgbench again")
        before = hot_row(stack.database)
        store = reserve_through_store(stack, SECONDS)
        run, load = reserve(stack, SECONDS)
        after = hot_row(stack.database)
        rate, p99 = mean((before[0], after[0])), mean((before[1], after[1]))
        verified = stack.client(role="admin").request("GET", "/budget/verification").json
        return [
            ratio_at_least(
                10, NAME, "reservations on one account through the store",
                store["reserved"] * 1000 / store["seconds_thousandths"], "1/s", rate,
            ),
            ratio_at_most(1, NAME, "p99 through the store", store["p99_microseconds"] / 1000, "ms", p99),
            ratio_at_least(2, NAME, "POST /budget/request on one account", load.rate, "1/s", rate),
            ratio_at_most(1, NAME, "p99", load.p99, "ms", p99),
            Row(NAME, "p50", load.p50, "ms"),
            exactly(0, NAME, "errors", load.bad_status + load.broken, "answers"),
            exactly(0, NAME, "answers that do not match the holds stored", lost(stack, run, load.answers), ""),
            exactly(0, NAME, "sums that differ from the ledger", len(verified["differences"]), ""),
        ]
