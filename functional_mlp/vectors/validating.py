"""The schema of the vectors: whether a group's file is one."""

import json
from functools import cache
from importlib import resources
from typing import Any

import jsonschema  # type: ignore[import-untyped]
from referencing import Registry, Resource

from functional_mlp.oracle.files import validator


@cache
def group_validator() -> Any:
    """The JSON Schema validator of a group's file; cases and answers are checked by their own schemas."""
    text = resources.files("functional_mlp.vectors").joinpath("schemas/vectors.schema.json").read_text()
    kinds = ("case", "gradients", "update")
    registry: Any = Registry().with_resources(
        [(f"functional-mlp/{kind}", Resource.from_contents(validator(kind).schema)) for kind in kinds]
    )
    return jsonschema.Draft202012Validator(json.loads(text), registry=registry)


def validate(document: dict[str, Any]) -> None:
    """Raises ValueError unless a document is a group of vectors: the sentence names the place."""
    error = next(group_validator().iter_errors(document), None)
    if error is not None:
        place = ".".join(map(str, error.absolute_path))
        raise ValueError(f"{document.get('group')}: {place[:120]}: {error.message[:300]}")
