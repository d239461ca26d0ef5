"""Resident memory of each service on a fresh, idle stack."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..stack import Process, Stack
from .report import Row, below, note

NAME = "memory"
SETTLE_SECONDS = 15
SERVICES = ("orchestrator", "agent")
STORES = ("postgres", "nats", "redis")


def bench(tell: Callable[[str], None] = note) -> list[Row]:
    with Stack() as stack:
        tell(f"memory: {SETTLE_SECONDS} s of doing nothing")
        time.sleep(SETTLE_SECONDS)
        services = [process for process in stack.processes() if not process.name.startswith(STORES)]
        if not any(process.name.startswith(SERVICES[0]) for process in services):
            raise RuntimeError(f"no orchestrator among {services}")
        return [row(service) for service in services]


def row(service: Process) -> Row:
    """Raises where one that has a bar is dead, which is not the same as small."""
    name = f"{service.name}, idle"
    mib = service.resident_mib
    if not service.name.startswith(SERVICES):
        return Row(NAME, name, mib, "MiB")
    if mib == 0:
        raise RuntimeError(f"{service.name} does not run")
    return below(60, NAME, name, mib, "MiB")
