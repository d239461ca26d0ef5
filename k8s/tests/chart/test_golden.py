"""Committed manifests are what the chart gives. `scripts/chart render` writes them anew."""

import unittest

import drift
import manifests
import policies
import rendering
import validation
from helm import CHART, ROOT

HOW = "Run `scripts/chart render` and look at the difference."


class GoldenTests(unittest.TestCase):
    def assert_same(self, path, objects):
        committed = {rendering.identity(thing): thing for thing in rendering.documents(path)}
        rendered = {rendering.identity(thing): thing for thing in objects}
        self.assertEqual(sorted(committed), sorted(rendered), f"{path.name} holds other objects. {HOW}")
        for name, thing in rendered.items():
            self.assertEqual(committed[name], thing, f"{path.name}: {name} differs. {HOW}")

    def test_each_environment_gets_what_is_committed(self):
        for environment in rendering.ENVIRONMENTS:
            with self.subTest(environment):
                self.assert_same(manifests.GOLDEN / f"{environment}.yaml", manifests.golden(environment))

    def test_plain_manifests_are_the_charts(self):
        for name, objects in manifests.plain().items():
            with self.subTest(name):
                self.assert_same(ROOT / "k8s" / name, objects)

    def test_the_customers_alert_rules_are_all_there(self):
        rules = [
            thing
            for thing in rendering.documents(ROOT / "k8s/hpa-configs.yaml")
            if thing["kind"] == "PrometheusRule"
        ]
        names = {path.stem for path in CHART.glob("rules/*.yaml")}
        self.assertEqual({thing["metadata"]["name"].removeprefix("golden-") for thing in rules}, names)

    def test_plain_manifests_hold_by_themselves(self):
        objects = [thing for name in manifests.plain() for thing in rendering.documents(ROOT / "k8s" / name)]
        self.assertEqual([problem for thing in objects for problem in validation.problems(thing)], [])
        own = [thing for thing in objects if thing["kind"] != "Namespace"]
        skipped = {policies.backed_up_before_it_changes, policies.labelled}
        # Helm's hooks order a backup before a migration; without Helm docs/kubernetes.md does. `helm test` has a policy.
        rules = [rule for rule in policies.RULES if rule not in skipped]
        self.assertEqual(policies.violations(own, rules), [])
        self.assertEqual(drift.violations(own), [])

    def test_the_customers_names_are_there(self):
        for name in (
            "orchestrator-deployment.yaml",
            "peer-hub-deployment.yaml",
            "supervisor-deployment.yaml",
            "sandbox-deployment.yaml",
            "hpa-configs.yaml",
            "prometheus.yaml",
        ):
            self.assertTrue(rendering.documents(ROOT / "k8s" / name), name)
        scaled = {
            thing["spec"]["scaleTargetRef"]["name"]: (thing["spec"]["minReplicas"], thing["spec"]["maxReplicas"])
            for thing in rendering.documents(ROOT / "k8s/hpa-configs.yaml")
            if thing["kind"] == "HorizontalPodAutoscaler"
        }
        self.assertEqual(
            scaled,
            {
                "golden-orchestrator": (2, 20),
                "golden-peer-hub": (2, 10),
                "golden-supervisor": (1, 5),
                "golden-sandbox-executor": (3, 15),
            },
        )


if __name__ == "__main__":
    unittest.main()
