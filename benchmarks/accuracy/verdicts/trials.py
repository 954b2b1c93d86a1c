"""The trials: each a random case, asked of the oracle and of its peers; the rows are plain data."""

import warnings
from typing import Any, NamedTuple

import numpy as np

import functional_mlp as fm
from benchmarks.accuracy import peers
from benchmarks.accuracy.cases import Drawn, draw, draw_recipe, families
from benchmarks.accuracy.implementations.registry import IMPLEMENTATIONS
from benchmarks.accuracy.small_cases import Question, question_of
from functional_mlp import oracle
from functional_mlp.oracle.documents import Gradients, Update
from functional_mlp.oracle.mistakes import MISTAKES, places, plant, plant_together, plant_update
from functional_mlp.oracle.noise import Noise, estimate_noise, precision_named
from functional_mlp.oracle.verdict import Leaf, Verdict, judge, worst_of

DTYPES = ("float64", "float32", "float16", "bfloat16")
EXCUSING = ("kinks", "near-kinks", "overflow", "underflow", "saturated")  # tags that excuse an undecided verdict
WORK = 2e6
DRAWS = 2  # cases of each recipe in each dtype: compiling for a new shape takes seconds
RATE = 0.1


class Correct(NamedTuple):
    """The verdict on one leaf of a correct implementation; `case`: seed of the recipe and number of the draw."""

    case: str
    implementation: str
    dtype: str
    families: dict[str, str]
    special: bool
    path: str
    verdict: str
    cause: str
    ratio: float
    detectable: float
    size: int


class Asked(NamedTuple):
    """A peer's answer about one gradient of a correct implementation: whether it passes."""

    peer: str
    dtype: str
    special: bool
    passes: bool


class PlantedRow(NamedTuple):
    """The verdict on one planted mistake.

    `effective`: whether it changes the float64 gradient beyond rounding. `above`: whether the given numbers are further
    from the truth, in some leaf, than its smallest detectable change; NaN and infinities are not, where a probability
    is lost. `diluted`: units at a kink, or lost probabilities, are in the case. `peers`: whether each one asked lets it
    pass.
    """

    seed: int
    dtype: str
    mistake: str
    tag: str
    effective: bool
    above: bool
    verdict: str
    diluted: bool
    peers: dict[str, bool]


class Detectable(NamedTuple):
    """The smallest detectable change of a leaf of a case without mistakes, relative to the leaf's norm."""

    dtype: str
    depth: int
    relative: float


class KinkRow(NamedTuple):
    """The verdict on a case with a unit at a kink."""

    dtype: str
    where: str
    convention: str
    mistaken: bool
    verdict: str


def _leaves_of_answer(answer: Any) -> Gradients:
    return Gradients(list(answer.grads), answer.loss, answer.outputs, answer.deltas, answer.ct_inputs)


def correct_trial(seed: int) -> list[Any]:
    """Every correct implementation in every dtype, on a few cases of one random recipe."""
    warnings.simplefilter("ignore")
    rng = np.random.default_rng(seed)
    recipe = draw_recipe(rng, max_work=WORK)
    rows: list[Any] = []
    for dtype in DTYPES:
        for number in range(DRAWS):
            rows += _correct_rows(seed, number, dtype, draw(rng, precision=dtype, recipe=recipe))
    return rows


def _correct_rows(seed: int, number: int, dtype: str, drawn: Drawn) -> list[Any]:
    case, special = drawn.case, not drawn.tags.isdisjoint(EXCUSING)
    solution = oracle.solve(case)
    rows: list[Any] = []
    noises: dict[str, Noise] = {}
    for name, implementation in IMPLEMENTATIONS.items():
        if implementation.storage != dtype or not implementation.available() or not implementation.supports(case):
            continue
        precision = implementation.precision
        if precision not in noises:
            noises[precision] = estimate_noise(case, solution, precision_named(precision))
        answer = implementation.run(case)
        leaves = judge(case, solution, noises[precision], _leaves_of_answer(answer))
        rows += [_correct_row(f"{seed}.{number}", name, dtype, drawn, leaf) for leaf in leaves]
        asked = dict(peers.ALWAYS)
        if number == 0 and name == f"numpy-{dtype}" and peers.may_be_asked(case, dtype):
            asked |= peers.costly()
        rows += [Asked(peer, dtype, special, passes(case, solution, answer.grads)) for peer, passes in asked.items()]
    return rows


def _correct_row(case: str, name: str, dtype: str, drawn: Drawn, leaf: Leaf) -> Correct:
    ratio = leaf.error / leaf.floor if leaf.floor > 0 else 0.0 if leaf.error == 0 else np.inf
    special = not drawn.tags.isdisjoint(EXCUSING)
    relative = leaf.smallest_detectable / leaf.norm if leaf.norm > 0 else np.nan
    cause = "" if leaf.cause is None else str(leaf.cause)
    kind = leaf.path.partition("[")[0] + leaf.path.rpartition("]")[2]
    shown = (families(drawn), special, kind, str(leaf.verdict), cause)
    return Correct(case, name, dtype, *shown, float(ratio), float(relative), leaf.size)


# planted mistakes


def planted_trial(seed: int) -> list[Any]:
    """Every mistake at every place of one random small case, in float64 and float32."""
    warnings.simplefilter("ignore")
    rows: list[Any] = []
    for dtype in ("float64", "float32"):
        question = question_of(seed, dtype)
        case, solution, noise = question
        leaves = judge(case, solution, noise, Gradients(list(plant_together(case, (), dtype).grads)))
        rows += [
            Detectable(dtype, len(case.params), leaf.smallest_detectable / leaf.norm)
            for leaf in leaves
            if leaf.norm > 0 and leaf.path.startswith("params")
        ]
        for mistake in MISTAKES.values():
            for number, (layer, variant) in enumerate(places(case, mistake.id)):
                rows.append(_planted_row(seed, question, mistake, {"layer": layer, "variant": variant}, number == 0))
    return rows


def _planted_row(seed: int, question: Question, mistake: Any, place: dict[str, Any], asks_peers: bool) -> PlantedRow:
    case, solution, noise = question
    if mistake.shows_in_updates:
        given: Any = plant_update(case, mistake.id, RATE, **place, dtype=case.dtype)
        exact, right = plant_update(case, mistake.id, RATE, **place), plant_update(case, None, RATE)
        leaves = oracle.check_update(case, Update(list(given), RATE), precision=case.dtype).leaves
    else:
        given = plant(case, mistake.id, **place, dtype=case.dtype).grads
        exact, right = plant(case, mistake.id, **place).grads, solution.grads
        leaves = judge(case, solution, noise, Gradients(list(given)))
    effective = any(far > 1e-14 * max(norm, 1e-300) for far, norm in _effects(exact, right).values())
    changes = _effects(given, right)
    diluted = bool(noise.kinks or noise.saturated)
    above = any(
        changes[leaf.path][0] > leaf.smallest_detectable and (np.isfinite(leaf.got) or not diluted)
        for leaf in leaves
        if leaf.path in changes
    )
    passed = {}
    if asks_peers and not mistake.shows_in_updates and effective:
        asked = dict(peers.ALWAYS)
        if seed % 8 == 0 and peers.may_be_asked(case, case.dtype):
            asked |= peers.costly()
        passed = {name: passes(case, solution, given) for name, passes in asked.items()}
    verdict = str(worst_of(leaf.verdict for leaf in leaves))
    return PlantedRow(seed, case.dtype, mistake.id, mistake.tag, effective, above, verdict, diluted, passed)


def _effects(wrong: Any, right: Any) -> dict[str, tuple[float, float]]:
    """By path: the Euclidean norm of the difference, and that of the truth; shapes that differ are infinitely far."""
    effects = {}
    for i, layers in enumerate(zip(wrong, right, strict=True)):
        for name, got, true in zip(("weights", "bias"), *layers, strict=True):
            if true is None:
                continue
            got, true = np.asarray(got, np.float64), np.asarray(true, np.float64)
            far = float(np.linalg.norm(got - true)) if got.shape == true.shape else np.inf
            effects[f"params[{i}].{name}"] = (np.inf if np.isnan(far) else far, float(np.linalg.norm(true)))
    return effects


# kinks


def kink_trial(seed: int) -> list[Any]:
    """A relu unit at 0, at -0.0, and one ulp to either side, as seen from both sides, with and without mistake."""
    warnings.simplefilter("ignore")
    rows = []
    for dtype in DTYPES:
        for where, nudge in NUDGES.items():
            case = _kinked_case(seed, dtype, nudge)
            solution = oracle.solve(case)
            noise = estimate_noise(case, solution, precision_named(dtype))
            for side in ("left", "right"):
                grads = _seen_from(seed, dtype, nudge, side)
                for mistaken in (False, True):
                    given = [(w, b * (1.5 if mistaken else 1.0)) for w, b in grads]
                    leaves = judge(case, solution, noise, Gradients(given))
                    verdict = worst_of(leaf.verdict for leaf in leaves)
                    rows.append(KinkRow(dtype, where, f"{side} side", mistaken, str(verdict)))
    return rows


NUDGES = {"0": 0.0, "-0.0": -0.0, "1 ulp above 0": 1.0, "1 ulp below 0": -1.0}


def _seen_from(seed: int, dtype: str, nudge: float, side: str) -> Any:
    """The gradients of a program that finds the unit on this side of the kink."""
    right = side == "right"
    if nudge == 0:
        case = _kinked_case(seed, dtype, nudge, at_zero=float(right))
    else:
        case = _kinked_case(seed, dtype, abs(nudge) if right else -abs(nudge))
    return oracle.solve(case).grads


def _kinked_case(seed: int, dtype: str, nudge: float, at_zero: float = 0.0) -> oracle.Case:
    """A 3-4-2 relu network of quarters, unit 0 of which is at the kink in sample 0, and no other unit is.

    Args:
        seed, dtype: of the case.
        nudge: 0, -0.0, or by how many ulp an input of that sample is moved.
        at_zero: the derivative of relu at 0.
    """
    rng = np.random.default_rng([seed, 1])
    weights = rng.integers(1, 5, (3, 4)) / 4.0 * rng.choice([-1, 1], (3, 4))
    weights[:, 0] = [0.5, -0.5, 0.25]
    inputs = rng.integers(1, 5, (5, 3)) / 4.0
    inputs[0] = [0.75, 0.75, 0.0]
    inputs[0, 0] += nudge * EPS[dtype] / 2
    if nudge == 0 and np.signbit(nudge):
        inputs[0], weights[:, 0] = -0.0, np.abs(weights[:, 0])
    bias = np.array([np.copysign(0.0, nudge), *(rng.integers(1, 4, 3) / 64.0)])
    targets = rng.integers(-4, 5, (5, 2)) / 4.0
    params = [(weights, bias), (rng.integers(1, 5, (4, 2)) / 4.0, np.array([0.25, -0.25]))]
    network = fm.Network((3, 4, 2), [fm.activations.relu(at_zero), "identity"])
    return oracle.Case(network, fm.Loss("squared_error"), params, inputs, targets, dtype=dtype)


EPS = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}


def loss_of_detection(rows: list[PlantedRow]) -> list[PlantedRow]:
    """Rows that contradict the reported smallest detectable change: above it, and not called wrong."""
    return [row for row in rows if row.above and row.verdict != str(Verdict.WRONG)]
