"""Operations of JAX beside a reference: what JAX differentiates becomes a backward pass that is asked."""

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from functional_mlp.oracle.adapters.operations import backward_by_jax, check_operation, framework_of
from functional_mlp.oracle.verdict import Verdict

X = np.random.default_rng(0).normal(size=(3, 4))


def silu_of(slope):
    """A custom_vjp of x * sigmoid(x) whose backward pass takes a slope of the sigmoid s."""

    @jax.custom_vjp
    def silu(x):
        return x * jax.nn.sigmoid(x)

    silu.defvjp(
        lambda x: (silu(x), x),
        lambda x, ct: (ct * (jax.nn.sigmoid(x) + x * slope(jax.nn.sigmoid(x))),),
    )
    return silu


@pytest.mark.parametrize("dtype", [np.float64, np.float32, ml_dtypes.bfloat16])
def test_a_custom_vjp_is_judged_by_the_function_that_it_was_made_of(dtype):
    x = X.astype(dtype)
    report = check_operation(silu_of(lambda s: s * (1 - s)), None, x)
    assert report.verdict is Verdict.CONSISTENT
    assert report.precision == np.dtype(dtype).name
    wrong = check_operation(silu_of(lambda s: s), None, x)
    assert {leaf.path for leaf in wrong.leaves if leaf.verdict is Verdict.WRONG} == {"x"}
    at_two = next(one for one in wrong.at_numbers if one.z == 2)
    assert (at_two.yours, at_two.right) == pytest.approx((3 * 0.8807971, 1.0907843), rel=2e-2)
    assert "The derivative at single numbers" in wrong.text()
    assert len(wrong.document()["at_numbers"]) == len(wrong.at_numbers)


def test_only_functions_of_single_numbers_have_a_derivative_at_them():
    for function in (lambda x: jnp.cumsum(x), lambda x: jnp.sum(x * x), lambda x: x[:1] * x):
        report = check_operation(lambda x, ct, of=function: jax.vjp(of, x)[1](ct)[0], function, X[0])
        assert report.at_numbers == ()


def test_a_plain_function_is_differentiated_where_that_is_declared():
    def ours(x, rows):
        return {"picked": x[rows], "count": jnp.sum(x > 0)}

    report = check_operation(ours, ours, (X, np.array([0, 2])), framework="jax", precision="float32")
    assert report.verdict is Verdict.CONSISTENT
    assert {leaf.path for leaf in report.leaves} == {"x", "outputs.picked"}
    outputs, gradients = backward_by_jax(ours)(X, np.array([0, 2]), {"picked": np.ones((2, 4)), "count": None})
    assert outputs["picked"].dtype == np.float64
    np.testing.assert_array_equal(gradients[0][1], 0)
    assert gradients[1] is None


def test_bad_input():
    with pytest.raises(TypeError, match="expected function to be a reference in JAX, got None"):
        check_operation(lambda x, ct: ct, None, X)
    with pytest.raises(ValueError, match="unknown framework 'tensorflow'"):
        check_operation(lambda x, ct: ct, jnp.sin, X, framework="tensorflow")
    assert framework_of(np.sin) == framework_of(lambda x: x) == ""
