"""How often the release gate rolls a good release back, and how fast it finds a bad one.

Runs gate-simulation: canaries over simulated requests, judged by the gate's own decision every 30 s for 60 minutes, 2,000
walks of each kind. Beside it: the bare test of the design (reference), a z-test repeated at each look, and the rule "any
30 s above 1%". Requests come in bursts; failures are independent, or clumped: one bad caller that retries.
"""

from __future__ import annotations

import json
import math
import subprocess
from typing import Any

from ..stack import binaries
from .report import Row, at_most, note, ratio_at_most

NAME = "gate"
RUNS = 2000
SECONDS_MAX = 1800
RATES = (2, 20, 200)
GOOD_SHARE_MAX = 0.01
CLUMPED_SHARE_MAX = 0.02
#: A tenfold regression at this rate is found nearly as soon as by the bare test.
FOUND_RATE = 20
FOUND_RATIO_MAX = 1.2


def bench() -> list[Row]:
    note(f"gate: {RUNS} walks of each kind")
    done = subprocess.run(
        [str(binaries() / "gate-simulation"), "--runs", str(RUNS)], capture_output=True, text=True, timeout=SECONDS_MAX
    )
    if done.returncode != 0:
        raise RuntimeError(f"gate-simulation ended with {done.returncode}: {done.stderr}")
    results = {line["scenario"]: line for line in map(json.loads, done.stdout.splitlines())}
    rows = [row for rate in RATES for row in _good(results, rate)]
    rows += [row for rate in RATES for row in _bad(f"tenfold-{rate}", f"10x at {rate}/s", results)]
    rows += [row for rate in RATES for row in _bad(f"tenfold-bucket-{rate}", f"10x at {rate}/s, by bucket", results)]
    rows += [row for rate in RATES for row in _bad(f"tenfold-even-{rate}", f"10x at {rate}/s, no bursts", results)]
    return rows + _bad("twofold-200", "2x at 200/s", results)


def _good(results: dict[str, Any], rate: int) -> list[Row]:
    """Releases as good as what runs: a rollback is an error."""
    rows = []
    for kind, text, bar in [
        ("good", "good", GOOD_SHARE_MAX), ("good-raw", "good, callers unknown", GOOD_SHARE_MAX),
        ("good-bucket", "good, callers by bucket", GOOD_SHARE_MAX),
        ("clumped-bucket", "clumped, callers by bucket", CLUMPED_SHARE_MAX), ("clumped", "clumped", CLUMPED_SHARE_MAX), ("clumped-raw", "clumped, callers unknown", None),
    ]:
        result = results[f"{kind}-{rate}"]
        label = f"{text}, {rate}/s: rolled back"
        share = result["gate"]["share"]
        rows.append(Row(NAME, label, share * 100, "%") if bar is None else at_most(bar * 100, NAME, label, share * 100, "%"))
        if not kind.endswith(("raw", "bucket")):
            for rival, words in [("repeated_z", "repeated z-test"), ("fixed_threshold", "any 30 s above 1%")]:
                rows.append(Row(NAME, f"{label} by {words}", result[rival]["share"] * 100, "%"))
    return rows


def _bad(name: str, text: str, results: dict[str, Any]) -> list[Row]:
    """Releases that fail more often: the sooner they are found, the better."""
    result = results[name]
    minutes = result["gate"].get("median_minutes", math.nan)
    reference = result["reference"].get("median_minutes", math.nan)
    rows = [Row(NAME, f"{text}: rolled back", result["gate"]["share"] * 100, "%")]
    if name == f"tenfold-even-{FOUND_RATE}":
        rows.append(ratio_at_most(FOUND_RATIO_MAX, NAME, f"{text}: found after", minutes, "min", reference))
    else:
        rows.append(Row(NAME, f"{text}: found after", minutes, "min", reference, minutes / reference))
    return rows
