"""The truth about a training of a few steps: the parameters before and after every step, in float64."""

from typing import Any, NamedTuple

import numpy as np

from functional_mlp.network import Dense
from functional_mlp.oracle.case import Case, Layer, Schedule
from functional_mlp.oracle.truth.solution import Solution, solve
from functional_mlp.update_rules import UpdateRule


class Step(NamedTuple):
    """One step.

    Attributes:
        case: its samples, and the parameters before it.
        solution: the truth about it.
        after: the parameters after it.
    """

    case: Case
    solution: Solution
    after: tuple[Layer, ...]


class Trajectory(NamedTuple):
    """A training.

    Attributes:
        rule: by which it steps.
        steps: in their order.
    """

    rule: UpdateRule
    steps: tuple[Step, ...]


def follow(case: Case, rule: UpdateRule, schedule: Schedule = Schedule()) -> Trajectory:  # noqa: B008
    """The training that starts at the parameters of a case and goes through its samples.

    Args:
        case: the samples, and the parameters before the first step.
        rule: the update rule; its state is zeros before the first step.
        schedule: the batches.

    Raises:
        DisagreementError, OverflowError: as `solve`, at any step.
    """
    params: Any = tuple(Dense(*layer) for layer in case.params)  # type: ignore[arg-type]
    state, steps = rule.init(params), []
    for rows in schedule.rows(len(case.inputs)):
        batch = case.at(rows, params)
        solution = solve(batch)
        with np.errstate(all="ignore"):
            state, params = rule.step(state, params, tuple(Dense(*layer) for layer in solution.grads))  # type: ignore
        steps.append(Step(batch, solution, tuple(Layer(*layer) for layer in params)))
    return Trajectory(rule, tuple(steps))
