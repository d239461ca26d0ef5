"""What the release gate's presets run, against the chart: the objects, applications and namespaces that they name."""

import re
import unittest

import sources
from evidence import component
from helm import ROOT
from objects import of_kind
from rendering import ENVIRONMENTS, application, environment_objects, load

PRESETS = "ReleaseGate/Service/Adapters/Adapter.swift"
# A kind with a place for its name, or a verb of `kubectl argo rollouts` with one.
NAMED = re.compile(r'"(rollout|deployment)/\{(\w+)\}"|"kubectl", "argo", "(rollout)s", "\w+", "\{(\w+)\}"')


def named():
    """(kind, place) of every object that a preset's command is about."""
    return {(kind or verb, place or other) for kind, place, verb, other in NAMED.findall(sources.text(PRESETS))}


def filled(place, objects, release):
    """What a place stands for, of each service that has it: by default the release's name before the service's."""
    kind = {"object": "Deployment", "rollout": "Rollout"}[place]
    services = {component(thing) for thing in of_kind(objects, kind)} & set(sources.SERVICES)
    return {f"{release}-{service}" for service in services}


class GateCommandTests(unittest.TestCase):
    def test_every_object_that_a_preset_names_is_there(self):
        self.assertEqual({kind for kind, _ in named()}, {"rollout", "deployment"})
        seen = set()
        for environment in ENVIRONMENTS:
            objects = environment_objects(environment)
            release = application(environment)["spec"]["source"]["helm"]["releaseName"]
            for kind, place in named():
                there = {thing["metadata"]["name"] for thing in of_kind(objects, kind.capitalize())}
                names = filled(place, objects, release)
                with self.subTest(environment, kind=kind, place=place):
                    self.assertLessEqual(names, there)
                seen |= {place} if names else set()
        self.assertEqual(seen, {"object", "rollout"})

    def test_each_environment_has_its_own_namespace(self):
        namespaces = load(ROOT / "release/gate.yaml")["namespace"]
        self.assertEqual(len(set(namespaces.values())), len(ENVIRONMENTS))
        for environment in ENVIRONMENTS:
            with self.subTest(environment):
                spec = application(environment)["spec"]
                self.assertEqual(namespaces[environment], spec["destination"]["namespace"])
                deployments = of_kind(environment_objects(environment), "Deployment")
                deployed = {thing["metadata"]["namespace"] for thing in deployments}
                self.assertEqual(deployed, {namespaces[environment]})

    def test_the_presets_name_the_applications(self):
        self.assertIn('"argocd", "app", "sync", "{release}-{environment}"', sources.text(PRESETS))
        for environment in ENVIRONMENTS:
            with self.subTest(environment):
                thing = application(environment)
                release = thing["spec"]["source"]["helm"]["releaseName"]
                self.assertEqual(thing["metadata"]["name"], f"{release}-{environment}")


if __name__ == "__main__":
    unittest.main()
