"""check_update: the parameters after a step, at one rate and at several."""

import numpy as np
import pytest

from functional_mlp import oracle
from functional_mlp.oracle.documents import Update
from functional_mlp.oracle.updates import check_update
from functional_mlp.oracle.verdict import Verdict
from tests.helpers.questions import answer, leaf_of, question, steps, verdicts

PATHS = [f"params[{i}].{name}" for i in range(3) for name in ("weights", "bias")]
CONSISTENT, WRONG, UNDECIDED = "consistent", "wrong", "undecided"


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("rate", [1e-3, 0.1, 10.0])
def test_a_correct_step_is_consistent(rate, precision):
    after = [[leaf.astype(precision) for leaf in layer] for layer in steps(question(), rate)]
    report = check_update(question(), after, rate)
    assert report.verdict is Verdict.CONSISTENT, report.text()
    assert report.precision == precision
    assert check_update(question(), Update(after, rate)).json() == report.json()
    assert {leaf.group for leaf in report.leaves} == {""}


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize(
    ("spoil", "paths"),
    [
        (lambda case: steps(case, -0.1), PATHS),
        (lambda case: steps(case, 0.2), PATHS),
        (lambda case: steps(case, 0.1 / 5), PATHS),
        (lambda case: case.params, PATHS),
        (lambda case: answer(case), PATHS),
        (lambda case: [(w, b) for (w, _), (_, b) in zip(steps(case, 0.1), case.params, strict=True)], PATHS[1::2]),
        (lambda case: [*steps(case, 0.1)[:2], case.params[2]], PATHS[4:]),
    ],
    ids=["ascent", "rate doubled", "averaged twice", "no step", "gradients", "frozen biases", "frozen layer"],
)
def test_a_wrong_step_is_wrong_where_it_is(spoil, paths, precision):
    report = check_update(question(), spoil(question()), 0.1, precision=precision)
    assert verdicts(report) == dict.fromkeys(PATHS, CONSISTENT) | dict.fromkeys(paths, WRONG)


def test_expected_and_got_of_an_update_are_parameters():
    after = steps(question(), 0.1)
    expected = float(after[1][0][2, 3])
    after[1][0][2, 3] = 7.25
    leaf = leaf_of(check_update(question(), after, 0.1), "params[1].weights")
    assert (leaf.index, leaf.got) == ((2, 3), 7.25)
    assert leaf.expected == pytest.approx(expected, rel=1e-15)
    assert leaf.norm == pytest.approx(0.1 * np.linalg.norm(answer(question())[1][0]))


@pytest.mark.parametrize(("precision", "rate"), [("float64", 1e-18), ("float32", 1e-9), ("float16", 1e-5)])
def test_a_step_smaller_than_the_rounding_of_the_parameters_is_undecided(precision, rate):
    report = check_update(question(), question().params, rate, precision=precision)
    leaf = leaf_of(report, PATHS[2])
    assert (report.verdict, leaf.verdict) == (Verdict.UNDECIDED, Verdict.UNDECIDED)
    assert "even zeros would pass" in leaf.sentence
    assert leaf.remedy


def test_a_step_in_another_shape_is_wrong_and_says_which():
    after = [list(layer) for layer in steps(question(), 0.1)]
    after[0][0] = after[0][0].T
    report = check_update(question(), after[:2], 0.1)
    assert verdicts(report) == dict.fromkeys([PATHS[0], *PATHS[4:]], WRONG) | dict.fromkeys(PATHS[1:4], CONSISTENT)
    assert "transpose" in leaf_of(report, PATHS[0]).sentence


def updated_too_early(case, rate):
    """By hand, in NumPy: each layer is updated before the delta of the layer below is computed with it."""
    solution, params = oracle.solve(case), [tuple(layer) for layer in case.params]
    before = (case.inputs, *solution.activations[:-1])
    delta = solution.deltas[-1]
    for layer in (2, 1, 0):
        weights, bias = params[layer]
        params[layer] = (weights - rate * before[layer].T @ delta, bias - rate * delta.sum(axis=0))
        if layer:
            delta = (delta @ params[layer][0].T) * (1 - before[layer] ** 2)
    return params


def test_weights_updated_too_early_show_at_the_larger_of_two_rates():
    """The error grows with the square of the rate: float32 hides it in the smaller step."""
    rates = (1e-5, 0.1)
    given = [updated_too_early(question(), rate) for rate in rates]
    report = check_update(question(), given, rates, precision="float32")
    small, large = ([leaf for leaf in report.leaves if leaf.group == f"learning rate {rate:g}"] for rate in rates)
    assert len(small) == len(large) == 6
    assert {str(leaf.verdict) for leaf in small} == {CONSISTENT}
    assert {leaf.path: str(leaf.verdict) for leaf in large} == dict.fromkeys(PATHS[:4], WRONG) | dict.fromkeys(
        PATHS[4:], CONSISTENT
    )
    assert report.verdict is Verdict.WRONG
    assert "[learning rate 0.1] params[0].weights" in " ".join(report.text().split())


def test_several_steps_may_be_given_as_updates_and_then_need_no_rates():
    updates = [Update(steps(question(), rate), rate) for rate in (0.01, 0.1)]
    report = check_update(question(), updates)
    assert report.verdict is Verdict.CONSISTENT
    assert [leaf.group for leaf in report.leaves] == ["learning rate 0.01"] * 6 + ["learning rate 0.1"] * 6
    apart = check_update(question(), [update.params for update in updates], [0.01, 0.1])
    assert apart.json() == report.json()


def test_rates_may_be_an_array_and_equal_rates_stay_apart():
    given = [steps(question(), rate) for rate in (1, 1, 0.5)]
    report = check_update(question(), given, np.array([1, 1, 0.5]))
    assert report.verdict is Verdict.CONSISTENT
    assert list(dict.fromkeys(leaf.group for leaf in report.leaves)) == [
        "learning rate 1, step 0",
        "learning rate 1, step 1",
        "learning rate 0.5",
    ]
    assert check_update(question(), given[0], 1).verdict is Verdict.CONSISTENT


def test_parameters_may_have_the_forms_that_gradients_may_have():
    case, after = question(), steps(question(), 0.1)
    flat = [leaf for pair in after for leaf in pair]
    named = oracle.names_of(after)
    for given in (flat, named, tuple(zip(*after, strict=True))):
        assert check_update(case, given, 0.1).verdict is Verdict.CONSISTENT
