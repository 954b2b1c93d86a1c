"""Where a loss of probabilities is lost: a probability rounds to 0 or 1, and its derivative divides by that."""

import ml_dtypes
import numpy as np

from functional_mlp._dtypes import DTYPES
from functional_mlp.losses import KINDS
from functional_mlp.oracle import Case
from reference.plain import EXACT, Array, coefficients, forward, is_fused


def limits(dtype: str) -> tuple[float, float, float]:
    """Machine epsilon, smallest normal number and largest number of a dtype named as in a case."""
    info = ml_dtypes.finfo(DTYPES[dtype])
    return float(info.eps), float(info.smallest_normal), float(info.max)


@np.errstate(all="ignore")
def degenerate(case: Case, fused: bool) -> bool:
    """Whether a loss of probabilities, as the case's dtype computes it, divides by what rounds to 0.

    There an implementation that does not fuse is no longer right: nobody's (p - t) / (p (1 - p)) survives p = 1. The
    probabilities are those of float64, and the margin is a factor of 2.
    """
    if case.loss is None or not KINDS[case.loss.kind].of_probabilities or is_fused(case, fused):
        return False
    p = forward(case, EXACT)[1][-1]
    return bool(rounding_probabilities(case, p).any())


def rounding_probabilities(case: Case, p: Array) -> Array:
    """Where the probabilities p are so near 0 or 1 that the case's dtype cannot divide by p, or by 1 - p for BCE."""
    assert case.loss is not None
    assert case.targets is not None
    eps, tiny, largest = limits(case.dtype)
    factor = np.abs(coefficients(case, np.dtype(np.float64))) + 1
    near_zero = (p < 2 * tiny) | (2 * factor * np.abs(case.targets) > largest * p)
    if case.loss.kind == "binary_cross_entropy":
        return near_zero | (1 - p < 2 * eps)
    return near_zero & (case.targets != 0)
