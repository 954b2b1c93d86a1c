"""Perturbed passes and injected mistakes with activations of one's own: whatever their functions are, in float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import functional_mlp as fm
from functional_mlp import oracle
from functional_mlp.activations import is_of_this_package
from functional_mlp.oracle.noise import estimate_noise, precision_named

TANH = fm.activations.tanh()


def without_module():
    scope = {}
    exec("def value(z): return z * z\ndef vjp(z, a, ct): return 2 * z * ct", scope)
    scope["value"].__module__ = None
    return fm.Activation("square", scope["value"], scope["vjp"])


OWN = {
    "jitted": fm.Activation("tanh", jax.jit(TANH.value_fn), jax.jit(TANH.vjp_fn)),
    "bound": fm.Activation("tanh", TANH.value, TANH.vjp),
    "wrapped": fm.Activation(
        "tanh",
        functools.wraps(TANH.value_fn)(lambda z: jnp.tanh(z)),
        functools.wraps(TANH.vjp_fn)(lambda z, a, ct: ct * (1 - a * a)),
    ),
}


def case_of(activation):
    network = fm.Network((3, 4, 2), (activation, "identity"))
    return oracle.draw_case(network, fm.Loss("squared_error"), samples=5)


@pytest.mark.parametrize("name", OWN)
def test_functions_that_look_like_the_package_s_are_computed_in_float64(name):
    assert not is_of_this_package(OWN[name])
    case, same = case_of(OWN[name]), case_of("tanh")
    injected, right = oracle.plant(case, "sign-flipped"), oracle.plant(same, "sign-flipped")
    np.testing.assert_allclose(injected.grads[0].weights, right.grads[0].weights, rtol=1e-13)
    floors = [
        estimate_noise(asked, oracle.solve(asked), precision_named("float64")).floors["params[0].weights"].smooth.max()
        for asked in (case, same)
    ]
    assert floors[0] < 10 * floors[1]


def test_a_function_that_knows_no_module_is_one_s_own():
    case = case_of(without_module())
    assert oracle.check(case, oracle.solve(case).grads).verdict == "consistent"


def test_an_activation_need_not_work_on_more_than_rows():
    rows = fm.Activation(
        "rows",
        lambda z: jax.vmap(lambda row: row * jnp.sum(row))(z),
        lambda z, a, ct: jax.vmap(lambda row, own: own * jnp.sum(row) + jnp.sum(row * own))(z, ct),
    )
    case = case_of(rows)
    differences = oracle.plant(case, "finite-difference", variant="central")
    np.testing.assert_allclose(differences.grads[0].weights, oracle.solve(case).grads[0].weights, rtol=1e-4, atol=1e-6)
    assert oracle.check(case, oracle.solve(case).grads).verdict == "consistent"
