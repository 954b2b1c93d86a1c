"""Every activation by its name, and by the names that others give it; and each in NumPy's arrays."""

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from functional_mlp._checks import known_name
from functional_mlp._dtypes import working_dtype
from functional_mlp.activations.activation import Activation
from functional_mlp.activations.exponential import celu, elu, selu, softplus
from functional_mlp.activations.expressions import from_expression
from functional_mlp.activations.gated import mish, quick_gelu, silu
from functional_mlp.activations.normal import gaussian, gelu, gelu_tanh
from functional_mlp.activations.periodic import cos, sin
from functional_mlp.activations.piecewise import (
    hard_sigmoid,
    hard_swish,
    hardtanh,
    identity,
    leaky_relu,
    prelu,
    relu,
    relu6,
)
from functional_mlp.activations.saturating import scaled_tanh, sigmoid, softmax, softsign, tanh

FACTORIES: Mapping[str, Callable[..., Activation]] = {
    factory.__name__: factory
    for factory in (
        *(identity, sigmoid, tanh, relu, leaky_relu, elu, softplus, silu, gelu, softmax),
        *(gelu_tanh, quick_gelu, mish, selu, celu, prelu, relu6, hardtanh, hard_sigmoid, hard_swish),
        *(scaled_tanh, softsign, sin, cos, gaussian),
    )
}
OTHER_NAMES: Mapping[str, str] = {
    "linear": "identity",
    "none": "identity",
    "logistic": "sigmoid",
    "expit": "sigmoid",
    "rectifier": "relu",
    "rectified_linear": "relu",
    "lrelu": "leaky_relu",
    "swish": "silu",
    "hard_silu": "hard_swish",
    "gelu_new": "gelu_tanh",
    "gelu_approximate": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "lecun_tanh": "scaled_tanh",
    "sine": "sin",
    "cosine": "cos",
}
# names that mean more than one function
UNCLEAR: Mapping[str, str] = {
    "elliot": "z / (1 + |z|) is 'softsign', and the one from 0 to 1 is"
    " {'name': 'elliot', 'expression': '0.5 * z / (1 + abs(z)) + 0.5'}",
}
_OF_ONES_OWN = (
    "; a function of your own is fm.Activation.of(function), or in a file {'name': 'cube', 'expression': 'z**3'}"
)


def _folded(name: str) -> str:
    """A name without what spellings differ in: LeakyReLU, leaky-relu and leaky_relu are one."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


_BY_FOLDED_NAME: Mapping[str, str] = {
    **{_folded(name): known for name, known in OTHER_NAMES.items()},
    **{_folded(name): name for name in FACTORIES},
}
_SERVING_NUMPY = {  # by identity: not every function of one's own can be hashed
    id(function): function for factory in FACTORIES.values() for function in (factory().value_fn, factory().vjp_fn)
}


def canonical_name(name: Any) -> str:
    """The name of a known activation, however it is spelled, or whatever others call it.

    Raises:
        TypeError: if `name` is not a string.
        ValueError: if it is unknown, or means several.

    Example:
        >>> canonical_name("swish"), canonical_name("LeakyReLU")
        ('silu', 'leaky_relu')
    """
    folded = _folded(name) if isinstance(name, str) else ""
    if folded in UNCLEAR:
        raise ValueError(f"expected one activation, got {name!r}, which means several: {UNCLEAR[folded]}")
    known = _BY_FOLDED_NAME.get(folded)
    try:
        return known_name("activation", name if known is None else known, FACTORIES)
    except ValueError as error:
        raise ValueError(f"{error}{_OF_ONES_OWN}") from None


def resolve(spec: "str | Activation | Mapping[str, Any]") -> Activation:
    """The activation meant by a name, by an Activation, or by a mapping such as {"name": "leaky_relu", "slope": 0.02}.

    Names are understood as `canonical_name` does. A mapping with an "expression", such as {"name": "cube",
    "expression": "z**3"}, is a function of your own.

    Raises:
        TypeError: if `spec` is something else, or a parameter is not a number.
        ValueError: if the name, a parameter or the expression is not understood.
    """
    if isinstance(spec, Activation):
        return spec
    name, parameters = (spec.get("name"), spec) if isinstance(spec, Mapping) else (spec, {})
    given = {key: value for key, value in parameters.items() if key != "name"}
    if "expression" in given:
        return from_expression(name, **given, taken=_BY_FOLDED_NAME)
    name = canonical_name(name)
    allowed = list(inspect.signature(FACTORIES[name]).parameters)
    for key in given:
        if not allowed:
            raise ValueError(f"activation {name!r} takes no parameters, got {key!r}")
        known_name(f"parameter of {name}", key, allowed)
    return FACTORIES[name](**given)


def is_built_in(activation: Activation) -> bool:
    """Whether it is one of the package's own, by its functions: a name alone says nothing."""
    factory = FACTORIES.get(activation.name)
    return factory is not None and factory().value_fn is activation.value_fn


# forward mode


def tangent_through(activation: Activation, z: Array, a: Array, tangent_z: Array) -> Array:
    """The tangent of a = f(z): the Jacobian's product with that of z, where `Activation.vjp` is that of its transpose.

    The Jacobian of every activation of the package is symmetric, diagonal or that of softmax, so that both are one
    product, kinks included. Of one of your own nobody knows: there it is JAX's derivative of the value.

    Args:
        activation: the activation.
        z: pre-activations (..., fan_out).
        a: activations, `activation.value(z)`.
        tangent_z: of the shape of z.

    Returns:
        The tangent of a, shape and dtype of z.
    """
    if is_of_this_package(activation):
        return activation.vjp(z, a, tangent_z)
    tangent: Array = jax.jvp(activation.value, (z,), (tangent_z,))[1]
    return tangent


# in NumPy


def is_of_this_package(activation: Activation) -> bool:
    """Whether both functions serve NumPy's arrays too; of an activation of one's own nobody knows."""
    return _serves_numpy(activation.value_fn) and _serves_numpy(activation.vjp_fn)


def _serves_numpy(function: Callable[..., Any]) -> bool:
    return getattr(function, "serves_numpy", False) or id(function) in _SERVING_NUMPY


def numpy_value(activation: Activation, z: np.ndarray) -> np.ndarray:
    """`activation.value(z)` of NumPy's arrays, without JAX but for activations of one's own."""
    return _in_numpy(activation.value_fn, activation, z)


def numpy_vjp(activation: Activation, z: np.ndarray, a: np.ndarray, ct_a: np.ndarray) -> np.ndarray:
    """`activation.vjp(z, a, ct_a)` of NumPy's arrays, without JAX but for activations of one's own."""
    return _in_numpy(activation.vjp_fn, activation, z, a, ct_a)


def _in_numpy(function: Callable[..., Any], activation: Activation, *arrays: np.ndarray) -> np.ndarray:
    """A function of an activation, computed in the working dtype and rounded once to that of the first array.

    It sees rows of units, (samples, units), whatever axes stand before the units.
    """
    first, work = arrays[0], working_dtype(arrays[0].dtype)
    given: Any = [array.astype(work, copy=False).reshape(-1, first.shape[-1]) for array in arrays]
    if not is_of_this_package(activation):
        given = map(jnp.asarray, given)
    computed = np.asarray(function(*given, **dict(activation.parameters)))
    return computed.astype(first.dtype, copy=False).reshape(first.shape)
