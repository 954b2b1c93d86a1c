"""One evaluation of a function, written down operation by operation: what its derivative is pulled back through.

Calls and loops are walked into, so that a tape has no program inside: a loop of twenty steps stands there twenty times.
What is the same operation of the person's function, in every step of a loop, has the same `place`.
"""

from typing import Any, NamedTuple

import numpy as np

from functional_mlp import _jax_compat
from functional_mlp._dtypes import Array
from functional_mlp.oracle.traced.tracing import Evaluation
from functional_mlp.oracle.traced.tracing.primitives import as_value, is_float, prepared, primitive_of

LARGEST = 20_000_000  # numbers on a tape: 160 MB
CONSTANT = frozenset({"stop_gradient", "sign", "floor", "ceil", "round"})  # their derivative is 0


class TooLargeError(Exception):
    """The function has too many numbers on its way to be searched."""


class Step(NamedTuple):
    """One operation, once.

    Attributes:
        name: of the primitive; or "carry", "row", "stack": what a loop does between its steps; or "function": anything
            that works entry by entry, by its `value` and `slopes`.
        params: of the primitive.
        operands: numbers of the values that it reads.
        results: numbers of those that it makes.
        place: number of the operation in the person's function.
        turn: which of the times that this operation runs.
        equation: of the jaxpr; that of the loop for what a loop does.
    """

    name: str
    params: dict[str, Any]
    operands: tuple[int, ...]
    results: tuple[int, ...]
    place: int
    turn: int
    equation: Any


class Tape(NamedTuple):
    """All operations of a function in their order, and all their values.

    Attributes:
        steps: the operations.
        values: by number: float64 arrays, or integers, booleans and keys.
        moving: by number: whether it depends on the floating inputs by a derivative.
        literals: numbers of the constants that are written in the function.
        inputs: numbers of the floating inputs.
        outputs: numbers of the outputs.
        calls: by place: the equations around it, the outermost first.
        turns: by place: how often it runs.
    """

    steps: list[Step]
    values: list[Any]
    moving: list[bool]
    literals: frozenset[int]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    calls: list[tuple[Any, ...]]
    turns: list[int]


def record(forward: Any, operands: list[Array]) -> Tape:
    """Evaluates a closed jaxpr of floating inputs, and keeps everything.

    Raises:
        TooLargeError: for more than LARGEST numbers.
    """
    made = _Recorder()
    with np.errstate(all="ignore"):
        inputs = tuple(made.value(as_value(x), moving=is_float(as_value(x))) for x in operands)
        consts = [made.value(as_value(c)) for c in forward.consts]
        outputs = made.run(forward.jaxpr, consts, list(inputs), (), ())
    return Tape(
        made.steps, made.values, made.moving, frozenset(made.literals), inputs, tuple(outputs), made.calls, made.turns
    )


def rerun(tape: Tape, instead: dict[int, Step]) -> Tape:
    """The function with other operations in place of some; what does not depend on them is shared."""
    values, moving, steps = list(tape.values), list(tape.moving), list(tape.steps)
    changed: set[int] = set()
    for number in range(min(instead), len(steps)):
        step = instead.get(number, steps[number])
        steps[number] = step
        if number not in instead and changed.isdisjoint(step.operands):
            continue
        for v, y in zip(step.results, results_of(step, [values[u] for u in step.operands]), strict=True):
            values[v] = y
            moving[v] = is_float(y) and step.name not in CONSTANT and any(moving[u] for u in step.operands)
            changed.add(v)
    return tape._replace(steps=steps, values=values, moving=moving)


def results_of(step: Step, x: list[Any]) -> list[Any]:
    """What an operation makes of its operands."""
    if step.name == "function":
        return [step.params["value"](*x)]
    if step.name in ("carry", "copy"):
        return [x[0]]
    if step.name == "row":
        return [x[0][step.params["index"]]]
    if step.name == "stack":
        return [np.stack(x)]
    return _evaluated(step.equation, x)


def _evaluated(equation: Any, x: list[Any]) -> list[Any]:
    if equation.primitive.name == "custom_linear_solve":  # its derivative is not that of how it is solved
        lengths, solve = equation.params["const_lengths"], equation.params["jaxprs"].solve
        start = lengths.matvec + lengths.vecmat
        given = [*x[start : start + lengths.solve], *x[sum(lengths) :]]
        return Evaluation().run(solve.jaxpr, solve.consts, given, ())
    operation = prepared(equation)
    primitive = primitive_of(operation)
    assert primitive is not None, f"{operation.name} was refused when the function was traced"
    return Evaluation().operation(operation, primitive, x, ())


class _Recorder:
    """What is written down so far."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.values: list[Any] = []
        self.moving: list[bool] = []
        self.literals: set[int] = set()
        self.places: dict[Any, int] = {}
        self.calls: list[tuple[Any, ...]] = []
        self.turns: list[int] = []
        self.needed: dict[int, list[int]] = {}
        self.entries = 0

    def value(self, x: Any, *, moving: bool = False) -> int:
        self.entries += getattr(x, "size", 1)
        if self.entries > LARGEST:
            raise TooLargeError
        self.values.append(x)
        self.moving.append(moving)
        return len(self.values) - 1

    def step(
        self, name: str, equation: Any, operands: list[int], results: list[Any], path: Any, around: tuple[Any, ...]
    ) -> list[int]:
        place = self.places.setdefault(path, len(self.places))
        if place == len(self.calls):
            self.calls.append(around)
            self.turns.append(0)
        depends = name not in CONSTANT and any(self.moving[v] for v in operands)
        numbers = [self.value(y, moving=depends and is_float(y)) for y in results]
        made = Step(name, equation.params, tuple(operands), tuple(numbers), place, self.turns[place], equation)
        self.steps.append(made)
        self.turns[place] += 1
        return numbers

    def run(
        self, jaxpr: Any, consts: list[int], operands: list[int], path: tuple[Any, ...], around: tuple[Any, ...]
    ) -> list[int]:
        known = dict(zip(jaxpr.constvars, consts, strict=True)) | dict(zip(jaxpr.invars, operands, strict=True))

        def read(v: Any) -> int:
            if not _jax_compat.is_literal(v):
                return known[v]
            number = self.value(as_value(v.val))
            self.literals.add(number)
            return number

        if id(jaxpr) not in self.needed:
            self.needed[id(jaxpr)] = _needed(jaxpr)
        equations = _jax_compat.equations_of(jaxpr)
        for i in self.needed[id(jaxpr)]:
            equation = equations[i]
            results = self.equation(equation, list(map(read, equation.invars)), (*path, i), around)
            known |= zip(equation.outvars, results, strict=True)
        return list(map(read, jaxpr.outvars))

    def equation(self, equation: Any, operands: list[int], path: tuple[Any, ...], around: tuple[Any, ...]) -> list[int]:
        name, params = equation.primitive.name, equation.params
        within = (*around, equation)
        if name == "scan":
            return self.scan(equation, operands, path, within)
        if name == "while":
            return self.while_loop(params, operands, path, within)
        if name == "cond":
            chosen = int(np.clip(self.values[operands[0]], 0, len(params["branches"]) - 1))
            return self.closed(params["branches"][chosen], operands[1:], (*path, chosen), within)
        inner = None if name == "custom_linear_solve" else _jax_compat.called_program(equation)
        if inner is not None:
            return self.run(inner[0], [self.value(as_value(c)) for c in inner[1]], operands, path, within)
        results = _evaluated(equation, [self.values[v] for v in operands])
        return self.step(name, equation, operands, results, path, around)

    def closed(self, program: Any, operands: list[int], path: Any, around: tuple[Any, ...]) -> list[int]:
        return self.run(program.jaxpr, [self.value(as_value(c)) for c in program.consts], operands, path, around)

    def while_loop(self, params: Any, operands: list[int], path: Any, around: tuple[Any, ...]) -> list[int]:
        a, b = params["cond_nconsts"], params["cond_nconsts"] + params["body_nconsts"]
        carry = operands[b:]
        while bool(self.values[self.closed(params["cond_jaxpr"], [*operands[:a], *carry], (*path, "?"), around)[0]]):
            carry = self.closed(params["body_jaxpr"], [*operands[a:b], *carry], path, around)
        return carry

    def scan(self, equation: Any, operands: list[int], path: Any, around: tuple[Any, ...]) -> list[int]:
        """Steps of a loop are joined by "carry"; "row" takes, "stack" puts together what they read and make."""
        params = equation.params
        (n, carried_arrays), length = _jax_compat.scan_sizes(params), params["length"]
        m = n + carried_arrays
        consts, carry, xs = operands[:n], operands[n:m], operands[m:]
        rows: list[list[int]] = [[] for _ in range(length)]
        body = params["jaxpr"]
        numbers = [self.value(as_value(c)) for c in body.consts]
        for t in reversed(range(length)) if params["reverse"] else range(length):
            row = LoopPart({"index": t}, equation)
            carried = [
                self.step("carry", row, [v], [self.values[v]], (*path, "carry", k), around)[0]
                for k, v in enumerate(carry)
            ]
            taken = [
                self.step("row", row, [v], [self.values[v][t]], (*path, "row", k), around)[0] for k, v in enumerate(xs)
            ]
            out = self.run(body.jaxpr, numbers, [*consts, *carried, *taken], path, around)
            carry, rows[t] = out[: m - n], out[m - n :]
        if not length:
            shapes = [v.aval.shape for v in body.jaxpr.outvars[m - n :]]
            return [*carry, *(self.value(np.zeros((0, *shape))) for shape in shapes)]
        stacked = []
        for k, column in enumerate(zip(*rows, strict=True)):
            y = np.stack([self.values[v] for v in column])
            stacked += self.step("stack", LoopPart({}, equation), list(column), [y], (*path, "stack", k), around)
        return [*carry, *stacked]


class LoopPart(NamedTuple):
    """Stands for an equation: what a loop does between its steps."""

    params: dict[str, Any]
    equation: Any


def _needed(jaxpr: Any) -> list[int]:
    """The operations that the results depend on, in their order."""
    variables, found = {x for x in jaxpr.outvars if not _jax_compat.is_literal(x)}, []
    for i, equation in reversed(list(enumerate(_jax_compat.equations_of(jaxpr)))):
        if not variables.isdisjoint(equation.outvars):
            variables.update(x for x in equation.invars if not _jax_compat.is_literal(x))
            found.append(i)
    return found[::-1]
