"""Whether the gate gets, on a cluster, what it is told to go by. Each check yields (object, what is wrong)."""

import re

import sources
from helm import ROOT
from objects import covers, of_kind, prometheus_labels
from rendering import documents, load

GATE = load(ROOT / "release/gate.yaml")
OBJECTIVES = ROOT / "release/slo"
# What Flagger looks for in a Deployment's selector, in its order.
FLAGGERS = ("app", "name", "app.kubernetes.io/name")
# More failed checks than there will be: then no "no" of a hook is one too many.
THRESHOLD_MIN = 100_000


def component(thing):
    return thing["metadata"]["labels"]["app.kubernetes.io/component"]


def measured():
    """The services that objectives are about."""
    return {one["spec"]["service"] for path in sorted(OBJECTIVES.iterdir()) for one in documents(path)}


def flaggers_copy(deployment):
    """The labels of the pods of the copy that Flagger makes of a Deployment."""
    label = next(name for name in FLAGGERS if name in deployment["spec"]["selector"]["matchLabels"])
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    return labels | {label: labels[label] + "-primary"}


def pods(objects, deployment):
    """The labels of a Deployment's pods, side by side while it is released: the canary's, and those beside it."""
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    for thing in of_kind(objects, "Rollout"):
        if thing["spec"]["workloadRef"]["name"] == deployment["metadata"]["name"]:
            canary = thing["spec"]["strategy"]["canary"]
            return [labels | canary.get(side, {}).get("labels", {}) for side in ("canaryMetadata", "stableMetadata")]
    for thing in of_kind(objects, "Canary"):
        if thing["spec"]["targetRef"]["name"] == deployment["metadata"]["name"]:
            return [labels, flaggers_copy(deployment)]
    return [labels]


def target(monitor, service, labels):
    """The labels that Prometheus gives to what it reads of a pod."""
    found = {"service": service["metadata"]["name"], "namespace": service["metadata"]["namespace"]}
    meta = {"__meta_kubernetes_pod_label_" + re.sub(r"\W", "_", name): value for name, value in labels.items()}
    spec = monitor["spec"]
    found |= {name: labels[name] for name in spec.get("podTargetLabels", []) if name in labels}
    for one in spec["endpoints"][0].get("relabelings", []):
        value = ";".join((meta | found).get(name, "") for name in one.get("sourceLabels", []))
        if re.fullmatch(one.get("regex", ".*"), value):
            found[one["targetLabel"]] = one["replacement"]
    return found


def targets(objects, deployment):
    """Of each of a Deployment's sides, what its pods' series are labelled, through whichever Service they are found."""
    return [
        [
            target(monitor, service, labels)
            for monitor in of_kind(objects, "ServiceMonitor")
            for service in of_kind(objects, "Service")
            if covers(monitor["spec"]["selector"]["matchLabels"], service["metadata"]["labels"])
            and covers(service["spec"]["selector"], deployment["spec"]["template"]["metadata"]["labels"])
        ]
        for labels in pods(objects, deployment)
    ]


def sides(objects):
    """Series carry the labels that gate.yaml and the objectives ask for, and the gate judges what has a canary."""
    if not of_kind(objects, "ServiceMonitor"):
        return
    canaried = set()
    for thing in of_kind(objects, "Deployment"):
        if component(thing) not in measured():
            continue
        service = {"service": component(thing)}
        *canary, stable = targets(objects, thing)
        if not stable or not all(covers(service | GATE["sides"]["stable"], one) for one in stable):
            yield thing, f"is not labelled as the objectives ask for it: {stable}"
        for one in canary:
            canaried.add(component(thing))
            if not one or not all(covers(service | GATE["sides"]["canary"], labels) for labels in one):
                yield thing, f"has a canary that is not labelled as the gate asks for it: {one}"
    for thing in of_kind(objects, "Deployment"):
        if component(thing) == "release-gate" and canaried:
            volumes = {one["name"]: one for one in thing["spec"]["template"]["spec"]["volumes"]}
            names = [one["key"] for one in volumes["objectives"]["configMap"]["items"]]
            judged = {one["spec"]["service"] for name in names for one in documents(OBJECTIVES / name)}
            if judged != canaried:
                yield thing, f"judges {sorted(judged)}, and {sorted(canaried)} has a canary"


def proof(objects):
    """A step ends when the gate has proof, after the time that it takes for a step, and not because time passed."""
    answered = set(re.findall(r'writer\.field\("(\w+)"', sources.text("ReleaseGate/Service/Serving/GateRoutes.swift")))
    for thing in of_kind(objects, "AnalysisTemplate"):
        metrics = thing["spec"]["metrics"]
        for metric in metrics:
            for condition in ("successCondition", "failureCondition"):
                if metric[condition].removeprefix("result.") not in answered:
                    yield thing, f"asks for {metric[condition]}, which the gate does not answer"
        ends = [one for one in metrics if one["successCondition"] == "result.proven" and one["count"] == 1]
        if [one.get("initialDelay") for one in ends] != [f"{GATE['stepSeconds'] // 60}m"]:
            yield thing, "lets a step end without proof"
        asked = {metric["provider"]["web"]["url"].partition("?")[2] for metric in metrics}
        if asked != {"step={{args.step}}"} or "step" not in [one["name"] for one in thing["spec"]["args"]]:
            yield thing, f"asks for {asked}, whichever step it is"
    for thing in of_kind(objects, "Rollout"):
        steps = thing["spec"]["strategy"]["canary"]["steps"]
        weights = [step["setWeight"] for step in steps if "setWeight" in step]
        if weights[-1] != 100:
            yield thing, f"ends at {weights[-1]} percent"
        told = [step["analysis"].get("args") for step in steps if "analysis" in step]
        if told != [[{"name": "step", "value": str(index)}] for index in range(1, len(weights) + 1)]:
            yield thing, f"tells the gate that its steps are {told}"
        # Its revisions are any, also one that was rejected.
        if "rollbackWindow" in thing["spec"]:
            yield thing, "goes back without being asked"
    for thing in of_kind(objects, "Canary"):
        yield from flaggers_proof(thing)


def flaggers_proof(thing):
    """Flagger goes on when the gate has proof, goes back when the gate says so, and otherwise stays where it is."""
    routes = sources.text("ReleaseGate/Service/Serving/GateRoutes.swift")
    answered = set(re.findall(r'flagger\(\s*"([a-z-]+)"', routes))
    hooks = {hook["url"].rpartition("/")[2]: hook["type"] for hook in thing["spec"]["analysis"]["webhooks"]}
    for name in hooks.keys() - answered:
        yield thing, f"asks for {name}, which the gate does not answer"
    # A hook of the type confirm-traffic-increase is asked before there is any traffic: none would ever come.
    wanted = {name: name for name in ("confirm-rollout", "confirm-promotion", "rollback")}
    if hooks != wanted | {"confirm-traffic-increase": "rollout"}:
        yield thing, f"has the hooks {hooks}"
    # Whatever a hook of the type rollout answers but yes is a failed check.
    if thing["spec"]["analysis"]["threshold"] < THRESHOLD_MIN:
        yield thing, "rolls back what the gate only holds"


def gate_files(objects):
    """The gate's pod has every file that our gate.yaml names, where it looks for it."""
    for thing in of_kind(objects, "Deployment"):
        if component(thing) == "release-gate":
            mounts = {one["mountPath"] for one in thing["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]}
            named = [*GATE["objectives"], GATE["compatibility"], GATE["state"], "gate.yaml", "release.yaml"]
            for name in named:
                if f"/etc/golden/gate/{name}" not in mounts:
                    yield thing, f"does not see {name}"


def own_prometheus(objects):
    """The chart's own Prometheus reaches what it reads, and is reached by the gate."""
    policies = of_kind(objects, "NetworkPolicy")
    for thing in of_kind(objects, "Prometheus") if policies else []:
        labels = prometheus_labels(thing)
        for deployment in of_kind(objects, "Deployment"):
            theirs = deployment["spec"]["template"]["metadata"]["labels"]
            port = deployment["spec"]["template"]["spec"]["containers"][0]["ports"][0]["containerPort"]
            if not passes(policies, labels, theirs, port):
                yield thing, f"does not reach {deployment['metadata']['name']}"
            if component(deployment) == "release-gate" and not passes(policies, theirs, labels, 9090):
                yield thing, "is not reached by the gate"
        for port in (53, 443, 6443):
            if not any(port in [one["port"] for one in given["ports"]] for given in rules(policies, labels, "egress")):
                yield thing, f"does not reach port {port}: names, or the API server"


def rules(policies, labels, way):
    """What the policies allow to pods with these labels."""
    for policy in policies:
        if covers(policy["spec"]["podSelector"].get("matchLabels"), labels):
            yield from policy["spec"].get(way) or []


def passes(policies, sender, receiver, port):
    """Whether pods with one set of labels may talk to those with another, in the same namespace."""
    return all(
        any(
            port in [one["port"] for one in given["ports"]]
            and any(
                "namespaceSelector" not in peer and covers(peer["podSelector"]["matchLabels"], other)
                for peer in given[peers]
                if "podSelector" in peer
            )
            for given in rules(policies, mine, way)
        )
        for mine, other, way, peers in ((sender, receiver, "egress", "to"), (receiver, sender, "ingress", "from"))
    )


CHECKS = [sides, proof, gate_files, own_prometheus]
