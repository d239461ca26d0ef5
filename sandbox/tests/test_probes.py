"""No probe gets out of a sandbox of ours, twice at once; what the others do not hold is known by name."""

import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

RUNNER = pathlib.Path(__file__).resolve().parent.parent / "probes/run.py"


class Probes(unittest.TestCase):
    def test_they_are_contained(self):
        self.assertIsNotNone(shutil.which("bwrap"), "bubblewrap is the second launcher of this suite")
        with tempfile.NamedTemporaryFile() as file:
            words = [sys.executable, str(RUNNER), "--json", file.name]
            for launcher in ("native", "restricted", "bwrap"):
                words += ["--launcher", launcher]
            run = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            self.assertEqual(run.returncode, 0, run.stdout)
            results = json.load(file)
        print(run.stdout.splitlines()[-1])
        escaped = [name for name, row in results.items() if any(row["native"])]
        self.assertEqual(escaped, [])


if __name__ == "__main__":
    unittest.main()
