import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

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
