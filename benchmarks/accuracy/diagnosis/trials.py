"""The trials behind docs/measured/diagnosis.md: gradients with a mistake, and what the diagnosis says of them."""

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from benchmarks.accuracy.small_cases import NARROW, Question, question_of, small_case
from functional_mlp import oracle
from functional_mlp.backward_pass import Stages, add_penalty_gradient, output_cotangent, pull_back
from functional_mlp.forward_pass import forward
from functional_mlp.oracle.case import by_path
from functional_mlp.oracle.diagnosis import CONVENTION, MISTAKE, Asked, Diagnosis, Explanation, diagnose
from functional_mlp.oracle.documents import Gradients
from functional_mlp.oracle.mistakes import MISTAKES, Slip, applies, places, plant, plant_together, prepare, site_of
from functional_mlp.oracle.truth import float64_on_cpu
from functional_mlp.oracle.verdict import judge, worst_of

DTYPES = ("float64", "float32")
SHOWN = tuple(name for name, mistake in MISTAKES.items() if not mistake.shows_in_updates)  # by one case's gradients
RELATIONS = {"array-scaled": "scaled", "loss-scaled": "scaled", "samples-weighted-unevenly": "per-sample"}
# trials per case and dtype; half of the unlisted errors in a narrow case; functions in float64 alone
PAIRS, UNLISTED, FUNCTIONS = 8, 252, 2


class Row(NamedTuple):
    """One trial.

    Attributes:
        dtype: that was computed in.
        what: the mistake, "a pair", or the kind of the unlisted error.
        group: "exact", "fitted", "second-case", "pair", "function" or "unlisted"; in narrow cases, and what they are.
        verdict: on the gradients.
        named: whether every mistake that was made is named, perhaps among ties; or said as how the numbers are related,
            where it is no more than that.
        placed: whether each is also named in the layer where it was made.
        ties: how many explanations there are.
        false: whether something is named that does not explain the numbers; only unlisted errors can be.
        kind: what the diagnosis says of the numbers: a convention, a mistake, either, or nothing.
        expected: the kind of what was made.
        located: whether the first wrong quantity is the one that was made wrong; None where nobody knows.
    """

    dtype: str
    what: str
    group: str
    verdict: str
    named: bool
    placed: bool
    ties: int
    false: bool
    kind: str
    expected: str
    located: bool | None


def asked(question: Question, grads: Any) -> tuple[str, Diagnosis | None]:
    """The verdict and the diagnosis of gradients."""
    given = Gradients(list(grads))
    leaves = judge(*question, given)
    return str(worst_of(leaf.verdict for leaf in leaves)), diagnose(Asked(*question, given, leaves))


def trial(seed: int) -> list[Row]:
    """All trials of one random case."""
    warnings.simplefilter("ignore")
    rows: list[Row] = []
    for dtype in DTYPES:
        question = question_of(seed, dtype)
        every = [Slip(name, *place) for name in SHOWN for place in places(question.case, name)]
        rng = np.random.default_rng([seed, 2])
        rows += [_single(question, _valued(question.case, slip, rng)) for slip in every]
        rows += [_pair(question, pair) for pair in _pairs(question, every, rng)]
        rows += [_unlisted(question, rng, number) for number in range(UNLISTED // 2)]
    return rows


def narrow_trial(seed: int) -> list[Row]:
    """Unlisted errors in cases of one sample, one output, or two classes, as many as in the others."""
    warnings.simplefilter("ignore")
    rows: list[Row] = []
    kind = list(NARROW)[seed % len(NARROW)]
    for dtype in DTYPES:
        question, rng = question_of(seed, dtype, NARROW[kind]), np.random.default_rng([seed, 5])
        made = [_unlisted(question, rng, number) for number in range(UNLISTED // 2)]
        rows += [row._replace(group=f"unlisted, {kind}") for row in made]
    return rows


def rare_trial(seed: int, names: tuple[str, ...]) -> list[Row]:
    """Some mistakes, alone, at every place of one more random case."""
    warnings.simplefilter("ignore")
    rows: list[Row] = []
    for dtype in DTYPES:
        case = small_case(seed, dtype)
        slips = [Slip(name, *place) for name in names for place in places(case, name)]
        if slips:
            question, rng = question_of(seed, dtype), np.random.default_rng([seed, 4])
            rows += [_single(question, _valued(case, slip, rng)) for slip in slips]
    return rows


def _row(
    question: Question, what: str, group: str, grads: Any, made: tuple[Slip, ...], located: str | None = None
) -> Row:
    verdict, found = asked(question, grads)
    kinds = {MISTAKES[slip.id].convention for slip in made}
    expected = "" if not made else CONVENTION if kinds == {True} else MISTAKE
    if found is None:
        return Row(question.case.dtype, what, group, verdict, not made, not made, 0, False, "", expected, None)
    ids = {slip.id for slip in made}
    by_others = bool(made) and all(_is_unsearched(slip) for slip in made)
    named = [mistakes for mistakes in found.explanations if by_others or {mistake.id for mistake in mistakes} == ids]
    related = len(made) == 1 and _is_said(question, found, made[0])
    placed = related or any(by_others or _same_places(mistakes, made) for mistakes in named)
    located_right = None if located is None else found.first_wrong == located
    counts = (bool(named) or related, placed, len(found.explanations), not made and bool(found.explanations))
    return Row(question.case.dtype, what, group, verdict, *counts, found.kind, expected, located_right)


def _is_said(question: Question, found: Diagnosis, slip: Slip) -> bool:
    """Whether all that a mistake is, is said as how just the arrays that it changes are related to the right ones."""
    kind = RELATIONS.get(slip.id)
    said = {path for relation in found.relations if relation.kind == kind for path in relation.paths}
    return kind is not None and not found.explanations and said == _changed(question, slip)


def _is_unsearched(slip: Slip) -> bool:
    """Whether another mistake explains it better, which is then the answer."""
    return slip.variant in MISTAKES[slip.id].unsearched


def _same_places(explanation: Explanation, made: tuple[Slip, ...]) -> bool:
    return all(
        slip.layer is None or any(named.id == slip.id and slip.layer in named.layers for named in explanation)
        for slip in made
    )


def _single(question: Question, slip: Slip) -> Row:
    grads = plant_together(question.case, (slip,), question.case.dtype).grads
    return _row(question, slip.id, MISTAKES[slip.id].tag, grads, (slip,))


def _valued(case: oracle.Case, slip: Slip, rng: np.random.Generator) -> Slip:
    """With a random value of its free number: one of its choices, or within a factor of three of its default.

    Where it has several, each is drawn from 0 to 3.
    """
    parameter = MISTAKES[slip.id].parameter
    if parameter is None:
        return slip
    if parameter.vector is not None:
        count = parameter.vector(site_of(prepare(case), MISTAKES[slip.id], slip.layer, slip.variant))
        return slip._replace(value=tuple(rng.uniform(0, 3, count).tolist()))
    if parameter.magnified is not None:  # the step of a finite difference
        return slip._replace(value=float(rng.choice((1, 2, 5)) * 10.0 ** -rng.integers(2, 8)))
    starts = parameter.starts(site_of(prepare(case), MISTAKES[slip.id], slip.layer, slip.variant))
    for _ in range(20):
        value = float(rng.choice(starts)) * (1.0 if parameter.choices else 10.0 ** rng.uniform(-0.5, 0.5))
        value = float(round(value)) if parameter.whole else value
        value = float(f"{value:.1g}") if parameter.read is not None else value  # a bound, as people choose it
        if applies(case, slip.id, slip.layer, variant=slip.variant, value=value):
            return slip._replace(value=value)
    return slip


def _pairs(question: Question, every: list[Slip], rng: np.random.Generator) -> list[tuple[Slip, Slip]]:
    """Random pairs of mistakes without free number, each of which changes an array that the other does not."""
    able = [slip for slip in every if MISTAKES[slip.id].parameter is None and not _is_unsearched(slip)]
    pairs: list[tuple[Slip, Slip]] = []
    for _ in range(4 * PAIRS if len(able) > 1 else 0):
        first, second = (able[i] for i in rng.choice(len(able), 2, replace=False))
        by_first, by_second = (_changed(question, slip) for slip in (first, second))
        if by_first - by_second and by_second - by_first and first.id != second.id and len(pairs) < PAIRS:
            pairs.append((first, second))
    return pairs


def _changed(question: Question, slip: Slip) -> frozenset[str]:
    true = by_path(question.solution)
    wrong = by_path(plant_together(question.case, (slip,)))
    return frozenset(
        path
        for path, array in true.items()
        if path.startswith("params") and not np.linalg.norm(wrong[path] - array) <= 1e-9 * np.linalg.norm(array)
    )


def _pair(question: Question, pair: tuple[Slip, Slip]) -> Row:
    grads = plant_together(question.case, pair, question.case.dtype).grads
    return _row(question, "a pair", "pair", grads, pair)


# what the catalogue does not know


def _unlisted(question: Question, rng: np.random.Generator, number: int) -> Row:
    what, error = list(ERRORS.items())[number % len(ERRORS)]
    grads, located = error(question, rng)
    cast = [tuple(leaf.astype(question.case.dtype) for leaf in layer if leaf is not None) for layer in grads]
    return _row(question, what, "unlisted", cast, (), located)


def _copies(question: Question) -> list[list[np.ndarray]]:
    return [[np.array(leaf) for leaf in layer if leaf is not None] for layer in question.solution.grads]


def _spoilt(question: Question, rng: np.random.Generator, random: bool) -> tuple[Any, str]:
    """Noise on one array, of a size between 1e-3 and 1 relative to it, or a random array in its place."""
    grads = _copies(question)
    layer = int(rng.integers(len(grads)))
    at = int(rng.integers(len(grads[layer])))
    leaf = grads[layer][at]
    noise = rng.normal(size=leaf.shape)
    size = 10.0 ** rng.uniform(-3, 0) * np.linalg.norm(leaf) / np.sqrt(leaf.size)
    grads[layer][at] = noise if random else leaf + size * noise
    alone = len(grads[layer]) == 1
    return grads, f"{'ct_z' if alone else ('ct_W', 'ct_b')[at]} of layer {layer}"


def _of_another_network(question: Question, rng: np.random.Generator) -> tuple[Any, None]:
    case = question.case
    params = [(w + 0.1 * rng.normal(size=w.shape), b) for w, b in case.params]
    params = [(w.astype(question.case.dtype).astype(float), b) for w, b in params]
    data = (case.inputs, case.targets, case.ct_outputs, case.sample_weights)
    return oracle.solve(oracle.Case(case.network, case.loss, params, *data, dtype=case.dtype)).grads, None


def _of_another_derivative(question: Question, rng: np.random.Generator) -> tuple[Any, str]:
    """A smooth derivative that is no activation's of ours, at one layer: 1 / (1 + z^2), or a random cubic."""
    case: Any = question.case
    layer, c = int(rng.integers(len(case.params))), rng.normal(size=4)
    wrong = (lambda z: 1 / (1 + z * z)) if rng.integers(2) else (lambda z: c[0] + z * (c[1] + z * (c[2] + z * c[3])))
    with float64_on_cpu():
        _, tape = forward(case.network, case.params, case.inputs)
        stages = [Stages() for _ in case.params]
        ct: Any = case.ct_outputs
        if case.loss is not None:
            ct = case.loss.cotangent(tape.activations[-1], case.targets, case.sample_weights)
            end = output_cotangent(case.network, case.loss, tape, case.targets, case.sample_weights)
            if layer != len(case.params) - 1:
                ct, stages = end.cotangent, list(end.stages)
        stages[layer] = stages[layer]._replace(through_activation=lambda residuals, ct: ct * wrong(residuals.z))
        grads = pull_back(case.network, case.params, tape, ct, stages).params
        if case.loss is not None:
            grads = add_penalty_gradient(case.loss, grads, case.params)
        return [[np.asarray(leaf) for leaf in pair if leaf is not None] for pair in grads], f"ct_z of layer {layer}"


def _of_few_digits(question: Question, rng: np.random.Generator) -> tuple[Any, None]:
    """Numbers cut off after some decimals, or cast to float16, or signs: they lie on grids."""
    cut, largest = int(rng.integers(3)), max(float(np.abs(leaf).max()) for layer in _copies(question) for leaf in layer)
    scale = 10.0 ** (rng.integers(1, 6) - np.floor(np.log10(largest or 1.0)))
    of = (lambda g: np.trunc(g * scale) / scale, lambda g: g.astype(np.float16).astype(float), np.sign)[cut]
    with np.errstate(over="ignore"):
        return [[of(leaf) for leaf in layer] for layer in _copies(question)], None


ERRORS: dict[str, Callable[[Question, np.random.Generator], tuple[Any, str | None]]] = {
    "noise on an array": partial(_spoilt, random=False),
    "a random array": partial(_spoilt, random=True),
    "another derivative": _of_another_derivative,
    "gradients of another network": _of_another_network,
    "numbers of few digits": _of_few_digits,
}


# mistakes that one case does not show


def function_trial(seed: int) -> list[Row]:
    """*Second-case* mistakes of functions that are asked about the cases that `check_function` chooses."""
    warnings.simplefilter("ignore")
    rows = []
    case = small_case(seed, "float64")
    for name in ("nominal-batch-size", "stale-activations"):
        spots = places(case, name)
        rng = np.random.default_rng([seed, 3])
        for i in rng.permutation(len(spots))[:FUNCTIONS]:
            rows += _function_rows(case, Slip(name, *spots[i]))
    return rows


def _function_rows(case: oracle.Case, slip: Slip) -> list[Row]:
    network, loss = case.network, case.loss
    value = 16.0 if slip.id == "nominal-batch-size" else None

    def gradients(params: Any, inputs: Any, end: Any) -> Any:
        data = {"targets": end} if loss is not None else {"ct_outputs": end}
        asked_case = oracle.Case(network, loss, params, inputs, **data)
        if not any(place == (slip.layer, slip.variant) for place in places(asked_case, slip.id)):
            return oracle.solve(asked_case).grads
        return plant(asked_case, slip.id, slip.layer, variant=slip.variant, value=value).grads

    report = oracle.check_function(gradients, network, loss)
    found, verdict = report.diagnosis, str(report.verdict)
    explanations = [] if found is None else [{mistake.id for mistake in mistakes} for mistakes in found.explanations]
    kind = "" if found is None else found.kind
    return [
        Row(
            dtype="float64",
            what=slip.id,
            group="function",
            verdict=verdict,
            named={slip.id} in explanations,
            placed=True,
            ties=len(explanations),
            false=False,
            kind=kind,
            expected="",
            located=None,
        )
    ]
