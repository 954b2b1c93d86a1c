"""Activations: functions of one number, and gates of two."""

import math

import jax
import jax.numpy as jnp
from jax import lax

from benchmarks.accuracy.anything.operations.registry import Draw, operation


def matrix(draw: Draw):
    return [draw.normal(*draw.pick((4, 7), (32, 48), (250, 400)))], []


def two_halves(draw: Draw):
    return [draw.normal(*draw.pick((3, 8), (24, 64), (250, 400)))], []


@operation(matrix)
def gelu(x):
    density = 0.5 * (1 + lax.erf(x / math.sqrt(2)))
    return x * density


@operation(matrix)
def gelu_tanh(x):
    inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    return 0.5 * x * (1 + jnp.tanh(inner))


@operation(matrix)
def quick_gelu(x):
    gate = jax.nn.sigmoid(1.702 * x)
    return x * gate


@operation(matrix)
def silu(x):
    gate = jax.nn.sigmoid(x)
    return x * gate


@operation(matrix)
def mish(x):
    inner = jax.nn.softplus(x)
    return x * jnp.tanh(inner)


@operation(matrix)
def softplus(x):
    return jnp.maximum(x, 0) + jnp.log1p(jnp.exp(-jnp.abs(x)))


@operation(matrix)
def log_sigmoid(x):
    return -jax.nn.softplus(-x)


@operation(matrix)
def sigmoid(x):
    return 1 / (1 + jnp.exp(-x))


@operation(matrix)
def tanh(x):
    return jnp.tanh(x)


@operation(matrix)
def elu(x):
    below = jnp.expm1(jnp.minimum(x, 0))
    return jnp.where(x > 0, x, below)


@operation(matrix)
def selu(x):
    below = 1.6732632423543772 * jnp.expm1(jnp.minimum(x, 0))
    return 1.0507009873554805 * jnp.where(x > 0, x, below)


@operation(matrix)
def relu(x):
    return jnp.maximum(x, 0)


@operation(matrix)
def leaky_relu(x):
    return jnp.where(x > 0, x, 0.01 * x)


@operation(matrix)
def relu_squared(x):
    positive = jnp.maximum(x, 0)
    return positive**2


@operation(matrix)
def hardswish(x):
    gate = jnp.clip(x + 3, 0, 6) / 6
    return x * gate


@operation(matrix)
def hardtanh(x):
    return jnp.clip(x, -1, 1)


@operation(matrix)
def softsign(x):
    return x / (1 + jnp.abs(x))


@operation(two_halves)
def glu(x):
    value, gate = jnp.split(x, 2, -1)
    return value * jax.nn.sigmoid(gate)
