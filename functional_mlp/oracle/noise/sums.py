"""Sizes of what is added up in a sum: how its partial sums may round.

Dimension letters: k terms of a sum. Everything is NumPy float64.
"""

import itertools
from typing import NamedTuple

import numpy as np

from functional_mlp._dtypes import Array

BLOCKS = 12  # of a long sum, between which its partial sums are looked at
EXACT_TERMS = 2**16  # products of matrices with at most so many terms in all have every partial sum looked at


class SumSizes(NamedTuple):
    """Sizes of the sums s_ij = sum over the k terms left[i, m] right[m, j].

    Attributes:
        total: the sums.
        random: amplitude of the rounding of the sum in units: partial sums in an unknown order.
        partial: sum of |partial sums| in the order as given: a bound in units for adding one after the other.
        absolute: sum of |terms|.
    """

    total: Array
    random: Array
    partial: Array
    absolute: Array


def sum_sizes(left: Array, right: Array, unit: float) -> SumSizes:
    """Sizes of the matrix product left (p, k) @ right (k, q), each (p, q).

    With S the sum and Q the sum of squared terms, the mean square of a partial sum over all orders gives
    k (S^2 / 3 + Q / 6) + Q for the sum of their squares. Terms that are equal, or too small to be seen by the partial
    sum that they are added to, round the same way each time: their errors add up, and `partial` takes the place of its
    square root, the more so the larger the share of equal terms, and the nearer the spread of the terms is to the
    spacing of the sum.
    """
    k = left.shape[1]
    total = left @ right
    absolute = np.abs(left) @ np.abs(right)
    squares = (left * left) @ (right * right)
    random = np.sqrt(np.maximum(k * (total**2 / 3 + squares / 6) + squares, 0))
    partial, largest = _partial_sums(left, right)
    spread = np.sqrt(np.maximum(squares / k - (absolute / k) ** 2, 0))
    with np.errstate(all="ignore"):
        alike = np.where(largest > 0, np.minimum(1.0, 2 * unit * largest / spread), 0.0)
    alike[np.isnan(alike)] = 1.0
    repeated = _repeated(left)
    if repeated.any():
        np.maximum(alike, np.minimum.outer(repeated, _repeated(right.T)), out=alike)
    return SumSizes(total, np.maximum(random, alike * partial), partial, absolute)


def _repeated(rows: Array) -> Array:
    """The share (p,) of the nonzero entries of each row (p, k) that another entry equals to 24 bits."""
    with np.errstate(all="ignore"):
        relative = rows / np.abs(rows).max(axis=1, keepdims=True, initial=np.finfo(np.float64).tiny)
    ordered = np.sort(relative.astype(np.float32), axis=1)
    equal = ordered[:, 1:] == ordered[:, :-1]
    none = np.zeros((len(rows), 1), bool)
    found = np.hstack([equal, none]) | np.hstack([none, equal])
    there = ordered != 0
    return (found & there).sum(axis=1) / np.maximum(there.sum(axis=1), 1)


def _partial_sums(left: Array, right: Array) -> tuple[Array, Array]:
    """The sum over the k terms of |partial sum|, and the largest |partial sum|, both (p, q).

    Of a long sum, partial sums are looked at between blocks of terms: within one, they are taken to be as large as the
    larger of those at its ends.
    """
    k = left.shape[1]
    if left.size * right.shape[1] <= EXACT_TERMS:
        sums = np.abs(np.cumsum(left[:, :, None] * right[None], axis=1))
        return sums.sum(axis=1), sums.max(axis=1)
    edges = np.unique(np.linspace(0, k, min(k, BLOCKS) + 1).astype(int))
    sums = np.zeros((left.shape[0], right.shape[1]))
    size_before, running, largest = np.zeros_like(sums), np.zeros_like(sums), np.zeros_like(sums)
    for start, stop in itertools.pairwise(edges):
        sums += left[:, start:stop] @ right[start:stop]
        size = np.abs(sums)
        np.maximum(largest, size, out=largest)
        running += (stop - start) * np.maximum(size_before, size, out=size_before)
        size_before = size
    return running, largest
