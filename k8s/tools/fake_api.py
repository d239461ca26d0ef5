"""A Kubernetes API in memory: discovery, create, read, update, patch, delete, and watches that show what is there.

Enough for Helm's real engine to install and upgrade without a cluster. Nothing runs: a Job is complete as soon as it is
made, a Pod has succeeded, so that Helm goes on after its hooks.
"""

import contextlib
import json
import re
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# API group and version -> plural -> (kind, namespaced)
RESOURCES = {
    "v1": {
        "configmaps": ("ConfigMap", True),
        "limitranges": ("LimitRange", True),
        "namespaces": ("Namespace", False),
        "persistentvolumeclaims": ("PersistentVolumeClaim", True),
        "pods": ("Pod", True),
        "resourcequotas": ("ResourceQuota", True),
        "secrets": ("Secret", True),
        "serviceaccounts": ("ServiceAccount", True),
        "services": ("Service", True),
    },
    "admissionregistration.k8s.io/v1": {
        "validatingadmissionpolicies": ("ValidatingAdmissionPolicy", False),
        "validatingadmissionpolicybindings": ("ValidatingAdmissionPolicyBinding", False),
    },
    "apps/v1": {"deployments": ("Deployment", True), "statefulsets": ("StatefulSet", True)},
    "argoproj.io/v1alpha1": {
        "analysistemplates": ("AnalysisTemplate", True),
        "rollouts": ("Rollout", True),
    },
    "autoscaling/v2": {"horizontalpodautoscalers": ("HorizontalPodAutoscaler", True)},
    "batch/v1": {"cronjobs": ("CronJob", True), "jobs": ("Job", True)},
    "cert-manager.io/v1": {"certificates": ("Certificate", True)},
    "external-secrets.io/v1": {"externalsecrets": ("ExternalSecret", True)},
    "flagger.app/v1beta1": {"canaries": ("Canary", True), "metrictemplates": ("MetricTemplate", True)},
    "keda.sh/v1alpha1": {"scaledobjects": ("ScaledObject", True)},
    "monitoring.coreos.com/v1": {
        "prometheuses": ("Prometheus", True),
        "prometheusrules": ("PrometheusRule", True),
        "servicemonitors": ("ServiceMonitor", True),
    },
    "networking.k8s.io/v1": {"ingresses": ("Ingress", True), "networkpolicies": ("NetworkPolicy", True)},
    "node.k8s.io/v1": {"runtimeclasses": ("RuntimeClass", False)},
    "policy/v1": {"poddisruptionbudgets": ("PodDisruptionBudget", True)},
    "rbac.authorization.k8s.io/v1": {"rolebindings": ("RoleBinding", True), "roles": ("Role", True)},
    "snapshot.storage.k8s.io/v1": {"volumesnapshots": ("VolumeSnapshot", True)},
}
VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]


def resource_list(group_version):
    """What discovery answers for one group and version."""
    resources = [
        {"name": plural, "kind": kind, "namespaced": namespaced, "singularName": kind.lower(), "verbs": VERBS}
        for plural, (kind, namespaced) in RESOURCES[group_version].items()
    ]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources}


def openapi(path):
    """Says of every kind that the server validates fields itself, so that Helm asks for no schema; None elsewhere."""
    if path == "/openapi/v3":
        roots = {("api/" if "/" not in version else "apis/") + version: version for version in RESOURCES}
        return {"paths": {root: {"serverRelativeURL": f"/openapi/v3/{root}"} for root in roots}}
    match = re.fullmatch(r"/openapi/v3/(api|apis)/(.+)", path)
    if not match or match[2] not in RESOURCES:
        return None
    group, _, version = match[2].rpartition("/")
    paths = {}
    for plural, (kind, _) in RESOURCES[match[2]].items():
        patch = {
            "parameters": [{"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}],
            "x-kubernetes-group-version-kind": {"group": group, "version": version, "kind": kind},
            "responses": {"200": {"description": "OK"}},
        }
        paths[f"/{match[1]}/{match[2]}/namespaces/{{namespace}}/{plural}/{{name}}"] = {"patch": patch}
    return {"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "v1.34.0"}, "paths": paths}


def merge(into, patch):
    """RFC 7396, which is close enough to a strategic merge for objects that were made a moment ago."""
    for key, value in patch.items():
        if value is None:
            into.pop(key, None)
        elif isinstance(value, dict) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = value


def finished(thing):
    """The thing with the status it would have had when its pods had run to their end."""
    now = "2026-01-01T00:00:00Z"
    if thing.get("kind") == "Job":
        conditions = [{"type": kind, "status": "True"} for kind in ("SuccessCriteriaMet", "Complete")]
        thing["status"] = {"succeeded": 1, "conditions": conditions, "startTime": now, "completionTime": now}
    if thing.get("kind") == "Pod":
        thing["status"] = {"phase": "Succeeded", "conditions": [{"type": "Ready", "status": "False"}]}
    return thing


class Server(ThreadingHTTPServer):
    daemon_threads = True
    # Helm opens a connection for each watch at once; five, Python's own number, can be full on a slow machine.
    request_queue_size = 128


class FakeAPI:
    """Serves on a free port of the loopback until it is closed."""

    def __init__(self):
        self.objects = {}
        self.created = []
        self.lock = threading.Lock()
        self.closing = threading.Event()
        self.server = Server(("127.0.0.1", 0), type("Handler", (Handler,), {"api": self}))
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def close(self):
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()

    def of_kind(self, kind):
        with self.lock:
            return [thing for thing in self.objects.values() if thing.get("kind") == kind]

    def clear(self):
        with self.lock:
            self.objects.clear()
            self.created.clear()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # One packet an answer, sent at once: Helm asks hundreds of times.
    wbufsize = 1 << 16
    disable_nagle_algorithm = True
    api = None

    def handle(self):
        # Helm hangs up on a watch that it has seen enough of.
        with contextlib.suppress(ConnectionError):
            super().handle()

    def finish(self):
        with contextlib.suppress(ConnectionError):
            super().finish()

    def log_message(self, *arguments):
        pass

    def answer(self, code, body):
        data = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def refuse(self, code, reason):
        self.answer(
            code,
            {
                "kind": "Status",
                "apiVersion": "v1",
                "status": "Failure",
                "reason": reason,
                "code": code,
                "message": f"{self.command} {self.path}: {reason}",
                "details": {},
            },
        )

    def discovery(self, path):
        if path == "/version":
            return {"major": "1", "minor": "34", "gitVersion": "v1.34.0"}
        if path == "/api":
            return {"kind": "APIVersions", "versions": ["v1"]}
        if path == "/apis":
            groups = []
            for group_version in RESOURCES:
                if "/" in group_version:
                    group, version = group_version.split("/")
                    entry = {"groupVersion": group_version, "version": version}
                    groups.append({"name": group, "versions": [entry], "preferredVersion": entry})
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
        if path.startswith("/openapi/v3"):
            return openapi(path)
        match = re.fullmatch(r"/(?:api/(v1)|apis/([^/]+/[^/]+))", path)
        group_version = match and (match[1] or match[2])
        return resource_list(group_version) if group_version in RESOURCES else None

    def selected(self, path, query):
        with self.api.lock:
            things = [dict(thing) for key, thing in self.api.objects.items() if key.rsplit("/", 1)[0] == path]
        for part in query.get("labelSelector", [""])[0].split(","):
            if "=" in part and "!" not in part:
                name, value = part.replace("==", "=").split("=", 1)
                things = [thing for thing in things if thing["metadata"].get("labels", {}).get(name) == value]
        for part in query.get("fieldSelector", [""])[0].split(","):
            if part.startswith("metadata.name="):
                things = [thing for thing in things if thing["metadata"]["name"] == part.split("=", 1)[1]]
        return things

    def watch(self, things, group_version, kind):
        """The things as events, the mark that those were all, then the end: who watches asks again."""
        events = [{"type": "ADDED", "object": thing} for thing in things]
        annotations = {"k8s.io/initial-events-end": "true"}
        mark = {
            "kind": kind,
            "apiVersion": group_version,
            "metadata": {"resourceVersion": "1", "annotations": annotations},
        }
        events.append({"type": "BOOKMARK", "object": mark})
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in events:
            line = json.dumps(event).encode() + b"\n"
            self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
        self.wfile.flush()
        # A watch that ends within a second is one that Helm complains about.
        self.api.closing.wait(1.5)
        self.wfile.write(b"0\r\n\r\n")

    def do_GET(self):
        path, _, text = self.path.partition("?")
        query = urllib.parse.parse_qs(text)
        found = self.discovery(path)
        if found is not None:
            return self.answer(200, found)
        with self.api.lock:
            thing = self.api.objects.get(path)
        if thing is not None:
            return self.answer(200, thing)
        plural = path.rsplit("/", 1)[-1]
        for group_version, resources in RESOURCES.items():
            if plural in resources:
                things = self.selected(path, query)
                if query.get("watch", ["false"])[0] in ("true", "1"):
                    return self.watch(things, group_version, resources[plural][0])
                return self.answer(
                    200,
                    {
                        "kind": resources[plural][0] + "List",
                        "apiVersion": group_version,
                        "metadata": {"resourceVersion": "1"},
                        "items": things,
                    },
                )
        return self.refuse(404, "NotFound")

    def body(self):
        return json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")

    def create(self, key, thing):
        with self.api.lock:
            if key in self.api.objects:
                return self.refuse(409, "AlreadyExists")
            self.api.created.append(json.loads(json.dumps(thing)))
            thing["metadata"].update(uid=f"uid-{len(self.api.created)}", resourceVersion="1")
            self.api.objects[key] = finished(thing)
        return self.answer(201, thing)

    def do_POST(self):
        thing = self.body()
        self.create(f"{self.path.partition('?')[0]}/{thing['metadata']['name']}", thing)

    def do_PUT(self):
        thing = self.body()
        with self.api.lock:
            self.api.objects[self.path.partition("?")[0]] = finished(thing)
        self.answer(200, thing)

    def do_PATCH(self):
        patch = self.body()
        path = self.path.partition("?")[0]
        with self.api.lock:
            thing = self.api.objects.get(path)
            if thing is not None:
                merge(thing, patch)
        if thing is None and "apply-patch" in self.headers.get("Content-Type", ""):
            return self.create(path, patch)
        if thing is None:
            return self.refuse(404, "NotFound")
        return self.answer(200, thing)

    def do_DELETE(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with self.api.lock:
            thing = self.api.objects.pop(self.path.partition("?")[0], None)
        if thing is None:
            return self.refuse(404, "NotFound")
        return self.answer(200, {"kind": "Status", "apiVersion": "v1", "status": "Success"})
