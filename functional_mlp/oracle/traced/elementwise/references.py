"""What is right: an activation of this package, or any JAX function of one number, with the noise of a right program.

Of a named activation value and derivative are those of `functional_mlp.activations`, right to a few ulp of float64 also
in its tails, and the noise is that of its worst usual formula (`oracle.noise.elementary`). Of a function of one's own
both come of its trace (`traced.noise`).
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray

from functional_mlp._dtypes import Array
from functional_mlp.activations import FACTORIES, Activation, is_built_in, numpy_value, numpy_vjp, resolve
from functional_mlp.oracle.noise import FLOAT64, TAIL, Precision, elementary, jumps, kinks_of, precision_named
from functional_mlp.oracle.traced.noise import Floor, estimate
from functional_mlp.oracle.traced.tracing import trace_vjp

SIGMA = 0.829  # of e1 + e2 + e3 / 4, each uniform in (-1, 1): what noisy passes add, in amplitudes
LAST_DIGITS = 8 * FLOAT64.unit * 2  # relative, of what this package's own formulas may be off in float64


class Right(NamedTuple):
    """The truth at some numbers, and how far a right program may be off; arrays of one shape, float64.

    Attributes:
        true: value or derivative.
        smooth: by rounding.
        slack: beyond that, at kinks.
        conventions: the truth by other conventions at kinks, each as right as `true`.
        overflow: where numbers on the way may overflow, or vanish.
        terms: how large the terms may be that the result is the sum of, which an overflow may leave out.
    """

    true: Array
    smooth: Array
    slack: Array
    conventions: tuple[Array, ...]
    overflow: NDArray[np.bool_]
    terms: Array


class OfActivation(NamedTuple):
    """An activation of this package."""

    activation: Activation

    @property
    def name(self) -> str:
        """Of the activation."""
        return self.activation.name

    @property
    def places(self) -> tuple[float, ...]:
        """Its kinks."""
        return tuple(kink.position for kink in self.activation.kinks)

    def curves(self, x: Array) -> tuple[Array, Array]:
        """Values and derivatives at x (n,)."""
        column = x[:, None]
        a = numpy_value(self.activation, column)
        return a[:, 0], numpy_vjp(self.activation, column, a, np.ones_like(column))[:, 0]

    def right(self, x: Array, precision: Precision) -> tuple[Right, Right]:
        """Values and derivatives at x (n,), finite numbers."""
        with np.errstate(all="ignore"):
            value, slope = self.curves(x)
            rule, column = elementary(self.activation), x[:, None]
            tail = 4 * precision.inner.unit * np.abs(x)  # of roundings that may bring x to the other side of a kink
            slack = jumps(self.activation, column, tail[:, None])[:, 0]
            overflow = np.abs(x) > (np.inf if rule.exact else _overflows_from(precision))
            lost = precision.inner.smallest * np.where(rule.times_z, np.maximum(np.abs(x), 1.0), 1.0)
            right = []
            for true, amplitude in ((value, rule.value), (slope, rule.derivative)):
                terms = np.nan_to_num(amplitude(column, value[:, None])[:, 0], posinf=0.0)
                smooth = TAIL * SIGMA * precision.inner.unit * terms + _stored(precision, true)
                smooth += LAST_DIGITS * np.abs(true) + 4 * lost
                right.append(Right(true, smooth, 0 * x, (), overflow, terms))
        sides = tuple(self._by_side(x, slope, slack, share) for share in (0.0, 0.5, 1.0)) if slack.any() else ()
        right[1] = right[1]._replace(slack=slack, conventions=sides)
        return _flushed(x, right[0], precision), _flushed(x, right[1], precision)

    def _by_side(self, x: Array, slope: Array, slack: Array, right: float) -> Array:
        """The derivative with that share of the right side's, and the rest of the left's, near kinks."""
        for kink in kinks_of(self.activation):
            nearest = np.abs(x - kink.position) <= np.min(
                [np.abs(x - other.position) for other in kinks_of(self.activation)], axis=0
            )
            slope = np.where((slack > 0) & nearest, right * kink.right + (1 - right) * kink.left, slope)
        return slope


class OfFunction(NamedTuple):
    """Any JAX function that acts on every number alone."""

    function: Callable[[Any], Any]

    @property
    def name(self) -> str:
        """Of the function."""
        found = getattr(self.function, "__name__", type(self.function).__name__)
        return "your reference" if found == "<lambda>" else found

    @property
    def places(self) -> tuple[float, ...]:
        """Nothing is known."""
        return ()

    def right(self, x: Array, precision: Precision) -> tuple[Right, Right]:
        """Values and derivatives at x (n,), finite numbers.

        Raises:
            ValueError: for a function that JAX cannot trace, or that does not map number by number.
        """
        leaves, tree = jax.tree.flatten((x,))
        trace = trace_vjp(self.function, leaves, tree, [0])
        found = estimate(trace, precision)
        exact = found if precision.inner == FLOAT64 else estimate(trace, precision_named("float64"))
        if len(found) != 2 or any(floor.true.shape != x.shape for floor in found):
            raise ValueError(
                f"expected a reference that maps an array to one of the same shape, number by number, got"
                f" {len(found) - 1} results, the first of shape {found[0].true.shape} for {x.shape}"
            )
        pairs = zip(found, exact, strict=True)
        value, slope = (_flushed(x, _of_floor(floor, own, precision), precision) for floor, own in pairs)
        return value, slope


Reference = OfActivation | OfFunction


def reference_of(reference: str | Mapping[str, Any] | Activation | Callable[[Any], Any]) -> Reference:
    """What a name, an activation or a function stands for.

    Raises:
        TypeError: for something else.
        ValueError: for a name that is not known, and softmax, which mixes the units of a row.
    """
    if callable(reference) and not isinstance(reference, Activation):
        return OfFunction(reference)
    activation = resolve(reference)
    if activation.name == "softmax" and is_built_in(activation):
        raise ValueError(
            "expected an activation of every number alone, got 'softmax', which mixes a row: use check_vjp"
        )
    return OfActivation(activation) if is_built_in(activation) else OfFunction(activation.value)


def others(reference: Reference) -> Iterator[OfActivation]:
    """The other activations of this package, with their usual parameters."""
    for name, factory in FACTORIES.items():
        if name not in ("softmax", reference.name):
            yield OfActivation(factory())


def _of_floor(floor: Floor, exact: Floor, precision: Precision) -> Right:
    with np.errstate(over="ignore"):
        smooth = floor.smooth + exact.smooth
    # where the noise exceeds all digits, something on the way has overflowed or vanished
    overflow = floor.overflow | (smooth * precision.storage.unit > np.maximum(np.abs(floor.true), 1.0))
    anything = np.full(floor.true.shape, np.inf)
    return Right(floor.true, smooth, 2 * floor.slack, floor.conventions, overflow.astype(bool), anything)


def _flushed(x: Array, right: Right, precision: Precision) -> Right:
    """With what a program has that takes subnormal numbers for 0: what is right there, or at the next ones beside."""
    smallest = precision.storage.smallest
    near = np.abs(x) < smallest
    beside = [np.argmin(np.abs(x)), np.argmax(np.where(x <= -smallest, x, -np.inf))]
    beside.append(np.argmin(np.where(x >= smallest, x, np.inf)))
    others = tuple(np.where(near, right.true[place], right.true) for place in beside)
    with np.errstate(invalid="ignore"):
        farthest = np.where(near, np.max([np.abs(other - right.true) for other in others], axis=0), 0.0)
    return right._replace(slack=np.maximum(right.slack, farthest), conventions=(*right.conventions, *others))


def _stored(precision: Precision, true: Array) -> Array:
    """What rounding a result to the format that it is stored in may cost: once, or as one of several operations."""
    times = 4 if precision.inner == precision.storage else 2
    return times * precision.storage.unit * np.abs(true) + 2 * precision.storage.smallest


def _overflows_from(precision: Precision) -> float:
    """Where a usual formula of an activation, of exponentials, their squares, and cubes, may overflow or vanish."""
    largest, smallest = precision.inner.largest, precision.inner.smallest
    return 0.99 * float(min(np.log(largest) / 2, -np.log(smallest) / 2, np.cbrt(largest)))
