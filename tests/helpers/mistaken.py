"""Cases to plant mistakes in, for the tests of the catalogue: few, and together they meet every mistake."""

import functools

import jax
import numpy as np

import functional_mlp as fm
from functional_mlp import oracle
from functional_mlp.oracle.mistakes import plant_together


def draw(sizes, activations, kind, samples=5, seed=0, **loss):
    loss = None if kind is None else fm.Loss(kind, **loss)
    return oracle.draw_case(fm.Network(sizes, activations), loss, samples=samples, seed=seed)


def changed(case, **fields):
    names = ("network", "loss", "params", "inputs", "targets", "ct_outputs", "sample_weights")
    return oracle.Case(**({name: getattr(case, name) for name in names} | fields))


def saturated():
    """Pre-activations far beyond where 1 − tanh² cancels, and an output within 1e-7 of 1."""
    case = draw((2, 3, 3, 1), ("tanh", "sigmoid", "sigmoid"), "binary_cross_entropy")
    (first, b1), (second, b2), (last, b3) = case.params
    return changed(case, params=[(20 * first, 20 * b1), (20 * second, 20 * b2), (last, b3 + 18)])


def saturated_sigmoid():
    """A whole layer where 1 − sigmoid cancels."""
    case = draw((2, 2, 2), ("sigmoid", "identity"), "squared_error")
    (first, _), last = case.params
    return changed(case, params=[(first, np.array([20.0, 21.0])), last])


def with_kink_and_dead_unit():
    case = draw((2, 3, 2), ("relu", "identity"), "squared_error", samples=6, seed=1)
    first, last = case.params
    weights, bias = first.weights.copy(), first.bias.copy()
    weights[:, 0] = 0
    bias[0] = 0  # z = 0 in every sample: at the kink, and inactive
    return changed(case, params=[(weights, bias), last])


CASES = {
    "options": lambda: draw(
        *((3, 4, 3), ("tanh", "identity"), "softmax_cross_entropy"),
        l1=0.05,
        label_smoothing=0.1,
        class_weights=(0.5, 2.0, 1.0),
    ),
    "weighted bits": lambda: draw((3, 4, 2), ("tanh", "identity"), "sigmoid_cross_entropy", pos_weight=3.0),
    "focal": lambda: draw((3, 4, 2), ("tanh", "identity"), "sigmoid_focal", alpha=0.25),
    "softmax": lambda: draw((3, 4, 4, 2), ("tanh", "sigmoid", "softmax"), "categorical_cross_entropy", l2=0.1),
    "mean": lambda: draw(
        *((4, 4, 4, 1), ("relu", "leaky_relu", "sigmoid"), "binary_cross_entropy"),
        samples=4,
        over_samples="mean",
        l2=0.1,
        l2_on_bias=True,
    ),
    "logits": lambda: draw(
        (3, 3, 3), ("elu", "identity"), "softmax_cross_entropy", seed=2, over_outputs="mean", scale=0.5
    ),
    "soft targets": lambda: changed(
        draw((2, 2), "softmax", "categorical_cross_entropy"), targets=np.linspace(0, 1, 10).reshape(5, 2)
    ),
    "weighted": lambda: changed(
        draw((2, 3, 3), ("softplus", "identity"), "sigmoid_cross_entropy"), sample_weights=np.array([1, 2, 3, 0.5, 1])
    ),
    "squared": lambda: draw((2, 3, 3), ("silu", "gelu"), "squared_error"),
    "forms": lambda: draw((2, 3, 3), ("gelu_tanh", "quick_gelu"), "squared_error"),
    "alike": lambda: draw((2, 3, 3, 3), ("selu", "sin", "cos"), "squared_error"),
    "probabilities": lambda: draw((2, 3, 3), ("softmax", "softmax"), "binary_cross_entropy", samples=3),
    "bare": lambda: draw((3, 3, 2), ("tanh", "identity"), None),
    "saturated": saturated,
    "saturated sigmoid": saturated_sigmoid,
    "kink": with_kink_and_dead_unit,
}
# in which nothing changes because of the numbers of the case, not of its shape: 0 is put where there is 0 already, or
# saturated units are the same in every sample
NO_EFFECT = {
    ("mean", "off-by-one-loop"),
    ("kink", "off-by-one-loop"),
    ("saturated", "off-by-one-loop"),
    ("saturated", "wrong-sample-index"),
    ("saturated", "last-sample-activations"),
    ("saturated", "stale-activations"),
    ("saturated", "bias-from-weight-gradient"),
}
# the gradient is finite, and the loss the logarithm of a negative number
LOSS_NOT_A_NUMBER = {"activation-missing", "softmax-missing"}


@functools.cache
def case_of(name):
    return CASES[name]()


@functools.cache
def truth_of(name, dtype="float64"):
    return plant_together(case_of(name), (), dtype)


def leaves(planted):
    return [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(tuple(planted)[1:])]


def differs(planted, right, at_least=1e-12):
    pairs = zip(leaves(planted), leaves(right), strict=True)
    return any(np.abs(a - b).max() > at_least * np.abs(b).max() for a, b in pairs)
