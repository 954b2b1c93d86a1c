"""What JAX's own functions make of a network: the activations as a textbook would write them, for automatic
differentiation.

Nothing of functional_mlp's mathematics is used.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from functional_mlp.activations import Activation

JAX_VALUES: Mapping[str, Callable[..., Any]] = {
    "identity": lambda z: z,
    "sigmoid": jax.nn.sigmoid,
    "tanh": jnp.tanh,
    "relu": jax.nn.relu,
    "leaky_relu": lambda z, slope: jax.nn.leaky_relu(z, slope),
    "elu": lambda z, alpha: jax.nn.elu(z, alpha),
    "softplus": jax.nn.softplus,
    "silu": jax.nn.silu,
    "gelu": lambda z: jax.nn.gelu(z, approximate=False),
    "softmax": jax.nn.softmax,
}


def activate(
    values: Mapping[str, Callable[..., Any]], where: Callable[..., Any], activation: Activation, z: Any
) -> Any:
    """activation(z) by the function of its name in `values`, with the declared derivative at a kink.

    Args:
        values: a function of z and the activation's parameters, without `at_zero`, per name.
        where: `numpy.where` of the library that these are of.
        activation: as declared.
        z: pre-activations (n, K).
    """
    parameters = dict(activation.parameters)
    at_zero = parameters.pop("at_zero", None)
    a = values[activation.name](z, **parameters)
    return a if at_zero is None else where(z == 0, at_zero * z, a)
