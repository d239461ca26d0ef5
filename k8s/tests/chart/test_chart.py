"""The chart by Helm's real engine: lint, every environment and more values, install, upgrade, uninstall, package."""

import pathlib
import re
import shutil
import tarfile
import tempfile
import unittest

import yaml

import policies
import validation
from helm import CHART, ROOT, Helm, HelmError
from rendering import ENVIRONMENTS, TEST_DIGEST, bare, environment_objects, identity, load, merged, render, values
from security_rules import admits

COMBINATIONS = {
    "defaults": {},
    "scaled by KEDA": {"autoscaling": {"mode": "keda"}, "agents": {"echo": {"roles": ["developer", "tester"]}}},
    "not scaled, port of the nodes": {"autoscaling": {"mode": "none"}, "service": {"type": "NodePort"}},
    "canary by Flagger": {"progressiveDelivery": {"provider": "flagger"}, "ingress": {"enabled": True}},
    "canary by Argo, blue and green": {
        "progressiveDelivery": {"provider": "argo", "steps": [0, 100]},
        "autoscaling": {"mode": "keda"},
        "ingress": {
            "enabled": True,
            "trustedProxies": ["10.244.0.0/16", "fd00::/8", "192.0.2.1"],
            "annotations": {"nginx.ingress.kubernetes.io/limit-rps": "50"},
        },
        "certificate": {"enabled": True, "issuerKind": "Issuer", "issuerName": "internal"},
    },
    "NATS by credentials and TLS": {
        "secrets": {"nats": {"kind": "credentials"}},
        "stores": {
            "nats": {"url": "tls://a.nats:4222,tls://b.nats:4222"},
            "ca": {"configMap": "stores-ca", "key": "root.pem"},
        },
        "externalSecrets": {"enabled": True},
    },
    "agents of a model, and of a program": {
        "agents": {
            "writer": {
                **load(CHART / "values.yaml")["agents"]["echo"],
                "backend": "openai",
                "roles": ["developer", "analyst"],
                "settings": {"GOLDEN_MODEL_URL": "https://models.example.com/v1", "GOLDEN_MODEL_NAME": "m"},
                "modelKey": {"secret": "model", "key": "api-key"},
            },
            "tester": {
                **load(CHART / "values.yaml")["agents"]["echo"],
                "backend": "command",
                "roles": ["tester"],
                "program": ["python3", "/agent/run.py", "--strict"],
                "image": {"repository": "tester", "digest": TEST_DIGEST},
            },
        },
    },
    "alerts for dead letters, restore drill, archive, snapshots": {
        "secrets": {"deadLetterWebhook": {"name": "chat"}},
        "components": {"dlq-worker": {"settings": {"GOLDEN_DLQ_ALERTMANAGER": "http://alertmanager.monitoring:9093"}}},
        "externalSecrets": {"enabled": True},
        "restoreDrill": {"enabled": True},
        "archive": {"enabled": True, "storageClass": "fast"},
        "volumeSnapshot": {"enabled": True, "claim": "data", "className": "fast"},
        "backup": {"storageClass": "fast"},
    },
    "a Prometheus of its own, gVisor, quotas": {
        "prometheus": {"enabled": True},
        "serviceMonitor": {"enabled": True, "labels": {"team": "golden"}},
        "prometheusRules": {"enabled": True},
        "dashboards": {"enabled": True},
        "quota": {"enabled": True},
        "sandbox": {"runtimeClass": {"name": "gvisor", "create": True}},
        "rbac": {"viewerGroups": ["team"]},
        "tracing": {"endpoint": "http://collector.monitoring:4318"},
    },
    "images of one registry alone": {
        "admissionPolicy": {"enabled": True},
        "archive": {"enabled": True},
        "restoreDrill": {"enabled": True},
    },
    "only the orchestrator": {
        "components": {
            name: {"enabled": False}
            for name in ("peer-hub", "supervisor", "sandbox-executor", "dlq-worker", "release-gate")
        },
        "agents": {"echo": {"enabled": False}},
        "networkPolicy": {"enabled": False},
        "backup": {"enabled": False},
        "migration": {"enabled": False},
        "autoscaling": {"mode": "none"},
    },
    "other names, tags, places": {
        "fullnameOverride": "blue",
        "global": {"imageTag": "sha-0123abc", "imagePullPolicy": "Always", "imagePullSecrets": ["registry"]},
        "components": {
            "sandbox-executor": {
                "nodeSelector": {"pool": "sandbox"},
                "tolerations": [{"key": "sandbox", "operator": "Exists", "effect": "NoSchedule"}],
            },
        },
    },
}
# What the values' schema, or the chart itself, must refuse: what, and a word of the refusal.
PROD_TLS = {"stores": {"nats": {"url": "tls://nats:4222"}, "ca": {"configMap": "ca"}}}
REFUSED = {
    "an unknown setting": ({"componets": {}}, "componets"),
    "a setting that its service does not read": (
        {"components": {"peer-hub": {"settings": {"GOLDEN_SANDBOX_TIER": "auto"}}}},
        "GOLDEN_SANDBOX_TIER",
    ),
    "an image without a digest": ({"images": {"orchestrator": {"digest": ""}}}, "needs a digest"),
    "an image's tag for a digest": ({"images": {"orchestrator": {"digest": "v1"}}}, "digest"),
    "the tag latest": ({"global": {"imageTag": "latest"}}, "imageTag"),
    "a password in NATS's URL": ({"stores": {"nats": {"url": "nats://golden:secret@nats:4222"}}}, "url"),
    "two release gates": ({"components": {"release-gate": {"replicas": 2}}}, "replicas"),
    "debug logs in prod": ({"environment": "prod", "logLevel": "debug", **PROD_TLS}, "logLevel"),
    "a node's port in prod": ({"environment": "prod", "service": {"type": "NodePort"}, **PROD_TLS}, "type"),
    "no TLS in prod": ({"environment": "prod"}, "url"),
    "no backups in prod": ({"environment": "prod", "backup": {"enabled": False}, **PROD_TLS}, "backup"),
    "no policies in prod": ({"environment": "prod", "networkPolicy": {"enabled": False}, **PROD_TLS}, "networkPolicy"),
    "an ingress in prod whose callers all have one address": (
        {"environment": "prod", "ingress": {"enabled": True}, **PROD_TLS},
        "trustedProxies",
    ),
    "a trusted proxy that is no network": ({"ingress": {"trustedProxies": ["ingress-nginx"]}}, "trustedProxies"),
    "Flagger without policies": (
        {
            "progressiveDelivery": {"provider": "flagger"},
            "ingress": {"enabled": True},
            "networkPolicy": {"enabled": False},
        },
        "networkPolicy",
    ),
    "an own Prometheus whose images are not let in": (
        {"prometheus": {"enabled": True}, "admissionPolicy": {"enabled": True}},
        "admissionPolicy",
    ),
    "a canary that nobody can reach": ({"progressiveDelivery": {"provider": "argo"}}, "ingress"),
    "more connections than Postgres has": ({"stores": {"postgres": {"maxConnections": 100}}}, "max_connections"),
    "an archive of dead letters on a disk that goes with the pod": (
        {"components": {"dlq-worker": {"settings": {"GOLDEN_DLQ_ARCHIVE": "/tmp/letters"}}}},
        "GOLDEN_DLQ_ARCHIVE needs a disk",
    ),
    "publishing the metrics": ({"ingress": {"paths": ["/metrics"]}}, "paths"),
    "a group of the cluster's own": ({"rbac": {"viewerGroups": ["system:authenticated"]}}, "viewerGroups"),
    "a program for the echo agent": ({"agents": {"echo": {"program": ["sh"]}}}, "program"),
    "an agent of a model without its name": ({"agents": {"echo": {"backend": "openai"}}}, "GOLDEN_MODEL"),
}


class ChartTests(unittest.TestCase):
    maxDiff = None

    def assert_sound(self, objects):
        self.assertEqual([problem for thing in objects for problem in validation.problems(thing)], [])
        self.assertEqual(policies.violations(objects), [])

    def test_lint_finds_nothing_in_any_environment(self):
        helm = Helm()
        self.addCleanup(helm.close)
        for environment in ENVIRONMENTS:
            with self.subTest(environment), tempfile.TemporaryDirectory() as folder:
                # Lint takes no values, so that the environment's become the chart's own.
                chart = pathlib.Path(shutil.copytree(CHART, pathlib.Path(folder, "golden")))
                whole = merged(load(CHART / "values.yaml"), values(environment))
                (chart / "values.yaml").write_text(yaml.safe_dump(whole), encoding="utf-8")
                report = helm.lint(chart)
                # Severity 1 informs: the chart has no icon.
                self.assertEqual([one for one in report["Messages"] or [] if one["Severity"] > 1], [])
                self.assertEqual(report["Errors"], None)

    def test_every_environment_is_sound(self):
        for environment in ENVIRONMENTS:
            with self.subTest(environment):
                self.assert_sound(environment_objects(environment))

    def test_other_values_are_sound(self):
        self.assertGreaterEqual(len(COMBINATIONS), 8)
        for name, over in COMBINATIONS.items():
            with self.subTest(name):
                self.assert_sound(render(bare(**over)))

    def test_what_must_not_be_is_refused(self):
        for name, (over, word) in REFUSED.items():
            with self.subTest(name):
                self.assertRaisesRegex(HelmError, re.escape(word), render, bare(**over))

    def test_image_tag_and_pull_policy_are_everywhere(self):
        objects = render(bare(**COMBINATIONS["other names, tags, places"]))
        for thing, container in policies.containers(objects):
            self.assertIn(":sha-0123abc@sha256:", container["image"])
            self.assertEqual(container["imagePullPolicy"], "Always", thing["metadata"]["name"])
        for _, _, spec in policies.workloads(objects):
            self.assertEqual(spec["imagePullSecrets"], [{"name": "registry"}])
        self.assertEqual(
            [thing["metadata"]["name"] for thing in objects if not thing["metadata"]["name"].startswith("blue")], []
        )

    def test_the_orchestrator_alone_is_told_of_proxies(self):
        def told(over):
            return {
                thing["metadata"]["name"]: thing["data"]["GOLDEN_TRUSTED_PROXIES"]
                for thing in policies.of_kind(render(bare(**over)), "ConfigMap")
                if "GOLDEN_TRUSTED_PROXIES" in thing["data"]
            }

        proxies = {"golden-orchestrator": "10.244.0.0/16,fd00::/8,192.0.2.1"}
        self.assertEqual(told(COMBINATIONS["canary by Argo, blue and green"]), proxies)
        self.assertEqual(told({"ingress": {"enabled": True}}), {})

    def test_install_upgrade_uninstall(self):
        helm = Helm()
        self.addCleanup(helm.close)
        helm.install(values("prod"))
        first = [identity(thing) for thing in helm.api.created]
        # The schema is brought up before anything that needs it is there; no backup of what does not exist yet.
        migrated = first.index(("Job", "golden-migrate"))
        self.assertTrue(all(kind != "Deployment" for kind, _ in first[:migrated]))
        self.assertNotIn(("Job", "golden-backup-pre-upgrade"), first)
        self.assertNotIn(("Pod", "golden-test-services"), first)
        before = len(helm.api.created)
        release = helm.upgrade(values("prod") | {"logLevel": "warning"}, max_history=10)
        hooks = [identity(thing) for thing in helm.api.created[before:]]
        snapshot = f"golden-before-{load(CHART / 'Chart.yaml')['version']}-r"
        self.assertIn(("VolumeSnapshot", snapshot + "2"), hooks)
        self.assertLess(hooks.index(("Job", "golden-backup-pre-upgrade")), hooks.index(("Job", "golden-migrate")))
        self.assertEqual(release["version"], 2)
        settings = {thing["metadata"]["name"]: thing["data"] for thing in helm.api.of_kind("ConfigMap")}
        self.assertEqual(settings["golden-orchestrator"]["GOLDEN_LOG_LEVEL"], "warning")
        # Tried again, the same version takes another snapshot: the first is from before the migration.
        helm.upgrade(values("prod") | {"logLevel": "warning"}, max_history=10)
        kept = {thing["metadata"]["name"] for thing in helm.api.of_kind("VolumeSnapshot")}
        self.assertEqual(kept, {snapshot + "2", snapshot + "3"})
        self.assertEqual([one["version"] for one in helm.history()], [1, 2, 3])
        before = len(helm.api.created)
        helm.uninstall()
        self.assertIn(("Job", "golden-backup-pre-delete"), [identity(thing) for thing in helm.api.created[before:]])
        self.assertEqual(helm.api.of_kind("Deployment"), [])
        kept = [thing["metadata"]["name"] for thing in helm.api.of_kind("PersistentVolumeClaim")]
        self.assertEqual(kept, ["golden-backups"])

    def test_the_documented_pods_are_let_in(self):
        docs = (ROOT / "docs/kubernetes.md").read_text(encoding="utf-8")
        found = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", docs, re.DOTALL)]
        pods = policies.of_kind(found, "Pod")
        self.assertTrue(pods)
        (policy,) = policies.of_kind(environment_objects("prod"), "ValidatingAdmissionPolicy")
        for thing, container in policies.containers(pods):
            self.assertTrue(admits(policy, container["image"]), f"{thing['metadata']['name']}: {container['image']}")
        self.assertFalse(admits(policy, "postgres:15"))
        self.assertFalse(admits(policy, "registry.example.com/golden/postgres:15"))

    def test_argo_keeps_the_first_snapshot_of_a_version(self):
        (snapshot,) = policies.of_kind(environment_objects("prod"), "VolumeSnapshot")
        annotations = snapshot["metadata"]["annotations"]
        self.assertEqual(annotations["argocd.argoproj.io/hook"], "Sync")
        # None would be BeforeHookCreation.
        self.assertEqual(annotations["argocd.argoproj.io/hook-delete-policy"], "HookFailed")

    def test_new_settings_roll_the_pods_that_read_them(self):
        def checksums(objects):
            return {
                thing["metadata"]["name"]: thing["spec"]["template"]["metadata"]["annotations"]["checksum/settings"]
                for thing in policies.of_kind(objects, "Deployment")
            }

        old = checksums(render(bare()))
        new = checksums(render(bare(components={"supervisor": {"settings": {"GOLDEN_SUPERVISOR_AUTOMATIC_MAX": 3}}})))
        self.assertEqual([name for name in old if old[name] != new[name]], ["golden-supervisor"])

    def test_package_holds_the_chart(self):
        version = (ROOT / "VERSION").read_text().strip()
        helm = Helm()
        self.addCleanup(helm.close)
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(helm.package(folder))
            self.assertEqual(path.name, f"golden-{version}.tgz")
            with tarfile.open(path) as archive:
                names = {name.removeprefix("golden/") for name in archive.getnames()}
        for path in CHART.rglob("*"):
            if path.is_file() and path.name != ".helmignore":
                self.assertIn(str(path.relative_to(CHART)), names)

    def test_version_is_one(self):
        version = (ROOT / "VERSION").read_text().strip()
        chart = load(CHART / "Chart.yaml")
        self.assertEqual((chart["version"], chart["appVersion"]), (version, version))
        # Dependencies would have to be locked: there are none.
        self.assertEqual(chart.get("dependencies", []), [])

    def test_every_value_is_explained(self):
        lines = (CHART / "values.yaml").read_text().splitlines()
        bare_ones = []
        for index, line in enumerate(lines):
            match = re.match(r"^( *)([A-Za-z-]+):(?: (.+))?$", line)
            if not match:
                continue
            depth, value = len(match[1]), match[3]
            explained = lines[index - 1].strip().startswith("#") or self.block_is_explained(lines, index, depth)
            if value is not None and not explained:
                bare_ones.append(line.strip())
        self.assertEqual(bare_ones, [])

    @staticmethod
    def block_is_explained(lines, index, depth):
        """Whether a line further out, down to which nothing but this block lies, has a comment over it."""
        for above in range(index - 1, 0, -1):
            line = lines[above]
            indent = len(line) - len(line.lstrip())
            if line.strip() and not line.strip().startswith(("#", "-")) and indent < depth:
                if lines[above - 1].strip().startswith("#") and not any(
                    text.strip().startswith("#") for text in lines[above + 1 : index]
                ):
                    return True
                depth = indent
        return False


if __name__ == "__main__":
    unittest.main()
