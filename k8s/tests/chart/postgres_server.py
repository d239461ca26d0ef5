"""A private Postgres of this machine's programs on a free port, for tests."""

import os
import pathlib
import shutil
import socket
import subprocess
import tempfile

BIN = pathlib.Path(os.environ.get("GOLDEN_POSTGRES_BIN", "/usr/lib/postgresql/15/bin"))
# Postgres refuses to run as root.
ACCOUNT = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
USER = "golden"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class PostgresServer:
    """Runs from `start` to `close`; its folder is removed then. `data` is one that holds a server's files already."""

    def __init__(self, data=None):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="golden-chart-"))
        self.is_new = data is None
        self.data = data or self.folder / "data"
        self.port = free_port()
        if ACCOUNT:
            shutil.chown(self.folder, "postgres", "postgres")

    def start(self):
        if self.is_new:
            self._run("initdb", "--pgdata", self.data, "--username", USER, *"--auth trust --encoding UTF8 --locale C".split())
        return self.start_again()

    def start_again(self):
        options = f"-h 127.0.0.1 -p {self.port} -k {self.folder} -c fsync=off"
        files = ("--pgdata", self.data, "--log", self.folder / "log")
        self._run("pg_ctl", "start", "--wait", "--timeout", "60", *files, "--options", options)
        return self

    def stop(self, mode="immediate"):
        self._run("pg_ctl", "stop", "--mode", mode, "--pgdata", self.data)

    def close(self):
        if (self.data / "postmaster.pid").exists():
            self.stop()
        shutil.rmtree(self.folder)

    def _run(self, program, *arguments):
        subprocess.run(
            [BIN / program, *arguments],
            check=True,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=120,
            **ACCOUNT,
        )

    def url(self, database):
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    def ask(self, database, sql):
        """The rows of a query as lines; what several statements say."""
        words = "psql --no-psqlrc --quiet --tuples-only --no-align --set ON_ERROR_STOP=1".split()
        done = subprocess.run(
            [*words, self.url(database)],
            input=sql,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        return done.stdout.split("\n")[:-1]
