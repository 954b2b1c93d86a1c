"""A second opinion about a VJP: differences of the function itself, along random directions.

The truth is JAX's VJP of the traced function, evaluated in float64. It may be wrong: by a rule of JAX, by an evaluator
of this package, or by a `custom_vjp` of the person's own function. The function alone, evaluated at two points on
either side, knows nothing of all these:

    (<ct, f(x + h d)> - <ct, f(x - h d)>) / 2 h  =  <ct_x, d>     as h -> 0

What the function decides stays decided, what it calls constant (`stop_gradient`) constant, and where it is written in
pieces, as a maximum, it stays on the piece that it is on.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from functional_mlp import _jax_compat
from functional_mlp._dtypes import Array
from functional_mlp.oracle.traced.noise import Floor
from functional_mlp.oracle.traced.pieces import followed, shares_of
from functional_mlp.oracle.traced.tracing import Evaluation, Path, Trace, place_of
from functional_mlp.oracle.traced.tracing.primitives import Operation, Primitive, Value, is_float
from functional_mlp.oracle.truth import DisagreementError

DIRECTIONS, SEED = 2, 20261126
STEPS = (2.0**-11, 2.0**-14, 2.0**-17, 2.0**-20)
DOUBT = 30.0  # times the distance of the two differences that agree best
LEAST_DOUBT = 1e-6  # of what the terms of <ct_x, d> are

REFINEMENTS = 4


class Opinion(NamedTuple):
    """What differences say of <ct_x, d> along one direction.

    Attributes:
        derivative: by the VJP.
        difference: by differences.
        doubt: how far the two may be apart.
    """

    derivative: float
    difference: float
    doubt: float


def confirm(trace: Trace, floors: Sequence[Floor]) -> None:
    """Refuses the truth of a trace where differences of the function disagree.

    Args:
        trace: of a function and its VJP.
        floors: of the trace, outputs first.

    Raises:
        DisagreementError: naming the `custom_vjp` of the function, if it has one.
    """
    for opinion in opinions(trace, floors):
        if abs(opinion.derivative - opinion.difference) > opinion.doubt:
            own = _custom_rule(trace.forward.jaxpr)
            raise DisagreementError(
                f"along a random direction the function changes by {opinion.difference:.9g}, but by its VJP in JAX it "
                f"should by {opinion.derivative:.9g}"
                + (
                    f": its own rule ({own}) is not the derivative of its value; where that is meant, write it with "
                    "jax.lax.stop_gradient"
                    if own
                    else ": please report this, it is a bug of JAX's or of functional_mlp"
                )
            )


def opinions(trace: Trace, floors: Sequence[Floor]) -> list[Opinion]:
    """What differences say, along random directions; nothing along those in which they say nothing."""
    gradients, count = floors[trace.outputs :], len(floors) - trace.outputs
    floats, cts = trace.operands[:count], trace.operands[count:]
    kept = _Kept()
    outputs = [y for y in kept(trace.forward, floats) if is_float(y)]
    random, found = np.random.Generator(np.random.SFC64(SEED)), []
    for _ in range(DIRECTIONS):
        direction = [_direction(random, x) for x in floats]
        differences, size = [], 0.0
        for step in STEPS:
            sides = [np.stack([x + step * d, x - step * d]) for x, d in zip(floats, direction, strict=True)]
            moved = _Moved(kept)(trace.forward, sides)
            total = 0.0
            for y, ct, true in zip([y for y in moved if is_float(y)], cts, outputs, strict=True):
                if y.ndim > true.ndim:
                    total += float(np.sum(ct * (y[0] - y[1])))
                size += float(np.sum(np.abs(ct * true))) / len(STEPS)
            differences.append(total / (2 * step))
        opinion = _weighed(differences, size, gradients, direction)
        if opinion is not None:
            found.append(opinion)
    return found


def _direction(random: np.random.Generator, x: Array) -> Array:
    """As large as the numbers are, not smaller for those that happen to be small; symmetric where they are."""
    size = float(np.sqrt(np.mean(np.square(x)))) if x.size else 0.0
    direction = random.uniform(-1, 1, x.shape) * np.maximum(np.abs(x), size if 0 < size < np.inf else 1.0)
    if x.ndim > 1 and x.shape[-1] == x.shape[-2] and np.array_equal(x, np.swapaxes(x, -1, -2)):
        return direction + np.swapaxes(direction, -1, -2)
    return direction


def _weighed(
    differences: list[float], size: float, gradients: Sequence[Floor], direction: list[Array]
) -> Opinion | None:
    terms = [np.sum(f.true * d) for f, d in zip(gradients, direction, strict=True)]
    squares = sum(float(np.sum(np.square(f.true * d))) for f, d in zip(gradients, direction, strict=True))
    with np.errstate(invalid="ignore"):
        excused = sum(
            float(np.sum((f.slack + f.smooth * f.finest) * np.abs(d)))
            for f, d in zip(gradients, direction, strict=True)
        )
    pairs = zip(STEPS[1:], differences[1:], differences[:-1], strict=True)
    rounding = [(abs(a - b) + 2.0**-50 * size / step, a) for step, a, b in pairs]
    apart, difference = min(rounding, key=lambda pair: pair[0] if np.isfinite(pair[0]) else np.inf)
    doubt = DOUBT * apart + LEAST_DOUBT * float(np.sqrt(squares)) + excused
    opinion = Opinion(float(sum(terms)), difference, doubt)
    return opinion if all(map(np.isfinite, opinion)) else None


class _Kept(Evaluation):
    """An evaluation that remembers what it decided, what the function calls constant, and which pieces it is on."""

    def __init__(self) -> None:
        super().__init__()
        self.constants: dict[Path, list[Value]] = {}
        self.pieces: dict[Path, Sequence[Array]] = {}

    def decided(self, operation: Operation, primitive: Primitive, x: list[Value], path: Path) -> Value:
        self.decisions[path] = super().decided(operation, primitive, x, path)
        return self.decisions[path]

    def results(
        self, operation: Operation, primitive: Primitive, x: list[Value], y: list[Value], path: Path
    ) -> list[Value]:
        if operation.name == "stop_gradient":
            self.constants[path] = y
        shares = shares_of(operation, x)
        if shares is not None:
            self.pieces[path] = shares
        return y


class _Moved(Evaluation):
    """An evaluation elsewhere, with the same decisions, constants and pieces."""

    def __init__(self, kept: _Kept):
        super().__init__(kept.decisions)
        self.kept = kept

    def results(
        self, operation: Operation, primitive: Primitive, x: list[Value], y: list[Value], path: Path
    ) -> list[Value]:
        if path in self.kept.pieces:
            return [followed(operation, self.kept.pieces[path], x)]
        return self.kept.constants.get(path, y)

    def linear_solve(self, p: Any, x: list[Value], path: Path) -> list[Value]:
        """The solution of the system that was moved.

        What solves it may have been made of constants, a factorisation of the system where it was: then it only comes
        nearer to the solution, each time by about the distance of the two systems.
        """
        matvec, lengths = p["jaxprs"].matvec, p["const_lengths"]
        constants, right = x[: lengths.matvec], x[sum(lengths) :]
        found = super().linear_solve(p, x, path)
        for _ in range(REFINEMENTS):
            there = self.run(matvec.jaxpr, matvec.consts, [*constants, *found], (*path, "matvec"))
            left = [b - a for a, b in zip(there, right, strict=True)]
            more = super().linear_solve(p, [*x[: sum(lengths)], *left], path)
            found = [a + b for a, b in zip(found, more, strict=True)]
        return found


def _custom_rule(jaxpr: Any) -> str:
    """Where the function has a `custom_vjp`; "" if nowhere."""
    for equation in _jax_compat.equations_of(jaxpr):
        if equation.primitive.name.startswith("custom_vjp"):
            return f"custom_vjp, {place_of(equation) or 'somewhere'}"
        for program in _jax_compat.inner_programs(equation):
            if own := _custom_rule(program):
                return own
    return ""
