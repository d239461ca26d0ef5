"""What this machine can do at best: pgbench's prepared one-row INSERT at 32 clients, as durable as Golden's tasks."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from pathlib import Path

from ..database import Database

CLIENTS = 32
THREADS = 2
SECONDS = 6

TABLE = """
CREATE TABLE IF NOT EXISTS bench_reference (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tenant text NOT NULL, input json NOT NULL,
    created_at timestamptz NOT NULL
)
"""
INSERT = """\\set number random(1, 1000000000)
INSERT INTO bench_reference (tenant, input, created_at)
    VALUES ('default', json_build_object('number', (:number)::int), now());
"""


def inserts_per_second(database: Database, seconds: int = SECONDS) -> float:
    """Committed inserts per second on the stack's own Postgres, in a table of their own."""
    durability = {name: database.rows(f"SHOW {name}")[0][0] for name in ("synchronous_commit", "fsync")}
    if set(durability.values()) != {"on"}:
        raise RuntimeError(f"the reference would not be durable: {durability}")
    database.execute(TABLE)
    try:
        return run(database, seconds)
    finally:
        # Gone again, so that neither its rows nor their vacuum weigh on what is measured next.
        database.execute("DROP TABLE bench_reference")


def run(database: Database, seconds: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "insert.sql"
        script.write_text(INSERT)
        command = ["pgbench", "--no-vacuum", "--protocol=prepared", f"--client={CLIENTS}", f"--jobs={THREADS}",
                   f"--time={seconds}", f"--file={script}"]
        # Debian's pgbench is a wrapper that finds the real one.
        done = subprocess.run(
            command, capture_output=True, text=True, env=os.environ | database.environment, timeout=seconds + 60
        )
    found = re.search(r"^tps = ([0-9.]+) \(without initial connection time\)", done.stdout, re.MULTILINE)
    if done.returncode != 0 or not found:
        raise RuntimeError(f"pgbench ended with {done.returncode}: {done.stdout}{done.stderr}")
    return float(found.group(1))


class Bracket:
    """The reference measured right before and right after what it is compared with; the mean of both counts."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._before = inserts_per_second(database)

    def close(self) -> float:
        return (self._before + inserts_per_second(self._database)) / 2
