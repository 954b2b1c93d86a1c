"""Flax and equinox: modules, their activations as functions of JAX, derivatives of one's own by jax.custom_vjp."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import functional_mlp as fm
from functional_mlp import oracle
from tests.peers.models import (
    LOSS,
    NETWORK,
    PRECISIONS,
    SIZES,
    framework,
    numbers,
    require_consistent,
    require_named,
    require_same,
)

DECLARED = ["tanh", "sigmoid"]
KEY = jax.random.key(0)


@jax.custom_vjp
def wrong_tanh(z):
    return jnp.tanh(z)


wrong_tanh.defvjp(lambda z: (jnp.tanh(z),) * 2, lambda a, ct_a: (ct_a * (1 - a),))


def equinox_mlp(tanh=jnp.tanh):
    eqx = framework("equinox")
    return eqx.nn.MLP(4, 3, 5, 1, activation=tanh, final_activation=jax.nn.sigmoid, key=KEY)


def equinox_sequential(tanh=jnp.tanh):
    eqx = framework("equinox")
    first, last = eqx.nn.Linear(4, 5, key=KEY), eqx.nn.Linear(5, 3, key=KEY)
    return eqx.nn.Sequential([first, eqx.nn.Lambda(tanh), eqx.nn.Identity(), last, eqx.nn.Lambda(jax.nn.sigmoid)])


def equinox_module(tanh=jnp.tanh):
    eqx = framework("equinox")

    class Net(eqx.Module):
        layers: list

        def __call__(self, x):
            return jax.nn.sigmoid(self.layers[1](tanh(self.layers[0](x))))

    return Net([eqx.nn.Linear(4, 5, key=KEY), eqx.nn.Linear(5, 3, key=KEY)])


def nnx_sequential(tanh=jnp.tanh):
    nnx = framework("flax.nnx")
    rngs = nnx.Rngs(0)
    return nnx.Sequential(nnx.Linear(4, 5, rngs=rngs), tanh, nnx.Linear(5, 3, rngs=rngs), nnx.sigmoid)


def nnx_module(tanh=jnp.tanh):
    nnx = framework("flax.nnx")

    class Net(nnx.Module):
        def __init__(self, rngs):
            self.inner = nnx.Linear(4, 5, rngs=rngs)
            self.dropout = nnx.Dropout(0.0)
            self.b = nnx.Linear(5, 3, rngs=rngs)  # before "inner" in the alphabet

        def __call__(self, x):
            return nnx.sigmoid(self.b(self.dropout(tanh(self.inner(x)))))

    return Net(nnx.Rngs(0))


def linen_module(tanh=jnp.tanh):
    linen = framework("flax.linen")

    class Net(linen.Module):
        @linen.compact
        def __call__(self, x):
            return linen.sigmoid(linen.Dense(3)(tanh(linen.Dense(5)(x))))  # the outer one is Dense_0

    module = Net()
    return module.bind(module.init(KEY, jnp.ones((1, 4))))


MODELS = (equinox_mlp, equinox_sequential, equinox_module, nnx_sequential, nnx_module, linen_module)
SAY_IT = (equinox_mlp, equinox_sequential, nnx_sequential)


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_right_model_is_consistent(make, precision):
    model = make()
    before = oracle.adapt(model, LOSS, DECLARED)
    assert before.network == NETWORK
    assert before.dtype == "float32"
    require_consistent(oracle.check_model(model, LOSS, precision=precision, activations=DECLARED), precision)
    require_same(oracle.adapt(model, LOSS, DECLARED).params, before.params)


@pytest.mark.parametrize("make", MODELS)
def test_a_wrong_custom_vjp_is_named(make):
    report = oracle.check_model(make(wrong_tanh), LOSS, precision="float64", activations=DECLARED)
    require_named(report, "tanh-derivative-wrong", (0,))


@pytest.mark.parametrize("make", MODELS)
def test_parameters_go_both_ways(make):
    model, new = make(), numbers()
    changed = oracle.adapt(model, LOSS, DECLARED).assign(new)
    again = oracle.adapt(changed, LOSS, DECLARED)
    require_same(again.params, new)
    inputs, targets = np.ones((2, SIZES[0])), np.zeros((2, SIZES[-1]))
    require_consistent(again.check(inputs, targets), "float32")


@pytest.mark.parametrize("make", SAY_IT)
def test_activations_are_recognised(make, says):
    assert oracle.adapt(make(), LOSS).network == NETWORK
    says(ValueError, ["wrong_tanh", "declare"], oracle.adapt, make(wrong_tanh), LOSS)
    assert oracle.adapt(make(jax.nn.gelu), LOSS).network.activations[0].name == "gelu_tanh"
    exact = make(functools.partial(jax.nn.gelu, approximate=False))
    assert oracle.adapt(exact, LOSS).network.activations[0].name == "gelu"
    leaky = oracle.adapt(make(functools.partial(jax.nn.leaky_relu, negative_slope=0.25)), LOSS)
    assert leaky.network.activations[0] == fm.activations.leaky_relu(0.25)


ACTIVATIONS = {
    "gelu_tanh": jax.nn.gelu,
    "relu6": jax.nn.relu6,
    "hard_sigmoid": jax.nn.hard_sigmoid,
    "hard_swish": jax.nn.hard_silu,
    "hardtanh": jax.nn.hard_tanh,
    "mish": jax.nn.mish,
    "selu": jax.nn.selu,
    "celu": functools.partial(jax.nn.celu, alpha=0.7),
    "softsign": jax.nn.soft_sign,
    "softplus": jax.nn.softplus,
    "sin": jnp.sin,
    "cos": jnp.cos,
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_function_of_jax_is_consistent(name):
    framework("equinox")
    adapted = oracle.adapt(equinox_mlp(ACTIVATIONS[name]), LOSS)
    assert adapted.network.activations[0].name == name
    inputs = np.random.default_rng(4).normal(size=(6, 4), scale=3.0)
    require_consistent(adapted.check(inputs, np.ones((6, 3))), "float32")


def test_the_slope_of_prelu_is_given_and_not_judged():
    eqx, nnx = framework("equinox"), framework("flax.nnx")

    class Net(eqx.Module):
        first: eqx.nn.Linear
        prelu: eqx.nn.PReLU

        def __call__(self, x):
            return self.prelu(self.first(x))

    net = Net(eqx.nn.Linear(4, 5, key=KEY), eqx.nn.PReLU(0.3))
    rngs = nnx.Rngs(0)
    sequential = nnx.Sequential(nnx.Linear(4, 5, rngs=rngs), nnx.PReLU(0.3), nnx.Linear(5, 3, rngs=rngs))
    for model, declared in ((net, fm.activations.prelu(float(np.float32(0.3)))), (sequential, None)):
        report = oracle.check_model(model, precision="float64", activations=declared)
        require_consistent(report, "float64")
        assert any("slopes of PReLU" in note for note in report.notes)


def test_a_loss_of_optax_is_answered_with_the_oracles(says):
    optax = framework("optax")
    model = nnx_sequential()
    words = ["optax.softmax_cross_entropy", 'fm.Loss("softmax_cross_entropy", over_samples="mean")']
    says(TypeError, words, oracle.adapt, model, optax.softmax_cross_entropy)
    says(TypeError, ["scale=0.5"], oracle.adapt, model, optax.l2_loss)


@pytest.mark.parametrize("make", [equinox_module, nnx_module, linen_module])
def test_activations_that_are_plain_code_must_be_declared(make, says):
    says(ValueError, ["declare", "activations="], oracle.adapt, make(), LOSS)


def test_equinox_models_that_are_no_plain_network_are_refused(says):
    eqx = framework("equinox")
    linear = eqx.nn.Linear(4, 3, key=KEY)
    refused = {
        "LayerNorm": [linear, eqx.nn.LayerNorm(3)],
        "Conv1d": [eqx.nn.Conv1d(4, 3, 1, key=KEY)],
        "inference_mode": [linear, eqx.nn.Dropout(0.5)],
        "does not follow": [eqx.nn.Lambda(jnp.tanh), linear],
        "scalar": [eqx.nn.Linear("scalar", 3, key=KEY)],
    }
    for words, layers in refused.items():
        says(ValueError, [words], oracle.adapt, eqx.nn.Sequential(layers))
    says(TypeError, ["functional_mlp.Loss", "function"], oracle.adapt, eqx.nn.Sequential([linear]), jnp.sum)


def test_flax_models_that_are_no_plain_network_are_refused(says):
    nnx, linen = framework("flax.nnx"), framework("flax.linen")
    rngs = nnx.Rngs(0)
    linear = nnx.Linear(4, 3, rngs=rngs)
    refused = {
        "BatchNorm": [linear, nnx.BatchNorm(3, rngs=rngs)],
        "model.eval()": [linear, nnx.Dropout(0.5, rngs=rngs)],
        "Conv": [nnx.Conv(4, 3, (1,), rngs=rngs)],
    }
    for words, layers in refused.items():
        says(ValueError, [words], oracle.adapt, nnx.Sequential(*layers))

    class Net(linen.Module):
        extra: str

        @linen.compact
        def __call__(self, x):
            dense = linen.Dense(4)
            after = {"norm": linen.LayerNorm, "batch": lambda: linen.BatchNorm(True), "twice": lambda: dense}
            return after[self.extra]()(dense(x))

    for extra, words in {"norm": "LayerNorm_0", "batch": "batch_stats", "twice": "more than once"}.items():
        module = Net(extra)
        bound = module.bind(module.init(KEY, jnp.ones((1, 4))))
        says(ValueError, [words], oracle.adapt, bound, LOSS, "tanh")
    says(TypeError, ["module.bind(variables)"], oracle.adapt, Net("norm"), LOSS)
