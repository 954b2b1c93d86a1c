"""A few steps of training in ball arithmetic: every parameter after each step, correctly rounded to float64.

Nothing is rounded between the steps: the gradient of the second one is taken at the true parameters after the first.
All samples are in each step. Refused: a penalty l1, whose sign may be open after a step.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from flint import ctx
from numpy.typing import NDArray

from reference.balls import Real, ball, near, round_to_float64
from reference.exact import MAX_BITS, START_BITS, Params, evaluate, given_params, ladder
from reference.problem import Case, Problem, checked
from reference.update_rules import Number, exact_settings

Rounded = dict[str, NDArray[np.float64]]


def certified_training(case: Case, formula: str, settings: Mapping[str, float | bool], steps: int) -> list[Rounded]:
    """Return the parameters after each step, each number the float64 nearest to the true one.

    Args:
        case: network, loss or cotangent, data, and the parameters before the first step.
        formula, settings: of the update rule, as `update_rules.certified_steps` takes them.
        steps: how many.

    Returns:
        For each step arrays by name: 0.weights, 0.bias, …

    Raises:
        TypeError, ValueError: as `exact.solve`; also for a penalty l1.
        ArithmeticError: if a parameter does not round to one float64.

    Example:
        >>> case = Case((1, 1), "identity", [([[1.0]], None)], [[1.0]], {"kind": "squared_error"}, [[0.0]])
        >>> [after] = certified_training(case, "descent", {"learning_rate": 0.25, "weight_decay": 0.0}, 1)
        >>> after["0.weights"].tolist()
        [[0.5]]
    """
    problem, known = checked(case), exact_settings(settings)
    if problem.loss is not None and problem.loss.l1 != 0:
        raise ValueError(f"expected no l1, got {problem.loss.l1}: the sign of a parameter may be open after a step")
    for bits, exact in ladder(START_BITS, MAX_BITS):
        with ctx.workprec(bits):
            after = [_rounded(params) for params in _trained(problem, formula, known, steps, exact=exact)]
        if not any(np.isnan(array).any() for params in after for array in params.values()):
            return after
    raise ArithmeticError(f"a parameter does not round to one float64 with {MAX_BITS} bits")


def _trained(problem: Problem, formula: str, settings: Any, steps: int, *, exact: bool) -> list[Params]:
    """The parameters after each step, at the precision of `flint.ctx`."""
    params = given_params(problem, exact=exact)
    numbers = [
        ([[Number(near(x), [], []) for x in row] for row in w], [Number(near(x), [], []) for x in b or ()])
        for w, b in params
    ]

    def stepped(number: Number, gradient: Real) -> Real:
        value = number.step(formula, settings, gradient)
        return value if exact else ball(value)

    after: list[Params] = []
    for _ in range(steps):
        leaves = evaluate(problem, params, exact=exact)
        params = []
        for layer, (weights, bias) in enumerate(numbers):
            ct_weights, ct_bias = leaves[f"grads.{layer}.weights"], leaves.get(f"grads.{layer}.bias")
            moved = [list(map(stepped, *rows)) for rows in zip(weights, ct_weights, strict=True)]
            params.append((moved, None if ct_bias is None else list(map(stepped, bias, ct_bias))))
        after.append(params)
    return after


def _rounded(params: Params) -> Rounded:
    """Arrays by name; NaN where a number does not round to one float64."""
    rounded = {}
    for layer, (weights, bias) in enumerate(params):
        for part, leaf in (("weights", weights), ("bias", bias)):
            if leaf is not None:
                balls = np.array(leaf, dtype=object)
                array = np.empty(balls.shape)
                for index, number in np.ndenumerate(balls):
                    nearest = round_to_float64(number)
                    array[index] = np.nan if nearest is None else nearest
                rounded[f"{layer}.{part}"] = array
    return rounded
