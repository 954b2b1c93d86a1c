"""Finite differences: known by the grid on which they lie, and by nothing else."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import functional_mlp as fm
from benchmarks._textbook import Arithmetic, gradients
from functional_mlp import oracle
from functional_mlp.oracle.differences import differences_on_grid, grid_spacing

NONE = np.zeros(0)
CASE = oracle.draw_case(
    fm.Network((3, 5, 2), ("tanh", "identity")), fm.Loss("squared_error", over_samples="mean"), samples=9, seed=4
)


def by_differences(case: oracle.Case, step: float, dtype: type, central: bool) -> list[tuple[np.ndarray, np.ndarray]]:
    """What a person's NumPy program returns that perturbs one parameter after the other."""
    step_ = dtype(step)
    leaves = [np.array(leaf, dtype) for layer in case.params for leaf in layer]
    x, t = np.asarray(case.inputs, dtype), np.asarray(case.targets, dtype)

    def loss() -> np.floating:
        w, b, v, c = leaves
        out = np.tanh(x @ w + b) @ v + c
        return dtype(((out - t) ** 2).sum() / dtype(len(x)))

    grads = []
    for leaf in leaves:
        grad = np.zeros_like(leaf)
        for at in np.ndindex(leaf.shape):
            kept = leaf[at]
            leaf[at] = kept + step_
            ahead = loss()
            leaf[at] = kept - step_ if central else kept
            behind = loss()
            leaf[at] = kept
            grad[at] = (ahead - behind) / (2 * step_ if central else step_)
        grads.append(grad)
    return [(grads[0], grads[1]), (grads[2], grads[3])]


@pytest.mark.parametrize("central", [False, True])
@pytest.mark.parametrize(
    ("dtype", "step"),
    [
        *((np.float64, step) for step in (1e-4, 1e-5, 3e-7, 2.0**-20)),
        *((np.float32, step) for step in (1e-3, 1e-5, 3e-4)),
    ],
)
def test_a_program_of_finite_differences_is_named_with_its_step(dtype, step, central):
    case = oracle.draw_case(CASE.network, CASE.loss, samples=9, seed=4, dtype=np.dtype(dtype).name)
    grads = by_differences(case, step, dtype, central)
    report = oracle.check(case, grads, precision=np.dtype(dtype).name)
    assert report.verdict is oracle.Verdict.WRONG
    [found] = report.diagnosis.mistakes
    assert found.id == "finite-difference"
    assert report.diagnosis.ties == ()
    # a grid is that of forward differences or of central ones with half the step
    assert any(found.value == pytest.approx(step * factor, rel=0.02) for factor in (0.5, 1, 2))


@pytest.mark.parametrize("decimals", [3, 6])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_rounded_numbers_are_no_finite_differences(dtype, decimals):
    case = oracle.draw_case(CASE.network, CASE.loss, samples=9, seed=4, dtype=dtype)
    right = gradients(case, Arithmetic(np.dtype(dtype)), fused=True).grads
    grads = [tuple(np.round(leaf, decimals) for leaf in layer) for layer in right]
    report = oracle.check(case, grads, precision=dtype)
    assert report.diagnosis is None or report.diagnosis.mistakes == ()


@given(st.integers(0, 2**32 - 1), st.sampled_from([2.0**-53, 2.0**-24]))
def test_random_numbers_lie_on_no_grid(seed, unit):
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=rng.integers(1, 60)) * 10.0 ** rng.uniform(-3, 3)
    if unit > 1e-10:
        numbers = numbers.astype(np.float32).astype(float)
    assert differences_on_grid(numbers, 0.7, unit) == ()


@given(st.integers(0, 2**32 - 1), st.floats(1e-6, 1e3))
def test_the_spacing_of_a_grid_is_found(seed, spacing):
    multiples = np.random.default_rng(seed).integers(-1000, 1000, size=30)
    rounded = (multiples * spacing).astype(np.float32).astype(float)
    found = grid_spacing(rounded, 2.0**-24, NONE)
    assert found == pytest.approx(spacing * np.gcd.reduce(multiples), rel=1e-5)


def test_few_numbers_are_no_evidence():
    spacing = partial(grid_spacing, unit=2.0**-24, likely=NONE)
    assert spacing(np.array([0.5, 1.0])) is None
    assert spacing(np.zeros(50)) is None
    assert spacing(NONE) is None


@pytest.mark.parametrize("size", [5e-324, 1e-310, 1e308])
def test_numbers_at_the_ends_of_float64_are_no_trouble(size):
    numbers = size * np.random.default_rng(0).uniform(0.1, 1, size=30)
    assert grid_spacing(numbers, 2.0**-53, NONE) is None or size < 1e-300  # few bits are left of a subnormal number


@pytest.mark.parametrize("loss", [0.0, np.inf, np.nan])
def test_a_loss_without_spacing_has_no_grid(loss):
    assert differences_on_grid(np.arange(50.0), loss, 2.0**-24) == ()
    assert differences_on_grid(np.array([np.nan, 1.0]), 1.0, 2.0**-24) == ()
