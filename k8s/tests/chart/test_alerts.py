"""The alert rules as an environment gets them, beside another environment in the same Prometheus."""

import re
import subprocess
import tempfile
import unittest

import yaml

from helm import CHART
from objects import of_kind
from rendering import bare, environment_objects, load, merged, render, values

#: Samples of a minute each, and the alerts that prod must and must not have after a while.
NEIGHBOURS = {
    "another environment's dead letters": (
        {'dlq_messages_unresolved{namespace="golden-architecture-dev"}': "200x30"}, "DeadLetters.*", 0,
    ),
    "its own dead letters": (
        {'dlq_messages_unresolved{namespace="golden-architecture"}': "200x30"}, "DeadLettersFlooding", 1,
    ),
    "no peer hub but another environment's": (
        {
            f'up{{job="{job}",namespace="{namespace}"}}': "1x30"
            for namespace in ("golden-architecture", "golden-architecture-staging")
            for job in ("orchestrator", "peer-hub", "supervisor", "dlq-worker", "sandbox-executor")
            if (job, namespace) != ("peer-hub", "golden-architecture")
        },
        "ServiceAbsent",
        1,
    ),
    "pods of others that restart": (
        {
            f'kube_pod_container_status_restarts_total{{namespace="{namespace}",pod="p",container="c"}}': "0+1x30"
            for namespace in ("golden-architecture-staging", "other")
        },
        "PodRestarting",
        0,
    ),
    "errors of another environment that would be half of both": (
        {
            'http_requests_total{namespace="golden-architecture",route="/tasks",status="202"}': "0+100x30",
            'http_requests_total{namespace="golden-architecture-dev",route="/tasks",status="500"}': "0+100x30",
        },
        "HTTPErrorBudgetBurn",
        0,
    ),
}


def groups(objects):
    return [group for thing in of_kind(objects, "PrometheusRule") for group in thing["spec"]["groups"]]


def rules(objects):
    return [rule for group in groups(objects) for rule in group["rules"]]


class AlertTests(unittest.TestCase):
    maxDiff = None

    def test_every_environment_asks_for_its_own_series_alone(self):
        raw = [rule for path in CHART.glob("rules/*.yaml") for group in load(path)["groups"] for rule in group["rules"]]
        for environment in ("staging", "prod"):
            objects = environment_objects(environment)
            own = f'namespace="{objects[0]["metadata"]["namespace"]}"'
            found = rules(objects)
            self.assertEqual(len(found), len(raw))
            for rule in found:
                name = rule.get("alert", rule.get("record"))
                inside = re.findall(r"\{([^{}]*)\}", rule["expr"])
                self.assertTrue(all(own in one for one in inside), f"{environment}: {name}")
                self.assertNotIn("=~\".*\"", rule["expr"], f"{environment}: {name}")
                self.assertEqual(f'namespace="{rule["labels"]["namespace"]}"', own, name)

    def test_who_is_missed_is_who_is_installed(self):
        for over in ({}, {"components": {"supervisor": {"enabled": False}}}):
            objects = render(merged(merged(values("prod"), {"externalSecrets": {"enabled": False}}), over))
            expression = next(rule["expr"] for rule in rules(objects) if rule.get("alert") == "ServiceAbsent")
            missed = re.findall(r'absent\(up\{job="([a-z-]+)",namespace="golden-architecture"\}\)', expression)
            installed = {
                thing["metadata"]["labels"]["app.kubernetes.io/component"] for thing in of_kind(objects, "Deployment")
            }
            services = {name for name in installed if not name.startswith("agent-")} - {"release-gate"}
            self.assertEqual(missed, sorted(services))

    def test_an_environment_is_not_alerted_of_another(self):
        found = {"groups": groups(environment_objects("prod"))}
        with tempfile.TemporaryDirectory() as folder:
            with open(f"{folder}/rules.yaml", "w") as file:
                yaml.safe_dump(found, file)
            cases = [
                {
                    "name": name,
                    "interval": "1m",
                    "input_series": [{"series": key, "values": samples} for key, samples in series.items()],
                    "promql_expr_test": [
                        {
                            "expr": f'count(count by (alertname) (ALERTS{{alertname=~"{alert}",alertstate="firing"}}))',
                            "eval_time": "25m",
                            "exp_samples": [{"labels": "{}", "value": count}] if count else [],
                        }
                    ],
                }
                for name, (series, alert, count) in NEIGHBOURS.items()
            ]
            with open(f"{folder}/tests.yaml", "w") as file:
                yaml.safe_dump({"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": cases}, file)
            done = subprocess.run(
                ["promtool", "test", "rules", f"{folder}/tests.yaml"], capture_output=True, text=True, timeout=300
            )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_promtool_takes_them(self):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            yaml.safe_dump({"groups": groups(render(bare(prometheusRules={"enabled": True})))}, file)
            file.flush()
            done = subprocess.run(
                ["promtool", "check", "rules", file.name], capture_output=True, text=True, timeout=300
            )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()
