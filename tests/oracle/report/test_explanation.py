"""One entry, step by step: its numbers are those that were given, that are right, and that the mistake makes."""

import dataclasses
import re

import numpy as np
import pytest

import functional_mlp as fm
from functional_mlp import oracle
from functional_mlp.oracle.case import declared_layer
from functional_mlp.oracle.mistakes import plant, plant_update
from functional_mlp.oracle.report.explanation import NO_CASE, SEVERAL_STEPS
from functional_mlp.oracle.report.report import Report

NETWORK = fm.Network((3, 4, 5, 2), ("tanh", "relu", "sigmoid"))
LOSS = fm.Loss("binary_cross_entropy", over_samples="mean", l2=0.1)
PART = "^ here the two part"


def drawn(samples=6, network=NETWORK, loss=LOSS, layout=None):
    return oracle.draw_case(network, loss, samples=samples, seed=3).laid_out(layout)


def checked(case, mistake, layer=None, **more):
    given = plant(case, mistake, layer, **more).grads
    return oracle.check(case, [declared_layer(grads, case.layout) for grads in given])


def steps_of(text):
    """The lines of NumPy, each with the rows of numbers below it."""
    found = []
    for line in text.splitlines():
        if numbered := re.match(r"\d+\. (.*)", line):
            found.append((numbered[1], []))
        elif line.startswith("   ") and found:
            found[-1][1].append(line.strip())
    return found


def numbers(row):
    return [float(number) for number in re.findall(r"(?<=\s)-?\d[\d.e+-]*$|(?<=\s\s)-?\d[\d.e+-]*(?=\s)", row)]


def last_numbers(text):
    """Of the last row of the last step: mistaken and right, or right alone."""
    return numbers([row for row in steps_of(text)[-1][1] if row != PART][-1])


def parting(text):
    """The line of NumPy below which the two programs part."""
    return next(line for line, rows in steps_of(text) if PART in rows)


@pytest.mark.parametrize(
    ("mistake", "layer", "line"),
    [
        ("tanh-derivative-wrong", 0, "dZ1 = dA1 * (1 - A1**2)"),
        ("relu-drops-cotangent", 1, "dZ2 = dA2 * (Z2 > 0)"),
        ("bias-divided-twice", 2, "db3 = dZ3.sum(axis=0)"),
        ("l2-missing", None, "dW3 = the same + 0.1 * W3, as handed back"),
        ("mean-missing", None, "dZ3 = (A3 - T) / n"),
        ("bias-missing", 0, "Z1 = X @ W1 + b1"),
        ("sum-not-accumulated", 2, "dA2 = dZ3 @ W3.T"),
    ],
)
def test_the_mistake_departs_where_it_is_made(mistake, layer, line):
    report = checked(drawn(), mistake, layer)
    assert mistake in {named.id for named in report.diagnosis.mistakes}
    text = report.explain()
    assert parting(text) == line
    assert text.count(PART) == 1
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("layout", [None, "columns", "torch", {"bias": "last_row"}])
@pytest.mark.parametrize("path", [f"params[{layer}].{field}" for layer in range(3) for field in ("weights", "bias")])
def test_the_terms_add_up_to_the_entry_that_is_right_and_to_that_of_the_mistake(path, layout):
    case = drawn(samples=3, layout=layout)
    report = checked(case, "output-derivative-missing", 2)
    text = report.explain(path)
    sums = next(rows for line, rows in reversed(steps_of(text)) if ".sum(" in line or " @ " in line)
    *terms, entry = [numbers(row) for row in sums if PART not in row]
    assert len(terms) == 3
    np.testing.assert_allclose(np.sum(terms, axis=0), entry, rtol=1e-6, atol=1e-9)
    evidence = {shown.path: shown for shown in report.diagnosis.evidence}[path]
    np.testing.assert_allclose(last_numbers(text), [evidence.mistaken, evidence.true], rtol=1e-6)
    assert text.endswith(f"yours: {evidence.given:.9g}; right: {evidence.true:.9g}\n")


def test_without_a_path_it_is_the_wrong_array_nearest_to_the_outputs():
    text = checked(drawn(), "tanh-derivative-wrong", 0).explain()
    assert text.startswith("db1[")
    assert "in layer 1 (the first hidden layer)" in " ".join(text.split())


def test_a_consistent_report_shows_the_right_numbers_beside_the_given_one():
    case = drawn()
    text = oracle.check(case, oracle.solve(case).grads).explain("params[0].weights")
    assert "The mistake" not in text
    assert PART not in text
    yours, right = re.search(r"yours: (\S+); right: (\S+)\n", text).groups()
    assert float(yours) == pytest.approx(float(right))
    assert all(len(numbers(row)) <= 1 for _, rows in steps_of(text) for row in rows)


def test_numbers_that_no_mistake_explains_are_shown_beside_the_right_ones():
    case = drawn()
    given = [[np.array(leaf) for leaf in layer] for layer in oracle.solve(case).grads]
    given[1][0][2, 3] += 0.125
    report = oracle.check(case, given)
    assert report.diagnosis.mistakes == ()
    assert "dW2[2, 3], params[1].weights[2, 3]" in report.explain()


@pytest.mark.parametrize(("sizes", "samples"), [((3, 4, 2), 1), ((1, 1, 1), 1), ((1, 1), 5), ((2, 40, 30, 20), 12)])
def test_one_sample_one_unit_and_many(sizes, samples):
    network = fm.Network(sizes, ("tanh",) * (len(sizes) - 2) + ("identity",))
    case = drawn(samples, network, fm.Loss("squared_error"))
    text = checked(case, "sign-flipped").explain("params[0].weights")
    assert len(text.splitlines()) < 90
    assert max(map(len, text.splitlines())) <= 80
    *mistaken, right = last_numbers(text)
    assert mistaken == [] or mistaken[0] == pytest.approx(-right)


def test_networks_without_bias_and_a_bare_cotangent():
    rng = np.random.default_rng(0)
    params = [rng.normal(size=(3, 4)), rng.normal(size=(4, 2))]
    network = fm.Network((3, 4, 2), ("tanh", "identity"))
    case = oracle.Case(network, None, params, rng.normal(size=(5, 3)), ct_outputs=rng.normal(size=(5, 2)))
    text = checked(case, "hidden-derivative-missing", 0).explain()
    assert "dA2 = ct_outputs" in text
    assert "db" not in text.split("step by step")[1].split("mistake")[-1]
    assert parting(text) == "dZ1 = dA1 * (1 - A1**2)"


def test_numbers_that_the_named_mistakes_do_not_lead_to_are_not_shown_as_theirs():
    report = checked(drawn(), "bias-divided-twice", 2)
    [shown] = report.diagnosis.evidence
    other = report.diagnosis._replace(evidence=(shown._replace(mistaken=shown.mistaken + 1),))
    text = dataclasses.replace(report, finder=lambda: other).explain()
    assert PART not in text
    assert all(len(numbers(row)) <= 1 for _, rows in steps_of(text) for row in rows)


def test_arrays_of_other_shapes_are_explained_as_far_as_they_can_be_compared():
    case = drawn()
    grads = oracle.solve(case).grads
    turned = oracle.check(case, [(weights.T, bias) for weights, bias in grads])
    assert "yours: " in turned.explain()
    nothing = oracle.check(case, [(np.ones(7), np.ones(9))] * 3)
    assert "yours: nothing that could be compared" in nothing.explain()


@pytest.mark.slow
@pytest.mark.parametrize("mistake", ["updated-weights-used", "bias-never-updated", "ascends"])
def test_after_a_step_the_last_number_is_the_parameter(mistake):
    case = drawn()
    after = [plant_update(case, mistake, rate) for rate in (0.5, 0.1)]
    report = oracle.check_update(case, after, [0.5, 0.1])
    assert report.diagnosis.mistakes
    text = report.explain()
    assert PART in text
    (shown, *_) = report.diagnosis.evidence
    line, _ = steps_of(text)[-1]
    assert re.fullmatch(r"([Wb]\d) = \1 - 0\.5 \* d\1", line)
    np.testing.assert_allclose(last_numbers(text), [shown.mistaken, shown.true], rtol=1e-8)


@pytest.mark.slow
def test_after_several_steps_it_says_that_no_single_gradient_explains_them():
    case = drawn()
    after = plant_update(case, "momentum-missing", 0.1, rule="momentum", epochs=3)
    text = oracle.check_update(case, after, 0.1, rule="momentum", epochs=3).explain()
    assert SEVERAL_STEPS in " ".join(text.split())


@pytest.mark.slow
def test_a_function_is_explained_in_the_case_of_the_evidence():
    def averaged(params, inputs, targets):
        case = oracle.Case(NETWORK, LOSS, params, inputs, targets)
        return [(weights, bias / len(inputs)) for weights, bias in oracle.solve(case).grads]

    report = oracle.check_function(averaged, NETWORK, LOSS)
    text = report.explain()
    assert parting(text).startswith("db3 = ")


def test_a_path_that_is_none_of_a_parameter_is_refused_by_name():
    report = checked(drawn(), "mean-missing")
    with pytest.raises(ValueError, match=r"expected the path of a parameter \(params\[0\].weights, .*got 'X1'"):
        report.explain("X1")


def test_a_report_without_its_case_says_so():
    assert Report("", "2-1", 1, "float64", ()).explain() == NO_CASE
