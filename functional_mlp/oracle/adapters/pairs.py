"""Parameters and gradients as NumPy programs keep them, from and to the oracle's (weights, bias) pairs.

Nothing is computed, turned or reshaped: a transposed matrix stays one, and the oracle says so.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

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
            - two lists, ([W1, W2], [b1, b2]);
            - a mapping, or an object with attributes, of numbered names, such as W1 and b1, or dW1 and db1;
            - a mapping, or an object with attributes, of two lists, such as weights and biases, or dW and db.
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


def _from_names(named: Mapping[str, Any]) -> list[tuple[Any, Any]]:
    """Pairs from numbered names, or from two names of lists."""
    gradients: dict[tuple[str, int], Any] = {}
    plain: dict[tuple[str, int], Any] = {}
    for name, value in named.items():
        text = str(name).lower()
        bare = GRADIENT.sub("", text, count=1)
        numbered = NUMBERED.match(bare)
        stem, number = (GRADIENT.sub("", numbered[1]), int(numbered[2])) if numbered else (bare.strip("_"), -1)
        kind = "weights" if stem in WEIGHTS else "bias" if stem in BIASES else ""
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
