#!/usr/bin/env python3
"""Looks at an installation after a deploy, with kubectl: what runs, is it what was promoted, do the logs say so, too?

    python3 k8s/tools/after_deploy.py [--namespace golden-architecture] [--since 1h] [--context NAME]

Pods run, are ready, do not restart, and run the digests that their Deployments name; volumes are bound; services have
endpoints, the ingress has an address, autoscalers scale; Jobs of the release succeeded; no line of the logs since then is
an error. Each finding is a line; exit codes: 0 none, 1 some, 2 kubectl failed. It reads and changes nothing.
"""

import argparse
import json
import re
import subprocess
import sys

KINDS = "deployments,pods,services,ingresses,persistentvolumeclaims,horizontalpodautoscalers,jobs"
SLICES = "endpointslices.discovery.k8s.io"
LABEL = "app.kubernetes.io/part-of=golden"
LINES_MAX = 5
ERRORS = ("error", "critical")


def name(thing):
    return f"{thing['kind']} {thing['metadata']['name']}"


def of(objects, kind):
    return [thing for thing in objects if thing["kind"] == kind]


def condition(thing, kind):
    """The status of a condition, and its message."""
    for one in thing.get("status", {}).get("conditions", []):
        if one["type"] == kind:
            return one["status"], one.get("message", "")
    return "Unknown", "nobody has said so yet"


def digest(image):
    return image.rpartition("@")[2] if "@sha256:" in image else None


def deployments(objects):
    for thing in of(objects, "Deployment"):
        wanted, status = thing["spec"].get("replicas", 1), thing.get("status", {})
        if status.get("observedGeneration") != thing["metadata"].get("generation"):
            yield thing, "its newest change was not looked at yet"
        for field in ("updatedReplicas", "availableReplicas"):
            if status.get(field, 0) != wanted:
                yield thing, f"{field} is {status.get(field, 0)} of {wanted}"


def is_of_a_job(pod):
    return any(owner["kind"] == "Job" for owner in pod["metadata"].get("ownerReferences", []))


def pods(objects):
    for thing in of(objects, "Pod"):
        if is_of_a_job(thing) or "helm.sh/hook" in thing["metadata"].get("annotations", {}):
            continue
        status = thing.get("status", {})
        if status.get("phase") != "Running":
            yield thing, f"is {status.get('phase')}: {status.get('reason', 'no reason given')}"
        named = {one["name"]: digest(one["image"]) for one in thing["spec"]["containers"]}
        for one in status.get("containerStatuses", []):
            waiting = one.get("state", {}).get("waiting", {}).get("reason")
            if not one.get("ready"):
                yield thing, f"{one['name']} is not ready{f': {waiting}' if waiting else ''}"
            if one.get("restartCount"):
                why = one.get("lastState", {}).get("terminated", {}).get("reason", "for no reason known")
                yield thing, f"{one['name']} was started again {one['restartCount']} times, last {why}"
            if named.get(one["name"]) != digest(one.get("imageID", "")):
                yield thing, f"{one['name']} runs {one.get('imageID') or 'no image'}, and its pod names {named.get(one['name'])}"


def reachable(objects):
    ready = {}
    for one in of(objects, "EndpointSlice"):
        service = one["metadata"].get("labels", {}).get("kubernetes.io/service-name")
        ends = [end for end in one.get("endpoints") or [] if end.get("conditions", {}).get("ready")]
        ready[service] = ready.get(service, 0) + len(ends)
    idle = {
        thing["metadata"]["labels"].get("app.kubernetes.io/component")
        for thing in of(objects, "Deployment") if thing["spec"].get("replicas") == 0
    }
    for thing in of(objects, "Service"):
        component = thing["metadata"]["labels"].get("app.kubernetes.io/component")
        # Until a release begins, a canary has nobody.
        is_canary = thing["metadata"]["name"].endswith("-canary")
        if not ready.get(thing["metadata"]["name"]) and component not in idle and not is_canary:
            yield thing, "has no ready endpoint"
    for thing in of(objects, "Ingress"):
        if not thing.get("status", {}).get("loadBalancer", {}).get("ingress"):
            yield thing, "has no address"


def volumes(objects):
    for thing in of(objects, "PersistentVolumeClaim"):
        if thing.get("status", {}).get("phase") != "Bound":
            yield thing, f"is {thing.get('status', {}).get('phase')}"


def scaled(objects):
    for thing in of(objects, "HorizontalPodAutoscaler"):
        for kind in ("AbleToScale", "ScalingActive"):
            status, message = condition(thing, kind)
            if status != "True":
                yield thing, f"{kind} is {status}: {message}"


def jobs(objects):
    for thing in of(objects, "Job"):
        if condition(thing, "Failed")[0] == "True":
            yield thing, f"failed: {condition(thing, 'Failed')[1]}"


CHECKS = (deployments, pods, reachable, volumes, scaled, jobs)


def findings(objects):
    """What is not as it should be, as (object, words)."""
    if not of(objects, "Deployment"):
        yield {"kind": "Namespace", "metadata": {"name": "asked"}}, f"holds no Deployment labelled {LABEL}"
    for check in CHECKS:
        yield from check(objects)


def errors(lines):
    """The error lines of a program's log; what is no JSON comes of what the program is linked to."""
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            if re.match(r"(?i)fatal|panic|\S*: symbol lookup error", line):
                yield line
            continue
        if isinstance(entry, dict) and entry.get("level") in ERRORS:
            yield line


class Kubectl:
    def __init__(self, namespace, context):
        self.words = ["kubectl", "--namespace", namespace, *(["--context", context] if context else [])]

    def run(self, *words):
        done = subprocess.run([*self.words, *words], capture_output=True, text=True, timeout=120, check=False)
        if done.returncode:
            print(f"{' '.join([*self.words, *words])}: {done.stderr.strip()}", file=sys.stderr)
            raise SystemExit(2)
        return done.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--namespace", default="golden-architecture")
    parser.add_argument("--since", default="1h", help="how far back logs are read")
    parser.add_argument("--context", help="kubectl's context")
    options = parser.parse_args()
    kubectl = Kubectl(options.namespace, options.context)
    objects = []
    for kinds in (KINDS, SLICES):
        objects += json.loads(kubectl.run("get", kinds, "--selector", LABEL, "--output", "json"))["items"]
    found = [f"{name(thing)}: {words}" for thing, words in findings(objects)]
    for pod in of(objects, "Pod"):
        if is_of_a_job(pod) or pod.get("status", {}).get("phase") != "Running":
            continue
        said = kubectl.run("logs", pod["metadata"]["name"], "--all-containers", f"--since={options.since}")
        lines = list(errors(said.splitlines()))
        found += [f"{name(pod)} logged: {line[:300]}" for line in lines[:LINES_MAX]]
        if len(lines) > LINES_MAX:
            found.append(f"{name(pod)} logged {len(lines) - LINES_MAX} more errors")
    for line in found:
        print(line)
    print(f"{len(objects)} objects looked at, {len(found)} findings.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
