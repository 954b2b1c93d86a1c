"""Certified steps of training: against one pass and one step of it, and where gradients do not move with parameters."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functional_mlp.update_rules import RULES, update_rule
from reference import exact
from reference.training import certified_training
from reference.update_rules import certified_steps

FORMULAS = {"nesterov": "momentum", "adamw": "adam"}
PARAMS = [([[0.5, -0.25], [1.5, 0.125]], [0.25, -1.0]), ([[0.75], [-0.5]], None)]
CASE = exact.Case(
    (2, 2, 1), ("tanh", "identity"), PARAMS, [[1.0, -0.5], [0.25, 2.0]], {"kind": "squared_error"}, [[1.0], [-0.5]]
)


def settings_of(name):
    return FORMULAS.get(name, name), dataclasses.asdict(update_rule(name, 0.125))


@pytest.mark.parametrize("name", RULES)
def test_one_step_is_that_of_the_certified_gradient(name):
    formula, own = settings_of(name)
    [after] = certified_training(CASE, formula, own, 1)
    solution = exact.solve(CASE)
    assert set(after) == {"0.weights", "0.bias", "1.weights"}
    for path, array in after.items():
        layer, part = path.split(".")
        before = np.array(PARAMS[int(layer)][("weights", "bias").index(part)])
        for index, gradient in np.ndenumerate(solution.leaves[f"grads.{path}"]):
            # of a rounded gradient, so to its last digit only
            [stepped] = certified_steps(formula, own, float(before[index]), [float(gradient)])
            assert abs(array[index] - stepped) <= 4 * np.spacing(abs(before[index]))


@pytest.mark.parametrize("name", RULES)
def test_steps_of_a_gradient_that_stays_are_those_of_its_rule(name):
    linear = exact.Case((1, 1), "identity", [([[2.0]], [0.5])], [[3.0]], ct_outputs=[[0.25]])
    formula, own = settings_of(name)
    trained = certified_training(linear, formula, own, 4)
    for path, before, gradient in (("0.weights", 2.0, 0.75), ("0.bias", 0.5, 0.25)):
        true = certified_steps(formula, own, before, [gradient] * 4)
        assert [float(after[path].item()) for after in trained] == true


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 4), st.floats(0.01, 0.5), st.floats(-2, 2))
def test_descent_on_a_parabola_is_a_power(steps, rate, start):
    # loss w², gradient 2 w: w (1 − 2 η)ᵗ
    parabola = exact.Case((1, 1), "identity", [([[start]], None)], [[1.0]], {"kind": "squared_error"}, [[0.0]])
    own = {"learning_rate": rate, "weight_decay": 0.0}
    trained = certified_training(parabola, "descent", own, steps)
    assert [after["0.weights"].item() for after in trained] == pytest.approx(
        [start * (1 - 2 * rate) ** t for t in range(1, steps + 1)], rel=1e-14
    )


def test_a_penalty_on_sizes_is_refused():
    loss = {"kind": "squared_error", "l1": 0.5}
    with pytest.raises(ValueError, match="expected no l1"):
        certified_training(CASE._replace(loss=loss), *settings_of("descent"), 2)
