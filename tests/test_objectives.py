"""Himmelblau's function, its gradient and minima, and descent on plain objectives."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import functional_mlp as fm
from tests.helpers.tolerances import RELATIVE, relative_difference

PUBLISHED = [
    ((4.0, 0.0), (3.584428, -1.848127)),
    ((1.0, 0.0), (3.0, 2.0)),
    ((-4.0, 0.0), (-3.779310, -3.283186)),
    ((-2.0, 2.0), (-2.805118, 3.131313)),
]


def test_the_hand_written_gradient_is_that_of_autodiff(rng, x64):
    points = jnp.asarray(rng.uniform(-6, 6, (50, 2)))
    value, gradient = fm.himmelblau_and_grad(points)
    assert value.shape == (50,)
    assert relative_difference(gradient, jax.vmap(jax.grad(fm.himmelblau))(points)) <= RELATIVE["float64"]


def test_the_known_minima_are_zeros_of_value_and_gradient(x64):
    value, gradient = fm.himmelblau_and_grad(fm.HIMMELBLAU_MINIMA)
    np.testing.assert_allclose(value, 0, atol=1e-28)
    np.testing.assert_allclose(gradient, 0, atol=1e-12)
    assert not fm.HIMMELBLAU_MINIMA.flags.writeable


def test_the_four_published_starts_reach_their_minima_in_float32():
    starts, minima = (np.asarray(column, np.float32) for column in zip(*PUBLISHED, strict=True))
    path = fm.descend(fm.himmelblau_and_grad, starts, optax.sgd(0.01), steps=200)
    assert path.points.shape == (201, 4, 2)
    assert path.points.dtype == jnp.float32
    np.testing.assert_allclose(path.points[-1], minima, atol=1e-5)
    assert np.asarray(path.values[-1]).max() <= 1e-10
    np.testing.assert_array_equal(path.points[0], starts)


def test_recording_less_changes_nothing_but_the_record():
    start = jnp.asarray([4.0, 0.0])
    optimizer = optax.sgd(0.01)
    every = fm.descend(fm.himmelblau_and_grad, start, optimizer, steps=20)
    fifth = fm.descend(fm.himmelblau_and_grad, start, optimizer, steps=20, record_every=5)
    np.testing.assert_array_equal(fifth.points, every.points[::5])
    np.testing.assert_array_equal(fifth.values, every.values[::5])


def test_any_objective_and_optimiser():
    def bowl(point):
        return jnp.sum(point**2, axis=-1), 2 * point

    path = fm.descend(bowl, jnp.full((3, 5), 2.0), optax.sgd(0.1, momentum=0.5), steps=300)
    assert np.asarray(path.values[-1]).max() < 1e-4


def test_bad_input(says):
    start, optimizer = np.zeros(2, np.float32), optax.sgd(0.1)
    descend = fm.descend
    says(ValueError, ["(..., 2)", "(3,)"], fm.himmelblau_and_grad, np.zeros(3, np.float32))
    says(TypeError, ["point", "int64"], fm.himmelblau_and_grad, np.zeros(2, int))
    says(ValueError, ["steps", "0"], descend, fm.himmelblau_and_grad, start, optimizer, 0)
    says(TypeError, ["steps", "2.5"], descend, fm.himmelblau_and_grad, start, optimizer, 2.5)
    says(TypeError, ["call it: sgd(learning_rate)"], descend, fm.himmelblau_and_grad, start, optax.sgd, 5)
    says(ValueError, ["(...)", "jnp.vectorize"], descend, jax.value_and_grad(lambda p: p.sum()), start, optimizer, 5)
    with pytest.raises(ValueError, match="divide the 10 steps, got 3"):
        descend(fm.himmelblau_and_grad, start, optimizer, 10, record_every=3)


def test_ascent_goes_up_and_records_the_objective(x64):
    """Himmelblau's function has one maximum, near (-0.27, -0.92); descent of minus the function takes the same way."""

    def negative(points):
        value, gradient = fm.himmelblau_and_grad(points)
        return -value, -gradient

    start, steps = jnp.array([0.5, 0.3]), 500
    up = fm.descend(fm.himmelblau_and_grad, start, optax.sgd(0.01), steps, maximise=True)
    down = fm.descend(negative, start, optax.sgd(0.01), steps)
    np.testing.assert_array_equal(up.points, down.points)
    np.testing.assert_array_equal(up.values, -down.values)
    assert np.diff(up.values).min() > -1e-9
    np.testing.assert_allclose(up.points[-1], [-0.270845, -0.923039], atol=1e-5)
