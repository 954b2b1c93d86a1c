"""Keras 3 on the backend JAX, and, in a process of its own, on PyTorch."""

import functools
import os
import subprocess
import sys

import numpy as np
import pytest

import functional_mlp as fm
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
    says(ValueError, ["max_value=6"], oracle.adapt, row(layers.Dense(3), layers.ReLU(2)))
    says(ValueError, ["tanh_shrink", "declare", "Activation.of"], oracle.adapt, sequential("tanh_shrink"))
    slopes = layers.PReLU(alpha_initializer=lambda shape, dtype: keras.ops.arange(3, dtype=dtype))
    says(ValueError, ["one alpha for all units", "0 to 2"], oracle.adapt, row(layers.Dense(3), slopes))
    says(ValueError, ["float32", "float64"], oracle.check_model, sequential(), LOSS, precision="float64")
    says(TypeError, ["keras.Sequential", "Dense"], oracle.adapt, layers.Dense(3))


ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_tanh": functools.partial(keras.activations.gelu, approximate=True),
    "relu6": layers.ReLU(6),
    "hard_sigmoid": "hard_sigmoid",
    "hard_swish": "hard_silu",
    "hardtanh": "hard_tanh",
    "mish": "mish",
    "selu": "selu",
    "celu": "celu",
    "elu": layers.ELU(0.5),
    "leaky_relu": layers.ReLU(negative_slope=0.3),
    "softsign": "softsign",
    "softplus": "softplus",
    "prelu": layers.PReLU(alpha_initializer="ones"),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_of_keras_is_consistent(name):
    given = ACTIVATIONS[name]
    hidden = (layers.Dense(5), given) if isinstance(given, keras.Layer) else (layers.Dense(5, activation=given),)
    adapted = oracle.adapt(row(*hidden, layers.Dense(3)))
    assert adapted.network.activations[0].name == name
    inputs = np.random.default_rng(4).normal(size=(6, 4), scale=3.0)
    require_consistent(adapted.check(inputs, np.ones((6, 3))), "float32")


MEAN = ("mean", "mean")
# by how the model ends: a loss of Keras, the oracle's, and the targets that it is asked with
LOSSES = [
    ("", "mse", fm.Loss("squared_error", *MEAN), None),
    ("", keras.losses.MeanSquaredError(reduction="sum"), fm.Loss("squared_error", over_outputs="mean"), None),
    ("", keras.losses.mean_absolute_error, fm.Loss("absolute_error", *MEAN), None),
    ("", keras.losses.Huber(0.25), fm.Loss("huber", *MEAN, delta=0.25), None),
    ("", keras.losses.LogCosh(), fm.Loss("log_cosh", *MEAN), None),
    ("", keras.losses.Hinge(), fm.Loss("hinge", *MEAN), None),
    (
        "sigmoid",
        keras.losses.BinaryCrossentropy(label_smoothing=0.2),
        fm.Loss("binary_cross_entropy", *MEAN, label_smoothing=0.2),
        None,
    ),
    ("", keras.losses.BinaryCrossentropy(from_logits=True), fm.Loss("sigmoid_cross_entropy", *MEAN), None),
    ("softmax", "categorical_crossentropy", fm.Loss("categorical_cross_entropy", "mean"), None),
    (
        "",
        keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1),
        fm.Loss("softmax_cross_entropy", "mean", label_smoothing=0.1),
        None,
    ),
    (
        "",
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        fm.Loss("softmax_cross_entropy", "mean"),
        "labels",
    ),
    ("softmax", keras.losses.KLDivergence(), fm.Loss("kl_divergence", "mean"), "soft"),
]


@pytest.mark.parametrize(("end", "own", "meant", "targets"), LOSSES)
def test_a_loss_of_keras_is_the_oracles(end, own, meant, targets):
    model = row(layers.Dense(3, activation=end or None))
    adapted = oracle.adapt(model, own)
    assert (adapted.loss, adapted.targets) == (meant, targets)
    require_consistent(oracle.check_model(model, own), "float32")


def test_a_wrong_derivative_before_a_loss_of_keras_is_named():
    model = row(layers.Dense(5, activation=wrong_tanh), layers.Dense(3))
    report = oracle.check_model(model, "mse", activations=["tanh", None])
    require_named(report, "tanh-derivative-wrong", (0,))


def test_where_keras_clips_probabilities_it_is_not_judged():
    model = row(layers.Dense(3, activation="softmax"))
    report = oracle.check_model(model, "kl_divergence", targets="one_hot")
    assert any("clips probabilities at 1e-07" in note for note in report.notes)


def test_other_losses_of_keras_are_refused(says):
    model, losses = row(layers.Dense(3)), keras.losses
    says(
        ValueError, ["CategoricalHinge", "largest", "multiclass_hinge"], oracle.adapt, model, losses.CategoricalHinge()
    )
    says(ValueError, ["reduction", "None"], oracle.adapt, model, losses.Huber(reduction=None))
    says(ValueError, ["ignore_class"], oracle.adapt, model, losses.SparseCategoricalCrossentropy(ignore_class=1))
    says(ValueError, ["probabilities", "identity"], oracle.adapt, model, losses.CategoricalCrossentropy())
    says(TypeError, ["MeanSquaredError", "function"], oracle.adapt, model, lambda targets, outputs: 0.0)
    sigmoids = row(layers.Dense(3, activation="sigmoid"))
    says(ValueError, ["softmax", "sum", "sigmoid"], oracle.adapt, sigmoids, losses.CategoricalCrossentropy())


@pytest.mark.slow
def test_on_pytorch_a_right_model_is_consistent():
    framework("torch")
    code = """
import keras
from functional_mlp import oracle
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="leaky_relu")])
print(keras.backend.backend(), oracle.check_model(model).verdict, oracle.check_model(model, "mse").verdict)
print(oracle.adapt(model).network.activations[0].parameters)
"""
    environment = os.environ | {"KERAS_BACKEND": "torch"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert done.stdout.split()[:3] == ["torch", "consistent", "consistent"], done.stderr
    assert "('slope', 0.2)" in done.stdout
