"""Plain objectives of a point, with hand-written gradients and known minima, and gradient descent on them.

Himmelblau's function f(x, y) = (x^2 + y - 11)^2 + (x + y^2 - 7)^2 has four minima of value 0.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from functional_mlp._checks import floating_array, positive_int, require_optimizer

ValueAndGrad = Callable[[Array], tuple[Array, Array]]

# (4, 2) float64: roots of both squares, to the digits of float64
HIMMELBLAU_MINIMA = np.array(
    [
        [3.0, 2.0],
        [-2.805118086952744853, 3.131312518250572966],
        [-3.779310253377746891, -3.283185991286169412],
        [3.584428340330491745, -1.848126526964403553],
    ]
)
HIMMELBLAU_MINIMA.setflags(write=False)


def himmelblau_and_grad(point: ArrayLike) -> tuple[Float[Array, "..."], Float[Array, "... 2"]]:
    """Himmelblau's function and its gradient.

    Args:
        point: (..., 2) floats: x and y on the last axis.

    Returns:
        The value (...), and the gradient (..., 2):
        df/dx = 4x(x^2 + y - 11) + 2(x + y^2 - 7), df/dy = 2(x^2 + y - 11) + 4y(x + y^2 - 7).

    Raises:
        TypeError: if `point` does not hold floats.
        ValueError: if its last axis is not 2.
    """
    point = floating_array("point", point)
    if point.ndim < 1 or point.shape[-1] != 2:
        raise ValueError(f"expected a point of shape (..., 2), got {point.shape}")
    x, y = point[..., 0], point[..., 1]
    first, second = x * x + y - 11, x + y * y - 7
    gradient = jnp.stack([4 * x * first + 2 * second, 2 * first + 4 * y * second], axis=-1)
    return first * first + second * second, gradient


def himmelblau(point: ArrayLike) -> Float[Array, "..."]:
    """The value alone; see `himmelblau_and_grad`."""
    return himmelblau_and_grad(point)[0]


class Path(NamedTuple):
    """Where a descent went.

    Attributes:
        points: (steps // record_every + 1, ...): the start, then every `record_every`-th point after its update.
        values: the objective at these points.
    """

    points: Array
    values: Array


@partial(jax.jit, static_argnums=(0, 2, 3, 4, 5))
def _descend(
    value_and_grad: ValueAndGrad,
    start: Array,
    optimizer: optax.GradientTransformation,
    records: int,
    record_every: int,
    maximise: bool,
) -> Path:
    def update(carry: tuple[Array, optax.OptState], _: object) -> tuple[tuple[Array, optax.OptState], None]:
        point, opt_state = carry
        _, gradient = value_and_grad(point)
        gradient = -gradient if maximise else gradient
        updates, opt_state = optimizer.update(gradient, opt_state, point)
        return (optax.apply_updates(point, updates), opt_state), None

    def record(carry: tuple[Array, optax.OptState], _: object) -> tuple[tuple[Array, optax.OptState], Array]:
        after, _ = jax.lax.scan(update, carry, None, length=record_every)
        return after, after[0]

    _, later = jax.lax.scan(record, (start, optimizer.init(start)), None, length=records)
    points = jnp.concatenate([start[None], later])
    values = value_and_grad(points)[0]
    if values.shape != points.shape[:-1]:
        raise ValueError(
            f"expected value_and_grad to map points (..., d) to values (...), got shape {values.shape} for points of"
            f" shape {points.shape}; of a function of one point use jnp.vectorize"
        )
    return Path(points, values)


def descend(
    value_and_grad: ValueAndGrad,
    start: ArrayLike,
    optimizer: optax.GradientTransformation,
    steps: int,
    *,
    record_every: int = 1,
    maximise: bool = False,
) -> Path:
    """Gradient descent on a plain objective, or ascent, compiled as one program.

    Args:
        value_and_grad: maps points (..., d) to values (...) and gradients (..., d). Batches are leading axes, so a
            whole grid of starts descends at once, with any optimiser that treats every entry alike, as most do.
        start: (..., d) floats.
        optimizer: any optax transformation.
        steps: number of updates, at least 1.
        record_every: keep every so-many-th point; must divide `steps`. `steps` itself keeps only start and end.
        maximise: whether to go up: the optimiser is given the gradient of minus the objective. The values that are
            recorded are those of the objective all the same.

    Raises:
        TypeError: for a start that does not hold floats, what is no optimiser, or counts that are not integers.
        ValueError: for an objective that does not keep leading axes, for counts below 1, or `record_every` that does
            not divide `steps`.
    """
    start = floating_array("start", start)
    require_optimizer(optimizer)
    steps, record_every = positive_int("steps", steps), positive_int("record_every", record_every)
    if steps % record_every:
        raise ValueError(f"expected record_every to divide the {steps} steps, got {record_every}")
    return _descend(value_and_grad, start, optimizer, steps // record_every, record_every, maximise)
