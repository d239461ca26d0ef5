"""Whether a rendered chart says what the sources say. Each check yields (object, what is wrong), like policies.py."""

import re

import evidence
import policies
import sources
from policies import covers, of_kind, pod_of

STORES = ("postgres", "nats", "redis")
HEALTH = {"startupProbe": "/health", "readinessProbe": "/ready", "livenessProbe": "/health"}


def component(thing):
    return thing["metadata"]["labels"]["app.kubernetes.io/component"]


def source_name(thing):
    """Which sources an object's program is built from; none but ours are in the chart."""
    name = component(thing)
    return "agent" if name.startswith("agent-") else name


def services(objects):
    for thing in of_kind(objects, "Deployment"):
        yield thing, source_name(thing)


def settings_of(objects, thing):
    """The environment of a Deployment's container."""
    container = thing["spec"]["template"]["spec"]["containers"][0]
    found = {variable["name"]: variable.get("value") for variable in container.get("env", [])}
    names = [one["configMapRef"]["name"] for one in container.get("envFrom", [])]
    for one in of_kind(objects, "ConfigMap"):
        if one["metadata"]["name"] in names:
            found |= one["data"]
    return found


def ports(objects):
    """Container, Service and setting have the port that the service takes by default."""
    for thing, name in services(objects):
        # The gate is told its port, which is no default of its own.
        port = sources.facts()[name]["port"] if name == "release-gate" else sources.default(name, "GOLDEN_HTTP_PORT")
        listed = thing["spec"]["template"]["spec"]["containers"][0]["ports"]
        given = [one["containerPort"] for one in listed if one["name"] != "flagger"]
        for one in listed:
            if one["name"] == "flagger" and settings_of(objects, thing).get("GOLDEN_GATE_FLAGGER_PORT") != str(one["containerPort"]):
                yield thing, f"has the port {one['containerPort']} for Flagger, and the gate another"
        if given != [port] or settings_of(objects, thing).get("GOLDEN_HTTP_PORT") != str(port):
            yield thing, f"has the ports {given}, and the service {port}"
        for one in of_kind(objects, "Service"):
            if component(one) == component(thing) and [
                entry["port"] for entry in one["spec"]["ports"] if entry["name"] != "flagger"
            ] != [port]:
                yield one, f"has another port than the service's {port}"


def paths(objects):
    """Probes and monitors ask what HealthRoutes answers."""
    answered = set(re.findall(r'\.get, "(/\w+)"', sources.text("HTTPEdge/Serving/HealthRoutes.swift")))
    for thing, name in services(objects):
        for probe, path in HEALTH.items():
            asked = thing["spec"]["template"]["spec"]["containers"][0].get(probe, {}).get("httpGet", {}).get("path")
            if asked not in answered or asked != path:
                yield thing, f"{probe} asks {asked}"
    for thing in of_kind(objects, "ServiceMonitor"):
        for endpoint in thing["spec"]["endpoints"]:
            if endpoint["path"] not in answered:
                yield thing, f"asks {endpoint['path']}"


def variables(objects):
    """Every variable is one that the program reads."""
    for thing, name in services(objects):
        known = sources.settings(name)
        for variable in settings_of(objects, thing):
            if variable in sources.RUNTIME or variable == "POD_NAME":
                continue
            if variable not in known and variable.removesuffix("_FILE") not in known:
                yield thing, f"{variable} is no setting of {name}"


def connections(objects):
    """Secrets are mounted for the stores that the service talks to, and for no other."""
    for thing, name in services(objects):
        # The gate's sources hold more than `serve` does: other commands of it look at every store.
        if name in ("agent", "release-gate"):
            continue
        wanted = {store for store, need in sources.needs(name).items() if need}
        volumes = thing["spec"]["template"]["spec"]["volumes"]
        files = {
            item["path"]
            for volume in volumes
            for source in volume.get("projected", {}).get("sources", [])
            for item in source["secret"]["items"]
        }
        given = {store for store in STORES if any(path.startswith(store) for path in files)}
        if given != wanted:
            yield thing, f"is given {sorted(given)}, and talks to {sorted(wanted)}"


def call_graph(objects):
    """NetworkPolicies let a service reach its stores, and no other ports but those that a setting asks for."""
    policies_ = of_kind(objects, "NetworkPolicy")
    if not policies_:
        return
    stores = {"postgres": 5432, "nats": 4222, "redis": 6379}
    # What else a program may call: webhooks, the gate's Prometheus, models.
    others = {"orchestrator": {443}, "release-gate": {9090}}
    for thing, name in services(objects):
        labels, _ = pod_of(thing)
        own = [
            one
            for one in policies_
            if one["spec"]["podSelector"].get("matchLabels", {}).get("app.kubernetes.io/component") == component(thing)
            and covers(one["spec"]["podSelector"]["matchLabels"], labels)
        ]
        opened = {port["port"] for one in own for given in one["spec"].get("egress") or [] for port in given["ports"]}
        settings = settings_of(objects, thing)
        needs = {"postgres": True} if name == "release-gate" else sources.needs(name)
        wanted = {stores[store] for store, need in needs.items() if need} | others.get(name, set())
        if name == "agent":
            wanted = {4222} | ({6379} if "GOLDEN_REDIS_URL_FILE" in settings else set())
            if "--backend=echo" not in thing["spec"]["template"]["spec"]["containers"][0]["args"]:
                wanted.add(443)
        if "GOLDEN_DLQ_ALERTMANAGER" in settings:
            wanted.add(9093)
        if "GOLDEN_DLQ_WEBHOOK_FILE" in settings:
            wanted.add(443)
        if "GOLDEN_OTLP_ENDPOINT" in settings:
            wanted.add(4318)
        if opened != wanted:
            yield thing, f"may reach the ports {sorted(opened)}, and needs {sorted(wanted)}"
        # No service calls another by HTTP: whoever asks them is Prometheus, a test, the ingress or a rollout controller.
        for one in own:
            for given in one["spec"].get("ingress", []):
                for peer in given.get("from", []):
                    caller = peer.get("podSelector", {}).get("matchLabels", {}).get("app.kubernetes.io/component")
                    if "namespaceSelector" not in peer and caller not in ("test", "prometheus"):
                        yield one, f"lets {caller} call {name}"


def grace(objects):
    """A pod is killed only after its program has had all the time that it takes at most."""
    drain, cancellation = sources.stop_seconds()
    for thing, name in services(objects):
        spec = thing["spec"]["template"]["spec"]
        pre_stop = spec["containers"][0].get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        needed = pre_stop + drain + cancellation
        if name == "agent":
            seconds = [arg for arg in spec["containers"][0]["args"] if arg.startswith("--drain-seconds=")]
            needed = int(seconds[0].partition("=")[2]) + sources.agent_margin_seconds() + cancellation
        if spec["terminationGracePeriodSeconds"] < needed:
            yield thing, f"is killed after {spec['terminationGracePeriodSeconds']} s and may take {needed} s"


def consumers(objects):
    """Scalers watch streams and consumers that there are."""
    work, prefix = sources.work_consumer()
    for thing in of_kind(objects, "ScaledObject"):
        for trigger in thing["spec"]["triggers"]:
            pair = (trigger["metadata"]["stream"], trigger["metadata"]["consumer"])
            if component(thing).startswith("agent-"):
                known = pair[0] == work and pair[1].startswith(prefix)
            else:
                # Only what the service itself takes.
                known = pair in sources.consumers() and pair[1].startswith(component(thing).removesuffix("-executor"))
            if not known:
                yield thing, f"watches {pair[0]}/{pair[1]}, which {component(thing)} does not take from"


def metrics(objects):
    """HPAs go by metrics that there are."""
    for thing in of_kind(objects, "HorizontalPodAutoscaler"):
        for metric in thing["spec"]["metrics"]:
            name = metric.get("external", {}).get("metric", {}).get("name")
            if name is not None and name not in sources.metrics():
                yield thing, f"goes by {name}, which nothing measures"


def flagger(objects):
    """Flagger, which can send no token, asks the port that wants none, and is the only one who reaches it."""
    canaries = of_kind(objects, "Canary")
    port = int(re.search(r'define "golden.flaggerPort" -}}(\d+)', sources.chart_text("templates/_components.tpl"))[1])
    for thing in canaries:
        for hook in thing["spec"]["analysis"]["webhooks"]:
            if f"-release-gate.{thing['metadata']['namespace']}.svc:{port}/flagger/" not in hook["url"]:
                yield thing, f"asks {hook['url']}"
    for thing in of_kind(objects, "NetworkPolicy"):
        for given in thing["spec"].get("ingress") or []:
            if port not in [entry["port"] for entry in given["ports"]]:
                continue
            inside = [peer for peer in given["from"] if "namespaceSelector" not in peer]
            if not canaries or inside or len(given["ports"]) > 1:
                yield thing, f"opens {port}, where the gate wants no token, to {given['from']}"


CHECKS = [flagger, ports, paths, variables, connections, call_graph, grace, consumers, metrics, *evidence.CHECKS]


def violations(objects):
    return policies.violations(objects, CHECKS)
