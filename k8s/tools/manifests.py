"""Manifests that are written from the chart and committed: the plain ones in k8s/, and what each environment gets.

python3 k8s/tools/manifests.py          writes them
"""

import yaml

import rendering
from helm import ROOT

K8S = ROOT / "k8s"
GOLDEN = K8S / "tests/chart/golden"
HEAD = "# Written by `scripts/chart render` from k8s/charts/golden and k8s/plain-values.yaml. Change those instead.\n"
# File -> which objects are in it: by kind, then by component.
FILES = {
    "orchestrator-deployment.yaml": ("orchestrator", "ingress"),
    "peer-hub-deployment.yaml": ("peer-hub",),
    "supervisor-deployment.yaml": ("supervisor",),
    "sandbox-deployment.yaml": ("sandbox-executor",),
    "workers-deployment.yaml": ("dlq-worker", "agent"),
    "release-gate-deployment.yaml": ("release-gate",),
    "database-jobs.yaml": ("database",),
    "namespace.yaml": ("namespace", "default-deny", "dns"),
}
SCALERS = ("HorizontalPodAutoscaler", "PrometheusRule")
# What comes with files of its own in the chart, which would only be compared with itself.
COPIES = ("PrometheusRule",)
# Labels and annotations that speak to Helm and to Argo CD.
TOOLS = ("helm.sh/", "argocd.argoproj.io/")
# Objects that are made by `helm test` or by Helm's own events.
HELM_ONLY = ("golden-backup-pre-upgrade", "golden-backup-pre-delete")


def file_of(thing):
    """The plain manifest that an object belongs to; None for what only Helm needs."""
    component = thing["metadata"]["labels"]["app.kubernetes.io/component"]
    if component == "test" or thing["metadata"]["name"] in HELM_ONLY:
        return None
    # The customer's checklist imports the alert rules from there, too.
    if thing["kind"] in SCALERS:
        return "hpa-configs.yaml"
    if component == "prometheus" or thing["kind"] == "ServiceMonitor":
        return "prometheus.yaml"
    for name, components in FILES.items():
        if component in components or (component.startswith("agent") and "agent" in components):
            return name
    raise ValueError(f"{rendering.identity(thing)} belongs to no file")


def without_helm(thing):
    """The object as somebody would write it who has no Helm."""
    metadata = dict(thing["metadata"])
    for field in ("labels", "annotations"):
        kept = {name: value for name, value in metadata.get(field, {}).items() if not name.startswith(TOOLS)}
        if kept:
            metadata[field] = kept
        else:
            metadata.pop(field, None)
    metadata["labels"]["app.kubernetes.io/managed-by"] = "kubectl"
    changed = thing | {"metadata": metadata}
    template = changed.get("spec", {}).get("template") if thing["kind"] in ("Deployment", "StatefulSet", "Job") else None
    if thing["kind"] == "CronJob":
        template = changed["spec"]["jobTemplate"]["spec"]["template"]
    if template:
        template["metadata"]["labels"].pop("helm.sh/chart", None)
        template["metadata"]["labels"]["app.kubernetes.io/managed-by"] = "kubectl"
    return changed


def namespace_object(name):
    """The namespace itself, which Helm and Argo CD make on their own."""
    managed = rendering.application("prod")["spec"]["syncPolicy"]["managedNamespaceMetadata"]["labels"]
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": managed}}


def plain():
    """File name -> objects, for `kubectl apply -f k8s/<file>`."""
    images = rendering.application("prod")["spec"]["source"]["helm"]["valuesObject"]
    objects = rendering.render(rendering.merged(rendering.load(K8S / "plain-values.yaml"), images))
    files = {name: [] for name in [*FILES, "hpa-configs.yaml", "prometheus.yaml"]}
    for thing in objects:
        name = file_of(thing)
        if name:
            files[name].append(without_helm(thing))
    files["namespace.yaml"].insert(0, namespace_object(objects[0]["metadata"]["namespace"]))
    return files


def golden(environment):
    """What an environment gets, without the files that are copied as they are."""
    return [
        thing
        for thing in rendering.environment_objects(environment)
        if thing["kind"] not in COPIES and "grafana_dashboard" not in thing["metadata"]["labels"]
    ]


def text(objects):
    return yaml.dump_all(objects, Dumper=Readable, sort_keys=False, width=120, explicit_start=True)


class Readable(yaml.SafeDumper):
    """Several lines as several lines, and no references between objects."""

    def ignore_aliases(self, data):
        return True


def _string(dumper, data):
    return dumper.represent_scalar("tag:yaml.org,2002:str", data, style="|" if "\n" in data else None)


Readable.add_representer(str, _string)


def write():
    for name, objects in plain().items():
        (K8S / name).write_text(HEAD + text(objects), encoding="utf-8")
    GOLDEN.mkdir(parents=True, exist_ok=True)
    for environment in rendering.ENVIRONMENTS:
        (GOLDEN / f"{environment}.yaml").write_text(text(golden(environment)), encoding="utf-8")


if __name__ == "__main__":
    write()
