"""Solutions as files."""

import itertools
from typing import Any

import numpy as np

from functional_mlp._checks import finite_float
from functional_mlp.files import MAX_BYTES, FileError, Path_
from functional_mlp.oracle.case import (
    FIELDS,
    Case,
    Layout,
    as_rows,
    canonical_layer,
    declared_layer,
    layer_path,
    not_a_case,
    numbers,
    parameter_path,
    require_representable,
    require_shape,
)
from functional_mlp.oracle.documents.schema import VERSION, read_document, require_path, write_document
from functional_mlp.oracle.truth import Solution

BY_LAYER = ("pre_activations", "activations", "deltas")


def write_solution(path: Path_, case: Case, solution: Solution) -> None:
    """Writes a solution in float64, its gradients in the layouts that the case declares; format as the suffix says.

    Raises:
        FileError: if it cannot be written.
        TypeError: for arguments in another order.
    """
    require_path(path)
    if not isinstance(case, Case):
        raise not_a_case(case, "it is write_solution(path, case, solution)")
    if not isinstance(solution, Solution):
        raise TypeError(f"expected solution to be what oracle.solve returns, got {type(solution).__name__}")
    document: dict[str, Any] = {"format": "functional-mlp/solution", "version": VERSION}
    if case.name:
        document["case"] = case.name
    if solution.loss is not None:
        document["loss"] = solution.loss
    layout = case.layout
    document["params"] = [declared_layer(layer, layout) for layer in solution.grads]
    for field in ("outputs", *BY_LAYER, "ct_inputs"):
        value = getattr(solution, field)
        document[field] = [as_rows(part, layout) for part in value] if field in BY_LAYER else as_rows(value, layout)
    write_document(path, document)


def read_solution(path: Path_, case: Case | None = None, max_bytes: int = MAX_BYTES) -> Solution:
    """Reads a solution.

    Args:
        path: a .json, .npz or .safetensors file; "-" reads JSON from standard input.
        case: what it is of, which declares the layouts of its gradients; None: weights (fan_in, fan_out) and separate
            biases, as most cases declare.
        max_bytes: the largest file, and the largest unpacked content, that is accepted.

    Returns:
        What `solve` returned: arrays that cannot be written to, bit for bit.

    Raises:
        FileError: if the file cannot be read, or is no sound solution, or none of this case.
    """
    if case is not None and not isinstance(case, Case):
        raise not_a_case(case, "it is read_solution(path, case)")
    document, source = read_document(path, "solution", max_bytes), str(path)
    try:
        return _solution_of(document, case)
    except (TypeError, ValueError) as error:
        raise FileError(f"{source}: {error}") from error


def _solution_of(document: dict[str, Any], case: Case | None) -> Solution:
    """The solution that a checked document holds.

    Raises:
        TypeError, ValueError: for numbers that are not finite, and shapes that do not fit each other or the case.
    """

    def array(what: str, value: Any, shape: tuple[int, ...]) -> np.ndarray:
        found = as_rows(numbers(what, value), layout)
        require_shape(what, found, shape)
        return _frozen(what, np.ascontiguousarray(found))

    layout = Layout().settled() if case is None else case.layout
    if case is None:
        wide = [numbers("ct_inputs", document["ct_inputs"])]
        wide += [numbers(f"pre_activations[{i}]", z) for i, z in enumerate(document["pre_activations"])]
        shapes = [(len(np.atleast_1d(wide[0])), np.atleast_2d(found).shape[1]) for found in wide]
    else:
        shapes = [(len(case.inputs), size) for size in case.network.sizes]
    for name in ("params", *BY_LAYER):
        if len(document[name]) != len(shapes) - 1:
            raise ValueError(f"expected {name} of {len(shapes) - 1} layers, got {len(document[name])}")
    by_layer = {
        name: tuple(array(f"{name}[{i}]", document[name][i], shape) for i, shape in enumerate(shapes[1:]))
        for name in BY_LAYER
    }
    pairs = itertools.pairwise(size for _, size in shapes)
    grads = tuple(
        canonical_layer(layer_path(i), layer, shape, layout)
        for i, (layer, shape) in enumerate(zip(document["params"], pairs, strict=True))
    )
    for i, layer in enumerate(grads):
        for field, leaf in zip(FIELDS, layer, strict=True):
            if leaf is not None:
                _frozen(parameter_path(i, field), leaf)
    return Solution(
        loss=finite_float("loss", float(document["loss"])) if "loss" in document else None,
        outputs=array("outputs", document["outputs"], shapes[-1]),
        grads=grads,
        ct_inputs=array("ct_inputs", document["ct_inputs"], shapes[0]),
        **by_layer,
    )


def _frozen(what: str, array: np.ndarray) -> np.ndarray:
    require_representable(what, array, "float64")
    array.setflags(write=False)
    return array
