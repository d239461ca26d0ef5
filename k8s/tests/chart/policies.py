"""What a rendered chart must hold: one function for each rule, named by the requirement's id. Each yields what breaks it."""

import re

WORKLOADS = ("Deployment", "Job", "CronJob", "Pod")
DIGEST = re.compile(r"^[^@]+@sha256:[0-9a-f]{64}$")
RULES = []
# Workloads that a rule is not for, and why.
EXEMPT_FROM_PROBES = {"agent": "serves nobody, so nobody can ask it; agents.yaml says what takes the probes' place"}
DRAINING_SECONDS_MIN = 45


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
    template = thing["spec"]["jobTemplate"]["spec"]["template"] if thing["kind"] == "CronJob" else thing["spec"]["template"]
    return template["metadata"].get("labels", {}), template["spec"]


def workloads(objects):
    for thing in of_kind(objects, *WORKLOADS):
        labels, spec = pod_of(thing)
        yield thing, labels, spec


def containers(objects):
    for thing, _, spec in workloads(objects):
        for container in spec.get("initContainers", []) + spec["containers"]:
            yield thing, container


def quantity(text):
    """A quantity of Kubernetes as a number: cores, bytes or pieces."""
    match = re.fullmatch(r"([0-9.]+)(m|[KMGT]i?|k)?", str(text))
    factors = {None: 1, "m": 0.001, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12,
               "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
    return float(match[1]) * factors[match[2]]




@rule("A15", "B2", "D2", "D15", "E13")
def images_by_digest(objects):
    for thing, container in containers(objects):
        image = container["image"]
        if not DIGEST.match(image):
            yield thing, f"{image} is not pinned by a digest"
        if re.search(r":latest(@|$)", image):
            yield thing, f"{image} is tagged latest"


@rule("A9", "C8")
def probes_present(objects):
    for thing in of_kind(objects, "Deployment"):
        for container in thing["spec"]["template"]["spec"]["containers"]:
            if container["name"] in EXEMPT_FROM_PROBES:
                continue
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
            if container.get("ports") and not container.get("lifecycle", {}).get("preStop", {}).get("sleep"):
                yield thing, f"{container['name']} stops before the endpoints have forgotten it"


@rule("A16")
def least_privilege(objects):
    for thing in of_kind(objects, "Role", "ClusterRole"):
        if thing["kind"] == "ClusterRole":
            yield thing, "has rights in the whole cluster"
        for given in thing["rules"]:
            for field in ("apiGroups", "resources", "verbs"):
                if any("*" in word for word in given.get(field, [])):
                    yield thing, f"has a wildcard in {field}"
            if "secrets" in given.get("resources", []):
                yield thing, "may read secrets"
            if {"escalate", "bind", "impersonate"} & set(given.get("verbs", [])):
                yield thing, "may give itself rights"
            if any(word in given.get("resources", []) for word in ("pods/exec", "pods/attach")):
                yield thing, "may run commands in pods"
    for thing in of_kind(objects, "ClusterRoleBinding"):
        yield thing, "gives rights in the whole cluster"


@rule("A16")
def no_tokens_mounted(objects):
    for thing, _, spec in workloads(objects):
        if spec.get("automountServiceAccountToken") is not False:
            yield thing, "mounts a token of the API server"
        if spec.get("serviceAccountName", "default") == "default":
            yield thing, "runs as the namespace's default account"
    accounts = {thing["metadata"]["name"] for thing in of_kind(objects, "ServiceAccount")}
    for thing, _, spec in workloads(objects):
        if spec.get("serviceAccountName") not in accounts:
            yield thing, f"runs as {spec.get('serviceAccountName')}, which the chart does not make"
    for thing in of_kind(objects, "ServiceAccount"):
        if thing.get("automountServiceAccountToken") is not False:
            yield thing, "mounts tokens"


SECRET_NAMES = re.compile(r"PASSWORD|SECRET|TOKEN|_KEY$|CREDENTIALS|POSTGRES_URL|REDIS_URL|WEBHOOK$")
SECRET_VALUES = re.compile(
    r"://[^/\s:@]*:[^@\s/]+@|-----BEGIN [A-Z ]*PRIVATE KEY|\bsk-[A-Za-z0-9_-]{16,}|\bAKIA[0-9A-Z]{16}\b"
    r"|\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\."
)


def texts(tree, path=""):
    """Every text in a tree of values, with its path."""
    if isinstance(tree, dict):
        for name, value in tree.items():
            yield from texts(value, f"{path}.{name}")
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            yield from texts(value, f"{path}[{index}]")
    elif isinstance(tree, str):
        yield path, tree


@rule("A17", "C17")
def no_secrets_in_the_chart(objects):
    for thing in of_kind(objects, "Secret"):
        yield thing, "is a Secret that the chart itself fills"
    for thing in objects:
        for path, text in texts(thing):
            if SECRET_VALUES.search(text):
                yield thing, f"{path} holds a credential"
    for thing in of_kind(objects, "ConfigMap"):
        for name, value in thing.get("data", {}).items():
            if name.startswith("GOLDEN_") and SECRET_NAMES.search(name.removesuffix("_FILE")):
                if not value.startswith("/etc/golden/"):
                    yield thing, f"{name} holds a value, not a file's name"
    for thing, container in containers(objects):
        for variable in container.get("env", []):
            name, value = variable["name"], variable.get("value", "")
            if SECRET_NAMES.search(name.removesuffix("_FILE")) and value and not value.startswith("/etc/golden/"):
                yield thing, f"{name} holds a value, not a file's name"


@rule("A19", "C15")
def pod_security_restricted(objects):
    for thing, _, spec in workloads(objects):
        context = spec.get("securityContext", {})
        if context.get("runAsNonRoot") is not True or not context.get("runAsUser"):
            yield thing, "may run as root"
        if context.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
            yield thing, "has no seccomp profile"
        for field in ("hostNetwork", "hostPID", "hostIPC"):
            if spec.get(field):
                yield thing, f"has {field}"
        for volume in spec.get("volumes", []):
            kinds = set(volume) - {"name"}
            if not kinds <= {"configMap", "downwardAPI", "emptyDir", "persistentVolumeClaim", "projected", "secret"}:
                yield thing, f"volume {volume['name']} is a {', '.join(kinds)}"
    for thing, container in containers(objects):
        context = container.get("securityContext", {})
        name = container["name"]
        if context.get("privileged"):
            yield thing, f"{name} is privileged"
        if context.get("allowPrivilegeEscalation") is not False:
            yield thing, f"{name} may gain privileges"
        if context.get("capabilities", {}).get("drop") != ["ALL"] or context["capabilities"].get("add"):
            yield thing, f"{name} keeps capabilities"
        if context.get("readOnlyRootFilesystem") is not True:
            yield thing, f"{name} may write its root"
        if context.get("runAsUser") == 0 or context.get("runAsNonRoot") is False:
            yield thing, f"{name} runs as root"
        for port in container.get("ports", []):
            if port.get("hostPort"):
                yield thing, f"{name} takes a port of the host"


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


def replicas_most(objects):
    """Deployment's name -> the most pods it can have."""
    most = {thing["metadata"]["name"]: thing["spec"].get("replicas", 1) for thing in of_kind(objects, "Deployment")}
    for thing in of_kind(objects, "HorizontalPodAutoscaler"):
        most[thing["spec"]["scaleTargetRef"]["name"]] = thing["spec"]["maxReplicas"]
    for thing in of_kind(objects, "ScaledObject"):
        most[thing["spec"]["scaleTargetRef"]["name"]] = thing["spec"]["maxReplicaCount"]
    return most


@rule("A29")
def fits_the_quota(objects):
    most = replicas_most(objects)
    for quota in of_kind(objects, "ResourceQuota"):
        for side in ("requests", "limits"):
            for name in ("cpu", "memory"):
                allowed = quota["spec"]["hard"].get(f"{side}.{name}")
                needed = 0
                for thing in of_kind(objects, "Deployment"):
                    for container in thing["spec"]["template"]["spec"]["containers"]:
                        # One more while it rolls.
                        needed += (most[thing["metadata"]["name"]] + 1) * quantity(
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
        names = [volume["name"] for volume in spec.get("volumes", [])]
        if len(names) != len(set(names)):
            yield thing, "has a volume twice"
        for container in spec["containers"]:
            mounts = [mount["mountPath"] for mount in container.get("volumeMounts", [])]
            if len(mounts) != len(set(mounts)):
                yield thing, "mounts two volumes at one place"
            if not {mount["name"] for mount in container.get("volumeMounts", [])} <= set(names):
                yield thing, "mounts a volume that is not there"


def covers(selector, labels):
    return all(labels.get(name) == value for name, value in (selector or {}).items())


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
    for thing in of_kind(objects, "PodDisruptionBudget", "NetworkPolicy"):
        selector = thing["spec"].get("selector", thing["spec"].get("podSelector", {})).get("matchLabels", {})
        if not any(covers(selector, labels) for labels, _ in pods):
            yield thing, "selects no pod"
    services = of_kind(objects, "Service")
    for thing in of_kind(objects, "ServiceMonitor"):
        selector = thing["spec"]["selector"]["matchLabels"]
        chosen = [one for one in services if covers(selector, one["metadata"]["labels"])]
        ports = {port["name"] for one in chosen for port in one["spec"]["ports"]}
        if not chosen or not all(end["port"] in ports and end["path"] == "/metrics" for end in thing["spec"]["endpoints"]):
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
        (thing, thing["spec"]["scaleTargetRef"]) for thing in of_kind(objects, "HorizontalPodAutoscaler", "ScaledObject")
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
        bounds = (spec.get("minReplicas", spec.get("minReplicaCount")), spec.get("maxReplicas", spec.get("maxReplicaCount")))
        if name in BOUNDS and bounds != BOUNDS[name]:
            yield thing, f"has bounds {bounds}, not {BOUNDS[name]}"


@rule("A21", "C14")
def every_pod_has_a_policy(objects):
    policies = of_kind(objects, "NetworkPolicy")
    if not policies:
        return
    deny = [
        thing for thing in policies
        if not thing["spec"]["podSelector"] and not thing["spec"].get("ingress") and not thing["spec"].get("egress")
        and sorted(thing["spec"]["policyTypes"]) == ["Egress", "Ingress"]
    ]
    if not deny:
        yield policies[0], "no policy denies everything that is not allowed"
    for thing, labels, _ in workloads(objects):
        selectors = [one["spec"]["podSelector"].get("matchLabels") for one in policies]
        if not any(selector and "app.kubernetes.io/component" in selector and covers(selector, labels) for selector in selectors):
            yield thing, "has no policy of its own"
    for thing in policies:
        for way in ("ingress", "egress"):
            for given in thing["spec"].get(way) or []:
                peers = given.get("from" if way == "ingress" else "to")
                if not peers or any(not peer for peer in peers) or not given.get("ports"):
                    yield thing, f"{way}: allows everybody, or every port"


@rule("C7", "E2")
def ingress_is_encrypted(objects):
    for thing in of_kind(objects, "Ingress"):
        annotations = thing["metadata"].get("annotations", {})
        hosts = {one["host"] for one in thing["spec"]["rules"]}
        if not hosts <= {host for one in thing["spec"].get("tls", []) for host in one["hosts"]}:
            yield thing, "serves a name without TLS"
        if annotations.get("nginx.ingress.kubernetes.io/force-ssl-redirect") != "true":
            yield thing, "does not send HTTP to HTTPS"
        name = annotations.get("nginx.ingress.kubernetes.io/custom-headers", "/").split("/")[1]
        headers = [one["data"] for one in of_kind(objects, "ConfigMap") if one["metadata"]["name"] == name]
        if not headers or not {"Strict-Transport-Security", "X-Content-Type-Options", "X-Frame-Options"} <= set(headers[0]):
            yield thing, "sends no security headers"
        paths = {path["path"] for one in thing["spec"]["rules"] for path in one["http"]["paths"]}
        if {"/", "/metrics", "/ready"} & paths:
            yield thing, "publishes what is for the cluster alone"


def environment_of(objects):
    return objects[0]["metadata"]["labels"]["golden.dev/environment"]


@rule("C26")
def quiet_and_closed_in_prod(objects):
    if environment_of(objects) != "prod":
        return
    for thing in of_kind(objects, "Service"):
        if thing["spec"].get("type") == "NodePort" or any(port.get("nodePort") for port in thing["spec"]["ports"]):
            yield thing, "opens a port of every node"
    for thing in of_kind(objects, "ConfigMap"):
        if thing.get("data", {}).get("GOLDEN_LOG_LEVEL") in ("debug", "trace"):
            yield thing, "logs what is for developers"


@rule("E2")
def stores_by_tls_in_prod(objects):
    if environment_of(objects) not in ("prod", "staging"):
        return
    for thing in of_kind(objects, "ConfigMap"):
        data = thing.get("data", {})
        if "GOLDEN_NATS_URL" in data:
            servers = data["GOLDEN_NATS_URL"].split(",")
            if not data.get("GOLDEN_NATS_CA") or not all(server.startswith("tls://") for server in servers):
                yield thing, "talks to NATS in the clear"
            if not {"GOLDEN_NATS_PASSWORD_FILE", "GOLDEN_NATS_CREDENTIALS"} & set(data):
                yield thing, "does not say who it is to NATS"


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
        hooks[thing["metadata"]["name"]] = (annotations.get("helm.sh/hook", ""), int(annotations.get("helm.sh/hook-weight", 0)))
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
