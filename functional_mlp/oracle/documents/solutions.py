"""Solutions as files."""

import os
from typing import Any

from functional_mlp.oracle.case import Case, declared_layer
from functional_mlp.oracle.documents.cases import VERSION, write_document
from functional_mlp.oracle.truth import Solution


def write_solution(path: str | os.PathLike[str], case: Case, solution: Solution) -> None:
    """Writes a solution in float64, its gradients in the layouts that the case declares; format as the suffix says.

    Raises:
        FileError: if it cannot be written.
    """
    document: dict[str, Any] = {"format": "functional-mlp/solution", "version": VERSION}
    if case.name:
        document["case"] = case.name
    if solution.loss is not None:
        document["loss"] = solution.loss
    document["params"] = [declared_layer(layer, case.weights_layout, case.bias_layout) for layer in solution.grads]
    for field in ("outputs", "pre_activations", "activations", "deltas", "ct_inputs"):
        document[field] = getattr(solution, field)
    write_document(path, document)
