"""A TCP proxy in front of the stores that can cut or slow the link of any one process to any one store.

All services are given its ports instead of the stores'. Which process a connection comes from it reads in /proc.
"""

from __future__ import annotations

import asyncio
import enum
import json
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

CHUNK_BYTES = 64 * 1024
STORES = ("nats", "redis", "postgres")


class Link(enum.Enum):
    OPEN = "open"
    #: Connections are reset and refused.
    CUT = "cut"
    #: Nothing arrives, nobody is told: what a lost route looks like.
    SILENT = "silent"
    SLOW = "slow"


@dataclass(eq=False)
class Connection:
    party: str
    store: str
    writers: list[asyncio.StreamWriter] = field(default_factory=list)


class Proxies:
    """Runs on a thread of its own; everything public may be called from any thread."""

    def __init__(self, folder: Path, ports: dict[str, int], extra: Callable[[], dict[str, int]]) -> None:
        """`ports`: of each server by its process' name. `extra` names processes that are no part of the stack, with
        their pids."""
        self.ports = ports
        self._record = folder / "stack.json"
        self._extra = extra
        self._links: dict[tuple[str, str], tuple[Link, float]] = {}
        self._open: set[Connection] = set()
        self._changed = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        started = threading.Event()
        self._loop.call_soon(started.set)
        self._thread.start()
        started.wait(10)
        for server, port in self.ports.items():
            asyncio.run_coroutine_threadsafe(self._listen(server, port), self._loop).result(10)

    def stop(self) -> None:
        """Once more, or before `start`, it does nothing."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)

    def set(self, party: str, store: str, link: Link, delay: float = 0.0) -> None:
        """From now on, for connections that are open as well, to every server of the store."""
        asyncio.run_coroutine_threadsafe(self._set(party, store, link, delay), self._loop).result(10)

    def parties(self) -> dict[str, int]:
        """Every process by name; those that are down are left out."""
        record = json.loads(self._record.read_text())
        running = {entry["name"]: int(entry["pid"]) for entry in record["processes"] if entry.get("pid")}
        return running | self._extra()

    def port(self, server: str) -> int:
        """Where that server of the stack listens itself."""
        for entry in json.loads(self._record.read_text())["processes"]:
            if entry["name"] == server:
                return int(entry["address"].rpartition(":")[2])
        raise KeyError(server)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    async def _listen(self, server: str, port: int) -> None:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._serve(server, reader, writer)

        await asyncio.start_server(accept, "127.0.0.1", port)

    async def _set(self, party: str, store: str, link: Link, delay: float) -> None:
        self._links[party, store] = (link, delay)
        self._changed.set()
        self._changed = asyncio.Event()
        if link is Link.CUT:
            for connection in [one for one in self._open if (one.party, one.store) == (party, store)]:
                for writer in connection.writers:
                    writer.transport.abort()

    def _link(self, connection: Connection) -> tuple[Link, float]:
        return self._links.get((connection.party, connection.store), (Link.OPEN, 0.0))

    async def _serve(self, server: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peername")
        party = await asyncio.to_thread(self._party, int(peer[1]))
        connection = Connection(party, server.partition("-")[0], [writer])
        self._open.add(connection)
        try:
            if self._link(connection)[0] is Link.CUT:
                writer.transport.abort()
                return
            upstream, downstream = await asyncio.open_connection("127.0.0.1", self.port(server))
            connection.writers.append(downstream)
            await asyncio.gather(
                self._pump(connection, reader, downstream), self._pump(connection, upstream, writer)
            )
        except (OSError, ValueError, KeyError):
            pass  # Either end is gone; the other is told below.
        finally:
            self._open.discard(connection)
            for one in connection.writers:
                one.transport.abort()

    async def _pump(
        self, connection: Connection, source: asyncio.StreamReader, sink: asyncio.StreamWriter
    ) -> None:
        while data := await source.read(CHUNK_BYTES):
            while True:
                changed = self._changed
                link, delay = self._link(connection)
                if link is not Link.SILENT:
                    break
                await changed.wait()
            if link is Link.SLOW:
                await asyncio.sleep(delay)
            sink.write(data)
            await sink.drain()
        # The end of one direction ends both, as none of these protocols is half-closed.
        raise ConnectionResetError

    def _party(self, port: int) -> str:
        """Whose socket it is: its inode from the kernel's table, then the process that holds it."""
        local = f"0100007F:{port:04X}"
        inode = ""
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[1] == local:
                inode = fields[9]
                break
        wanted = f"socket:[{inode}]"
        try:
            parties = self.parties()
        except (OSError, ValueError):
            return "other"
        for name, pid in parties.items():
            try:
                with os.scandir(f"/proc/{pid}/fd") as entries:
                    if any(_target(entry.path) == wanted for entry in entries):
                        return name
            except OSError:
                continue
        return "other"


def _target(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""
