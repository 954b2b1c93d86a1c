"""The verdict: truth passes, every planted error is wrong and named, and what noise may hide is undecided."""

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functional_mlp as fm
from functional_mlp import oracle
from functional_mlp._dtypes import DTYPES
from functional_mlp.oracle.case import Layout, declared_layer
from functional_mlp.oracle.checking import check
from functional_mlp.oracle.documents import Gradients
from functional_mlp.oracle.noise import PRECISIONS, estimate_noise
from functional_mlp.oracle.verdict.judging import judge, truth_of, worst_of
from functional_mlp.oracle.verdict.leaf import Cause, Verdict
from tests.helpers.questions import (
    answer,
    everything,
    hidden_by_noise,
    leaf_of,
    lost,
    overflowing,
    question,
    saturated,
    verdicts,
    with_kinks,
)

PATHS = [f"params[{i}].{name}" for i in range(3) for name in ("weights", "bias")]
PLAIN = ("float64", "float32", "bfloat16", "float16")
CONSISTENT, WRONG, UNDECIDED = "consistent", "wrong", "undecided"


def test_the_worst_verdict_counts():
    assert worst_of([]) is worst_of([Verdict.CONSISTENT]) is Verdict.CONSISTENT
    assert worst_of(iter([Verdict.CONSISTENT, Verdict.UNDECIDED])) is Verdict.UNDECIDED
    assert worst_of([Verdict.UNDECIDED, Verdict.WRONG, Verdict.CONSISTENT]) is Verdict.WRONG


@pytest.mark.parametrize("precision", [*PLAIN, "float16/float32"])
def test_the_truth_is_consistent_in_every_precision(precision):
    report = check(question(), answer(question()), precision=precision, **everything(question()))
    assert report.verdict is Verdict.CONSISTENT, report.text()
    assert len(report.leaves) == 6 + 1 + 1 + 3 + 1
    for leaf in report.leaves:
        assert (leaf.cause, leaf.sentence, leaf.remedy, leaf.wrong, leaf.undecided) == (None, "", "", 0, 0)
        assert 0 < leaf.smallest_detectable < leaf.norm
        assert leaf.entries.shape == leaf.ratios.shape
        assert leaf.entries.size == leaf.size


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_the_truth_rounded_to_a_format_is_consistent_in_it_and_wrong_as_float64(dtype):
    rounded = [[leaf.astype(DTYPES[dtype]) for leaf in layer] for layer in answer(question())]
    assert check(question(), rounded, precision=dtype).verdict is Verdict.CONSISTENT
    wide = [[leaf.astype(np.float64) for leaf in layer] for layer in rounded]
    assert check(question(), wide, precision="float64").verdict is Verdict.WRONG


def relative(array, by=1e-3):
    index = np.unravel_index(np.abs(array).argmax(), array.shape)
    array[index] *= 1 + by
    return array


def entry(value):
    def spoil(array):
        array.flat[-1] = value
        return array

    return spoil


PLANTED = {
    "factor 2": lambda array: 2 * array,
    "sign": lambda array: -array,
    "one entry off by a thousandth": relative,
    "zeros": lambda array: 0 * array,
    "not a number": entry(np.nan),
    "infinity": entry(np.inf),
    "minus infinity": entry(-np.inf),
    "the largest number": entry(np.finfo(np.float64).max),
    "reversed": lambda array: array[::-1].copy(),
    "averaged over samples twice": lambda array: array / 5,
}


CASES = {"smooth": question(), "kinks": with_kinks()}


@functools.cache
def known(name, precision):
    """A case, the truth about it and the noise of a precision; nothing of these changes between examples."""
    case = CASES[name]
    solution = oracle.solve(case)
    return case, solution, estimate_noise(case, solution, PRECISIONS[precision])


def judged(name, precision, changed):
    """Leaves by path, of the truth with some arrays changed."""
    case, solution, noise = known(name, precision)
    arrays = truth_of(solution) | changed
    params = [(arrays[f"params[{i}].weights"], arrays[f"params[{i}].bias"]) for i in range(len(case.params))]
    deltas = [arrays[f"deltas[{i}]"] for i in range(len(case.params))]
    given_ = Gradients(params, arrays["loss"], arrays["outputs"], deltas, arrays["ct_inputs"])
    return {leaf.path: leaf for leaf in judge(case, solution, noise, given_)}


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("mistake", PLANTED)
def test_every_planted_error_is_wrong_where_it_is_and_nowhere_else(mistake, precision):
    truth = truth_of(known("smooth", precision)[1])
    for path, true in truth.items():
        if mistake == "reversed" and true.size == 1:
            continue
        changed = PLANTED[mistake](np.array(true))
        leaves = judged("smooth", precision, {path: changed})
        expected = dict.fromkeys(truth, CONSISTENT) | {path: WRONG}
        assert {name: str(leaf.verdict) for name, leaf in leaves.items()} == expected, path


def test_the_sentence_names_index_values_and_floor():
    case, given_ = question(), answer(question())
    true = given_[1][0][2, 3]
    given_[1][0][2, 3] = 7.25
    leaf = leaf_of(check(case, given_), "params[1].weights")
    assert (leaf.index, leaf.expected, leaf.got, leaf.error) == ((2, 3), true, 7.25, abs(7.25 - true))
    assert (leaf.wrong, leaf.undecided, leaf.size, leaf.cause) == (1, 0, 16, Cause.VALUE)
    assert leaf.entries[2, 3] == 2
    assert leaf.entries.sum() == 2
    for words in ("7.25 at [2, 3]", f"expected {true:.9g}", "times the noise floor", "1 of 16 entries", "any rounding"):
        assert words in leaf.sentence
    assert leaf.proved


@pytest.mark.parametrize(("value", "word"), [(np.nan, "nan"), (np.inf, "inf"), (-np.inf, "-inf")])
def test_what_is_not_finite_has_a_sentence_of_its_own(value, word):
    given_ = answer(question())
    given_[2][0][:] = value
    leaf = leaf_of(check(question(), given_), "params[2].weights")
    assert leaf.cause is Cause.NOT_FINITE
    assert leaf.sentence.startswith(f"{word} at [")
    assert "8 of 8 entries are wrong" in leaf.sentence


def test_nan_is_the_worst_entry_beside_any_other():
    given_ = answer(question())
    given_[0][0] *= 2
    given_[0][0][1, 1] = np.nan
    leaf = leaf_of(check(question(), given_), "params[0].weights")
    assert leaf.index == (1, 1)
    assert leaf.cause is Cause.NOT_FINITE


def test_a_transpose_that_fits_is_wrong():
    given_ = answer(question())
    given_[1][0] = given_[1][0].T
    leaf = leaf_of(check(question(), given_), "params[1].weights")
    assert (leaf.verdict, leaf.cause) == (Verdict.WRONG, Cause.VALUE)


def test_a_missing_term_is_wrong():
    """The last sample forgotten: off by one in a loop."""
    solution = oracle.solve(question())
    before = (question().inputs, *solution.activations[:-1])
    given_ = [[a[:-1].T @ d[:-1], d[:-1].sum(axis=0)] for a, d in zip(before, solution.deltas, strict=True)]
    assert verdicts(check(question(), given_)) == dict.fromkeys(PATHS, WRONG)


# shapes and layouts


def spoilt(layer, field, value):
    given_ = [dict(zip(("weights", "bias"), pair, strict=True)) for pair in answer(question())]
    given_[layer][field] = value
    return given_


@pytest.mark.parametrize(
    ("given_", "path", "cause", "words"),
    [
        (spoilt(0, "weights", np.ones((4, 3))), PATHS[0], Cause.SHAPE, ["(3, 4), got (4, 3)", "transpose", "out_in"]),
        (spoilt(0, "weights", np.ones((3, 5))), PATHS[0], Cause.SHAPE, ["expected shape (3, 4), got (3, 5)"]),
        (spoilt(0, "weights", np.ones(12)), PATHS[0], Cause.SHAPE, ["(3, 4), got (12,)"]),
        (spoilt(0, "weights", [[1.0, 2.0], [3.0]]), PATHS[0], Cause.SHAPE, ["params[0].weights[1] to have 2 entries"]),
        (spoilt(0, "weights", None), PATHS[0], Cause.MISSING, ["missing"]),
        (spoilt(2, "bias", np.ones((2, 2))), PATHS[5], Cause.SHAPE, ["(2,), got (2, 2)"]),
        (spoilt(2, "bias", None), PATHS[5], Cause.MISSING, ["missing"]),
        ([(None, answer(question())[0][1]), *answer(question())[1:]], PATHS[0], Cause.MISSING, ["missing"]),
        ([(np.ones(12), answer(question())[0][1]), *answer(question())[1:]], PATHS[0], Cause.SHAPE, ["got (12,)"]),
        (answer(question())[:2], PATHS[4], Cause.MISSING, ["2 of 3 layers"]),
        (answer(question())[:2], PATHS[5], Cause.MISSING, ["2 of 3 layers"]),
        ([*answer(question()), (np.ones((2, 2)), None)], "params[3]", Cause.SHAPE, ["3 layers", "of 4"]),
        ([], PATHS[0], Cause.MISSING, ["0 of 3 layers"]),
    ],
)
def test_what_cannot_be_compared_is_wrong_with_the_reason_and_a_remedy(given_, path, cause, words):
    report = check(question(), given_)
    leaf = leaf_of(report, path)
    assert (leaf.verdict, leaf.cause, leaf.index, leaf.entries) == (Verdict.WRONG, cause, None, None)
    assert leaf.remedy
    for word in words:
        assert word in leaf.sentence
    others = [leaf for leaf in report.leaves if leaf.cause is None]
    assert len(others) == sum(len(layer) for layer in given_[:3]) - (len(given_) >= 3 and path in PATHS)


def test_a_layer_may_be_given_in_any_usual_form():
    given_ = answer(question())
    forms = [
        [(weights, bias[None, :]) for weights, bias in given_],
        [(weights.tolist(), bias.tolist()) for weights, bias in given_],
        [{"weights": weights, "bias": bias} for weights, bias in given_],
        tuple(oracle.Layer(weights, bias) for weights, bias in given_),
    ]
    for form in forms:
        assert check(question(), form).verdict is Verdict.CONSISTENT


@pytest.mark.parametrize("weights_layout", ["in_out", "out_in"])
@pytest.mark.parametrize("bias_layout", ["separate", "last_row"])
def test_gradients_are_taken_in_the_declared_layout_and_wrong_in_another(weights_layout, bias_layout):
    layouts = {"weights_layout": weights_layout, "bias_layout": bias_layout}
    given_ = [declared_layer(layer, Layout(weights_layout, bias_layout)) for layer in answer(question())]
    params = [declared_layer(layer, Layout(weights_layout, bias_layout)) for layer in question().params]
    case = question(params=params, **layouts)
    report = check(case, given_)
    assert verdicts(report) == dict.fromkeys(PATHS, CONSISTENT)
    given_[1]["weights"] = relative(np.array(given_[1]["weights"]))
    assert check(case, given_).verdict is Verdict.WRONG
    if layouts != {"weights_layout": "in_out", "bias_layout": "separate"}:
        assert leaf_of(check(case, answer(question())), PATHS[0]).cause is Cause.SHAPE
        assert leaf_of(check(question(), given_), PATHS[0]).cause is Cause.SHAPE


def test_a_bias_beside_weights_that_hold_it_is_wrong():
    params = [declared_layer(layer, Layout(bias="last_row")) for layer in question().params]
    case = question(params=params, bias_layout="last_row")
    given_ = [np.vstack(layer) for layer in answer(question())]
    given_[0] = (given_[0], np.ones(4))
    leaf = leaf_of(check(case, given_), PATHS[1])
    assert leaf.cause is Cause.SHAPE
    assert "last row" in leaf.sentence


def test_a_network_without_bias_wants_none():
    case = question(params=[weights for weights, _ in question().params])
    weights = [weights for weights, _ in answer(case)]
    for form in (weights, [(leaf, None) for leaf in weights], [{"weights": leaf} for leaf in weights]):
        assert verdicts(check(case, form)) == dict.fromkeys(PATHS[::2], CONSISTENT)
    report = check(case, [(weights[0], np.ones(4)), *weights[1:]])
    assert verdicts(report) == dict.fromkeys(PATHS[::2], CONSISTENT) | {PATHS[1]: WRONG}
    assert "no bias" in leaf_of(report, PATHS[1]).sentence


# the smallest detectable change


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("precision", PLAIN)
@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), alone=st.booleans(), above=st.sampled_from([1.3, 2.0, 1e3]))
def test_a_change_of_the_smallest_detectable_norm_is_wrong_in_any_direction(name, precision, seed, alone, above):
    """Random directions, and single entries. In float64 adding a change to the truth rounds it: so 1.3, not 1.001."""
    rng, truth, changed = np.random.default_rng(seed), truth_of(known(name, precision)[1]), {}
    for path, leaf in judged(name, precision, {}).items():
        direction = rng.normal(size=truth[path].shape) * np.exp(rng.normal(scale=3, size=truth[path].shape))
        if alone:
            keep = rng.integers(truth[path].size)
            direction = np.where(np.arange(truth[path].size).reshape(truth[path].shape) == keep, direction, 0.0)
        changed[path] = truth[path] + above * leaf.smallest_detectable * direction / np.linalg.norm(direction)
    leaves = judged(name, precision, changed)
    assert {path: str(leaf.verdict) for path, leaf in leaves.items()} == dict.fromkeys(truth, WRONG)


@pytest.mark.parametrize("precision", PLAIN)
@settings(max_examples=10)
@given(seed=st.integers(0, 2**32 - 1), size=st.floats(0, 0.5))
def test_a_change_within_half_the_floor_is_consistent(precision, seed, size):
    rng = np.random.default_rng(seed)
    _, solution, noise = known("smooth", precision)
    changed = {
        path: true + size * noise.floors[path].smooth * rng.choice([-1.0, 1.0], true.shape)
        for path, true in truth_of(solution).items()
    }
    assert {str(leaf.verdict) for leaf in judged("smooth", precision, changed).values()} == {CONSISTENT}


# undecided: noise


def test_where_noise_exceeds_the_signal_it_is_undecided_and_a_wider_format_decides():
    case = hidden_by_noise()
    true = answer(case)
    zeros, halves = ([[factor * leaf for leaf in layer] for layer in true] for factor in (0.0, 0.5))
    for given_ in ([halves[0], *true[1:]], [zeros[0], *true[1:]]):
        leaf = leaf_of(check(case, given_, precision="float16"), PATHS[0])
        assert (leaf.verdict, leaf.cause) == (Verdict.UNDECIDED, Cause.ROUNDING)
        assert "even zeros would pass" in leaf.sentence
        assert "float32" in leaf.remedy
        assert leaf.smallest_detectable > leaf.norm
    assert check(case, true, precision="float32").verdict is Verdict.CONSISTENT
    assert leaf_of(check(case, [zeros[0], *true[1:]], precision="float32"), PATHS[0]).verdict is Verdict.WRONG


@pytest.mark.parametrize(
    ("factor", "verdict"), [(1.0, CONSISTENT), (1.2, CONSISTENT), (1.3, "undecided"), (-1.0, "undecided")]
)
def test_an_array_that_comes_near_the_truth_has_the_signal_in_it_though_zeros_would_pass(factor, verdict):
    case = hidden_by_noise()
    true = answer(case)
    leaf = leaf_of(check(case, [[factor * leaf for leaf in true[0]], *true[1:]], precision="float16"), PATHS[0])
    assert str(leaf.verdict) == verdict
    assert leaf.smallest_detectable > leaf.norm


def test_a_gradient_that_is_zero_but_for_rounding_is_no_reason_for_doubt():
    """At the minimum of a linear fit the truth is what float64 leaves of 0."""
    rng = np.random.default_rng(0)
    inputs, targets = rng.normal(size=(50, 3)), rng.normal(size=(50, 2))
    weights, *_ = np.linalg.lstsq(inputs, targets)
    case = oracle.Case(fm.Network((3, 2), "identity"), fm.Loss("squared_error"), [(weights, None)], inputs, targets)
    (right,) = answer(case)
    assert 0 < np.abs(right[0]).max() < 1e-13
    for given_ in (np.zeros((3, 2)), right[0] + 1e-7):
        assert check(case, [(given_, None)], precision="float32").verdict is Verdict.CONSISTENT


def test_a_true_gradient_of_zero_is_no_reason_for_doubt():
    case = question(inputs=np.zeros((5, 3)))
    report = check(case, answer(case))
    assert not answer(case)[0][0].any()
    assert report.verdict is Verdict.CONSISTENT
    given_ = answer(case)
    given_[0][0][1, 2] = 1e-9
    leaf = leaf_of(check(case, given_), PATHS[0])
    assert (leaf.verdict, leaf.index) == (Verdict.WRONG, (1, 2))


# undecided: kinks

ULP = float(np.spacing(5.0))


@pytest.mark.parametrize("precision", ["float64", "float32", "float16"])
@pytest.mark.parametrize("at_zero", [0.0, 1.0])
@pytest.mark.parametrize(
    "place", [{}, {"of_minus_zero": True}, {"shift": ULP}, {"shift": -ULP}], ids=["0", "-0", "+1 ulp", "-1 ulp"]
)
def test_a_unit_at_its_kink_is_never_wrong_under_either_convention(place, at_zero, precision):
    case, by_other = with_kinks(**place), with_kinks(**place, at_zero=at_zero)
    z = oracle.solve(case).pre_activations[0]
    assert z[0, 0] == place.get("shift", 0.0)
    assert z[0, 1] == 0
    report = check(case, answer(by_other), precision=precision)
    assert report.verdict is (Verdict.CONSISTENT if at_zero == 0 else Verdict.UNDECIDED), report.text()
    for leaf in report.leaves:
        assert leaf.cause in (None, Cause.KINK)
    if at_zero == 1:
        leaf = leaf_of(report, PATHS[0])
        assert "of layer 0 at its kink in sample 0" in leaf.sentence
        assert "pre-activations" in leaf.remedy


@pytest.mark.parametrize("at_zero", [0.0, 1.0])
@pytest.mark.parametrize("mistake", ["factor 2", "sign", "not a number", "infinity"])
def test_a_real_mistake_beside_a_kink_is_wrong(mistake, at_zero):
    given_ = answer(with_kinks(at_zero=at_zero))
    given_[0][0][:, 2] = PLANTED[mistake](given_[0][0][:, 2])  # unit 2 is away from 0
    report = check(with_kinks(), given_)
    leaf = leaf_of(report, PATHS[0])
    assert report.verdict is leaf.verdict is Verdict.WRONG
    assert leaf.index[1] == 2


# undecided: overflow and saturation


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_where_the_format_overflows_it_is_undecided_and_wrong_where_it_does_not(value):
    case = overflowing()
    given_ = [[np.full_like(leaf, value) for leaf in layer] for layer in answer(case)]
    for leaf in check(case, given_, precision="float16").leaves:
        assert (leaf.verdict, leaf.cause) == (Verdict.UNDECIDED, Cause.OVERFLOW)
        assert "overflow in float16" in leaf.sentence
        assert "float32" in leaf.remedy
        assert "6.6e+04" in leaf.remedy
        assert leaf.smallest_detectable == np.inf
    for precision in ("float32", "float64"):
        report = check(case, given_, precision=precision)
        assert verdicts(report) == {PATHS[0]: WRONG, PATHS[1]: WRONG}, precision


def test_a_gradient_lost_in_a_saturated_probability_is_undecided():
    case = saturated("binary_cross_entropy", "sigmoid")
    weights, bias = lost(case)[0]
    for given_ in ((weights, bias), (weights * np.nan, bias), (weights, bias + np.inf)):
        report = check(case, [given_], precision="float32")
        assert report.verdict is Verdict.UNDECIDED
        for leaf in report.leaves:
            assert leaf.cause is Cause.SATURATION
            assert "rounds to 0 or 1 in float32" in leaf.sentence
            assert "sigmoid_cross_entropy" in leaf.remedy


def test_what_the_saturated_sample_cannot_explain_is_wrong():
    case = saturated("binary_cross_entropy", "sigmoid")
    weights, bias = lost(case)[0]
    assert check(case, [(weights, bias - 5)], precision="float32").verdict is Verdict.WRONG
    assert check(case, [(-3 * weights, bias)], precision="float32").verdict is Verdict.WRONG


def test_logits_lose_nothing():
    case = saturated("sigmoid_cross_entropy", "identity")
    assert leaf_of(check(case, answer(case), precision="float32"), PATHS[0]).verdict is Verdict.CONSISTENT
    report = check(case, lost(case), precision="float32")
    assert verdicts(report) == {PATHS[0]: WRONG, PATHS[1]: WRONG}


def test_at_most_the_last_bit_is_unsure_of_a_sum_of_small_integers():
    """Everything is exact: no floor is far above zero, and yet not zero."""
    case = with_kinks()
    leaf = leaf_of(check(case, answer(case)), PATHS[2])
    assert 0 < leaf.floor < 1e-11


def test_one_number_for_the_bias_of_several_units_is_wrong_whatever_it_is():
    for shape in ((), (1,), (1, 1)):
        leaf = leaf_of(check(question(), spoilt(2, "bias", np.full(shape, 3.0))), PATHS[5])
        assert leaf.verdict is Verdict.WRONG
        assert "one number was given for 2 units" in leaf.sentence
    case = fm.Network((1, 2), "identity"), fm.Loss("squared_error"), [(np.ones((1, 2)), np.zeros(2))]
    alike = oracle.Case(*case, inputs=[[1.0]], targets=[[0.0, 0.0]])
    report = check(alike, [([[2.0, 2.0]], 2.0)])
    assert report.verdict is Verdict.WRONG
    assert leaf_of(report, "params[0].bias").cause is Cause.SHAPE
