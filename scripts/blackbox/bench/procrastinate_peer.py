"""Procrastinate over Postgres doing no-op tasks; run by peers.py and latency.py where Procrastinate is installed.

Arguments: `rate COUNT WORKERS`, prints one JSON object; or `latency`, which runs one task for each line on standard
input and answers its seconds from defer to completion. The database is named by libpq's variables; everything lives in
a schema of its own.

Settings: the asynchronous worker with LISTEN/NOTIFY (the default), many tasks at once, defers from 64 coroutines over a
pool of connections. Jobs are deferred one by one, as Golden's are submitted one by one: each has a caller of its own.
A finished job is seen through a trigger that notifies, which is faster than polling its status every millisecond.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import aclosing

import psycopg
from procrastinate import App, PsycopgConnector

SCHEMA = "procrastinate_peer"
COROUTINES = 64
CONNECTIONS = 16
WORKER_CONCURRENCY = 64
WAIT_SECONDS_MAX = 300
READY_SECONDS_MAX = 30

if __name__ == "__main__":
    # It would say that its app stands in the main module; the workers import it by its own name.
    logging.disable(logging.CRITICAL)
os.environ["PGOPTIONS"] = f"-c search_path={SCHEMA}"
app = App(connector=PsycopgConnector(min_size=CONNECTIONS, max_size=CONNECTIONS))

SEEN = """
CREATE FUNCTION tell_finished() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_notify('finished', NEW.id::text); RETURN NULL; END $$;
CREATE TRIGGER tell_finished AFTER UPDATE OF status ON procrastinate_jobs
    FOR EACH ROW WHEN (NEW.status = 'succeeded') EXECUTE FUNCTION tell_finished();
"""


@app.task(name="noop", queue="noop")
async def noop() -> None:
    """Nothing: what is measured is the way there and back."""


async def prepare(*statements: str) -> None:
    async with await psycopg.AsyncConnection.connect(autocommit=True) as connection:
        await connection.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
        await connection.execute(f"CREATE SCHEMA {SCHEMA}")
    await app.schema_manager.apply_schema_async()
    async with await psycopg.AsyncConnection.connect(autocommit=True) as connection:
        for statement in statements:
            await connection.execute(statement)


def start_workers(number: int) -> list[subprocess.Popen[bytes]]:
    # setpriv: a worker must not outlive this process, however it ends.
    command = ["setpriv", "--pdeathsig", "TERM", sys.executable, "-m", "procrastinate", "--app",
               "procrastinate_peer.app", "worker", "--queues", "noop", "--concurrency", str(WORKER_CONCURRENCY)]
    return [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(number)]


def stop(workers: list[subprocess.Popen[bytes]]) -> None:
    for worker in workers:
        worker.terminate()
    for worker in workers:
        try:
            worker.wait(timeout=20)
        except subprocess.TimeoutExpired:
            worker.kill()


async def wait_for(watch: psycopg.AsyncConnection[tuple[int]], count: int, seconds: float) -> None:
    limit = time.monotonic() + seconds
    while True:
        cursor = await watch.execute("SELECT count(*) FROM procrastinate_jobs WHERE status = 'succeeded'")
        row = await cursor.fetchone()
        done = row[0] if row else 0
        if done >= count:
            return
        if time.monotonic() > limit:
            raise SystemExit(f"only {done} of {count} tasks were done in {seconds:.0f} s")
        await asyncio.sleep(0.1)


async def measure(count: int, workers: int) -> float:
    """Tasks per second from the first defer to the last one that succeeded."""
    async with await psycopg.AsyncConnection.connect(autocommit=True) as watch:
        for _ in range(workers):
            await noop.defer_async()
        await wait_for(watch, workers, READY_SECONDS_MAX)

        async def defer(share: int) -> None:
            for _ in range(share):
                await noop.defer_async()

        start = time.monotonic()
        shares = [count // COROUTINES + (index < count % COROUTINES) for index in range(COROUTINES)]
        await asyncio.gather(*(defer(share) for share in shares))
        await wait_for(watch, count + workers, WAIT_SECONDS_MAX)
        return count / (time.monotonic() - start)


async def one(finished: AsyncIterator[psycopg.Notify]) -> float:
    start = time.perf_counter()
    job = str(await noop.defer_async())
    async for notice in finished:
        if notice.payload == job:
            return time.perf_counter() - start
    raise SystemExit("the connection that hears of finished jobs was closed")


async def answer_lines() -> None:
    async with await psycopg.AsyncConnection.connect(autocommit=True) as watch:
        await watch.execute("LISTEN finished")
        # Closed before the connection, whose lock it holds.
        async with aclosing(watch.notifies()) as finished:
            for _ in sys.stdin:
                print(await one(finished), flush=True)


async def main() -> None:
    latency = sys.argv[1] == "latency"
    number = 1 if latency else int(sys.argv[3])
    async with app.open_async():
        await prepare(*([SEEN] if latency else []))
        workers = start_workers(number)
        try:
            if latency:
                await answer_lines()
                return
            rate = await measure(int(sys.argv[2]), number)
        finally:
            stop(workers)
    settings = f"{number} worker × {WORKER_CONCURRENCY} at once, {COROUTINES} deferring coroutines"
    print(json.dumps({"rate": rate, "settings": settings}))


if __name__ == "__main__":
    asyncio.run(main())
