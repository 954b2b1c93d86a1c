"""What wrong values and derivatives are instead: those of another activation, or right ones times a number."""

from collections.abc import Iterator, Sequence

import numpy as np

from functional_mlp._dtypes import Array
from functional_mlp.oracle.noise import Precision
from functional_mlp.oracle.traced.elementwise.curves import Curve
from functional_mlp.oracle.traced.elementwise.references import Reference, others
from functional_mlp.oracle.verdict import Verdict

MOST_FACTOR = 1e6
TELLING = 8.0  # times what is allowed: numbers that have a factor to be read off


def likeness_of(curves: Sequence[Curve], reference: Reference, precision: Precision) -> Iterator[str]:
    """A sentence for each curve that is wrong and explained altogether by something else."""
    wrong = [curve for curve in curves if curve.verdict is Verdict.WRONG]
    for curve in wrong:
        factor = _factor(curve, 4 * precision.storage.unit)
        if factor is not None:
            yield f"the {curve.what} is {factor} times what is right, everywhere"
    for other in others(reference) if wrong else ():
        for curve, right in zip(curves, other.right(curves[0].x, precision), strict=False):
            if curve.verdict is Verdict.WRONG and _fits(curve, right.true, right.smooth + right.slack):
                yield f"the {curve.what} is that of {other.name}, everywhere"
    for curve in wrong:
        if curve.what == "derivative" and _fits(curve, curves[0].true, curves[0].allowed):
            yield "the derivative is the value, everywhere"
        if curve.what == "derivative" and _fits(curve, np.ones_like(curve.got), curve.unit):
            yield "the derivative is 1 everywhere: it was left out"


def _fits(curve: Curve, other: Array, allowed: Array) -> bool:
    """Whether these are the numbers of a curve, but where some overflowed."""
    with np.errstate(all="ignore"):
        near = np.abs(curve.got - other) <= allowed
    return bool((near | (curve.overflow & ~np.isfinite(curve.got))).all())


def _factor(curve: Curve, readable: float) -> str | None:
    """The one number that all are off by as a factor, if there is one; as a twelfth where it is `readable` near."""
    telling = np.isfinite(curve.got) & (np.abs(curve.true) > TELLING * curve.allowed)
    if not telling.any():
        return None
    factor = float(np.median(curve.got[telling] / curve.true[telling]))
    if not 0 < abs(factor) < MOST_FACTOR or not _fits(curve, factor * curve.true, (1 + abs(factor)) * curve.allowed):
        return None
    near = round(factor * 12) / 12
    return f"{near if abs(near - factor) < readable * abs(factor) else factor:.4g}"
