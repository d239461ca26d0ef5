"""The release gate on a cluster: what its pod sees, what it is asked, and whether its evidence is there."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import time
import unittest

import drift
import environments
import evidence
from helm import CHART, ROOT
from objects import covers, of_kind
from rendering import environment_objects, load, merged, render, values

PROGRAMS = pathlib.Path(os.environ.get("GOLDEN_BIN", ROOT / ".build/debug"))
LISTENING_SECONDS_MAX = 60
PLACE = "/etc/golden/gate/"
RELEASE = ROOT / "release"


def prod(**over):
    return render(merged(merged(values("prod"), {"externalSecrets": {"enabled": False}}), over))


class GateTests(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.providers = {
            provider: prod(progressiveDelivery={"provider": provider}) for provider in ("argo", "flagger", "none")
        }

    def test_evidence_is_labelled_as_it_is_asked_for(self):
        for provider, objects in self.providers.items():
            with self.subTest(provider):
                self.assertEqual([what for check in evidence.CHECKS for _, what in check(objects)], [])

    def test_both_sides_of_a_canary_are_read(self):
        for provider, objects in self.providers.items():
            with self.subTest(provider):
                deployments = {evidence.component(thing): thing for thing in of_kind(objects, "Deployment")}
                tracks = {
                    name: [{one["track"] for one in side} for side in evidence.targets(objects, deployments[name])]
                    for name in evidence.measured()
                }
                alone = [{"stable"}]
                both = [{"canary"}, {"stable"}]
                self.assertEqual(tracks.pop("orchestrator"), alone if provider == "none" else both)
                self.assertEqual(tracks, {"peer-hub": alone, "sandbox-executor": alone})

    def test_what_flagger_copies_is_still_the_services(self):
        objects = self.providers["flagger"]
        deployment = next(
            thing for thing in of_kind(objects, "Deployment") if thing["metadata"]["name"] == "golden-orchestrator"
        )
        labels, copy = evidence.pods(objects, deployment)
        for thing in of_kind(objects, "NetworkPolicy", "PodDisruptionBudget", "Service"):
            selector = thing["spec"]["podSelector" if thing["kind"] == "NetworkPolicy" else "selector"]
            selector = selector.get("matchLabels", selector)
            self.assertEqual(covers(selector, labels), covers(selector, copy), thing["metadata"]["name"])
        # Flagger selects by that label alone, so that no other component may have it.
        label = next(name for name in labels if labels[name] != copy[name])
        others = [
            thing["metadata"]["name"]
            for thing in of_kind(objects, "Deployment")
            if thing is not deployment and label in thing["spec"]["template"]["metadata"]["labels"]
        ]
        self.assertEqual(others, [])

    def test_the_gate_knows_whose_series_it_goes_by(self):
        for environment, namespace in environments.NAMESPACES.items():
            objects = environment_objects(environment)
            gate = next(
                thing for thing in of_kind(objects, "Deployment") if evidence.component(thing) == "release-gate"
            )
            self.assertEqual(drift.settings_of(objects, gate)["GOLDEN_GATE_NAMESPACE"], namespace)

    def test_the_lineage_can_be_one_for_all_environments(self):
        def entries(lineage):
            over = {"secrets": {"releaseGate": {"lineageKey": lineage}}, "externalSecrets": {"enabled": True}}
            objects = render(merged(values("prod"), over))
            gate = next(
                thing for thing in of_kind(objects, "Deployment") if evidence.component(thing) == "release-gate"
            )
            volumes = {volume["name"]: volume for volume in gate["spec"]["template"]["spec"]["volumes"]}
            sources = [source["secret"] for source in volumes["secrets"]["projected"]["sources"]]
            fetched = next(
                thing
                for thing in of_kind(objects, "ExternalSecret")
                if thing["metadata"]["name"] == "golden-release-gate"
            )
            seen = {item["path"]: (one["name"], item["key"]) for one in sources for item in one["items"]}
            return seen, [one["secretKey"] for one in fetched["spec"]["data"]]

        token = {"gate-token": ("golden-release-gate", "token")}
        own = token | {"postgres-url": ("golden-postgres", "url")}
        shared = token | {"postgres-url": ("golden-release-gate", "lineage")}
        self.assertEqual(entries(""), (own, ["token"]))
        self.assertEqual(entries("lineage"), (shared, ["token", "lineage"]))

    def test_the_steps_are_the_gates(self):
        steps = load(CHART / "values.yaml")["progressiveDelivery"]
        gate = evidence.GATE
        self.assertEqual((steps["steps"], steps["stepMinutes"] * 60), (gate["steps"], gate["stepSeconds"]))

    def test_an_own_prometheus_is_let_in_and_out(self):
        for over in ({}, {"fullnameOverride": "blue"}):
            with self.subTest(over):
                objects = prod(prometheus={"enabled": True}, admissionPolicy={"enabled": False}, **over)
                self.assertEqual(len(of_kind(objects, "Prometheus")), 1)
                self.assertEqual(list(evidence.own_prometheus(objects)), [])

    def lay_out(self, folder, deployment):
        """What the pod sees of the ConfigMaps that release/ becomes, and with a lineage that needs no database."""
        spec = deployment["spec"]["template"]["spec"]
        volumes = {volume["name"]: volume for volume in spec["volumes"]}
        for mount in spec["containers"][0]["volumeMounts"]:
            if not mount["mountPath"].startswith(PLACE):
                continue
            path = folder / mount["mountPath"].removeprefix(PLACE)
            if "subPath" in mount:
                shutil.copy(self.release / mount["subPath"], path)
                continue
            path.mkdir()
            for item in volumes[mount["name"]].get("configMap", {}).get("items", []):
                shutil.copy(RELEASE / "slo" / item["key"], path / item["path"])
        gate = folder / "gate.yaml"
        text = gate.read_text(encoding="utf-8")
        self.assertIn("lineage: postgres", text)
        gate.write_text(text.replace("lineage: postgres", "lineage: lineage"), encoding="utf-8")

    def test_the_gate_starts_with_what_its_pod_sees(self):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.release = folder / "release"
        shutil.copytree(RELEASE, self.release)
        release = (RELEASE / "stack-release.yaml").read_text(encoding="utf-8")
        (self.release / "release.yaml").write_text(release + "preconditions: [preconditions.yaml]\n", encoding="utf-8")
        (self.release / "preconditions.yaml").write_text(
            "{kind: smoke_tests, result: passed, atSeconds: 1, digests: [], evidenceSHA256: '', summary: ok}\n",
            encoding="utf-8",
        )
        objects = prod(releaseGate={"files": ["compatibility.yaml", "preconditions.yaml"]})
        deployment = next(
            thing for thing in of_kind(objects, "Deployment") if evidence.component(thing) == "release-gate"
        )
        seen = folder / "gate"
        seen.mkdir()
        self.lay_out(seen, deployment)
        arguments = deployment["spec"]["template"]["spec"]["containers"][0]["args"]
        log = folder / "log"
        with log.open("w") as output:
            process = subprocess.Popen(
                [PROGRAMS / "release-gate", *(one.replace(PLACE, f"{seen}/") for one in arguments)],
                env={"PATH": os.environ["PATH"], "GOLDEN_GATE_TOKEN": "sixteen-bytes-or-more", "GOLDEN_HTTP_PORT": "0"},
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )
            try:
                self.wait_until_it_listens(process, log)
            finally:
                process.terminate()
                process.wait(60)

    def wait_until_it_listens(self, process, log):
        end = time.monotonic() + LISTENING_SECONDS_MAX
        while '"listening"' not in log.read_text().lower():
            self.assertIsNone(process.poll(), log.read_text())
            self.assertLess(time.monotonic(), end, log.read_text())
            time.sleep(0.2)


if __name__ == "__main__":
    unittest.main()
