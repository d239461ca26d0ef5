"""What a benchmark answers, and how it is printed."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import asdict, dataclass

from ..stack import table


@dataclass(frozen=True)
class Row:
    bench: str
    row: str
    value: float
    unit: str
    #: What the value is compared with, measured in the same run.
    reference: float | None = None
    ratio: float | None = None
    #: In words; none for a row that only informs.
    bar: str | None = None
    ok: bool | None = None

    def line(self) -> str:
        """One JSON object; a number that is none becomes null."""
        fields = asdict(self)
        return json.dumps({name: None if _is_nan(value) else value for name, value in fields.items()})


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def ratio_at_least(bar: float, bench: str, row: str, value: float, unit: str, reference: float) -> Row:
    ratio = value / reference if reference else math.nan
    return Row(bench, row, value, unit, reference, ratio, f">= {bar:g}x", ratio >= bar)


def ratio_at_most(bar: float, bench: str, row: str, value: float, unit: str, reference: float) -> Row:
    ratio = value / reference if reference else math.nan
    return Row(bench, row, value, unit, reference, ratio, f"<= {bar:g}x", ratio <= bar)


def below(bar: float, bench: str, row: str, value: float, unit: str) -> Row:
    return Row(bench, row, value, unit, bar=f"< {bar:g} {unit}", ok=value < bar)


def at_most(bar: float, bench: str, row: str, value: float, unit: str) -> Row:
    return Row(bench, row, value, unit, bar=f"<= {bar:g} {unit}", ok=value <= bar)


def exactly(expected: float, bench: str, row: str, value: float, unit: str) -> Row:
    return Row(bench, row, value, unit, bar=f"= {expected:g}", ok=value == expected)


def note(text: str) -> None:
    """What runs at the moment; on standard error, so that --json stays clean."""
    print(text, file=sys.stderr, flush=True)


def printed(rows: list[Row]) -> str:
    def number(value: float | None) -> str:
        if value is None:
            return ""
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.2f}"

    heading = ["bench", "row", "value", "unit", "reference", "ratio", "bar", ""]
    verdicts = {None: "", True: "ok", False: "MISSED"}
    lines = [
        [row.bench, row.row, number(row.value), row.unit, number(row.reference), number(row.ratio), row.bar or "",
         verdicts[row.ok]]
        for row in rows
    ]
    return table([heading, *lines])
