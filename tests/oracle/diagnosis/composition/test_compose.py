"""Several mistakes at once, as plain NumPy makes them: each is named, in its layers, with what its numbers mean."""

import numpy as np
import pytest

import functional_mlp as fm
from functional_mlp import oracle
from functional_mlp.oracle.diagnosis.search import Account
from functional_mlp.oracle.diagnosis.several_cases import _slips_of
from functional_mlp.oracle.mistakes import Slip, applies, plant_together

NETWORK = fm.Network((4, 6, 5, 3), ("tanh", "sigmoid", "identity"))
MEAN = fm.Loss("squared_error", over_samples="mean", l2=0.2)


def draw(network=NETWORK, loss=MEAN, samples=7, seed=0):
    return oracle.draw_case(network, loss, samples=samples, seed=seed)


def forward(case):
    """z and a of every layer of tanh, sigmoid, identity."""
    a, zs = [case.inputs], []
    for (weights, bias), function in zip(
        case.params, (np.tanh, lambda z: 1 / (1 + np.exp(-z)), lambda z: z), strict=True
    ):
        zs.append(a[-1] @ weights + bias)
        a.append(function(zs[-1]))
    return zs, a


def backward(case, sums=None, penalty=0.2, sent=None, slopes=None):
    """The gradients of a mean of squares after tanh, sigmoid, identity; hooks take the place of a formula."""
    _, a = forward(case)
    slopes = slopes or [1 - a[1] ** 2, a[2] * (1 - a[2]), 1.0]
    sums = sums or (lambda layer, inputs, delta: (inputs.T @ delta, delta.sum(axis=0)))
    delta, grads = 2 * (a[3] - case.targets) / len(case.inputs), [None] * 3
    for layer in (2, 1, 0):
        weights = case.params[layer].weights
        dw, db = sums(layer, a[layer], delta)
        grads[layer] = (dw + penalty * weights, db)
        back = sent(layer, delta) if sent else delta @ weights.T
        delta = back * slopes[layer - 1] if layer else delta
    return grads


def named(case, grads, **more):
    report = oracle.check(case, grads, **more)
    assert report.verdict == "wrong"
    return report.diagnosis


def ids(found):
    return {one.id for one in found.mistakes}


def test_without_a_hook_it_is_right():
    case = draw()
    assert oracle.check(case, backward(case)).verdict == "consistent"


def test_a_sum_for_a_mean_beside_a_wrong_derivative_and_a_missing_penalty():
    case = draw()
    _, a = forward(case)
    slopes = [1 - np.tanh(a[1]) ** 2, a[2] * (1 - a[2]), 1.0]  # tanh' of a in the first layer
    found = named(case, [(7 * w, 7 * b) for w, b in backward(case, slopes=slopes, penalty=0.0)])
    assert ids(found) == {"derivative-of-wrong-variable", "mean-missing", "l2-missing"}
    assert [one.layers for one in found.mistakes if one.id == "derivative-of-wrong-variable"] == [(0,)]


def test_biases_alone_are_not_divided_and_one_layer_has_a_factor():
    case = draw()
    grads = [(w, 7 * b) for w, b in backward(case)]
    grads[1] = (4 * grads[1][0], grads[1][1])
    found = named(case, grads)
    assert ids(found) == {"bias-gradient-summed", "array-scaled"}
    factor = next(one for one in found.mistakes if one.id == "array-scaled")
    assert (factor.layers, factor.variant, factor.value) == ((1,), "weights", pytest.approx(4))


def test_samples_that_count_unevenly_beside_weights_that_change_too_early():
    case, rate = draw(loss=fm.Loss("squared_error", over_samples="mean")), 0.1
    weights = np.arange(7.0, 0, -1)[:, None]
    after: dict[int, np.ndarray] = {}

    def sums(layer, inputs, delta):
        dw = inputs.T @ (weights * delta)
        after[layer] = case.params[layer].weights - rate * dw
        return dw, (weights * delta).sum(axis=0)

    grads = backward(case, sums=sums, penalty=0.0, sent=lambda layer, delta: delta @ after[layer].T)
    stepped = [(w - rate * dw, b - rate * db) for (w, b), (dw, db) in zip(case.params, grads, strict=True)]
    found = oracle.check_update(case, stepped, rate).diagnosis
    assert ids(found) == {"samples-weighted-unevenly", "updated-weights-used"}
    uneven = next(one for one in found.mistakes if one.id == "samples-weighted-unevenly")
    assert uneven.value == pytest.approx((7, 6, 5, 4, 3, 2, 1))


def test_what_explains_some_arrays_is_named_and_the_rest_is_listed():
    case = draw()
    grads = [(w, 7 * b) for w, b in backward(case)]
    grads[0] = (grads[0][0] * np.random.default_rng(0).uniform(0.5, 2, grads[0][0].shape), grads[0][1])
    found = named(case, grads)
    assert (ids(found), found.unexplained) == ({"bias-gradient-summed"}, ("params[0].weights",))


def test_a_layer_whose_arrays_say_nothing_does_not_hide_a_mistake_in_it():
    case = draw()
    _, a = forward(case)
    grads = backward(case, slopes=[1 - a[1] ** 2, 1 - a[2] ** 2, 1.0])  # tanh' in place of the sigmoid's
    grads[1] = (0 * grads[1][0] + 0.2 * case.params[1].weights, 0 * grads[1][1])  # the penalty's part alone
    found = named(case, grads)
    assert ids(found) == {"derivative-of-other-activation", "layer-never-computed"}


def test_a_number_that_means_nothing_names_no_mistake_of_a_part():
    case = draw()
    rng = np.random.default_rng(1)
    grads = backward(case)
    grads[2] = (1.2345 * grads[2][0], grads[2][1])
    grads[0] = (grads[0][0] + rng.normal(size=grads[0][0].shape), grads[0][1])
    found = named(case, grads)
    assert ids(found) == set()
    assert {one.kind for one in found.relations} >= {"scaled"}


@pytest.mark.parametrize("seed", range(8))
def test_noise_of_no_kind_is_named(seed):
    case, rng = draw(samples=(1, 2, 5)[seed % 3], seed=seed), np.random.default_rng(seed)
    grads = [list(layer) for layer in backward(case)]
    for _ in range(int(rng.integers(1, 4))):
        layer, name = int(rng.integers(3)), int(rng.integers(2))
        grads[layer][name] = grads[layer][name] * np.exp(rng.normal(size=grads[layer][name].shape))
    assert ids(named(case, [tuple(layer) for layer in grads])) == set()


def test_a_wrong_loss_does_not_hide_the_mistake_of_the_gradients():
    case = draw()
    grads = [(w, 7 * b) for w, b in backward(case)]
    found = named(case, grads, loss=0.5 * oracle.solve(case).loss)
    assert ids(found) == {"bias-gradient-summed"}
    assert found.unexplained == ("loss",)


def test_one_number_for_each_of_several_rates_is_no_constant():
    """The rate applied twice multiplies by another number at every rate; that is what is named."""
    case = draw(loss=fm.Loss("squared_error", over_samples="mean"))
    grads = [(7 * w, 7 * b) for w, b in backward(case, penalty=0.0)]
    rates = (0.5, 0.05)
    stepped = [
        [(p.weights - r * r * w, p.bias - r * r * b) for p, (w, b) in zip(case.params, grads, strict=True)]
        for r in rates
    ]
    found = oracle.check_update(case, stepped, list(rates)).diagnosis
    assert ids(found) == {"learning-rate-twice", "mean-missing"}


def test_a_factor_for_each_array_of_a_deep_network_is_soon_said_to_be_none_that_is_known():
    network = fm.Network((4,) * 8 + (3,), ("tanh",) * 7 + ("identity",))
    case, rng = draw(network, fm.Loss("squared_error", over_samples="mean"), samples=6), np.random.default_rng(0)
    grads = [
        ((1 + 0.37 * rng.random()) * np.asarray(w), (1 + 0.37 * rng.random()) * np.asarray(b))
        for w, b in oracle.solve(case).grads
    ]
    found = named(case, grads)
    assert ids(found) == set()
    assert {one.kind for one in found.relations} == {"scaled"}


def test_gradients_of_other_shapes_leave_the_rest_to_be_looked_at():
    case = draw(fm.Network((3, 4, 1), ("tanh", "identity")), fm.Loss("squared_error"), samples=5)
    rng = np.random.default_rng(0)
    grads = [(np.ones((7, 7)), np.ones(9)), (np.ones((2, 9)), np.ones(7))]
    assert named(case, grads, ct_inputs=rng.normal(size=(5, 3))).mistakes == ()


def test_one_number_alone_has_no_factor():
    case = draw(fm.Network((3, 4, 1), ("tanh", "identity")), fm.Loss("squared_error", over_samples="mean"), samples=5)
    first, (weights, bias) = oracle.solve(case).grads
    assert ids(named(case, [first, (weights, np.asarray(bias) + 0.1234)])) == set()


def test_signs_of_samples_are_no_counts():
    case = draw(fm.Network((9, 1), "identity"), fm.Loss("squared_error", over_samples="mean"), samples=6)
    error = np.abs(np.asarray(oracle.solve(case).outputs) - case.targets) / 3
    assert ids(named(case, [(case.inputs.T @ error, error.sum(axis=0))])) == set()


@pytest.mark.parametrize("slope", [0.05, 0.3])
def test_another_slope_that_people_write_beside_a_sum_for_a_mean(slope):
    case = draw(fm.Network((4, 6, 3), ("leaky_relu", "identity")), fm.Loss("squared_error", over_samples="mean"))
    (w1, b1), (w2, b2) = case.params
    z = case.inputs @ w1 + b1
    h = np.where(z > 0, z, slope * z)
    delta = 2 * (h @ w2 + b2 - case.targets)
    back = delta @ w2.T * np.where(z > 0, 1.0, slope)
    found = named(case, [(case.inputs.T @ back, back.sum(axis=0)), (h.T @ delta, delta.sum(axis=0))])
    assert ids(found) == {"slope-different", "mean-missing"}
    assert next(one.value for one in found.mistakes if one.id == "slope-different") == slope


def test_one_entry_is_any_number_of_times_itself():
    """One sample, one live unit: whatever the cotangent of that unit is, the arrays are multiples of the right ones."""
    network = fm.Network((3, 2, 4), ("relu", "identity"))
    drawn = draw(network, fm.Loss("squared_error"), samples=1)
    params = [(np.abs(drawn.params[0].weights) * [1.0, -1.0], np.array([0.1, -0.1])), drawn.params[1]]
    case = oracle.Case(network, drawn.loss, params, np.abs(drawn.inputs), drawn.targets)
    grads = [tuple(map(np.array, layer)) for layer in oracle.solve(case).grads]
    grads[0] = (0.2736940874 * grads[0][0], 0.2736940874 * grads[0][1])
    assert ids(named(case, grads)) == set()


def test_one_probability_near_0_is_any_number_of_times_itself():
    """The others are nothing beside 1 / p: whatever derivative it meets, all arrays are multiples of the right ones."""
    network = fm.Network((3, 3, 4), ("relu", "softmax"))
    drawn = draw(network, fm.Loss("categorical_cross_entropy", over_samples="mean"), samples=5, seed=2)
    (w1, b1), (w2, b2) = drawn.params
    b1, b2 = b1 + 2, b2 - [0, 0, 0, 40]
    targets = np.eye(4)[[0, 1, 2, 1, 3]]
    case = oracle.Case(network, drawn.loss, [(w1, b1), (w2, b2)], drawn.inputs, targets)
    z = case.inputs @ w1 + b1
    h = np.maximum(z, 0)
    logits = h @ w2 + b2
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    delta = -targets / p / 5 / (1 + logits**2)  # the derivative of no activation
    back = delta @ w2.T * (z > 0)
    found = named(case, [(case.inputs.T @ back, back.sum(axis=0)), (h.T @ delta, delta.sum(axis=0))])
    assert "loss-scaled" not in ids(found)


def test_two_samples_and_two_fitted_numbers_name_nothing():
    case = draw(fm.Network((4, 6, 1), ("relu", "identity")), fm.Loss("squared_error"), samples=2)
    (w1, b1), (w2, b2) = case.params
    z = case.inputs @ w1 + b1
    h = np.maximum(z, 0)
    delta = np.array([[0.7], [-1.3]]) * (h @ w2 + b2 - case.targets)  # of no loss
    back = delta @ w2.T * (z > 0)
    found = named(case, [(case.inputs.T @ back, back.sum(axis=0)), (h.T @ delta, delta.sum(axis=0))])
    assert "penalty-in-delta" not in ids(found)


def test_more_than_four_mistakes_are_never_named_together():
    rng = np.random.default_rng(0)
    case = draw()
    for _ in range(3):
        grads = [(w * rng.choice((1, 2, 7)), b * rng.choice((1, -1, 5))) for w, b in backward(case)]
        if oracle.check(case, grads).verdict == "wrong":
            assert all(len(one) <= 4 for one in named(case, grads).explanations)


def test_a_bias_summed_over_units_is_named_where_one_sample_broadcasts():
    network, loss = fm.Network((3, 4, 4), ("tanh", "identity")), fm.Loss("squared_error")

    def gradients(params, inputs, targets):
        (w1, b1), (w2, b2) = params
        h = np.tanh(inputs @ w1 + b1)
        delta = 2 * (h @ w2 + b2 - targets)
        back = delta @ w2.T * (1 - h * h)
        return [(inputs.T @ back, back.sum(axis=0)), (h.T @ delta, np.broadcast_to(delta.sum(axis=1), (4,)))]

    for samples in (1, 4):
        case = draw(network, loss, samples=samples, seed=samples)
        grads = gradients(case.params, case.inputs, case.targets)
        found = named(case, grads)
        assert "bias-summed-over-wrong-axis" in {one.id for own in found.explanations for one in own}


def test_a_layer_that_says_nothing_beside_weights_that_change_too_early():
    """What was sent back through the new weights shows two layers below alone: none of the steps on the way does."""
    case, rate = draw(samples=5), 0.5

    _, a = forward(case)
    delta = 2 * (a[3] - case.targets) / 5
    new = [None, None, None]
    for layer in (2, 1, 0):
        weights, bias = case.params[layer].weights, case.params[layer].bias
        dw, db = a[layer].T @ delta + 0.2 * weights, delta.sum(axis=0)
        if layer == 1:
            dw, db = 0 * dw, 0 * db  # never computed
        new[layer] = (weights - rate * dw, bias - rate * db)
        if layer:
            slopes = {2: a[2] * (1 - a[2]), 1: 1 - a[1] ** 2}[layer]
            delta = delta @ new[layer][0].T * slopes
    found = oracle.check_update(case, new, rate).diagnosis
    assert ids(found) == {"updated-weights-used", "layer-never-computed"}


@pytest.mark.parametrize("seed", range(3))
def test_other_gradients_are_none_of_a_program_whose_own_are_small(seed):
    """A factor of 1e5 does not make numbers of any size agree: what is allowed does not grow with it."""
    network = fm.Network((3, 3, 1), ("relu", "identity"))
    drawn = oracle.draw_case(network, fm.Loss("squared_error", over_samples="mean"), samples=16, seed=seed)
    case = oracle.Case(
        network,
        drawn.loss,
        *(
            [(np.float32(w), np.float32(b)) for w, b in drawn.params],
            np.float32(drawn.inputs),
            np.float32(drawn.targets),
        ),
        dtype="float32",
    )
    rng = np.random.default_rng([seed, 1])
    grads = [tuple(rng.normal(size=leaf.shape).astype(np.float32) for leaf in layer) for layer in drawn.params]
    assert ids(named(case, grads)) == set()


def cut(grads, decimals):
    """Numbers cut off after some decimals, as a log prints them: other errors than of any program."""
    return [tuple(np.trunc(leaf * 10.0**decimals) / 10.0**decimals for leaf in layer) for layer in grads]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    "rounded",
    [lambda grads: [tuple(map(np.sign, layer)) for layer in grads], *(lambda g, d=d: cut(g, d) for d in (1, 3, 5))],
)
def test_numbers_of_few_digits_name_nothing(dtype, rounded):
    case = oracle.draw_case(NETWORK, MEAN, samples=7, seed=0, dtype=dtype)
    grads = [tuple(leaf.astype(dtype) for leaf in layer) for layer in rounded(backward(case))]
    report = oracle.check(case, grads)
    assert report.diagnosis is None or not report.diagnosis.explanations


def test_any_derivative_of_a_single_output_is_no_number_that_is_known():
    network = fm.Network((3, 4, 1), ("tanh", "sigmoid"))
    case = oracle.draw_case(network, fm.Loss("binary_cross_entropy", l2=0.1), samples=1, seed=0)
    grads = [
        (2.28986 * (w - 0.1 * of.weights) + 0.1 * of.weights, 2.28986 * b)
        for (w, b), of in zip(oracle.solve(case).grads, case.params, strict=True)
    ]
    assert named(case, grads).explanations == ()


def test_a_row_that_is_never_written_is_not_penalised_either():
    case = draw()
    grads = [(w, 7 * b) for w, b in backward(case)]
    grads[1][0][-1] = 0.0
    found = named(case, grads)
    assert ids(found) == {"bias-gradient-summed", "off-by-one-loop"}


def test_samples_that_count_unevenly_are_found_beside_factors_and_a_penalty_that_nobody_declared():
    case = draw(loss=fm.Loss("squared_error", over_samples="mean"))
    counts = np.array([1.0, 2, 1, 1, 1, 1, 1])[:, None]
    grads = backward(case, penalty=0.0, sums=lambda _, a, d: (a.T @ (counts * d), 7 * (counts * d).sum(axis=0)))
    grads = [(w + 0.3 * np.sign(own), b) for (w, b), (own, _) in zip(grads, case.params, strict=True)]
    found = named(case, grads)
    assert ids(found) == {"samples-weighted-unevenly", "bias-gradient-summed", "l1-penalty"}


def test_each_sample_with_a_weight_of_its_own_is_named_where_several_outputs_show_it():
    case = draw()
    counts = np.random.default_rng(3).uniform(0.2, 2, (7, 1))
    grads = backward(case, sums=lambda _, a, d: (a.T @ (counts * d), (counts * d).sum(axis=0)))
    [uneven] = named(case, grads).mistakes
    assert (uneven.id, uneven.value) == ("samples-weighted-unevenly", pytest.approx(tuple(counts[:, 0])))


def test_a_norm_that_people_clip_to_is_told_beside_a_factor_that_means_nothing():
    case = draw(loss=fm.Loss("squared_error", over_samples="mean"))
    grads = backward(case, penalty=0.0)
    norm = np.sqrt(sum(np.sum(leaf**2) for layer in grads for leaf in layer))
    found = named(case, [(w * 0.5 / norm, b * 0.5 / norm) for w, b in grads])
    assert ids(found) == {"gradient-clipped"}
    assert [one.id for one in found.ties] == ["loss-scaled"]
    assert found.mistakes[0].value == pytest.approx(0.5)
    other = named(case, [(w * 0.51234 / norm, b * 0.51234 / norm) for w, b in grads])
    assert ids(other) == {"loss-scaled"}


def test_parameters_that_are_added_beside_a_penalty_of_another_size():
    case, rate = draw(), 0.1
    grads = backward(case, penalty=0.2 / 7)
    stepped = [
        (w - rate * dw + 0.9 * w, b - rate * db + 0.9 * b) for (w, b), (dw, db) in zip(case.params, grads, strict=True)
    ]
    found = oracle.check_update(case, stepped, rate).diagnosis
    assert ids(found) == {"momentum-as-weights", "l2-not-averaged"}


def test_a_number_in_the_cotangent_is_read_off_the_bias_where_the_weights_are_made_wrongly():
    case = draw()
    penalty = 0.1 * sum(np.sum(layer.weights**2) for layer in case.params)
    _, a = forward(case)
    delta = 2 * (a[3] - case.targets) / 7 + penalty
    grads = backward(case)
    z, _ = forward(case)
    grads[2] = (z[1].T @ delta + 0.2 * case.params[2].weights, delta.sum(axis=0))
    back = delta @ case.params[2].weights.T * a[2] * (1 - a[2])
    grads[1] = (a[1].T @ back + 0.2 * case.params[1].weights, back.sum(axis=0))
    back = back @ case.params[1].weights.T * (1 - a[1] ** 2)
    grads[0] = (a[0].T @ back + 0.2 * case.params[0].weights, back.sum(axis=0))
    assert ids(named(case, grads)) == {"penalty-in-delta", "pre-activation-used-as-input"}


def test_what_passes_through_one_unit_shows_one_number():
    """All below a unit through which everything passes is a multiple of the right arrays, whatever was done above."""
    network = fm.Network((5, 5, 1, 4), ("tanh", "tanh", "identity"))
    case = draw(network, fm.Loss("squared_error"), samples=1)
    below, middle, top = [(np.array(w), np.array(b)) for w, b in oracle.solve(case).grads]
    noise = np.random.default_rng(0).normal(size=(2, 4))
    spoilt = [(1.7 * w, 1.7 * b) for w, b in (below, middle)] + [(top[0] + noise[:1], top[1] + noise[1])]
    assert ids(named(case, spoilt)) == set()


def test_a_whole_number_that_any_would_do_for_is_no_batch_size():
    case = oracle.draw_case(NETWORK, fm.Loss("squared_error"), samples=7, dtype="float32")
    grads = [(w * 0.00123, b * 0.00123) for w, b in oracle.solve(case).grads]
    found = named(case, [tuple(leaf.astype(np.float32) for leaf in layer) for layer in grads])
    assert "nominal-batch-size" not in ids(found) | {one.id for one in found.ties}


@pytest.mark.parametrize(
    ("mistake", "layer", "variant"),
    [
        ("output-derivative-missing", 2, None),
        ("output-derivative-missing-in-weights", 2, "both"),
        *(("raw-error-sent-back", layer, None) for layer in (1, 2)),
        *(("hidden-derivative-missing", layer, None) for layer in (0, 1)),
    ],
)
def test_what_stands_beside_the_likeliest_gives_the_same_numbers(mistake, layer, variant):
    """Every explanation that is told, made in a program, gives the numbers: none that would need another mistake."""
    case = draw(fm.Network((4, 6, 5, 3), "sigmoid"), fm.Loss("squared_error", over_samples="mean"))
    assert applies(case, mistake, layer, variant=variant)
    made = plant_together(case, [Slip("mean-missing"), Slip(mistake, layer, variant)]).grads
    for explanation in named(case, [tuple(array) for array in made]).explanations:
        again = plant_together(case, _slips_of(Account(explanation, {}))).grads
        for given, own in zip(made, again, strict=True):
            np.testing.assert_allclose(own.weights, given.weights, rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(own.bias, given.bias, rtol=1e-9, atol=1e-12)
