"""Activations in the forms that people mix: the value of one, the slope of another."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

FEW = 8  # entries that are compared first
ROOT = math.sqrt(2 / math.pi)


class Form(NamedTuple):
    """An activation: its name, its value and its slope, functions of an array."""

    name: str
    value: Callable[[Any], Any]
    slope: Callable[[Any], Any]


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def _softplus(x: Any) -> Any:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def _erf(x: Any) -> Any:
    return np.vectorize(math.erf, otypes=[float])(x)


def _normal(x: Any) -> Any:
    return 0.5 * (1 + _erf(x / math.sqrt(2)))


def _cubic(x: Any, k: float = 0.044715) -> Any:
    return np.tanh(ROOT * (x + k * x**3))


def _gelu_tanh_slope(x: Any, k: float = 0.044715) -> Any:
    t = _cubic(x, k)
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * ROOT * (1 + 3 * k * x * x)


def _swish(name: str, c: float) -> Form:
    return Form(
        name,
        lambda x: x * _sigmoid(c * x),
        lambda x: _sigmoid(c * x) * (1 + c * x * (1 - _sigmoid(c * x))),
    )


def _mish_slope(x: Any) -> Any:
    t = np.tanh(_softplus(x))
    return t + x * (1 - t * t) * _sigmoid(x)


def _leaky(c: float) -> Form:
    return Form(f"leaky relu of {c:g}", lambda x: np.where(x > 0, x, c * x), lambda x: np.where(x > 0, 1.0, c))


FORMS = (
    Form(
        "gelu by erf", lambda x: x * _normal(x), lambda x: _normal(x) + x * np.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    ),
    Form("gelu by tanh", lambda x: 0.5 * x * (1 + _cubic(x)), _gelu_tanh_slope),
    Form(
        "gelu by tanh with 0.0447", lambda x: 0.5 * x * (1 + _cubic(x, 0.0447)), lambda x: _gelu_tanh_slope(x, 0.0447)
    ),
    _swish("gelu by the sigmoid of 1.702 x", 1.702),
    _swish("gelu by the sigmoid of 1.7 x", 1.7),
    _swish("silu", 1.0),
    Form("softsign", lambda x: x / (1 + np.abs(x)), lambda x: 1 / (1 + np.abs(x)) ** 2),
    Form("arctan", np.arctan, lambda x: 1 / (1 + x * x)),
    Form("the square of relu", lambda x: np.maximum(x, 0) ** 2, lambda x: 2 * np.maximum(x, 0)),
    Form("the square", lambda x: x * x, lambda x: 2 * x),
    Form("mish", lambda x: x * np.tanh(_softplus(x)), _mish_slope),
    Form("softplus", _softplus, _sigmoid),
    Form("elu", lambda x: np.where(x > 0, x, np.expm1(x)), lambda x: np.where(x > 0, 1.0, np.exp(x))),
    Form("relu", lambda x: np.maximum(x, 0), lambda x: (x > 0).astype(float)),
    _leaky(0.01),
    _leaky(0.1),
    _leaky(0.2),
    Form(
        "hard swish",
        lambda x: x * np.clip(x + 3, 0, 6) / 6,
        lambda x: np.where(x <= -3, 0.0, np.where(x >= 3, 1.0, (2 * x + 3) / 6)),
    ),
    Form("the sigmoid", _sigmoid, lambda x: _sigmoid(x) * (1 - _sigmoid(x))),
    Form("the hard sigmoid", lambda x: np.clip(x / 6 + 0.5, 0, 1), lambda x: np.where(np.abs(x) < 3, 1 / 6, 0.0)),
    Form("tanh", np.tanh, lambda x: 1 - np.tanh(x) ** 2),
)
