"""Paths of leaves, such as "params[0].weights": how they are written, and what they name."""

from typing import Any

from functional_mlp._dtypes import Array
from functional_mlp.oracle.case.case import Case


def by_path(answer: Any) -> dict[str, Any]:
    """Every array of an answer that may be judged, by path, such as "params[0].weights".

    Args:
        answer: a `Solution`, or anything else with `grads`, `loss`, `outputs`, `deltas` and `ct_inputs`.
    """
    arrays = {
        f"params[{i}].{name}": leaf
        for i, layer in enumerate(answer.grads)
        for name, leaf in layer._asdict().items()
        if leaf is not None
    }
    if answer.loss is not None:
        arrays["loss"] = answer.loss
    arrays["outputs"] = answer.outputs
    arrays |= {f"deltas[{i}]": delta for i, delta in enumerate(answer.deltas)}
    return arrays | {"ct_inputs": answer.ct_inputs}


def layer_of(path: str) -> int:
    """The layer that an array belongs to; -1 for those of no layer."""
    return int(path[path.index("[") + 1 : path.index("]")]) if "[" in path else -1


def parameter_of(case: Case, path: str) -> Array:
    """The parameter that a path such as "params[0].bias" names."""
    number, _, name = path.removeprefix("params[").partition("].")
    parameter: Array = getattr(case.params[int(number)], name)
    return parameter
