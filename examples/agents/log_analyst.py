#!/usr/bin/env python3
"""Reads a web server's access log and writes an incident summary.

Input (one of `log` and `log_file`):
    log         the log's text
    log_file    a file below examples/data
    slow_ms     what counts as a slow answer; 1000 when absent
    top         how many paths and clients to list; 5 when absent

Lines are in the "combined" format of nginx and Apache with the time taken, in seconds, at the end; lines without the
time, and lines that are no log lines, are counted and do no harm.
"""
import collections
import datetime
import json
import pathlib
import re
import statistics
import sys

DATA = pathlib.Path(__file__).resolve().parent.parent / "data"
BYTES_MAX = 64 << 20
LINE = re.compile(
    r'(?P<client>\S+) \S+ \S+ \[(?P<time>[^\]]+)\] "(?P<method>[A-Z]+) (?P<path>\S+)[^"]*" '
    r'(?P<status>\d{3}) (?P<bytes>\d+|-)(?: "[^"]*" "(?P<agent>[^"]*)")?(?: (?P<seconds>\d+\.\d+))?\s*$'
)
NUMBER = re.compile(r"/(\d+|[0-9a-f]{8}-[0-9a-f-]{27})(?=/|$)")
PROBES = re.compile(r"(?i)(\.env|\.git|wp-login|wp-admin|phpmyadmin|\.\./|/etc/passwd|/cgi-bin|\.php$|union.+select)")
REJECTED = 65

Entry = collections.namedtuple("Entry", "client time method path status seconds")


def progress(message, **data):
    print(json.dumps({"progress": message, **({"data": data} if data else {})}), file=sys.stderr, flush=True)


def reject(why):
    print(why, file=sys.stderr)
    sys.exit(REJECTED)


def read_log(task):
    if isinstance(task.get("log"), str):
        return task["log"]
    name = task.get("log_file")
    if not isinstance(name, str):
        reject("The input needs `log`, the text of an access log, or `log_file`, a file below examples/data.")
    path = (DATA / name).resolve()
    if not path.is_relative_to(DATA) or not path.is_file() or path.stat().st_size > BYTES_MAX:
        reject(f"There is no readable log file {name!r} of at most {BYTES_MAX >> 20} MiB below examples/data.")
    return path.read_text(encoding="utf-8", errors="replace")


def number(task, name, default, low, high):
    value = task.get(name, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        reject(f"`{name}` must be a number from {low} to {high}.")
    return value


def parse(text):
    entries, unreadable = [], 0
    for line in text.splitlines():
        match = LINE.match(line)
        try:
            time = datetime.datetime.strptime(match["time"], "%d/%b/%Y:%H:%M:%S %z")
        except (TypeError, ValueError):
            unreadable += bool(line.strip())
            continue
        path = NUMBER.sub("/:id", match["path"].split("?")[0])
        seconds = float(match["seconds"]) if match["seconds"] else None
        entries.append(Entry(match["client"], time, match["method"], path, int(match["status"]), seconds))
    return sorted(entries, key=lambda entry: entry.time), unreadable


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def milliseconds(values, share):
    return round(percentile(values, share) * 1000) if values else None


def share(part, whole):
    return round(part / whole, 4) if whole else 0.0


def by_minute(entries):
    minutes = collections.defaultdict(list)
    for entry in entries:
        minutes[entry.time.replace(second=0)].append(entry)
    return dict(sorted(minutes.items()))


def timeline(minutes):
    return [
        {
            "minute": minute.isoformat(),
            "requests": len(entries),
            "errors": sum(entry.status >= 500 for entry in entries),
            "p95_ms": milliseconds([entry.seconds for entry in entries if entry.seconds is not None], 0.95),
        }
        for minute, entries in minutes.items()
    ]


def error_bursts(minutes):
    """Minutes whose share of server errors is far above the usual one, joined when at most two minutes apart."""
    rates = [share(sum(entry.status >= 500 for entry in entries), len(entries)) for entries in minutes.values()]
    threshold = max(0.1, min(0.5, 4 * statistics.median(rates))) if rates else 1
    hot = [
        minute
        for (minute, entries), rate in zip(minutes.items(), rates)
        if rate >= threshold and sum(entry.status >= 500 for entry in entries) >= 3
    ]
    groups = []
    for minute in hot:
        if groups and minute - groups[-1][-1] <= datetime.timedelta(minutes=3):
            groups[-1].append(minute)
        else:
            groups.append([minute])
    return [describe_burst(group, minutes) for group in groups]


def describe_burst(group, minutes):
    entries = [entry for minute, found in minutes.items() if group[0] <= minute <= group[-1] for entry in found]
    errors = [entry for entry in entries if entry.status >= 500]
    paths = collections.Counter(f"{entry.method} {entry.path}" for entry in errors)
    statuses = collections.Counter(str(entry.status) for entry in errors)
    return {
        "from": group[0].isoformat(),
        "to": (group[-1] + datetime.timedelta(minutes=1)).isoformat(),
        "requests": len(entries),
        "errors": len(errors),
        "error_share": share(len(errors), len(entries)),
        "statuses": dict(statuses.most_common()),
        "paths": [{"path": path, "errors": count} for path, count in paths.most_common(3)],
    }


def slow_paths(entries, slow_ms, top):
    times = collections.defaultdict(list)
    for entry in entries:
        if entry.seconds is not None:
            times[f"{entry.method} {entry.path}"].append(entry.seconds)
    rows = [
        {
            "path": path,
            "requests": len(values),
            "p50_ms": milliseconds(values, 0.5),
            "p95_ms": milliseconds(values, 0.95),
            "slow": sum(value * 1000 >= slow_ms for value in values),
        }
        for path, values in times.items()
        if len(values) >= 5
    ]
    return sorted(rows, key=lambda row: -row["p95_ms"])[:top]


def suspicious_clients(entries, top):
    clients = collections.defaultdict(list)
    for entry in entries:
        clients[entry.client].append(entry)
    usual = statistics.median(len(found) for found in clients.values()) if clients else 0
    rows = []
    for client, found in clients.items():
        probes = sorted({entry.path for entry in found if PROBES.search(entry.path)})
        denied = sum(entry.status in (401, 403) for entry in found)
        reasons = []
        if len(probes) >= 2:
            reasons.append(f"asked for {len(probes)} paths that only scanners ask for")
        if denied >= 10 and denied >= len(found) / 2:
            reasons.append(f"was denied {denied} times of {len(found)}")
        if len(found) >= max(100, 20 * usual):
            reasons.append(f"sent {len(found)} requests; {usual:g} are usual")
        if reasons:
            rows.append(
                {
                    "client": client, "requests": len(found), "denied": denied, "reasons": reasons,
                    "examples": probes[:3] or sorted({entry.path for entry in found})[:3],
                }
            )
    return sorted(rows, key=lambda row: (-len(row["reasons"]), -row["requests"]))[:top]


def summarize(entries, bursts, slow, clients):
    sentences = []
    errors = sum(entry.status >= 500 for entry in entries)
    sentences.append(f"{len(entries)} requests, {errors} of them server errors ({share(errors, len(entries)):.1%}).")
    for burst in bursts:
        place = burst["paths"][0]["path"]
        sentences.append(
            f"From {burst['from'][11:16]} to {burst['to'][11:16]} {burst['error_share']:.0%} of all requests failed, "
            f"mostly {place} with {', '.join(burst['statuses'])}."
        )
    if slow and slow[0]["slow"]:
        sentences.append(f"{slow[0]['path']} is the slowest path: 95% of its answers came within {slow[0]['p95_ms']} ms.")
    for client in clients:
        sentences.append(f"{client['client']} {'; '.join(client['reasons'])}.")
    worst = max((burst["error_share"] for burst in bursts), default=0)
    severity = "critical" if worst >= 0.5 else "major" if bursts else "minor" if clients else "none"
    return severity, " ".join(sentences)


def main():
    task = json.load(sys.stdin)["input"]
    if not isinstance(task, dict):
        reject("The input must be an object.")
    slow_ms, top = number(task, "slow_ms", 1000, 1, 3_600_000), int(number(task, "top", 5, 1, 50))
    entries, unreadable = parse(read_log(task))
    if not entries:
        reject("Not one line of the log is in the combined format.")
    progress("read the log", lines=len(entries), unreadable=unreadable)
    minutes = by_minute(entries)
    bursts = error_bursts(minutes)
    progress("looked for error bursts", found=len(bursts))
    slow, clients = slow_paths(entries, slow_ms, top), suspicious_clients(entries, top)
    progress("looked at paths and clients", suspicious=len(clients))
    severity, summary = summarize(entries, bursts, slow, clients)
    report = {
        "severity": severity,
        "summary": summary,
        "from": entries[0].time.isoformat(),
        "to": entries[-1].time.isoformat(),
        "requests": len(entries),
        "unreadable_lines": unreadable,
        "error_bursts": bursts,
        "slowest_paths": slow,
        "suspicious_clients": clients,
        "timeline": timeline(minutes),
    }
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main()
