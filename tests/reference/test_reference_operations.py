"""Certified operations: worked examples, zeros that are known to be zeros, and differences of the certified outputs."""

import numpy as np
import pytest
from flint import ctx, fmpq

from reference import operations
from reference.balls import ball
from reference.operations import OPERATIONS, certified_operation

ARGUMENTS = {
    "layer_norm": ({"x": (2, 3), "weight": (3,), "bias": (3,)}, {"epsilon": 0.125}),
    "rms_norm": ({"x": (2, 3), "weight": (3,)}, {"epsilon": 0.125}),
    "swiglu": ({"x": (2, 2), "gate": (2, 3), "up": (2, 3), "down": (3, 2)}, {}),
    "geglu": ({"x": (2, 2), "gate": (2, 3), "up": (2, 3), "down": (3, 2)}, {}),
    "residual": ({"x": (2, 2), "branch": (2, 2)}, {"scale": 0.25}),
    "dropout": ({"x": (2, 2)}, {"rate": 0.25}),
}


def question(name):
    rng = np.random.default_rng(7)
    shapes, settings = ARGUMENTS[name]
    arguments = {key: rng.integers(-8, 9, shape) / 4 + 0.125 for key, shape in shapes.items()}
    ct = rng.integers(-8, 9, (2, 3 if "norm" in name else 2)) / 4
    return arguments, ct, settings


def with_mask(name, arguments):
    return arguments | ({"mask": np.array([[True, False], [True, True]])} if name == "dropout" else {})


@pytest.mark.parametrize("name", OPERATIONS)
def test_cotangents_are_those_that_differences_of_the_outputs_say(name):
    arguments, ct, settings = question(name)
    certified = certified_operation(name, with_mask(name, arguments), ct, settings)
    step = fmpq(1, 2**60)
    exact = {key: operations._rational(array.tolist()) for key, array in with_mask(name, arguments).items()}
    known = {key: operations._rational(number) for key, number in settings.items()}
    cts = operations._rational(ct.tolist())

    def loss(given):
        y = OPERATIONS[name](given, cts, known)["y"]
        return sum((ball(c * v) for row, values in zip(cts, y, strict=True) for c, v in zip(row, values, strict=True)))

    with ctx.workprec(400):
        for key, array in arguments.items():
            for index in np.ndindex(array.shape):
                ends = []
                for sign in (1, -1):
                    moved = {other: [list(r) if isinstance(r, list) else r for r in a] for other, a in exact.items()}
                    row = moved[key] if array.ndim == 1 else moved[key][index[0]]
                    row[index[-1]] = row[index[-1]] + sign * step
                    ends.append(loss(moved))
                difference = float((ends[0] - ends[1]) / (2 * step))
                assert certified[f"ct_{key}"][index] == pytest.approx(difference, rel=1e-15, abs=1e-15)


def test_what_vanishes_exactly_is_zero():
    even = certified_operation("layer_norm", {"x": [[0.1, 0.7, -0.3]]}, [[0.3, 0.3, 0.3]], {"epsilon": 1e-5})
    assert even["ct_x"].tolist() == [[0.0, 0.0, 0.0]]
    one = certified_operation("layer_norm", {"x": [[0.1]], "bias": [0.3]}, [[0.7]], {"epsilon": 1e-5})
    assert (one["y"].tolist(), one["ct_x"].tolist(), one["ct_bias"].tolist()) == ([[0.3]], [[0.0]], [0.7])


def test_a_worked_example_of_a_layer_norm():
    # d = (-1, 1), s² = 1 + 3 = 4: y = d / 2; ∂y₀/∂x = ((1/2)(4) - 1/2, -(1/2)(4) + 1/2) / 8
    found = certified_operation("layer_norm", {"x": [[1.0, 3.0]]}, [[1.0, 0.0]], {"epsilon": 3.0})
    assert found["y"].tolist() == [[-0.5, 0.5]]
    assert found["ct_x"].tolist() == [[0.1875, -0.1875]]


def test_a_row_without_size_has_no_answer_without_epsilon():
    with pytest.raises(ArithmeticError, match="rms_norm"):
        certified_operation("rms_norm", {"x": [[0.0, 0.0]]}, [[1.0, 0.0]], {"epsilon": 0.0})
