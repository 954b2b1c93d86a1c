"""The schema of the vectors: whether a group's file is one."""

import json
from functools import cache
from importlib import resources
from typing import Any

import jsonschema  # type: ignore[import-untyped]
from referencing import Registry, Resource

from functional_mlp.oracle.documents import validator

FIELDS = ("expected", "expected_hex", "allowed")


@cache
def group_validator() -> Any:
    """The JSON Schema validator of a group's file; cases and answers are checked by their own schemas."""
    text = resources.files("functional_mlp.vectors").joinpath("schemas/vectors.schema.json").read_text()
    kinds = ("case", "gradients", "update")
    schemas = [validator(kind).schema for kind in kinds]
    registry: Any = Registry().with_resources([(own["$id"], Resource.from_contents(own)) for own in schemas])
    return jsonschema.Draft202012Validator(json.loads(text), registry=registry)


def validate(document: dict[str, Any]) -> None:
    """Raises ValueError unless a document is a group of vectors: the sentence names the place.

    Beyond the schema, the answers of a vector must have the shapes of its case.
    """
    error = next(group_validator().iter_errors(document), None)
    if error is not None:
        place = ".".join(map(str, error.absolute_path))
        raise ValueError(f"{document.get('group')}: {place[:120]}: {error.message[:300]}")
    for vector in document["vectors"]:
        params = _shape(vector["case"]["params"])
        update = [{field: {"params": vector["update"][field]} for field in FIELDS}] if "update" in vector else []
        for answer in (vector, *vector.get("alternatives", ()), *update):
            shapes = [_shape(answer[field]) for field in FIELDS]
            if len(set(map(str, shapes))) > 1 or shapes[0]["params"] != params:
                raise ValueError(f"{document['group']}: {vector['id']}: expected arrays of the shapes of the case")


def _shape(value: Any) -> Any:
    """A tree with lengths in place of rows of numbers."""
    if isinstance(value, dict):
        return {name: _shape(item) for name, item in value.items() if item is not None or name == "loss"}
    if isinstance(value, list):
        return [_shape(item) for item in value] if isinstance(value[0], dict | list) else len(value)
    return None
