"""Values, or derivatives, over all numbers asked about: how far off each is, and in which regions they are wrong."""

import itertools
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from functional_mlp._dtypes import Array
from functional_mlp.oracle.noise import Format
from functional_mlp.oracle.traced.elementwise.references import Right
from functional_mlp.oracle.verdict import CONSISTENT, OF_ENTRIES, UNDECIDED, WRONG, Verdict, worst_of

GAP = 16  # numbers that are not wrong between two that are leave them in one region
EDGES = (0.0, 2.0**-10, 0.0625, 0.25, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, np.inf)


@dataclass(frozen=True)
class Region:
    """Neighbouring numbers of one verdict.

    Attributes:
        verdict: WRONG or UNDECIDED.
        first, last: the ends, both included.
        count, size: how many of the numbers asked about there have the verdict, and how many there are.
        worst: where the error is largest, in what is allowed.
        got, expected, ulp, allowed: there; `ulp` is the error and `allowed` the largest of a right program, in ulp.
        cause: of UNDECIDED: "kink", or "overflow" (or underflow) of numbers on the way; "" if it is wrong.
    """

    verdict: Verdict
    first: float
    last: float
    count: int
    size: int
    worst: float
    got: float
    expected: float
    ulp: float
    allowed: float
    cause: str


@dataclass(frozen=True)
class Row:
    """A line of the table: what was found between two numbers.

    Attributes:
        low, high: of the numbers, both included.
        size: how many were asked about.
        ulp: the largest error, and `at` where it is; what flushing subnormal numbers to 0 costs is not counted.
        allowed: what a right program may be off there, in ulp: the median.
        wrong, undecided: how many.
    """

    low: float
    high: float
    size: int
    ulp: float
    at: float
    allowed: float
    wrong: int
    undecided: int


@dataclass(frozen=True, eq=False)
class Curve:
    """What was computed at every number, beside what is right; arrays (n,), in ascending order of x.

    Attributes:
        what: "value" or "derivative".
        x, got, true: float64.
        allowed: how far a right program may be off by rounding.
        ulp: the error in units in the last place of `true` in the format of results.
        entries: 0 consistent, 1 undecided, 2 wrong.
        overflow: where numbers on the way may overflow.
        unit: one ulp of every number of `true`.
        by_convention: numbers at kinks, where the derivative is that of another side than this package takes.
    """

    what: str
    x: Array = field(repr=False)
    got: Array = field(repr=False)
    true: Array = field(repr=False)
    allowed: Array = field(repr=False)
    ulp: Array = field(repr=False)
    entries: NDArray[np.int8] = field(repr=False)
    overflow: NDArray[np.bool_] = field(repr=False)
    unit: Array = field(repr=False)
    by_convention: tuple[float, ...] = field(repr=False)

    @property
    def verdict(self) -> Verdict:
        """WRONG if any number is, else UNDECIDED if any is."""
        return worst_of(OF_ENTRIES[int(entry)] for entry in np.unique(self.entries))

    @property
    def largest_ulp(self) -> float:
        """The largest error in ulp; infinite for NaN or infinity in place of a number."""
        return float(np.max(self.ulp, initial=0.0))

    @property
    def within_one(self) -> float:
        """The share of numbers that are off by at most 1 ulp."""
        return float(np.mean(self.ulp <= 1.0))

    def rows(self) -> tuple[Row, ...]:
        """The table, from the lowest numbers to the highest."""
        found = []
        bounds = [*(-edge for edge in reversed(EDGES)), *EDGES[1:]]
        for low, high in itertools.pairwise(bounds):
            inside = (self.x >= low) & (self.x < high)
            if not inside.any():
                continue
            worst = int(np.flatnonzero(inside)[np.argmax(self.ulp[inside])])
            with np.errstate(over="ignore"):
                entries, most = self.entries[inside], self.allowed[inside] / self.unit[inside]
            found.append(
                Row(
                    float(self.x[inside][0]),
                    float(self.x[inside][-1]),
                    int(inside.sum()),
                    float(self.ulp[worst]),
                    float(self.x[worst]),
                    float(np.median(most)),
                    int((entries == WRONG).sum()),
                    int((entries == UNDECIDED).sum()),
                )
            )
        return tuple(found)

    def regions(self) -> tuple[Region, ...]:
        """Where it is wrong, and where undecided: the farthest off first, in what is allowed."""
        found = [self._region(entry, run) for entry in (WRONG, UNDECIDED) for run in _runs(self.entries == entry)]
        return tuple(sorted(found, key=lambda region: (region.verdict is not Verdict.WRONG, -_ratio(region))))

    def _region(self, entry: int, run: slice) -> Region:
        inside = np.flatnonzero(self.entries[run] == entry) + run.start
        with np.errstate(all="ignore"):
            off = np.nan_to_num(np.abs(self.got - self.true)[inside] / self.allowed[inside], nan=np.inf)
            worst = int(inside[np.argmax(off)])
            allowed = float(self.allowed[worst] / self.unit[worst])
        x, got, true, ulp = (float(array[worst]) for array in (self.x, self.got, self.true, self.ulp))
        cause = "" if entry == WRONG else "overflow" if self.overflow[worst] else "kink"
        return Region(
            OF_ENTRIES[entry],
            float(self.x[run.start]),
            float(self.x[run.stop - 1]),
            len(inside),
            run.stop - run.start,
            x,
            got,
            true,
            ulp,
            allowed,
            cause,
        )


def _ratio(region: Region) -> float:
    return region.ulp / region.allowed if region.allowed else np.inf


def _runs(marked: NDArray[np.bool_]) -> list[slice]:
    """Stretches of marked numbers, small gaps in them."""
    places = np.flatnonzero(marked)
    if not places.size:
        return []
    ends = np.flatnonzero(np.diff(places) > GAP)
    firsts, lasts = [places[0], *places[ends + 1]], [*places[ends], places[-1]]
    return [slice(int(first), int(last) + 1) for first, last in zip(firsts, lasts, strict=True)]


def ulp_of(true: Array, form: Format) -> Array:
    """One unit in the last place of every number, in a format: its spacing there, and that of its smallest numbers."""
    smallest_normal = float(np.ldexp(1.0, _lowest_binade(form)))
    binade = np.frexp(np.clip(np.abs(true), smallest_normal, form.largest))[1] - 1
    return np.ldexp(np.ones(np.shape(true)), binade - (form.bits - 1))


def _lowest_binade(form: Format) -> int:
    """The exponent of the smallest normal number: formats are symmetric, largest = 2^(e + 1) (1 - 2^-bits)."""
    return 2 - int(np.frexp(form.largest)[1])


def judged(what: str, x: Array, got: Array, right: Right, form: Format) -> Curve:
    """Values or derivatives, number by number.

    Args:
        what: "value" or "derivative".
        x: the numbers (n,), ascending.
        got: what was computed (n,), float64.
        right: the truth and what a right program may be off.
        form: of the results.
    """
    true, smooth, slack, conventions, overflow, terms = right
    with np.errstate(all="ignore"):
        # what rounds beyond the largest number is infinite
        beyond = (np.abs(true) + smooth >= form.largest) & np.isinf(got) & (np.sign(got) == np.sign(true))
        error = np.where(beyond, 0.0, np.abs(got - true))
        unit = ulp_of(true, form)
        lost = ~np.isfinite(got) | ((error >= np.abs(true) / 2) & (error <= np.abs(true) + terms))
        entries = np.where((error <= smooth + slack) | (overflow & lost), UNDECIDED, WRONG)
        entries = np.where(np.isfinite(smooth) | beyond, entries, UNDECIDED)
        by_convention = np.zeros(got.shape, bool)
        for other in conventions:
            by_convention |= (np.abs(got - other) <= smooth) & (slack > 0)
        entries = np.where((error <= smooth) | beyond | by_convention, CONSISTENT, entries)
        ulp = np.where(error <= form.smallest, np.minimum(error / unit, 1.0), error / unit)
        ulp = np.where(by_convention, 0.0, np.where(np.isnan(ulp), np.inf, ulp))
        elsewhere = x[by_convention & (error > smooth)]
    return Curve(what, x, got, true, smooth, ulp, entries.astype(np.int8), overflow, unit, tuple(elsewhere.tolist()))
