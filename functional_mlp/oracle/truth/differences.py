"""A second derivation that compiles nothing: differences of the value, along random directions of every array.

    (L(x + h d) - L(x - h d)) / 2h = sum of g d

to within h^2 and the rounding of L over h. There is a direction for every row and every column of a matrix, for every
sample, for every entry of a bias. What they confirm is confirmed, to a millionth of the norm of the terms in that row,
column or entry; what they do not may still be right, as at a kink, or where a gradient is tiny beside the value.
"""

from collections.abc import Iterator

import numpy as np

from functional_mlp._dtypes import Array
from functional_mlp.losses import penalty_value
from functional_mlp.oracle.case import Case
from functional_mlp.oracle.truth.passes import passes

STEP = 1e-5  # h, relative to the root mean square of an array
ENOUGH = 1e-6  # of the norm of the terms g d: so near are the two where they agree
MOST_WORK = 4e6  # numbers that the passes for one array compute; of more, compiling is worth its time, and memory
SEED = 20261130


def confirmed_by_differences(case: Case, grads: tuple[tuple[Array, Array | None], ...], ct_inputs: Array) -> bool:
    """Whether differences of the value are those that these gradients say, along all directions.

    Not where a whole array of gradients is 0, which differences cannot tell from what is lost beside the value, nor
    where an array takes more than `MOST_WORK`.

    Args:
        case: the question.
        grads: per layer (weights, bias), the penalty's included.
        ct_inputs: (n, n_0).
    """
    of_a_pass = len(case.inputs) * sum(case.network.sizes)
    if any(sum(array.shape) * (of_a_pass + array.size) > MOST_WORK for _, array, _ in _arrays(case, grads, ct_inputs)):
        return False
    random = np.random.default_rng(SEED)
    for name, array, gradient in _arrays(case, grads, ct_inputs):
        direction = random.normal(size=array.shape) * (np.sqrt(np.mean(np.square(array))) or 1.0)
        along = _slices(direction)
        terms = (gradient * along).reshape(len(along), -1)
        up, down = np.split(_values(case, name, np.concatenate([STEP * along, -STEP * along])), 2)
        with np.errstate(all="ignore"):
            sizes = np.linalg.norm(terms, axis=1)
            near = np.abs((up - down) / (2 * STEP) - terms.sum(axis=1)) <= ENOUGH * sizes
        if not (near.all() and np.isfinite(sizes).all() and np.isfinite(up).all() and sizes.any()):
            return False
    return True


def _slices(direction: Array) -> Array:
    """The parts (k, …) of a direction: along each index of each of its axes, and 0 elsewhere."""
    parts = []
    for axis, count in enumerate(direction.shape):
        shape = [1] * direction.ndim
        shape[axis] = count
        parts.append(np.eye(count).reshape(count, *shape) * direction)
    return np.concatenate(parts)


def _arrays(
    case: Case, grads: tuple[tuple[Array, Array | None], ...], ct_inputs: Array
) -> Iterator[tuple[str, Array, Array]]:
    """The name of each array, as `passes` knows it, the array, and its gradient."""
    yield "inputs", case.inputs, ct_inputs
    for i, (layer, (ct_weights, ct_bias)) in enumerate(zip(case.params, grads, strict=True)):
        yield f"weights[{i}]", layer.weights, ct_weights
        if layer.bias is not None and ct_bias is not None:
            yield f"bias[{i}]", layer.bias, ct_bias


def _values(case: Case, name: str, moved: Array) -> Array:
    """The value (k,), penalty included, where an array is moved by each of these (k, …)."""
    there = passes(case, {name: moved})
    if case.loss is None:
        value: Array = (there.outputs * case.ct_outputs).sum(axis=(1, 2))
        return value
    kind, _, rest = name.partition("[")
    if not (case.loss.penalises and rest):
        return np.asarray(there.loss + penalty_value(case.loss, case.params))
    at = int(rest[:-1])

    def penalty(distance: Array) -> float:
        layer = case.params[at]._replace(**{kind: getattr(case.params[at], kind) + distance})
        return float(penalty_value(case.loss, [*case.params[:at], layer, *case.params[at + 1 :]]))  # type: ignore[arg-type]

    return np.asarray(there.loss + [penalty(distance) for distance in moved])
