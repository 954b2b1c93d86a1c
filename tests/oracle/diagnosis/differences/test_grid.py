"""Finite differences: known by the grid on which they lie, and by nothing else."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import functional_mlp as fm
from functional_mlp import oracle
from functional_mlp.oracle.diagnosis.differences import differences_on_grid

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
        *((np.float64, step) for step in (1e-4, 1e-5, 3e-7, 2.0**-26)),
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


SPOILT = {
    "rounded": lambda g: np.round(g, 3),
    "cut off": lambda g: np.trunc(g * 1000) / 1000,
    "fixed point": lambda g: np.floor(g * 256) / 256,
    "float16": lambda g: g.astype(np.float16),
    "bfloat16": lambda g: g.astype(ml_dtypes.bfloat16),
    "signs": np.sign,
    "ones": np.ones_like,
}


@pytest.mark.parametrize("spoil", SPOILT)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_numbers_on_other_grids_are_no_finite_differences(dtype, spoil):
    for seed in range(8):
        case = oracle.draw_case(CASE.network, CASE.loss, samples=9, seed=seed, dtype=dtype)
        solution = oracle.solve(case)
        unit = {"float64": 2.0**-53, "float32": 2.0**-24}[dtype]
        leaves = [leaf.astype(dtype) for layer in solution.grads for leaf in layer]
        numbers = np.concatenate([SPOILT[spoil](leaf).astype(float).ravel() for leaf in leaves])
        assert differences_on_grid(numbers, solution.loss, unit) == ()


@pytest.mark.parametrize("rate", [1e-2, 1e-3, 1e-4])
def test_a_step_whose_numbers_lie_on_the_grid_of_the_parameters_is_no_finite_difference(rate):
    case = oracle.draw_case(CASE.network, CASE.loss, samples=9, seed=4, dtype="float32")
    rng = np.random.default_rng(0)
    after = [
        tuple((np.float32(leaf) - np.float32(rate) * np.float32(g * (1 + 1e-2 * rng.normal()))) for leaf, g in pairs)
        for pairs in (zip(*layers, strict=True) for layers in zip(case.params, oracle.solve(case).grads, strict=True))
    ]
    report = oracle.check_update(case, after, rate, precision="float32")
    assert report.diagnosis is None or "finite-difference" not in {one.id for one in report.diagnosis.mistakes}


@given(st.integers(0, 2**32 - 1), st.sampled_from([2.0**-53, 2.0**-24]))
def test_random_numbers_lie_on_no_grid(seed, unit):
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=rng.integers(1, 60)) * 10.0 ** rng.uniform(-3, 3)
    if unit > 1e-10:
        numbers = numbers.astype(np.float32).astype(float)
    assert differences_on_grid(numbers, 0.7, unit) == ()


def test_few_or_equal_numbers_are_no_evidence():
    step = 2.0**-23 / 1e-5
    assert differences_on_grid(step * np.arange(1.0, 12.0), 1.5, 2.0**-24)
    assert differences_on_grid(np.full(50, step), 1.5, 2.0**-24) == ()
    assert differences_on_grid(np.zeros(50), 1.5, 2.0**-24) == ()
    assert differences_on_grid(np.zeros(0), 1.5, 2.0**-24) == ()


@pytest.mark.parametrize("size", [5e-324, 1e-310, 1e308])
@pytest.mark.parametrize("loss", [5e-324, 5e-320, 1e-300, 1.0, 1e308])
def test_numbers_and_losses_at_the_ends_of_float64_are_no_trouble(size, loss):
    numbers = size * np.random.default_rng(0).uniform(0.1, 1, size=30)
    for unit in (2.0**-53, 2.0**-24, 2.0**-8):
        assert differences_on_grid(numbers, loss, unit) == ()


@pytest.mark.parametrize("loss", [0.0, np.inf, np.nan])
def test_a_loss_without_spacing_has_no_grid(loss):
    assert differences_on_grid(np.arange(50.0), loss, 2.0**-24) == ()
    assert differences_on_grid(np.array([np.nan, 1.0]), 1.0, 2.0**-24) == ()
