import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from functional_mlp.oracle.traced.tracing import place_of, trace_vjp

X = np.linspace(-1, 1, 12).reshape(3, 4)


def traced(function, *arguments, ct=None):
    leaves, structure = jax.tree.flatten(arguments)
    moving = [i for i, leaf in enumerate(leaves) if getattr(leaf, "dtype", None) == np.float64]
    return trace_vjp(function, leaves, structure, moving, ct)


def branches(x):
    return x if x.sum() > 0 else -x


def by_numpy(x):
    return np.sin(x)


def fourier(x):
    return jnp.fft.fft(x).real


def prints(x):
    jax.debug.print("{}", x)
    return x


def calls_back(x):
    return jax.pure_callback(np.sin, jax.ShapeDtypeStruct(x.shape, x.dtype), x)


def draws(x):
    return x * jax.random.uniform(jax.random.key(0), x.shape)


def inside_of_a_loop(x):
    return lax.scan(lambda carry, row: (carry + jnp.nextafter(row, row + 1), None), x[0], x)[0]


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (branches, "looks at the values of its arguments"),
        (by_numpy, "hands its arguments to NumPy"),
        (fourier, r"complex numbers, in '\w+' \(test_trace.py:\d+\)"),
        (prints, r"side effect, '\w+' \(test_trace.py:\d+\)"),
        (
            calls_back,
            r"operation 'pure_callback' \(test_trace.py:\d+\), of which the oracle does not know how it rounds",
        ),
        (inside_of_a_loop, r"operation 'nextafter' \(test_trace.py:\d+\)"),
        (draws, r"draws random numbers of its own \(test_trace.py:\d+\)"),
        (lambda x: x @ x, "fails on these arguments: TypeError: dot_general requires contracting dimensions"),
    ],
)
def test_what_cannot_be_judged_is_refused_in_one_sentence(function, sentence):
    with pytest.raises(ValueError, match=sentence) as caught:
        traced(function, X)
    assert "\n" not in str(caught.value)


def test_keys_whole_numbers_and_flags_are_closed_over():
    def dropout(x, key, rows, flag):
        kept = jax.random.bernoulli(key, 0.5, x.shape)
        return jnp.where(kept & flag, x / 0.5, 0.0)[rows], rows

    trace = traced(dropout, X, jax.random.key(1), np.array([0, 2]), True, ct=(np.ones((2, 4)), None))
    assert len(trace.operands) == 2
    assert trace.outputs == 2
    assert len(trace.jaxpr.jaxpr.outvars) == 3
    assert len(trace.forward.jaxpr.invars) == 1


def test_cotangents_are_ones_unless_given():
    assert np.array_equal(traced(jnp.sin, X).operands[1], np.ones(X.shape))
    assert np.array_equal(traced(jnp.sin, X, ct=X).operands[1], X)


def test_everything_is_traced_in_float64_and_no_setting_of_the_callers_matters():
    with jax.numpy_dtype_promotion("strict"), jax.disable_jit():
        trace = traced(lambda x: x.astype(np.float32) * 2 + np.float32(1), X)
    assert {v.aval.dtype for v in trace.jaxpr.jaxpr.invars} == {np.dtype(np.float64)}
    assert not jax.config.jax_enable_x64


def test_a_place_is_that_of_the_persons_own_expression():
    def function(x):
        return jax.nn.gelu(x.mean(axis=-1) * 3.5)

    trace = traced(function, X)
    places = [place_of(e) for e in trace.forward.jaxpr.eqns]
    [place] = {p for p in places if p is not None and "3.5" in p.expression and "gelu" not in p.expression}
    assert place.expression == "x.mean(axis=-1) * 3.5"
    assert place.function == "function"
    assert str(place) == f"test_trace.py:{function.__code__.co_firstlineno + 1}"
    assert all(p is None or p.file == __file__ for p in places)
