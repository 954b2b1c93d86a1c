"""The first, true evaluation of a trace: it prepares what the noisy ones need."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from functional_mlp import _jax_compat
from functional_mlp._dtypes import Array
from functional_mlp.oracle.noise import Precision
from functional_mlp.oracle.traced.noise.reach import (
    Reached,
    array_of,
    carried,
    contracted_of,
    is_looped,
    reach_of,
    reached,
    to_first_order,
)
from functional_mlp.oracle.traced.noise.sums import sizes_of
from functional_mlp.oracle.traced.tracing import Evaluation, Path
from functional_mlp.oracle.traced.tracing.primitives import Kind, Operation, Primitive, Value, is_float

NEXT_TO = 2.0**-44  # as near to a number as it is moved at most in order to find ties, relative to it
COARSE = 0.05  # of a sum: an error beyond which it matters whether it adds or multiplies
LARGEST_EXPONENT = 750.0  # of an exponential that is neither 0 nor infinite
EXPONENTIALS = frozenset({"exp", "exp2", "expm1"})


def has_pole(operation: Operation, primitive: Primitive) -> bool:
    """Whether rounding may bring an operand to where the result is infinite; no number written into the function."""
    if primitive.pole is None or operation.params.get("y", -1) > 0:
        return False
    return not _jax_compat.is_literal(operation.equation.invars[primitive.pole])


def _constants_added(jaxpr: Any) -> dict[Any, float]:
    """The constants that are added to variables."""
    found = {}
    for equation in _jax_compat.equations_of(jaxpr):
        if equation.primitive.name == "add":
            for a, b in (equation.invars, equation.invars[::-1]):
                if _jax_compat.is_literal(a) and not _jax_compat.is_literal(b) and np.shape(a.val) == ():
                    found[b] = float(a.val)
    return found


def different(a: Value, b: Value) -> Any:
    """Where two decisions are not the same; a number that is none is the same as another."""
    if np.asarray(a).dtype.kind != "f":
        return np.asarray(a != b)
    return ~((a == b) | (np.isnan(a) & np.isnan(b)))


def representable(x: Array, unit: float) -> Any:
    """Whether numbers have no more bits than a format with this unit roundoff, but for a nudge; so have infinities."""
    mantissa, _ = np.frexp(x)
    scaled = mantissa / unit
    return (np.abs(np.rint(scaled) - scaled) <= NEXT_TO / unit) | ~np.isfinite(x)


class Survey(Evaluation):
    """An exact evaluation that remembers, by the path of each operation:

    Attributes:
        decisions: what was decided.
        given: the operands of what was decided.
        sums: how far sums may be off by rounding.
        of_one_sign: which sums may be off by a factor, and neither 0 nor negative; where that matters.
        reach: how large the numbers are that another formula works with, where they are larger than the result.
        recovered: how large an exponential is together with a constant that is added to it: a program may keep the sum,
            and take the constant off again, as e / (1 + e) = 1 - 1 / (1 + e); or the logarithm of the sum, of which the
            difference from a number as large as the exponent is taken, as e / (1 + e) = exp(x - log(1 + e)).
        poles: what is divided by, or taken the logarithm of.
        largest: the largest number that a program meets.
    """

    def __init__(self, precision: Precision, outputs: frozenset[Any] = frozenset()):
        """`outputs`: the variables of the program that are results of the function itself."""
        super().__init__()
        self.precision, self.outputs = precision, outputs
        self.given: dict[Path, tuple[Operation, list[Value]]] = {}
        self.sums: dict[Path, Array] = {}
        self.of_one_sign: dict[Path, NDArray[np.bool_]] = {}
        self.reach: dict[Path, Array] = {}
        self.recovered: dict[Path, Array] = {}
        self.poles: dict[Path, Array] = {}
        self._added: dict[Any, float] = {}
        self.largest = 0.0

    def __call__(self, program: Any, operands: Any) -> list[Value]:
        """The results, without their reach."""
        return [array_of(y) for y in super().__call__(program, operands)]

    def run(self, jaxpr: Any, consts: Any, operands: Sequence[Any], path: Path) -> list[Any]:
        """The results of an open jaxpr, of which it is known what constants are added to what."""
        self._added |= _constants_added(jaxpr)
        return super().run(jaxpr, consts, operands, path)

    def decided(self, operation: Operation, primitive: Primitive, x: list[Value], path: Path) -> Value:
        """A decision, which is remembered with what it was made of."""
        assert primitive.decide is not None
        self.decisions[path], self.given[path] = primitive.decide(operation, *x), (operation, x)
        return self.decisions[path]

    def row(self, x: Any, rank: int, t: int) -> Any:
        """What step t of a loop reads, with its reach."""
        if not isinstance(x, Reached):
            return super().row(x, rank, t)
        array, reach, contracted = (None if part is None else np.take(part, t, axis=-rank) for part in x[:-1])
        assert array is not None
        return Reached(array, reach, contracted, x.looped)

    def carried(self, x: Any) -> Any:
        """What a loop carries from step to step."""
        if isinstance(x, Reached):
            return x._replace(looped=True)
        return Reached(x, None, None, looped=True) if is_float(x) else x

    def chosen(self, which: Value, x: Any, otherwise: Any) -> Any:
        """What loops side by side carry on, with its reach."""
        y = super().chosen(which, array_of(x), array_of(otherwise))
        if not isinstance(x, Reached) and not isinstance(otherwise, Reached):
            return y
        return reached(y, super().chosen(which, reach_of(x), reach_of(otherwise)), looped=is_looped(x))

    def stacked(self, column: list[Any], rank: int) -> Any:
        """What the steps of a loop wrote, with its reach."""
        y = super().stacked([array_of(a) for a in column], rank)
        if not any(isinstance(a, Reached) for a in column):
            return y
        return reached(y, super().stacked([reach_of(a) for a in column], rank), looped=any(map(is_looped, column)))

    def operation(self, operation: Operation, primitive: Primitive, x: list[Any], path: Path) -> list[Any]:
        """The results of an operation, each with its reach."""
        bare = [array_of(a) for a in x]
        results: list[Any] = super().operation(operation, primitive, bare, path)
        if not any(map(is_float, results)):
            return results
        constant = self._added.get(operation.equation.outvars[0])
        if constant is not None and operation.name in EXPONENTIALS:
            exponent = np.clip(np.abs(bare[0]), 1.0, LARGEST_EXPONENT)
            self.recovered[path] = np.abs(array_of(results[0]) + constant) * exponent
        if has_pole(operation, primitive):
            self.poles[path] = bare[primitive.pole or 0]
        if primitive.kind is Kind.SUM:
            results = [self._sum(operation, primitive, x, bare, results[0], path)]
        elif len(results) == 1:
            contracted = self._contracted(operation, primitive, x, bare)
            reach = carried(operation, primitive, x, results[0])
            results = [reached(results[0], reach, contracted, looped=any(map(is_looped, x)))]
        if isinstance(results[0], Reached) and results[0].reach is not None:
            self.reach[path] = results[0].reach
        self._measure(operation, bare, results)
        return results

    def _contracted(self, operation: Operation, primitive: Primitive, x: list[Any], bare: list[Value]) -> Array | None:
        if all(contracted_of(a) is None for a in x):
            return None
        far = [
            (reach_of(a) if contracted_of(a) is None else contracted_of(a)) if is_float(b) else b
            for a, b in zip(x, bare, strict=True)
        ]
        return to_first_order(operation, primitive, bare, far)

    def _sum(
        self, operation: Operation, primitive: Primitive, x: list[Any], bare: list[Value], y: Array, path: Path
    ) -> Any:
        evaluator = primitive.added or primitive.evaluate
        decision = [] if primitive.decide is None else [self.decisions[path]]
        evaluate = lambda operands: evaluator(operation, *decision, *operands)  # noqa: E731
        # nobody multiplies out across several contractions
        far = not primitive.multiplies and any(isinstance(a, Reached) and a.reach is not None for a in x)
        far_terms = [np.copysign(reach_of(a), b) if is_float(b) else b for a, b in zip(x, bare, strict=True)]
        _, _, accumulation, products, inner = self.precision
        sizes = sizes_of(operation, primitive, bare, far_terms if far else None, evaluate, accumulation.unit)
        stored = inner.unit * np.maximum(np.abs(y), sizes.reach) + inner.smallest * (y != 0)
        if operation.name == "reduce_sum" and products.unit > inner.unit:
            # terms that are products may have been rounded as factors of a contraction are
            contracted = contracted_of(x[0])
            terms = bare[0] if contracted is None else contracted
            rounded = np.where(representable(bare[0], products.unit), 0.0, terms)
            stored = stored + (products.unit - inner.unit) * np.sqrt(evaluate([np.square(rounded)]))
        self.sums[path] = accumulation.unit * sizes.amplitude + np.where(sizes.copies, 0.0, stored)
        of_one_sign = sizes.of_one_sign & (self.sums[path] > COARSE * np.abs(y))
        if of_one_sign.any():
            self.of_one_sign[path] = of_one_sign
        reach = sizes.reach
        if sizes.copies.any():
            copied = evaluate([reach_of(a) if is_float(b) else b for a, b in zip(x, bare, strict=True)])
            reach = np.where(sizes.copies, copied, reach)
        contracted = sizes.reach if primitive.multiplies else None
        return reached(y, reach, contracted, looped=any(map(is_looped, x)))

    def _measure(self, operation: Operation, x: list[Value], results: list[Any]) -> None:
        hidden: Any = 0.0
        if operation.name == "integer_pow" and operation.params["y"] < 0:
            hidden = np.abs(x[0]) ** -operation.params["y"]  # what its inverse is taken of
        for y in results:
            if is_float(array_of(y)) and array_of(y).size:
                size = np.maximum(reach_of(y), hidden)
                self.largest = max(self.largest, float(np.max(size, where=np.isfinite(size), initial=0.0)))
