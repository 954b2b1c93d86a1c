import tracemalloc

import hypothesis
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from hypothesis import strategies as st

from functional_mlp.oracle.noise import precision_named
from functional_mlp.oracle.traced.noise import estimate
from functional_mlp.oracle.traced.tracing import trace_vjp

DTYPES = {"float64": np.float64, "float32": np.float32, "bfloat16": ml_dtypes.bfloat16, "float16": np.float16}


def traced(function, *arguments, ct=None):
    leaves, structure = jax.tree.flatten(arguments)
    moving = [i for i, leaf in enumerate(leaves) if np.asarray(leaf).dtype.kind == "f"]
    return trace_vjp(function, leaves, structure, moving, ct)


def off(floor, got):
    """By how many floors the worst entry is off."""
    return float(np.max(np.abs(np.asarray(got).astype(np.float64) - floor.centre) / (floor.smooth + floor.slack)))


def layer_norm(x, scale, shift):
    centred = x - x.mean(-1, keepdims=True)
    return centred / jnp.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * scale + shift


def layer_norm_backward(x, scale, ct):
    """By hand, every operation in the dtype of what is given; the variance as E[x^2] - E[x]^2."""
    mean = x.mean(-1, keepdims=True)
    root = 1 / np.sqrt((x * x).mean(-1, keepdims=True) - mean * mean + x.dtype.type(1e-5))
    y, g = (x - mean) * root, ct * scale
    ct_x = root * (g - g.mean(-1, keepdims=True) - y * (g * y).mean(-1, keepdims=True))
    return [ct_x, (ct * y).sum(0), ct.sum(0)]


@pytest.mark.parametrize("offset", [0.0, 30.0])
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_a_backward_by_another_formula_is_inside_and_a_wrong_one_outside(precision, offset):
    rng = np.random.default_rng(0)
    x, scale, shift, ct = (
        a.astype(DTYPES[precision])
        for a in (rng.normal(offset, 1, (12, 32)), *rng.normal(size=(2, 32)), rng.normal(size=(12, 32)))
    )
    floors = estimate(traced(layer_norm, x, scale, shift, ct=ct), precision_named(precision))[1:]
    right = layer_norm_backward(x, scale, ct)
    assert max(map(off, floors, right)) < 1
    wrong = [right[0] * (1 + 100 * np.finfo(x.dtype).eps * (1 + offset**2)), *right[1:]]
    assert off(floors[0], wrong[0]) > 1
    norms = [float(np.linalg.norm(f.smooth) / np.linalg.norm(f.true)) for f in floors]
    assert max(norms) < 100 * np.finfo(x.dtype).eps * (1 + offset**2)


def softmax(x):
    e = jnp.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@pytest.mark.parametrize(
    "reference", [softmax, jax.nn.softmax, lambda x: jnp.exp(x - jax.nn.logsumexp(x, -1)[:, None])]
)
def test_every_textbook_form_of_softmax_is_inside(reference):
    rng = np.random.default_rng(1)
    x, ct = (a.astype(np.float32) for a in (4 * rng.normal(size=(8, 16)), rng.normal(size=(8, 16))))
    e = np.exp(x)
    largest = x.max(-1, keepdims=True)
    by_log = np.exp(x - (largest + np.log(np.exp(x - largest).sum(-1, keepdims=True))))
    floor = estimate(traced(reference, x, ct=ct), precision_named("float32"))[1]
    for y in (e / e.sum(-1, keepdims=True), by_log):
        assert off(floor, y * (ct - (y * ct).sum(-1, keepdims=True))) < 1
        assert off(floor, y * ct) > 100


@pytest.mark.parametrize("reference", [jax.nn.sigmoid, lambda x: 1 / (1 + jnp.exp(-x))])
@pytest.mark.parametrize("precision", ["float32", "bfloat16/float32", "bfloat16 in float32"])
def test_a_derivative_may_be_made_of_the_output_that_was_written(reference, precision):
    dtype = DTYPES[precision.split("/")[0].split(" ")[0]]
    rng = np.random.default_rng(2)
    x, ct = (a.astype(dtype).astype(np.float32) for a in (4 + 3 * rng.normal(size=64), rng.normal(size=64)))
    y = (1 / (1 + np.exp(-x))).astype(dtype).astype(np.float32)
    got = (ct * y * (1 - y)).astype(dtype)
    floor = estimate(traced(reference, x, ct=ct), precision_named(precision))[1]
    assert off(floor, got) < 1
    assert off(floor, (ct * y).astype(dtype)) > 1


def scaled_gelu(x, scale, shift):
    return jax.nn.gelu(x) * scale + shift


@pytest.mark.parametrize(("precision", "most"), [("float64", 1e-12), ("float32", 1e-4), ("bfloat16 in float32", 3e-2)])
def test_floors_are_narrow(precision, most):
    rng = np.random.default_rng(3)
    dtype, found = DTYPES[precision.split(" ")[0]], []
    for function in (layer_norm, scaled_gelu):
        shapes = ((16, 32), 32, 32, (16, 32))
        x, a, b, ct = (rng.normal(size=s).astype(dtype).astype(np.float64) for s in shapes)
        floors = estimate(traced(function, x, a, b, ct=ct), precision_named(precision))
        found += [float(np.linalg.norm(f.smooth) / np.linalg.norm(f.true)) for f in floors]
    assert np.median(found) < most


def sequential(terms, dtype):
    """The sum over the first axis, term by term, and all sums on the way."""
    sums = [np.zeros(terms.shape[1:], dtype)]
    for row in terms.astype(dtype):
        sums.append((sums[-1] + row).astype(dtype))
    return sums[-1], np.stack(sums[1:])


@pytest.mark.parametrize("order", ["random", "sorted", "positive", "equal"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_sums_and_running_sums_one_term_after_the_other_are_inside(precision, order):
    dtype, ct = DTYPES[precision], np.random.default_rng(4).normal(size=(600, 3))
    ct = {"random": ct, "sorted": np.sort(ct, 0), "positive": np.abs(ct), "equal": np.full((600, 3), 0.1)}[order]
    ct = ct.astype(dtype).astype(np.float64)
    total, running = sequential(ct, dtype)
    bias = estimate(traced(lambda b: jnp.broadcast_to(b, (600, 3)), np.zeros(3), ct=ct), precision_named(precision))[1]
    assert off(bias, total) < 1
    reverse = traced(lambda x: jnp.cumsum(x[::-1], 0)[::-1], np.zeros((600, 3)), ct=ct)
    assert off(estimate(reverse, precision_named(precision))[1], running) < 1
    weights = traced(lambda w: jnp.ones((600, 1)) @ w, np.zeros((1, 3)), ct=ct)
    assert off(estimate(weights, precision_named(precision))[1], total) < 1


def layer_norm_in_order(x, scale, ct):
    """By hand, every operation in the dtype of what is given, sums one term after the other."""
    mean = lambda a: sequential(a.T, a.dtype)[0][:, None] / a.dtype.type(a.shape[1])  # noqa: E731
    centred = x - mean(x)
    root = 1 / np.sqrt(mean(centred * centred) + x.dtype.type(1e-5))
    y, g = centred * root, ct * scale
    ct_x = root * (g - mean(g) - y * mean(g * y))
    return [ct_x, sequential(ct * y, ct.dtype)[0], sequential(ct, ct.dtype)[0]]


def test_a_divisor_that_is_a_sum_of_one_sign_does_not_reach_zero():
    rng = np.random.default_rng(2)
    x, scale, ct = (rng.normal(size=shape).astype(ml_dtypes.bfloat16) for shape in ((250, 400), 400, (250, 400)))
    wide = [a.astype(np.float64) for a in (x, scale, 0 * scale)]
    floors = estimate(traced(layer_norm, *wide, ct=ct.astype(np.float64)), precision_named("bfloat16"))[1:]
    right = layer_norm_in_order(x, scale, ct)
    for floor, got in zip(floors, right, strict=True):
        assert np.isfinite(floor.smooth).all()
        assert not floor.slack.any()
        assert off(floor, got) < 1
        assert off(floor, 3 * np.asarray(got, np.float64)) > 1


@pytest.mark.parametrize("terms", [100, 400, 448, 600, 4000])
def test_an_inverse_of_a_sum_of_one_sign_is_inside_or_open(terms):
    x = np.full((terms, 3), 0.1).astype(ml_dtypes.bfloat16)
    floor = estimate(traced(lambda x: 1 / x.sum(0), x.astype(np.float64)), precision_named("bfloat16"))[0]
    got = 1 / sequential(x, x.dtype)[0].astype(np.float64)
    assert floor.overflow.all() == (terms > 448)
    assert off(floor, got) < 1 if terms <= 448 else np.isinf(floor.slack).all()


@hypothesis.given(
    terms=st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=40),
    seed=st.integers(0, 9),
)
@hypothesis.settings(max_examples=40)
def test_any_order_of_a_sum_is_inside(terms, seed):
    x = np.array(terms)
    floor = estimate(traced(jnp.sum, x), precision_named("float32"))[0]
    total = np.float32(0)
    for term in np.random.default_rng(seed).permutation(x).astype(np.float32):
        total += term
    assert off(floor, total) <= 1


def test_ties_are_undecided_and_an_error_beside_them_is_not():
    x = np.random.default_rng(5).normal(size=(6, 8))
    x[0], ct = 0, np.ones((6, 8))
    floor = estimate(traced(lambda x: jnp.maximum(x, 0), x, ct=ct), precision_named("float32"))[1]
    for slope in (0.0, 0.5, 1.0):
        got = np.where(x > 0, 1.0, np.where(x == 0, slope, 0))
        assert off(floor, got) < 1
        assert any(np.array_equal(got, known) for known in floor.conventions)
    assert np.array_equal(floor.causes["branch"], x == 0)
    assert np.array_equal(np.isfinite(floor.slack), np.ones(x.shape, bool))
    assert off(floor, np.where(x > 0, 2.0, 0)) > 1


def test_a_pre_activation_that_rounding_may_turn_is_a_near_tie():
    a = np.array([[0.1, 0.2, -0.3]]).astype(np.float32).astype(np.float64)
    w = np.array([[1.0, 2.0], [1.0, -1.0], [1.0, 0.5]])
    floors = estimate(traced(lambda a, w: jnp.maximum(a @ w, 0), a, w), precision_named("float32"))
    assert np.array_equal(floors[2].slack > 0, [[True, False]] * 3)


@pytest.mark.parametrize(
    "function", [lambda x: jnp.max(x, -1), lambda x: jnp.sort(x)[:, -1], lambda x: x[0, jnp.argmax(x)]]
)
def test_of_equal_largest_numbers_any_may_get_the_gradient(function):
    x = np.array([[3.0, 1.0, 3.0]])
    floor = estimate(traced(function, x), precision_named("float32"))[1]
    for got in ([[1.0, 0, 0]], [[0, 0, 1.0]]):
        assert off(floor, got) < 1
    assert off(floor, [[0, 1.0, 0]]) > 1


def test_what_overflows_or_is_divided_by_what_rounds_to_zero_is_excused():
    x = np.array([300.0, 1.0])
    floor = estimate(traced(lambda x: x**2 / 1e3, x), precision_named("float16"))[0]
    assert np.array_equal(floor.causes["overflow"], [True, False])
    assert np.array_equal(np.isinf(floor.slack), [True, False])
    q = np.array([-30.0, 1.0])

    def features(q):
        positive = jnp.expm1(q) + 1
        return positive / (positive + 0 * q)

    floor = estimate(traced(features, q), precision_named("bfloat16/float32"))[1]
    assert np.array_equal(floor.causes["overflow"], [True, False])


def test_small_numbers_that_underflow_are_told():
    floor = estimate(traced(lambda x: x * 1e-30, np.array([1e-14, 1.0])), precision_named("float32"))[0]
    assert np.array_equal(floor.causes["underflow"], [True, False])


def test_the_same_floors_each_time_and_others_by_another_seed():
    trace = traced(layer_norm, *(np.random.default_rng(6).normal(size=s) for s in ((3, 4), 4, 4)))
    first, again, other = (estimate(trace, precision_named("float32"), seed=s) for s in (1, 1, 2))
    assert all(np.array_equal(a.smooth, b.smooth) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0].smooth, other[0].smooth)
    assert np.allclose(first[0].smooth, other[0].smooth, rtol=1)


def test_a_recurrence_over_many_steps():
    rng = np.random.default_rng(7)

    def recurrence(w, x):
        return jax.lax.scan(lambda h, row: (h := jnp.tanh(h @ w + row), h), jnp.zeros(4), x)[1]

    w, x, ct = (
        a.astype(np.float32) for a in (rng.normal(size=(4, 4)) / 2, rng.normal(size=(30, 4)), rng.normal(size=(30, 4)))
    )
    floors = estimate(traced(recurrence, w, x, ct=ct), precision_named("float32"))
    states = [np.zeros(4, np.float32)]
    for row in x:
        states.append(np.tanh(states[-1] @ w + row))
    ct_w, ct_x, ct_h = np.zeros_like(w), np.zeros_like(x), np.zeros(4, np.float32)
    for t in reversed(range(30)):
        ct_x[t] = (ct[t] + ct_h) * (1 - states[t + 1] ** 2)
        ct_h = w @ ct_x[t]
        ct_w += np.outer(states[t], ct_x[t])
    for floor, got in zip(floors, (np.stack(states[1:]), ct_w, ct_x), strict=True):
        assert off(floor, got) < 1
        assert np.linalg.norm(floor.smooth) < 1e-4 * np.linalg.norm(floor.true)


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_a_linear_recurrence_may_be_a_tree_of_products(precision):
    """Where state and cotangent both are small by chance, the tree multiplies out what is larger."""

    def one_by_one(x, decay):
        def step(state, given):
            state = given[1] * state + given[0]
            return state, state

        return jax.lax.scan(step, jnp.zeros_like(x[0]), (x, decay))[1]

    def by_blocks(x, decay):
        joined = lambda early, late: (early[0] * late[0], late[0] * early[1] + late[1])  # noqa: E731
        return jax.lax.associative_scan(joined, (decay, x))[1]

    ratios = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        x, ct, decay = (rng.normal(size=(30, 6)).astype(DTYPES[precision]) for _ in range(3))
        wide = [a.astype(np.float64) for a in (x, decay)]
        floors = estimate(traced(one_by_one, *wide, ct=ct.astype(np.float64)), precision_named(precision))
        output, pull = jax.vjp(by_blocks, x, decay)
        got = [output, *pull(jnp.asarray(ct))]
        ratios.append(max(map(off, floors, got)))
        assert off(floors[2], 1.5 * np.asarray(got[2], np.float64)) > 1
    assert 0.1 < max(ratios) < 0.7


@pytest.mark.slow
def test_memory_is_some_forty_arrays_of_the_largest():
    rng = np.random.default_rng(8)
    trace = traced(layer_norm, rng.normal(size=(400, 500)), *rng.normal(size=(2, 500)), ct=rng.normal(size=(400, 500)))
    tracemalloc.start()
    estimate(trace, precision_named("float32"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 40 * 8 * 200_000 + 2**25
