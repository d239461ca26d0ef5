"""What `after_deploy.py` finds of an installation: nothing of a healthy one, and each thing that is broken."""

import copy
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

import after_deploy
from helm import ROOT
from rendering import environment_objects

ERROR = json.dumps({"ts": "…", "level": "error", "service": "orchestrator", "msg": "lineage unreadable"})


def running(objects):
    """The chart's objects as a cluster holds them when all is well: with a status, pods and endpoints."""
    kinds = ("Deployment", "Service", "Ingress", "PersistentVolumeClaim", "HorizontalPodAutoscaler", "Job")
    things = [copy.deepcopy(thing) for thing in objects if thing["kind"] in kinds]
    for thing in list(things):
        kind, metadata = thing["kind"], thing["metadata"]
        if kind == "Deployment":
            count = thing["spec"].setdefault("replicas", 1)
            metadata["generation"] = 1
            thing["status"] = {"observedGeneration": 1, "updatedReplicas": count, "availableReplicas": count}
            things += [pod(thing, number) for number in range(count)]
        elif kind == "Service":
            things.append({
                "kind": "EndpointSlice",
                "metadata": {"name": f"{metadata['name']}-x", "labels": {"kubernetes.io/service-name": metadata["name"]}},
                "endpoints": [{"conditions": {"ready": True}}],
            })
        elif kind == "Ingress":
            thing["status"] = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
        elif kind == "PersistentVolumeClaim":
            thing["status"] = {"phase": "Bound"}
        elif kind == "HorizontalPodAutoscaler":
            thing["status"] = {"conditions": [{"type": t, "status": "True"} for t in ("AbleToScale", "ScalingActive")]}
        elif kind == "Job":
            thing["status"] = {"conditions": [{"type": "Complete", "status": "True"}]}
    return things


def pod(deployment, number):
    template = copy.deepcopy(deployment["spec"]["template"])
    return {
        "kind": "Pod",
        "metadata": {**template["metadata"], "name": f"{deployment['metadata']['name']}-{number}"},
        "spec": template["spec"],
        "status": {
            "phase": "Running",
            "containerStatuses": [
                {"name": one["name"], "ready": True, "restartCount": 0, "imageID": one["image"]}
                for one in template["spec"]["containers"]
            ],
        },
    }


def change(kind, edit):
    """Breaks the first object of a kind."""
    return lambda objects: edit(next(thing for thing in objects if thing["kind"] == kind))


def container(**fields):
    return change("Pod", lambda thing: thing["status"]["containerStatuses"][0].update(fields))


BROKEN = {
    "availableReplicas": change("Deployment", lambda thing: thing["status"].update(availableReplicas=0)),
    "newest change": change("Deployment", lambda thing: thing["metadata"].update(generation=2)),
    "is Pending": change("Pod", lambda thing: thing["status"].update(phase="Pending")),
    "not ready: CrashLoopBackOff": container(ready=False, state={"waiting": {"reason": "CrashLoopBackOff"}}),
    "started again 3 times, last OOMKilled": container(
        restartCount=3, lastState={"terminated": {"reason": "OOMKilled"}}),
    "and its pod names": container(imageID="registry/golden@sha256:" + "f" * 64),
    "no ready endpoint": change("EndpointSlice", lambda thing: thing.update(endpoints=[])),
    "has no address": change("Ingress", lambda thing: thing.update(status={})),
    "is Lost": change("PersistentVolumeClaim", lambda thing: thing["status"].update(phase="Lost")),
    "ScalingActive is False: no metrics": change("HorizontalPodAutoscaler", lambda thing: thing["status"].update(
        conditions=[{"type": "AbleToScale", "status": "True"},
                    {"type": "ScalingActive", "status": "False", "message": "no metrics"}])),
    "failed: BackoffLimitExceeded": change("Job", lambda thing: thing.update(
        status={"conditions": [{"type": "Failed", "status": "True", "message": "BackoffLimitExceeded"}]})),
}


class AfterDeployTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.objects = running(environment_objects("staging"))

    def words(self, objects):
        return [words for _, words in after_deploy.findings(objects)]

    def test_a_healthy_installation_has_no_findings(self):
        self.assertEqual(self.words(self.objects), [])

    def test_each_break_is_found_and_nothing_else(self):
        for expected, edit in BROKEN.items():
            with self.subTest(expected):
                objects = copy.deepcopy(self.objects)
                edit(objects)
                found = self.words(objects)
                self.assertEqual(len(found), 1, found)
                self.assertIn(expected, found[0])

    def test_nothing_installed_is_a_finding(self):
        self.assertEqual(len(self.words([])), 1)

    def test_errors_of_logs_are_told_from_other_lines(self):
        lines = ['{"level":"info","msg":"error"}', "a line of a library", ERROR, "Fatal error: Index out of range", "7"]
        self.assertEqual(list(after_deploy.errors(lines)), [ERROR, "Fatal error: Index out of range"])

    def test_the_program_asks_kubectl(self):
        for log, code in (("", 0), (ERROR, 1)):
            with self.subTest(log), tempfile.TemporaryDirectory() as name:
                folder = pathlib.Path(name)
                for file, kinds in (("objects", None), ("slices", "EndpointSlice")):
                    items = [thing for thing in self.objects if (thing["kind"] == "EndpointSlice") == bool(kinds)]
                    (folder / file).write_text(json.dumps({"items": items}))
                (folder / "log").write_text(log)
                kubectl = folder / "kubectl"
                kubectl.write_text(
                    '#!/bin/sh\ncase "$*" in\n'
                    f'*" get endpointslices"*) cat {folder}/slices ;;\n*" get "*) cat {folder}/objects ;;\n'
                    f'*" logs "*) cat {folder}/log ;;\n*) exit 1 ;;\nesac\n'
                )
                kubectl.chmod(0o755)
                done = subprocess.run(
                    [sys.executable, ROOT / "k8s/tools/after_deploy.py"],
                    env={"PATH": f"{folder}:{os.environ['PATH']}"}, capture_output=True, text=True, timeout=60, check=False,
                )
                self.assertEqual(done.returncode, code, done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()
