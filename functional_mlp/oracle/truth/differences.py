"""A second derivation that compiles nothing: differences of the value, along one random direction of every array.

    (L(x + h d) - L(x - h d)) / 2h = sum of g d

to within h^2 and the rounding of L over h. What they confirm is confirmed; what they do not may still be right, as at a
kink, or where a gradient is tiny beside the value.
"""

from collections.abc import Iterator

import numpy as np

from functional_mlp._dtypes import Array
from functional_mlp.losses import penalty_value
from functional_mlp.oracle.case import Case
from functional_mlp.oracle.truth.passes import passes

STEP = 1e-5  # h, relative to the root mean square of an array
ENOUGH = 1e-6  # of the norm of the terms g d: so near are the two where they agree
SEED = 20261130


def confirmed_by_differences(case: Case, grads: tuple[tuple[Array, Array | None], ...], ct_inputs: Array) -> bool:
    """Whether differences of the value are those that these gradients say, along a direction of every array.

    Args:
        case: the question.
        grads: per layer (weights, bias), the penalty's included.
        ct_inputs: (n, n_0).
    """
    random = np.random.default_rng(SEED)
    for name, array, gradient in _arrays(case, grads, ct_inputs):
        direction = random.normal(size=array.shape) * (np.sqrt(np.mean(np.square(array))) or 1.0)
        terms = gradient * direction
        up, down = _values(case, name, np.stack([STEP * direction, -STEP * direction]))
        if not abs((up - down) / (2 * STEP) - terms.sum()) <= ENOUGH * np.linalg.norm(terms):
            return False
    return True


def _arrays(
    case: Case, grads: tuple[tuple[Array, Array | None], ...], ct_inputs: Array
) -> Iterator[tuple[str, Array, Array]]:
    """The name of each array, as `passes` knows it, the array, and its gradient."""
    yield "inputs", case.inputs, ct_inputs
    for i, (layer, (ct_weights, ct_bias)) in enumerate(zip(case.params, grads, strict=True)):
        yield f"weights[{i}]", layer.weights, ct_weights
        if layer.bias is not None and ct_bias is not None:
            yield f"bias[{i}]", layer.bias, ct_bias


def _values(case: Case, name: str, moved: Array) -> list[float]:
    """The value, penalty included, where an array is moved by each of these."""
    there = passes(case, {name: moved})
    if case.loss is None:
        return [float(value) for value in (there.outputs * case.ct_outputs).sum(axis=(1, 2))]
    kind, _, rest = name.partition("[")
    at = int(rest[:-1]) if rest else -1
    values = []
    for value, distance in zip(there.loss, moved, strict=True):
        params = [
            layer if i != at else layer._replace(**{kind: getattr(layer, kind) + distance})
            for i, layer in enumerate(case.params)
        ]
        values.append(float(value + penalty_value(case.loss, params)))
    return values
