"""What Argo CD is told of dev, staging and prod."""

import unittest

import environments
import validation
from helm import CHART, ROOT
from rendering import ENVIRONMENTS, documents, environment_objects, load, merged, render, values

CLUSTER_KINDS = {"RuntimeClass", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}


def applications(environment):
    return documents(ROOT / f"k8s/environments/{environment}/argocd-applications.yaml")


class EnvironmentTests(unittest.TestCase):
    def test_they_keep_the_rules(self):
        for environment in ENVIRONMENTS:
            with self.subTest(environment):
                things = applications(environment)
                self.assertEqual([problem for thing in things for problem in validation.problems(thing)], [])
                self.assertEqual(environments.violations(environment, things), [])

    def test_projects_allow_what_the_chart_makes_and_nothing_else(self):
        for environment in ENVIRONMENTS:
            with self.subTest(environment):
                _, project = environments.split(applications(environment))
                allowed = {(one["group"], one["kind"]) for one in project["spec"]["namespaceResourceWhitelist"]}
                whole = {(one["group"], one["kind"]) for one in project["spec"]["clusterResourceWhitelist"]}
                # The archive is a setting that any of them may turn on.
                archived = render(merged(values(environment), {"archive": {"enabled": True}}))
                made = {
                    (thing["apiVersion"].rpartition("/")[0], thing["kind"])
                    for thing in [*environment_objects(environment), *archived]
                }
                self.assertEqual({kind for kind in made if kind[1] not in CLUSTER_KINDS}, allowed)
                self.assertEqual({kind for kind in made if kind[1] in CLUSTER_KINDS}, whole - {("", "Namespace")})

    def test_argo_backs_up_before_it_migrates_before_it_rolls(self):
        waves = {}
        for thing in environment_objects("prod"):
            annotations = thing["metadata"].get("annotations", {})
            waves[thing["metadata"]["name"]] = (
                int(annotations.get("argocd.argoproj.io/sync-wave", 0)),
                annotations.get("argocd.argoproj.io/hook"),
            )
        # The volume in the wave of the Job that uses it: one that waits for its first consumer is never healthy before.
        self.assertEqual(waves["golden-backups"], (-2, None))
        self.assertEqual(waves["golden-database-scripts"], (-2, None))
        self.assertEqual(waves["golden-backup-pre-upgrade"], (-2, "Sync"))
        self.assertEqual(waves["golden-migrate"], (-1, "Sync"))
        self.assertEqual(waves["golden-orchestrator"], (0, None))
        # Argo CD has no such event.
        self.assertEqual(waves["golden-backup-pre-delete"][1], "Skip")

    def test_staging_is_prod_but_for_names_and_sizes(self):
        def shape(environment):
            return {
                (thing["kind"], thing["metadata"]["name"].replace(f"-{environment}", ""))
                for thing in environment_objects(environment)
            }

        self.assertEqual(shape("staging"), shape("prod"))

    def test_the_namespace_of_the_docs_is_labelled_as_argos(self):
        docs = (ROOT / "docs/kubernetes.md").read_text(encoding="utf-8")
        application, _ = environments.split(applications("prod"))
        for label, value in application["spec"]["syncPolicy"]["managedNamespaceMetadata"]["labels"].items():
            self.assertIn(f"{label}={value}", docs)
        # Helm would make it without labels.
        self.assertNotIn("--create-namespace", docs)

    def test_the_version_is_the_charts(self):
        version = load(CHART / "Chart.yaml")["version"]
        # Dev is where a version begins; the others follow by promotion and may be behind.
        application, _ = environments.split(applications("dev"))
        self.assertEqual(application["spec"]["source"]["targetRevision"], version)


if __name__ == "__main__":
    unittest.main()
