"""One step of an LSTM and of a GRU: `jax.lax.scan` makes sequences of them."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from functional_mlp.operations.arguments import along, in_working_dtype, require_axes, require_shape


def _checked(gates: int, x: Array, hidden: Array, input_weights: Array, hidden_weights: Array, *biases: Array) -> None:
    require_axes("x", x, 1, "(..., d)")
    require_axes("hidden", hidden, 1, "(..., h)")
    d, h = x.shape[-1], hidden.shape[-1]
    require_shape("hidden", hidden, (*x.shape[:-1], h), "with as many samples as x")
    require_shape("input_weights", input_weights, (d, gates * h), f"{gates} gates of {h} units side by side")
    require_shape("hidden_weights", hidden_weights, (h, gates * h), f"{gates} gates of {h} units side by side")
    for bias in biases:
        require_shape("bias", bias, (gates * h,), f"{gates} gates of {h} units")


def _affine(x: Array, weights: Array, bias: Array) -> Array:
    return jnp.matmul(x, weights, precision="highest") + along(bias, -1, x.ndim)


@in_working_dtype()
def lstm_cell(
    x: Array,
    hidden: Array,
    cell: Array,
    input_weights: Array,
    hidden_weights: Array,
    bias: Array,
) -> tuple[Float[Array, "*samples h"], Float[Array, "*samples h"]]:
    """c' = σ(f) c + σ(i) tanh(g), h' = σ(o) tanh(c'), with (i, f, g, o) = x W + h U + b side by side.

    Args:
        x: (..., d), float.
        hidden, cell: (..., h), float.
        input_weights: W (d, 4h), hidden_weights: U (h, 4h), bias: (4h,), float. The order of the gates is PyTorch's,
            whose matrices are the transposes of these, and whose two biases add up to this one.

    Returns:
        hidden and cell after the step, (..., h), dtype of x.

    Raises:
        TypeError: for what holds no floats.
        ValueError: for shapes that do not fit.

    Source: Hochreiter and Schmidhuber, 1997, with the forget gate of Gers, Schmidhuber and Cummins, 2000.

    Example:
        >>> hidden, cell = lstm_cell(*[jnp.zeros((1, 1))] * 2, jnp.ones((1, 1)), *[jnp.zeros((1, 4))] * 2, jnp.zeros(4))
        >>> cell.tolist()
        [[0.5]]
    """
    _checked(4, x, hidden, input_weights, hidden_weights, bias)
    require_shape("cell", cell, hidden.shape, "that of hidden")
    gates = _affine(x, input_weights, bias) + jnp.matmul(hidden, hidden_weights, precision="highest")
    i, f, g, o = jnp.split(gates, 4, axis=-1)
    cell = jax.nn.sigmoid(f) * cell + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(cell), cell


@in_working_dtype()
def gru_cell(
    x: Array,
    hidden: Array,
    input_weights: Array,
    hidden_weights: Array,
    input_bias: Array,
    hidden_bias: Array,
) -> Float[Array, "*samples h"]:
    """h' = (1 - z) n + z h, z = σ(x W_z + h U_z + …), r likewise, n = tanh(x W_n + b_n + r (h U_n + c_n)).

    Args:
        x: (..., d), float.
        hidden: (..., h), float.
        input_weights: W (d, 3h), hidden_weights: U (h, 3h), gates r, z, n side by side; PyTorch's are the transposes.
        input_bias, hidden_bias: b and c, (3h,), float.

    Returns:
        hidden after the step, (..., h), dtype of x. The reset gate r acts after the product, as in cuDNN and PyTorch,
        not on h before it, as published first.

    Raises:
        TypeError: for what holds no floats.
        ValueError: for shapes that do not fit.

    Source: Cho and others, Learning phrase representations using RNN encoder-decoder, 2014.

    Example:
        >>> gru_cell(*[jnp.ones((1, 1))] * 2, *[jnp.zeros((1, 3))] * 2, *[jnp.zeros(3)] * 2).tolist()
        [[0.5]]
    """
    _checked(3, x, hidden, input_weights, hidden_weights, input_bias, hidden_bias)
    of_x = jnp.split(_affine(x, input_weights, input_bias), 3, axis=-1)
    of_hidden = jnp.split(_affine(hidden, hidden_weights, hidden_bias), 3, axis=-1)
    r, z = (jax.nn.sigmoid(a + b) for a, b in zip(of_x[:2], of_hidden[:2], strict=True))
    n = jnp.tanh(of_x[2] + r * of_hidden[2])
    return (1 - z) * n + z * hidden
