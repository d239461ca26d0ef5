"""Values of each environment, and what Helm makes of them."""

import functools
import pathlib
import sys

import yaml

from helm import CHART, NAMESPACE, ROOT, Helm, HelmError

ENVIRONMENTS = ("dev", "staging", "prod")
TEST_DIGEST = "sha256:" + "7e57" * 16


def merged(base, over):
    """Two trees of values, the second laid over the first, as Helm does."""
    if isinstance(base, dict) and isinstance(over, dict):
        return base | {key: merged(base[key], value) if key in base else value for key, value in over.items()}
    return over


def load(path):
    return yaml.safe_load(pathlib.Path(path).read_text(encoding="utf-8"))


def documents(path):
    return [thing for thing in yaml.safe_load_all(pathlib.Path(path).read_text(encoding="utf-8")) if thing]


def application(environment):
    things = documents(ROOT / f"k8s/environments/{environment}/argocd-applications.yaml")
    return next(thing for thing in things if thing["kind"] == "Application")


def values(environment, chart=CHART):
    """What Argo CD gives Helm for an environment."""
    return merged(
        load(chart / f"values-{environment}.yaml"), application(environment)["spec"]["source"]["helm"]["valuesObject"]
    )


def bare(**over):
    """The chart's own defaults, with digests, and what is given laid over them."""
    images = {name: {"digest": TEST_DIGEST} for name in load(CHART / "values.yaml")["images"]}
    return merged({"images": images}, over)


def parse(release):
    """Every object of a release, hooks included, in the order of the templates, each with where it came from."""
    texts = [part for part in release["manifest"].split("\n---\n") if part.strip()]
    texts += [hook["manifest"] for hook in release["hooks"]]
    things = [yaml.safe_load(text) for text in texts]
    return sorted((thing for thing in things if thing), key=identity)


def identity(thing):
    return (thing["kind"], thing["metadata"]["name"])


def render(over, chart=CHART, namespace=NAMESPACE):
    """The objects of a first install with these values; what only the machine refused is tried again."""
    for last in (False, False, True):
        helm = Helm(namespace)
        try:
            return parse(helm.install(over, chart=chart))
        except HelmError as error:
            if last or error.refuses_the_chart:
                raise
            print(f"Helm is tried again: {error}", file=sys.stderr)
        finally:
            helm.close()


@functools.cache
def environment_objects(environment):
    """The objects of an environment; callers must not change them."""
    namespace = application(environment)["spec"]["destination"]["namespace"]
    return render(values(environment), namespace=namespace)
