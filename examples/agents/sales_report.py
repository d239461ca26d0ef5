#!/usr/bin/env python3
"""Reads daily sales as CSV and reports totals, trends, anomalies, and what is wrong with the data.

Input (one of `csv` and `csv_file`):
    csv         the text, with the columns date,region,product,units,revenue
    csv_file    a file below examples/data
    threshold   how many robust deviations make an anomaly; 6 when absent

A day is compared with the same weekday of the same region and product, by median and median absolute deviation
(Iglewicz and Hoaglin, 1993), so that neither the weekly rhythm nor the anomalies themselves move the yardstick.
"""
import collections
import csv
import datetime
import io
import json
import math
import pathlib
import statistics
import sys

DATA = pathlib.Path(__file__).resolve().parent.parent / "data"
COLUMNS = ["date", "region", "product", "units", "revenue"]
ANOMALIES_MAX = 100
PROBLEMS_MAX = 100
# Sums of values beyond it would be no numbers any more.
VALUE_MAX = 1e15
REJECTED = 65


def progress(message, **data):
    print(json.dumps({"progress": message, **({"data": data} if data else {})}), file=sys.stderr, flush=True)


def reject(why):
    print(why, file=sys.stderr)
    sys.exit(REJECTED)


def read_table(task):
    if isinstance(task.get("csv"), str):
        return task["csv"]
    name = task.get("csv_file")
    if not isinstance(name, str):
        reject("The input needs `csv`, the text of a table, or `csv_file`, a file below examples/data.")
    path = (DATA / name).resolve()
    if not path.is_relative_to(DATA) or not path.is_file():
        reject(f"There is no file {name!r} below examples/data.")
    return path.read_text(encoding="utf-8")


def parse(text):
    """The good rows, and what is wrong with the others."""
    reader = csv.DictReader(io.StringIO(text))
    missing = [column for column in COLUMNS if column not in (reader.fieldnames or [])]
    if missing:
        reject(f"The table has no column {', '.join(missing)}.")
    rows, problems, seen = [], [], set()
    for row in reader:
        try:
            date = datetime.date.fromisoformat(row["date"])
            units, revenue = int(row["units"]), float(row["revenue"])
        except (TypeError, ValueError):
            problems.append({"line": reader.line_num, "problem": "a value is missing or no number or date"})
            continue
        key = (date, row["region"], row["product"])
        if not math.isfinite(revenue):
            problems.append({"line": reader.line_num, "problem": "the revenue is no number"})
        elif max(units, revenue) > VALUE_MAX:
            problems.append({"line": reader.line_num, "problem": "a value is too large"})
        elif units < 0 or revenue < 0:
            problems.append({"line": reader.line_num, "problem": "a value is negative"})
        elif key in seen:
            problems.append({"line": reader.line_num, "problem": "the day was listed before"})
        else:
            seen.add(key)
            rows.append((*key, units, revenue))
    return rows, problems


def anomalies(rows, threshold):
    series = collections.defaultdict(list)
    for date, region, product, units, revenue in rows:
        series[region, product, date.weekday()].append((date, units, revenue))
    found = []
    for (region, product, _), days in series.items():
        if len(days) < 6:
            continue
        usual = statistics.median(units for _, units, _ in days)
        spread = statistics.median(abs(units - usual) for _, units, _ in days)
        # Very even series would make every ripple an anomaly.
        scale = max(1.4826 * spread, 0.05 * usual, 1)
        for date, units, revenue in days:
            deviation = (units - usual) / scale
            if abs(deviation) >= threshold:
                found.append(
                    {
                        "date": date.isoformat(), "region": region, "product": product, "units": units,
                        "usual_units": usual, "deviation": round(deviation, 1), "revenue": revenue,
                        "kind": "spike" if deviation > 0 else "drop",
                    }
                )
    return sorted(found, key=lambda row: -abs(row["deviation"]))


def totals(rows, column):
    sums = collections.defaultdict(lambda: [0, 0.0])
    for row in rows:
        sums[row[column]][0] += row[3]
        sums[row[column]][1] += row[4]
    ordered = sorted(sums.items(), key=lambda item: -item[1][1])
    return [{"name": name, "units": units, "revenue": round(revenue, 2)} for name, (units, revenue) in ordered]


def trend(rows):
    """Revenue of the last four whole weeks against the four before."""
    last = max(row[0] for row in rows)

    def revenue(first_day, days):
        start = last - datetime.timedelta(days=first_day)
        return sum(row[4] for row in rows if start < row[0] <= start + datetime.timedelta(days=days))

    now, before = revenue(28, 28), revenue(56, 28)
    return {"last_28_days": round(now, 2), "28_days_before": round(before, 2),
            "change": round(now / before - 1, 4) if before else None}


def main():
    task = json.load(sys.stdin)["input"]
    if not isinstance(task, dict):
        reject("The input must be an object.")
    threshold = task.get("threshold", 6)
    if isinstance(threshold, bool) or not isinstance(threshold, (int, float)) or not 1 <= threshold <= 100:
        reject("`threshold` must be a number from 1 to 100.")
    rows, problems = parse(read_table(task))
    if not rows:
        reject("The table has no usable row.")
    progress("read the table", rows=len(rows), problems=len(problems))
    found = anomalies(rows, threshold)
    progress("compared weekdays", anomalies=len(found))
    report = {
        "rows": len(rows),
        "from": min(row[0] for row in rows).isoformat(),
        "to": max(row[0] for row in rows).isoformat(),
        "revenue": round(sum(row[4] for row in rows), 2),
        "by_region": totals(rows, 1),
        "by_product": totals(rows, 2),
        "trend": trend(rows),
        "anomalies": found[:ANOMALIES_MAX],
        "data_problems": problems[:PROBLEMS_MAX],
        "data_problem_count": len(problems),
    }
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main()
