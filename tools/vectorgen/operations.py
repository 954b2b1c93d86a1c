"""Writes the vectors of single operations: functional_mlp/vectors/data/operations/*.json.

    python -m tools.vectorgen.operations           # all, some seconds
    python -m tools.vectorgen.operations --check   # nothing is written: exit code 1 if a file would change

As the other vectors: numbers are drawn without a mathematical library, expected ones are correctly rounded by
reference/operations.py. Allowed errors are bounds on what a program of the vector's precision may round
(`running_error.py`), rounded up: unlike noise floors they need no dice, and hold for sums in any order.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from importlib import resources
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import numpy as np

from functional_mlp.files import write_bytes
from reference.operations import certified_operation
from tools.vectorgen.certified import TELLING
from tools.vectorgen.documents import hexadecimal, plain_json, rounded_up
from tools.vectorgen.hazards.operations import RECIPES, OperationRecipe, recipes
from tools.vectorgen.hazards.recipes import UnfitError
from tools.vectorgen.making import FOLDER as OTHERS
from tools.vectorgen.making import text_of
from tools.vectorgen.running_error import allowed_errors

FOLDER = OTHERS / "operations"
RELEASE = "1.0.0"
GENERATOR = "functional-mlp, python -m tools.vectorgen.operations"
FORMULAS = {
    "layer_norm": "y = (x - m) / sqrt(v + epsilon) * weight + bias; m mean and v = mean((x - m)^2) of a row",
    "rms_norm": "y = x / sqrt(mean(x^2) + epsilon) * weight, the mean of a row",
    "swiglu": "y = (silu(x gate) * (x up)) down, silu(z) = z / (1 + exp(-z)), * number by number",
    "geglu": "y = (gelu(x gate) * (x up)) down, gelu(z) = z Phi(z), * number by number",
    "residual": "y = x + scale * branch",
    "dropout": "y = x / (1 - rate) where the mask is true, else 0",
}
COMMENTS = {
    "layer_norm": "Layer norm over the units of a row.",
    "rms_norm": "RMS norm over the units of a row.",
    "swiglu": "The gated feed-forward block with silu.",
    "geglu": "The gated feed-forward block with the exact gelu.",
    "residual": "The residual connection.",
    "dropout": "Dropout with a given mask.",
}


def made(recipe: OperationRecipe, precision: str) -> dict[str, Any]:
    """One vector, as plain JSON.

    Raises:
        UnfitError: where what is allowed hides what is asked.
    """
    arguments, ct_y = recipe.drawn(precision)
    truth = certified_operation(recipe.operation, arguments, ct_y, recipe.settings)
    names = ("y", *(f"ct_{name}" for name, array in arguments.items() if array.dtype != bool))
    allowed = allowed_errors(recipe.operation, arguments, ct_y, recipe.settings, precision)
    for name in names:
        if not np.isfinite(allowed[name]).all():
            raise UnfitError(f"nothing certain is known about {name} in {recipe.id(precision)}")
        if truth[name].any() and np.linalg.norm(allowed[name]) > TELLING * np.linalg.norm(truth[name]):
            raise UnfitError(f"the noise of {name} hides it in {recipe.id(precision)}")
    return plain_json(
        {
            "id": recipe.id(precision),
            "comment": recipe.comment,
            "precision": precision,
            "settings": dict(recipe.settings),
            "arguments": arguments,
            "ct_y": ct_y,
            "expected": {name: truth[name] for name in names},
            "expected_hex": {name: _each(truth[name], hexadecimal) for name in names},
            "allowed": {name: _each(allowed[name], rounded_up) for name in names},
        }
    )


def _each(array: np.ndarray, shown: Callable[[float], Any]) -> Any:
    return [_each(row, shown) for row in array] if array.ndim else shown(float(array))


def document(operation: str) -> dict[str, Any]:
    """The file of an operation."""
    vectors = [made(recipe, precision) for recipe in recipes(operation) for precision in recipe.precisions]
    head = {"format": "functional-mlp/operation-vectors", "version": 1, "release": RELEASE, "generator": GENERATOR}
    body = {"operation": operation, "comment": COMMENTS[operation], "formula": FORMULAS[operation]}
    return head | body | {"count": len(vectors), "vectors": vectors}


def validate(document: dict[str, Any]) -> None:
    """Raises ValueError unless a document is one of operation vectors; answers have the shapes of what they are of."""
    schema = resources.files("functional_mlp.vectors").joinpath("schemas/operations.schema.json").read_text()
    error = next(jsonschema.Draft202012Validator(json.loads(schema)).iter_errors(document), None)
    operation = document.get("operation")
    if error is not None:
        place = ".".join(map(str, error.absolute_path))
        raise ValueError(f"{operation}: {place[:120]}: {error.message[:300]}")
    for vector in document["vectors"]:
        shapes = {f"ct_{name}": np.shape(array) for name, array in vector["arguments"].items() if name != "mask"}
        shapes["y"] = np.shape(vector["ct_y"])
        for field in ("expected", "expected_hex", "allowed"):
            if {name: _shape(array) for name, array in vector[field].items()} != shapes:
                raise ValueError(f"{operation}: {vector['id']}: expected arrays of the shapes of the question")


def _shape(rows: Any) -> tuple[int, ...] | None:
    """Of nested lists; None if rows differ in length."""
    try:
        return np.shape(rows)
    except ValueError:
        return None


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes or compares the files; 0, or 1 if one differs."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.vectorgen.operations", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--check", action="store_true", help="write nothing; say whether a file would change")
    only_compared = parser.parse_args(arguments).check
    changed = []
    for name in RECIPES:
        file, path = document(name), FOLDER / f"{name}.json"
        validate(file)
        text = text_of(file).encode("ascii")
        if not path.exists() or path.read_bytes() != text:
            changed.append(name)
            if not only_compared:
                write_bytes(path, text)
    print(f"{'would change' if only_compared else 'written'}: {', '.join(changed) or 'nothing'}")
    return int(bool(changed) and only_compared)


if __name__ == "__main__":
    sys.exit(main())
