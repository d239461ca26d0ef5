"""Resident memory of each service on a fresh, idle stack."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..stack import Stack
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
        return [
            below(60, NAME, f"{service.name}, idle", service.resident_mib, "MiB")
            if service.name.startswith(SERVICES)
            else Row(NAME, f"{service.name}, idle", service.resident_mib, "MiB")
            for service in services
        ]
