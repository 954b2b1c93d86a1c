"""The circles reference: every printed digit, the true gradient by central differences, each quirk."""

from __future__ import annotations

import numpy as np
import pytest

from functional_mlp.experiments.published import circles


@pytest.fixture(scope="module")
def published() -> circles.Result:
    return circles.train(circles.initial_params(), *circles.data())


def _printed(value: float) -> str:
    return str(round(float(value), 8))


@pytest.mark.parametrize(("iteration", "loss", "accuracy"), circles.PUBLISHED_TRAJECTORY)
def test_every_printed_digit_is_reproduced(published: circles.Result, iteration: int, loss: str, accuracy: str) -> None:
    assert _printed(published.loss[iteration]) == loss
    assert _printed(published.accuracy[iteration]) == accuracy


def test_accuracy_wanders_as_published(published: circles.Result) -> None:
    assert (published.accuracy.min(), published.accuracy.max()) == (0.466, 0.922)


def test_data_and_params_have_the_published_shapes() -> None:
    inputs, targets = circles.data()
    assert (inputs.shape, targets.shape, targets.dtype) == ((1000, 2), (1000, 1), np.float64)
    assert set(np.unique(targets)) == {0, 1}
    shapes = [(weights.shape, bias.shape) for weights, bias in circles.initial_params()]
    assert shapes == [((2, 4), (4,)), ((4, 3), (3,)), ((3, 1), (1,))]


def _spread_params() -> circles.Params:
    """Parameters ten times the published ones: the published units are nearly dead."""
    return [(10 * weights, 10 * bias) for weights, bias in circles.initial_params(seed=3)]


def test_corrected_gradient_agrees_with_central_differences() -> None:
    inputs, targets = (array[:40] for array in circles.data())
    params, h = _spread_params(), 1e-6
    grads = circles.gradients(params, inputs, targets, "corrected")
    assert max(np.abs(leaf).max() for pair in grads for leaf in pair) > 1
    for pair, grad_pair in zip(params, grads, strict=True):
        for leaf, grad in zip(pair, grad_pair, strict=True):
            for index in np.ndindex(leaf.shape):
                kept, values = leaf[index], []
                for moved in (kept + h, kept - h):
                    leaf[index] = moved
                    values.append(circles.loss(circles.forward(params, inputs), targets))
                leaf[index] = kept
                assert (values[0] - values[1]) / (2 * h) == pytest.approx(grad[index], rel=1e-6, abs=1e-6)


def test_published_gradient_is_twice_the_true_one_and_averages_the_bias() -> None:
    inputs, targets = (array[:40] for array in circles.data())
    params = _spread_params()
    true = circles.gradients(params, inputs, targets, "corrected")
    for (weights, bias), (true_weights, true_bias) in zip(
        circles.gradients(params, inputs, targets, "published"), true, strict=True
    ):
        np.testing.assert_allclose(weights, 2 * true_weights, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(bias, 2 / 40 * true_bias, rtol=1e-10, atol=1e-12)


def test_published_gradient_vanishes_where_the_output_is_saturated_and_wrong() -> None:
    params = [(np.zeros(weights.shape), np.zeros(bias.shape)) for weights, bias in circles.initial_params()]
    params[-1][1][:] = -800.0  # p underflows the clip: wrong for target 1, and as wrong as can be
    inputs, targets = np.ones((1, 2)), np.ones((1, 1))
    assert abs(circles.gradients(params, inputs, targets, "published")[-1][1][0]) < 1e-190
    assert circles.gradients(params, inputs, targets, "corrected")[-1][1][0] == pytest.approx(-1)


def test_loss_is_a_sum_over_samples_and_finite_when_saturated() -> None:
    assert circles.loss(np.full((4, 1), 0.5), np.ones((4, 1))) == pytest.approx(4 * np.log(2))
    assert circles.loss(np.zeros((1, 1)), np.ones((1, 1))) == pytest.approx(-np.log(circles.EPS))


def test_train_is_its_steps_and_keeps_its_arguments() -> None:
    start, (inputs, targets) = circles.initial_params(), circles.data()
    result = circles.train(start, inputs, targets, variant="corrected", iterations=5)
    steps = list(circles.steps(start, inputs, targets, variant="corrected", iterations=5))
    assert [step.loss for step in steps] == result.loss.tolist()
    last = circles.updated(steps[-1].params, steps[-1].gradients, circles.LEARNING_RATE)
    for pairs in ((last, result.params), (start, circles.initial_params())):
        for (weights, bias), (other_weights, other_bias) in zip(*pairs, strict=True):
            np.testing.assert_array_equal(weights, other_weights)
            np.testing.assert_array_equal(bias, other_bias)


def test_published_step_learns_under_the_cosine_schedule() -> None:
    inputs, targets = circles.data()
    schedule = circles.cosine_schedule(1e-3, 2000)
    assert (schedule(0), schedule(1000), schedule(2000)) == pytest.approx((1e-3, 5e-4, 0))
    result = circles.train(circles.initial_params(), inputs, targets, learning_rate=schedule, iterations=2000)
    assert circles.accuracy(circles.forward(result.params, inputs), targets) == pytest.approx(0.988)


def test_corrected_gradient_learns_nothing_at_the_published_rate() -> None:
    result = circles.train(circles.initial_params(), *circles.data(), variant="corrected")
    assert result.loss[5:] == pytest.approx(1000 * np.log(2), rel=1e-3)


@pytest.mark.usefixtures("as_a_person")
def test_other_dtypes_and_variants_are_refused() -> None:
    inputs, targets = circles.data()
    with pytest.raises(TypeError, match="float64"):
        circles.forward(circles.initial_params(), inputs.astype(np.float32))
    with pytest.raises(ValueError, match="corrected"):
        circles.gradients(circles.initial_params(), inputs, targets, "correct")  # type: ignore[arg-type]


def test_module_prints_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    circles.main()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(circles.PUBLISHED_TRAJECTORY)
    assert lines[-1].split() == ["149", "683.6170298", "683.61702980", "0.614", "0.614"]
