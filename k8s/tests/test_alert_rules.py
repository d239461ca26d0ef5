"""The alert rules: promtool takes them, every alert is tested both ways, and each metric is one that a service exposes.

    python3 -m unittest discover -s k8s/tests -p 'test_alert_rules.py'
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
RULES = sorted((ROOT / "k8s" / "charts" / "golden" / "rules").glob("*.yaml"))
TESTS = sorted((ROOT / "k8s" / "tests" / "alerts").glob("*.yaml"))

#: What others expose: Prometheus itself, kube-state-metrics, cert-manager.
FOREIGN = {
    "up", "kube_pod_container_status_restarts_total", "kube_pod_container_status_last_terminated_reason",
    "kube_statefulset_status_replicas_ready", "certmanager_certificate_expiration_timestamp_seconds",
}
#: Words of the query language that look like metrics.
LANGUAGE = set(
    "by on and or unless without ignoring group_left group_right sum max min count avg rate increase changes absent "
    "vector time min_over_time histogram_quantile clamp_min topk label_replace".split()
)
SEVERITIES = {"critical", "warning"}
ACTIONS = {"page", "hold", "ticket"}


def alerts() -> list[dict[str, Any]]:
    return [rule for path in RULES for rule in rules_of(path) if "alert" in rule]


def rules_of(path: Path) -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=300)


def exposed() -> set[str]:
    """The metrics that the services' sources declare, histograms with their three series."""
    names: set[str] = set()
    for path in (ROOT / "Sources").rglob("*.swift"):
        for kind, name in re.findall(r"\.(counter|gauge|histogram|reading)\(\s*\"([a-z_]+)\"", path.read_text()):
            names |= {f"{name}_{part}" for part in ("bucket", "sum", "count")} if kind == "histogram" else {name}
    names.add("metrics_series_dropped_total")
    return names


def metrics(expression: str) -> set[str]:
    """The series an expression reads."""
    bare = re.sub(r'"[^"]*"|\{[^}]*\}|\[[^]]*\]', " ", expression)
    bare = re.sub(r"\b(by|on|ignoring|without|group_left)\s*\([^)]*\)", " ", bare)
    return {name for name in re.findall(r"[a-z_][a-z0-9_:]*", bare) if name not in LANGUAGE}


class AlertRules(unittest.TestCase):
    def test_promtool_takes_the_rules(self) -> None:
        done = promtool("check", "rules", *map(str, RULES))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_the_objectives_files_are_what_their_table_says(self) -> None:
        done = subprocess.run(
            [sys.executable, str(ROOT / "k8s" / "slos.py"), "--check"], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_the_unit_tests_pass(self) -> None:
        done = promtool("test", "rules", *map(str, TESTS))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_each_alert_says_how_bad_it_is_and_where_its_runbook_stands(self) -> None:
        for alert in alerts():
            with self.subTest(alert["alert"]):
                self.assertIn(alert["labels"]["severity"], SEVERITIES)
                self.assertIn(alert["labels"]["action"], ACTIONS)
                self.assertTrue(alert["annotations"]["summary"])
                runbook = ROOT / alert["annotations"]["runbook_url"]
                self.assertTrue(runbook.is_file(), f"{runbook} is missing")
                self.assertIn(alert["alert"], runbook.read_text(), "the runbook does not name its alert")

    def test_each_runbook_belongs_to_an_alert(self) -> None:
        named = {Path(alert["annotations"]["runbook_url"]).name for alert in alerts()}
        # The customer has a procedure for what nothing alerts of.
        others = {"README.md", "LearningUpdatesBlocked.md"}
        found = {path.name for path in (ROOT / "docs" / "runbooks").glob("*.md")} - others
        self.assertEqual(found, named)

    def test_each_metric_is_one_that_a_service_exposes(self) -> None:
        recorded = {rule["record"] for path in RULES for rule in rules_of(path) if "record" in rule}
        known = exposed() | FOREIGN | recorded
        self.assertIn("http_requests_total", known)
        for path in RULES:
            for rule in rules_of(path):
                unknown = metrics(rule["expr"]) - known
                self.assertFalse(unknown, f"{rule.get('alert', rule.get('record'))} reads {unknown}")

    def test_each_selector_names_the_namespace(self) -> None:
        own = re.compile(r'[a-z_:0-9]+\{[^}]*namespace=~"\.\*"\}')
        for path in RULES:
            for rule in rules_of(path):
                others = metrics(own.sub(" ", rule["expr"]))
                self.assertFalse(others, f"{rule.get('alert', rule.get('record'))} mixes environments: {others}")

    def test_runbooks_call_what_the_ingress_publishes(self) -> None:
        chart = yaml.safe_load((ROOT / "k8s" / "charts" / "golden" / "values.yaml").read_text())
        published = tuple(chart["ingress"]["paths"])
        called = []
        for path in sorted((ROOT / "docs" / "runbooks").glob("*.md")):
            for place in re.findall(r"https://api\.example\.com(/[^\s`]*)", path.read_text()):
                called.append(place)
                self.assertTrue(place.startswith(published), f"{path.name} calls {place}")
        self.assertGreater(len(called), 10)

    def test_tests_notice_an_alert_that_never_fires_and_one_that_always_does(self) -> None:
        names = {alert["alert"] for alert in alerts()}
        for expression in ("vector(0) > 1", "vector(1)"):
            with tempfile.TemporaryDirectory() as folder:
                noticed = self.failures_when_all_are(expression, Path(folder))
            self.assertEqual(names - noticed, set(), f"their tests pass when they are {expression}")

    def failures_when_all_are(self, expression: str, folder: Path) -> set[str]:
        """The alerts whose tests fail when every alert's expression is another."""
        for path, tests in zip(RULES, TESTS, strict=True):
            document = yaml.safe_load(path.read_text())
            for group in document["groups"]:
                for rule in group["rules"]:
                    if "alert" in rule:
                        rule["expr"] = expression
                        rule.pop("annotations")
            (folder / f"{path.stem}.rules.yaml").write_text(yaml.safe_dump(document))
            wanted = yaml.safe_load(tests.read_text()) | {"rule_files": [f"{path.stem}.rules.yaml"]}
            (folder / f"{path.stem}.yaml").write_text(yaml.safe_dump(wanted))
        done = promtool("test", "rules", *(str(folder / f"{path.stem}.yaml") for path in RULES))
        return set(re.findall(r'alertname=\\"(\w+)\\"', done.stdout + done.stderr))


if __name__ == "__main__":
    unittest.main()
