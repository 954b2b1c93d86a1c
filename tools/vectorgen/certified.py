"""A vector from a recipe: the referee's digits, and the noise of the declared precision as what is allowed.

Expected numbers are those of reference/exact.py: each is the float64 nearest to the truth. Allowed errors are the
oracle's floors, rounded up to a coarse grid and then to three digits, so that no machine's last digit shows.
"""

import json
import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from flint import ctx, fmpq

from functional_mlp.oracle import Case, solve
from functional_mlp.oracle.documents import case_of, document_of
from functional_mlp.oracle.noise import Noise, estimate_noise, precision_named
from functional_mlp.oracle.verdict import floor_of_step
from reference import exact
from reference.balls import round_to_float64, times
from reference.problem import rational
from tools.vectorgen.hazards.recipes import Recipe

ATTEMPTS = 40
STEP = 1.3  # not 1: floors that are all but powers of two fall on either side of one, from machine to machine
LARGEST = 1e5  # pre-activation in float64, whose noise is measured by magnifying it
TELLING = 0.25  # of a gradient's norm may be allowed, in most vectors
AT_ZERO = {"relu": lambda unit: 0.0, "leaky_relu": lambda unit: unit.get("slope", 0.01)}
AT_ZERO |= {"elu": lambda unit: unit.get("alpha", 1.0)}
SIDES = {"the derivative of the right side": 1.0, "the mean of both derivatives": 0.5}
Pick = Callable[[str], Any]  # the array of a name, such as "grads.0.bias"; None where there is none


class UnfitError(ValueError):
    """These numbers make no vector of their recipe."""


class Truth(NamedTuple):
    """What is certain about a case.

    Attributes:
        leaves: the referee's arrays by name, and those of a step as after.0.weights.
        allowed: by the same names, the largest error of each entry; a loss may have an infinite one.
    """

    leaves: dict[str, np.ndarray]
    allowed: dict[str, np.ndarray]


def referee_case(case: Case) -> exact.Case:
    """The same case for reference/exact.py."""
    document = case_document(case)
    return exact.Case(
        sizes=case.network.sizes,
        activations=document["network"]["activations"],
        params=[(layer.weights, layer.bias) for layer in case.params],
        inputs=case.inputs,
        loss=document.get("loss"),
        targets=case.targets,
        sample_weights=case.sample_weights,
        ct_outputs=case.ct_outputs,
    )


def case_document(case: Case) -> dict[str, Any]:
    """A case as a document that declares no derivative at a kink where the default is meant."""
    document = document_of(case)
    network = document["network"]
    units = [_without_default(unit) for unit in network["activations"]]
    return document | {"network": network | {"activations": units}}


def _without_default(unit: Any) -> Any:
    if isinstance(unit, str) or unit.get("at_zero") != AT_ZERO.get(unit["name"], lambda _: None)(unit):
        return unit
    return {name: value for name, value in unit.items() if name != "at_zero"}


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
    fields = {} if recipe.learning_rate is None else {"learning_rate": recipe.learning_rate}
    fields |= expected(truth, len(case.params))
    others = []
    for words, other in _other_sides(case):
        truth_there = certain(other, recipe.learning_rate, recipe.keeps_from_kinks)
        if any(not np.array_equal(truth_there.leaves[name], leaf) for name, leaf in truth.leaves.items()):
            others.append({"comment": f"{words} at 0"} | expected(truth_there, len(case.params)))
    return fields if not others else {"result": "acceptable"} | fields | {"alternatives": others}


def _other_sides(case: Case) -> Iterator[tuple[str, Case]]:
    """The case with the other conventions of the derivative at the kinks for which it declares none."""
    document = case_document(case)
    activations = document["network"]["activations"]
    units = [{"name": unit} if isinstance(unit, str) else unit for unit in activations]
    if not any(unit["name"] in AT_ZERO and "at_zero" not in unit for unit in units):
        return
    for words, right in SIDES.items():
        sided = [
            unit | {"at_zero": right + (1 - right) * AT_ZERO[unit["name"]](unit)}
            if unit["name"] in AT_ZERO and "at_zero" not in unit
            else unit
            for unit in units
        ]
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
        if keeps_from_kinks or solution.pre_activations[layer][sample, unit] != 0:
            raise UnfitError(f"unit {unit} of layer {layer} may cross its kink in sample {sample}")
    leaves = {name: leaf for name, leaf in solution.leaves.items() if not name.endswith("activations")}
    allowed = {name: _floor(noise, _path(name)) for name in leaves if _path(name) in noise.floors}
    if learning_rate is not None:
        for name, after in stepped(case, solution, learning_rate).items():
            gradient, later = leaves[name], name.replace("grads.", "after.")
            leaves[later] = after
            step = floor_of_step(noise, _path(name), _parameter(case, name), gradient, learning_rate)
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


def _parameter(case: Case, name: str) -> np.ndarray:
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
            after = {name: _after(_parameter(case, name), solution.balls[name], rate) for name in names}
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


def _require_telling(recipe: Recipe, truth: Truth) -> None:
    """Raises UnfitError if most of a gradient is within what is allowed, where that is not the point."""
    if {"Underflow", "Overflow", "Saturation", "Cancellation", "DeadUnits", "PerfectFit"} & set(recipe.flags):
        return
    for name, leaf in truth.leaves.items():
        size = np.linalg.norm(leaf)
        if name.startswith("grads.") and size > 0 and np.linalg.norm(truth.allowed[name]) > TELLING * size:
            raise UnfitError(f"the noise of {name} hides it")


# as documents


def expected(truth: Truth, layers: int) -> dict[str, Any]:
    """The fields expected, expected_hex and allowed."""
    return {
        "expected": _arranged(truth.leaves.get, layers, float),
        "expected_hex": _arranged(truth.leaves.get, layers, hexadecimal),
        "allowed": _arranged(truth.allowed.get, layers, rounded_up),
    }


def _arranged(pick: Pick, layers: int, shown: Callable[[float], Any]) -> dict[str, Any]:
    """Arrays by name as the fields of a gradients file, every number as `shown` makes it."""

    def listed(name: str) -> Any:
        return _each(pick(name).tolist(), shown)

    def params(field: str) -> list[dict[str, Any]]:
        names = [[f"{field}.{i}.{part}" for part in ("weights", "bias")] for i in range(layers)]
        return [{name.split(".")[2]: listed(name) for name in pair if pick(name) is not None} for pair in names]

    fields: dict[str, Any] = {} if pick("loss") is None else {"loss": listed("loss")}
    fields |= {"params": params("grads"), "outputs": listed("outputs")}
    fields |= {"deltas": [listed(f"deltas.{i}") for i in range(layers)], "ct_inputs": listed("ct_inputs")}
    return fields if pick("after.0.weights") is None else fields | {"params_after": params("after")}


def _each(value: Any, shown: Callable[[float], Any]) -> Any:
    return [_each(item, shown) for item in value] if isinstance(value, list) else shown(value)


def hexadecimal(x: float) -> str:
    """As C's %a writes it: 0x1.8p+1."""
    digits, _, power = x.hex().partition("p")
    return f"{digits.rstrip('0').rstrip('.') if '.' in digits else digits}p{power}"


def rounded_up(x: float) -> float | None:
    """The next of STEP times the powers of two, to three digits, never below; None for infinity."""
    if math.isinf(x):
        return None
    next_ = math.ldexp(STEP, math.frexp(x / STEP)[1]) if x > 0 else 0.0
    near = float(f"{next_:.2e}")
    return near if near >= next_ else float(f"{next_ * 1.005:.2e}")


def plain_json(fields: dict[str, Any]) -> dict[str, Any]:
    """A document as it is after it was written and read: without arrays."""
    return json.loads(json.dumps(fields, default=_plain))  # type: ignore[no-any-return]


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"expected plain values and arrays, got {type(value).__name__}")
