"""Whether a competitor's numbers are those of the float64 reference, to the noise floor of float32. No tolerance.

The floor of a leaf is measured: the reference runs several times with the roundings of a float32 program, and

    floor = MARGIN x the largest deviation of an entry of the leaf from the exact reference, over all runs.

Every elementary result is rounded to float32 stochastically (up with a probability that is the distance from the
number below, so that the mean is right). A sum of k terms s_i is rounded on the way, too: with S = sum s_i and
Q = sum s_i^2, its partial sums have a root of squares of sqrt(k (S^2 / 3 + Q / 6) + Q) on average over all orders of
the terms, and it errs by the unit roundoff times that times a number in (-1, 1). Chaotic growth of small differences
and flips of relus are so included. What is left out is covered by `MARGIN`: exponentials that err by some units in the
last place, roundings that all go one way, and that the largest of few runs is not the largest possible.

An answer with NaN or infinity, with a leaf missing, or of another shape never agrees.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.speed.suite.problems import Basins
from benchmarks.speed.suite.references import Exact, Leaves, solve

Array = NDArray[np.float64]

RUNS = 8
FEW_RUNS, MANY_ENTRIES = 2, 100_000  # the largest deviation of so many entries varies little from run to run
MARGIN = 6.0
DROPPED_BITS = 52 - 23  # of a float64's fraction
UNIT_ROUNDOFF = np.float32(2.0**-24)


class Truth(NamedTuple):
    """What is right, and how far a float32 program may be from it.

    Attributes:
        leaves: by name, float64.
        floors: by the same names.
        distance: of two leaves: the largest difference, or for discrete results the number of entries that differ.
    """

    leaves: Leaves
    floors: Mapping[str, float]
    distance: Callable[[Any, Any], float]


def largest_difference(got: Any, expected: Any) -> float:
    """The largest difference of two entries."""
    return float(np.max(np.abs(np.asarray(got, np.float64) - expected)))


def number_of_differences(got: Any, expected: Any) -> float:
    """How many entries differ."""
    return float(np.count_nonzero(np.asarray(got) != expected))


class Float32:
    """The roundings of a float32 program, drawn at random; infinity and NaN stay.

    Args:
        seed: of the draws.
    """

    def __init__(self, seed: int) -> None:
        self.rng = np.random.Generator(np.random.SFC64(seed))

    def __call__(self, values: Array) -> Array:
        """Up or down, right in the mean."""
        bits = np.ascontiguousarray(values, np.float64).view(np.uint64)
        bits = bits + self.rng.integers(2**DROPPED_BITS, size=bits.shape, dtype=np.uint32)
        bits &= ~np.uint64(2**DROPPED_BITS - 1)
        return bits.view(np.float64)

    def product(self, left: Array, right: Array) -> Array:
        """left @ right with what its partial sums lose; the size of that in float32, which is quicker."""
        small_left, small_right = left.astype(np.float32), right.astype(np.float32)
        return self._strayed(left @ right, np.square(small_left) @ np.square(small_right), left.shape[-1])

    def total(self, values: Array) -> Array:
        """The sum over the first axis, likewise."""
        return self._strayed(values.sum(axis=0), np.square(values).sum(axis=0), len(values))

    def _strayed(self, total: Array, squares: NDArray[Any], terms: int) -> Array:
        size = np.sqrt(terms * (np.square(total.astype(np.float32)) / 3 + squares / 6) + squares)
        return total + size * (self.rng.random(total.shape, np.float32) - np.float32(0.5)) * (2 * UNIT_ROUNDOFF)


def find_truth(problem: Any, repetitions: int) -> Truth:
    """Solves a problem exactly and with roundings; the same every time.

    Args:
        problem: one of problems.py.
        repetitions: epochs of a training, 1 otherwise.
    """
    counted = isinstance(problem, Basins)
    distance = number_of_differences if counted else largest_difference
    leaves = solve(problem, repetitions, Exact())
    floors = dict.fromkeys(leaves, MARGIN if counted else 0.0)  # a count of none is not known to be below one
    many = sum(leaf.size for leaf in leaves.values()) > MANY_ENTRIES
    for seed in range(FEW_RUNS if many else RUNS):
        strayed = solve(problem, repetitions, Float32(seed))
        for name, leaf in leaves.items():
            floors[name] = max(floors[name], MARGIN * distance(strayed[name], leaf))
    return Truth(leaves, floors, distance)


def worst(answer: Leaves, truth: Truth) -> float:
    """The largest deviation of a leaf in units of its floor: at most 1 agrees.

    Args:
        answer: the leaves that a competitor gives: all, or all those of some networks.
        truth: of the same problem.

    Returns:
        Infinity for a leaf that is missing, unknown, of another shape, or not finite.
    """
    groups = {name.rpartition(": ")[0] for name in answer}
    expected = {name for name in truth.leaves if name.rpartition(": ")[0] in groups}
    if not expected or expected != set(answer):
        return float("inf")
    return max(_in_floors(answer[name], name, truth) for name in expected)


def _in_floors(got: Any, name: str, truth: Truth) -> float:
    expected, floor = truth.leaves[name], truth.floors[name]
    if np.shape(got) != expected.shape or not np.isfinite(got).all():
        return float("inf")
    distance = truth.distance(got, expected)
    if distance == 0:
        return 0.0
    return distance / floor if floor else float("inf")
