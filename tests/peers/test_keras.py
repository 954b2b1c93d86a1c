"""Keras 3 on the backend JAX, and, in a process of its own, on PyTorch."""

import os
import subprocess
import sys

import numpy as np
import pytest

from functional_mlp import oracle
from tests.peers.models import LOSS, NETWORK, SIZES, framework, numbers, require_consistent, require_named, require_same

os.environ.setdefault("KERAS_BACKEND", "jax")
keras = framework("keras")
layers = keras.layers


@keras.ops.custom_gradient
def wrong_tanh(z):
    a = keras.ops.tanh(z)

    def pull(ct_a, *_, upstream=None):
        return (upstream if ct_a is None else ct_a) * (1 - a)

    return a, pull


def sequential(tanh="tanh"):
    hidden = layers.Dense(5, activation=tanh)
    return row(hidden, layers.Dropout(0.5), layers.Dense(3), layers.Activation("sigmoid"))


def row(*modules):
    return keras.Sequential([keras.Input((4,)), *modules])


@pytest.fixture
def policy():
    kept = keras.config.dtype_policy()
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy(kept)


def test_a_right_model_is_consistent_and_unchanged():
    model = sequential()
    before = oracle.adapt(model, LOSS)
    assert before.network == NETWORK
    require_consistent(oracle.check_model(model, LOSS), "float32")
    require_same(oracle.adapt(model, LOSS).params, before.params)


def test_a_model_that_does_not_compute_in_the_dtype_that_it_stores_is_refused(policy, x64, says):
    policy("mixed_float16")
    says(ValueError, ["float32", "computes in float16", "set_dtype_policy"], oracle.adapt, sequential())
    policy("float64")
    says(ValueError, ["float64", "casts to float32"], oracle.adapt, sequential())


def test_keras_casts_float64_to_float32_on_the_way(policy, x64):
    """Once it no longer does, float64 need not be refused."""
    z = np.linspace(-2, 2, 9)
    assert np.abs(np.asarray(keras.ops.tanh(keras.ops.convert_to_tensor(z, dtype="float64"))) - np.tanh(z)).max() > 1e-9


def test_a_wrong_custom_gradient_is_named():
    report = oracle.check_model(sequential(wrong_tanh), LOSS, activations="tanh")
    require_named(report, "tanh-derivative-wrong", (0,))


def test_parameters_go_both_ways():
    model, new = sequential(), numbers()
    adapted = oracle.adapt(model, LOSS)
    assert adapted.assign(new) is model
    again = oracle.adapt(model, LOSS)
    require_same(again.params, new)
    require_consistent(again.check(np.ones((2, SIZES[0])), np.zeros((2, SIZES[-1]))), "float32")


def test_what_is_not_supported_is_refused(says):
    says(ValueError, ["BatchNormalization"], oracle.adapt, row(layers.Dense(3), layers.BatchNormalization()))
    says(ValueError, ["keras.Input"], oracle.adapt, keras.Sequential([layers.Dense(3)]))
    says(ValueError, ["does not follow"], oracle.adapt, row(layers.ReLU(), layers.Dense(3)))
    says(ValueError, ["no bounds"], oracle.adapt, row(layers.Dense(3), layers.ReLU(6)))
    says(ValueError, ["hard_sigmoid", "declare"], oracle.adapt, sequential("hard_sigmoid"))
    says(ValueError, ["float32", "float64"], oracle.check_model, sequential(), LOSS, precision="float64")
    says(TypeError, ["keras.Sequential", "Dense"], oracle.adapt, layers.Dense(3))


@pytest.mark.slow
def test_on_pytorch_a_right_model_is_consistent():
    framework("torch")
    code = """
import keras
from functional_mlp import oracle
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="leaky_relu")])
print(keras.backend.backend(), oracle.check_model(model).verdict, oracle.adapt(model).network.activations[0].parameters)
"""
    environment = os.environ | {"KERAS_BACKEND": "torch"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert done.stdout.split()[:2] == ["torch", "consistent"], done.stderr
    assert "('slope', 0.2)" in done.stdout
