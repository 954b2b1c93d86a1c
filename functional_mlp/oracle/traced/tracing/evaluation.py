"""A trace evaluated operation by operation, exactly, that is in float64; others override what happens at each.

Control flow is walked into: loops step by step, of several branches the one that is taken, calls as if written out.
Several passes may run side by side, in an axis in front of the arrays in which they differ.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from functional_mlp import _jax_compat
from functional_mlp.oracle.traced.tracing.places import where_of
from functional_mlp.oracle.traced.tracing.primitives import (
    Operation,
    Primitive,
    Value,
    as_value,
    is_float,
    prepared,
    primitive_of,
)
from functional_mlp.oracle.truth import float64_on_cpu

Path = tuple[Any, ...]  # which operation it is: its place in its program, after those of the programs around it


class DivergenceError(ArithmeticError):
    """Passes that run side by side would take different branches."""


class Step(NamedTuple):
    """An equation, its number, and the variables that nobody reads after it."""

    number: int
    operation: Operation
    primitive: Primitive | None
    last: tuple[Any, ...]


class Evaluation:
    """One exact evaluation of a program, or several side by side, that obeys the decisions it is given.

    Attributes:
        decisions: by `Path`, the outcomes of comparisons and the like that are obeyed; others the numbers decide.
    """

    def __init__(self, decisions: dict[Path, Any] | None = None):
        self.decisions = {} if decisions is None else decisions
        self._plans: dict[int, tuple[Step, ...]] = {}

    def __call__(self, program: Any, operands: Sequence[Any]) -> list[Value]:
        """The results of a closed jaxpr.

        Raises:
            ValueError: if it contains a primitive that is not known.
        """
        with float64_on_cpu(), np.errstate(all="ignore"):
            return self.run(program.jaxpr, program.consts, [as_value(x) for x in operands], ())

    # what others override

    def constant(self, value: Value) -> Value:
        """A number that is written into the function."""
        return value

    def operands(self, operation: Operation, primitive: Primitive, x: list[Value], path: Path) -> list[Value]:
        """The operands, before an operation that does not decide."""
        return x

    def results(
        self, operation: Operation, primitive: Primitive, x: list[Value], y: list[Value], path: Path
    ) -> list[Value]:
        """The results, after an operation."""
        return y

    def decided(self, operation: Operation, primitive: Primitive, x: list[Value], path: Path) -> Value:
        """A decision."""
        assert primitive.decide is not None
        return self.decisions[path] if path in self.decisions else primitive.decide(operation, *x)

    def row(self, x: Value, rank: int, t: int) -> Value:
        """What step t of a loop reads of an array (..., steps, *shape) of `rank` axes with the first."""
        return np.take(x, t, axis=-rank) if isinstance(x, np.ndarray) else x[t]

    def stacked(self, column: list[Value], rank: int) -> Value:
        """What the steps of a loop wrote, arrays of `rank` axes."""
        return np.stack(np.broadcast_arrays(*column), axis=-rank - 1)

    def carried(self, x: Value) -> Value:
        """What a loop carries from step to step."""
        return x

    def chosen(self, which: Value, x: Value, otherwise: Value) -> Value:
        """What loops side by side carry on: a new value of those that go on."""
        return np.where(which, x, otherwise)

    # walking

    def run(self, jaxpr: Any, consts: Any, operands: Sequence[Value], path: Path) -> list[Value]:
        """The results of an open jaxpr."""
        known = dict(zip(jaxpr.constvars, [self.constant(as_value(c)) for c in consts], strict=True))
        known |= zip(jaxpr.invars, operands, strict=True)
        for step in self._plan(jaxpr):
            equation = step.operation.equation
            x = [self._read(known, v) for v in equation.invars]
            known |= zip(equation.outvars, self.stepped(step, x, (*path, step.number)), strict=True)
            for variable in step.last:
                known.pop(variable, None)
        return [self._read(known, v) for v in jaxpr.outvars]

    def _read(self, known: dict[Any, Value], variable: Any) -> Value:
        if _jax_compat.is_literal(variable):
            return self.constant(as_value(variable.val))
        return known[variable]

    def _plan(self, jaxpr: Any) -> tuple[Step, ...]:
        if id(jaxpr) not in self._plans:
            self._plans[id(jaxpr)] = planned(jaxpr)
        return self._plans[id(jaxpr)]

    def stepped(self, step: Step, x: list[Value], path: Path) -> list[Value]:
        """The results of an equation."""
        name, p = step.operation.name, step.operation.params
        if step.primitive is not None:
            return self.operation(step.operation, step.primitive, x, path)
        if name == "scan":
            return self._scan(p, x, path)
        if name == "while":
            return self._while(p, x, path)
        if name == "cond":
            which = int(np.clip(_agreed(x[0]), 0, len(p["branches"]) - 1))
            branch = p["branches"][which]
            return self.run(branch.jaxpr, branch.consts, x[1:], (*path, which))
        if name == "custom_linear_solve":
            return self.linear_solve(p, x, path)
        inner = _jax_compat.called_program(step.operation.equation)
        if inner is None:
            raise ValueError(unknown(step.operation))
        return self.run(*inner, x, path)

    def _scan(self, p: Any, x: list[Value], path: Path) -> list[Value]:
        (n, carried), body = _jax_compat.scan_sizes(p), p["jaxpr"]
        m = n + carried
        ranks = [len(v.aval.shape) + 1 for v in body.jaxpr.invars[m:]]
        carry, columns = x[n:m], [[None] * p["length"] for _ in body.jaxpr.outvars[m - n :]]
        for t in reversed(range(p["length"])) if p["reverse"] else range(p["length"]):
            read = [self.row(a, rank, t) for a, rank in zip(x[m:], ranks, strict=True)]
            y = self.run(body.jaxpr, body.consts, [*x[:n], *carry, *read], (*path, t))
            carry = list(map(self.carried, y[: m - n]))
            for column, written in zip(columns, y[m - n :], strict=True):
                column[t] = written
        avals = [v.aval for v in body.jaxpr.outvars[m - n :]]
        if not p["length"]:
            return [*carry, *(as_value(np.zeros((0, *a.shape), a.dtype)) for a in avals)]
        return [*carry, *(self.stacked(c, len(a.shape)) for c, a in zip(columns, avals, strict=True))]

    def _while(self, p: Any, x: list[Value], path: Path) -> list[Value]:
        a, b = p["cond_nconsts"], p["cond_nconsts"] + p["body_nconsts"]
        cond, body, carry, t = p["cond_jaxpr"], p["body_jaxpr"], x[b:], 0
        side_by_side = len(cond.out_avals[0].shape)  # axes of loops of which each goes on for as long as it does
        while True:
            goes_on = self.run(cond.jaxpr, cond.consts, [*x[:a], *carry], (*path, "?", t))[0]
            goes_on = _agreed(goes_on, side_by_side)
            if not np.any(goes_on):
                return carry
            following = self.run(body.jaxpr, body.consts, [*x[a:b], *carry], (*path, t))
            if side_by_side and not np.all(goes_on):
                ranks = [len(v.aval.shape) for v in body.jaxpr.outvars]
                following = [
                    self.chosen(goes_on.reshape(goes_on.shape + (1,) * (r - side_by_side)), new, old)
                    for new, old, r in zip(following, carry, ranks, strict=True)
                ]
            carry, t = following, t + 1

    def linear_solve(self, p: Any, x: list[Value], path: Path) -> list[Value]:
        """The solution of a linear system, as the function says how it is to be solved."""
        solve, lengths = p["jaxprs"].solve, p["const_lengths"]
        start = lengths.matvec + lengths.vecmat
        constants, right = x[start : start + lengths.solve], x[sum(lengths) :]
        return self.run(solve.jaxpr, solve.consts, [*constants, *right], path)

    def operation(self, operation: Operation, primitive: Primitive, x: list[Value], path: Path) -> list[Value]:
        """The results of an operation that runs no program."""
        if primitive.decide is not None:
            decides = any(map(is_float, x))
            decision = self.decided(operation, primitive, x, path) if decides else primitive.decide(operation, *x)
            y = primitive.evaluate(operation, decision, *x)
        else:
            y = primitive.evaluate(operation, *self.operands(operation, primitive, x, path))
        results = [_array(part) for part in y] if isinstance(y, list) else [_array(y)]
        return self.results(operation, primitive, x, results, path)


def _array(x: Any) -> Value:
    """Arrays, in place of NumPy's numbers."""
    return np.asarray(x) if isinstance(x, np.generic) else x


def _agreed(x: Value, rank: int = 0) -> Value:
    """What all passes agree on."""
    if np.ndim(x) > rank and np.any(x != x[0]):
        raise DivergenceError("passes side by side take different branches")
    return x[0] if np.ndim(x) > rank else x


def planned(jaxpr: Any) -> tuple[Step, ...]:
    """The equations that the results depend on, in order, each with the variables that nobody reads after it."""
    needed = {v for v in jaxpr.outvars if not _jax_compat.is_literal(v)}
    steps: list[Step] = []
    for number, equation in reversed(list(enumerate(_jax_compat.equations_of(jaxpr)))):
        if needed.isdisjoint(equation.outvars):
            continue
        read = dict.fromkeys(v for v in equation.invars if not _jax_compat.is_literal(v))
        last = (*(v for v in read if v not in needed), *(v for v in equation.outvars if v not in needed))
        needed.update(read)
        operation = prepared(equation)
        steps.append(Step(number, operation, primitive_of(operation), last))
    return tuple(reversed(steps))


def unknown(operation: Operation) -> str:
    """The sentence that refuses a primitive which is not known."""
    return (
        f"the function uses JAX's operation {operation.name!r}{where_of(operation.equation)}, of which the oracle does "
        "not know how it rounds: write that part with other functions of jax.numpy or jax.lax"
    )
