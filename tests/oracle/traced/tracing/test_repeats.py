"""A function that draws or keeps something by itself is refused by its line; one that does not is not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from functional_mlp.oracle import check_vjp
from functional_mlp.oracle.traced.tracing import UnrepeatableError, trace_vjp

X = np.linspace(0.5, 1.5, 12).reshape(3, 4)
RANDOM = np.random.default_rng(0)
MASK = np.where(RANDOM.random(X.shape) > 0.5, 1.0, np.nan)
CALLS: list[int] = []


def noisy(x):
    return x + RANDOM.normal(size=x.shape)


def scaled(x):
    return x * RANDOM.random()


def dropped(x):
    return jnp.where(RANDOM.random(x.shape) > 0.5, x, 0.0)


def dropped_by_jax(x):
    return x * jax.random.bernoulli(jax.random.key(int(RANDOM.integers(1 << 30))), 0.5, x.shape)


def shuffled(x):
    return x[RANDOM.permutation(3)]


def sliced(x):
    return lax.dynamic_slice_in_dim(x, 0, 1 + next_call() % 3)


def rolled(x):
    return jnp.roll(x, next_call(), axis=0) + x.sum()


def constant(x):
    return jnp.asarray(RANDOM.normal(size=3)), x


def in_a_loop(x):
    return lax.scan(lambda carry, row: (carry * RANDOM.random(), row + carry), x[0], x)[1]


def in_a_branch(x):
    return lax.cond(x.sum() > 0, lambda x: x * RANDOM.normal(size=x.shape), lambda x: x, x)


def another_each_time(x):
    return jnp.sin(x) if next_call() % 2 else jnp.cos(x)


def longer_each_time(x):
    for _ in range(next_call()):
        x = jnp.sin(x)
    return x


def next_call():
    CALLS.append(0)
    return len(CALLS)


@pytest.mark.parametrize(
    "function",
    [
        *(noisy, scaled, dropped, dropped_by_jax, shuffled, sliced, rolled),
        *(constant, in_a_loop, in_a_branch, another_each_time, longer_each_time),
    ],
)
def test_what_a_function_draws_or_keeps_itself_is_refused_by_its_line(function):
    with pytest.raises(UnrepeatableError, match="another one each time that it is called") as caught:
        trace_vjp(function, [X], jax.tree.structure((X,)), [0])
    assert "\n" not in str(caught.value)
    assert ("(test_repeats.py:" in str(caught.value)) == (function is not constant)


def test_the_oracle_refuses_it_in_that_sentence():
    with pytest.raises(ValueError, match=r"^the function is another one .*\(test_repeats.py:\d+\): it draws random"):
        check_vjp(noisy, X, X, X)


def masked(x):
    return jnp.where(np.isnan(MASK), 0.0, x) * np.random.default_rng(3).normal(size=x.shape) + np.nansum(MASK)


@jax.jit
def called(x):
    return jax.nn.gelu(x) + jax.nn.relu(x) * MASK.size


def over_rows(x):
    return lax.scan(lambda carry, row: (carry + 0.5 * row, called(row)), x[0], x)[1]


@pytest.mark.parametrize("function", [masked, called, over_rows, jax.vmap(called), jax.checkpoint(masked)])
def test_what_is_the_same_each_time_is_not(function):
    assert trace_vjp(function, [X], jax.tree.structure((X,)), [0]).outputs == 1


def test_keys_that_are_closed_over_are_the_same_each_time():
    key = jax.random.key(1)
    dropout = lambda x: x * jax.random.bernoulli(key, 0.5, x.shape)  # noqa: E731
    assert trace_vjp(dropout, [X], jax.tree.structure((X,)), [0]).outputs == 1


def test_a_function_is_traced_twice_in_all():
    calls = []

    def counting(x):
        calls.append(x)
        return (x**2).sum()

    assert check_vjp(counting, X, 2 * X).verdict == "consistent"
    assert len(calls) == 2
