"""Rendered objects, looked at: by kind, by their pods, by their containers; and the registry of rules over them."""

import re

WORKLOADS = ("Deployment", "StatefulSet", "Job", "CronJob", "Pod")
# Labels of Prometheus's pods that its operator sets, whatever podMetadata says.
OPERATORS = {"app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/managed-by"}
RULES = []


def rule(*ids):
    def register(function):
        function.ids = ids
        RULES.append(function)
        return function

    return register


def violations(objects, rules=None):
    """(rule, object, what is wrong) for every rule that is broken."""
    return [
        (function.__name__, f"{thing['kind']}/{thing['metadata']['name']}" if thing else "chart", what)
        for function in rules or RULES
        for thing, what in function(objects)
    ]


def of_kind(objects, *kinds):
    return [thing for thing in objects if thing["kind"] in kinds]


def pod_of(thing):
    """(labels, spec) of the pods that a workload makes."""
    if thing["kind"] == "Pod":
        return thing["metadata"].get("labels", {}), thing["spec"]
    template = (
        thing["spec"]["jobTemplate"]["spec"]["template"] if thing["kind"] == "CronJob" else thing["spec"]["template"]
    )
    return template["metadata"].get("labels", {}), template["spec"]


def workloads(objects):
    for thing in of_kind(objects, *WORKLOADS):
        labels, spec = pod_of(thing)
        yield thing, labels, spec


def prometheus_labels(thing):
    """Those labels of a Prometheus's pods that the chart gives them."""
    return {name: value for name, value in thing["spec"]["podMetadata"]["labels"].items() if name not in OPERATORS}


def containers(objects):
    for thing, _, spec in workloads(objects):
        for container in spec.get("initContainers", []) + spec["containers"]:
            yield thing, container


def quantity(text):
    """A quantity of Kubernetes as a number: cores, bytes or pieces."""
    match = re.fullmatch(r"([0-9.]+)(m|[KMGT]i?|k)?", str(text))
    factors = {
        None: 1,
        "m": 0.001,
        "k": 1e3,
        "K": 1e3,
        "M": 1e6,
        "G": 1e9,
        "T": 1e12,
        "Ki": 2**10,
        "Mi": 2**20,
        "Gi": 2**30,
        "Ti": 2**40,
    }
    return float(match[1]) * factors[match[2]]


def covers(selector, labels):
    return all(labels.get(name) == value for name, value in (selector or {}).items())


def environment_of(objects):
    return objects[0]["metadata"]["labels"]["golden.dev/environment"]


def replicas_most(objects):
    """Deployment's name -> the most pods it can have."""
    most = {thing["metadata"]["name"]: thing["spec"].get("replicas", 1) for thing in of_kind(objects, "Deployment")}
    for thing in of_kind(objects, "HorizontalPodAutoscaler"):
        most[thing["spec"]["scaleTargetRef"]["name"]] = thing["spec"]["maxReplicas"]
    for thing in of_kind(objects, "ScaledObject"):
        most[thing["spec"]["scaleTargetRef"]["name"]] = thing["spec"]["maxReplicaCount"]
    return most
