from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from functional_mlp import oracle
from functional_mlp.oracle.traced.diagnosis import diagnose
from tests.helpers.traced_functions import (
    PATHS,
    asked,
    attention,
    convolution,
    explained,
    gradients,
    layer_norm,
    look_up,
    recurrent,
    stopped,
    twice,
    weighted,
)

ROWS = ((6, 8), (8,), (8,))
SEQUENCE = ((6, 5), (5, 5), (5,))
HEADS = ((7, 4), (7, 4), (7, 3))


def only_last(x, index):
    last = np.array([not np.any(index[k + 1 :] == i) for k, i in enumerate(index)])
    return jnp.where(last[:, None], x[index], stopped(x[index]))


def flipped(x, w):
    right = convolution(x, w)
    turned = convolution(x, stopped(jnp.flip(w, 2)))
    return stopped(right) + turned - stopped(turned) + convolution(stopped(x), w) - stopped(right)


WRONG = {
    "mean": (layer_norm, partial(layer_norm, mean=stopped), ROWS, "missing", "x.mean(-1, keepdims=True)"),
    "variance": (layer_norm, partial(layer_norm, variance=stopped), ROWS, "missing", "x - m"),
    "both": (layer_norm, partial(layer_norm, mean=stopped, variance=stopped), ROWS, "rule", "neither the mean nor"),
    "variance, sign": (layer_norm, partial(layer_norm, variance=lambda v: weighted(v, -1.0)), ROWS, "sign", "x - m"),
    "mean, not divided": (layer_norm, partial(layer_norm, mean=lambda m: weighted(m, 8.0)), ROWS, "rule", "divisor"),
    "eps": (layer_norm, partial(layer_norm, eps=1e-3), ROWS, "function", "0.001 for 1e-05"),
    "n - 1": (layer_norm, partial(layer_norm, less=1), ROWS, "function", "7 for 8"),
    "scale of one": (attention, partial(attention, of_x=2.0), HEADS, "scaled", "weighted(x, of_x)"),
    "mask": (attention, partial(attention, mask=False), HEADS, "function", "the condition is ignored"),
    "truncated": (
        recurrent,
        partial(recurrent, carried=lambda h, t: jnp.where(t == 3, stopped(h), h)),
        SEQUENCE,
        "truncated",
        "through step 3 of 6",
    ),
    "nothing carried": (recurrent, partial(recurrent, carried=lambda h, t: stopped(h)), SEQUENCE, "missing", "carries"),
    "slope": (
        recurrent,
        partial(recurrent, slope=lambda z: stopped(jnp.tanh(z)) + z - stopped(z)),
        SEQUENCE,
        "rule",
        "the derivative of tanh is left out",
    ),
    "called twice": (
        twice,
        partial(twice, inner=partial(layer_norm, mean=stopped)),
        ((5, 6), (6,), (6,)),
        "missing",
        "all 2 times",
    ),
    "kernel": (convolution, flipped, ((2, 3, 9), (4, 3, 3)), "rule", "the kernel is not flipped"),
}


@pytest.mark.parametrize("name", WRONG)
def test_the_mistake_is_named_with_its_place(name):
    function, wrong, shapes, kind, words = WRONG[name]
    found = explained(function, wrong, *shapes)
    assert found is not None
    assert (found.kind, words in found.sentence) == (kind, True), found.sentence
    assert "traced_functions.py:" in found.sentence
    assert found.places[0].file.endswith("traced_functions.py")
    assert found.digits >= 5


def test_what_is_written_instead_of_added_is_named():
    index = np.array([0, 3, 1, 3, 0, 2])
    found = explained(look_up, partial(only_last), (5, 4), integers=(tuple(index),))
    assert found is not None
    assert "is written instead of added" in found.sentence
    assert found.arrays == ("x",)


def test_an_activation_in_another_form_is_named():
    function = partial(jax.nn.gelu, approximate=False)
    found = explained(function, partial(jax.nn.gelu, approximate=True), (5, 9))
    assert found is not None
    assert "the slope of gelu by tanh for that of gelu by erf" in found.sentence


def test_whole_arrays_are_said_to_be_what_they_are():
    def product(x, w):
        return jnp.sin(x) @ w

    _, _, leaves, ct = asked(product, ((6, 6), (6, 6)))
    right = gradients(product, leaves, ct, 2)
    assert explained(product, [right[0].T, right[1]], (6, 6), (6, 6)).kind == "transposed"
    assert explained(product, [right[1], right[1]], (6, 6), (6, 6)).sentence == "the gradient of x is the gradient of w"
    flipped = explained(product, [right[0], np.flip(right[1], 1)], (6, 6), (6, 6))
    assert (flipped.kind, flipped.arrays) == ("flipped", ("w",))
    lost = explained(product, [right[0], np.where(np.arange(6)[:, None] < 4, right[1], 0.0)], (6, 6), (6, 6))
    assert "is 0 for the last 2 of 6 along axis 0: never written" in lost.sentence
    partly = explained(product, [right[0].T, np.cos(right[1])], (6, 6), (6, 6))
    assert partly is None or partly.unexplained == ("w",)


def test_a_factor_that_nobody_would_know_is_no_name():
    _, _, leaves, ct = asked(layer_norm, ROWS)
    right = gradients(layer_norm, leaves, ct, 3)
    found = explained(layer_norm, [right[0], 1.0137 * right[1], right[2]], *ROWS)
    assert found.kind == "related"
    assert found.factor == pytest.approx(1.0137, abs=1e-4)


def test_what_is_right_or_was_not_given_is_not_explained():
    trace, floors, leaves, ct = asked(layer_norm, ROWS)
    right = gradients(layer_norm, leaves, ct, 3)
    assert diagnose(trace, floors, right, PATHS[:3]) is None
    assert diagnose(trace, floors, [None, None, None], PATHS[:3]) is None
    missing = gradients(partial(layer_norm, mean=stopped), leaves, ct, 3)
    found = diagnose(trace, floors, [missing[0], None, None], PATHS[:3])
    assert (found.kind, found.arrays) == ("missing", ("x",))
    assert diagnose(trace, floors, [np.full_like(right[0], np.nan), *right[1:]], PATHS[:3]) is None


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_random_errors_get_no_name(precision):
    rng = np.random.default_rng(1)
    trace, floors, leaves, ct = asked(layer_norm, ROWS, (), precision)
    right = gradients(layer_norm, leaves, ct, 3, np.float64)
    named = []
    for k, g in enumerate(right):
        size = np.sqrt(np.mean(g * g))
        one = np.array(g)
        one.flat[0] += size
        for wrong in (
            g + 0.3 * size * rng.normal(size=g.shape),
            g * (1 + 0.1 * rng.normal(size=g.shape)),
            np.where(rng.random(g.shape) < 0.4, 0.0, g),
            g + 0.5 * size,
            one,
        ):
            found = diagnose(trace, floors, [wrong if i == k else r for i, r in enumerate(right)], PATHS[:3])
            named += [found.sentence] if found is not None and found.kind != "related" else []
    assert not named


@pytest.mark.parametrize("precision", ["float16 in float32", "bfloat16 in float32"])
@pytest.mark.parametrize(("factor", "said"), [(-1.0, "wrong sign"), (2.0, "twice"), (0.5, "half"), (0.0, "missing")])
def test_in_16_bits_a_factor_is_named_by_all_entries_together(precision, factor, said):
    """Each entry alone knows two digits of it."""
    dtype, rng = precision.partition(" ")[0], np.random.default_rng(3)
    q, k, ct = (rng.standard_normal(shape).astype(dtype) for shape in ((40, 16), (40, 16), (40, 40)))
    wide = [array.astype(np.float32) for array in (q, k, ct)]
    s = wide[0] @ wide[1].T / np.float32(4)
    p = np.exp(s - s.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    ds = p * (wide[2] - (wide[2] * p).sum(axis=1, keepdims=True)) / np.float32(4)
    grads = [(np.float32(factor) * (ds @ wide[1])).astype(dtype), (ds.T @ wide[0]).astype(dtype)]

    def weights(q, k):
        return jax.nn.softmax(q @ k.T / 4)

    report = oracle.check_vjp(weights, (q, k), grads, ct, precision=precision)
    assert said in report.headline
