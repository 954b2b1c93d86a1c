"""The three-phase reference: slopes by central differences, both readings, both forms, the stopping rule."""

from __future__ import annotations

import numpy as np
import pytest

from functional_mlp.experiments.published import three_phase

READINGS: tuple[three_phase.Reading, ...] = ("gradients-first", "updated-weights-used")


@pytest.fixture(scope="module")
def samples() -> tuple[three_phase.Array, three_phase.Array]:
    return three_phase.data()


def test_data_and_params_have_the_stated_shapes(samples: tuple[three_phase.Array, three_phase.Array]) -> None:
    assert [array.shape for array in samples] == [(300, 2), (300, 1)]
    shapes = [(weights.shape, bias.shape) for weights, bias in three_phase.initial_params(0)]
    assert shapes == [((2, 4), (4,)), ((4, 4), (4,)), ((4, 1), (1,))]


def test_gradients_first_agrees_with_central_differences(
    samples: tuple[three_phase.Array, three_phase.Array],
) -> None:
    inputs, targets = samples[0][:20], samples[1][:20]
    params, h = three_phase.initial_params(0), 1e-5
    slopes = three_phase.gradients(params, inputs, targets)
    for pair, slope_pair in zip(params, slopes, strict=True):
        for leaf, slope in zip(pair, slope_pair, strict=True):
            for index in np.ndindex(leaf.shape):
                kept, values = leaf[index], []
                for moved in (kept + h, kept - h):
                    leaf[index] = moved
                    values.append(three_phase.loss(three_phase.forward(params, inputs), targets))
                leaf[index] = kept
                assert (values[0] - values[1]) / (2 * h) == pytest.approx(slope[index], rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("reading", READINGS)
def test_node_by_node_and_matrix_form_agree_to_rounding(
    samples: tuple[three_phase.Array, three_phase.Array], reading: three_phase.Reading
) -> None:
    params = three_phase.initial_params(0)
    pairs = zip(
        three_phase.gradients(params, *samples, variant="published", reading=reading),
        three_phase.gradients(params, *samples, variant="corrected", reading=reading),
        strict=True,
    )
    for (weights, bias), (other_weights, other_bias) in pairs:
        np.testing.assert_allclose(weights, other_weights, rtol=1e-11, atol=1e-15)
        np.testing.assert_allclose(bias, other_bias, rtol=1e-11, atol=1e-15)


def test_readings_share_the_last_layer_and_differ_before_it(
    samples: tuple[three_phase.Array, three_phase.Array],
) -> None:
    params = three_phase.initial_params(0)
    first, used = (three_phase.gradients(params, *samples, reading=reading) for reading in READINGS)
    np.testing.assert_array_equal(first[-1][0], used[-1][0])
    for layer in (0, 1):
        assert not np.allclose(first[layer][0], used[layer][0], rtol=1e-3, atol=0)
    # The difference comes from the updates alone: at rate 0 there is none.
    still = three_phase.gradients(params, *samples, reading=READINGS[1], learning_rate=0.0)
    np.testing.assert_array_equal(first[0][0], still[0][0])


def test_updated_weights_used_is_the_gradient_with_the_later_weights_exchanged(
    samples: tuple[three_phase.Array, three_phase.Array],
) -> None:
    """Done by hand for one sample: cotangents through the updated weights, activations of the old ones."""
    inputs, targets = samples[0][:1], samples[1][:1]
    params = three_phase.initial_params(0)
    (w1, b1), (w2, b2), (w3, b3) = params
    a1 = 1 / (1 + np.exp(-(inputs @ w1 + b1)))
    a2 = 1 / (1 + np.exp(-(a1 @ w2 + b2)))
    a3 = 1 / (1 + np.exp(-(a2 @ w3 + b3)))
    ct_z3 = (a3 - targets) * a3 * (1 - a3)
    ct_z2 = (ct_z3 @ (w3 - 2.0 * a2.T @ ct_z3).T) * a2 * (1 - a2)
    ct_z1 = (ct_z2 @ (w2 - 2.0 * a1.T @ ct_z2).T) * a1 * (1 - a1)
    slopes = three_phase.gradients(params, inputs, targets, reading="updated-weights-used", learning_rate=2.0)
    np.testing.assert_allclose(slopes[1][0], a1.T @ ct_z2, rtol=1e-12)
    np.testing.assert_allclose(slopes[0][0], inputs.T @ ct_z1, rtol=1e-12)
    np.testing.assert_allclose(slopes[0][1], ct_z1[0], rtol=1e-12)


@pytest.mark.parametrize("reading", READINGS)
def test_the_stopping_rule_ends_the_training_and_the_boundary_is_found(
    samples: tuple[three_phase.Array, three_phase.Array], reading: three_phase.Reading
) -> None:
    results = [three_phase.train(three_phase.initial_params(s), *samples, reading=reading) for s in range(3)]
    assert all(result.stop is three_phase.Stop.STEPS_SMALL for result in results)
    assert all(1000 < result.steps < three_phase.MAX_STEPS for result in results)
    assert np.median([result.accuracy for result in results]) >= 0.95


def test_the_last_step_is_the_first_small_one(samples: tuple[three_phase.Array, three_phase.Array]) -> None:
    start = three_phase.initial_params(0)
    ended = three_phase.train(start, *samples, tolerance=0.05)
    assert ended.stop is three_phase.Stop.STEPS_SMALL
    before = three_phase.train(start, *samples, tolerance=0.05, max_steps=ended.steps - 1)
    assert before.stop is three_phase.Stop.MAX_STEPS
    moved = [
        np.abs(leaf - other).max()
        for pair, other_pair in zip(before.params, ended.params, strict=True)
        for leaf, other in zip(pair, other_pair, strict=True)
    ]
    assert max(moved) < 0.05


def test_the_limit_ends_the_training_too(samples: tuple[three_phase.Array, three_phase.Array]) -> None:
    start = three_phase.initial_params(0)
    result = three_phase.train(start, *samples, max_steps=7)
    assert (result.steps, result.stop) == (7, three_phase.Stop.MAX_STEPS)
    np.testing.assert_array_equal(start[0][0], three_phase.initial_params(0)[0][0])
    untrained = three_phase.train(start, *samples, max_steps=0)
    assert (untrained.steps, untrained.stop) == (0, three_phase.Stop.MAX_STEPS)


def test_nan_is_never_a_small_step(samples: tuple[three_phase.Array, three_phase.Array]) -> None:
    inputs = samples[0].copy()
    inputs[0, 0] = np.nan
    result = three_phase.train(three_phase.initial_params(0), inputs, samples[1], max_steps=3)
    assert (result.steps, result.stop) == (3, three_phase.Stop.MAX_STEPS)


@pytest.mark.usefixtures("as_a_person")
@pytest.mark.parametrize("wrong", [{"variant": "clean"}, {"reading": "in-place"}])
def test_unknown_names_are_refused(samples: tuple[three_phase.Array, three_phase.Array], wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="expected"):
        three_phase.gradients(three_phase.initial_params(0), *samples, **wrong)  # type: ignore[arg-type]
