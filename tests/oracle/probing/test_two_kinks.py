"""Two kinks: whatever a program takes exactly there is right, and named; a mistake beside it is not."""

import numpy as np
import pytest

import functional_mlp as fm
from functional_mlp import oracle
from functional_mlp.oracle import Verdict

ENDS = {"relu6": (0, 6), "hardtanh": (-1, 1), "hard_sigmoid": (-3, 3), "hard_swish": (-3, 3)}
VALUES = {
    "relu6": lambda z: np.clip(z, 0, 6),
    "hardtanh": lambda z: np.clip(z, -1, 1),
    "hard_sigmoid": lambda z: np.clip(z / 6 + 0.5, 0, 1),
    "hard_swish": lambda z: z * np.clip(z / 6 + 0.5, 0, 1),
}
INSIDE = {
    "relu6": lambda z: np.ones_like(z),
    "hardtanh": lambda z: np.ones_like(z),
    "hard_sigmoid": lambda z: np.full_like(z, 1 / 6),
    "hard_swish": lambda z: z / 3 + 0.5,
}
SIDES = {"outer side": 0.0, "inner side": 1.0, "middle": 0.5}


def slope(name, z, share, factor=1.0):
    """The derivative of which so much of the inner side is taken exactly at the ends."""
    low, high = ENDS[name]
    inside, outside = factor * INSIDE[name](z), (z > high) * float(name == "hard_swish")
    piece = np.where((z > low) & (z < high), inside, outside)
    outer = np.where(z >= high, float(name == "hard_swish"), 0.0)
    return np.where((z == low) | (z == high), share * inside + (1 - share) * outer, piece)


def program(name, share, factor=1.0):
    def gradients(params, x, t):
        (w1, b1), (w2, b2) = params
        z = x @ w1 + b1
        a = VALUES[name](z)
        ct2 = 2 * (a @ w2 + b2 - t)
        ct1 = (ct2 @ w2.T) * slope(name, z, share, factor)
        return [(x.T @ ct1, ct1.sum(0)), (a.T @ ct2, ct2.sum(0))]

    return gradients


@pytest.mark.slow
@pytest.mark.parametrize("name", ENDS)
@pytest.mark.parametrize("side", SIDES)
def test_every_convention_at_the_kinks_is_right_and_named(name, side):
    asked = (fm.Network((3, 5, 2), (name, "identity")), fm.Loss("squared_error"))
    report = oracle.check_function(program(name, SIDES[side]), *asked)
    assert report.verdict is Verdict.CONSISTENT, report.text()
    said = [note for note in report.notes if "at the kink" in note]
    assert len(said) == (side != "outer side")
    assert all(side in note and f"z = {ENDS[name][1]}" in note for note in said)
    off = oracle.check_function(program(name, SIDES[side], factor=1.001), *asked)
    assert off.verdict is Verdict.WRONG
