"""How far a correct program of the declared precision may stray from the truth, entry by entry of every result.

    floor = TAIL sigma + 4 u |g| + 4 smallest

with the standard deviation sigma of noisy passes (`noisy.py`) around a true one (`survey.py`), and the unit u and the
smallest number of the format that results are stored in. TAIL grows slowly with the number of entries. Float64's noise
cannot be added in float64: it is computed larger, and divided again.

Branches keep their true outcome in the noisy passes. What other outcomes may do is kept apart, in `slack`
(`branches.py`); so is what overflows.
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from functional_mlp import _jax_compat
from functional_mlp._dtypes import Array
from functional_mlp.oracle.noise import Format, Precision
from functional_mlp.oracle.traced.noise.branches import Bounded, Branches
from functional_mlp.oracle.traced.noise.noisy import Dice, Noisy
from functional_mlp.oracle.traced.noise.survey import Survey
from functional_mlp.oracle.traced.tracing import Path, Trace
from functional_mlp.oracle.traced.tracing.primitives import Operation, Primitive, is_float

PASSES, TAIL, SEED = 32, 7.0, 20261125
MANY, WIDER = 1000, 0.25  # beyond so many entries, a tail per doubling: of many estimates of sigma some are too small
FINEST = 2.0**-33  # a finer unit is computed as this one
FINEST_UNIT = 2.0**-53
SIDE_BY_SIDE = 1 << 17  # numbers in one array of passes side by side
MEAN_TO_SIGMA = float(np.sqrt(np.pi / 2))  # of a normal distribution, sigma over the mean distance
NUDGE = 2.0**-48  # of numbers that may be at a tie
NUDGE_IN_ORDER = 2.0**-36
NUDGE_OF_COPIES = 2.0**-22  # more than what they were copied from was moved, also from one copy to the next


class Floor(NamedTuple):
    """How far a correct program may be off in one result; arrays of its shape.

    Attributes:
        true: the result, by JAX's conventions.
        centre: what is to be compared with: `true`, or the middle of what branches may make of it.
        smooth: how far it may be off by rounding.
        slack: by branches, beyond that; infinite where nothing is known.
        overflow: where numbers on the way may overflow, or be divided by what rounds to 0.
        underflow: where the result is so small that its rounding is no longer relative.
        conventions: the truth by what people do at ties; `true` alone where there are none.
        finest: by how much float64 is finer than the declared precision.
    """

    true: Array
    centre: Array
    smooth: Array
    slack: Array
    overflow: NDArray[np.bool_]
    underflow: NDArray[np.bool_]
    conventions: tuple[Array, ...]
    finest: float

    @property
    def causes(self) -> dict[str, NDArray[np.bool_]]:
        """Why an entry is undecided that is off by more than `smooth`: where each reason holds, first things first."""
        return {"overflow": self.overflow, "branch": self.slack > 0, "underflow": self.underflow}


def estimate(trace: Trace, precision: Precision, *, seed: int = SEED) -> tuple[Floor, ...]:
    """The floor of every result of a trace, outputs first.

    The same trace, precision and seed give the same floors.

    Args:
        trace: of a function and its VJP.
        precision: what the checked program computed in.
        seed: of the noise.
    """
    magnified = max(1.0, FINEST / precision.inner.unit)
    loud = _louder(precision, magnified)
    survey = Survey(precision, frozenset(trace.jaxpr.jaxpr.outvars[: trace.outputs]))
    true = survey(trace.jaxpr, trace.operands)
    far = [np.zeros(np.shape(t)) for t in true]
    branches, singular = Branches(trace, survey, true), dict[Path, NDArray[np.bool_]]()
    if survey.decisions:
        for batch in _at_ties(trace, survey, loud, seed):
            branches.add(batch)
    for noisy, given in _batches(trace, survey, loud, seed):
        with np.errstate(all="ignore"):
            for total, t, y in zip(far, true, noisy(trace.jaxpr, given), strict=True):
                distance = np.abs(y - t) if is_float(t) else np.zeros(np.shape(t))
                missing = noisy.dice.passes if distance.ndim == total.ndim else 1
                total += distance * missing if distance.ndim == total.ndim else distance.sum(axis=0)
        branches.add(noisy.turned)
        singular |= {path: near | singular.get(path, near) for path, near in noisy.singular.items()}
    sigma = [f / PASSES * (MEAN_TO_SIGMA / magnified) for f in far]
    stored = precision.storage
    smooth = [
        np.nan_to_num(_tail(s.size) * s + 4 * stored.unit * np.abs(t) + 4 * stored.smallest, nan=np.inf)
        for s, t in zip(sigma, true, strict=True)
    ]
    overflow = _overflowing(trace, survey, precision, singular, true, smooth)
    centre, slack, conventions = branches.summary()
    return tuple(
        Floor(
            t,
            c,
            s,
            np.where(o | ~np.isfinite(t), np.inf, slack_),
            o,
            (np.abs(t) * stored.unit < stored.smallest) & (t != 0),
            others,
            FINEST_UNIT / precision.inner.unit,
        )
        for t, c, s, slack_, o, others in zip(true, centre, smooth, slack, overflow, conventions, strict=True)
    )


def _tail(entries: int) -> float:
    return TAIL + WIDER * float(np.log2(max(entries / MANY, 1)))


def _louder(precision: Precision, magnified: float) -> Precision:
    def louder(form: Format) -> Format:
        if magnified == 1:
            return form
        return form._replace(unit=form.unit * magnified, smallest=0.0)

    storage, accumulation, products, inner = map(louder, precision[1:])
    return Precision(precision.name, storage, accumulation, products, inner)


def _batches(trace: Trace, survey: Survey, loud: Precision, seed: int) -> Iterator[tuple[Noisy, list[Any]]]:
    """The noisy passes, as many side by side as are worth it, with what they are given."""
    most = _largest_array(trace)
    side_by_side = int(np.clip(SIDE_BY_SIDE // max(most, 1), 1, PASSES))
    for start in range(0, PASSES, side_by_side):
        passes = min(side_by_side, PASSES - start)
        noisy = Noisy(survey, loud, Dice([seed, start], passes, most))
        given = [_nudged(noisy, x) for x in trace.operands] if survey.decisions else list(trace.operands)
        yield noisy, given


def _largest_array(trace: Trace) -> int:
    sizes = [
        v.aval.size for e in _jax_compat.equations_of(trace.jaxpr.jaxpr) for v in e.outvars if hasattr(v.aval, "size")
    ]
    return max([x.size for x in trace.operands] + sizes, default=1)


def _nudged(noisy: Noisy, x: Array) -> Array:
    """What is given may be at a tie: it is moved by next to nothing."""
    return noisy.noise(x, NUDGE * np.abs(x) + 1e-300, x.ndim)


def _at_ties(trace: Trace, survey: Survey, loud: Precision, seed: int) -> Iterator[dict[Any, Any]]:
    """What is decided with all errors up, all down; of equal numbers the first larger, or the last."""
    steady = Noisy(survey, loud, Dice([seed, 1 << 20], 2, 1), np.array([1.0, -1.0]))
    with np.errstate(all="ignore"):
        steady(trace.jaxpr, [_nudged(steady, x) for x in trace.operands])
    yield steady.turned
    ordered = _Ordered(survey, loud, Dice([seed, 1 << 21], 2, _largest_array(trace)))
    given = [_in_order(np.stack([x, x]), x.ndim, NUDGE_IN_ORDER) for x in trace.operands]
    with np.errstate(all="ignore"):
        ordered(trace.jaxpr, given)
    yield ordered.turned


class _Ordered(Noisy):
    """Two passes in which the first of equal numbers is larger, and the last; of copies, where they are copied to."""

    def results(self, operation: Operation, primitive: Primitive, x: list[Any], y: list[Any], path: Path) -> list[Any]:
        y = super().results(operation, primitive, x, y, path)
        if operation.name != "gather":
            return y
        ranks = map(len, operation.shapes)
        return [
            _in_order(a, rank, NUDGE_OF_COPIES) if is_float(a) and a.ndim > rank else a
            for a, rank in zip(y, ranks, strict=True)
        ]


def _in_order(x: Array, rank: int, nudge: float) -> Array:
    """Two passes of numbers (2, *shape), moved by next to nothing: falling along the array, and rising."""
    shape = x.shape[x.ndim - rank :]
    falling = np.linspace(1, -1, math.prod(shape)).reshape(shape) * nudge
    sizes = np.abs(x) + 1e-290
    moved: Array = x + np.array([1.0, -1.0]).reshape((2,) + (1,) * rank) * falling * sizes
    return moved


def _overflowing(
    trace: Trace,
    survey: Survey,
    precision: Precision,
    singular: dict[Path, NDArray[np.bool_]],
    true: list[Any],
    smooth: list[Any],
) -> list[NDArray[np.bool_]]:
    """Where results change if what may exceed the largest number of a format is infinite, and divisors may be 0."""
    overflow = [np.abs(t) > precision.storage.largest / 2 for t in true]
    largest = precision.inner.largest
    limits = [limit for limit in (largest / 2, largest) if survey.largest > limit]
    if singular and not limits:
        limits = [np.inf]
    for limit in limits:
        bounded = Bounded(survey, limit, singular)(trace.jaxpr, trace.operands)
        with np.errstate(all="ignore"):
            moved = [~(np.abs(b - t) <= 0.1 * s) for b, t, s in zip(bounded, true, smooth, strict=True)]
        overflow = [o | m for o, m in zip(overflow, moved, strict=True)]
    return overflow
