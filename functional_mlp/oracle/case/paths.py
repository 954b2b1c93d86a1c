"""Paths of leaves, such as "params[0].weights": the one spelling of them, and the one parser."""

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

FIELDS = ("weights", "bias")  # of a layer


class LeafPath(NamedTuple):
    """What a path names.

    Attributes:
        array: "params", "deltas", "loss", "outputs" or "ct_inputs".
        layer: -1 for arrays of no layer.
        field: "weights" or "bias" of parameters; "" of others.
    """

    array: str
    layer: int = -1
    field: str = ""


def layer_path(layer: int) -> str:
    """Of the parameters of a layer, such as "params[0]"."""
    return f"params[{layer}]"


def parameter_path(layer: int, field: str) -> str:
    """Of a parameter or its gradient, such as "params[0].weights"."""
    return f"params[{layer}].{field}"


def delta_path(layer: int) -> str:
    """Of dLoss/dz of a layer, such as "deltas[0]"."""
    return f"deltas[{layer}]"


def entry_path(path: str, index: Iterable[int]) -> str:
    """Of one entry of an array, such as "params[0].weights[1, 2]"."""
    return f"{path}[{', '.join(map(str, index))}]"


def tree_path(root: str, keys: Iterable[Any]) -> str:
    """Of a leaf of a tree of arrays, below the name of the tree: "params[0].weights".

    Args:
        root: the name.
        keys: as `jax.tree_util.tree_flatten_with_path` gives them: places of lists, keys of dicts, names of fields. The
            last two are spelled alike, since files do not tell them apart.
    """
    return root + "".join(map(_key_in_path, keys))


def _key_in_path(key: Any) -> str:
    named = next((getattr(key, field) for field in ("name", "key", "idx") if hasattr(key, field)), key)
    if isinstance(named, int) and not isinstance(named, bool):
        return f"[{named}]"
    return f".{named}" if isinstance(named, str) and named.isidentifier() else f"[{named!r}]"


def dotted_path(path: str) -> str:
    """The name of a path in files: "params.0.weights" for "params[0].weights"."""
    return re.sub(r"\[(?:'(.*?)'|(.*?))\]", lambda found: f".{found[1] or found[2]}", path)


def parse_path(path: str) -> LeafPath:
    """What a path names; nothing is said of whether there is such an array."""
    array, bracket, rest = path.partition("[")
    if not bracket:
        return LeafPath(array)
    layer, _, field = rest.partition("]")
    return LeafPath(array, int(layer), field.removeprefix("."))


def layer_of(path: str) -> int:
    """The layer that an array belongs to; -1 for those of no layer."""
    return parse_path(path).layer


def params_by_path(params: Iterable[Any]) -> dict[str, Any]:
    """Every array of parameters or their gradients, per layer (weights, bias), by path; a bias of None is left out."""
    return {
        parameter_path(i, field): leaf
        for i, layer in enumerate(params)
        for field, leaf in zip(FIELDS, layer, strict=True)
        if leaf is not None
    }


def by_path(answer: Any) -> dict[str, Any]:
    """Every array of an answer that may be judged, by path, such as "params[0].weights".

    Args:
        answer: a `Solution`, or anything else with `grads`, `loss`, `outputs`, `deltas` and `ct_inputs`.
    """
    arrays = params_by_path(answer.grads)
    if answer.loss is not None:
        arrays["loss"] = answer.loss
    arrays["outputs"] = answer.outputs
    arrays |= {delta_path(i): delta for i, delta in enumerate(answer.deltas)}
    return arrays | {"ct_inputs": answer.ct_inputs}
