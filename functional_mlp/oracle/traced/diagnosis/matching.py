"""Whether a candidate reproduces what was given, and by more than chance.

A candidate is a difference to the right gradients, or a path of which any share may be missing or too much: then the
factors that reproduce every entry are an interval, and the name is that of a factor in it that people have reasons for.

Chance. Each wrong entry that is reproduced to within its floor is as many bits of evidence as it is farther off than
the floor, in powers of two; entries in which the candidate does the same count once; a fitted factor takes the bits of
one entry away and gives those by which it is known. A name needs more bits than the candidates that were tried, by a
margin.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from functional_mlp._dtypes import Array
from functional_mlp.oracle.traced.diagnosis.target import Target

MARGIN = 10.0  # bits
OF_FACTORS, OF_PLAIN_ONES = 7.0, 3.0  # of what is but a factor: what gives the same factor is the same
TYPICAL = 0.45  # of the floor, root mean square: what rounding leaves, with something to spare
FEW = 4  # entries that have no average
SURE, COMMON = 5.0, 0.1  # standard deviations of a mean; of what is allowed, what the roundings of all have in common
SIMPLE = {0.0: "is missing", -1.0: "has the wrong sign", 2.0: "counts twice", 0.5: "counts half"}
SMALL = {3.0: "counts three times", 4.0: "counts four times", 0.25: "counts a quarter"}
SMALL |= {-2.0: "counts minus twice", -0.5: "counts minus half"}


class Factor(NamedTuple):
    """By how much something is multiplied.

    Attributes:
        value: the factor.
        words: what that is; "" if nobody would know.
        bits: by which the numbers determine it.
        doubt: how far the numbers let it be from `value`.
        perhaps: what it may be, where the numbers do not say it well enough for words.
    """

    value: float
    words: str
    bits: float
    doubt: float = 0.0
    perhaps: str = ""

    def unnamed(self) -> "Factor":
        """The same without its words: no more than a number."""
        return self._replace(words="", perhaps=self.perhaps or self.words)

    def shown(self) -> str:
        """The number, with the digits that are known of it, two at least."""
        known = abs(self.value) / self.doubt if self.doubt and self.value else 1e6
        digits = int(np.clip(np.log10(known) + 0.5, 2, 6))
        return f"{self.value:.6g}" if digits == 6 else f"{float(f'{self.value:.{digits}g}'):.6g}"


def reproduces(target: Target, differences: Sequence[Array]) -> bool:
    """Whether the right gradients, changed so, are the given ones everywhere: no entry is farther off than it may be.

    And they are as near as roundings are on the average, of which a floor is several standard deviations.
    """
    left, count = 0.0, 0
    with np.errstate(all="ignore"):
        for off, d, may in zip(target.off, differences, target.allowed, strict=True):
            ratios = np.where(np.isinf(may), 0.0, np.abs(off - d) / may)
            if not np.all(ratios <= 1):
                return False
            counted = np.isfinite(may) & (np.abs(off) > may)
            left, count = left + float(np.sum(np.square(ratios[counted]))), count + int(counted.sum())
    return left <= TYPICAL**2 * count or count < FEW


def shares(off: Array, allowed: Array, path: Array) -> tuple[float, float]:
    """The k for which `off` is k times the path, to within what is allowed; (1, 0) if there are none."""
    with np.errstate(all="ignore"):
        off, allowed, path = off.ravel(), allowed.ravel(), path.ravel()
        known = np.isfinite(allowed)
        off, allowed, path = off[known], allowed[known], path[known]
        if not np.all(np.isfinite(path)):
            return 1.0, 0.0
        still = path == 0
        if np.any(np.abs(off[still]) > allowed[still]) or still.all():
            return 1.0, 0.0
        a, b = (off - allowed)[~still] / path[~still], (off + allowed)[~still] / path[~still]
        return float(np.max(np.minimum(a, b))), float(np.min(np.maximum(a, b)))


def all_shares(offs: Sequence[Array], allowed: Sequence[Array], path: Sequence[Array]) -> tuple[float, float]:
    """The same of all gradients."""
    low, high = -np.inf, np.inf
    for off, may, p in zip(offs, allowed, path, strict=True):
        if not np.any(p):
            if np.any(np.abs(off) > may):
                return 1.0, 0.0
            continue
        a, b = shares(off, may, p)
        low, high = max(low, a), min(high, b)
    return (low, high) if low <= high and np.isfinite(low) else (1.0, 0.0)


def averaged(off: Sequence[Array], allowed: Sequence[Array], path: Sequence[Array]) -> tuple[float, float]:
    """The k for which `off` is k times the path, by all entries together; (1, 0) if there are none.

    Roundings of many entries cancel in the mean, but for what they have in common, as that of a rounded constant: it is
    `COMMON` of what is allowed, at least.
    """
    low, high = all_shares(off, allowed, path)
    if low > high:
        return low, high
    with np.errstate(all="ignore"):
        pairs = [(o / may, p / may) for o, may, p in zip(off, allowed, path, strict=True)]
        known = [np.isfinite(o) & np.isfinite(p) for o, p in pairs]
        weight = sum(float(np.sum(np.square(p[at]))) for (_, p), at in zip(pairs, known, strict=True))
        count = sum(int(np.count_nonzero(p[at])) for (_, p), at in zip(pairs, known, strict=True))
        if not 0 < weight < np.inf:
            return low, high
        mean = sum(float(np.sum((o * p)[at])) for (o, p), at in zip(pairs, known, strict=True)) / weight
    spread = np.sqrt(count / weight)  # of one entry
    half = max(SURE * TYPICAL / np.sqrt(count), COMMON) * spread
    own = max(low, mean - half), min(high, mean + half)
    return own if own[0] <= own[1] else (low, high)


def factor_in(low: float, high: float, sizes: Sequence[int]) -> Factor:
    """The factor 1 + k, for k in an interval, that is most likely meant."""
    middle, width = 1 + (low + high) / 2, max(high - low, 1e-15)
    bits = float(np.log2(max(1.0, abs(middle)) / width))
    slack = 1e-9 * max(1.0, abs(middle))
    if low - slack <= -1 <= high + slack and width < 1:
        return Factor(0.0, SIMPLE[0.0], bits)  # what is missing altogether is likelier than any factor
    by_sizes = of_sizes(sizes)
    for table, least in ((SIMPLE, 2.0), (SMALL, OF_PLAIN_ONES), (by_sizes, OF_FACTORS)):
        inside = [c for c in table if low - slack <= c - 1 <= high + slack and c != 1]
        if inside and bits - np.log2(len(table)) >= least:
            best = min(inside, key=lambda c: abs(c - middle))
            words = table[best] if table is by_sizes or best not in by_sizes else f"{table[best]}: it {by_sizes[best]}"
            return Factor(best, words, bits - float(np.log2(len(table))), width / 2)
    known = [c for c in by_sizes if low <= c - 1 <= high]
    nearest = min(known, key=lambda c: abs(c - middle), default=None)
    return Factor(middle, "", 0.0, width / 2, "" if nearest is None else by_sizes[nearest])


def meant(sizes: Sequence[int]) -> dict[float, str]:
    """Factors that people have reasons for: small numbers, and those that lengths of axes make."""
    return {c: words for c, words in (of_sizes(sizes) | SMALL).items() if c not in SIMPLE}


def of_sizes(sizes: Sequence[int]) -> dict[float, str]:
    """Those that lengths of axes make."""
    known: dict[float, str] = {}
    for n in sorted(set(sizes)):
        if n < 2:
            continue
        for value, words in (
            (n, f"is {n} times too large (a sum for a mean over {n}, or not divided by {n})"),
            (1 / n, f"is divided by {n} (a mean for a sum over {n}, or divided once too often)"),
            (n**0.5, f"is sqrt({n}) times too large"),
            (n**-0.5, f"is divided by sqrt({n}) once too often"),
        ):
            known.setdefault(float(value), words)
        if n > 2:
            known.setdefault(n / (n - 1), f"is divided by {n - 1} instead of {n}")
            known.setdefault((n - 1) / n, f"is divided by {n} instead of {n - 1}")
    return known


def least_of(factor: Factor) -> float:
    """The bits that naming a factor takes: those are more likely meant that people write."""
    return OF_PLAIN_ONES if factor.value in SIMPLE or factor.value in SMALL else OF_FACTORS


def evidence(target: Target, differences: Sequence[Any], *, of_multiples: bool = False) -> tuple[float, float]:
    """The bits of all wrong entries that a candidate moves, and of the most telling one.

    An array that is a multiple of the right one is but one number, whatever its size, unless it is exactly 0; not so
    where the question is whether it is one (`of_multiples`).
    """
    total, most = 0.0, 0.0
    for given, true, off, d, may in zip(
        target.given, target.true, target.off, differences, target.allowed, strict=True
    ):
        with np.errstate(all="ignore"):
            far = (np.abs(off) > may) & np.isfinite(may) & (d != 0)
            if not far.any():
                continue
            bits = np.log2(np.minimum(np.abs(off[far]) / may[far], 2.0**60))
            moved = d[far] / np.max(np.abs(d[far]))
        distinct = np.unique(np.round(moved, 3)).size
        own = float(np.sum(np.sort(bits)[::-1][:distinct]))
        low, high = averaged([off], [may], [true]) if np.any(given) and not of_multiples else (1.0, 0.0)
        if low <= high:
            own = min(own, float(np.log2(max(abs(low), abs(high)) / max(high - low, 1e-15))))
        total += own
        most = max(most, min(own, float(bits.max())))
    return total, most


def is_scaled(target: Target) -> bool:
    """Whether each wrong array is a multiple of the right one, so that all evidence is one number for each."""
    for given, true, off, may, wrong in zip(*target, strict=True):
        if wrong:
            low, high = shares(off, may, true)
            if low > high or not np.any(given):
                return False
    return True


def digits_of(target: Target, differences: Sequence[Array]) -> int:
    """The decimal digits to which the worst of the wrong arrays is reproduced."""
    least = 15.0
    for given, off, d, may, wrong in zip(
        target.given, target.off, differences, target.allowed, target.wrong, strict=True
    ):
        known = np.isfinite(may)
        if not wrong or not known.any():
            continue
        size = float(np.sqrt(np.mean(np.square(given[known]))))
        left = float(np.sqrt(np.mean(np.square((off - d)[known]))))
        least = min(least, -np.log10(left / size) if left and size else least)
    return max(0, int(least))
