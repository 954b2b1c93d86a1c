"""Gradients that were read from a step: (before − after) / rate.

Parameters are stored with so many bits, so that such gradients are known to a unit in the last place of the parameter,
divided by the rate: more than any rounding of a gradient. They are told by the grid that they lie on: multiplied with
the rate, each is a difference of two numbers of the format. What lies on the grid of one rate, far beyond chance, is
judged with the noise of that subtraction; what does not is judged as any other gradient.
"""

import numpy as np

from functional_mlp._dtypes import Array
from functional_mlp.oracle.case import Case, parameter_of, rounded
from functional_mlp.oracle.documents import Gradients
from functional_mlp.oracle.noise import FORMATS, Floor, Noise
from functional_mlp.oracle.truth import Solution
from functional_mlp.oracle.verdict.given import Handed, given_leaves
from functional_mlp.oracle.verdict.judging import floor_of_step, truth_of

# rates of two decimal digits, and powers of two
RATES = np.unique(
    [*(float(f"{digits}e{power}") for digits in range(10, 100) for power in range(-9, 1)), *2.0 ** -np.arange(1, 11)]
)
TRIED_FIRST = 64  # entries
ENOUGH = 18.0  # bits by which numbers on the grid are beyond chance, of which ten are for the number of rates
PLACES = 16  # of the grid: a number is on one of so many by chance
SLIPS = 4.0  # roundings of the subtraction, the division, the product with the rate, and the rate
SLIPS_OF_TWO = 1.0  # of the subtraction alone, where the rate is a power of two


def as_differences(case: Case, solution: Solution, noise: Noise, given: Gradients) -> tuple[Noise, str] | None:
    """The noise of gradients that were read from a step, and a note that says so; None for other gradients."""
    arrays = {
        path: handed
        for path, handed in given_leaves(case, given).items()
        if isinstance(handed, Handed) and path.startswith("params") and path in noise.floors
    }
    with np.errstate(all="ignore"):
        rate = _rate_of(case, noise, arrays)
        if rate is None:
            return None
        truth, floors = truth_of(solution), dict(noise.floors)
        for path in arrays:
            step = floor_of_step(noise, path, parameter_of(case, path), truth[path], rate)
            floors[path] = Floor(*(part / rate for part in step))
    least = noise.precision.storage.unit / rate
    note = (
        f"these are the parameters before a step minus those after it, divided by a rate of {rate:g}: they are known"
        f" only to the last digits of the parameters, so that errors below some {least:.0e}"
        " times a parameter go unseen. check_update judges the parameters after the step themselves"
    )
    return noise._replace(floors=floors), note


def _rate_of(case: Case, noise: Noise, arrays: dict[str, Handed]) -> float | None:
    """The smallest rate for which all these arrays are differences of numbers of the format; None if there is none."""
    storage = noise.precision.storage
    if not arrays or not all(np.isfinite(handed.values).all() for handed in arrays.values()):
        return None
    before = np.concatenate([rounded(parameter_of(case, path), storage.name).ravel() for path in arrays])
    got = np.concatenate([handed.values.ravel() for handed in arrays.values()])
    unit = np.concatenate([np.full(handed.values.size, FORMATS[handed.dtype].unit) for handed in arrays.values()])
    moved = got != 0
    before, got, unit = before[moved], got[moved], unit[moved]
    first = np.argsort(np.abs(got) / np.maximum(np.abs(before), storage.smallest))[:TRIED_FIRST]
    for rate in RATES[_on_grid(before[first], got[first], unit[first], RATES[:, None], storage.bits)]:
        if _on_grid(before, got, unit, rate, storage.bits):
            return float(rate)
    return None


def _on_grid(before: Array, got: Array, unit: Array, rate: Array | float, bits: int) -> Array:
    """Whether gradients (…, n) times a rate are parameters minus numbers of so many bits, beyond chance."""
    moved, slips = got * rate, np.where(np.frexp(rate)[0] == 0.5, SLIPS_OF_TWO, SLIPS)
    smaller = np.minimum(np.abs(before), np.abs(before - moved))
    spacing = np.ldexp(1.0, np.frexp(smaller)[1] - bits)
    steps = np.round(moved / spacing)
    off, allowed = np.abs(moved - spacing * steps), slips * unit * np.abs(moved)
    evidence = np.log2(np.maximum(spacing / (2 * allowed), 1.0))
    # short numbers, as of a narrower format, lie on any fine grid, but on few of its places
    counted = (evidence > 0).sum(axis=-1)
    short = ((evidence > 0) & (np.remainder(steps, PLACES) == 0)).sum(axis=-1) > counted / 2
    found: Array = (off <= allowed).all(axis=-1) & (evidence.sum(axis=-1) >= ENOUGH) & ~short
    return found
