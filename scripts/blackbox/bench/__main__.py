"""Runs the named benchmarks, or all, and says whether every bar was met."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from ..stack import StackError, end_cleanly_on_signals
from . import backlog, breaker, budget, dlq, e2e, gate, latency, memory, peers, ratelimit, review, sandbox, submit
from .report import Row, note, printed

BENCHES: dict[str, Callable[[], list[Row]]] = {
    module.NAME: module.bench
    for module in (
        memory, submit, budget, ratelimit, breaker, e2e, latency, review, backlog, peers, sandbox, dlq, gate,
    )
}
SECONDS_MAX = 3600


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measures Golden against bars, each on a private stack with other systems in the same run.",
        epilog="Exit codes: 0 every bar met, 1 a bar missed or a benchmark broke, 2 wrong usage.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which to run: {', '.join(BENCHES)}; all by default")
    parser.add_argument("--json", action="store_true", help="one JSON object a line instead of the table")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in BENCHES]
    if unknown:
        parser.error(f"there is no benchmark named {', '.join(unknown)}")
    end_cleanly_on_signals(SECONDS_MAX)

    rows: list[Row] = []
    broken: list[str] = []
    for name in arguments.names or BENCHES:
        try:
            fresh = BENCHES[name]()
        except (StackError, RuntimeError, OSError) as error:
            note(f"{name} broke: {error}")
            broken.append(name)
            continue
        rows += fresh
        if arguments.json:
            print("\n".join(row.line() for row in fresh), flush=True)
    if rows and not arguments.json:
        print(printed(rows))
    missed = [f"{row.bench}: {row.row}" for row in rows if row.ok is False]
    for line in [f"Broke: {name}" for name in broken] + [f"Missed: {text}" for text in missed]:
        note(line)
    return 1 if missed or broken else 0


if __name__ == "__main__":
    sys.exit(main())
