"""Parameters and gradients as programs keep them: lists, dicts and objects, from and to (weights, bias) pairs.

Nothing is computed, turned or reshaped: a transposed matrix stays one, and the oracle says so.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from functional_mlp.oracle.case.paths import layer_path

WEIGHTS = ("w", "ws", "weight", "weights", "kernel", "kernels", "coef", "coefs")
BIASES = ("b", "bs", "bias", "biases", "intercept", "intercepts")
GRADIENT = re.compile(r"^(?:d|grad|grads|gradient|gradients|g)_?(?=[a-z])|_?(?:grad|grads|gradient|gradients)$")
NUMBERED = re.compile(r"^(.*?)_?(\d+)$")


def pairs_of(source: Any) -> list[tuple[Any, Any]]:
    """Gradients, or parameters, as a list of (weights, bias) pairs, from one of the forms in which people keep them.

    Args:
        source: one of
            - a list of pairs, [(W1, b1), (W2, b2)];
            - weights and biases in turn, [W1, b1, W2, b2];
            - two lists, ([W1, W2], [b1, b2]), in either order;
            - a mapping, or an object with attributes, of numbered names, such as W1 and b1, or dW1 and db1;
            - a mapping, or an object with attributes, of two lists, such as weights and biases, or dW and db;
            - a mapping of names of modules, such as fc1.weight and fc1.bias, in the order of the layers.
            Capitals do not matter, nor do underscores before numbers. Where names of gradients (dW1, grad_W1, W1_grad)
            stand beside names of parameters (W1), the gradients are taken. Layers without a bias have None.

    Returns:
        A list of (weights, bias), the arrays being those that were given.

    Raises:
        ValueError: for what has none of these forms.

    Example:
        >>> pairs_of({"W1": "not looked at", "dW1": [[1.0]], "db1": [2.0]})
        [([[1.0]], [2.0])]
    """
    if isinstance(source, Mapping):
        return _from_names(source)
    if isinstance(source, Sequence) and not isinstance(source, str):
        return _from_sequence(source)
    if hasattr(source, "__dict__"):
        return _from_names(vars(source))
    raise ValueError(f"expected lists, a mapping or an object of weights and biases, got {type(source).__name__}")


def layers_in(given: Any, layers: int) -> Any:
    """What stands for each of so many layers, in the forms of `pairs_of`; or what was given, if it has none of them.

    Args:
        given: one entry per layer, as `weights_and_bias` takes it; or parameters or gradients in another form.
        layers: how many the network has, which tells [W1, W2] from [W1, b1].
    """
    if isinstance(given, Mapping) or (hasattr(given, "__dict__") and not hasattr(given, "__array__")):
        named = given if isinstance(given, Mapping) else vars(given)
        weights = [value for name, value in named.items() if _kind_of(str(name)) == "weights"]
        is_layer = isinstance(given, Mapping) or hasattr(given, "weights")
        if layers == 1 and is_layer and len(weights) == 1 and _is_matrix(weights[0]):
            return [given]
        try:
            return pairs_of(named)
        except ValueError:
            return given
    given = list(given) if isinstance(given, Iterator) else given
    if not isinstance(given, list | tuple):
        return given
    if len(given) == 2 and all(isinstance(part, list | tuple) and len(part) == layers for part in given):
        for weights, biases in (given, given[::-1]):
            if _are_two_lists(weights, biases):
                return _zipped(weights, biases)
    if len(given) == layers:
        return given
    if len(given) == 2 * layers:
        grouped = list(zip(given[:layers], given[layers:], strict=True))
        in_turn = list(zip(given[::2], given[1::2], strict=True))
        if all(_fit(*pair) for pair in grouped) and not all(_fit(*pair) for pair in in_turn):
            return grouped
        if all(_is_matrix(weights) for weights, _ in in_turn):
            return in_turn
    return given


def _are_two_lists(weights: Sequence[Any], biases: Sequence[Any]) -> bool:
    """Whether these are the weights of all layers and their biases, and not two layers."""
    are_layers = len(weights) == 2 and _fit(*weights) and _fit(*biases)
    return not are_layers and all(_fit(*pair) for pair in zip(weights, biases, strict=True))


def names_of(params: Iterable[Any], weights: str = "W", bias: str = "b", first: int = 1) -> dict[str, Any]:
    """Parameters by numbered names, for programs that keep them so; the opposite of `pairs_of`.

    Args:
        params: (weights, bias) per layer.
        weights, bias: the names without their numbers.
        first: number of the first layer.

    Returns:
        A dict such as {"W1": …, "b1": …, "W2": …}; biases that are None are left out. `vars(model).update(…)` sets them
        as attributes.

    Example:
        >>> names_of([([[1.0]], [2.0])])
        {'W1': [[1.0]], 'b1': [2.0]}
    """
    named = {}
    for number, (layer_weights, layer_bias) in enumerate(params, first):
        named[f"{weights}{number}"] = layer_weights
        if layer_bias is not None:
            named[f"{bias}{number}"] = layer_bias
    return named


def _from_sequence(source: Sequence[Any]) -> list[tuple[Any, Any]]:
    if source and all(isinstance(item, tuple | list) and len(item) == 2 and _fit(*item) for item in source):
        return [(weights, bias) for weights, bias in source]
    if len(source) == 2 and all(isinstance(item, tuple | list) for item in source):
        return _zipped(*source)
    if source and len(source) % 2 == 0 and all(map(_fit, source[::2], source[1::2])):
        return list(zip(source[::2], source[1::2], strict=True))
    shapes = ", ".join(str(np.shape(item)) if hasattr(item, "shape") else type(item).__name__ for item in source)
    raise ValueError(f"expected [(W1, b1), …], [W1, b1, …] or ([W1, …], [b1, …]), got a list of {shapes or 'nothing'}")


def _fit(weights: Any, bias: Any) -> bool:
    """Whether the shapes may be those of weights and bias of one layer, in either layout."""
    try:
        shape, bias_shape = np.shape(weights), np.shape(bias)
    except ValueError:  # ragged
        return False
    if len(shape) != 2:
        return False
    rows, columns = shape
    return bias is None or bias_shape in ((rows,), (columns,), (1, columns), (rows, 1))


def _zipped(weights: Sequence[Any], biases: Sequence[Any] | None) -> list[tuple[Any, Any]]:
    biases = [None] * len(weights) if biases is None else biases
    if len(weights) != len(biases):
        raise ValueError(f"expected as many biases as weights, got {len(biases)} for {len(weights)}")
    return list(zip(weights, biases, strict=True))


def _kind_of(name: str) -> str:
    """The field that a name such as W or db stands for, "weights" or "bias"; "" of others."""
    return _kind_of_stem(GRADIENT.sub("", name.lower(), count=1).strip("_"))


def _kind_of_stem(stem: str) -> str:
    return "weights" if stem in WEIGHTS else "bias" if stem in BIASES else ""


def _from_names(named: Mapping[str, Any]) -> list[tuple[Any, Any]]:
    """Pairs from numbered names, or from two names of lists."""
    gradients: dict[tuple[str, int], Any] = {}
    plain: dict[tuple[str, int], Any] = {}
    modules: dict[str, int] = {}  # of names such as fc1.weight, in their order
    for name, value in named.items():
        module, dot, last = str(name).rpartition(".")
        text = last.lower()
        bare = GRADIENT.sub("", text, count=1)
        numbered = NUMBERED.match(bare)
        stem, number = (GRADIENT.sub("", numbered[1]), int(numbered[2])) if numbered else (bare.strip("_"), -1)
        kind = _kind_of_stem(stem)
        if dot and kind:
            number = modules.setdefault(module, len(modules))
        if kind:
            (plain if bare == text else gradients)[kind, number] = value
    found = gradients or plain
    numbers = sorted({number for kind, number in found if kind == "weights" and number >= 0})
    if numbers:
        return [(found["weights", number], found.get(("bias", number))) for number in numbers]
    if isinstance(found.get(("weights", -1)), list | tuple):
        return _zipped(found["weights", -1], found.get(("bias", -1)))
    raise ValueError(
        f"expected names such as W1 and b1, dW1 and db1, weights and biases, got {', '.join(map(str, named)) or 'none'}"
    )


# one layer


def weights_and_bias(what: str, layer: Any) -> tuple[Any, Any]:
    """The two parts of a layer, in whichever of the forms it is given that `canonical_layer` takes; either may be None.

    Raises:
        ValueError: for a mapping with other fields.
    """
    if isinstance(layer, dict):
        found = {_kind_of(str(name)): name for name in layer}
        if "" in found or "weights" not in found or len(found) < len(layer):
            raise ValueError(f"expected {what} to have the fields weights and bias, got {list(map(str, layer))}")
        return layer[found["weights"]], layer[found["bias"]] if "bias" in found else None
    if hasattr(layer, "weights"):
        return layer.weights, getattr(layer, "bias", None)
    if isinstance(layer, tuple | list) and len(layer) == 2 and not _are_rows(*layer):
        return layer[0], layer[1]
    return layer, None


def pairs_in(params: Iterable[Any]) -> list[tuple[Any, Any]]:
    """Weights and bias of every layer, as they were given; errors as `weights_and_bias`."""
    return [weights_and_bias(layer_path(i), layer) for i, layer in enumerate(params)]


def _are_rows(first: Any, second: Any) -> bool:
    """Whether two things are the rows of a matrix, and not weights and bias."""
    if first is None or second is None or _is_matrix(first):
        return False
    return _length(first) == _length(second)


def _length(row: Any) -> int:
    return len(row) if isinstance(row, list | tuple) or np.ndim(row) else -1


def _is_matrix(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return len(value) > 0 and (isinstance(value[0], list | tuple) or np.ndim(value[0]) == 1)
    return np.ndim(value) == 2
