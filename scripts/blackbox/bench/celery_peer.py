"""Celery over Redis doing no-op tasks; run by peers.py where Celery is installed.

Arguments: how many tasks, the pool, its size, and how completion is tracked. Prints one JSON object. REDIS_URL names a
server; databases 2 and 3 of it are used and emptied.

Settings that Celery's optimisation guide gives for tiny tasks: a large prefetch, no gossip, mingle, heartbeat or
events, early acknowledgement, a producer held open, two producing processes. Completion is tracked either by Celery's
results in Redis (`results`: what a client needs who wants to know how its task ended, as Golden's can), or with
ignore_result and one INCR in the task's body (`counter`: Celery's fastest way that still shows when all are done).
"""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import time
from urllib.parse import urlsplit

import redis
from celery import Celery

PRODUCERS = 2
WAIT_SECONDS_MAX = 300


def database(number: int) -> str:
    return urlsplit(os.environ["REDIS_URL"])._replace(path=f"/{number}").geturl()


app = Celery("peer", broker=database(2), backend=database(3))
app.conf.update(
    worker_prefetch_multiplier=128, worker_send_task_events=False, task_send_sent_event=False, task_acks_late=False,
    worker_hijack_root_logger=False, broker_connection_retry_on_startup=True, result_expires=3600,
)


done = redis.Redis.from_url(database(3))


@app.task(name="results")  # type: ignore[untyped-decorator]
def with_result() -> None:
    """Nothing: what is measured is the way there and back."""


@app.task(name="counter", ignore_result=True)  # type: ignore[untyped-decorator]
def with_counter() -> None:
    done.incr("done")


TASKS = {"results": with_result, "counter": with_counter}


def completed(tracking: str) -> int:
    return int(done.get("done") or 0) if tracking == "counter" else int(done.dbsize())


def produce(tracking: str, count: int, begin: multiprocessing.synchronize.Event) -> None:
    task = TASKS[tracking]
    with app.producer_pool.acquire(block=True) as producer:
        task.apply_async(producer=producer)
        begin.wait()
        for _ in range(count):
            task.apply_async(producer=producer)


def wait_for(tracking: str, count: int, worker: subprocess.Popen[bytes]) -> None:
    limit = time.monotonic() + WAIT_SECONDS_MAX
    while (seen := completed(tracking)) < count:
        if worker.poll() is not None or time.monotonic() > limit:
            raise SystemExit(f"{seen} of {count} tasks were done when the worker ended or {WAIT_SECONDS_MAX} s passed")
        time.sleep(0.02)


def measure(tracking: str, count: int, worker: subprocess.Popen[bytes]) -> float:
    """Tasks per second from the first submit to the last completion."""
    begin = multiprocessing.Event()
    producers = [
        multiprocessing.Process(target=produce, args=(tracking, count // PRODUCERS, begin), daemon=True)
        for _ in range(PRODUCERS)
    ]
    for producer in producers:
        producer.start()
    wait_for(tracking, PRODUCERS, worker)  # One task of each is done: connections stand and the worker runs.
    start = time.monotonic()
    begin.set()
    wait_for(tracking, count + PRODUCERS, worker)
    seconds = time.monotonic() - start
    for producer in producers:
        producer.join()
    return count / seconds


def main() -> None:
    count, pool, size, tracking = int(sys.argv[1]), *sys.argv[2:5]
    for number in (2, 3):
        redis.Redis.from_url(database(number)).flushdb()
    # setpriv: the worker must not outlive this process, however it ends.
    worker = subprocess.Popen(
        ["setpriv", "--pdeathsig", "TERM", sys.executable, "-m", "celery", "-A", "celery_peer", "worker",
         "--pool", pool, "--concurrency", size, "--without-gossip", "--without-mingle", "--without-heartbeat",
         "--loglevel", "ERROR"],
        stdout=subprocess.DEVNULL, env=os.environ | {"PYTHONWARNINGS": "ignore"},
    )
    try:
        rate = measure(tracking, count, worker)
    finally:
        worker.terminate()
        try:
            worker.wait(timeout=20)
        except subprocess.TimeoutExpired:
            worker.kill()
    print(json.dumps({"rate": rate, "settings": f"{pool} × {size}, {tracking}, {PRODUCERS} producers"}))


if __name__ == "__main__":
    main()
