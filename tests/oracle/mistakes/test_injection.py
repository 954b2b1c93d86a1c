"""The catalogue of mistakes: complete, and plantable wherever it says so."""

import jax
import numpy as np
import pytest

from functional_mlp import oracle
from functional_mlp._dtypes import DTYPES
from functional_mlp.oracle.mistakes.catalogue.registry import MISTAKES
from functional_mlp.oracle.mistakes.injection import applies, places, plant, plant_together, plant_update
from functional_mlp.oracle.mistakes.program import prepare
from functional_mlp.update_rules import Adam, Momentum, RMSprop
from tests.helpers.mistaken import (
    CASES,
    LOSS_NOT_A_NUMBER,
    NO_EFFECT,
    case_of,
    changed,
    differs,
    draw,
    leaves,
    truth_of,
)
from tests.helpers.tolerances import RELATIVE, relative_difference

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
    "epsilon-in-log",
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
    "l1-penalty",
    "l1-missing",
    "loss-option-missing",
    "l2-on-bias",
    "l2-not-averaged",
    "l2-on-gradient",
    "ascends",
    "bias-never-updated",
    "momentum-as-weights",
    "learning-rate-twice",
    "momentum-missing",
    "momentum-sign",
    "bias-correction-missing",
    "bias-correction-step-off-by-one",
    "epsilon-inside-root",
    "decay-coupled",
    "second-moment-not-squared",
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
    "bias-gradient-summed",
    "weight-gradient-summed",
    "bias-summed-over-wrong-axis",
    "samples-weighted-unevenly",
    "array-scaled",
    "scalar-broadcast",
    "bias-from-weight-gradient",
    "layers-in-reverse",
    "gradient-clipped",
    "gradient-normalised",
    "l2-coefficient-different",
    "l2-on-summed-gradient",
    "penalty-in-delta",
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
]


def test_every_required_mistake_is_there_and_says_all_it_should():
    assert len(REQUIRED) == len(set(REQUIRED))
    assert set(REQUIRED) <= set(MISTAKES)
    for name, mistake in MISTAKES.items():
        assert mistake.id == name
        assert mistake.sentence.endswith(".")
        assert mistake.formula
        assert mistake.fix
        assert mistake.scope in {"layer", "network", "update", "rule"}
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
    planted = plant_together(case, (), dtype)
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
            if mistake.shows_in_updates:
                wrong, correctly = plant_update(case, mistake_id, 0.1, variant=variant), plant_update(case, None, 0.1)
                assert relative_difference(wrong, correctly) > (1e-11 if mistake.tag == "second-case" else 1e-3), what
                continue
            planted = plant(case, mistake_id, layer, variant=variant)
            assert all(np.isfinite(leaf).all() for leaf in leaves(planted)), what
            assert planted.loss is None or np.isfinite(planted.loss) or mistake_id in LOSS_NOT_A_NUMBER, what
            assert differs(planted, right) or (name, mistake_id) in NO_EFFECT, what
            if mistake.change.place_of(variant) not in ("forward", "output_cotangent"):
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
    met |= {(mistake_id, v) for mistake_id, m in MISTAKES.items() if m.scope == "rule" for v in m.variants or (None,)}
    everything = {(mistake_id, v) for mistake_id, m in MISTAKES.items() for v in m.variants or (None,)}
    assert everything - met == set()


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_mistakes_are_made_in_the_dtype_that_is_asked_for(dtype):
    case = case_of("softmax")
    for mistake_id, mistake in MISTAKES.items():
        for layer, variant in places(case, mistake_id)[:1]:
            if mistake.shows_in_updates:
                arrays = plant_update(case, mistake_id, 0.1, layer, variant=variant, dtype=dtype)
            else:
                arrays = tuple(plant(case, mistake_id, layer, variant=variant, dtype=dtype))[1:]
            assert {leaf.dtype for leaf in jax.tree.leaves(arrays)} == {DTYPES[dtype]}, mistake_id


@pytest.mark.parametrize("name", ["softmax", "mean", "bare"])
def test_a_mistake_on_the_way_back_leaves_the_layers_above_right(name):
    case, right = case_of(name), truth_of(name)
    back = ("through_activation", "weights_cotangent", "bias_cotangent", "previous_cotangent")
    for mistake_id, mistake in MISTAKES.items():
        if mistake.scope != "layer":
            continue
        for layer, variant in places(case, mistake_id, inputs=True):
            if mistake.change.place_of(variant) not in back:
                continue
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
    assert plant_together(case, ()).grads[0].bias is None
    for mistake_id, mistake in MISTAKES.items():
        for layer, variant in places(case, mistake_id):
            if mistake.shows_in_updates:
                assert plant_update(case, mistake_id, 0.1)[0].bias is None
            else:
                assert plant(case, mistake_id, layer, variant=variant).grads[0].bias is None
    assert places(case, "bias-from-one-sample") == ()


OF_OPTIONS = {
    "epsilon": ("sigmoid", "binary_cross_entropy", 1e-6),
    "epsilon after softmax": ("softmax", "categorical_cross_entropy", 1e-6),
    "pos_weight": ("identity", "sigmoid_cross_entropy", 3.0),
    "label_smoothing": ("identity", "softmax_cross_entropy", 0.1),
    "class_weights": ("softmax", "categorical_cross_entropy", (0.5, 2.0, 1.0)),
    "delta": ("identity", "huber", 0.3),
    "gamma": ("identity", "softmax_focal", 3.0),
    "alpha": ("identity", "sigmoid_focal", 0.25),
}


@pytest.mark.parametrize("name", OF_OPTIONS)
def test_each_mistake_is_made_beside_the_options_of_a_loss(name):
    activation, kind, value = OF_OPTIONS[name]
    case = draw((3, 4, 3), ("tanh", activation), kind, **{name.partition(" ")[0]: value})
    for mistake_id, mistake in MISTAKES.items():
        if not mistake.shows_in_updates:
            for layer, variant in places(case, mistake_id):
                plant(case, mistake_id, layer, variant=variant)


RULES = (
    *(Momentum(0.1), Momentum(0.1, nesterov=True), Adam(0.1), Adam(0.1, epsilon_uncorrected=True)),
    *(Adam(0.1, weight_decay=0.1, decoupled=True), RMSprop(0.1), RMSprop(0.1, centred=True)),
)


@pytest.mark.parametrize("rule", RULES)
def test_each_mistake_of_a_rule_is_made_in_each_rule(rule):
    case = case_of("squared")
    for mistake_id, mistake in MISTAKES.items():
        if mistake.scope == "rule":
            for layer, variant in places(prepare(case, rule=rule), mistake_id):
                plant_update(case, mistake_id, layer=layer, variant=variant, rule=rule, epochs=2)


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
