"""The diagnosis: names what was planted, alone and in pairs, and nothing that is not there."""

import dataclasses
import json

import numpy as np
import pytest

import functional_mlp as fm
from benchmarks.accuracy.small_cases import small_case
from functional_mlp import oracle
from functional_mlp.experiments.published import moons
from functional_mlp.oracle.diagnosis.candidates import every_group
from functional_mlp.oracle.diagnosis.diagnosis import CONVENTION, MISTAKE, first_wrong
from functional_mlp.oracle.documents import validator
from functional_mlp.oracle.mistakes import MISTAKES, Slip, plant, plant_together, plant_update, prepare
from functional_mlp.oracle.noise import estimate_noise, precision_named
from tests.helpers.mistaken import case_of
from tests.helpers.questions import answer, question

CASE = oracle.draw_case(fm.Network((3, 5, 2), ("tanh", "identity")), fm.Loss("squared_error"), samples=9)


def ids(named):
    return [one.id for one in named]


def diagnosed(case, planted, precision=None):
    report = oracle.check(case, list(planted.grads), precision=precision)
    assert report.verdict is oracle.Verdict.WRONG
    assert report.diagnosis is not None
    return report.diagnosis


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    ("name", "slip", "kind", "first"),
    [
        ("softmax", Slip("bias-gradient-averaged", 1), MISTAKE, "ct_b of layer 1"),
        ("softmax", Slip("hidden-derivative-missing", 0), MISTAKE, "ct_z of layer 0"),
        ("softmax", Slip("weight-gradient-transposed", 1), CONVENTION, "ct_W of layer 1"),
        ("mean", Slip("mean-missing"), CONVENTION, "ct_z of layer 2"),
        ("mean", Slip("l2-sign"), MISTAKE, "ct_z of layer 2"),  # the penalty is on the biases too
        ("logits", Slip("loss-mismatch", None, "squared_error"), CONVENTION, "ct_z of layer 1"),
        ("bare", Slip("derivative-of-wrong-variable", 0, "a-for-z"), MISTAKE, "ct_z of layer 0"),
        (
            "softmax",
            Slip("layer-sign-flipped", 1, "cotangent"),
            MISTAKE,
            "ct_z of layer 1",
        ),  # its variants differ in place
    ],
)
def test_what_was_planted_is_named_where_it_is(name, slip, kind, first, dtype):
    case = case_of(name)
    found = diagnosed(case, plant_together(case, (slip,), dtype), dtype)
    named = {(one.id, one.layer) for one in (*found.mistakes, *found.ties)}
    assert (slip.id, slip.layer) in named
    assert (len(found.mistakes), found.kind, found.first_wrong) == (1, kind, first)
    assert found.mistakes[0].digits >= (12 if dtype == "float64" else 4)
    assert found.mistakes[0].formula == MISTAKES[found.mistakes[0].id].formula


@pytest.mark.parametrize(
    ("name", "mistake", "layer", "value"),
    [("mean", "slope-different", 1, 0.3), ("softmax", "scale-by-layer", None, 3.0)],
)
def test_a_free_number_is_fitted(name, mistake, layer, value):
    case = case_of(name)
    found = diagnosed(case, plant(case, mistake, layer, value=value))
    assert ids(found.mistakes) == [mistake]
    assert found.mistakes[0].value == pytest.approx(value, rel=1e-9)


def test_the_other_layout_is_a_convention_and_does_not_hide_a_mistake():
    case = case_of("softmax")
    for slips in ((), (Slip("bias-gradient-averaged", 1),)):
        turned = [(weights.T, bias) for weights, bias in plant_together(case, slips).grads]
        report = oracle.check(case, turned)
        found = report.diagnosis
        assert ids(found.mistakes) == ["weight-gradient-transposed", *(slip.id for slip in slips)]
        assert found.mistakes[0].layers == tuple(range(len(case.params)))
        assert found.mistakes[0].digits >= 14
        assert found.kind == (MISTAKE if slips else CONVENTION)
        assert f"CONVENTION {'1: ' if slips else ''}weight-gradient-transposed" in report.text()


def test_one_matrix_in_the_other_layout_does_not_hide_a_mistake_either():
    case = case_of("softmax")
    first, *others = plant_together(case, (Slip("bias-gradient-averaged", 2),)).grads
    found = oracle.check(case, [(first.weights.T, first.bias), *others]).diagnosis
    assert ids(found.mistakes) == ["weight-gradient-transposed", "bias-gradient-averaged"]
    assert found.mistakes[0].layers == (0,)


def test_rows_of_unequal_length_are_reported_and_not_searched():
    case = case_of("softmax")
    first, *others = plant_together(case, ()).grads
    ragged = [[1.0, 2.0], *first.weights[1:].tolist()]
    report = oracle.check(case, [(ragged, first.bias), *others])
    assert (report.verdict, report.diagnosis.searched) == (oracle.Verdict.WRONG, False)
    assert "params[0].weights: " in report.text()


def test_a_mistake_that_doubles_everything_may_be_another_scale():
    case = oracle.draw_case(fm.Network((3, 4, 3), ("tanh", "softmax")), fm.Loss("categorical_cross_entropy"))
    found = oracle.check(case, [(2 * weights, 2 * bias) for weights, bias in oracle.solve(case).grads]).diagnosis
    assert (ids(found.mistakes), ids(found.ties), found.kind) == (["accumulated"], ["loss-scaled"], "either")


def test_any_other_scale_of_the_loss_is_a_convention():
    case = case_of("logits")
    scaled = oracle.Case(
        case.network, dataclasses.replace(case.loss, scale=2.75), case.params, case.inputs, case.targets
    )
    found = oracle.check(case, list(oracle.solve(scaled).grads)).diagnosis
    assert (ids(found.mistakes), found.kind) == (["loss-scaled"], CONVENTION)
    assert found.mistakes[0].value == pytest.approx(2.75 / case.loss.scale, rel=1e-12)


def test_mistakes_with_few_choices_are_named_among_exact_ones():
    case = oracle.draw_case(fm.Network((3, 4, 2), ("tanh", "identity")), fm.Loss("squared_error"), samples=2)
    found = diagnosed(case, plant(case, "overwritten", variant="last-sample"))
    assert {*ids(found.mistakes), *ids(found.ties)} == {"sample-count-off-by-one", "overwritten"}


def test_infinities_alone_prove_no_pair_of_mistakes():
    case = oracle.draw_case(fm.Network((3, 4, 2), ("tanh", "identity")), fm.Loss("squared_error"), dtype="float32")
    spoilt = [(np.full_like(weights, np.inf), np.full_like(bias, np.inf)) for weights, bias in oracle.solve(case).grads]
    found = oracle.check(case, spoilt, precision="float32").diagnosis
    assert (found.mistakes, found.first_wrong) == ((), "ct_z of layer 1")


def test_a_number_that_is_fitted_within_noise_is_not_named():
    """Numbers just outside the noise floor, which a factor of 1 + 3e-7 brings back into it, prove no factor."""
    case = oracle.draw_case(fm.Network((3, 2), "tanh"), fm.Loss("squared_error"), samples=9, dtype="float32")
    solution = oracle.solve(case)
    floors = estimate_noise(case, solution, precision_named("float32")).floors
    grads = [
        tuple(
            leaf + 1.2 * floors[f"params[{i}].{name}"].smooth for name, leaf in zip(layer._fields, layer, strict=True)
        )
        for i, layer in enumerate(solution.grads)
    ]
    report = oracle.check(case, grads, precision="float32")
    assert report.verdict is oracle.Verdict.WRONG
    assert report.diagnosis.mistakes == ()


@pytest.mark.parametrize("slips", [(Slip("bias-gradient-averaged", 1),), (Slip("hidden-derivative-missing", 0),)])
def test_the_evidence_is_the_worst_entry_beside_that_of_the_mistake(slips):
    planted = plant_together(CASE, slips)
    report = oracle.check(CASE, list(planted.grads))
    wrong = {leaf.path: leaf for leaf in report.leaves if leaf.verdict is oracle.Verdict.WRONG}
    assert {one.path for one in report.diagnosis.evidence} == set(wrong)
    for one in report.diagnosis.evidence:
        leaf = wrong[one.path]
        assert (one.given, one.true) == (pytest.approx(leaf.got), pytest.approx(leaf.expected))
        assert (one.at, one.mistaken, one.digits) == (leaf.index, pytest.approx(one.given, rel=1e-12), 17)
        name = f"d{'W' if one.path.endswith('weights') else 'b'}{int(one.path[7]) + 1}"
        assert f"  {name}{list(one.at)} " in report.text()


def test_the_evidence_in_another_layout_is_in_that_of_the_case():
    grads = [(w.T, b) for w, b in plant(CASE, "bias-gradient-averaged", 1).grads]
    assert [one.path for one in oracle.check(CASE, grads).diagnosis.evidence] == ["params[1].bias"]
    assert oracle.check(CASE, [(w.T, b) for w, b in oracle.solve(CASE).grads]).diagnosis.evidence == ()


def test_the_evidence_of_a_step_is_the_parameters_and_says_of_which_rate():
    rates = (0.1, 0.01)
    steps = [plant_update(CASE, "bias-gradient-averaged", rate, 1) for rate in rates]
    report = oracle.check_update(CASE, steps, rates)
    found = report.diagnosis
    assert (found.group, [one.path for one in found.evidence]) == ("learning rate 0.1", ["params[1].bias"])
    [leaf] = [leaf for leaf in report.leaves if (leaf.path, leaf.group) == ("params[1].bias", "learning rate 0.1")]
    [one] = found.evidence
    assert (one.at, one.given, one.true) == (leaf.index, pytest.approx(leaf.got), pytest.approx(leaf.expected))
    assert "In 'learning rate 0.1':" in report.text()


def test_what_has_another_shape_beside_right_gradients_is_no_layout():
    solution = oracle.solve(CASE)
    report = oracle.check(CASE, list(solution.grads), outputs=np.asarray(solution.outputs).T)
    assert report.verdict is oracle.Verdict.WRONG
    assert report.diagnosis.mistakes == ()


def test_an_infinity_matches_only_an_infinity():
    case = oracle.draw_case(CASE.network, CASE.loss, samples=9, dtype="float16")
    grads = [[np.array(leaf) for leaf in layer] for layer in oracle.solve(case).grads]
    grads[0][0] = np.full_like(grads[0][0], 3.0)
    grads[0][0][0, 0] = np.inf
    assert oracle.check(case, grads, precision="float16").diagnosis.mistakes == ()


@pytest.mark.parametrize("size", [1e-5, 1e-105, 1e105])
def test_the_columns_of_the_evidence_stay_apart(size):
    case = oracle.draw_case(fm.Network((2, 3), "identity"), fm.Loss("squared_error", scale=size))
    report = oracle.check(case, list(plant(case, "bias-gradient-averaged", 0).grads))
    lines = report.text().splitlines()
    [row] = [line for line in lines if line.startswith("  db1[")]
    assert len(row.split()) == 5
    assert max(map(len, lines)) <= 80


def test_a_mistake_is_found_where_lost_probabilities_hide_its_first_signs():
    """The last layers are undecided, so that the first wrong array is not where the mistake begins."""
    case = small_case(22, "float64")
    found = diagnosed(case, plant(case, "bias-missing", 0))
    assert (ids(found.mistakes), found.first_wrong) == (["bias-missing"], "ct_W of layer 1")


def test_two_mistakes_are_both_named():
    case = case_of("softmax")
    pair = (Slip("bias-gradient-averaged", 2), Slip("hidden-derivative-missing", 0))
    found = diagnosed(case, plant_together(case, pair))
    assert sorted(ids(found.mistakes)) == sorted(slip.id for slip in pair)


def test_what_is_not_in_the_catalogue_is_not_named_but_located():
    case, rng = question(), np.random.default_rng(0)
    given = answer(case)
    given[0][0] = rng.normal(size=given[0][0].shape)
    report = oracle.check(case, given)
    assert report.diagnosis is not None
    assert (report.diagnosis.mistakes, report.diagnosis.ties, report.diagnosis.kind) == ((), (), "")
    assert report.diagnosis.first_wrong == "ct_W of layer 0"
    assert "No known mistake" in report.text()
    assert "dW1 (the weight gradient of the first hidden layer, params[0])." in " ".join(report.text().split())


def test_a_large_case_is_judged_but_not_searched():
    case = oracle.draw_case(fm.Network((300, 300, 1), "tanh"), None, samples=300)
    given = [(2 * weights, bias) for weights, bias in oracle.solve(case).grads]
    report = oracle.check(case, given)
    assert report.diagnosis is not None
    assert (report.diagnosis.searched, report.diagnosis.first_wrong) == (False, "ct_W of layer 1")


def test_no_diagnosis_where_nothing_is_wrong_and_none_where_an_array_is_missing():
    case = question()
    assert oracle.check(case, answer(case)).diagnosis is None
    report = oracle.check(case, answer(case)[:2])
    assert report.diagnosis is not None
    assert (report.diagnosis.mistakes, report.diagnosis.searched) == ((), False)
    assert "are missing" in " ".join(report.text().split())


def test_the_report_says_it_in_words_and_in_json_of_the_schema():
    case = case_of("softmax")
    report = oracle.check(case, list(plant(case, "bias-gradient-averaged", 1).grads))
    text = report.text()
    assert max(map(len, text.splitlines())) <= 80
    assert "MISTAKE bias-gradient-averaged in layer 2" in text
    assert "  fix:   db2 = dZ2.sum(axis=0)\n" in text
    document = json.loads(report.json())
    assert document["diagnosis"]["mistakes"][0]["fix"] == MISTAKES["bias-gradient-averaged"].fix
    validator("report").validate(document)
    assert document["diagnosis"]["mistakes"][0]["id"] == "bias-gradient-averaged"


def test_candidates_are_every_place_and_all_layers_together():
    groups = every_group(prepare(case_of("softmax")))
    assert (Slip("bias-gradient-averaged", 0),) in groups
    assert tuple(Slip("bias-gradient-averaged", layer) for layer in range(3)) in groups
    assert tuple(Slip("bias-gradient-averaged", layer) for layer in range(2)) in groups
    assert not {slip.id for group in groups for slip in group} & {
        mistake.id for mistake in MISTAKES.values() if mistake.shows_in_updates
    }
    assert first_wrong(()) == "ct_inputs"


def test_a_mistake_in_every_layer_is_one_mistake():
    case = oracle.draw_case(fm.Network((3, 4, 2), ("tanh", "identity")), fm.Loss("squared_error"), samples=5)
    found = diagnosed(case, plant(case, "bias-never-computed"))
    assert ids(found.mistakes) == ["bias-never-computed"]
    assert (found.mistakes[0].layer, found.mistakes[0].layers) == (None, (0, 1))


@pytest.mark.parametrize("form", ["erf-tanh", "erf-sigmoid"])
def test_a_gelu_that_goes_back_as_another_form_is_named_below_the_output_layer(form):
    network, loss = fm.Network((3, 4, 5, 2), ("tanh", "gelu", "identity")), fm.Loss("squared_error")
    case = oracle.draw_case(network, loss, samples=6, seed=3)
    found = diagnosed(case, plant(case, "gelu-forms-mixed", 1, variant=form))
    assert ("gelu-forms-mixed", (1,), form) in {(own.id, own.layers, own.variant) for [own] in found.explanations}


@pytest.mark.parametrize("size", [7, 67])
def test_a_fixed_batch_size_may_explain_a_fraction_in_one_case(size):
    case = oracle.draw_case(CASE.network, fm.Loss("squared_error", over_samples="mean"), samples=9, seed=1)
    found = diagnosed(case, plant(case, "nominal-batch-size", value=float(size)))
    values = {own[0].id: own[0].value for own in found.explanations if len(own) == 1}
    assert values == {"nominal-batch-size": size, "loss-scaled": pytest.approx(9 / size)}


def test_what_is_left_out_may_be_larger_than_all_that_the_right_numbers_know():
    """Saturated sigmoids: the right gradients are rounding in float32, and those without the derivative are not."""
    network, loss = fm.Network((3, 4, 2), ("tanh", "sigmoid")), fm.Loss("squared_error", over_samples="mean")
    case = oracle.draw_case(network, loss, samples=12, seed=4)
    params = [
        (np.float32(w), np.float32(b)) for w, b in (case.params[0], (case.params[1].weights * 30, case.params[1].bias))
    ]
    data = np.float32(case.inputs), np.float32(case.targets)
    case = oracle.Case(network, loss, params, *data, dtype="float32")
    found = diagnosed(case, plant(case, "output-derivative-missing", 1))
    assert "output-derivative-missing" in {own.id for one in found.explanations for own in one}


# several cases of one program


def two_layers(mistake):
    """A hand-written program of two layers, tanh and identity, for the mean of squared errors."""

    def gradients(params, inputs, targets):
        (first, first_bias), (second, second_bias) = params
        a = np.tanh(inputs @ first + first_bias)
        ct = 2 * (a @ second + second_bias - targets) / (16 if mistake == "nominal-batch-size" else len(inputs))
        ct *= {"loss-scaled": 3, "squared-error-factor": 2}.get(mistake, 1)
        ct_z = ct @ second.T * (1 if mistake == "hidden-derivative-missing" else 1 - a * a)
        ct_bias = ct.mean(axis=0) if mistake == "bias-divided-twice" else ct.sum(axis=0)
        return [(inputs.T @ ct_z, ct_z.sum(axis=0)), (a.T @ ct, ct_bias)]

    return gradients


@pytest.mark.parametrize(
    ("mistake", "kind", "value"),
    [
        ("nominal-batch-size", MISTAKE, 16),
        ("loss-scaled", CONVENTION, 3),
        ("squared-error-factor", CONVENTION, None),  # the harness knows that nothing is accumulated
        ("hidden-derivative-missing", MISTAKE, None),
        ("bias-divided-twice", MISTAKE, None),
    ],
)
def test_several_cases_leave_one_name(mistake, kind, value):
    network, loss = fm.Network((4, 5, 3), ("tanh", "identity")), fm.Loss("squared_error", over_samples="mean")
    found = oracle.check_function(two_layers(mistake), network, loss).diagnosis
    assert (ids(found.mistakes), found.ties, found.kind) == ([mistake], (), kind)
    assert found.mistakes[0].value == (None if value is None else pytest.approx(value, rel=1e-9))


def test_a_function_that_doubles_everything_scales_its_loss():
    """The harness knows that nothing is accumulated; of two classes, one case alone might show another loss."""

    def doubled(params, inputs, targets):
        [(weights, bias)] = params
        z = inputs @ weights + bias
        a = np.exp(z - z.max(axis=1, keepdims=True))
        ct_z = 2 * (targets.sum(axis=1, keepdims=True) * a / a.sum(axis=1, keepdims=True) - targets)
        return [(inputs.T @ ct_z, ct_z.sum(axis=0))]

    network, loss = fm.Network((3, 2), "softmax"), fm.Loss("categorical_cross_entropy")
    found = oracle.check_function(doubled, network, loss, targets="any").diagnosis
    assert (ids(found.mistakes), found.ties, found.mistakes[0].value) == (["loss-scaled"], (), pytest.approx(2))


def test_a_right_function_has_no_diagnosis():
    network, loss = fm.Network((4, 5, 3), ("tanh", "identity")), fm.Loss("squared_error", over_samples="mean")
    assert oracle.check_function(two_layers(None), network, loss).diagnosis is None


def test_the_published_moons_never_compute_the_gradients_of_the_biases():
    """One sample, one step; the rate is so large, and a power of two, that the step says the gradient exactly."""
    rate, data = 2.0**30, moons.data()
    inputs, targets = data.train_inputs[:1], data.train_targets[:1]
    before, after = moons.initial_params(0), moons.initial_params(0)
    moons.one_pass(after, inputs, targets, learning_rate=rate, train_biases=False)
    case = oracle.Case(fm.Network(moons.SIZES, "sigmoid"), fm.Loss("squared_error", scale=0.5), before, inputs, targets)
    steps = [
        [(old - new) / rate for old, new in zip(*layers, strict=True)] for layers in zip(before, after, strict=True)
    ]
    found = oracle.check(case, steps).diagnosis
    assert (ids(found.mistakes), found.ties, found.kind) == (["bias-never-computed"], (), MISTAKE)
    assert found.mistakes[0].layers == (0, 1, 2, 3)


# parameters after a step


@pytest.mark.parametrize(
    ("slip", "rates", "among"),
    [
        (Slip("updated-weights-used"), (0.5,), set()),
        (Slip("updated-weights-used"), (0.5, 0.125), set()),
        (Slip("learning-rate-twice"), (0.5, 0.125), set()),
        (Slip("momentum-as-weights", value=0.75), (0.5,), set()),
        (Slip("ascends"), (0.5,), {"sign-flipped", "layer-sign-flipped"}),
        (Slip("bias-never-updated"), (0.5,), {"bias-never-computed"}),
        (Slip("hidden-derivative-missing", 0), (0.5,), set()),
        (Slip("bias-gradient-averaged", 1), (0.5,), set()),
    ],
)
def test_a_step_shows_the_mistake_too(slip, rates, among):
    case = case_of("softmax")
    plan = {"layer": slip.layer, "value": slip.value}
    steps = [plant_update(case, slip.id, rate, **plan) for rate in rates]
    report = oracle.check_update(case, steps, list(rates))
    found = report.diagnosis
    assert report.verdict is oracle.Verdict.WRONG
    assert {one.id for one in (*found.mistakes, *found.ties)} == {slip.id} | among
    named = next(one for one in (*found.mistakes, *found.ties) if one.id == slip.id)
    assert named.value == (None if slip.value is None else pytest.approx(slip.value, rel=1e-9))
    assert slip.id in report.text()


def test_a_right_step_has_no_diagnosis():
    case = case_of("softmax")
    assert oracle.check_update(case, plant_update(case, None, 0.5), 0.5).diagnosis is None


@pytest.mark.parametrize("coefficient", [0.003, 0.2])
def test_an_l1_penalty_is_named_with_its_coefficient(coefficient):
    found = diagnosed(CASE, plant(CASE, "l1-penalty", value=coefficient))
    assert ids(found.mistakes) == ["l1-penalty"]
    assert found.mistakes[0].value == pytest.approx(coefficient, rel=1e-9)


def test_a_focal_loss_whose_factor_was_left_out_is_named_as_another_loss():
    network, loss = fm.Network((3, 5, 4), ("tanh", "identity")), fm.Loss("softmax_focal", over_samples="mean")
    case = oracle.draw_case(network, loss, samples=9)
    found = diagnosed(case, plant(case, "loss-mismatch", variant="softmax_cross_entropy"))
    assert ids(found.mistakes) == ["loss-mismatch"]


def test_numbers_of_one_rate_do_not_explain_those_of_another():
    """A weight decay that is divided by the rate looks like another penalty at each rate, and is the same at none."""
    case = oracle.draw_case(CASE.network, fm.Loss("squared_error", over_samples="mean", l2=0.1), samples=9, seed=1)
    right = oracle.solve(case).grads

    def stepped(rate):
        own = [(np.asarray(w), np.asarray(b)) for w, b in right]
        return [
            (p.weights - rate * (w + 0.03 / rate * p.weights), p.bias - rate * b)
            for p, (w, b) in zip(case.params, own, strict=True)
        ]

    found = oracle.check_update(case, [stepped(0.5), stepped(0.05)], [0.5, 0.05]).diagnosis
    assert not [own for own in found.mistakes if own.id == "l2-coefficient-different"]
