"""The services themselves, started with the chart's own settings beside an embedded stack.

They read every setting, listen where the chart says, answer its probes, show its metrics, and end within its grace.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request

import drift
import sources
from helm import ROOT
from rendering import bare, render

PROGRAMS = pathlib.Path(os.environ.setdefault("GOLDEN_BIN", str(ROOT / ".build/debug")))
sys.path.insert(0, str(ROOT / "scripts"))
from blackbox.stack import Stack, free_ports  # noqa: E402

LISTENING_SECONDS_MAX = 120


class LiveTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.objects = render(bare(logLevel="debug"))
        cls.stack = cls.enterClassContext(Stack())
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        secrets = json.loads((cls.stack.folder / "secrets.json").read_text())
        stores = cls.stack.status()["stores"]
        cls.nats = re.sub(r"//[^@]*@", "//", stores["nats"])
        files = {
            "postgres-url": stores["postgres"],
            "redis-url": stores["redis"],
            "nats-user": re.search(r"//([^:@]+)[:@]", stores["nats"])[1],
            "nats-password": secrets["nats"],
            "jwt-secret": secrets["jwt"],
        }
        for name, text in files.items():
            (cls.folder / name).write_text(text + "\n", encoding="utf-8")

    def deployments(self):
        for thing, name in drift.services(self.objects):
            # The gate has a test of its own that starts it.
            if name in sources.SERVICES and name != "release-gate":
                yield thing, name

    def environment(self, thing, port):
        settings = drift.settings_of(self.objects, thing)
        settings = {name: value.replace("/etc/golden/secrets", str(self.folder)) for name, value in settings.items()}
        # Where this machine differs from a pod.
        settings |= {"GOLDEN_NATS_URL": self.nats, "GOLDEN_HTTP_HOST": "127.0.0.1", "GOLDEN_HTTP_PORT": str(port)}
        if "GOLDEN_NATS_STORAGE" in settings:
            settings["GOLDEN_NATS_STORAGE"] = "1GiB"
        return settings | {"PATH": os.environ["PATH"]}

    def ask(self, port, path):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def wait(self, process, port, path, wanted):
        """Asks until the answer is one that is wanted, and returns it."""
        end = time.monotonic() + LISTENING_SECONDS_MAX
        while time.monotonic() < end:
            self.assertIsNone(process.poll(), "it ended")
            try:
                status, body = self.ask(port, path)
                if status in wanted:
                    return status, body
            except OSError:
                pass
            time.sleep(0.2)
        self.fail(f"{path} did not answer {wanted} within {LISTENING_SECONDS_MAX} s")

    def test_they_are_what_the_chart_takes_them_for(self):
        hpas = {
            thing["spec"]["scaleTargetRef"]["name"]: metric["external"]["metric"]["name"]
            for thing in self.objects
            if thing["kind"] == "HorizontalPodAutoscaler"
            for metric in thing["spec"]["metrics"]
            if metric["type"] == "External"
        }
        checked = []
        for thing, name in self.deployments():
            with self.subTest(name):
                container = thing["spec"]["template"]["spec"]["containers"][0]
                port = free_ports(1)
                log = self.folder / f"{name}.log"
                with log.open("w") as output:
                    process = subprocess.Popen(
                        [PROGRAMS / name, *container["args"]],
                        env=self.environment(thing, port),
                        stdout=output,
                        stderr=subprocess.STDOUT,
                        stdin=subprocess.DEVNULL,
                    )
                    try:
                        self.wait(process, port, container["livenessProbe"]["httpGet"]["path"], (200,))
                        # A host that cannot sandbox has an executor that says so, and is not ready.
                        ready = (200, 503) if name == "sandbox-executor" else (200,)
                        self.wait(process, port, container["readinessProbe"]["httpGet"]["path"], ready)
                        _, metrics = self.wait(process, port, "/metrics", (200,))
                        metric = hpas.get(thing["metadata"]["name"])
                        if metric:
                            self.assertRegex(metrics, rf"(?m)^# TYPE {metric} ")
                    finally:
                        process.terminate()
                        code = process.wait(thing["spec"]["template"]["spec"]["terminationGracePeriodSeconds"])
                self.assertEqual(code, 0, log.read_text()[-2000:])
                unread = [line for line in log.read_text().splitlines() if "a setting that nothing reads" in line]
                self.assertEqual(unread, [])
                self.assertIn('"listening"', log.read_text())
                checked.append(name)
        self.assertEqual(sorted(checked), sorted(set(sources.SERVICES) - {"release-gate"}))

    def test_the_streams_are_there(self):
        orchestrator = next(thing for thing, name in self.deployments() if name == "orchestrator")
        # A service takes from its consumers some time after it was started.
        deadline = time.monotonic() + LISTENING_SECONDS_MAX
        while True:
            done = subprocess.run(
                [PROGRAMS / "orchestrator", "jetstream", "status", "--taken"],
                env=self.environment(orchestrator, 0),
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            # A machine that cannot sandbox has nobody who takes from that consumer.
            health = {entry["name"]: entry["health"] for entry in self.stack.status()["processes"]}
            said = done.stdout.splitlines()
            if health["sandbox-executor"] != "ready":
                is_right = (done.returncode, said[1:]) == (1, ["Nobody takes from sandbox-executor."])
            else:
                # As declared means: those that sources.consumers() reads, of which the chart's scalers name some.
                is_right = (done.returncode, said) == (
                    0, ["Streams and consumers are as declared.", "Every consumer is taken from."])
            if is_right or time.monotonic() > deadline:
                break
            time.sleep(0.5)
        self.assertTrue(is_right, f"{health}\n{done.returncode}\n{done.stdout}\n{done.stderr}")


if __name__ == "__main__":
    unittest.main()
