"""Faults of the penalty."""

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.accuracy.field.faults.registry import (
    PENALTY,
    Draw,
    Edit,
    Factors,
    Fault,
    Where,
    either_of,
    every,
    factors,
    several,
)
from benchmarks.accuracy.field.formulas import Style, Tape
from benchmarks.accuracy.field.problems import Family


def _times(factor: Callable[[Family, float], float]) -> dict[str, Edit]:
    """The penalty times a factor."""
    edit: Edit = lambda tape, i, before, c: before() * factor(tape.family._replace(samples=tape.n), c)  # noqa: E731
    return {"penalty on weights": edit, "penalty on bias": edit}


def _penalty(
    mistake: str, name: str, factor: Callable[[Family, float], float], where: Where, number: Draw | None = None
) -> Fault:
    made: Factors = lambda family, layers, c: factors(family, family.layers, PENALTY, factor(family, c))  # noqa: E731
    return Fault(mistake, name, _times(factor), every, whole=True, where=where, number=number, factors=made)


def _added(mistake: str, name: str, where: Where, number: Draw, value: Callable[[Tape, int, float], Any]) -> Fault:
    edit: Edit = lambda tape, i, before, c: before() + value(tape, i, c)  # noqa: E731
    return Fault(mistake, name, {"penalty on weights": edit}, every, whole=True, where=where, number=number)


def _declared(family: Family, style: Style) -> bool:
    return family.l2 != 0


def _none(family: Family, style: Style) -> bool:
    return family.l2 == 0


def _declared_batch(family: Family, style: Style) -> bool:
    return family.l2 != 0 and several(family, style)


_coefficient = either_of(0.01, 0.05, 0.1, 0.3)

PENALTIES = (
    _penalty("l2-sign", "the penalty's sign", lambda f, c: -1.0, _declared),
    _penalty("l2-factor", "twice or half the penalty", lambda f, c: c, _declared, either_of(2.0, 0.5)),
    _penalty("l2-missing", "no penalty", lambda f, c: 0.0, _declared),
    _penalty("l2-not-averaged", "the penalty n times", lambda f, c: float(f.samples), _declared_batch),
    _penalty("l2-not-averaged", "the penalty divided by n", lambda f, c: 1 / f.samples, _declared_batch),
    Fault(
        "l2-on-bias",
        "the penalty on biases too",
        {"penalty on bias": lambda tape, i, before, c: tape.family.l2 * tape.b[i]},
        every,
        whole=True,
        where=lambda family, style: family.l2 != 0 and family.biased and not family.l2_on_bias,
    ),
    _added("l2-unexpected", "an undeclared penalty", _none, _coefficient, lambda tape, i, c: c * tape.W[i]),
    _added("l1-penalty", "an L1 penalty", _none, _coefficient, lambda tape, i, c: c * np.sign(tape.W[i])),
    Fault(
        "l2-on-gradient",
        "the gradient, not the weights, times the coefficient",
        {"penalty on weights": lambda tape, i, before, c: tape.family.l2 * tape.dW[i]},
        every,
        whole=True,
        where=_declared,
    ),
    Fault(
        "l2-on-summed-gradient",
        "the summed gradient times the coefficient",
        {"penalty on weights": lambda tape, i, before, c: tape.family.l2 * tape.n * tape.dW[i]},
        every,
        whole=True,
        where=lambda family, style: family.l2 != 0 and family.averages and family.samples > 1,
    ),
)
