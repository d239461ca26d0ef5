"""Rules for what Argo CD is told of each environment. Each yields (object, what is wrong), like policies.py."""

import re

from helm import CHART
from rendering import load

NAMESPACES = {"dev": "golden-architecture-dev", "staging": "golden-architecture-staging", "prod": "golden-architecture"}
BACKOFF = {"duration": "5s", "factor": 2}


def split(objects):
    application = next(thing for thing in objects if thing["kind"] == "Application")
    return application, next(thing for thing in objects if thing["kind"] == "AppProject")


def sync_policy(environment, objects):
    """B6, B8: dev and staging follow by themselves and never prune; prod is synced by hand; all retry three times."""
    application, project = split(objects)
    policy = application["spec"]["syncPolicy"]
    if environment == "prod":
        if policy.get("automated") is not None:
            yield application, "prod syncs by itself"
        windows = [one for one in project["spec"].get("syncWindows", []) if one["kind"] == "allow"]
        if not any(application["metadata"]["name"] in one["applications"] for one in windows):
            yield project, "prod has no maintenance window"
        # Prod is synced by hand alone, which this lets through at any time.
        if any(one.get("manualSync") for one in windows):
            yield project, "prod's maintenance window stops nobody"
    elif policy.get("automated") != {"prune": False, "selfHeal": True, "allowEmpty": False}:
        yield application, "does not follow by itself, or prunes"
    retry = policy.get("retry", {})
    if retry.get("limit") != 3 or {name: retry["backoff"][name] for name in BACKOFF} != BACKOFF:
        yield application, "does not retry 3 times after 5 s, 10 s, 20 s"


def namespaces(environment, objects):
    """B7, D7, A19: the environment's own namespace, made with the pod security standard's labels."""
    application, project = split(objects)
    if application["spec"]["destination"]["namespace"] != NAMESPACES[environment]:
        yield application, f"goes to {application['spec']['destination']['namespace']}"
    policy = application["spec"]["syncPolicy"]
    labels = policy.get("managedNamespaceMetadata", {}).get("labels", {})
    if "CreateNamespace=true" not in policy.get("syncOptions", []):
        yield application, "does not make its namespace"
    if any(labels.get(f"pod-security.kubernetes.io/{mode}") != "restricted" for mode in ("enforce", "audit", "warn")):
        yield application, "does not ask for restricted pods"
    if [one["namespace"] for one in project["spec"]["destinations"]] != [NAMESPACES[environment]]:
        yield project, "reaches other namespaces"


def pinned(environment, objects):
    """B2, D15: one exact version of the chart and every image by digest."""
    application, _ = split(objects)
    source = application["spec"]["source"]
    if not re.fullmatch(r"\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?", source["targetRevision"]):
        yield application, f"follows {source['targetRevision']}"
    images = source["helm"]["valuesObject"]["images"]
    if set(images) != set(load(CHART / "values.yaml")["images"]):
        yield application, "does not name every image"
    for name, image in images.items():
        if not re.fullmatch(r"sha256:[0-9a-f]{64}", image["digest"]):
            yield application, f"{name} has no digest"
    if source["helm"]["valueFiles"] != [f"values-{environment}.yaml"]:
        yield application, "takes another environment's values"


def projects(environment, objects):
    """B9: a project an environment, that may make what the chart makes and nothing else, and be synced by few."""
    application, project = split(objects)
    if (
        application["spec"]["project"] != project["metadata"]["name"]
        or project["metadata"]["name"] != f"golden-{environment}"
    ):
        yield application, "belongs to another project"
    if application["spec"]["source"]["repoURL"] not in project["spec"]["sourceRepos"]:
        yield project, "may not take the chart from where it is"
    for role in project["spec"]["roles"]:
        words = [policy.split(", ")[3] for policy in role["policies"]]
        if environment == "prod" and role["name"] != "release-manager" and words != ["get"]:
            yield project, f"{role['name']} may change prod"
        if not role.get("groups"):
            yield project, f"{role['name']} is nobody"


RULES = [sync_policy, namespaces, pinned, projects]


def violations(environment, objects):
    return [
        (rule.__name__, f"{thing['kind']}/{thing['metadata']['name']}", what)
        for rule in RULES
        for thing, what in rule(environment, objects)
    ]
