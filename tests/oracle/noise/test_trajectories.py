"""The noise of several steps: rounded numbers, floors that grow with the steps, and what float16 cannot divide by."""

import numpy as np
import pytest

import functional_mlp as fm
from functional_mlp import oracle
from functional_mlp.oracle.case import Schedule
from functional_mlp.oracle.mistakes import plant_update
from functional_mlp.oracle.noise import estimate_trajectory_noise, precision_named
from functional_mlp.oracle.noise.rounded import Rounded
from functional_mlp.oracle.truth import follow, solve
from functional_mlp.oracle.verdict import floor_of_step
from functional_mlp.update_rules import Adam, Descent, Momentum
from tests.helpers.questions import question

PATH = "params[0].weights"
FLOAT32 = precision_named("float32")


def noises(rule, schedule, precision="float32", case=None):
    return estimate_trajectory_noise(follow(case or question(), rule, schedule), precision_named(precision))


def test_every_operation_on_rounded_numbers_errs_by_its_unit():
    x = Rounded(np.full((8, 1000), 3.0), 2.0**-10, 0.0, np.random.default_rng(0))
    for result, true in ((x * 2, 6.0), (1 - x, -2.0), (x**0.5, 3**0.5), (x / x, 1.0)):
        np.testing.assert_allclose(np.abs(result.values / true - 1), 2.0**-10, rtol=1e-9)
    together, alone = (x * 2).values[:4], (x * 2).values[4:]
    assert (together == together[:, :1]).all()
    assert all(len(set(run)) == 2 for run in alone)


def test_a_constant_is_rounded_anew_in_every_operation():
    beta = Rounded(np.full(64, 0.999), 2.0**-24, 0.0, np.random.default_rng(0), constant=True)
    off = (1 - beta).values / (1 - 0.999) - 1
    assert 1e-5 < np.abs(off).max() < 2e-4  # 1 - 0.999 has lost three digits


def test_one_step_of_descent_has_about_the_floor_that_is_known_in_closed_form():
    case, rule = question(), Descent(0.25)
    [noise] = noises(rule, Schedule(), case=case)
    solution = solve(case)
    gradients = oracle.noise.estimate_noise(case, solution, FLOAT32)
    closed = floor_of_step(gradients, PATH, case.params[0].weights, solution.grads[0].weights, 0.25).smooth
    ratio = noise.floors[PATH].smooth / closed
    assert ratio.min() > 0.7
    assert ratio.max() < 3


def test_the_floor_grows_with_the_steps_and_with_the_precision():
    floors = [noise.floors[PATH].smooth.mean() for noise in noises(Momentum(0.25), Schedule(4))]
    assert floors == sorted(floors)
    coarse = noises(Momentum(0.25), Schedule(4), "bfloat16")[-1].floors[PATH].smooth.mean()
    assert 1e3 < coarse / floors[-1] < 1e6
    again = noises(Momentum(0.25), Schedule(4))[-1].floors[PATH].smooth.mean()
    assert again == floors[-1]


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_a_gradient_within_its_noise_may_go_either_way_under_adam(precision):
    """Outputs that meet their targets but for rounding: Adam divides such a gradient by its own size."""
    case = question()
    network = fm.Network((2, 2), "identity")
    inputs = np.array([[1.0, 1.0], [1.0, -1.0]])
    params, targets = [(np.array([[0.3, 0.7], [0.1, 0.2]]), np.zeros(2))], np.array([[0.4, 0.9], [0.2, 0.5]])
    case = oracle.Case(network, fm.Loss("squared_error"), params, inputs, targets)
    [noise] = noises(Adam(0.125, epsilon=0.0), Schedule(), precision, case)
    assert noise.floors[PATH].smooth.max() > 0.2  # both ways: 2 * 0.125
    assert np.isfinite(solve(case).grads[0].weights).all()


def test_float16_squares_that_underflow_are_undecided_not_wrong():
    case = question(0.125)
    for rule in ("adam", "rmsprop"):
        after = plant_update(case, None, 0.0625, rule=rule, dtype="float16", epochs=2)
        report = oracle.check_update(case, after, 0.0625, rule=rule, epochs=2)
        assert report.verdict != "wrong", report.text()
    wide = noises(Adam(0.0625), Schedule(2), "float32", case)
    assert all(np.isfinite(floor.slack).all() for noise in wide for floor in noise.floors.values())
