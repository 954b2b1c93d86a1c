"""One array that was given beside one that a program computes: equal, or a multiple, or with another penalty.

Every fit is a linear one: given = factor · gradient + l2 · parameter + l1 · sign(parameter), where of the three numbers
as few are fitted as the given array allows. What a program computes is the gradient without its penalties.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import ml_dtypes
import numpy as np

from functional_mlp._dtypes import Array

SPAN = 8.0  # allowances by which an array may be off the space of all fits before the fits themselves are tried
MOST_WORK = 2e6  # entries times samples squared, to fit a weight for each sample
LARGEST = 1e6  # factor that is none of rounding noise
# formats, and how many digits it tells that two numbers rounded to them are the same: few, where most are near
NARROW = ((np.float16, 0.5), (ml_dtypes.bfloat16, 0.5), (np.float32, 7.2))
ROUNDED = 1e-12  # of a sum of squares: what of it rounding may be
SURE = 5.0  # decimal digits beyond those of the fitted numbers from which on a fit is none of chance


class Fit(NamedTuple):
    """given = factor · gradient + l2 · parameter + l1 · sign(parameter), to within what is allowed.

    Attributes:
        factor, l2, l1: as above.
        free: how many of them were fitted.
        doubt: how far off the factor may be, relative to it.
    """

    factor: float
    l2: float
    l1: float
    free: int
    doubt: float


@dataclass(frozen=True, eq=False)
class Observed:
    """An array that was given.

    Attributes:
        path: of the array.
        layer: index into the parameters; −1 for ct_inputs.
        kind: "weights", "bias", "delta" or "ct_inputs".
        given: its entries, float64.
        parameter: of which it is the gradient, or None.
        allowed: how far each entry may be off.
        relative: the same relative to the largest entry.
        l2, l1: of the penalty that the case declares on it.
        wrong: whether it was judged wrong.
        samples: the number n of samples that it is a sum over.
        off: how far each entry is off the right one, in what is allowed.
    """

    path: str
    layer: int
    kind: str
    given: Array
    parameter: Array | None
    allowed: Array
    relative: float
    l2: float
    l1: float
    wrong: bool
    samples: int
    off: Array

    def digits(self, free: int) -> float:
        """Decimal digits by which an agreement with so many fitted numbers is beyond chance."""
        return (self.numbers - free) * self.digits_of_one

    def evidence(self, free: int) -> float:
        """The same as a natural logarithm, of what is not right: what is nearly right says less."""
        off = np.clip(np.nan_to_num(self.off, nan=np.inf), 1.0, 1e17)
        of_each = np.clip(np.log10(off), 0.0, self.digits_of_one)
        digits = min(self.numbers * self.digits_of_one, float(of_each.sum())) - free * self.digits_of_one
        return max(digits, 0.0) * math.log(10)

    @cached_property
    def digits_of_one(self) -> float:
        """Decimal digits by which one of its numbers may agree."""
        return float(min(-np.log10(min(max(self.relative, 1e-16), 1.0)), self.digits_shown))

    @cached_property
    def digits_shown(self) -> float:
        """How many decimal digits its numbers have: few where they were rounded to a narrow format, or to decimals."""
        if self.is_zero:
            return 17.0
        with np.errstate(over="ignore"):
            narrow = [digits for form, digits in NARROW if (self.given.astype(form) == self.given).all()]
        decimals = next((d for d in range(9) if self._has_decimals(d)), None)
        shown = [] if decimals is None else [max(1.0, decimals + 1 + np.floor(np.log10(self.largest)))]
        return float(min([*narrow, *shown, 17.0]))

    def _has_decimals(self, decimals: int) -> bool:
        """Whether its numbers, or the float32 numbers that they are, are of so many decimals."""
        rounded = np.round(self.given, decimals)
        unit = 4e-16 if self._is_doubled else 6e-8
        return bool((np.abs(self.given - rounded) <= unit * np.abs(rounded)).all())

    @cached_property
    def _is_doubled(self) -> bool:
        """Whether it has more digits than float32 has."""
        with np.errstate(over="ignore"):
            return bool((self.given.astype(np.float32) != self.given).any())

    @cached_property
    def numbers(self) -> int:
        """How many of its entries may differ by themselves: in a sum of n outer products as many as its rank says."""
        if self.is_one_number:
            return 0 if self.largest > 0 and self._is_plain else 1
        sizes = np.sort(np.abs(self.given[self.given != 0]))
        near = 2 * max(self.most_allowed, self.relative * self.largest)
        different = min(len(sizes), 1) + int(np.sum(np.diff(sizes) > near))  # at a bound one counts
        if different == 1 and self._is_plain:
            return 0
        if self.kind != "weights":
            return different
        rows, columns = (int(np.any(self.given != 0, axis=axis).sum()) for axis in (1, 0))
        return min(min(rows, self.samples) * columns, different)

    @cached_property
    def is_one_number(self) -> bool:
        """Whether all its entries are the same, but for rounding."""
        return bool(np.ptp(self.given) <= 2 * self.most_allowed) if self.given.size else True

    @property
    def _is_plain(self) -> bool:
        """Whether its largest entry is a number of few digits, which many computations give."""
        return float(f"{self.largest:.3g}") == self.largest

    @cached_property
    def is_zero(self) -> bool:
        """Whether all its entries are 0, but for rounding."""
        return bool((np.abs(self.given) <= self.allowed).all())

    @cached_property
    def is_finite(self) -> bool:
        """Whether all its entries are."""
        return bool(np.isfinite(self.given).all())

    @cached_property
    def largest(self) -> float:
        """The size of its largest entry."""
        return float(np.max(np.abs(self.given), initial=0.0))

    @cached_property
    def most_allowed(self) -> float:
        """How far the entry may be off that may be furthest."""
        return float(np.max(self.allowed, initial=0.0))

    @property
    def penalty(self) -> Array:
        """The gradient of the declared penalty on it."""
        return self.penalty_of(self.l2, self.l1)

    def penalty_of(self, l2: float, l1: float) -> Array:
        """The gradient of a penalty of these coefficients on it."""
        if self.parameter is None:
            return np.zeros_like(self.given)
        penalty: Array = l2 * self.parameter + l1 * np.sign(self.parameter)
        return penalty

    @cached_property
    def penalties(self) -> Array:
        """Orthonormal columns that span the gradients of all penalties: (size, 0 to 2)."""
        if self.parameter is None:
            return np.zeros((self.given.size, 0))
        columns = np.stack([self.parameter.ravel(), np.sign(self.parameter).ravel()], axis=1)
        basis, sizes, _ = np.linalg.svd(columns, full_matrices=False)
        spanned: Array = basis[:, sizes > 1e-12 * sizes.max(initial=0.0)]
        return spanned

    def without_penalties(self, array: Array) -> Array:
        """What no penalty can give of an array of its shape: (size,)."""
        flat = array.ravel()
        left: Array = flat - self.penalties @ (flat @ self.penalties)
        return left

    @cached_property
    def has_data(self) -> bool:
        """Whether there is more in it than penalties, to whatever coefficients, can give."""
        off = np.abs(self.unpenalised).max(initial=0.0)
        return bool(off > SPAN * (self.most_allowed + self.relative * self.largest))

    @cached_property
    def unpenalised(self) -> Array:
        """What no penalty can give of it: (size,)."""
        return self.without_penalties(self.given)


def telling_entries(delta: Array, relative: float) -> int:
    """How many numbers of a cotangent show in sums that are so exact: not those that are 0, or lost beside others."""
    sizes = np.abs(delta)
    return int(np.count_nonzero(sizes > relative * sizes.max(initial=0.0)))


def of_each_sample(inputs: Array, delta: Array, kind: str) -> Array:
    """What each sample contributes to the gradient of weights, or of a bias: (its entries, samples).

    Args:
        inputs: of the layer (n, fan_in).
        delta: its ct_z (n, fan_out).
        kind: "weights" or "bias".
    """
    return delta.T if kind == "bias" else np.einsum("si,sj->ijs", inputs, delta).reshape(-1, len(delta))


def made_by(observed: Observed, gradient: Array, fit: Fit) -> Array:
    """The array of a program that computes this gradient and fits."""
    made: Array = fit.factor * gradient
    if observed.parameter is None:
        return made
    if fit.l2:
        made = made + fit.l2 * observed.parameter
    return made + fit.l1 * np.sign(observed.parameter) if fit.l1 else made


class Explained(NamedTuple):
    """An array that a program explains.

    Attributes:
        observed: the array.
        gradient: that the program computes, without its penalties.
        fit: how the array comes from it.
    """

    observed: Observed
    gradient: Array
    fit: Fit

    @property
    def is_of_zero(self) -> bool:
        """Whether the gradient is 0, but for rounding."""
        return bool((np.abs(self.gradient) <= self.observed.allowed).all())

    @property
    def has_other_penalty(self) -> bool:
        """Whether a penalty is in it that is neither the declared one nor that times the factor."""
        observed, (factor, *fitted, _, _) = self.observed, self.fit
        declared = [observed.l2, observed.l1]
        return fitted != declared and fitted != [factor * own for own in declared]

    @property
    def made(self) -> Array:
        """The array that the program makes."""
        return made_by(self.observed, self.gradient, self.fit)


def agrees(observed: Observed, made: Array) -> bool:
    """Whether the given array is this one, to within what numbers of its size are allowed."""
    if made.shape != observed.given.shape:
        return False
    largest = float(np.abs(made).max(initial=0.0))
    if not math.isfinite(largest):
        return False
    off = np.abs(observed.given - made)
    beside = observed.relative * largest
    if not off.max(initial=0.0) <= max(observed.most_allowed, beside):
        return False
    return bool((off <= np.maximum(observed.allowed, beside)).all())


def fit_of(observed: Observed, gradient: Array, known: Sequence[Fit] = ()) -> Fit | None:
    """How the given array comes from a gradient; None if it does not.

    Args:
        observed: the array.
        gradient: of a program, without its penalties; of the same shape.
        known: fits of other arrays, of which the numbers are tried before any are fitted.
    """
    given = observed.given
    if gradient.shape != given.shape or not observed.is_finite or not _in_span(observed, gradient):
        return None
    if not np.isfinite(gradient).all():
        return None
    declared = Fit(1.0, observed.l2, observed.l1, 0, 0.0)
    if agrees(observed, made_by(observed, gradient, declared)):
        return declared
    if observed.is_zero:
        return Fit(0.0, 0.0, 0.0, 0, 0.0)
    if observed.l2 or observed.l1:  # the penalty alone, or none
        for exact in (declared._replace(factor=0.0), declared._replace(l2=0.0, l1=0.0)):
            if agrees(observed, made_by(observed, gradient, exact)):
                return exact
    return next(itertools.chain(_of_others(observed, gradient, known), _fits(observed, gradient)), None)


def _of_others(observed: Observed, gradient: Array, known: Sequence[Fit]) -> Iterator[Fit]:
    """Those with the factor, or the penalty, of another array."""
    tried: dict[tuple[float, float, float], float] = {}
    for fit in known:
        if fit.factor != 0 and (fit.factor != 1 or fit.free):
            own = fit.factor * observed.l2, fit.factor * observed.l1
            tried.setdefault((fit.factor, observed.l2, observed.l1), fit.doubt)
            tried.setdefault((fit.factor, *own), fit.doubt)
            tried.setdefault((fit.factor, fit.l2, fit.l1), fit.doubt)
            tried.setdefault((1.0, fit.l2, fit.l1), 0.0)
    for numbers, doubt in tried.items():
        if observed.parameter is not None or numbers[1:] == (0.0, 0.0):
            yield from _if_it_agrees(observed, gradient, Fit(*numbers, 0, doubt))
    if observed.parameter is None or observed.given.size < 2:
        return
    for _, l2, l1 in tried:
        yield from _beside_penalty(observed, gradient, l2, l1)
        yield from _without_data(observed, gradient, Fit(0.0, l2, l1, 0, 0.0))


def _in_span(observed: Observed, gradient: Array) -> bool:
    """Whether it may be a fit at all: false of most, and quick to tell."""
    if observed.given.size <= 1 + observed.penalties.shape[1]:
        return True
    own, left = observed.without_penalties(gradient), observed.unpenalised
    size = float(own @ own)
    if size > 1e-24 * float(np.vdot(gradient, gradient)):
        left = left - (float(own @ left) / size) * own
    return bool(np.abs(left).max() <= SPAN * (observed.most_allowed + observed.relative * observed.largest))


def _fits(observed: Observed, gradient: Array) -> Iterator[Fit]:
    """Those with one fitted number, then those with two; with the declared penalty before others."""
    given, size = observed.given, observed.given.size
    if observed.parameter is None:
        yield from _with_factor(observed, gradient, gradient, 0.0, 0.0)
        return
    parameter, signs = observed.parameter, np.sign(observed.parameter)
    l2, l1 = observed.l2, observed.l1
    if l2 or l1:
        yield from _with_factor(observed, gradient, gradient + observed.penalty, l2, l1)
        yield from _with_factor(observed, gradient, gradient, 0.0, 0.0)
    yield from _beside_penalty(observed, gradient, l2, l1)
    if l2 or l1:
        yield from _beside_penalty(observed, gradient, -l2, -l1)  # of a sign that is the other one
    if size < 2:
        return
    coefficient, _ = _ratio(observed, parameter, given - gradient - l1 * signs)
    yield from _if_it_agrees(observed, gradient, Fit(1.0, coefficient, l1, 1, 0.0))
    coefficient, _ = _ratio(observed, signs, given - gradient - l2 * parameter)
    yield from _if_it_agrees(observed, gradient, Fit(1.0, l2, coefficient, 1, 0.0))
    if size < 4:
        return
    coefficient, _ = _ratio(observed, parameter, given)
    yield from _without_data(observed, gradient, Fit(0.0, coefficient, 0.0, 1, 0.0))
    for column in (parameter, signs):
        basis = np.stack([gradient.ravel(), column.ravel()], axis=1)
        (factor, coefficient), _, rank, _ = np.linalg.lstsq(basis, given.ravel(), rcond=1e-12)
        if rank == 2:
            doubt = observed.relative * 4
            l2, l1 = (coefficient, 0.0) if column is parameter else (0.0, coefficient)
            yield from _if_it_agrees(observed, gradient, Fit(float(factor), float(l2), float(l1), 2, doubt))


def _without_data(observed: Observed, gradient: Array, fit: Fit) -> Iterator[Fit]:
    """The penalty alone, of other coefficients than the declared ones."""
    if (fit.l2 or fit.l1) and agrees(observed, made_by(observed, gradient, fit)):
        yield fit


def _with_factor(observed: Observed, gradient: Array, whole: Array, l2: float, l1: float) -> Iterator[Fit]:
    """A multiple of the whole, penalties included."""
    factor, doubt = _ratio(observed, whole, observed.given)
    yield from _if_it_agrees(observed, gradient, Fit(factor, factor * l2, factor * l1, 1, doubt))


def _beside_penalty(observed: Observed, gradient: Array, l2: float, l1: float) -> Iterator[Fit]:
    """A multiple of the gradient, beside penalties that are known."""
    factor, doubt = _ratio(observed, gradient, observed.given - observed.penalty_of(l2, l1))
    yield from _if_it_agrees(observed, gradient, Fit(factor, l2, l1, 1, doubt))


def _ratio(observed: Observed, own: Array, given: Array) -> tuple[float, float]:
    """The factor that fits best, and how far off it may be, relative to it; 0 if none comes near."""
    flat, wanted = own.ravel(), given.ravel()
    size, product = float(flat @ flat), float(flat @ wanted)
    if size == 0 or product == 0:
        return 0.0, np.inf
    factor = product / size
    if not 1 / LARGEST < abs(factor) < LARGEST:
        return 0.0, np.inf
    whole = float(wanted @ wanted)
    near = 2 * (observed.most_allowed + observed.relative * (observed.largest + whole**0.5))
    if whole - factor * product > flat.size * near**2 + ROUNDED * whole:
        return 0.0, np.inf
    off = np.maximum(observed.allowed, observed.relative * abs(factor) * np.abs(own).max())
    return factor, float(np.sum(np.abs(own) * off)) / size / abs(factor)


def _if_it_agrees(observed: Observed, gradient: Array, fit: Fit) -> Iterator[Fit]:
    sound = math.isfinite(fit.factor + fit.l2 + fit.l1) and 1 / LARGEST < abs(fit.factor) < LARGEST
    if sound and agrees(observed, made_by(observed, gradient, fit)):
        yield fit
