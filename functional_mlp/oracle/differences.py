"""What finite differences leave in their numbers: the rounding of the loss, magnified, and its grid.

A difference of two losses L(w + h) and L(w) that a format stores is exact, and a multiple of the spacing s of that
format's numbers near L (Sterbenz 1974). Divided by h, the differences of all parameters are multiples of s / h: a grid
that no other gradient lies on, and from which h can be read although rounding has spoilt every number.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
MULTIPLES = 4096  # which multiple of the grid's spacing the smallest number is sought to be, at most
AT_ONCE = 512  # numbers that a spacing is tried on before it is tried on all
CERTAIN = 9.0  # decimal digits of evidence: numbers at random lie on a grid as well with probability 1e-9
# steps that people take
STEPS = np.array([digit * 10.0**-power for power in range(1, 13) for digit in range(1, 10)])
STEPS = np.concatenate([STEPS, 2.0 ** -np.arange(3.0, 40.0)])
SLACK = 1e-3  # of the spacing that a number may be beside the grid, besides its own rounding


def magnified(value: float, variant: str | None, loss_noise: float, unit: float, weights: Array, grads: Array) -> Array:
    """How far rounding may move a finite difference.

    Args:
        value: the step h.
        variant: "central" for (L(w + h) − L(w − h)) / 2h; else (L(w + h) − L(w)) / h.
        loss_noise: how far a loss may be off.
        unit: unit roundoff of the format; w + h is off by that much of w.
        weights, grads: the parameters w and their gradient, of one shape.
    """
    apart = 2 * abs(value) if variant == "central" else abs(value)
    return (2 * loss_noise + 2 * unit * np.abs(weights) * np.abs(grads)) / apart


def grid_spacing(numbers: Array, unit: float, likely: Array) -> float | None:
    """The largest spacing of which all numbers are multiples, to within their own rounding; None if none is certain.

    Args:
        numbers: (N,) finite; zeros say nothing.
        unit: unit roundoff of the format that they were computed in.
        likely: (M,) spacings to try besides those of which the smallest number is a small multiple.
    """
    sizes = np.sort(np.abs(numbers[numbers != 0]))
    if sizes.size == 0:
        return None
    few = sizes[:: -(-sizes.size // AT_ONCE)]
    spacings = np.sort(np.concatenate([sizes[0] / np.arange(1, MULTIPLES + 1), likely]))[::-1]
    on_grid, evidence = _on_grid(few, spacings[:, None], unit)
    for spacing in spacings[on_grid & (evidence > CERTAIN + math.log10(len(spacings)))]:
        if _on_grid(sizes, spacing, unit)[0]:
            return float(spacing)
    return None


def _on_grid(sizes: Array, spacing: Array | float, unit: float) -> tuple[Any, Any]:
    """Whether numbers are multiples of a spacing, and the digits of evidence: −log10 of the probability by chance."""
    with np.errstate(all="ignore"):  # no number is a multiple of a spacing that underflows
        multiples = sizes / spacing
        allowed = SLACK + 4 * unit * multiples
        near = np.abs(multiples - np.maximum(np.round(multiples), 1)) <= allowed
        return near.all(axis=-1), -np.log10(np.minimum(2 * allowed, 1.0)).sum(axis=-1)


class Differences(NamedTuple):
    """Finite differences as their grid shows them.

    Attributes:
        variant: "forward" or "central".
        value: the step h.
        spacing: of the grid.
    """

    variant: str
    value: float
    spacing: float


def differences_on_grid(numbers: Array, loss: float, unit: float) -> tuple[Differences, ...]:
    """The finite differences that these numbers can be; () if they are on no grid.

    Forward ones and central ones of half the step have one grid; first comes the one whose step is nearer to a power
    of ten.

    Args:
        numbers: (N,) of a gradient.
        loss: where it was taken.
        unit: unit roundoff of the format.
    """
    if not (np.isfinite(numbers).all() and np.isfinite(loss) and loss):
        return ()
    of_losses = 2 * unit * 2.0 ** math.floor(math.log2(abs(loss)))
    spacing = grid_spacing(numbers, unit, np.concatenate([of_losses / STEPS, of_losses / STEPS / 2]))
    if spacing is None:
        return ()
    step = of_losses / spacing
    found = (Differences("forward", step, spacing), Differences("central", step / 2, spacing))
    return tuple(sorted(found, key=lambda one: abs(math.log10(one.value) - round(math.log10(one.value)))))
