"""The noise floor and the bound beside it, against programs that compute in the precision that they declare."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import functional_mlp as fm
from benchmarks.accuracy.cases import Recipe, draw
from benchmarks.accuracy.implementations.registry import IMPLEMENTATIONS
from functional_mlp import oracle
from functional_mlp.oracle.documents import Gradients
from functional_mlp.oracle.noise.floors import estimate_noise
from functional_mlp.oracle.noise.precision import PRECISIONS, precision_named
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
    return judge(case, solution, noise, given), noise


@pytest.mark.parametrize("name", QUICK)
@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.slow
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


def logits_that_are_activations():
    """gelu, then a loss of logits: these are the outputs, and not the pre-activations, which gelu folds to 0."""
    rng = np.random.default_rng(8)
    network = fm.Network((1, 20), "gelu")
    params = [(rng.normal(size=(1, 20)) * 4, rng.normal(size=20))]
    inputs, targets = rng.normal(size=(60, 1)), rng.integers(0, 2, (60, 20))
    return oracle.Case(network, fm.Loss("sigmoid_cross_entropy", "mean"), params, inputs, targets)


@pytest.mark.parametrize(
    ("case", "names"),
    [
        (logits_that_are_activations, ["numpy-float64", "jax-float64", "c-float64"]),
        (symmetric, ["numpy-float32", "numpy-sequential-float32", "jax-float32", "c-float32", "c-fast-float32"]),
        (many_classes, ["numpy-float16", "jax-float16", "jax-float16-unfused"]),
        (cancelled_by_the_bias, ["jax-bfloat16", "jax-bfloat16-eager"]),
        (a_long_loss, ["numpy-float16", "numpy-sequential-float16", "numpy-float16-wide", "jax-float16"]),
    ],
)
@pytest.mark.slow
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
    report = oracle.check(case, given, precision="float32")
    assert [leaf.path for leaf in report.leaves if leaf.verdict is Verdict.WRONG] == ["params[0].bias"]


# other correct programs, each written as somebody would


def wrong_in(case, given, precision, **more):
    return [
        (leaf.path, leaf.sentence)
        for leaf in oracle.check(case, given, precision=precision, **more).leaves
        if leaf.cause
    ]


@pytest.mark.parametrize("bias", [3.0, 6.0, 10.0])
def test_a_cross_entropy_of_probabilities_may_lose_what_one_minus_p_loses(bias):
    """jax.grad of the textbook formula multiplies (1 - t) / (1 - p) by p^2 exp(-z), which loses other digits."""
    inputs, targets = np.ones((2, 1), np.float32), np.array([[1.0], [0.0]], np.float32)
    case = oracle.Case(
        fm.Network((1, 1), "sigmoid"), fm.Loss("binary_cross_entropy"), [([[0.25]], [bias])], inputs, targets
    )

    def loss(params):
        p = 1 / (1 + jnp.exp(-(inputs @ params[0] + params[1][None])))
        return -jnp.sum(targets * jnp.log(p) + (1 - targets) * jnp.log(1 - p))

    grads = jax.grad(loss)((jnp.array([[0.25]], jnp.float32), jnp.array([bias], jnp.float32)))
    assert wrong_in(case, [grads], "float32") == []


@pytest.mark.parametrize("scale", [1e-4, 1e-3, 1.0])
def test_tanh_may_be_made_of_exponentials_and_sigmoid_of_tanh(scale):
    scale = np.float32(scale)
    inputs = np.array([[1.0, -2.0], [0.5, 1.5], [2.0, 1.0]], np.float32) * scale
    weights = np.array([[0.75, 0.5, -1.0], [0.25, -0.5, 0.5]], np.float32)
    last = np.array([[1.0], [2.0], [-0.5]], np.float32)
    ct = np.ones((3, 1), np.float32)
    z = inputs @ weights
    up, down = np.exp(z), np.exp(-z)
    half = np.float32(0.5)
    for name, a, slope in (
        ("tanh", (up - down) / (up + down), lambda a: 1 - a * a),
        ("sigmoid", half * (1 + np.tanh(half * (z - 8))), lambda a: a * (1 - a)),
    ):
        shift = np.zeros(3, np.float32) if name == "tanh" else np.full(3, -8, np.float32)
        params = [(weights, shift), (last, np.zeros(1))]
        case = oracle.Case(fm.Network((2, 3, 1), (name, "identity")), None, params, inputs, ct_outputs=ct)
        delta = (ct @ last.T) * slope(a)
        grads = [(inputs.T @ delta, delta.sum(axis=0)), (a.T @ ct, ct.sum(axis=0))]
        assert wrong_in(case, grads, "float32") == []


def test_the_sum_of_the_sample_weights_rounds_too():
    n = 20000
    weights = np.full(n, 0.1, np.float32)
    inputs, targets = np.ones((n, 1), np.float32), np.zeros((n, 1), np.float32)
    case = oracle.Case(
        *(fm.Network((1, 1), "identity"), fm.Loss("squared_error", "mean"), [([[1.0]], [0.5])], inputs, targets),
        sample_weights=weights,
    )
    delta = 2 * (inputs + np.float32(0.5)) * (weights / np.cumsum(weights)[-1])[:, None]
    total = np.cumsum(delta)[-1:]
    assert wrong_in(case, [(total[:, None], total)], "float32", deltas=[delta]) == []


def test_large_numbers_that_cancel_in_float64():
    """Time stamps in milliseconds, centred by the bias: z keeps four digits."""
    rng = np.random.default_rng(0)
    inputs = 1.7e12 + rng.normal(size=(16, 8))
    weights = rng.normal(size=(8, 3)) / 3
    bias = -(inputs.mean(axis=0) @ weights)
    case = oracle.Case(fm.Network((8, 3), "tanh"), None, [(weights, bias)], inputs, ct_outputs=rng.normal(size=(16, 3)))
    z = bias + sum(inputs[:, k : k + 1] * weights[k] for k in reversed(range(8)))
    delta = case.ct_outputs * (1 - np.tanh(z) ** 2)
    assert wrong_in(case, [(inputs.T @ delta, delta.sum(axis=0))], "float64") == []


@pytest.mark.parametrize(("weight", "scale"), [(100.0, 1.0), (1.0, 100.0)])
def test_a_mean_that_is_divided_at_the_end_may_overflow(weight, scale):
    inputs = np.full((10, 1), 10.0)
    loss = fm.Loss("squared_error", "mean", scale=scale)
    case = oracle.Case(
        *(fm.Network((1, 1), "identity"), loss, [([[0.5]], [0.0])], inputs, np.zeros((10, 1))),
        sample_weights=np.full(10, weight),
    )
    given = [(np.full((1, 1), np.inf), oracle.solve(case).grads[0].bias)]
    assert oracle.check(case, given, precision="float16").verdict is Verdict.UNDECIDED


def test_an_activation_of_ones_own_may_have_a_kink_and_be_steep():
    sign = fm.Activation("abs", jnp.abs, lambda z, a, ct: ct * jnp.sign(z))
    case = oracle.Case(fm.Network((1, 1), [sign]), None, [([[1.0]], [0.0])], [[0.0], [1.0]], ct_outputs=[[1.0], [1.0]])
    with pytest.raises(oracle.DisagreementError, match="activation of your own"):
        oracle.solve(case)
    steep = fm.Activation("steep", lambda z: 100 * jnp.tanh(z), lambda z, a, ct: 100 * ct / jnp.cosh(z) ** 2)
    inputs, ct = np.array([[1.0], [0.5]], np.float32), np.ones((2, 1), np.float32)
    case = oracle.Case(fm.Network((1, 1), [steep]), None, [([[1.0]], [6.0])], inputs, ct_outputs=ct)
    t = np.tanh(inputs + np.float32(6))
    delta = np.float32(100) * (1 - t * t)
    report = oracle.check(case, [(inputs.T @ delta, delta.sum(axis=0))], precision="float32")
    assert report.verdict is not Verdict.WRONG
    assert not any(leaf.proved for leaf in report.leaves)


def test_every_array_is_judged_by_the_dtype_that_it_came_in():
    case = oracle.draw_case(fm.Network((5, 6, 3), ("relu", "identity")), fm.Loss("squared_error"), samples=9)
    solution = oracle.solve(case)
    grads = [list(layer) for layer in solution.grads]
    more = {"loss": np.float32(solution.loss), "outputs": solution.outputs.astype(np.float16)}
    report = oracle.check(case, grads, **more)
    assert report.precision == "float64"
    assert report.verdict is not Verdict.WRONG
    mixed = [[float(b[0]), *map(np.float32, b[1:])] for _, b in grads]
    report = oracle.check(case, [(w, b) for (w, _), b in zip(grads, mixed, strict=True)])
    assert (report.precision, report.verdict) == ("float32", Verdict.CONSISTENT)


def test_a_rate_that_is_subnormal_rounds_by_more():
    case = oracle.Case(fm.Network((1, 1), "identity"), None, [([[0.0]], [0.0])], [[1.0]], ct_outputs=[[-8000.0]])
    step = -np.float16(1e-6) * np.float16(-8000)
    assert oracle.check_update(case, [([[step]], [step])], 1e-6, precision="float16").verdict is not Verdict.WRONG
