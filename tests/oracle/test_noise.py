"""The noise floor and the bound beside it, against programs that compute in the precision that they declare."""

import itertools

import numpy as np
import pytest

import functional_mlp as fm
from benchmarks._cases import Recipe, draw
from benchmarks._implementations import IMPLEMENTATIONS
from functional_mlp import oracle
from functional_mlp.oracle.answers import Gradients
from functional_mlp.oracle.noise import estimate_noise
from functional_mlp.oracle.precision import PRECISIONS, precision_named
from functional_mlp.oracle.verdict import Verdict, judge, truth_of

RECIPES = {
    "smooth": Recipe(
        fm.Network((5, 6, 4, 3), ("tanh", "gelu", "softmax")),
        fm.Loss("categorical_cross_entropy", l2=0.125),
        9,
        True,
        True,
    ),
    "kinked": Recipe(fm.Network((5, 6, 3), ("relu", "identity")), fm.Loss("squared_error", "mean"), 40, False, False),
    "bare": Recipe(fm.Network((4, 7, 2), ("softmax", "sigmoid")), None, 9, True, False),
}
QUICK = [name for name in IMPLEMENTATIONS if name.startswith("numpy")]


def judged(case, name):
    """The leaves of an implementation's answer, and the noise."""
    implementation = IMPLEMENTATIONS[name]
    answer = implementation.run(case)
    solution = oracle.solve(case)
    noise = estimate_noise(case, solution, precision_named(implementation.precision))
    given = Gradients(list(answer.grads), answer.loss, answer.outputs, answer.deltas, answer.ct_inputs)
    return judge(case, solution, noise, given, case.dtype), noise


@pytest.mark.parametrize("name", QUICK)
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_program_errs_by_less_than_the_floor_and_than_the_bound(recipe, name):
    """The bound holds for what rounding does; kinks and lost probabilities are no matter of rounding."""
    implementation = IMPLEMENTATIONS[name]
    for seed in range(12):
        drawn = draw(np.random.default_rng([seed, 1]), precision=implementation.storage, recipe=RECIPES[recipe])
        if not implementation.supports(drawn.case):
            continue
        leaves, noise = judged(drawn.case, name)
        assert [leaf.path for leaf in leaves if leaf.verdict is Verdict.WRONG] == []
        if noise.kinks or noise.saturated or "overflow" in drawn.tags:
            continue
        assert not any(leaf.proved for leaf in leaves)
        for leaf in leaves:
            assert leaf.error <= noise.floors[leaf.path].bound[leaf.index], (seed, leaf.path)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_bound_is_above_the_standard_deviation_and_both_grow_with_the_unit(precision):
    case = draw(np.random.default_rng(0), precision="bfloat16", recipe=RECIPES["bare"]).case
    solution = oracle.solve(case)
    fine = estimate_noise(case, solution, precision_named("float64"))
    noise = estimate_noise(case, solution, precision_named(precision))
    for path in truth_of(solution):
        floor = noise.floors[path]
        assert (floor.smooth <= 6 * floor.bound + 8 * noise.precision.storage.unit).all()
        assert (floor.smooth >= fine.floors[path].smooth * 0.99).all()
        assert (floor.bound >= fine.floors[path].bound * 0.99).all()


# false alarms that were found once


def symmetric(samples=5):
    """All weights are equal: the true gradients of the hidden layers are 0, and what rounds is noise alone."""
    sizes = (7, 33, 21, 23)
    rng = np.random.default_rng(4)
    tenth = np.float32(0.1)
    params = [(np.full(shape, tenth), np.full(shape[1], tenth)) for shape in itertools.pairwise(sizes)]
    inputs = rng.normal(size=(samples, 7)).astype(np.float32)
    targets = rng.integers(0, 2, (samples, 23)).astype(np.float32)
    loss = fm.Loss("binary_cross_entropy", "mean", "mean")
    return oracle.Case(fm.Network(sizes, "softmax"), loss, params, inputs, targets, dtype="float32")


def many_classes():
    """Autodiff of softmax squares the sum of 300 exponentials, which float16 cannot hold."""
    rng = np.random.default_rng(5)
    weights = (rng.normal(size=(3, 300)) / 64).astype(np.float16)
    inputs, targets = rng.normal(size=(4, 3)).astype(np.float16), np.eye(300)[[1, 2, 3, 200]]
    network = fm.Network((3, 300), "softmax")
    return oracle.Case(network, fm.Loss("categorical_cross_entropy"), [weights], inputs, targets, dtype="float16")


def cancelled_by_the_bias():
    """a W and the bias cancel to a 64th: a program that stores a W first has lost bits of z."""
    rng = np.random.default_rng(6)
    inputs = rng.integers(96, 128, (6, 3)) / 128
    weights = np.array([[1.0], [0.5], [0.25]])
    bias = -np.round((inputs @ weights).mean() * 128) / 128
    case = oracle.draw_case(fm.Network((3, 1), "gelu"), None, samples=6, dtype="bfloat16")
    return oracle.Case(
        case.network, None, [(weights, np.array([bias]))], inputs, None, case.ct_outputs, dtype="bfloat16"
    )


def a_long_loss():
    """1500 terms of which the last are smaller than half the spacing of the sum in float16."""
    rng = np.random.default_rng(7)
    network = fm.Network((2, 300), "softmax")
    inputs = rng.normal(size=(5, 2)).astype(np.float16)
    weights = (rng.normal(size=(2, 300)) / 8).astype(np.float16)
    targets = (rng.uniform(size=(5, 300)) / 150).astype(np.float16)
    return oracle.Case(network, fm.Loss("categorical_cross_entropy"), [weights], inputs, targets, dtype="float16")


@pytest.mark.parametrize(
    ("case", "names"),
    [
        (symmetric, ["numpy-float32", "numpy-sequential-float32", "jax-float32", "c-float32", "c-fast-float32"]),
        (many_classes, ["numpy-float16", "jax-float16", "jax-float16-unfused"]),
        (cancelled_by_the_bias, ["jax-bfloat16", "jax-bfloat16-eager"]),
        (a_long_loss, ["numpy-float16", "numpy-sequential-float16", "numpy-float16-wide", "jax-float16"]),
    ],
)
def test_no_false_alarm_that_was_found_once(case, names):
    asked = [name for name in names if IMPLEMENTATIONS[name].available() and IMPLEMENTATIONS[name].supports(case())]
    assert asked
    for name in asked:
        leaves, _ = judged(case(), name)
        assert [(leaf.path, leaf.sentence) for leaf in leaves if leaf.verdict is Verdict.WRONG] == [], name


def test_a_symmetric_network_is_not_excused():
    """What symmetry makes 0 is judged by the noise that is there, not by that of its terms."""
    case = symmetric()
    _, noise = judged(case, "numpy-float32")
    floor = noise.floors["params[0].bias"].smooth
    assert (floor < 1e-12).all()
    given = [[np.array(w), np.array(b)] for w, b in oracle.solve(case).grads]
    given[0][1][3] = 1e-9
    report = oracle.check(case, given, "float32")
    assert [leaf.path for leaf in report.leaves if leaf.verdict is Verdict.WRONG] == ["params[0].bias"]
