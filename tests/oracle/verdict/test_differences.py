"""Gradients that are (before − after) / rate: told by their grid, judged with the noise of the subtraction."""

import numpy as np
import pytest

import functional_mlp as fm
from functional_mlp import oracle
from functional_mlp.oracle.mistakes import plant_update
from tests.helpers.questions import question

NETWORK = fm.Network((4, 6, 3), ("sigmoid", "identity"))
LOSS = fm.Loss("squared_error", over_samples="mean")


def read_from_a_step(case, rate, mistake=None, dtype="float64"):
    after = plant_update(case, mistake, rate, dtype=dtype)
    divisor = np.dtype(dtype).type(rate)
    return [
        tuple((np.asarray(b, dtype) - a) / divisor for b, a in zip(*layers, strict=True))
        for layers in zip(case.params, after, strict=True)
    ]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("rate", [1.0, 0.3, 0.1, 0.05, 0.01, 2.0**-6, 1e-4])
def test_a_right_step_read_backwards_is_right(rate, dtype):
    for seed in range(6):
        case = oracle.draw_case(NETWORK, LOSS, samples=2 + seed, seed=seed, dtype=dtype)
        report = oracle.check(case, read_from_a_step(case, rate, dtype=dtype))
        assert report.verdict == "consistent", report.text()
        assert not any("float32" in note for note in report.notes)


def test_the_note_says_what_goes_unseen_and_what_to_ask_instead():
    case = oracle.draw_case(NETWORK, LOSS, samples=5, seed=1)
    [note] = oracle.check(case, read_from_a_step(case, 1e-3)).notes
    assert "rate of 0.001" in note
    assert "check_update" in note
    assert "1e-13 times a parameter go unseen" in note


@pytest.mark.parametrize("mistake", ["hidden-derivative-missing", "bias-summed-to-scalar", "sign-flipped"])
@pytest.mark.parametrize("rate", [1.0, 0.1, 1e-3])
def test_a_wrong_step_read_backwards_is_wrong_and_named(mistake, rate):
    case = question()
    report = oracle.check(case, read_from_a_step(case, rate, mistake))
    assert report.verdict == "wrong"
    assert mistake in {one.id for one in (*report.diagnosis.mistakes, *report.diagnosis.ties)}


def test_small_errors_are_no_differences():
    """As small as those of a step of 0.01, but on no grid."""
    case = oracle.draw_case(NETWORK, LOSS, samples=5, seed=1)
    rng = np.random.default_rng(0)
    spoilt = [
        tuple(g + 1e-14 * np.abs(p) * rng.choice([-1, 1], g.shape) for g, p in zip(*layers, strict=True))
        for layers in zip(oracle.solve(case).grads, case.params, strict=True)
    ]
    report = oracle.check(case, spoilt)
    assert report.verdict == "wrong"
    assert not any("divided by a rate" in note for note in report.notes)


@pytest.mark.parametrize("rate", [1.0, 0.1, 0.01])
def test_a_function_that_reads_its_gradients_from_steps_is_right(rate):
    def gradients(params, x, t):
        (w1, b1), (w2, b2) = params
        h = np.tanh(x @ w1 + b1)
        d2 = h @ w2 + b2 - t
        d1 = d2 @ w2.T * (1 - h * h)
        after = [(w1 - rate * x.T @ d1, b1 - rate * d1.sum(0)), (w2 - rate * h.T @ d2, b2 - rate * d2.sum(0))]
        return [tuple((b - a) / rate for b, a in zip(*pair, strict=True)) for pair in zip(params, after, strict=True)]

    network = fm.Network((3, 5, 2), ("tanh", "identity"))
    report = oracle.check_function(gradients, network, fm.Loss("squared_error", scale=0.5))
    assert report.verdict == "consistent", report.text()


def test_short_numbers_are_no_differences():
    """Those of float32 are multiples of every unit in the last place of a float64."""
    case = oracle.draw_case(NETWORK, LOSS, samples=5, seed=1)
    narrow = [tuple(leaf.astype("float32").astype("float64") for leaf in layer) for layer in oracle.solve(case).grads]
    report = oracle.check(case, narrow)
    assert report.verdict == "wrong"
    assert not any("divided by a rate" in note for note in report.notes)
