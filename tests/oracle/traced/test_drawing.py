"""Arguments that are drawn from an example: of its kind, in the declared format, the same each time."""

import numpy as np
import pytest

from functional_mlp.oracle.noise import precision_named
from functional_mlp.oracle.traced.drawing import PURPOSES, draws, jittered
from functional_mlp.oracle.traced.question import arguments_of

X, W = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32), np.ones((5, 3), np.float32)


def affine(x, w):
    return x @ w


def test_what_is_drawn_is_of_the_kind_of_the_example():
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(4), 3)
    np.testing.assert_allclose(jittered(probabilities, rng).sum(axis=-1), 1.0)
    positive = rng.uniform(1, 5, (3, 4))
    assert (jittered(positive, rng) > 0).all()
    symmetric = np.eye(3) + 0.1
    drawn = jittered(symmetric, rng)
    np.testing.assert_allclose(drawn, drawn.T)
    assert (np.linalg.eigvalsh(drawn) > 0).all()
    mask = np.where(rng.random((3, 4)) < 0.5, -np.inf, 0.0)
    np.testing.assert_array_equal(jittered(mask, rng), mask)
    bits = (rng.random((8, 8)) < 0.5).astype(float)
    assert sorted(jittered(bits, rng).ravel()) == sorted(bits.ravel())
    assert jittered(np.zeros(5), rng).any()


@pytest.mark.parametrize(("precision", "expected"), [("float32", "float32"), ("bfloat16/float32", "bfloat16")])
def test_draws_are_of_the_declared_format_and_the_same_each_time(precision, expected):
    called = arguments_of(affine, (X, W))
    first, second = (list(draws(called, precision_named(precision), 0)) for _ in range(2))
    assert [draw.name for draw in first] == [name for name in PURPOSES if name != "repeated indices"]
    for one, other in zip(first, second, strict=True):
        for a, b in zip(one.leaves, other.leaves, strict=True):
            assert a.dtype.name == expected
            np.testing.assert_array_equal(a, b)
