"""A stack's Postgres through psql, so that checking needs nothing but what Golden itself needs."""

from __future__ import annotations

import csv
import io
import os
import subprocess
from urllib.parse import parse_qsl, unquote, urlsplit

QUERY_SECONDS_MAX = 120


class Database:
    def __init__(self, url: str) -> None:
        self.url = url

    @property
    def environment(self) -> dict[str, str]:
        """The address as libpq's variables, so that no password stands in a process list."""
        parts = urlsplit(self.url)
        # A cluster's address names several servers, separated by commas.
        places = [place.partition(":") for place in parts.netloc.rpartition("@")[2].split(",")]
        variables = {
            "PGHOST": ",".join(host for host, _, _ in places),
            "PGPORT": ",".join(port or "5432" for _, _, port in places), "PGUSER": parts.username,
            "PGPASSWORD": parts.password, "PGDATABASE": parts.path.lstrip("/"),
        }
        # Unix sockets stand in the query: postgresql://user@/name?host=/folder
        known = {"host": "PGHOST", "port": "PGPORT", "target_session_attrs": "PGTARGETSESSIONATTRS"}
        options = {known[name]: value for name, value in parse_qsl(parts.query) if name in known}
        return os.environ | {name: unquote(value) for name, value in variables.items() if value} | options

    def rows(self, sql: str, **values: str) -> list[list[str]]:
        """The rows of one statement as text; `values` stand in it as :'name'."""
        return list(csv.reader(io.StringIO(self._psql(sql, values, "--csv", "--tuples-only"))))

    def number(self, sql: str, **values: str) -> float:
        """The only value of one statement."""
        return float(self.rows(sql, **values)[0][0])

    def execute(self, sql: str, **values: str) -> None:
        self._psql(sql, values, "--quiet")

    def _psql(self, sql: str, values: dict[str, str], *options: str) -> str:
        command = ["psql", "--no-psqlrc", "-v", "ON_ERROR_STOP=1", *options]
        for name, value in values.items():
            command += ["-v", f"{name}={value}"]
        done = subprocess.run(
            command, input=sql, capture_output=True, text=True, env=self.environment, timeout=QUERY_SECONDS_MAX
        )
        if done.returncode != 0:
            raise RuntimeError(f"psql ended with {done.returncode}: {done.stderr.strip()}\n{sql}")
        return done.stdout
