"""The catalogue of mistakes: complete, plantable wherever it says so, telling, and what each formula says."""

import functools

import jax
import numpy as np
import pytest
from tolerances import RELATIVE, relative_difference

import functional_mlp as fm
from functional_mlp import oracle
from functional_mlp.oracle.case import DTYPES
from functional_mlp.oracle.mistakes import MISTAKES, applies, correct, places, plant, plant_update

REQUIRED = [
    "updated-weights-used",
    "output-derivative-missing",
    "hidden-derivative-missing",
    "derivative-of-wrong-variable",
    "derivative-of-neighbour-layer",
    "derivative-of-other-activation",
    "tanh-derivative-wrong",
    "sigmoid-derivative-doubled",
    "relu-drops-cotangent",
    "relu-mask-missing",
    "relu-mask-on-cotangent",
    "leaky-slope-wrong-side",
    "leaky-slope-missing",
    "elementwise-for-matmul",
    "weights-not-transposed",
    "gradient-used-as-weights",
    "weight-gradient-transposed",
    "layer-index-shifted",
    "sign-flipped",
    "layer-sign-flipped",
    "activated-output-used-as-input",
    "bias-gradient-averaged",
    "weight-gradient-averaged",
    "bias-divided-twice",
    "everything-divided-twice",
    "mean-missing",
    "mean-added",
    "mean-per-layer",
    "bias-summed-to-scalar",
    "bias-from-one-sample",
    "outputs-summed-not-averaged",
    "outputs-averaged-not-summed",
    "nominal-batch-size",
    "broadcast-column-row",
    "squared-error-factor",
    "softmax-jacobian-diagonal",
    "softmax-jacobian-twice",
    "sigmoid-derivative-twice",
    "targets-assumed-normalised",
    "saturated-gradient-clipped",
    "cross-entropy-half",
    "logits-as-probabilities",
    "probabilities-as-logits",
    "loss-mismatch",
    "scale-by-layer",
    "sample-count-off-by-one",
    "activation-missing",
    "activation-swapped",
    "slope-different",
    "softmax-missing",
    "softmax-extra",
    "bias-missing",
    "bias-subtracted",
    "activation-approximated",
    "l2-sign",
    "l2-factor",
    "l2-missing",
    "l2-unexpected",
    "l2-on-bias",
    "l2-not-averaged",
    "l2-on-gradient",
    "ascends",
    "bias-never-updated",
    "momentum-as-weights",
    "learning-rate-twice",
    "bias-never-computed",
    "layer-never-computed",
    "accumulated",
    "overwritten",
    "cotangent-ignored",
    "accumulator-too-narrow",
    "float32-inside-float64",
    "tanh-cancellation",
    "wrong-sample-index",
    "dead-unit-columns",
    "stale-activations",
    "off-by-one-loop",
    "finite-difference",
]


def draw(sizes, activations, kind, samples=5, seed=0, **loss):
    loss = None if kind is None else fm.Loss(kind, **loss)
    return oracle.draw_case(fm.Network(sizes, activations), loss, samples=samples, seed=seed)


def changed(case, **fields):
    names = ("network", "loss", "params", "inputs", "targets", "ct_outputs", "sample_weights")
    return oracle.Case(**({name: getattr(case, name) for name in names} | fields))


def saturated():
    """Pre-activations far beyond where 1 − tanh² cancels, and an output within 1e-7 of 1."""
    case = draw((2, 3, 3, 1), ("tanh", "sigmoid", "sigmoid"), "binary_cross_entropy")
    (first, b1), (second, b2), (last, b3) = case.params
    return changed(case, params=[(20 * first, 20 * b1), (20 * second, 20 * b2), (last, b3 + 18)])


def saturated_sigmoid():
    """A whole layer where 1 − sigmoid cancels."""
    case = draw((2, 2, 2), ("sigmoid", "identity"), "squared_error")
    (first, _), last = case.params
    return changed(case, params=[(first, np.array([20.0, 21.0])), last])


def with_kink_and_dead_unit():
    case = draw((2, 3, 2), ("relu", "identity"), "squared_error", samples=6, seed=1)
    first, last = case.params
    weights, bias = first.weights.copy(), first.bias.copy()
    weights[:, 0] = 0
    bias[0] = 0  # z = 0 in every sample: at the kink, and inactive
    return changed(case, params=[(weights, bias), last])


CASES = {
    "softmax": lambda: draw((3, 4, 4, 2), ("tanh", "sigmoid", "softmax"), "categorical_cross_entropy", l2=0.1),
    "mean": lambda: draw(
        *((4, 4, 4, 1), ("relu", "leaky_relu", "sigmoid"), "binary_cross_entropy"),
        samples=4,
        over_samples="mean",
        l2=0.1,
        l2_on_bias=True,
    ),
    "logits": lambda: draw(
        (3, 3, 3), ("elu", "identity"), "softmax_cross_entropy", seed=2, over_outputs="mean", scale=0.5
    ),
    "soft targets": lambda: changed(
        draw((2, 2), "softmax", "categorical_cross_entropy"), targets=np.linspace(0, 1, 10).reshape(5, 2)
    ),
    "weighted": lambda: changed(
        draw((2, 3, 3), ("softplus", "identity"), "sigmoid_cross_entropy"), sample_weights=np.array([1, 2, 3, 0.5, 1])
    ),
    "squared": lambda: draw((2, 3, 3), ("silu", "gelu"), "squared_error"),
    "probabilities": lambda: draw((2, 3, 3), ("softmax", "softmax"), "binary_cross_entropy", samples=3),
    "bare": lambda: draw((3, 3, 2), ("tanh", "identity"), None),
    "saturated": saturated,
    "saturated sigmoid": saturated_sigmoid,
    "kink": with_kink_and_dead_unit,
}
# in which nothing changes because of the numbers of the case, not of its shape: 0 is put where there is 0 already, or
# saturated units are the same in every sample
NO_EFFECT = {
    ("mean", "off-by-one-loop"),
    ("kink", "off-by-one-loop"),
    ("saturated", "off-by-one-loop"),
    ("saturated", "wrong-sample-index"),
    ("saturated", "stale-activations"),
}
# the gradient is finite, and the loss the logarithm of a negative number
LOSS_NOT_A_NUMBER = {"activation-missing", "softmax-missing"}


@functools.cache
def case_of(name):
    return CASES[name]()


@functools.cache
def truth_of(name, dtype="float64"):
    return correct(case_of(name), dtype)


def leaves(planted):
    return [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(tuple(planted)[1:])]


def differs(planted, right, at_least=1e-12):
    pairs = zip(leaves(planted), leaves(right), strict=True)
    return any(np.abs(a - b).max() > at_least * np.abs(b).max() for a, b in pairs)


def test_every_required_mistake_is_there_and_says_all_it_should():
    assert len(REQUIRED) == len(set(REQUIRED))
    assert set(REQUIRED) <= set(MISTAKES)
    for name, mistake in MISTAKES.items():
        assert mistake.id == name
        assert mistake.sentence.endswith(".")
        assert mistake.formula
        assert mistake.fix
        assert mistake.scope in {"layer", "network", "update"}
        assert mistake.tag in {"exact", "fitted", "second-case"}
        assert (mistake.second is not None) == (mistake.tag == "second-case")
        assert mistake.tag != "fitted" or mistake.parameter is not None
        assert len(set(mistake.variants)) == len(mistake.variants)


def test_sentences_tell_mistakes_apart():
    assert len({mistake.sentence for mistake in MISTAKES.values()}) == len(MISTAKES)


@pytest.mark.parametrize("name", CASES)
def test_without_a_mistake_it_is_the_solution(name):
    solution, planted = oracle.solve(case_of(name)), truth_of(name)
    assert planted.loss == (None if solution.loss is None else pytest.approx(solution.loss, rel=1e-14))
    for field in ("outputs", "deltas", "grads", "ct_inputs"):
        assert relative_difference(getattr(planted, field), getattr(solution, field)) <= RELATIVE["float64"], field


@pytest.mark.parametrize("dtype", DTYPES)
def test_it_runs_in_every_dtype(dtype):
    case = draw((3, 4, 2), ("gelu", "softmax"), "categorical_cross_entropy", l2=0.1)
    planted = correct(case, dtype)
    assert {leaf.dtype for leaf in jax.tree.leaves(tuple(planted)[1:])} == {DTYPES[dtype]}
    difference = relative_difference(planted.grads, oracle.solve(case).grads)
    assert difference <= RELATIVE[dtype]
    assert (difference > 0) == (dtype != "float64") or difference < 1e-15


@pytest.mark.parametrize("name", CASES)
def test_each_mistake_at_each_place_gives_other_finite_numbers(name):
    case, right = case_of(name), truth_of(name)
    for mistake_id, mistake in MISTAKES.items():
        for layer, variant in places(case, mistake_id):
            what = (mistake_id, layer, variant)
            if mistake.scope == "update":
                wrong, correctly = plant_update(case, mistake_id, 0.1, variant=variant), plant_update(case, None, 0.1)
                assert relative_difference(wrong, correctly) > (1e-11 if mistake.tag == "second-case" else 1e-3), what
                continue
            planted = plant(case, mistake_id, layer, variant=variant)
            assert all(np.isfinite(leaf).all() for leaf in leaves(planted)), what
            assert planted.loss is None or np.isfinite(planted.loss) or mistake_id in LOSS_NOT_A_NUMBER, what
            assert differs(planted, right) or (name, mistake_id) in NO_EFFECT, what
            if mistake.change.place not in ("forward", "output_cotangent"):
                assert planted.loss == right.loss, what
                np.testing.assert_array_equal(planted.outputs, right.outputs)


def test_the_cases_above_meet_every_mistake_in_every_variant():
    met = {
        (mistake_id, variant)
        for name in CASES
        for mistake_id in MISTAKES
        for _, variant in places(case_of(name), mistake_id)
    }
    extra = draw((2, 3, 1), ("gelu", "identity"), "squared_error", over_samples="mean", l2=0.1)
    met |= {(mistake_id, variant) for mistake_id in MISTAKES for _, variant in places(extra, mistake_id)}
    # its mask differs only where there is something else than the samples of a batch alike
    everything = {(mistake_id, v) for mistake_id, m in MISTAKES.items() for v in m.variants or (None,)}
    assert everything - met == set()


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_mistakes_are_made_in_the_dtype_that_is_asked_for(dtype):
    case = case_of("softmax")
    for mistake_id, mistake in MISTAKES.items():
        for layer, variant in places(case, mistake_id)[:1]:
            if mistake.scope == "update":
                arrays = plant_update(case, mistake_id, 0.1, layer, variant=variant, dtype=dtype)
            else:
                arrays = tuple(plant(case, mistake_id, layer, variant=variant, dtype=dtype))[1:]
            assert {leaf.dtype for leaf in jax.tree.leaves(arrays)} == {DTYPES[dtype]}, mistake_id


@pytest.mark.parametrize("name", ["softmax", "mean", "bare"])
def test_a_mistake_on_the_way_back_leaves_the_layers_above_right(name):
    case, right = case_of(name), truth_of(name)
    back = ("through_activation", "weights_cotangent", "bias_cotangent", "previous_cotangent")
    for mistake_id, mistake in MISTAKES.items():
        if mistake.scope != "layer" or mistake.change.place not in back:
            continue
        for layer, variant in places(case, mistake_id, inputs=True):
            planted = plant(case, mistake_id, layer, variant=variant)
            for above in range(layer + 1, len(case.params)):
                assert relative_difference(planted.deltas[above], right.deltas[above]) <= RELATIVE["float64"]
                assert relative_difference(planted.grads[above], right.grads[above]) <= RELATIVE["float64"]


def test_without_a_layer_it_is_made_in_every_layer_where_it_applies():
    case, right = case_of("bare"), truth_of("bare")
    planted = plant(case, "bias-gradient-averaged")
    for wrong, true in zip(planted.grads, right.grads, strict=True):
        np.testing.assert_allclose(wrong.bias, true.bias / 5, rtol=1e-14)
        np.testing.assert_array_equal(wrong.weights, true.weights)


def test_layers_without_bias():
    case = case_of("softmax")
    case = changed(case, params=[layer.weights for layer in case.params])
    assert correct(case).grads[0].bias is None
    for mistake_id, mistake in MISTAKES.items():
        for layer, variant in places(case, mistake_id):
            if mistake.scope == "update":
                assert plant_update(case, mistake_id, 0.1)[0].bias is None
            else:
                assert plant(case, mistake_id, layer, variant=variant).grads[0].bias is None
    assert places(case, "bias-from-one-sample") == ()


# what the formulas say, in NumPy


def test_the_gradient_of_the_bias_averaged():
    case, right = case_of("softmax"), truth_of("softmax")
    wrong = plant(case, "bias-gradient-averaged", 1)
    np.testing.assert_allclose(wrong.grads[1].bias, right.deltas[1].mean(axis=0), rtol=1e-13)
    np.testing.assert_array_equal(wrong.grads[1].weights, right.grads[1].weights)
    np.testing.assert_array_equal(wrong.grads[0].bias, right.grads[0].bias)


def test_the_sign_flipped():
    case, right = case_of("bare"), truth_of("bare")
    wrong = plant(case, "sign-flipped")
    for a, b in zip(leaves(wrong)[1:], leaves(right)[1:], strict=True):
        np.testing.assert_array_equal(a, -b)
    with pytest.raises(ValueError, match="needs an L2 penalty"):
        plant(case, "sign-flipped", variant="at-the-end")
    penalised, true = plant(case_of("softmax"), "sign-flipped", variant="at-the-end"), truth_of("softmax")
    np.testing.assert_array_equal(penalised.grads[0].weights, -true.grads[0].weights)
    first = plant(case_of("softmax"), "sign-flipped")
    decay = 0.1 * case_of("softmax").params[0].weights
    np.testing.assert_allclose(first.grads[0].weights, 2 * decay - true.grads[0].weights, rtol=1e-12, atol=1e-15)


def test_the_gradient_of_the_weights_transposed():
    case, right = case_of("softmax"), truth_of("softmax")
    square, other = right.grads[1].weights, right.grads[0].weights
    np.testing.assert_array_equal(plant(case, "weight-gradient-transposed", 1).grads[1].weights, square.T)
    np.testing.assert_array_equal(
        plant(case, "weight-gradient-transposed", 0).grads[0].weights, other.ravel(order="F").reshape(other.shape)
    )


def test_the_diagonal_of_the_softmax_jacobian_is_half_with_two_classes_and_not_proportional_with_three():
    def ratio(classes):
        case = draw((3, 4, classes), ("tanh", "softmax"), "squared_error", seed=3)
        one_hot = np.eye(classes)[np.arange(5) % classes]
        case = changed(case, targets=one_hot)
        return plant(case, "softmax-jacobian-diagonal", 1).grads[0].weights / correct(case).grads[0].weights

    np.testing.assert_allclose(ratio(2), 0.5, rtol=1e-12)
    assert np.ptp(ratio(3)) > 0.1


@pytest.mark.parametrize("value", [2.0, 3.0])
def test_a_factor_that_grows_backwards(value):
    case = draw((3, 4, 4, 2), "tanh", "squared_error")
    wrong, right = plant(case, "scale-by-layer", value=value), correct(case)
    for steps, (a, b) in enumerate(zip(reversed(wrong.grads), reversed(right.grads), strict=True)):
        np.testing.assert_allclose(a.weights, value**steps * b.weights, rtol=1e-12)
        np.testing.assert_allclose(a.bias, value**steps * b.bias, rtol=1e-12)
    np.testing.assert_array_equal(plant(case, "scale-by-layer").deltas[1], 2 * right.deltas[1])


def test_weights_updated_too_early_show_in_an_update_and_depend_on_the_learning_rate():
    case, right = case_of("squared"), truth_of("squared")
    activations = oracle.solve(case).activations
    (w1, b1), (w2, _) = case.params
    silu = case.network.activations[0]
    for rate in (0.1, 0.3):
        after = plant_update(case, "updated-weights-used", rate)
        early = w2 - rate * (activations[0].T @ right.deltas[1])
        with jax.enable_x64(True):
            z = jax.numpy.asarray(case.inputs @ w1 + b1)
            delta = np.asarray(silu.vjp(z, silu.value(z), jax.numpy.asarray(right.deltas[1] @ early.T)))
        np.testing.assert_allclose(after[0].weights, w1 - rate * case.inputs.T @ delta, rtol=1e-12)
        np.testing.assert_allclose(after[1].weights, early, rtol=1e-12)
        np.testing.assert_allclose(after[0].bias, b1 - rate * delta.sum(axis=0), rtol=1e-12)
    with pytest.raises(ValueError, match="plant_update"):
        plant(case, "updated-weights-used")


def test_wrong_steps():
    case, grads = case_of("squared"), truth_of("squared").grads
    steps = {
        None: lambda w, g: w - 0.1 * g,
        "ascends": lambda w, g: w + 0.1 * g,
        "learning-rate-twice": lambda w, g: w - 0.01 * g,
        "momentum-as-weights": lambda w, g: 1.9 * w - 0.1 * g,
    }
    for mistake_id, step in steps.items():
        for before, grad, after in zip(case.params, grads, plant_update(case, mistake_id, 0.1), strict=True):
            np.testing.assert_allclose(after.weights, step(before.weights, grad.weights), rtol=1e-13)
            np.testing.assert_allclose(after.bias, step(before.bias, grad.bias), rtol=1e-13)
    np.testing.assert_array_equal(plant_update(case, "layer-never-computed", 0.1, 0)[0].weights, case.params[0].weights)
    after = plant_update(case, "bias-never-updated", 0.1)
    np.testing.assert_array_equal(after[0].bias, case.params[0].bias)
    np.testing.assert_allclose(after[0].weights, case.params[0].weights - 0.1 * grads[0].weights, rtol=1e-13)


def test_the_penalty():
    case = case_of("softmax")
    data = correct(changed(case, loss=fm.Loss("categorical_cross_entropy"))).grads
    expected = {
        ("l2-sign", None): lambda w, g: g - 0.1 * w,
        ("l2-factor", "doubled"): lambda w, g: g + 0.2 * w,
        ("l2-factor", "halved"): lambda w, g: g + 0.05 * w,
        ("l2-missing", None): lambda w, g: g,
        ("l2-not-averaged", "times-n"): lambda w, g: g + 0.5 * w,
        ("l2-not-averaged", "divided-by-n"): lambda w, g: g + 0.02 * w,
        ("l2-on-gradient", None): lambda w, g: 1.1 * g,
        ("l2-on-bias", None): lambda w, g: g + 0.1 * w,
    }
    for (mistake_id, variant), formula in expected.items():
        planted = plant(case, mistake_id, variant=variant)
        for wrong, layer, grad in zip(planted.grads, case.params, data, strict=True):
            np.testing.assert_allclose(wrong.weights, formula(layer.weights, grad.weights), rtol=1e-12, atol=1e-15)
            bias = grad.bias + 0.1 * layer.bias if mistake_id == "l2-on-bias" else grad.bias
            np.testing.assert_allclose(wrong.bias, bias, rtol=1e-12, atol=1e-15)
    decayed = plant(case_of("bare"), "l2-unexpected", value=0.3).grads[0].weights
    added = 0.3 * case_of("bare").params[0].weights
    np.testing.assert_allclose(decayed, truth_of("bare").grads[0].weights + added, rtol=1e-12)


def test_reductions_are_those_of_other_losses():
    case = case_of("mean")
    kind = {"kind": "binary_cross_entropy", "l2": 0.1, "l2_on_bias": True}
    summed = correct(changed(case, loss=fm.Loss(**kind)))
    missing = plant(case, "mean-missing")
    assert relative_difference(missing.grads, summed.grads) <= 1e-13
    assert missing.loss == truth_of("mean").loss
    added = plant(changed(case, loss=fm.Loss(**kind)), "mean-added")
    assert relative_difference(added.grads, truth_of("mean").grads) <= 1e-13
    nominal = plant(case, "nominal-batch-size", value=16.0).deltas
    assert relative_difference(nominal, [delta / 4 for delta in truth_of("mean").deltas]) <= 1e-13
    twice = plant(case, "everything-divided-twice")
    np.testing.assert_allclose(twice.grads[2].weights, truth_of("mean").grads[2].weights / 4, rtol=1e-14)


def test_every_output_with_every_target():
    case = draw((2, 1), "identity", "squared_error", over_samples="mean")
    outputs, targets = oracle.solve(case).outputs, case.targets
    wrong = plant(case, "broadcast-column-row")
    assert wrong.loss == pytest.approx(np.mean((outputs - targets[:, 0]) ** 2), rel=1e-13)
    ct = 2 * (outputs - targets[:, 0]).sum(axis=1, keepdims=True) / 25
    np.testing.assert_allclose(wrong.grads[0].weights, case.inputs.T @ ct, rtol=1e-12)


def test_losses_and_outputs():
    case = case_of("softmax")
    p, t = oracle.solve(case).outputs, case.targets
    np.testing.assert_allclose(plant(case, "output-derivative-missing", 2).deltas[2], -t / p, rtol=1e-12, atol=1e-300)
    np.testing.assert_allclose(
        plant(case, "softmax-jacobian-twice").deltas[2],
        p * ((p - t) - (p * (p - t)).sum(axis=1, keepdims=True)),
        rtol=1e-11,
    )
    case = case_of("mean")
    p, t = oracle.solve(case).outputs, case.targets
    np.testing.assert_allclose(plant(case, "sigmoid-derivative-twice").deltas[2], (p - t) * p * (1 - p) / 4, rtol=1e-12)
    np.testing.assert_allclose(plant(case, "cross-entropy-half").deltas[2], -t * (1 - p) / 4, rtol=1e-12)
    case = case_of("soft targets")
    p, t = oracle.solve(case).outputs, case.targets
    np.testing.assert_allclose(plant(case, "targets-assumed-normalised").deltas[0], p - t, rtol=1e-12)
    case = case_of("weighted")
    o, t, s = oracle.solve(case).outputs, case.targets, case.sample_weights[:, None]
    logits = plant(case, "logits-as-probabilities", variant="difference")
    np.testing.assert_allclose(logits.deltas[1], s * (o - t), rtol=1e-12)
    ignored = plant(case, "sample-weights-ignored")
    np.testing.assert_allclose(ignored.deltas[1], truth_of("weighted").deltas[1] / s, rtol=1e-12)


def test_another_forward_pass_is_another_function():
    case = case_of("softmax")
    network = fm.Network(case.network.sizes, ("tanh", "relu", "softmax"))
    swapped = plant(case, "activation-swapped", 1, variant="relu")
    other = correct(changed(case, network=network))
    assert differs(swapped, other) is False
    assert swapped.loss == other.loss
    no_bias = plant(case, "bias-missing", 0)
    other = correct(changed(case, params=[(case.params[0].weights, np.zeros(4)), *case.params[1:]]))
    assert relative_difference(no_bias.outputs, other.outputs) <= 1e-14
    assert relative_difference(no_bias.grads, other.grads) <= 1e-13


def test_finite_differences_are_as_good_as_their_step():
    case, right = case_of("squared"), truth_of("squared")
    for variant, power in (("forward", 1), ("central", 2)):
        errors = [
            relative_difference(plant(case, "finite-difference", variant=variant, value=step).grads, right.grads)
            for step in (1e-2, 1e-3)
        ]
        assert 10 ** (power - 0.2) < errors[0] / errors[1] < 10 ** (power + 0.2)


def test_narrow_accumulators_stagnate():
    case = draw((1, 1), "identity", None, samples=3000)
    case = changed(case, inputs=np.ones((3000, 1)), ct_outputs=np.ones((3000, 1)))
    assert plant(case, "accumulator-too-narrow", variant="float16").grads[0].bias == 2048
    assert plant(case, "accumulator-too-narrow", variant="bfloat16").grads[0].weights == 256


def test_the_same_mistake_gives_the_same_bits_and_arrays_of_ones_own():
    case = case_of("bare")
    first = plant(case, "stale-activations", 1)
    first.grads[0].weights[:] = 7
    again, fresh = plant(case, "stale-activations", 1), plant(CASES["bare"](), "stale-activations", 1)
    for a, b in zip(leaves(again), leaves(fresh), strict=True):
        np.testing.assert_array_equal(a, b)


# refusals


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("softmax", "mean-missing"), ["mean-missing", "needs a loss that averages over samples"]),
        (("softmax", "weights-not-transposed", 0), ["at layer 0", "needs a square layer"]),
        (("softmax", "tanh-derivative-wrong", 1), ["at layer 1", "needs a layer with tanh"]),
        (("softmax", "output-derivative-missing", 0), ["needs the output layer"]),
        (("softmax", "cotangent-ignored"), ["needs a bare cotangent"]),
        (("squared", "l2-missing"), ["needs an L2 penalty"]),
        (("bare", "loss-mismatch"), ["needs a loss"]),
        (("mean", "outputs-averaged-not-summed"), ["needs several outputs"]),
        (("softmax", "broadcast-column-row"), ["needs one output"]),
        (("softmax", "sign-flipped", 1), ["concerns the whole pass", "layer None, got 1"]),
        (("softmax", "bias-missing", 3), ["layer from 0 to 2, got 3"]),
        (("softmax", "ascends"), ["use plant_update"]),
        (("softmax", "bias-averaged"), ["unknown mistake 'bias-averaged'", "did you mean 'bias-gradient-averaged'"]),
    ],
)
def test_where_it_does_not_apply(says, arguments, words):
    name, *rest = arguments
    says(ValueError, words, plant, case_of(name), *rest)


def test_variants_and_values_that_a_mistake_does_not_have(says):
    case = case_of("softmax")
    says(ValueError, ["unknown variant"], lambda: plant(case, "tanh-derivative-wrong", 0, variant="cotanh"))
    says(ValueError, ["no variants", "'x'"], lambda: plant(case, "mean-added", variant="x"))
    says(ValueError, ["no free number"], lambda: plant(case, "mean-added", value=2.0))
    says(ValueError, ["finite"], lambda: plant(case, "scale-by-layer", value=float("nan")))
    says(ValueError, ["factor other than 1"], lambda: plant(case, "scale-by-layer", value=1.0))
    says(ValueError, ["unknown dtype"], lambda: plant(case, "mean-added", dtype="float8"))


def test_applies_agrees_with_places():
    case = case_of("mean")
    for mistake_id, mistake in MISTAKES.items():
        listed = set(places(case, mistake_id, inputs=True))
        layers = range(3) if mistake.scope == "layer" else (None,)
        for layer in layers:
            for variant in mistake.variants or (None,):
                assert applies(case, mistake_id, layer, variant=variant) == ((layer, variant) in listed)
