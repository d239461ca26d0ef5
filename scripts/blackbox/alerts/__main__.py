"""Makes alerts fire by real faults on a private stack and resolve again, and asks every query of the dashboards.

The rules are the chart's own; only their `for:` is shortened, by `golden up --alert-delay`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from ..stack import ROOT, UNLIMITED, Stack, StackError, binaries, end_cleanly_on_signals, table
from .faults import (EndlessPrograms, Fault, Garbage, HangingOrchestrator, Load, LockedTables, OpenBreakers,
                     UsedUpBudget)
from .traces import Collector, Traced
from .watch import Watch, wait

SECONDS_MAX = 420
FIRE_SECONDS_MAX = 120
RESOLVE_SECONDS_MAX = 150
DATA_SECONDS_MAX = 90
#: Of the rules' `for:`: two minutes become three seconds.
ALERT_DELAY = 0.025
DASHBOARDS = ROOT / "k8s" / "charts" / "golden" / "dashboards"
REVIEWED = ROOT / "examples" / "tasks" / "reviewed-change.json"
AGENTS = {
    "echo": "cat", "developer": "python3 examples/agents/change_developer.py",
    "security@peers": "python3 examples/agents/security_reviewer.py",
    "reviewer@peers": "python3 examples/agents/quality_reviewer.py",
    "tester@peers": "python3 examples/agents/docs_tests_reviewer.py",
}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/alerts", description=__doc__,
        epilog="Exit codes: 0 every alert fired and resolved and every query has data, 1 not so, 2 wrong usage.",
    )
    parser.add_argument("--pictures", type=Path, help="a folder for screenshots of the dashboards (needs chromium)")
    options = parser.parse_args()
    end_cleanly_on_signals(SECONDS_MAX)
    arguments = ["--observability", "--alert-delay", str(ALERT_DELAY), "--env", "GOLDEN_WEBHOOK_ALLOW=127.0.0.1"]
    for role, command in AGENTS.items():
        arguments += ["--agent", f"{role}={command}"]
    try:
        with Collector() as collector:
            arguments += ["--env", f"GOLDEN_OTLP_ENDPOINT={collector.url}"]
            with Stack(*arguments, orchestrators=2, limits=f"{UNLIMITED},sandbox.execute=60000000") as stack:
                return Test(stack, collector, options.pictures).run()
    except (StackError, RuntimeError, OSError, subprocess.SubprocessError) as error:
        print(f"The test of the alerts broke: {error}", file=sys.stderr)
        return 1


class Test:
    def __init__(self, stack: Stack, collector: Collector, pictures: Path | None) -> None:
        self.stack = stack
        self.collector = collector
        self.watch = Watch(stack)
        self.pictures = pictures
        self.failures: list[str] = []
        self.rows: list[list[str]] = [["alert", "fault", "fired after", "resolved after"]]

    def run(self) -> int:
        up = wait(30, lambda: len(self.watch.query("up == 1")) == 7)
        self.expect("Prometheus scrapes all seven processes", up is not None)
        self.release()
        self.check_metrics()
        self.follow_traces()
        quick = [OpenBreakers(self.stack), Garbage(self.stack), UsedUpBudget(self.stack),
                 EndlessPrograms(self.stack), HangingOrchestrator(self.stack)]
        slow = LockedTables(self.stack)
        for fault in [slow, *quick]:
            self.expect(f"{fault.alert} is silent before", not self.watch.fires(fault.alert, fault.labels))
        # First, while there was little traffic: among many statements the slow ones are few.
        fired = self.begin([slow])
        mended = self.mend([slow])
        fired |= self.begin(quick)
        mended |= self.mend(quick)
        load = Load(self.stack, json.loads(REVIEWED.read_text()))
        load.begin()
        self.wait_until_resolved([slow, *quick], fired, mended)
        print(table(self.rows), flush=True)
        load.gentle.set()
        self.ask_dashboards()
        load.end()
        if self.pictures:
            self.take_pictures(self.pictures)
        for failure in self.failures:
            print(f"WRONG {failure}")
        print("Every alert fired and resolved, every query has data." if not self.failures else "Not all is well.")
        return 1 if self.failures else 0

    def expect(self, what: str, holds: bool) -> None:
        if not holds:
            self.failures.append(what)

    def release(self) -> None:
        """What the gate's dashboard shows: releases that Helm remembers, one of which failed, and a decision of the gate."""
        began = time.time() - 86_400
        for environment, states in (("dev", ("superseded", "failed", "deployed")), ("staging", ("deployed",))):
            history = [
                {"revision": number, "chart": f"golden-0.{number}.0", "status": state, "description": "Upgrade",
                 "updated": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(began + 3600 * number))}
                for number, state in enumerate(states, 1)
            ]
            file = self.stack.folder / f"helm-{environment}.json"
            file.write_text(json.dumps(history))
            self.gate("history", "--import", str(file), "--env", environment)
        release = str(ROOT / "release" / "stack-release.yaml")
        self.gate("evaluate", "--release", release, "--env", "dev", "--record", allowed=(0, 10, 20))

    def gate(self, command: str, *arguments: str, allowed: tuple[int, ...] = (0,)) -> None:
        config = str(self.stack.folder / "observability" / "gate.yaml")
        done = subprocess.run(
            [binaries() / "release-gate", command, "--config", config, *arguments],
            capture_output=True, text=True, timeout=60)
        self.expect(f"release-gate {command} ends with {done.returncode}: {done.stdout}{done.stderr}",
                    done.returncode in allowed)

    def check_metrics(self) -> None:
        """What each process exposes is in Prometheus' format and by its conventions."""
        for url in self.watch.targets():
            with urllib.request.urlopen(url, timeout=10) as response:
                done = subprocess.run(
                    ["promtool", "check", "metrics"], input=response.read(), capture_output=True, timeout=30)
            said = (done.stdout + done.stderr).decode()
            self.expect(f"promtool takes the metrics of {url}: {said}", done.returncode == 0)

    def follow_traces(self) -> None:
        """One trace spans a task's request, messages, agents' work and reviews, and ends with it."""
        traced = Traced(self.stack, self.collector, REVIEWED.read_bytes())
        # Each process sends its spans when it has some: a parent may come after its child.
        took = wait(DATA_SECONDS_MAX, lambda: not traced.missing() and not traced.faults())
        self.expect(f"a task's and a run's traces are whole; missing: {sorted(traced.missing())}", took is not None)
        for fault in traced.faults():
            self.expect(fault, False)
        print(f"One trace holds {len(self.collector.trace(traced.task))} spans of a reviewed task.", flush=True)

    def begin(self, faults: list[Fault]) -> dict[str, float | None]:
        """Breaks them and waits until Alertmanager holds each alert."""
        started = {}
        for fault in faults:
            started[fault.alert] = time.monotonic()
            fault.begin()
        fired: dict[str, float | None] = {}
        for fault in faults:
            after = wait(FIRE_SECONDS_MAX, lambda: self.watch.fires(fault.alert, fault.labels))
            fired[fault.alert] = None if after is None else time.monotonic() - started[fault.alert]
            self.expect(f"{fault.alert} fires when {fault.what}", after is not None)
        return fired

    def mend(self, faults: list[Fault]) -> dict[str, float]:
        mended = {}
        for fault in faults:
            fault.mend()
            mended[fault.alert] = time.monotonic()
        return mended

    def wait_until_resolved(
        self, faults: list[Fault], fired: dict[str, float | None], mended: dict[str, float]
    ) -> None:
        for fault in faults:
            after = wait(RESOLVE_SECONDS_MAX, lambda: not self.watch.fires(fault.alert, fault.labels))
            took = None if after is None else time.monotonic() - mended[fault.alert]
            self.expect(f"{fault.alert} resolves after it was mended", after is not None)
            self.rows.append([fault.alert, fault.what, seconds(fired[fault.alert]), seconds(took)])

    def ask_dashboards(self) -> None:
        """Each query has data once there was load of its kind; Prometheus needs two scrapes for a rate."""
        queries = [
            (path.stem, panel["title"], target["expr"]) for path in sorted(DASHBOARDS.glob("*.json"))
            for panel in json.loads(path.read_text())["panels"] for target in panel["targets"]
        ]
        for name, title, query in queries:
            found = wait(DATA_SECONDS_MAX, lambda: bool(self.watch.query(query)), every=2)
            self.expect(f"{name}, {title}: {query} has data", found is not None)
        with urllib.request.urlopen(f"{self.watch.dashboards}/dashboards", timeout=10) as response:
            served = {dashboard["name"] for dashboard in json.load(response)}
        self.expect("the page serves all dashboards", served == {path.stem for path in DASHBOARDS.glob("*.json")})
        print(f"{len(queries)} queries of {len(served)} dashboards asked.", flush=True)

    def take_pictures(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for path in sorted(DASHBOARDS.glob("*.json")):
            rows = len(json.loads(path.read_text())["panels"]) // 3
            subprocess.run(
                ["chromium", "--headless", "--no-sandbox", "--hide-scrollbars",
                 f"--window-size=1280,{rows * 230 + 10}",
                 "--virtual-time-budget=8000", f"--screenshot={folder / f'dashboard-{path.stem}.png'}",
                 f"{self.watch.dashboards}/?range=300#{path.stem}"],
                check=True, capture_output=True, timeout=60,
            )


def seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.0f} s"


if __name__ == "__main__":
    sys.exit(main())
