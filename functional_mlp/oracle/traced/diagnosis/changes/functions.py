"""Other functions that people differentiate by mistake: one operation of the function is another one, on both ways.

An eps that is another number, or outside of the root; n - 1 for n; a mask that is ignored or off by one; an activation
in another form; an operation left out. These are no matter of one edge, and the function is run again for each.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from functional_mlp.oracle.traced.diagnosis.changes.composites import Composite, composites
from functional_mlp.oracle.traced.diagnosis.changes.forms import FORMS, Form
from functional_mlp.oracle.traced.diagnosis.replay import Step, Tape, slopes_of
from functional_mlp.oracle.traced.tracing.primitives import is_float

SMALL = 0.02  # constants up to this are taken for an eps
EPSILONS = (0.0, 1e-12, 1e-10, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2)
BOUNDS = (0.0, 0.1, 0.5, 1.0, 3.0, 6.0)
TURNED = {"gt": ("ge", "lt"), "ge": ("gt", "lt"), "lt": ("le", "gt"), "le": ("lt", "gt")}
COMPARE: dict[str, Callable[..., Any]] = {
    "gt": np.greater,
    "ge": np.greater_equal,
    "lt": np.less,
    "le": np.less_equal,
}
UNARY = frozenset({"tanh", "logistic", "sqrt", "rsqrt", "log", "abs", "erf", "square", "exp"})


_NEEDED = frozenset({("div", 0), ("max", 0), ("max", 1), ("min", 0), ("min", 1)})


class Variant(NamedTuple):
    """Another function.

    Attributes:
        place: of the operation that is another one; None if none is.
        words: what it is.
        instead: steps by their numbers.
    """

    place: int | None
    words: str
    instead: dict[int, Step]


def variants(tape: Tape, sites: Sequence[int]) -> Iterator[Variant]:
    """All of them; a change is made wherever the same line of the function runs."""
    made = {v: i for i, step in enumerate(tape.steps) for v in step.results}
    used = _reach(tape, made)
    together: dict[int, list[int]] = {}
    for number, step in enumerate(tape.steps):
        if number in used:
            together.setdefault(sites[step.place], []).append(number)
    for numbers in together.values():
        first = tape.steps[numbers[0]]
        for words, change in _of(tape, first, made):
            instead: dict[int, Step] = {}
            for number in numbers:
                instead |= change(tape, number)
            yield Variant(first.place, words, instead)
    yield from _other_forms(tape, sites)


def _other_forms(tape: Tape, sites: Sequence[int]) -> Iterator[Variant]:
    same: dict[int, list[Composite]] = {}
    for found in composites(tape):
        if found.form is not None:
            same.setdefault(sites[tape.steps[found.step].place], []).append(found)
    for places in same.values():
        its = places[0].form
        for form in FORMS:
            if its is not None and form is not its:
                others = {found.step: _in_form(tape.steps[found.step], found.argument, form) for found in places}
                yield Variant(tape.steps[places[0].step].place, f"{form.name} for {its.name}", others)


def _in_form(step: Step, argument: int, form: Form) -> Step:
    return _function(step, (argument,), form.value, (lambda p, y, x: form.slope(x),))


def _reach(tape: Tape, made: dict[int, int]) -> set[int]:
    """The steps on which the outputs depend, by values."""
    open_ = [made[v] for v in tape.outputs if v in made]
    found = set(open_)
    while open_:
        for v in tape.steps[open_.pop()].operands:
            if v in made and made[v] not in found:
                found.add(made[v])
                open_.append(made[v])
    return found


Change = Callable[[Tape, int], dict[int, Step]]


def _function(step: Step, operands: tuple[int, ...], value: Any, slopes: tuple[Any, ...]) -> Step:
    return step._replace(name="function", params={"value": value, "slopes": slopes}, operands=operands)


def _of(tape: Tape, step: Step, made: dict[int, int]) -> Iterator[tuple[str, Change]]:
    x = [tape.values[v] for v in step.operands]
    if step.name in ("add", "sub", "mul", "div", "max", "min") and is_float(tape.values[step.results[0]]):
        for j in (0, 1):
            if _is_constant(tape, step, j, made):
                yield from _other_constants(step, j, float(x[j].ravel()[0]))
            elif x[1 - j].shape == tape.values[step.results[0]].shape and (step.name, j) not in _NEEDED:
                yield f"operand {j + 1} of {_spelled(step)} is left out", _kept(1 - j)
    elif step.name == "integer_pow":
        n = step.params["y"]
        for m in {n - 1, n + 1} - {0}:
            yield f"the power {m} for {n}", _powered(m)
    elif step.name in UNARY and tape.moving[step.results[0]]:
        yield f"{_spelled(step)} is left out", _kept(0)
    elif step.name == "select_n" and len(x) == 3 and is_float(tape.values[step.results[0]]):
        yield "the condition is ignored: always where it is false", _kept(1)
        yield "the condition is ignored: always where it is true", _kept(2)
        yield "the condition is negated", _swapped
    elif step.name in TURNED:
        if tape.moving[step.operands[0]] and _is_constant(tape, step, 1, made):
            c = float(x[1].ravel()[0])
            for bound in (*BOUNDS, c / 2, 2 * c, -c):
                if bound != c:
                    yield f"the bound {bound:g} for {c:g}", _compared(_against(COMPARE[step.name], bound))
        for other in TURNED[step.name]:
            yield f"{_sign(other)} for {_sign(step.name)}", _compared(COMPARE[other])
        if x[0].dtype.kind in "iu":
            for shift, words in ((1, "one more"), (-1, "one less")):
                yield f"the comparison is off by one ({words})", _compared(_shifted(COMPARE[step.name], shift))
    if step.name in ("sqrt", "rsqrt") and step.operands[0] in made:
        before = tape.steps[made[step.operands[0]]]
        constants = [j for j in (0, 1) if before.name == "add" and _is_constant(tape, before, j, made)]
        if constants:
            own = float(tape.values[before.operands[constants[0]]].ravel()[0])
            yield f"{own:g} is added outside of the root instead of under it", _outside(made, constants[0], own)
            for c in EPSILONS if 0 < abs(own) <= SMALL else ():
                if c not in (0.0, own):
                    yield f"{c:g} outside of the root for {own:g} under it", _outside(made, constants[0], c)


def _spelled(step: Step) -> str:
    names = {"logistic": "the sigmoid", "rsqrt": "1 / sqrt", "add": "the sum", "sub": "the difference"}
    return names.get(step.name, {"mul": "the product", "div": "the quotient"}.get(step.name, step.name))


def _sign(name: str) -> str:
    return {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}[name]


def _is_constant(tape: Tape, step: Step, j: int, made: dict[int, int]) -> bool:
    """A number of the function: written there, or spread from one."""
    v = step.operands[j]
    x = tape.values[v]
    if tape.moving[v] or not is_float(x) or not x.size:
        return False
    return v in tape.literals or bool(x.size == 1) or (v not in made and bool(np.all(x == x.ravel()[0])))


def _other_constants(step: Step, j: int, c: float) -> Iterator[tuple[str, Change]]:
    if step.name in ("add", "sub", "max", "min"):
        others = {2 * c, c / 2, -c, 0.0}
        others |= set(EPSILONS) if 0 < abs(c) <= SMALL else set()
        others |= {*BOUNDS, *(-b for b in BOUNDS)} if step.name in ("max", "min") else set()
    elif c == round(c) and abs(c) > 1:
        others = {c - 1, c + 1, 1.0, c * c, abs(c) ** 0.5, c / 2, 2 * c}
    elif c:
        others = {1.0, 1 / c, c * c, abs(c) ** 0.5, 2 * c, c / 2, -c, *(round(c, digits) for digits in (1, 2, 3, 4))}
    else:
        others = set()
    others -= {0.0} if step.name == "div" else set()
    for other in sorted(o for o in others if not np.isclose(o, c, rtol=1e-12, atol=0)):
        yield f"{other:.6g} for {c:.6g}", _constant(j, other)


def _constant(j: int, c: float) -> Change:
    def change(tape: Tape, number: int) -> dict[int, Step]:
        step = tape.steps[number]
        own, slopes = _VALUES[step.name], slopes_of(step)
        moving = slopes[1 - j] if slopes is not None else None
        assert moving is not None
        both = lambda a: (a, c) if j == 1 else (c, a)  # noqa: E731
        return {
            number: _function(
                step,
                (step.operands[1 - j],),
                lambda a: np.broadcast_to(own(*both(a)), tape.values[step.results[0]].shape),
                (lambda p, y, a: moving(p, y, *both(a)),),
            )
        }

    return change


_VALUES: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "max": np.maximum,
    "min": np.minimum,
}


def _kept(j: int) -> Change:
    def change(tape: Tape, number: int) -> dict[int, Step]:
        step = tape.steps[number]
        sign = -1.0 if step.name == "sub" and j == 1 else 1.0
        shape = tape.values[step.results[0]].shape
        value = lambda a: sign * np.broadcast_to(a, shape)  # noqa: E731
        return {number: _function(step, (step.operands[j],), value, (lambda p, y, a: sign,))}

    return change


def _powered(m: int) -> Change:
    def change(tape: Tape, number: int) -> dict[int, Step]:
        step = tape.steps[number]
        slope = lambda p, y, x: m * np.power(x, float(m - 1))  # noqa: E731
        return {number: _function(step, step.operands, lambda x: np.power(x, float(m)), (slope,))}

    return change


def _swapped(tape: Tape, number: int) -> dict[int, Step]:
    step = tape.steps[number]
    return {number: step._replace(operands=(step.operands[0], *step.operands[:0:-1]))}


def _against(compare: Callable[..., Any], bound: float) -> Callable[..., Any]:
    return lambda a, b: compare(a, bound)


def _shifted(compare: Callable[..., Any], shift: int) -> Callable[..., Any]:
    return lambda a, b: compare(a.astype(np.int64) + shift, b)


def _compared(compare: Callable[..., Any]) -> Change:
    def change(tape: Tape, number: int) -> dict[int, Step]:
        step = tape.steps[number]
        return {number: _function(step, step.operands, compare, (None, None))}

    return change


def _outside(made: dict[int, int], j: int, c: float) -> Change:
    def change(tape: Tape, number: int) -> dict[int, Step]:
        root = tape.steps[number]
        moved = _kept(1 - j)(tape, made[root.operands[0]])
        if root.name == "sqrt":
            value, slope = (lambda v: np.sqrt(v) + c), (lambda p, y, v: 0.5 / np.sqrt(v))
        else:
            value = lambda v: 1 / (np.sqrt(v) + c)  # noqa: E731
            slope = lambda p, y, v: -0.5 * y * y / np.sqrt(v)  # noqa: E731
        return moved | {number: _function(root, root.operands, value, (slope,))}

    return change
