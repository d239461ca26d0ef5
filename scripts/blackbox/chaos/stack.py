"""A stack whose services reach their stores through the proxy, whose stores lie on small file systems of their own, and
beside which one more orchestrator runs, by a clock that can be moved."""

from __future__ import annotations

import json
import os
import random
import secrets
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

from ..stack import ROOT, Stack, StackError, binaries, free_ports
from .proxy import STORES, Proxies

#: The servers of each store by the names of their processes: those of one, and those of a cluster.
SINGLE = {store: (store,) for store in STORES}
CLUSTER = {
    "nats": ("nats-1", "nats-2", "nats-3"), "redis": ("redis-1", "redis-2"), "postgres": ("postgres-1", "postgres-2"),
}
SENTINELS = ("sentinel-1", "sentinel-2", "sentinel-3")

#: Bytes of each store's file system when they are root's to make.
SIZES = {"nats": 700 << 20, "redis": 200 << 20, "postgres": 1400 << 20}
BESIDE = "orchestrator-beside"
AGENT = f"sh {ROOT}/scripts/blackbox/chaos/agent.sh"
AGENTS = ("worker", "worker", "developer@makers", "security@peers", "reviewer@peers", "tester@peers")


class ChaosStack(Stack):
    def __init__(self, beside: Path | None, *, is_cluster: bool = False) -> None:
        agents = [part for role in AGENTS for part in ("--agent", f"{role}={AGENT}")]
        super().__init__(*(("--cluster",) if is_cluster else ()), *agents, "--slots", "6", orchestrators=2)
        self.is_cluster = is_cluster
        self._by_store = CLUSTER if is_cluster else SINGLE
        self._secrets = {
            name: secrets.token_hex(32) for name in ("postgres", "postgres_admin", "nats", "redis", "jwt")
        }
        names = [name for names in self._by_store.values() for name in names]
        first = free_ports(len(names))
        ports = {name: first + index for index, name in enumerate(names)}
        places = {
            store: [f"127.0.0.1:{ports[name]}" for name in names] for store, names in self._by_store.items()
        }
        self._arguments += [
            "--env", "GOLDEN_NATS_URL=" + ",".join(f"nats://{place}" for place in places["nats"]),
            "--env", f"GOLDEN_REDIS_URL=redis://:{self._secrets['redis']}@{','.join(places['redis'])}/0",
            "--env", "GOLDEN_POSTGRES_URL="
            f"postgresql://golden:{self._secrets['postgres']}@{','.join(places['postgres'])}/golden"
            + ("?target_session_attrs=read-write" if is_cluster else ""),
            "--env", "GOLDEN_WEBHOOK_ALLOW=127.0.0.1", "--env", "GOLDEN_WEBHOOK_FIRST_WAIT_SECONDS=1",
            "--env", "GOLDEN_NATS_STORAGE=256MiB",
        ]
        self.proxies = Proxies(self.folder, ports, self._extras)
        #: Stores with file systems of their own.
        self.mounted: list[str] = []
        self.beside = Beside(self, beside)

    def __enter__(self) -> ChaosStack:
        try:
            self._start()
        except BaseException:
            # Mounts, proxies and the stack itself: nobody else takes them away.
            self._clean()
            raise
        return self

    def _start(self) -> None:
        record = self.folder / "secrets.json"
        record.touch(mode=0o600)
        record.write_text(json.dumps(self._secrets))
        self._mount()
        self.proxies.start()
        super().__enter__()
        if self.mounted:
            # Its write-ahead log must fit its file system.
            self._as_admin("ALTER SYSTEM SET max_wal_size = '192MB'")
            self._as_admin("SELECT pg_reload_conf()")
        self.beside.start()

    def _mount(self) -> None:
        """Root may, unless it is one of a container that may not. Servers of a cluster lie beside each other."""
        if os.geteuid() != 0 or self.is_cluster:
            return
        for store, size in SIZES.items():
            place = self.folder / store
            place.mkdir(mode=0o700)
            options = f"size={size},mode=0700"
            done = subprocess.run(
                ["mount", "-t", "tmpfs", "-o", options, "golden-chaos", str(place)], capture_output=True, text=True
            )
            if done.returncode != 0:
                print(f"No file system of its own for {store}: {done.stderr.strip()}")
                return
            self.mounted.append(store)

    def _as_admin(self, sql: str) -> None:
        parts = self.database.environment | {"PGUSER": "postgres", "PGPASSWORD": self._secrets["postgres_admin"]}
        subprocess.run(["psql", "--no-psqlrc", "-qc", sql], env=parts, check=True, stdout=subprocess.DEVNULL)

    @property
    def servers(self) -> tuple[str, ...]:
        """Every process of the stores."""
        names = tuple(name for names in self._by_store.values() for name in names)
        return names + SENTINELS if self.is_cluster else names

    @property
    def redis_password(self) -> str:
        return self._secrets["redis"]

    def nats_address(self) -> tuple[int, str, str]:
        """Of any one of the servers."""
        return self.proxies.port(random.choice(self._by_store["nats"])), "golden", self._secrets["nats"]

    def _extras(self) -> dict[str, int]:
        return self.beside.party

    def _clean(self) -> None:
        self.beside.stop()
        # Unmounted before the folder is removed: a mount point cannot be.
        if (self.folder / "stack.json").exists():
            try:
                self._golden("down", seconds=120)
            except (StackError, subprocess.TimeoutExpired) as error:
                print(f"The stack did not stop in good order: {error}")
        self.proxies.stop()
        while self.mounted:
            subprocess.run(["umount", "--lazy", str(self.folder / self.mounted.pop())], capture_output=True)
        super()._clean()
        shutil.rmtree(self.folder, ignore_errors=True)


class Beside:
    """One more orchestrator, of another build when its folder is given; it is started again when it dies."""

    def __init__(self, stack: ChaosStack, folder: Path | None) -> None:
        self._stack = stack
        self._program = (folder or binaries()) / "orchestrator"
        self._offset = stack.folder / "beside.clock"
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self._clock = stack.folder / "clock.so"
        self.restarts = 0

    @property
    def party(self) -> dict[str, int]:
        return {BESIDE: self._process.pid} if self._process and self._process.poll() is None else {}

    def start(self) -> None:
        source = ROOT / "scripts" / "blackbox" / "chaos" / "clock.c"
        subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-o", str(self._clock), str(source)], check=True)
        self.set_clock("+0")
        self._thread.start()

    def set_clock(self, offset: str) -> None:
        fresh = self._offset.with_suffix(".new")
        fresh.write_text(offset + "\n")
        fresh.rename(self._offset)

    def stop(self) -> None:
        self._stopping.set()
        if self._process:
            self._process.terminate()
            try:
                self._process.wait(40)
            except subprocess.TimeoutExpired:
                self._process.kill()
        if self._thread.is_alive():
            self._thread.join(10)

    def _environment(self) -> dict[str, str]:
        """That of the stack's own orchestrators."""
        while True:
            pid = self._stack.proxies.parties().get("orchestrator-1")
            try:
                raw = Path(f"/proc/{pid}/environ").read_bytes()
                pairs = [part.decode().split("=", 1) for part in raw.split(b"\0") if b"=" in part]
                variables = {name: value for name, value in pairs}
                if "GOLDEN_POSTGRES_URL" in variables:
                    break
            except OSError:
                pass
            time.sleep(0.2)
        variables["GOLDEN_HTTP_PORT"] = "0"
        variables |= {"LD_PRELOAD": str(self._clock), "CHAOS_CLOCK": str(self._offset)}
        return variables

    def _keep(self) -> None:
        log = (self._stack.folder / "logs" / f"{BESIDE}.log").open("ab")
        while not self._stopping.is_set():
            self._process = subprocess.Popen(
                [str(self._program), "serve"], env=self._environment(), stdout=log, stderr=log,
                stdin=subprocess.DEVNULL, cwd="/",
            )
            self._process.wait()
            self.restarts += 1
            self._stopping.wait(1)

    def send(self, number: signal.Signals) -> None:
        if self._process and self._process.poll() is None:
            self._process.send_signal(number)
