"""Invalid vectors: what programs with a known mistake compute, so that somebody's checker can be checked.

Wrong numbers are computed in float64, whose last digits differ from machine to machine, and printed with ten; numbers
of which another machine might print the tenth differently are not used: others are drawn.
"""

import math
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from functional_mlp.activations import FACTORIES
from functional_mlp.losses import KINDS, Loss
from functional_mlp.network import Network
from functional_mlp.oracle import MISTAKES, Case, plant, plant_update
from functional_mlp.oracle.case import Layer
from functional_mlp.oracle.mistakes import Prepared, places, prepare
from functional_mlp.update_rules import Adam, Descent, Momentum, RMSprop
from functional_mlp.vectors import judge, vector_of
from tools.vectorgen.certified import certain, first_fitting
from tools.vectorgen.documents import case_document, expected, plain_json
from tools.vectorgen.hazards.networks import ACTIVATIONS, ENDS
from tools.vectorgen.hazards.recipes import Drawn, Numbers, Recipe, UnfitError, biased, followed, targets, weighted
from tools.vectorgen.steps import updated

DIGITS = 10
SAFE = 1e-3  # of a unit of the last digit: so near to a rounding boundary no number may be
NOISE = 1e-9  # smaller than that, relative to all others, an array is what cancellation left
LOST = 1e-3  # smaller than that, relative to its array, a number is what cancellation left
CLEAR = 100.0  # times what is allowed an answer must be off, somewhere


def _of(slug: str, network: Network, loss: Loss | None, change: Any = None, samples: int = 5) -> Recipe:
    return Recipe("mistakes", slug, "", ("PlantedMistake",), network, loss, samples, change, ("float64",))


def _dead_unit(numbers: Numbers, drawn: Drawn) -> Drawn:
    """One unit at its kink in every sample, one that is inactive in every sample."""
    weights, bias = (np.array(part) for part in drawn.params[0])
    weights[:, 0], bias[0] = 0, 0
    bias[1] = -6
    return drawn.with_layer(0, weights, bias)


def _whole(numbers: Numbers, drawn: Drawn) -> Drawn:
    """Numbers of so few bits that products are exact and sums round in the same way everywhere."""
    params: list[Any] = [
        (numbers.integers(w.shape, 1, 3) / 4, None if b is None else numbers.integers(b.shape, 1, 3) / 4)
        for w, b in drawn.params
    ]
    rows = 1 + numbers.integers(drawn.inputs.shape, 0, 7) / 8
    return Drawn(params, rows, numbers.integers(drawn.end.shape, -3, -1) * 1.0)


def _short(numbers: Numbers, drawn: Drawn) -> Drawn:
    """Parameters that ten digits hold: what a step leaves as it was is printed as it was."""
    params: list[Any] = [
        tuple(None if leaf is None else np.round(leaf * 64) / 64 for leaf in layer) for layer in drawn.params
    ]
    return drawn._replace(params=params)


def _one_product(numbers: Numbers, drawn: Drawn) -> Drawn:
    """Few samples of full precision: nothing is summed."""
    return drawn._replace(end=np.zeros_like(drawn.end))


# The networks in which mistakes are made: each is made in the first one where it can be and shows.
NETWORKS = (
    _of(
        "classifier", Network((3, 4, 4, 2), ("tanh", "sigmoid", "softmax")), Loss("categorical_cross_entropy", l2=0.125)
    ),
    _of(
        *("probability", Network((4, 4, 4, 1), ("relu", "leaky_relu", "sigmoid"))),
        Loss("binary_cross_entropy", over_samples="mean", l2=0.125, l2_on_bias=True),
    ),
    _of(
        "logits", Network((3, 3, 3), ("elu", "identity")), Loss("softmax_cross_entropy", over_outputs="mean", scale=0.5)
    ),
    _of("regression", Network((2, 3, 2), ("tanh", "sigmoid")), Loss("squared_error")),
    _of("square", Network((3, 3, 3, 3), ("tanh", "sigmoid", "tanh")), Loss("squared_error", "mean"), samples=3),
    _of("column", Network((2, 3, 1), ("tanh", "identity")), Loss("squared_error"), samples=4),
    _of("bare", Network((3, 3, 2), ("relu", "tanh")), None),
    _of("slope", Network((3, 4, 2), ({"name": "leaky_relu", "slope": 0.125}, "gelu")), Loss("squared_error")),
    _of(
        *("soft", Network((2, 3, 3), ("silu", "softmax")), Loss("categorical_cross_entropy")),
        targets(lambda numbers, shape: numbers.uniform(shape, 0, 1)),
    ),
    _of(
        *("weighted", Network((2, 3, 3), ("softplus", "identity")), Loss("sigmoid_cross_entropy", "mean")),
        weighted(lambda numbers, n: numbers.uniform((n,), 0.25, 2)),
    ),
    _of("probabilities", Network((2, 3, 3), ("softmax", "softmax")), Loss("binary_cross_entropy")),
    _of("logit", Network((2, 3, 2), ("tanh", "identity")), Loss("sigmoid_cross_entropy")),
    _of("dead-unit", Network((2, 4, 2), ("relu", "identity")), Loss("squared_error"), _dead_unit),
    _of(
        *("sure", Network((2, 3, 1), ("tanh", "sigmoid")), Loss("binary_cross_entropy")),
        followed(biased(1, (18.0,)), targets(lambda numbers, shape: np.resize([0.0, 1.0], shape))),
    ),
    _of("sums", Network((2, 2), "identity"), Loss("squared_error"), _whole, samples=300),
    _of("step", Network((2, 3, 2), ("tanh", "sigmoid")), Loss("squared_error"), _short),
    _of("one-sample", Network((1, 1, 1), "identity"), Loss("squared_error"), _one_product, samples=1),
)
# Of release 1.1.0, which added mistakes: the group of these vectors, and the networks where they are looked for.
LATER = "slips"
LATER_NETWORKS = (
    _of("gelu", Network((2, 3, 3, 2), ("gelu", "gelu_tanh", "quick_gelu")), Loss("squared_error")),
    _of("plain", Network((2, 3, 2), ("tanh", "identity")), Loss("squared_error")),
    _of("absolute", Network((2, 3, 2), ("tanh", "identity")), Loss("squared_error", l1=0.125)),
    _of(
        *("smoothed", Network((2, 3, 3), ("tanh", "identity"))),
        Loss("softmax_cross_entropy", "mean", label_smoothing=0.25, class_weights=(0.5, 2.0, 1.25)),
    ),
    _of("positive", Network((2, 3, 2), ("tanh", "sigmoid")), Loss("binary_cross_entropy", pos_weight=3.0)),
    _of("focal", Network((2, 3, 2), ("tanh", "identity")), Loss("sigmoid_focal", alpha=0.25)),
)
STEPS = 3
RULES = (
    Momentum(0.25),
    Momentum(0.25, nesterov=True),
    Adam(0.125, beta1=0.5, beta2=0.75, epsilon=0.125),
    Adam(0.125, 0.25),
    Adam(0.125, 0.25, decoupled=True),
    RMSprop(0.125, epsilon=0.125, epsilon_inside=True),
)
NOT_FINITE = {"counts from 0", "the gradient"}  # variants of mistakes of rules: what they compute is no number
NOT_IN_FIRST = ("gelu-form-other", "gelu-forms-mixed", "l1-penalty", "l1-missing", "loss-option-missing")
# variants that the mistakes of the first release had not: activations, losses, and others
LATER_NAMES = {*FACTORIES, *KINDS, "subtracted", "penalty-too"} - {
    *(slug.partition("-")[0] for slug in ACTIVATIONS),
    *ENDS,
}
# mistakes that need a network of their own, because others make their numbers depend on the order of sums
CHOSEN: Mapping[str, str] = {
    "accumulator-too-narrow": "sums",
    "float32-inside-float64": "one-sample",
    "saturated-gradient-clipped": "sure",
    "broadcast-column-row": "column",
    "dead-unit-columns": "dead-unit",
    "cotangent-ignored": "bare",
    "loss-scaled": "regression",
    "bias-summed-to-scalar": "regression",
    "squared-error-factor": "regression",
    "finite-difference": "regression",
}
VALUES = {"forward": 0.25, "central": 0.02}  # steps of finite differences so long that ten digits show them
# what cannot be an invalid vector, and why
NOT_WRONG: Mapping[str, str] = {
    "tanh-cancellation": "what every textbook does, and within the noise of its precision",
    "sigmoid-cancellation": "what every textbook does, and within the noise of its precision",
    "kink-other-side": "another convention: vectors at a kink accept it",
    "epsilon-in-log": "another convention, as long as its number is small",
}
RATE = 0.25


class Making(NamedTuple):
    """A mistake in one of the networks."""

    recipe: Recipe
    mistake: str
    layer: int | None
    variant: str | None


# in the catalogue since the vectors were released
SINCE: tuple[str, ...] = (
    *("bias-gradient-summed", "weight-gradient-summed", "bias-summed-over-wrong-axis", "samples-weighted-unevenly"),
    *("array-scaled", "scalar-broadcast", "bias-from-weight-gradient", "layers-in-reverse", "gradient-clipped"),
    *("gradient-normalised", "l2-coefficient-different", "l2-on-summed-gradient", "penalty-in-delta"),
    "raw-error-sent-back",
    "output-derivative-missing-in-weights",
    "value-for-derivative",
    "sigmoid-derivative-slip",
    "product-term-missing",
    "slope-different-backward",
    "slope-different-forward",
    "leaky-forward-slip",
    "mask-overwrites",
    "relu-threshold",
    "softmax-over-samples",
    "softmax-derivative-without-sum",
    "derivative-of-error",
    "weights-times-activations",
    "sum-product-swapped",
    "wrong-unit-dropped",
    "pre-activation-used-as-input",
    "network-input-used-as-input",
    "last-sample-activations",
    "short-constant",
)


def makings(group: str) -> Iterator[Making]:
    """The mistakes of a group, in each of their variants, in the first network where they show."""
    first = {recipe.slug: _prepared(recipe) for recipe in NETWORKS}
    [step] = [recipe for recipe in NETWORKS if recipe.slug == "step"]
    later = [_prepared(recipe) for recipe in LATER_NETWORKS]
    by_rules = [_prepared(step._replace(rule=rule, steps=STEPS)) for rule in RULES]
    for name, mistake in MISTAKES.items():
        of_later = mistake.scope == "rule" or name in NOT_IN_FIRST
        if name in (*NOT_WRONG, *SINCE) or of_later != (group == LATER):
            continue
        unwanted = NOT_FINITE if of_later else LATER_NAMES
        left = [variant for variant in mistake.variants or (None,) if variant not in unwanted]
        network = "step" if _shows_in_first_step(name) else CHOSEN.get(name)
        chosen = first.values() if network is None else [first[network]]
        if of_later:
            chosen = by_rules if mistake.scope == "rule" else later
        count = len(left)
        for recipe, prepared in chosen:
            found: dict[str | None, int | None] = {}
            for layer, variant in places(prepared, name):
                if variant in left:
                    found[variant] = layer  # the last layer where it shows at all
            for variant, layer in found.items():
                left.remove(variant)
                slug = "-".join([name, *([] if variant is None else [_slug(variant)])])
                layer = None if _shows_in_first_step(name) else layer  # which is made wherever it can be
                yield Making(recipe._replace(group=group, slug=slug, comment=mistake.sentence), name, layer, variant)
        if len(left) == count:
            raise UnfitError(f"{name} shows in no network")


def _shows_in_first_step(mistake: str) -> bool:
    return MISTAKES[mistake].shows_in_updates and MISTAKES[mistake].scope != "rule"


def _prepared(recipe: Recipe) -> tuple[Recipe, Prepared]:
    return recipe, prepare(recipe.case("float64"), "float64", recipe.rule or Descent())


def _slug(variant: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in variant.lower()).strip("-")


def vector(making: Making) -> dict[str, Any]:
    """The invalid vector of a mistake.

    Raises:
        UnfitError: if no attempt gives digits that are the same on every machine, and clearly wrong.
    """
    fields = first_fitting(making.recipe, "float64", partial(_with_answer, making))
    return fields | {"result": "invalid"}


def _with_answer(making: Making, case: Case) -> dict[str, Any]:
    rule, rate = making.recipe.rule, RATE if _shows_in_first_step(making.mistake) else None
    truth = certain(case, rate, keeps_from_kinks=False)
    value = VALUES[making.variant or ""] if making.mistake == "finite-difference" else None
    options = {"layer": making.layer, "variant": making.variant, "value": value}
    try:
        if rule is not None:
            wrong = plant_update(case, making.mistake, rule=rule, epochs=STEPS, **options)  # type: ignore[arg-type]
        elif rate is None:
            wrong = plant(case, making.mistake, **options).grads  # type: ignore[arg-type]
        else:
            wrong = plant_update(case, making.mistake, rate, **options)  # type: ignore[arg-type]
    except ValueError as error:  # it depends on the numbers whether it shows
        raise UnfitError(str(error)) from error
    at_rate = {} if rate is None else {"learning_rate": rate}
    stepped_by = at_rate if rule is None else {"learning_rate": rule.learning_rate}
    whole = max(float(np.abs(leaf).max()) for layer in wrong for leaf in layer if leaf is not None)
    answer: dict[str, Any] = {"format": f"functional-mlp/{'update' if stepped_by else 'gradients'}", "version": 1}
    answer |= stepped_by | {"params": [_printed(layer, whole) for layer in wrong]}
    mistake = {"id": making.mistake, "layer": making.layer, "variant": making.variant}
    fields = {"mistake": mistake, "answer": answer} | at_rate | expected(truth, len(case.params))
    fields |= {} if rule is None else {"update": updated(case, rule, STEPS)}
    _require_wrong(case, fields)
    return fields


def _printed(layer: Layer, whole: float) -> dict[str, Any]:
    """A layer's numbers with ten digits; `whole` is the largest number of all layers."""
    return {name: _rounded(np.asarray(leaf), whole) for name, leaf in layer._asdict().items() if leaf is not None}


def _rounded(leaf: np.ndarray, whole: float) -> Any:
    largest = float(np.abs(leaf).max())
    if 0 < largest < NOISE * whole:
        raise UnfitError("an array that cancellation left")
    for x in leaf.ravel().tolist():
        if not math.isfinite(x):
            raise UnfitError("not finite")
        if x == 0 or _is_short(x):
            continue
        if abs(x) < LOST * largest:
            raise UnfitError("a number that cancellation left")
        scaled = abs(x) / 10.0 ** (math.floor(math.log10(abs(x))) - DIGITS + 1)
        if abs(scaled - math.floor(scaled) - 0.5) < SAFE:
            raise UnfitError("a digit that another machine may round otherwise")
    return np.array([float(f"{x:.{DIGITS - 1}e}") for x in leaf.ravel().tolist()]).reshape(leaf.shape)


def _is_short(x: float) -> bool:
    """Whether a number has so few digits that nothing was rounded on the way to it."""
    return float(f"{x:.{DIGITS - 1}e}") == x


def _require_wrong(case: Case, fields: dict[str, Any]) -> None:
    """Raises UnfitError unless the answer is far from what is allowed."""
    head = {"id": case.name, "comment": "", "flags": [], "precision": "float64", "result": "invalid"}
    made = vector_of(plain_json(head | {"case": case_document(case)} | fields))
    mismatch = judge(made, made.wrong)
    if mismatch is None or not abs(mismatch.got - mismatch.expected) > CLEAR * mismatch.allowed:
        raise UnfitError("it is hardly wrong")
