"""The chart against the sources: it fails when one of them moves on alone."""

import json
import unittest

import drift
import sources
from helm import CHART, ROOT
from rendering import ENVIRONMENTS, bare, environment_objects, load, render
from test_chart import COMBINATIONS

# Settings that the chart sets by itself, from values of another name.
OWN = {
    "GOLDEN_HTTP_HOST",
    "GOLDEN_HTTP_PORT",
    "GOLDEN_LOG_LEVEL",
    "GOLDEN_OTLP_ENDPOINT",
    "GOLDEN_POSTGRES_URL",
    "GOLDEN_REDIS_URL",
    "GOLDEN_REDIS_CA",
    "GOLDEN_NATS_URL",
    "GOLDEN_NATS_USER",
    "GOLDEN_NATS_PASSWORD",
    "GOLDEN_NATS_CREDENTIALS",
    "GOLDEN_NATS_CA",
    "GOLDEN_NATS_REPLICAS",
    "GOLDEN_NATS_STORAGE",
    "GOLDEN_JWT_SECRET",
    "GOLDEN_TRUSTED_PROXIES",
    "GOLDEN_DLQ_WEBHOOK",
    "GOLDEN_MODEL_KEY",
}
# Settings with a place in the image that never changes.
FIXED = {"GOLDEN_MIGRATIONS"}


class DriftTests(unittest.TestCase):
    maxDiff = None

    def test_environments_say_what_the_sources_say(self):
        for environment in ENVIRONMENTS:
            with self.subTest(environment):
                self.assertEqual(drift.violations(environment_objects(environment)), [])

    def test_other_values_say_what_the_sources_say(self):
        for name in (
            "scaled by KEDA",
            "agents of a model, and of a program",
            "alerts for dead letters, restore drill, archive, snapshots",
            "a Prometheus of its own, gVisor, quotas",
        ):
            with self.subTest(name):
                self.assertEqual(drift.violations(render(bare(**COMBINATIONS[name]))), [])

    def test_every_service_is_checked(self):
        names = {name for _, name in drift.services(environment_objects("prod"))}
        self.assertLessEqual(
            {"orchestrator", "peer-hub", "supervisor", "sandbox-executor", "dlq-worker", "agent"}, names
        )

    def test_every_setting_can_be_set(self):
        schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
        components = schema["properties"]["components"]["properties"]
        agents = schema["properties"]["agents"]["additionalProperties"]
        for name, entry in [*components.items(), ("agent", agents)]:
            known = entry["properties"]["settings"].get("properties")
            if known is None:
                continue
            with self.subTest(name):
                self.assertEqual(set(known), sources.settings(name) - OWN - FIXED)

    def test_facts_are_the_sources(self):
        for name, fact in sources.facts().items():
            # Its sources hold more than `serve`.
            if name == "release-gate":
                continue
            with self.subTest(name):
                needs = sources.needs(name)
                self.assertEqual(
                    (fact["postgres"], fact["nats"], fact["redis"]), (needs["postgres"], needs["nats"], needs["redis"])
                )
                self.assertEqual(fact["pool"], sources.default(name, "GOLDEN_POOL_SIZE"))
                self.assertEqual(fact["drainSeconds"], sum(sources.stop_seconds()))
                self.assertEqual(fact["natsReplicas"], "GOLDEN_NATS_REPLICAS" in sources.settings(name))
                self.assertEqual(fact["natsStorage"], "GOLDEN_NATS_STORAGE" in sources.settings(name))

    def test_every_consumer_that_feeds_work_scales_its_service(self):
        watched = {(one["stream"], one["consumer"]) for fact in sources.facts().values() for one in fact["consumers"]}
        # Never more than a trickle, or always one pod more than enough. Orchestrators are scaled by the tasks that wait.
        unwatched = {"peer-hub-cancels", "dlq-worker", "dlq-worker-advisories"}
        others = {name for _, name in sources.consumers() - watched if not name.startswith("orchestrator-")}
        self.assertEqual(others, unwatched)
        self.assertLessEqual(watched, sources.consumers())

    def test_the_api_is_published_and_nothing_else(self):
        paths = set(load(CHART / "values.yaml")["ingress"]["paths"])
        self.assertEqual(paths, sources.routes() - {"/metrics", "/ready"})

    def test_jobs_run_commands_that_there_are(self):
        command = sources.text("Services/Orchestrator/Main/OrchestratorCommand.swift")
        for words in ("struct Migrate:", "struct Up:", "struct Status:", 'commandName: "jetstream"'):
            self.assertIn(words, command)
        executor = sources.text("Services/SandboxExecutor/Main/SandboxExecutorCommand.swift")
        self.assertIn("struct Check:", executor)

    def test_the_adapter_shows_what_hpas_ask_for(self):
        rules = load(ROOT / "k8s/prometheus-adapter-values.yaml")["rules"]["external"]
        offered = {rule["name"]["as"]: rule for rule in rules}
        asked = {
            metric["external"]["metric"]["name"]
            for thing in render(bare())
            if thing["kind"] == "HorizontalPodAutoscaler"
            for metric in thing["spec"]["metrics"]
            if metric["type"] == "External"
        }
        self.assertEqual(asked, set(offered))
        for name, rule in offered.items():
            self.assertIn(name, sources.metrics())
            self.assertIn(name, rule["metricsQuery"])

    def test_log_levels_are_the_loggers(self):
        schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
        self.assertEqual(
            schema["properties"]["logLevel"]["enum"],
            ["trace", "debug", "info", "notice", "warning", "error", "critical"],
        )


if __name__ == "__main__":
    unittest.main()
