"""The dashboards: Grafana's JSON is what their table says, and reads metrics that exist. `scripts/alerts` asks them live."""

from __future__ import annotations

import json
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from test_alert_rules import FOREIGN, ROOT, RULES, exposed, metrics, rules_of  # noqa: E402

DASHBOARDS = sorted((ROOT / "k8s" / "charts" / "golden" / "dashboards").glob("*.json"))


class Dashboards(unittest.TestCase):
    def test_they_are_what_their_table_says(self) -> None:
        source = ROOT / "k8s" / "dashboards" / "source.py"
        done = subprocess.run([sys.executable, str(source), "--check"], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_all_six_are_there_and_no_panel_overlaps_another(self) -> None:
        self.assertEqual(
            {path.stem for path in DASHBOARDS},
            {"system", "peer-review", "budgets", "sandbox", "breakers", "releases"},
        )
        for path in DASHBOARDS:
            document = json.loads(path.read_text())
            places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in document["panels"]]
            self.assertEqual(len(places), len(set(places)), path.name)
            self.assertEqual(len({panel["id"] for panel in document["panels"]}), len(places), path.name)

    def test_each_metric_is_one_that_a_service_exposes_or_a_rule_records(self) -> None:
        recorded = {rule["record"] for path in RULES for rule in rules_of(path) if "record" in rule}
        known = exposed() | FOREIGN | recorded | {"ALERTS"}
        for path in DASHBOARDS:
            for panel in json.loads(path.read_text())["panels"]:
                for target in panel["targets"]:
                    unknown = metrics(target["expr"].replace("ALERTS", "up")) - known
                    self.assertFalse(unknown, f"{path.name}, {panel['title']} reads {unknown}")


if __name__ == "__main__":
    unittest.main()
