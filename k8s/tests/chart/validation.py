"""Whether objects are what their kinds may be: Kubernetes' own by its published schemas, the rest by schemas.yaml."""

import functools
import json
import pathlib

import jsonschema
import kubernetes_validate
import yaml

KUBERNETES = "1.34"
FILE = pathlib.Path(__file__).with_name("schemas.yaml")
# What every object may say of itself.
METADATA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", "maxLength": 253},
        "namespace": {"type": "string"},
        "labels": {"type": "object", "additionalProperties": {"type": "string", "maxLength": 63}},
        "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}


@functools.cache
def custom_schemas():
    schemas = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    definitions = schemas.pop("$defs")
    return {
        name: jsonschema.Draft7Validator(
            {
                "$defs": definitions,
                "type": "object",
                "additionalProperties": False,
                "required": ["apiVersion", "kind", "metadata", "spec"],
                "properties": {"apiVersion": {}, "kind": {}, "metadata": METADATA, "spec": spec},
            }
        )
        for name, spec in schemas.items()
    }


def problems(thing):
    """What is wrong with one object; a kind that nobody knows is wrong, too."""
    return _problems(json.dumps(thing, sort_keys=True))


@functools.cache
def _problems(text):
    thing = json.loads(text)
    name = f"{thing['apiVersion']}/{thing['kind']}"
    if name in custom_schemas():
        return [f"{name} {error.json_path}: {error.message}" for error in custom_schemas()[name].iter_errors(thing)]
    try:
        jsonschema.validate(thing["metadata"], METADATA)
        kubernetes_validate.validate(thing, KUBERNETES, strict=True)
    except kubernetes_validate.SchemaNotFoundError:
        return [f"{name}: there is no schema for this kind"]
    except (kubernetes_validate.ValidationError, jsonschema.ValidationError) as error:
        return [f"{name} {thing['metadata'].get('name')}: {error.message}"]
    return []
