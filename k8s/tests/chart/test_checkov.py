"""checkov over every environment, offline. What it finds is mended, or listed with its reason in checkov-skips.yaml."""

import fnmatch
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

import yaml

from rendering import ENVIRONMENTS, environment_objects, load

SKIPS = pathlib.Path(__file__).with_name("checkov-skips.yaml")


def findings(objects):
    """(check, object) of everything that fails, and how many checks passed."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "objects.yaml")
        path.write_text(yaml.safe_dump_all(objects), encoding="utf-8")
        program = pathlib.Path(sys.executable).with_name("checkov")
        done = subprocess.run(
            [
                program,
                "--file",
                path,
                "--framework",
                "kubernetes",
                "--skip-download",
                "--quiet",
                "--compact",
                "--output",
                "json",
            ],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            env=os.environ | {"BC_SKIP_MAPPING": "TRUE"},
        )
    report = json.loads(done.stdout)
    failed = [(one["check_id"], one["resource"]) for one in report["results"]["failed_checks"]]
    return failed, report["summary"]["passed"]


class CheckovTests(unittest.TestCase):
    def test_nothing_unexplained(self):
        used = set()
        for environment in ENVIRONMENTS:
            with self.subTest(environment):
                failed, passed = findings(environment_objects(environment))
                # It did look: an empty report passes nothing.
                self.assertGreater(passed, 500)
                unexplained = []
                for check, thing in failed:
                    reasons = [
                        index
                        for index, skip in enumerate(load(SKIPS))
                        if skip["check"] == check
                        and any(fnmatch.fnmatch(thing, pattern) for pattern in skip["objects"])
                    ]
                    used.update(reasons)
                    if not reasons:
                        unexplained.append((check, thing))
                self.assertEqual(unexplained, [])
        self.assertEqual(used, set(range(len(load(SKIPS)))), "An entry of checkov-skips.yaml explains nothing.")


if __name__ == "__main__":
    unittest.main()
