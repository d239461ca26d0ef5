"""A chart broken on purpose, one way at a time: the check that should notice does."""

import concurrent.futures
import copy
import pathlib
import shutil
import tempfile
import unittest

import drift
import environments
import policies
import validation
from helm import CHART, ROOT, HelmError
from mutations import APPLICATIONS, MUTATIONS
from rendering import documents, merged, render, values


def noticed(chart, over, validates=True):
    """The names of the checks that find something wrong."""
    try:
        # Without ExternalSecrets, which are hooks, and take Helm half of its time.
        objects = render(merged(merged(values("prod"), {"externalSecrets": {"enabled": False}}), over), chart=chart)
    except HelmError as error:
        if not error.refuses_the_chart:
            raise
        return {"refused"}
    found = {name for name, _, _ in policies.violations(objects) + drift.violations(objects)}
    if validates and any(validation.problems(thing) for thing in objects):
        found.add("validation")
    return found


def broken(mutate, check):
    """What is found wrong with a copy of the chart that was changed; its schemas are slow, and asked only if they should."""
    with tempfile.TemporaryDirectory() as folder:
        chart = pathlib.Path(shutil.copytree(CHART, pathlib.Path(folder, "golden")))
        return noticed(chart, mutate(chart), validates=check == "validation")


class MutationTests(unittest.TestCase):
    def test_the_chart_itself_is_not_noticed(self):
        self.assertEqual(noticed(CHART, {}), set())

    def test_each_is_caught_by_the_check_that_should(self):
        self.assertGreaterEqual(len(MUTATIONS), 20)
        # Helm mostly waits for its hooks, so that several are rendered at a time.
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            results = {name: pool.submit(broken, mutate, check) for name, (mutate, check) in MUTATIONS.items()}
        for name, (_, check) in MUTATIONS.items():
            with self.subTest(name):
                self.assertIn(check, results[name].result())

    def test_each_mistake_of_an_environment_is_caught(self):
        for name, (environment, kind, path, value, check) in APPLICATIONS.items():
            with self.subTest(name):
                things = copy.deepcopy(documents(ROOT / f"k8s/environments/{environment}/argocd-applications.yaml"))
                place = next(thing for thing in things if thing["kind"] == kind)
                for step in path[:-1]:
                    place = place[step]
                place[path[-1]] = value
                self.assertIn(check, {rule for rule, _, _ in environments.violations(environment, things)})


if __name__ == "__main__":
    unittest.main()
