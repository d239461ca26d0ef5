"""The release gate beside an upgrade: what it finds before and after, and what it decides on the stack's own metrics."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from ..stack import ROOT, Stack, binaries

SECONDS_MAX = 60
#: What the gate calls this build and the next, which bears the same number and brings a migration.
RELEASE, NEXT = "0.1.0", "0.2.0"
REQUESTS = 100
#: Loopback is not encrypted, there are no manifests, and what is right for development is not for production.
LACKING = {"postgres_tls", "redis_tls", "nats_tls", "postgres_connections", "postgres_append_only",
           "postgres_slow_queries", "cluster_capacity"}


def newest(migrations: Path) -> int:
    return max(int(path.name[:3]) for path in migrations.glob("[0-9]*.sql"))


class Gate:
    """Works with files of its own in `folder`, and adds to `problems`."""

    def __init__(self, stack: Stack, folder: Path, problems: list[str]) -> None:
        self._stack, self._folder, self._problems = stack, folder, problems
        folder.mkdir()

    def before(self, migrations: Path) -> None:
        """The next build may come: what runs may run beside it, and its migration is pending."""
        words = f"the database is at {newest(ROOT / 'migrations')}, of {RELEASE}, which runs beside {NEXT}"
        self._preflight("before the upgrade", migrations, NEXT, words, {"postgres_migrations"}, "--before-upgrade")

    def after(self, when: str, migrations: Path, version: str) -> None:
        """Everything is ready, and somebody takes from every consumer. Nobody may be busy meanwhile."""
        words = f"the database is at {newest(migrations)}, the schema of {version}"
        self._preflight(when, migrations, version, words, set(), "--after")

    def evaluate(self) -> None:
        """One decision on the orchestrator's metrics counts what was asked of it; made again, it is the same."""
        client = self._stack.client()
        for _ in range(REQUESTS):
            client.request("GET", "/tasks")
        for name in ("stack-gate.yaml", "stack-release.yaml", "compatibility.yaml"):
            text = (ROOT / "release" / name).read_text()
            text = text.replace("../.golden/release", str(self._folder)).replace("[slo/", f"[{ROOT}/release/slo/")
            (self._folder / name).write_text(text)
        config = ("--config", str(self._folder / "stack-gate.yaml"))
        tracks = [f"service=orchestrator,track={track}@{self._stack.urls[0]}/metrics" for track in ("canary", "stable")]
        said = self._run(
            "evaluate", *config, "--release", str(self._folder / "stack-release.yaml"), "--env", "dev", "--record",
            *(word for track in tracks for word in ("--scrape", track)))
        counts = re.search(r"proven_bad: \w+: http-errors: \d+ of (\d+) bad", said.stdout)
        print(f"The gate decides: {said.stdout.splitlines()[-1:]}, of {counts and counts[1]} requests.")
        if said.returncode not in (0, 10, 20) or not counts or int(counts[1]) < REQUESTS:
            self._problems.append(f"evaluate ended with {said.returncode}: {said.stdout}{said.stderr}")
        again = self._run("replay", *config)
        if again.returncode or "1 of 1 decisions are the same" not in again.stdout:
            self._problems.append(f"replay ended with {again.returncode}: {again.stdout}{again.stderr}")

    def _preflight(
        self, when: str, migrations: Path, version: str, words: str, warned: set[str], *arguments: str
    ) -> None:
        matrix = self._folder / "versions.json"
        rows = [{"version": RELEASE, "schema": newest(ROOT / "migrations"), "messages": 1, "runsBeside": []}]
        if version != RELEASE:
            rows.append({"version": version, "schema": newest(migrations), "messages": 1, "runsBeside": [RELEASE]})
        matrix.write_text(json.dumps({"versions": rows}))
        said = self._run(
            "preflight", "--env", "dev", "--stack", "-", "--migrations", str(migrations), "--json", "--compatibility",
            str(matrix), "--to", version, *arguments, stdin=json.dumps(self._stack.status()))
        if said.returncode not in (0, 10):
            self._problems.append(f"preflight {when} ended with {said.returncode}: {said.stderr}")
            return
        findings = json.loads(said.stdout)["findings"]
        bad = [one for one in findings if one["verdict"] in ("failed", "unknown")]
        warnings = {one["check"] for one in findings if one["verdict"] == "warning"} - LACKING
        versions = [one["found"] for one in findings if one["check"] == "version_compatibility"]
        print(f"Preflight {when}: {len(findings)} things looked at, {len(bad)} stand against it; {', '.join(versions)}.")
        if said.returncode or bad or warnings != warned or versions != [words]:
            self._problems.append(
                f"preflight {when} ended with {said.returncode}, found {bad}, warns of {warnings}, says {versions}")

    def _run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(binaries() / "release-gate"), *arguments], capture_output=True, text=True, timeout=SECONDS_MAX, input=stdin)
