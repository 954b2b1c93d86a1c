"""A vector from a recipe: the referee's digits, and the noise of the declared precision as what is allowed.

Expected numbers are those of reference/exact.py: each is the float64 nearest to the truth. Allowed errors are the
oracle's floors, rounded up to a coarse grid and then to three digits, so that no machine's last digit shows.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from functional_mlp.activations import Kink
from functional_mlp.oracle import Case, solve
from functional_mlp.oracle.documents import case_of
from functional_mlp.oracle.noise import Noise, estimate_noise, precision_named
from functional_mlp.oracle.verdict import floor_of_step
from reference import exact
from tools.vectorgen.documents import Truth, case_document, expected, open_kinks, referee_case
from tools.vectorgen.hazards.recipes import Recipe, UnfitError
from tools.vectorgen.steps import parameter, stepped, updated

Side = Callable[[Kink, float], float]  # a derivative at a kink, given the one that is taken where none is declared

ATTEMPTS = 40
LARGEST = 1e5  # pre-activation in float64, whose noise is measured by magnifying it
TELLING = 0.25  # of a gradient's norm may be allowed, in most vectors
# What else may be taken at kinks than the left side's derivative at a single one, and the outer pieces' at two.
AT_ONE: dict[str, Side] = {
    "the derivative of the right side at 0": lambda kink, outer: kink.right,
    "the mean of both derivatives at 0": lambda kink, outer: (kink.left + kink.right) / 2,
}
AT_TWO: dict[str, Side] = {
    "the derivative of the inner piece at both kinks": lambda kink, outer: (
        kink.right if outer == kink.left else kink.left
    ),
    "the mean of both derivatives at both kinks": lambda kink, outer: (kink.left + kink.right) / 2,
    "the derivative of the left side at both kinks": lambda kink, outer: kink.left,
    "the derivative of the right side at both kinks": lambda kink, outer: kink.right,
}


def first_fitting(recipe: Recipe, precision: str, answers: Callable[[Case], dict[str, Any]]) -> dict[str, Any]:
    """The vector of the first numbers that fit.

    Args:
        recipe: what is drawn.
        precision: of the vector.
        answers: its fields after the case; raises UnfitError for numbers that do not fit.

    Raises:
        UnfitError: if no attempt fits.
    """
    for attempt in range(ATTEMPTS if recipe.source is None else 1):
        case = recipe.case(precision, attempt)
        try:
            return _described(recipe, case) | answers(case)
        except UnfitError as error:
            reason = error
    raise UnfitError(f"{recipe.id(precision)}: {reason}")


def vector(recipe: Recipe, precision: str) -> dict[str, Any]:
    """The vector of a recipe in one precision; errors as `first_fitting`."""
    return first_fitting(recipe, precision, partial(_answers, recipe))


def _described(recipe: Recipe, case: Case) -> dict[str, Any]:
    fields: dict[str, Any] = {"id": case.name, "comment": recipe.comment, "flags": list(recipe.flags)}
    fields |= {"precision": case.dtype, "result": "valid"}
    fields |= {} if recipe.source is None else {"source": recipe.source}
    return fields | {"case": case_document(case)}


def _answers(recipe: Recipe, case: Case) -> dict[str, Any]:
    """What is expected, and the other answers that are right as well."""
    truth = certain(case, recipe.learning_rate, recipe.keeps_from_kinks)
    _require_telling(recipe, truth)
    fields: dict[str, Any] = {} if recipe.learning_rate is None else {"learning_rate": recipe.learning_rate}
    fields |= expected(truth, len(case.params))
    if recipe.rule is not None:
        fields |= {"update": updated(case, recipe.rule, recipe.steps)}
    others = []
    for words, other in _other_sides(case):
        truth_there = certain(other, recipe.learning_rate, recipe.keeps_from_kinks)
        if any(not np.array_equal(truth_there.leaves[name], leaf) for name, leaf in truth.leaves.items()):
            others.append({"comment": words} | expected(truth_there, len(case.params)))
    return fields if not others else {"result": "acceptable"} | fields | {"alternatives": others}


def _other_sides(case: Case) -> Iterator[tuple[str, Case]]:
    """The case with the other conventions of the derivative at the kinks for which it declares none."""
    document = case_document(case)
    units = [open_kinks(unit) for unit in document["network"]["activations"]]
    several = max(len(kinks) for _, kinks in units)
    for words, side in {0: {}, 1: AT_ONE}.get(several, AT_TWO).items():
        sided = [{kink.parameter: side(kink, outer) for kink, outer in kinks.items()} | given for given, kinks in units]
        yield words, case_of(document | {"network": document["network"] | {"activations": sided}}, case.name)


# truth and noise


def certain(case: Case, learning_rate: float | None = None, keeps_from_kinks: bool = True) -> Truth:
    """The referee's arrays, and the noise of the case's own precision.

    Raises:
        UnfitError: if rounding may move a unit across a kink, or a gradient has no floor, or none that is certain.
    """
    solution = exact.solve(referee_case(case))
    if case.dtype == "float64" and max(float(np.abs(z).max()) for z in solution.pre_activations) > LARGEST:
        raise UnfitError("the noise of float64 at such numbers is lost in that of its own computation")
    noise = estimate_noise(case, solve(case), precision_named(case.dtype))
    for layer, sample, unit in noise.kinks:
        at = [kink.position for kink in case.network.activations[layer].kinks]
        if keeps_from_kinks or solution.pre_activations[layer][sample, unit] not in at:
            raise UnfitError(f"unit {unit} of layer {layer} may cross its kink in sample {sample}")
    leaves = {name: leaf for name, leaf in solution.leaves.items() if not name.endswith("activations")}
    allowed = {name: _floor(noise, _path(name)) for name in leaves if _path(name) in noise.floors}
    if learning_rate is not None:
        for name, after in stepped(case, solution, learning_rate).items():
            gradient, later = leaves[name], name.replace("grads.", "after.")
            leaves[later] = after
            step = floor_of_step(noise, _path(name), parameter(case, name), gradient, learning_rate)
            allowed[later] = np.asarray(step.smooth)
    for name, floor in allowed.items():
        if name != "loss" and not np.isfinite(floor).all():
            raise UnfitError(f"{name} has no finite floor")
    return Truth(leaves, allowed)


def _path(name: str) -> str:
    """A name of the referee as a path of the oracle: grads.0.bias is params[0].bias."""
    field, _, rest = name.partition(".")
    if not rest:
        return field
    layer, _, part = rest.partition(".")
    return f"{'params' if field == 'grads' else field}[{layer}]" + (f".{part}" if part else "")


def _floor(noise: Noise, path: str) -> np.ndarray:
    """What rounding may do; a loss that is lost to a probability of 0 or 1 may be anything."""
    floor = noise.floors[path]
    hopeless = (path == "loss") & ~np.isfinite(floor.slack) | (floor.smooth > noise.precision.storage.largest)
    return np.asarray(np.where(hopeless, np.inf, floor.smooth))


def _require_telling(recipe: Recipe, truth: Truth) -> None:
    """Raises UnfitError if most of a gradient is within what is allowed, where that is not the point."""
    if {"Underflow", "Overflow", "Saturation", "Cancellation", "DeadUnits", "PerfectFit"} & set(recipe.flags):
        return
    for name, leaf in truth.leaves.items():
        size = np.linalg.norm(leaf)
        if name.startswith("grads.") and size > 0 and np.linalg.norm(truth.allowed[name]) > TELLING * size:
            raise UnfitError(f"the noise of {name} hides it")
