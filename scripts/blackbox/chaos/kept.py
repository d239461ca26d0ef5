"""Seeds that once failed, with what they found; the next to fail is added. `scripts/chaos --kept` runs them all."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kept:
    seed: int
    minutes: float
    found: str
    is_cluster: bool = False


KEPT = [
    Kept(1001, 0.15, "nothing was done any more after NATS' disk was full: server 2.9.10 locks itself up by it"),
    Kept(3, 3.0, "letters were lost after a wipe of JetStream: their ids named numbers that began at 1 again"),
    Kept(225, 0.1, "retries were put off by two hours: the leader decided by a clock of its own that had jumped"),
    Kept(2026, 11.3, "clients were answered 500 while Postgres' disk was full, in place of 503"),
    Kept(1945, 0.1, "a stream that was empty and found the disk full refused a message; the suite took it for stored"),
]
