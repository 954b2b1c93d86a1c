"""check_update over several steps and with rules that keep a state: right programs, planted mistakes, other forms."""

import dataclasses

import numpy as np
import pytest

import functional_mlp as fm
from functional_mlp import oracle
from functional_mlp.oracle.mistakes import MISTAKES, places, plant_update, prepare
from functional_mlp.oracle.updates import check_update
from functional_mlp.update_rules import RULES, Adam, Momentum, RMSprop
from tests.helpers.questions import question, verdicts

SCHEDULES = [{"epochs": 3}, {"batch_size": 1}, {"batch_size": 2, "epochs": 2}]
NETWORK = fm.Network((3, 5, 2), ("relu", "softmax"))
LOSS = fm.Loss("categorical_cross_entropy", over_samples="mean", l2=0.125)


def small_case(seed):
    return oracle.draw_case(NETWORK, LOSS, samples=4, seed=seed, dtype="bfloat16")


@pytest.mark.parametrize("precision", ["float64", "float32", "bfloat16"])
@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
@pytest.mark.parametrize("name", RULES)
def test_a_right_training_is_never_wrong(name, schedule, precision):
    for seed in range(3):
        case = small_case(seed)
        after = plant_update(case, None, 0.05, rule=name, dtype=precision, **schedule)
        report = check_update(case, after, 0.05, rule=name, precision=precision, **schedule)
        assert report.verdict != "wrong", report.text()
        assert report.verdict == "consistent" or precision == "bfloat16", report.text()
        assert report.diagnosis is None


OTHERS = {
    "L2": Adam(0.05, weight_decay=0.0625),
    "everything": RMSprop(0.05, centred=True, momentum=0.5, epsilon_inside=True, weight_decay=0.0625),
    "inside": Momentum(0.05, rate_inside=True, weight_decay=0.0625),
}
RIGHT = {name: dataclasses.replace(rule, learning_rate=0.05) for name, rule in RULES.items()} | OTHERS
ANYWHERE = ("ascends", "learning-rate-twice", "bias-never-updated")


def planted():
    """Every mistake of a rule in every variant, made in one of the rules that it can be made in, each rule in turn."""
    kinds = {}
    for name, rule in RIGHT.items():
        prepared = prepare(question(), rule=rule)
        for mistake in MISTAKES.values():
            if mistake.scope == "rule" or mistake.id in ANYWHERE:
                for _, variant in places(prepared, mistake.id):
                    kinds.setdefault((mistake.id, variant), []).append(name)
    times = dict.fromkeys(RIGHT, 0)
    for (mistake, variant), names in kinds.items():
        name = min(names, key=times.__getitem__)
        times[name] += 1
        yield name, mistake, variant


PLANTED = list(planted())


def test_mistakes_are_planted_in_every_rule():
    assert {name for name, _, _ in PLANTED} == set(RIGHT)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "mistake", "variant"), PLANTED)
def test_every_mistake_of_a_rule_is_wrong_and_named(name, mistake, variant):
    case, rule, precision = question(), RIGHT[name], "float32"
    after = plant_update(case, mistake, rule=rule, variant=variant, dtype=precision, epochs=3)
    report = check_update(case, after, rule=rule, precision=precision, epochs=3)
    assert report.verdict == "wrong"
    assert mistake in {one.id for one in (*report.diagnosis.mistakes, *report.diagnosis.ties)}
    assert mistake in report.text()


@pytest.mark.parametrize("name", ["momentum", "adam"])
def test_a_wrong_gradient_is_named_under_a_rule_too(name):
    case = question()
    after = plant_update(case, "hidden-derivative-missing", 0.05, 0, rule=name, epochs=2)
    report = check_update(case, after, 0.05, rule=name, epochs=2)
    assert [one.id for one in report.diagnosis.mistakes] == ["hidden-derivative-missing"]
    assert report.diagnosis.mistakes[0].layer == 0
    assert report.diagnosis.evidence


def test_the_last_digits_of_adam_are_seen():
    """A step that is off by far less than the gradient of any mistake is wrong; by less than its floor it is not."""
    case = question()
    after = [[np.array(leaf) for leaf in layer] for layer in plant_update(case, None, 0.05, rule="adam", epochs=3)]
    report = check_update(case, after, 0.05, rule="adam", epochs=3)
    floor = max(leaf.floor for leaf in report.leaves)
    assert floor < 1e-12
    after[0][0][1, 1] += 100 * floor
    assert verdicts(check_update(case, after, 0.05, rule="adam", epochs=3))["params[0].weights"] == "wrong"


@pytest.mark.parametrize(
    ("named", "made", "words"),
    [
        ("adam", Adam(0.05, epsilon_uncorrected=True), "Keras"),
        ("rmsprop", RMSprop(0.05, epsilon_inside=True), "inside of the root"),
    ],
)
def test_a_usual_form_of_a_named_rule_is_right_and_a_specification_is_meant(named, made, words):
    case = question()
    after = plant_update(case, None, rule=made, epochs=3)
    report = check_update(case, after, 0.05, rule=named, epochs=3)
    assert report.verdict == "consistent"
    assert words in report.notes[0]
    exact = dataclasses.replace(RULES[named], learning_rate=0.05)
    assert check_update(case, after, rule=exact, epochs=3).verdict == "wrong"


def test_other_numbers_of_a_rule_are_wrong_and_told():
    case = question()
    after = plant_update(case, None, rule=RMSprop(0.05, decay=0.99, epsilon=1e-7), epochs=3)
    report = check_update(case, after, 0.05, rule="rmsprop", epochs=3)
    assert report.verdict == "wrong"
    assert "decay=0.99, epsilon=1e-07" in report.notes[0]
    assert "declare that rule" in report.notes[0]


@pytest.mark.parametrize("rates", [0.125, [0.5, 0.125]])
@pytest.mark.parametrize("over_samples", ["sum", "mean"])
def test_updates_after_each_sample_are_right_and_a_note_says_so(over_samples, rates):
    case = question(loss=fm.Loss("squared_error", over_samples=over_samples))
    several = [plant_update(case, None, rate, batch_size=1) for rate in np.atleast_1d(rates)]
    report = check_update(case, several if isinstance(rates, list) else several[0], rates)
    assert report.verdict == "consistent"
    assert "after each sample, in order" in report.notes[0]
    declared = check_update(case, several[0], np.atleast_1d(rates)[0], batch_size=1)
    assert (declared.verdict, declared.notes) == ("consistent", ())


def test_updates_after_each_sample_in_another_order_are_not_right():
    case = question()
    turned = question(inputs=case.inputs[::-1], targets=case.targets[::-1])
    after = plant_update(turned, None, 0.125, batch_size=1)
    report = check_update(case, after, 0.125)
    assert (report.verdict, report.notes) == ("wrong", ())


def test_parameters_that_are_no_numbers_are_wrong():
    case = question()
    after = plant_update(case, "bias-correction-step-off-by-one", 0.05, variant="counts from 0", rule="adam")
    report = check_update(case, after, 0.05, rule="adam")
    assert report.verdict == "wrong"
    assert "bias-correction-step-off-by-one" in report.text()


def test_what_makes_no_sense_is_refused():
    case = question()
    with pytest.raises(ValueError, match="did you mean 'momentum'"):
        check_update(case, case.params, 0.1, rule="momentm")
    for words in ({"epochs": 0}, {"batch_size": 0}):
        with pytest.raises(ValueError, match="at least 1"):
            check_update(case, case.params, 0.1, **words)
