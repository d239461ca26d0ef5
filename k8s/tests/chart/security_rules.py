"""What a rendered chart must hold so that it is safe: images, rights, secrets, pods, networks, encryption."""

import re

from objects import containers, covers, environment_of, of_kind, rule, workloads

DIGEST = re.compile(r"^[^@]+@sha256:[0-9a-f]{64}$")


@rule("A15", "B2", "D2", "D15", "E13")
def images_by_digest(objects):
    for thing, container in containers(objects):
        image = container["image"]
        if not DIGEST.match(image):
            yield thing, f"{image} is not pinned by a digest"
        if re.search(r":latest(@|$)", image):
            yield thing, f"{image} is tagged latest"


def admits(policy, image):
    """Whether the chart's ValidatingAdmissionPolicy lets an image in: its CEL rule, read as far as we write it."""
    (rule_,) = policy["spec"]["validations"]
    registry, digest = re.fullmatch(
        r"variables\.images\.all\(image, image\.startsWith\('([^']+)'\) && image\.matches\('([^']+)'\)\)", rule_["expression"]
    ).groups()
    return image.startswith(registry) and re.search(digest, image) is not None


@rule("A15")
def admission_holds(objects):
    """The policy looks at every container that a pod can have, and lets in all that the chart itself makes."""
    for policy in of_kind(objects, "ValidatingAdmissionPolicy"):
        watched = {name for given in policy["spec"]["matchConstraints"]["resourceRules"] for name in given["resources"]}
        expression = policy["spec"]["variables"][0]["expression"]
        fields = {f"spec.{kind}.map" for kind in ("containers", "initContainers", "ephemeralContainers")}
        if watched != {"pods", "pods/ephemeralcontainers"} or not all(field in expression for field in fields):
            yield policy, f"looks at {watched}: {expression}"
        for thing, container in containers(objects):
            if not admits(policy, container["image"]):
                yield thing, f"{container['image']} is not let in"
        for thing in of_kind(objects, "Prometheus"):
            yield thing, "runs images that its operator chooses, which are not let in"


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


@rule("A21", "C14")
def every_pod_has_a_policy(objects):
    policies = of_kind(objects, "NetworkPolicy")
    if not policies:
        return
    deny = [
        thing
        for thing in policies
        if not thing["spec"]["podSelector"]
        and not thing["spec"].get("ingress")
        and not thing["spec"].get("egress")
        and sorted(thing["spec"]["policyTypes"]) == ["Egress", "Ingress"]
    ]
    if not deny:
        yield policies[0], "no policy denies everything that is not allowed"
    for thing, labels, _ in workloads(objects):
        selectors = [one["spec"]["podSelector"].get("matchLabels") for one in policies]
        if not any(
            selector and "app.kubernetes.io/component" in selector and covers(selector, labels)
            for selector in selectors
        ):
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
        if not headers or not {"Strict-Transport-Security", "X-Content-Type-Options", "X-Frame-Options"} <= set(
            headers[0]
        ):
            yield thing, "sends no security headers"
        paths = {path["path"] for one in thing["spec"]["rules"] for path in one["http"]["paths"]}
        if {"/", "/metrics", "/ready"} & paths:
            yield thing, "publishes what is for the cluster alone"


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
