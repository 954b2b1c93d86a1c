"""The vectors of single operations (layer norm, gated blocks, …), and whether an answer to one is right.

They stand in `data/operations`, one file per operation, beside the networks of `data`. Nothing is computed here: every
number was certified when the files were written (`python -m tools.vectorgen.operations`).
"""

import json
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any, NamedTuple

import numpy as np

from functional_mlp._checks import known_name
from functional_mlp.oracle.case import numbers
from functional_mlp.vectors.comparing import Mismatch, mismatch_of
from functional_mlp.vectors.reading import HELD

FOLDER = "data/operations"


class OperationVector(NamedTuple):
    """One question about an operation, and its answer.

    Attributes:
        id: operation/name/precision.
        comment: what is special about it.
        operation: of `functional_mlp.operations`, such as "layer_norm".
        precision: what a program computes in to be allowed these errors; every number of the question is one of it.
        settings: numbers by name, such as epsilon.
        arguments: arrays by name in the order of the operation, float64, x (rows, units); a mask holds booleans.
        ct_y: dLoss/dy, float64, shape of y.
        expected: the true y, and ct_x, ct_weight, … of every argument of numbers, correctly rounded to float64.
        allowed: by the same names, the largest error of each entry that rounding in this precision explains.
    """

    id: str
    comment: str
    operation: str
    precision: str
    settings: dict[str, float]
    arguments: dict[str, np.ndarray]
    ct_y: np.ndarray
    expected: dict[str, np.ndarray]
    allowed: dict[str, np.ndarray]


def operation_names() -> tuple[str, ...]:
    """The operations that have vectors, in alphabetical order."""
    files = (entry.name for entry in resources.files("functional_mlp.vectors").joinpath(FOLDER).iterdir())
    return tuple(sorted(name.removesuffix(".json") for name in files if name.endswith(".json")))


def read_operation_document(operation: str) -> dict[str, Any]:
    """The vectors of an operation as they stand in their file.

    Raises:
        TypeError, ValueError: for an operation that has none.
    """
    known_name("operation", operation, operation_names())
    file = resources.files("functional_mlp.vectors").joinpath(f"{FOLDER}/{operation}.json")
    document: dict[str, Any] = json.loads(file.read_text())
    return document


def read_operation_vectors(operation: str | None = None, precision: str | None = None) -> Iterator[OperationVector]:
    """The vectors of one operation, or of all.

    Args:
        operation: such as "layer_norm"; None: all.
        precision: what a program computes in: the vectors whose numbers this format holds; None: all.

    Raises:
        TypeError, ValueError: for names that there are not.

    Example:
        >>> vector = next(read_operation_vectors("residual", "float32"))
        >>> vector.operation, sorted(vector.expected)
        ('residual', ['ct_branch', 'ct_x', 'y'])
    """
    held = HELD["float64" if precision is None else known_name("precision", precision, HELD)]
    for name in operation_names() if operation is None else (operation,):
        for document in read_operation_document(name)["vectors"]:
            if document["precision"] in held:
                yield _vector(name, document)


def _vector(operation: str, document: Mapping[str, Any]) -> OperationVector:
    expected, allowed = (
        {name: np.array(array, np.float64) for name, array in document[field].items()}
        for field in ("expected", "allowed")
    )
    return OperationVector(
        id=document["id"],
        comment=document["comment"],
        operation=operation,
        precision=document["precision"],
        settings=dict(document["settings"]),
        arguments={name: _array(array) for name, array in document["arguments"].items()},
        ct_y=_array(document["ct_y"]),
        expected=expected,
        allowed=allowed,
    )


def _array(rows: Any) -> np.ndarray:
    array = np.array(rows)
    return array if array.dtype == bool else array.astype(np.float64)


def judge_operation(vector: OperationVector, answer: Mapping[str, Any]) -> Mismatch | None:
    """What is wrong with an answer; None if it is right.

    Args:
        vector: the question.
        answer: arrays by the names of `vector.expected`, those that were computed: y, ct_x, …

    Raises:
        TypeError: for what holds no numbers.
        ValueError: for a name that is not asked for, or nothing at all.
    """
    if not answer:
        raise ValueError(f"expected some of {', '.join(vector.expected)}, got nothing")
    for name, array in answer.items():
        known_name(f"result of {vector.operation}", name, vector.expected)
        got, expected = numbers(name, array), vector.expected[name]
        if got.shape != expected.shape:
            return Mismatch(name, f"expected shape {expected.shape}, got {got.shape}")
        mismatch = mismatch_of(name, got, expected, vector.allowed[name], np.zeros(()))
        if mismatch is not None:
            return mismatch
    return None
