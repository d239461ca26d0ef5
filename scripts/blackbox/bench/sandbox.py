"""The sandbox's launcher beside a bare `python3 -c pass` and other launchers of this host: sandbox/tests/measure.py."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from ..stack import ROOT, binaries
from .report import Row, note, ratio_at_least, ratio_at_most

NAME = "sandbox"
ROUNDS = 200


def bench() -> list[Row]:
    note("sandbox: cold, warm, two slots, computing")
    words = [sys.executable, str(ROOT / "sandbox" / "tests" / "measure.py"), "--json", "--rounds", str(ROUNDS)]
    if os.geteuid() != 0:
        words = ["sudo", "env", f"GOLDEN_BIN={binaries()}", *words]
    done = subprocess.run(words, env={**os.environ, "GOLDEN_BIN": str(binaries())}, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"measure.py ended with {done.returncode}: {done.stderr[-2000:]}")
    found = json.loads(done.stdout)
    milliseconds = {name: seconds * 1000 for name, seconds in found["seconds"].items()}
    bare = milliseconds.pop("bare")
    bars = {"cold": 1.4, "warm": 0.5}
    rows = [ratio_at_most(bars[name], NAME, name, milliseconds.pop(name), "ms", bare) for name in bars]
    rows += [Row(NAME, name, value, "ms", bare, value / bare) for name, value in milliseconds.items()]
    slots, computing = found["throughput"], found["computing"]
    rows.append(ratio_at_least(1.5, NAME, "two slots", slots["two slots"], "programs/s", slots["bare"]))
    rows.append(ratio_at_most(1.03, NAME, "computing", computing["sandboxed"], "s", computing["bare"]))
    return rows
