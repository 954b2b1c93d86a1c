"""What other outcomes of comparisons may do: ties of maxima and of copies, and other formulas for the same function."""

import jax.numpy as jnp
import numpy as np
import pytest

from functional_mlp.oracle import check_vjp


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "bfloat16 in float32", "float16 in float32"])
@pytest.mark.parametrize("place", [1, 3])
def test_at_a_tie_of_a_maximum_either_is_right_in_any_precision(precision, place):
    x, ct = np.array([[1.0, 2.75, 0.5, 2.75]], np.float32), np.ones(1, np.float32)
    given = np.zeros_like(x)
    given[0, place] = 1
    assert check_vjp(lambda x: jnp.max(x, -1), (x,), (given,), ct, precision=precision).verdict == "consistent"
    given[0, 0] = 0.5
    assert check_vjp(lambda x: jnp.max(x, -1), (x,), (given,), ct, precision=precision).verdict == "wrong"


@pytest.mark.parametrize("first", [True, False])
def test_ties_of_copies_are_taken_by_their_own_order(first):
    """Two rows are equal; which of them comes first differs from bag to bag, and who takes the first takes either."""
    weight, bags = np.array([[1.0], [3.0], [2.0], [3.0]], np.float32), np.array([[1, 0, 3], [3, 1, 2], [0, 1, 3]])
    ct, given = np.array([[1.0], [10.0], [100.0]], np.float32), np.zeros((4, 1), np.float32)
    for bag, of_bag in zip(bags, ct, strict=True):
        ties = bag[weight[bag, 0] == 3]
        given[ties[0 if first else -1]] += of_bag
    assert check_vjp(lambda w: w[bags].max(1), (weight,), (given,), ct).verdict == "consistent"
    given[0] = 1
    assert check_vjp(lambda w: w[bags].max(1), (weight,), (given,), ct).verdict == "wrong"


def test_a_sigmoid_that_is_computed_by_a_logarithm_is_right():
    x = np.linspace(-90, 90, 400)

    def softplus(x):
        return jnp.maximum(x, 0) + jnp.log1p(jnp.exp(-jnp.abs(x)))

    assert check_vjp(softplus, (x,), (np.exp(x - np.logaddexp(x, 0)),), np.ones(400)).verdict == "consistent"
