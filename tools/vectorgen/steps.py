"""The parameters after steps: one of plain gradient descent, or several of any rule, certified."""

import dataclasses
from typing import Any

import numpy as np
from flint import ctx, fmpq

from functional_mlp.oracle import Case
from functional_mlp.oracle.case import Schedule, params_by_path
from functional_mlp.oracle.noise import estimate_trajectory_noise, precision_named
from functional_mlp.oracle.truth import follow
from functional_mlp.update_rules import Adam, Descent, Momentum, RMSprop, UpdateRule
from reference import exact
from reference.balls import round_to_float64, times
from reference.problem import rational
from reference.training import certified_training
from tools.vectorgen.documents import expected_params, referee_case
from tools.vectorgen.hazards.recipes import UnfitError

FORMULAS = {Descent: "descent", Momentum: "momentum", Adam: "adam", RMSprop: "rmsprop"}
TELLING = 0.25  # of the way that the parameters of an array went may be allowed


def parameter(case: Case, name: str) -> np.ndarray:
    """The parameters of which grads.0.bias is the gradient."""
    _, layer, part = name.split(".")
    return np.asarray(getattr(case.params[int(layer)], part))


def stepped(case: Case, solution: exact.Solution, learning_rate: float) -> dict[str, np.ndarray]:
    """Every parameter after a step, correctly rounded, by the name of its gradient, such as grads.0.bias."""
    rate = rational(learning_rate)
    for bits in (solution.bits, 1024, 4096):
        if bits > solution.bits:
            solution = exact.solve(referee_case(case), start_bits=bits)
        names = [name for name in solution.balls if name.startswith("grads.")]
        with ctx.workprec(solution.bits):
            after = {name: _after(parameter(case, name), solution.balls[name], rate) for name in names}
        if not any(np.isnan(array).any() for array in after.values()):
            return after
    raise UnfitError("the parameters after the step do not round to one float64 each")


def _after(before: np.ndarray, gradient: np.ndarray, rate: fmpq) -> np.ndarray:
    """before − rate · gradient, from balls, correctly rounded; NaN where a ball does not round to one float64."""
    after = np.full(before.shape, np.nan)
    for index, ball in np.ndenumerate(gradient):
        nearest = round_to_float64(times(-rate, ball) + rational(float(before[index])))
        after[index] = np.nan if nearest is None else nearest
    return after


def rule_document(rule: UpdateRule) -> dict[str, Any]:
    """A rule with all its numbers and choices."""
    return {"name": rule.name} | dataclasses.asdict(rule)


def updated(case: Case, rule: UpdateRule, steps: int) -> dict[str, Any]:
    """The field "update": a rule, a number of steps on all samples, and the parameters after the last one.

    Raises:
        UnfitError: if an array's noise is not known, or hides most of the way that it went.
    """
    *_, after = certified_training(referee_case(case), FORMULAS[type(rule)], dataclasses.asdict(rule), steps)
    *_, noise = estimate_trajectory_noise(follow(case, rule, Schedule(steps)), precision_named(case.dtype))
    before = {_name(path): array for path, array in params_by_path(case.params).items()}
    floors = {_name(path): floor for path, floor in noise.floors.items()}
    for name, array in after.items():
        if not np.isfinite(floors[name].smooth).all() or floors[name].slack.any():
            raise UnfitError(f"{name} has no certain floor after {steps} steps")
        if np.linalg.norm(floors[name].smooth) > TELLING * np.linalg.norm(array - before[name]):
            raise UnfitError(f"the noise of {name} hides its way")
    fields = expected_params(after, {name: floor.smooth for name, floor in floors.items()}, len(case.params))
    return {"rule": rule_document(rule), "steps": steps} | fields


def _name(path: str) -> str:
    """params[0].bias as 0.bias."""
    return path.removeprefix("params[").replace("]", "")
