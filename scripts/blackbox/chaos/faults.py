"""The faults, and the seeded schedule they are drawn from."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ..cluster.servers import (
    is_copied, is_synchronous, jetstream_leader, port, postgres_primary, redis_master, replicas, wait, wait_for,
)
from ..faults.disturb import jetstream_folder, process
from ..stack import Process, StackError
from .poison import Poisoner
from .proxy import STORES, Link
from .stack import BESIDE, ChaosStack

RECOVERY_SECONDS_MAX = 90.0
#: Longer than a work item's lease (30 s), and than what leaders and links are given.
LEASE_SECONDS = 35
FREEZE_SECONDS = (6, 14)
LINK_SECONDS = (5, 15)
FULL_SECONDS = 8
#: Until the stack's supervisor knows, too, that the standby has everything: it promotes none of which it does not.
SETTLE_SECONDS = 4
#: Whose leader is killed.
LED_STREAMS = ("WORK", "RESULTS", "DLQ")
SERVICES = ("orchestrator-1", "orchestrator-2", BESIDE, "peer-hub", "supervisor", "dlq-worker")
AGENTS = ("agent-worker-1", "agent-worker-2", "agent-developer-1", "agent-security-1")
#: Seconds a clock is moved by; "+0" afterwards.
JUMPS = ("+300", "-300", "+7200", "-7200", "+45")


class Faults:
    """Each method causes one fault, lasts as long as it does, heals it, and answers what it did in words."""

    def __init__(self, stack: ChaosStack, poisoner: Poisoner) -> None:
        self._stack = stack
        self._poisoner = poisoner
        #: Servers that led and led again after they were killed, with what they led.
        self.not_replaced: list[str] = []

    def kill(self, chance: random.Random) -> str:
        victim = chance.choice((*SERVICES, *AGENTS, *self._stack.servers))
        self._signal(victim, signal.SIGKILL)
        return f"kill -9 {victim}"

    def freeze(self, chance: random.Random) -> str:
        victim = chance.choice((*SERVICES, *AGENTS, *self._stack.servers))
        seconds = LEASE_SECONDS if victim in AGENTS else chance.randint(*FREEZE_SECONDS)
        pid = self._signal(victim, signal.SIGSTOP)
        time.sleep(seconds)
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            pass
        return f"SIGSTOP {victim} for {seconds} s"

    def cut(self, chance: random.Random) -> str:
        return self._link(chance, Link.CUT)

    def silence(self, chance: random.Random) -> str:
        return self._link(chance, Link.SILENT)

    def slow(self, chance: random.Random) -> str:
        return self._link(chance, Link.SLOW)

    def fill_disk(self, chance: random.Random) -> str:
        """No byte is free on one store's file system for a while."""
        store = chance.choice(STORES)
        filler = self._stack.folder / store / "filler"
        try:
            with filler.open("wb", buffering=0) as file:
                try:
                    while file.write(bytes(1 << 20)):
                        pass
                except OSError:
                    pass  # Full.
            time.sleep(FULL_SECONDS)
        finally:
            filler.unlink()
        return f"disk of {store} full for {FULL_SECONDS} s"

    def jump_clock(self, chance: random.Random) -> str:
        jump = chance.choice(JUMPS)
        self._stack.beside.set_clock(jump)
        time.sleep(12)
        self._stack.beside.set_clock("+0")
        return f"clock of {BESIDE} by {jump} s for 12 s"

    def lead_by_wrong_clock(self, chance: random.Random) -> str:
        """The two with right clocks are stopped for a moment, so that the one beside leads, then its clock jumps."""
        jump = chance.choice(JUMPS)
        others = [process(self._stack, "orchestrator", index).pid for index in (0, 1)]
        for pid in others:
            os.kill(pid, signal.SIGKILL)
        time.sleep(6)
        self._stack.beside.set_clock(jump)
        time.sleep(12)
        self._stack.beside.set_clock("+0")
        return f"kill -9 both orchestrators, clock of {BESIDE} by {jump} s for 12 s"

    def wipe_jetstream(self, chance: random.Random) -> str:
        with self._poisoner.pause:
            store = jetstream_folder(self._stack.folder)
            victim = process(self._stack, "nats")
            os.kill(victim.pid, signal.SIGSTOP)
            # What lies in a stream and was not filed yet goes with the store: nothing else remembers it.
            filed = self.filed()
            for poison in self._poisoner.sent:
                poison.wiped = poison.wiped or not filed.get(poison.text)
            gone = store.rename(store.with_name("wiped"))
            os.kill(victim.pid, signal.SIGKILL)
            shutil.rmtree(gone)
        return "JetStream's store wiped"

    def flush_redis(self, chance: random.Random) -> str:
        stack = self._stack
        place = port(stack, redis_master(stack)) if stack.is_cluster else stack.proxies.port("redis")
        with socket.create_connection(("127.0.0.1", place), timeout=5) as connection:
            connection.sendall(f"AUTH {stack.redis_password}\r\nFLUSHALL\r\n".encode())
            answer = b""
            while answer.count(b"\r\n") < 2 and (part := connection.recv(256)):
                answer += part
        if answer != b"+OK\r\n+OK\r\n":
            raise StackError(f"Redis did not flush: {answer!r}")
        return "Redis flushed"

    def restart_postgres(self, chance: random.Random) -> str:
        how = chance.choice((signal.SIGINT, signal.SIGQUIT))
        self._signal("postgres", how)
        return f"Postgres restarted by {how.name}"

    def fail_over_postgres(self, chance: random.Random) -> str:
        how = chance.choice((signal.SIGKILL, signal.SIGINT, signal.SIGQUIT))
        return self._fail_over("Postgres primary", lambda: postgres_primary(self._stack), how)

    def fail_over_redis(self, chance: random.Random) -> str:
        return self._fail_over("Redis master", lambda: redis_master(self._stack), signal.SIGKILL)

    def fail_over_jetstream(self, chance: random.Random) -> str:
        stream = chance.choice(LED_STREAMS)
        return self._fail_over(
            f"JetStream leader of {stream}", lambda: jetstream_leader(self._stack, stream), signal.SIGKILL
        )

    def rolling_restart(self, chance: random.Random) -> str:
        """SIGTERM to each service, the next one when the one before runs again."""
        order = list(SERVICES)
        chance.shuffle(order)
        for name in order:
            old = self._signal(name, signal.SIGTERM)
            self._wait(lambda: self._stack.proxies.parties().get(name, old) != old, f"{name} did not start again")
            time.sleep(1)
        return "rolling restart of every service"

    def filed(self) -> dict[str, int]:
        """Text of each filed poison -> how often."""
        rows = self._stack.database.rows(
            "SELECT data, count(*) FROM dlq_messages WHERE starts_with(data, 'poison-') GROUP BY data"
        )
        return {text: int(count) for text, count in rows}

    def recover(self) -> float:
        """Until every process runs and the orchestrators are ready; how long that took."""
        start = time.monotonic()
        names = {*SERVICES, *AGENTS, *self._stack.servers}
        self._wait(
            lambda: names <= self._stack.proxies.parties().keys() and self._stack.is_ready(), "not all is ready again"
        )
        return time.monotonic() - start

    def _signal(self, name: str, number: signal.Signals) -> int:
        limit = time.monotonic() + RECOVERY_SECONDS_MAX
        while time.monotonic() < limit:
            pid = self._stack.proxies.parties().get(name)
            if pid:
                try:
                    os.kill(pid, number)
                    return pid
                except ProcessLookupError:
                    pass
            time.sleep(0.1)
        raise StackError(f"{name} was not running within {RECOVERY_SECONDS_MAX:.0f} s")

    def _link(self, chance: random.Random, link: Link) -> str:
        party = chance.choice((*SERVICES, *AGENTS))
        store = "nats" if party in AGENTS else chance.choice(STORES)
        seconds = chance.randint(*LINK_SECONDS)
        delay = chance.choice((0.02, 0.1, 0.4)) if link is Link.SLOW else 0.0
        self._stack.proxies.set(party, store, link, delay)
        time.sleep(seconds)
        self._stack.proxies.set(party, store, Link.OPEN)
        what = f"{link.value} by {delay * 1000:.0f} ms a packet" if delay else link.value
        return f"link {party} to {store} {what} for {seconds} s"

    def _fail_over(self, what: str, leader: Callable[[], Process], how: signal.Signals) -> str:
        """Ends the one that leads a cluster that is whole; returns once another leads."""
        wait(self._is_whole, "the cluster was not whole")
        time.sleep(SETTLE_SECONDS)
        victim = wait_for(leader, lambda process: process.pid > 0, f"no {what} was found")
        begun = time.monotonic()
        os.kill(victim.pid, how)
        next_one = wait_for(leader, lambda process: process.pid not in (0, victim.pid), f"no other {what} was found")
        if next_one.name == victim.name:
            self.not_replaced.append(f"{victim.name}, the {what}")
        return f"{how.name} to {victim.name}, the {what}: {next_one.name} leads {time.monotonic() - begun:.1f} s later"

    def _is_whole(self) -> bool:
        stack = self._stack
        return is_synchronous(stack) and is_copied(stack) and all(replicas(stack, one) == 3 for one in LED_STREAMS)

    def _wait(self, until: Callable[[], bool], otherwise: str) -> None:
        limit = time.monotonic() + RECOVERY_SECONDS_MAX
        while not until():
            if time.monotonic() > limit:
                raise StackError(f"{otherwise} within {RECOVERY_SECONDS_MAX:.0f} s")
            time.sleep(0.1)


#: Every kind; a schedule draws all of them before it draws one again. Some come more often than others.
DECK = (
    "kill", "kill", "kill", "freeze", "freeze", "cut", "cut", "silence", "silence", "slow", "fill_disk", "jump_clock",
    "lead_by_wrong_clock", "wipe_jetstream", "flush_redis", "restart_postgres", "rolling_restart",
)
NEEDS_ROOT = ("fill_disk",)
#: Of a stack whose stores have several servers.
CLUSTER_DECK = (
    "kill", "kill", "kill", "freeze", "freeze", "cut", "silence", "slow", "jump_clock", "lead_by_wrong_clock",
    "flush_redis", "rolling_restart", "fail_over_postgres", "fail_over_postgres", "fail_over_redis",
    "fail_over_jetstream",
)


def schedule(seed: int, deck: Sequence[str] = DECK) -> Iterator[tuple[str, random.Random]]:
    """Kinds of faults without end, each with its own source of chance, all from the seed."""
    chance = random.Random(seed)
    number = 0
    while True:
        kinds = list(deck)
        chance.shuffle(kinds)
        for kind in kinds:
            number += 1
            yield kind, random.Random(f"{seed}/{number}/{kind}")


def folder_of(path: str | None) -> Path | None:
    return Path(path).resolve() if path else None
