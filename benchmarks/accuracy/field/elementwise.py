"""Activations and losses as people write them in NumPy, with their derivatives; nothing here is the package's.

Arrays keep their dtype. Derivatives come in terms of z or, where that is usual, in terms of a.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from scipy.special import erf

Array = Any  # a NumPy array of floats


class Elementwise(NamedTuple):
    """An activation: its value and its derivative, each of an array and the slope of a leaky unit.

    Attributes:
        value: a = f(z).
        of_z: f'(z).
        of_a: f' in terms of a; None where nobody writes it so.
    """

    value: Callable[[Array, float], Array]
    of_z: Callable[[Array, float], Array]
    of_a: Callable[[Array, float], Array] | None = None


def sigmoid(z: Array) -> Array:
    """1 / (1 + e^-z)."""
    return 1 / (1 + np.exp(-z))


def normal(z: Array) -> Array:
    """The distribution function of the normal distribution."""
    return (1 + erf(z / 2**0.5)) / 2


def density(z: Array) -> Array:
    """The density of the normal distribution."""
    return np.exp(-z * z / 2) / (2 * np.pi) ** 0.5


def softmax(z: Array) -> Array:
    """Over the last axis."""
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def softmax_back(ct: Array, a: Array) -> Array:
    """The cotangent through a softmax, row by row."""
    return a * (ct - (ct * a).sum(axis=-1, keepdims=True))


def leaky(z: Array, slope: float) -> Array:
    """1 where z is above 0, the slope elsewhere."""
    return np.where(z > 0, z.dtype.type(1), z.dtype.type(slope))


ELEMENTWISE: Mapping[str, Elementwise] = {
    "identity": Elementwise(lambda z, _: z, lambda z, _: np.ones_like(z), lambda a, _: np.ones_like(a)),
    "sigmoid": Elementwise(
        lambda z, _: sigmoid(z), lambda z, _: sigmoid(z) * (1 - sigmoid(z)), lambda a, _: a * (1 - a)
    ),
    "tanh": Elementwise(lambda z, _: np.tanh(z), lambda z, _: 1 - np.tanh(z) ** 2, lambda a, _: 1 - a * a),
    "relu": Elementwise(
        lambda z, _: np.maximum(z, 0), lambda z, _: (z > 0).astype(z.dtype), lambda a, _: (a > 0).astype(a.dtype)
    ),
    "leaky_relu": Elementwise(lambda z, s: leaky(z, s) * z, leaky, leaky),
    "elu": Elementwise(
        lambda z, _: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
        lambda z, _: np.where(z > 0, z.dtype.type(1), np.exp(np.minimum(z, 0))),
        lambda a, _: np.where(a > 0, a.dtype.type(1), a + 1),
    ),
    "softplus": Elementwise(lambda z, _: np.log1p(np.exp(z)), lambda z, _: sigmoid(z), lambda a, _: 1 - np.exp(-a)),
    "silu": Elementwise(lambda z, _: z * sigmoid(z), lambda z, _: sigmoid(z) + z * sigmoid(z) * (1 - sigmoid(z))),
    "gelu": Elementwise(lambda z, _: z * normal(z), lambda z, _: normal(z) + z * density(z)),
}
KINKED = ("relu", "leaky_relu", "elu")

# dTerm/do of one element, o the outputs and t the targets; and the term
LOSS_SLOPES: Mapping[str, Callable[[Array, Array], Array]] = {
    "squared_error": lambda o, t: 2 * (o - t),
    "binary_cross_entropy": lambda o, t: -t / o + (1 - t) / (1 - o),
    "categorical_cross_entropy": lambda o, t: -t / o,
    "sigmoid_cross_entropy": lambda o, t: sigmoid(o) - t,
    "softmax_cross_entropy": lambda o, t: softmax(o) * t.sum(axis=-1, keepdims=True) - t,
}
LOSS_TERMS: Mapping[str, Callable[[Array, Array], Array]] = {
    "squared_error": lambda o, t: (o - t) ** 2,
    "binary_cross_entropy": lambda o, t: -t * np.log(o) - (1 - t) * np.log(1 - o),
    "categorical_cross_entropy": lambda o, t: -t * np.log(o),
    "sigmoid_cross_entropy": lambda o, t: np.log1p(np.exp(o)) - t * o,
    "softmax_cross_entropy": lambda o, t: -t * np.log(softmax(o)),
}
# an output activation and a loss that people differentiate together
FUSED = {("sigmoid", "binary_cross_entropy"), ("softmax", "categorical_cross_entropy")}
