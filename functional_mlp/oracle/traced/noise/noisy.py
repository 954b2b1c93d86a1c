"""Evaluations of a trace in which every operation errs as one of the declared precision may.

A result is off by amplitude * (e1 + e2 + e3 / 4), each e uniform in (-1, 1): e1 of the entry alone, for even equal sums
may round differently; e2 shared by numbers that are equal to 4 bits, since roundings are functions of the numbers and
not dice; e3 of the whole array, for an operation that is biased.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from functional_mlp._dtypes import Array
from functional_mlp.oracle.noise import Precision
from functional_mlp.oracle.traced.noise.survey import Survey, different, representable
from functional_mlp.oracle.traced.tracing import Evaluation, Path, Step
from functional_mlp.oracle.traced.tracing.primitives import (
    EQUALITIES,
    FOUND_AGAIN,
    Kind,
    Operation,
    Primitive,
    Value,
    aligned,
    is_float,
)

FAR = 4.0  # so many times the noise of a pass may turn a decision
NEAR_POLE = 2.0  # and so many times the farthest of the passes may bring a divisor to 0
CLASSES = 1 << 12  # of numbers that are equal to some bits
POOL = 1 << 20  # of random numbers that are drawn at once
NEXT_TO_NOTHING = 1e-300


class Dice:
    """Random numbers for passes side by side: a pool of them, read from random places.

    Args:
        seed: numbers; the same give the same.
        passes: how many.
        most: how many numbers are asked for at once, about.
    """

    def __init__(self, seed: list[int], passes: int, most: int):
        self.random = np.random.Generator(np.random.SFC64(np.random.SeedSequence(seed)))
        self.passes, self.pool_size = passes, int(min(POOL, max(1 << 14, 2 * passes * most)))
        self.pool = self._uniform((2 * self.pool_size,))
        self.classes = self._uniform((passes, CLASSES))

    def _uniform(self, shape: tuple[int, ...]) -> Any:
        drawn = self.random.random(shape, np.float32)
        drawn *= 2
        drawn -= 1
        return drawn

    def rolled(self, numbers: Array) -> Any:
        """e1 + e2 + e3 / 4 for every pass and entry, (passes, *shape), of `numbers` of a shape."""
        salt = (int(self.random.integers(1 << 48)) << 1) | 1
        leading = np.array(numbers, order="C").reshape(-1).view(np.uint64)
        leading += np.uint64(1 << 47)
        leading >>= np.uint64(48)
        leading *= np.uint64(salt)
        leading >>= np.uint64(20)
        leading &= np.uint64(CLASSES - 1)
        dice = np.take(self.classes, leading.view(np.int64), axis=1).reshape((self.passes, *numbers.shape))
        count = dice.size
        if count <= self.pool_size:
            start = int(self.random.integers(self.pool_size))
            dice += self.pool[start : start + count].reshape(dice.shape)
        else:
            dice += self._uniform(dice.shape)
        of_all = (self.random.random(self.passes, np.float32) - np.float32(0.5)) / 2
        dice += of_all.reshape((-1,) + (1,) * numbers.ndim)
        return dice


class Noisy(Evaluation):
    """Passes side by side in which everything errs.

    Attributes:
        turned: by path, the decisions that FAR times this noise would change, (passes, *shape).
        singular: by path, where NEAR_POLE times this noise would bring a divisor to 0.
    """

    def __init__(self, survey: Survey, precision: Precision, dice: Dice, steady: Array | None = None):
        """`steady`: (passes,) of 1 or -1: all errors up, or all down."""
        super().__init__(survey.decisions)
        self.survey, self.precision, self.dice, self.steady = survey, precision, dice, steady
        # a fused kernel rounds what it writes, and its backward pass may read that
        self._written = survey.outputs if precision.storage.unit > precision.inner.unit else frozenset()
        self.turned: dict[Path, Value] = {}
        self.singular: dict[Path, NDArray[np.bool_]] = {}

    def noise(self, y: Array, amplitude: Any, rank: int) -> Array:
        """(passes, *shape): numbers that err."""
        first = y[0] if y.ndim > rank else y
        amplitude = np.where(np.isfinite(first), amplitude, 0.0)
        if self.steady is not None:
            return y + self.steady.reshape((-1,) + (1,) * rank) * (amplitude + NEXT_TO_NOTHING)
        error = self.dice.rolled(first) * amplitude
        error += y
        return error

    def stepped(self, step: Step, x: list[Value], path: Path) -> list[Value]:
        """The results of an equation; those of the function are written."""
        y, variables = super().stepped(step, x, path), step.operation.equation.outvars
        if len(path) > 1 or self._written.isdisjoint(variables) or step.operation.name in FOUND_AGAIN:
            return y
        storage, ranks = self.precision.storage, map(len, step.operation.shapes)
        return [
            self.noise(a, storage.unit / 2 * np.abs(_first(a, r)), r) if is_float(a) and v in self._written else a
            for a, v, r in zip(y, variables, ranks, strict=True)
        ]

    def constant(self, value: Value) -> Value:
        """A number written into the function may be rounded to the format that everything is."""
        inner, unit = self.precision.inner, self.precision.inner.unit
        if not is_float(value) or inner.name == "float64" or not value.size:
            return value
        there = representable(value, unit)
        return value if there.all() else self.noise(value, np.where(there, 0.0, unit * np.abs(value)), value.ndim)

    def decided(self, operation: Operation, primitive: Primitive, x: list[Value], path: Path) -> Value:
        """The true decision; what FAR times the noise would decide is remembered where it differs."""
        assert primitive.decide is not None
        if path not in self.survey.given:
            return super().decided(operation, primitive, x, path)
        far = 1.0 if operation.name in EQUALITIES else FAR
        moved = [
            b if far == 1.0 or not is_float(b) else a + far * (b - a)
            for a, b in zip(self.survey.given[path][1], x, strict=True)
        ]
        other, decision = np.asarray(primitive.decide(operation, *moved)), self.decisions[path]
        if np.any(different(other, decision)):
            self.turned[path] = np.broadcast_to(other, (self.dice.passes, *np.shape(decision)))
        return decision

    def operands(self, operation: Operation, primitive: Primitive, x: list[Value], path: Path) -> list[Value]:
        """Factors that are rounded before they are multiplied; problems nearby, of factorisations."""
        inner, products = self.precision.inner, self.precision.products
        if path in self.survey.poles:
            self._look_at_pole(x[primitive.pole or 0], path)
        if primitive.multiplies and products.unit > inner.unit:
            return [self._factor(a, r) if is_float(a) else a for a, r in zip(x, operation.ranks, strict=True)]
        if primitive.kind is Kind.BACKWARD:
            return [self._nearby(primitive, a, r) for a, r in zip(x, operation.ranks, strict=True)]
        return x

    def _factor(self, a: Array, rank: int) -> Array:
        """A factor, rounded to the format of factors: what is in that format already, stays."""
        products, first = self.precision.products, _first(a, rank)
        size = products.unit * np.abs(first) + products.smallest * (first != 0)
        return self.noise(a, np.where(representable(first, products.unit), 0.0, size), rank)

    def _look_at_pole(self, x: Array, path: Path) -> None:
        true = self.survey.poles[path]
        distance = np.where(true == 0, np.abs(x), (true - x) * np.sign(true))  # towards 0
        if x.ndim > true.ndim:
            distance = distance.max(axis=0)
        near = (np.abs(true) <= NEAR_POLE * distance) & (distance > 0)
        if near.any():
            self.singular[path] = near

    def _nearby(self, primitive: Primitive, a: Value, rank: int) -> Value:
        """An operand of a backward stable algorithm, which solves a problem nearby exactly."""
        if not is_float(a) or not rank:
            return a
        first = _first(a, rank)
        size = np.abs(first)
        if primitive.absolute is not None and rank > 1:
            size = np.maximum(size, primitive.absolute(first))
        units = primitive.relative if isinstance(primitive.relative, float) else 1.0
        return self.noise(a, units * self.precision.inner.unit * first.shape[-1] ** 0.5 * size, rank)

    def results(
        self, operation: Operation, primitive: Primitive, x: list[Value], y: list[Value], path: Path
    ) -> list[Value]:
        """Results that err."""
        if primitive.kind not in (Kind.SUM, Kind.ROUNDED) or not any(map(is_float, y)):
            return y
        if operation.name in ("mul", "div") and any(map(_power_of_two, operation.equation.invars)):
            return y
        if primitive.kind is Kind.SUM:
            louder = self.precision.inner.unit / self.survey.precision.inner.unit
            noisy = self.noise(y[0], louder * self.survey.sums[path], len(operation.shapes[0]))
            return [_by_factors(y[0], noisy, self.survey.of_one_sign.get(path))]
        inner, relative = self.precision.inner, primitive.relative
        units = relative(operation) if callable(relative) else relative
        first = [_first(a, r) for a, r in zip(aligned(operation, tuple(x)), operation.ranks, strict=True)]
        found = []
        for result, shape in zip(y, operation.shapes, strict=True):
            size = np.abs(value := _first(result, len(shape)))
            size *= units
            if primitive.absolute is not None:
                size = size + np.abs(primitive.absolute(value, *first))
            reach = self.survey.reach.get(path)
            if reach is not None:
                size = np.maximum(size, reach)
            size = inner.unit * size
            if path in self.survey.recovered:
                size = size + self.precision.storage.unit * self.survey.recovered[path]
            if inner.smallest:
                size = size + inner.smallest * (value != 0)
            found.append(self.noise(result, size, len(shape)))
        return found


def _by_factors(y: Array, noisy: Array, where: NDArray[np.bool_] | None) -> Array:
    """Errors that multiply or divide, in place of such that are added: they never change a sign."""
    if where is None:
        return noisy
    with np.errstate(all="ignore"):
        factor = noisy / y
        factor = np.where(factor < 1, 1 / (2 - factor), factor)
    return np.where(where & np.isfinite(factor), y * factor, noisy)


def _first(x: Value, rank: int) -> Value:
    return x[0] if np.ndim(x) > rank else x


def _power_of_two(variable: Any) -> bool:
    value = getattr(variable, "val", None)
    return value is not None and not np.shape(value) and np.frexp(np.abs(np.float64(value)))[0] in (0.0, 0.5)
