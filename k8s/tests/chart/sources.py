"""What the services really use, read from their sources: ports, settings, stores, streams, metrics, routes."""

import functools
import re

import yaml

from helm import CHART, ROOT

SOURCES = ROOT / "Sources"
# Component of the chart -> where its service's sources are.
SERVICES = {
    "orchestrator": "Services/Orchestrator",
    "peer-hub": "Services/PeerHub",
    "supervisor": "Services/Supervisor",
    "sandbox-executor": "Services/SandboxExecutor",
    "dlq-worker": "Services/DLQWorker",
    "release-gate": "ReleaseGate",
}
AGENT = "Services/AgentWorker"
# Settings of how the process runs, which are not read as settings of ours.
RUNTIME = {"GLIBC_TUNABLES"}
# Read by every process.
BASE = {"GOLDEN_LOG_LEVEL", "GOLDEN_OTLP_ENDPOINT"}


def folder(name):
    return SOURCES / (AGENT if name == "agent" else SERVICES[name])


@functools.cache
def text(path):
    return (SOURCES / path).read_text(encoding="utf-8")


@functools.cache
def code(name):
    """All of a service's Swift without its comments, in which settings are only spoken of."""
    parts = [path.read_text(encoding="utf-8") for path in sorted(folder(name).rglob("*.swift"))]
    if not parts:
        raise FileNotFoundError(f"{folder(name)} holds no sources of {name}: mend SERVICES.")
    return "\n".join(line for part in parts for line in part.splitlines() if not line.lstrip().startswith("///"))


def quoted_settings(swift):
    return set(re.findall(r'"(GOLDEN_[A-Z0-9_]+)"', swift))


@functools.cache
def settings(name):
    """Every setting that a service reads."""
    found = quoted_settings(code(name)) | BASE
    if "BusSettings(" in code(name):
        found |= quoted_settings(text("MessageBus/BusSettings.swift"))
    return found


def default(name, setting):
    """The number that a setting has unless it is set."""
    match = re.search(rf'"{setting}", default: (\d[\d_]*)', code(name))
    return int(match[1].replace("_", "")) if match else None


def needs(name):
    """store -> "required", "shared" or "" as the sources say."""
    read = settings(name)
    redis = ""
    if "GOLDEN_REDIS_URL" in read:
        redis = "shared" if re.search(r'optionalURL\("GOLDEN_REDIS_URL"\)', code(name)) else "required"
    return {"postgres": "GOLDEN_POSTGRES_URL" in read, "nats": "GOLDEN_NATS_URL" in read, "redis": redis}


def stop_seconds():
    """What runServices takes at most: the drain, and the cancellation after it."""
    swift = text("Bootstrap/Lifecycle/RunServices.swift")
    parts = [
        re.search(rf"{part}: Duration = \.seconds\((\d+)\)", swift) for part in ("drainTimeout", "cancellationTimeout")
    ]
    return tuple(int(part[1]) for part in parts)


def agent_margin_seconds():
    return int(re.search(r"shutdownMargin: Duration = \.seconds\((\d+)\)", code("agent"))[1])


@functools.cache
def consumers():
    """(stream, consumer) of every durable consumer that is there from the start."""
    swift = text("MessageBus/BusTopology.swift")
    streams = dict(re.findall(r'case (\w+) = "([A-Z_]+)"', swift))
    found = re.findall(r'Consumer\(\s*stream: \.(\w+), name: "([^"]+)"', swift)
    return {(streams[stream], name) for stream, name in found if "\\(" not in name}


@functools.cache
def work_consumer():
    """(stream, beginning of the name) of the consumers that come with their role."""
    swift = text("MessageBus/BusTopology.swift")
    streams = dict(re.findall(r'case (\w+) = "([A-Z_]+)"', swift))
    stream, name = re.search(r'Consumer\(\s*stream: \.(\w+), name: "([^"\\]+)\\\(role\)"', swift).groups()
    return streams[stream], name


@functools.cache
def metrics():
    """Every metric's name, with what it is."""
    found = {}
    for path in SOURCES.rglob("*.swift"):
        for kind, name in re.findall(
            r'\b(counter|gauge|histogram|reading)\(\s*"([a-z_]+)"', path.read_text(encoding="utf-8")
        ):
            found[name] = kind
    return found


@functools.cache
def routes():
    """The first segment of every route."""
    found = set()
    for path in SOURCES.rglob("*.swift"):
        if "ReleaseGate" in path.parts:
            continue
        for route in re.findall(r'\.(?:get|post|put|delete|patch),\s*"(/[^"]*)"', path.read_text(encoding="utf-8")):
            found.add("/" + route.split("/")[1])
    return found


@functools.cache
def chart_text(path):
    return (CHART / path).read_text(encoding="utf-8")


@functools.cache
def facts():
    """The chart's own table of what each program is."""
    template = (CHART / "templates/_components.tpl").read_text(encoding="utf-8")
    return yaml.safe_load(re.search(r'define "golden.facts" -}}\n(.*?)\n{{- end }}', template, re.DOTALL)[1])
