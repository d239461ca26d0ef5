"""What a rendered chart must hold so that it runs: probes, rolls, resources, scaling, names, backups."""

from objects import (
    containers,
    covers,
    environment_of,
    of_kind,
    pod_of,
    prometheus_labels,
    quantity,
    replicas_most,
    rule,
    workloads,
)

# Containers that a rule is not for, and why.
EXEMPT_FROM_PRE_STOP = {"agent": "has no client that would have to forget it; its work comes over the bus"}
DRAINING_SECONDS_MIN = 45


@rule("A9", "C8")
def probes_present(objects):
    for thing in of_kind(objects, "Deployment"):
        for container in thing["spec"]["template"]["spec"]["containers"]:
            for name, path in (("startupProbe", "/health"), ("readinessProbe", "/ready"), ("livenessProbe", "/health")):
                probe = container.get(name)
                if not probe:
                    yield thing, f"{container['name']} has no {name}"
                    continue
                if probe.get("httpGet", {}).get("path") != path:
                    yield thing, f"{container['name']}'s {name} does not ask {path}"
                if not probe.get("timeoutSeconds") or not probe.get("failureThreshold"):
                    yield thing, f"{container['name']}'s {name} leaves its bounds to defaults"


@rule("A24")
def rolls_without_a_gap(objects):
    for thing in of_kind(objects, "Deployment"):
        rolling = thing["spec"].get("strategy", {}).get("rollingUpdate", {})
        if (rolling.get("maxUnavailable"), rolling.get("maxSurge")) != (0, 1):
            yield thing, "does not roll with maxUnavailable 0 and maxSurge 1"
        if thing["spec"].get("progressDeadlineSeconds") != 600:
            yield thing, "has another progress deadline than 600 s"


@rule("A24")
def drains_before_it_is_killed(objects):
    for thing in of_kind(objects, "Deployment"):
        spec = thing["spec"]["template"]["spec"]
        if spec.get("terminationGracePeriodSeconds", 30) < DRAINING_SECONDS_MIN:
            yield thing, f"is killed after {spec.get('terminationGracePeriodSeconds', 30)} s, before it has drained"
        for container in spec["containers"]:
            if container["name"] in EXEMPT_FROM_PRE_STOP:
                continue
            if container.get("ports") and not container.get("lifecycle", {}).get("preStop", {}).get("sleep"):
                yield thing, f"{container['name']} stops before the endpoints have forgotten it"


@rule("A29", "C6", "E12")
def resources_bounded(objects):
    for thing, container in containers(objects):
        resources = container.get("resources", {})
        for side in ("requests", "limits"):
            for name in ("cpu", "memory", "ephemeral-storage"):
                if name not in resources.get(side, {}):
                    yield thing, f"{container['name']} has no {side}.{name}"
        for name, amount in resources.get("requests", {}).items():
            limit = resources.get("limits", {}).get(name)
            if limit is not None and quantity(amount) > quantity(limit):
                yield thing, f"{container['name']} asks for more {name} than it may use"


@rule("A29")
def fits_the_quota(objects):
    most = replicas_most(objects)
    for quota in of_kind(objects, "ResourceQuota"):
        for side in ("requests", "limits"):
            for name in ("cpu", "memory"):
                allowed = quota["spec"]["hard"].get(f"{side}.{name}")
                needed = 0
                for thing in of_kind(objects, "Deployment", "StatefulSet"):
                    for container in thing["spec"]["template"]["spec"]["containers"]:
                        # One more while it rolls.
                        needed += (most.get(thing["metadata"]["name"], 0) + 1) * quantity(
                            container["resources"].get(side, {}).get(name, 0)
                        )
                if allowed is not None and needed > quantity(allowed):
                    yield quota, f"{side}.{name} of {allowed} is less than the {needed:g} that all pods may come to"


@rule("D6")
def names_are_unique(objects):
    seen = set()
    for thing in objects:
        key = (thing["apiVersion"], thing["kind"], thing["metadata"].get("namespace"), thing["metadata"]["name"])
        if key in seen:
            yield thing, "is there twice"
        seen.add(key)
    for thing, _, spec in workloads(objects):
        claims = thing["spec"].get("volumeClaimTemplates", [])
        names = [volume["name"] for volume in spec.get("volumes", [])] + [claim["metadata"]["name"] for claim in claims]
        if len(names) != len(set(names)):
            yield thing, "has a volume twice"
        for container in spec["containers"]:
            mounts = [mount["mountPath"] for mount in container.get("volumeMounts", [])]
            if len(mounts) != len(set(mounts)):
                yield thing, "mounts two volumes at one place"
            if not {mount["name"] for mount in container.get("volumeMounts", [])} <= set(names):
                yield thing, "mounts a volume that is not there"


@rule("D6")
def selectors_match(objects):
    pods = [(labels, spec) for _, labels, spec in workloads(objects)]
    for thing in of_kind(objects, "Deployment"):
        labels, _ = pod_of(thing)
        if not covers(thing["spec"]["selector"]["matchLabels"], labels):
            yield thing, "does not select its own pods"
    for thing in of_kind(objects, "Service"):
        chosen = [spec for labels, spec in pods if covers(thing["spec"]["selector"], labels)]
        if len(chosen) != 1:
            yield thing, f"selects the pods of {len(chosen)} workloads"
        for spec in chosen:
            ports = {port["name"] for container in spec["containers"] for port in container.get("ports", [])}
            numbers = {port["containerPort"] for container in spec["containers"] for port in container.get("ports", [])}
            for port in thing["spec"]["ports"]:
                if port["targetPort"] not in ports | numbers:
                    yield thing, f"leads to the port {port['targetPort']}, which its pods do not have"
    known = [labels for labels, _ in pods] + [prometheus_labels(one) for one in of_kind(objects, "Prometheus")]
    for thing in of_kind(objects, "PodDisruptionBudget", "NetworkPolicy"):
        selector = thing["spec"].get("selector", thing["spec"].get("podSelector", {})).get("matchLabels", {})
        if not any(covers(selector, labels) for labels in known):
            yield thing, "selects no pod"
    services = of_kind(objects, "Service")
    for thing in of_kind(objects, "ServiceMonitor"):
        selector = thing["spec"]["selector"]["matchLabels"]
        chosen = [one for one in services if covers(selector, one["metadata"]["labels"])]
        ports = {port["name"] for one in chosen for port in one["spec"]["ports"]}
        if not chosen or not all(
            end["port"] in ports and end["path"] == "/metrics" for end in thing["spec"]["endpoints"]
        ):
            yield thing, "finds no service with that port"
    names = {(one["metadata"]["name"], port["port"]) for one in services for port in one["spec"]["ports"]}
    for thing in of_kind(objects, "Ingress"):
        for path in (path for one in thing["spec"]["rules"] for path in one["http"]["paths"]):
            backend = path["backend"]["service"]
            if (backend["name"], backend["port"]["number"]) not in names:
                yield thing, f"leads to {backend['name']}:{backend['port']['number']}, which is not there"


@rule("E12")
def disruption_budgets(objects):
    budgets = [thing["spec"]["selector"]["matchLabels"] for thing in of_kind(objects, "PodDisruptionBudget")]
    for thing in of_kind(objects, "Deployment"):
        labels, _ = pod_of(thing)
        if sum(covers(selector, labels) for selector in budgets) != 1:
            yield thing, "has not exactly one PodDisruptionBudget"


@rule("E12", "C18")
def scaled_by_one(objects):
    targets = [
        (thing, thing["spec"]["scaleTargetRef"])
        for thing in of_kind(objects, "HorizontalPodAutoscaler", "ScaledObject")
    ]
    names = [target["name"] for _, target in targets]
    there = {(thing["kind"], thing["metadata"]["name"]) for thing in objects}
    for thing, target in targets:
        if names.count(target["name"]) > 1:
            yield thing, f"{target['name']} is scaled by two"
        if (target["kind"], target["name"]) not in there:
            yield thing, f"scales {target['kind']}/{target['name']}, which is not there"
    for thing in of_kind(objects, "Deployment"):
        if thing["metadata"]["name"] in names and "replicas" in thing["spec"]:
            yield thing, "says how many, and is scaled as well"


BOUNDS = {"orchestrator": (2, 20), "peer-hub": (2, 10), "supervisor": (1, 5), "sandbox-executor": (3, 15)}


@rule("E12", "E20")
def scaling_bounds(objects):
    for thing in of_kind(objects, "HorizontalPodAutoscaler", "ScaledObject"):
        name = thing["metadata"]["labels"]["app.kubernetes.io/component"]
        spec = thing["spec"]
        bounds = (
            spec.get("minReplicas", spec.get("minReplicaCount")),
            spec.get("maxReplicas", spec.get("maxReplicaCount")),
        )
        if name in BOUNDS and bounds != BOUNDS[name]:
            yield thing, f"has bounds {bounds}, not {BOUNDS[name]}"


@rule("A33", "C9")
def everything_is_measured(objects):
    monitors = [thing["spec"]["selector"]["matchLabels"] for thing in of_kind(objects, "ServiceMonitor")]
    if not monitors:
        return
    for thing in of_kind(objects, "Service"):
        if not any(covers(selector, thing["metadata"]["labels"]) for selector in monitors):
            yield thing, "is not measured"


@rule("A22", "C12", "E7")
def backed_up_before_it_changes(objects):
    if environment_of(objects) != "prod":
        return
    hooks = {}
    for thing in of_kind(objects, "Job", "VolumeSnapshot"):
        annotations = thing["metadata"].get("annotations", {})
        hooks[thing["metadata"]["name"]] = (
            annotations.get("helm.sh/hook", ""),
            int(annotations.get("helm.sh/hook-weight", 0)),
        )
    before = [weight for name, (hook, weight) in hooks.items() if "backup" in name and "pre-upgrade" in hook]
    migrates = [weight for name, (hook, weight) in hooks.items() if name.endswith("-migrate") and "pre-upgrade" in hook]
    if not migrates:
        yield None, "no migration runs before an upgrade"
    if not before or (migrates and max(before) >= min(migrates)):
        yield None, "no backup is made before the migration"
    if not any("backup" in thing["metadata"]["name"] for thing in of_kind(objects, "CronJob")):
        yield None, "no backup is made by schedule"
    for thing in of_kind(objects, "PersistentVolumeClaim"):
        if thing["metadata"].get("annotations", {}).get("helm.sh/resource-policy") != "keep":
            yield thing, "goes when the release goes"


@rule("E12")
def spread_over_nodes(objects):
    for thing in of_kind(objects, "Deployment"):
        spec = thing["spec"]["template"]["spec"]
        keys = {one["topologyKey"] for one in spec.get("topologySpreadConstraints", [])}
        if not {"topology.kubernetes.io/zone", "kubernetes.io/hostname"} <= keys:
            yield thing, "may stand on one node alone"


@rule("D6")
def labelled(objects):
    needed = {"name", "instance", "component", "part-of", "version", "managed-by"}
    for thing in objects:
        labels = {name.removeprefix("app.kubernetes.io/") for name in thing["metadata"].get("labels", {})}
        if not needed <= labels:
            yield thing, f"lacks the labels {', '.join(sorted(needed - labels))}"
