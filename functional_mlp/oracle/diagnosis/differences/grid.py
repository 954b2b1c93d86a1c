"""What finite differences leave in their numbers: the rounding of the loss, magnified, and its grid.

A difference of two losses L(w + h) and L(w) that a format stores is exact, and a multiple of the spacing s of that
format's numbers near L (Sterbenz 1974). Divided by h, the differences of all parameters are multiples of s / h: a grid
on which no other gradient lies, so that h can be told although rounding has spoilt every number. Other numbers lie on
grids too, rounded to some decimals or bits, but not on one of the spacing s / h with a step h that people take.
"""

import math
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from functional_mlp._dtypes import DTYPES, Array

# steps that people take, and SciPy's; other powers of two would make the grid that of any numbers of few bits
STEPS = (*(digit * 10.0**-power for power in range(1, 13) for digit in range(1, 10)), 2.0**-26)
NARROWER = tuple(DTYPES[name] for name in ("float32", "float16", "bfloat16"))
CERTAIN = 9.0  # decimal digits of evidence: numbers at random lie on a grid as well with probability 1e-9
SLACK = 1e-3  # of the spacing that a number may be beside the grid, besides its own rounding


class Differences(NamedTuple):
    """Finite differences as their grid shows them: "forward" or "central", and the step h."""

    variant: str
    value: float


def differences_on_grid(numbers: Array, loss: float, unit: float) -> tuple[Differences, ...]:
    """The finite differences that these numbers can be, on the coarsest grid that fits; () if they are on none.

    Forward ones and central ones of half the step have one grid.

    Args:
        numbers: (N,) of a gradient; zeros say nothing.
        loss: where it was taken.
        unit: unit roundoff of the format that they were computed in.
    """
    if not (np.isfinite(numbers).all() and np.isfinite(loss) and abs(loss) > np.finfo(float).tiny / unit):
        return ()
    sizes = np.unique(np.abs(numbers[numbers != 0]))
    formats = [form for form in NARROWER if ml_dtypes.finfo(form).eps > 4 * unit]
    with np.errstate(all="ignore"):
        if any((sizes.astype(form) == sizes).all() for form in formats):
            return ()
    of_losses = 2 * unit * 2.0 ** math.floor(math.log2(abs(loss)))
    tried = [Differences(variant, step) for step in STEPS for variant in ("forward", "central")]
    spacings = np.array([of_losses / (step * (1 + (variant == "central"))) for variant, step in tried])
    on_grid, evidence = _on_grid(sizes, spacings[:, None], unit)
    certain = on_grid & (evidence > CERTAIN + math.log10(len(tried)))
    coarsest = np.max(spacings, initial=0.0, where=certain)
    return tuple(
        one for one, sure, own in zip(tried, certain, spacings, strict=True) if sure and own > 0.999 * coarsest
    )


def _on_grid(sizes: Array, spacings: Array, unit: float) -> tuple[Any, Any]:
    """Whether numbers are multiples of each spacing, and the digits of evidence: −log10 of the odds by chance."""
    with np.errstate(all="ignore"):
        multiples = sizes / spacings
        allowed = SLACK + 4 * unit * multiples
        near = np.abs(multiples - np.maximum(np.round(multiples), 1)) <= allowed
        return near.all(axis=-1), -np.log10(np.minimum(2 * allowed, 1.0)).sum(axis=-1)
