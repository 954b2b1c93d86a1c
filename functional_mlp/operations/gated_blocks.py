"""SwiGLU and GeGLU, the gated feed-forward blocks of transformers, beside their hand-derived VJP.

Rows are samples: z = x gate, u = x up, a = f(z), h = a u, y = h down.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from functional_mlp._checks import floating_array
from functional_mlp.activations import Activation, gelu, silu
from functional_mlp.operations.arguments import in_working_dtype, require_axes, require_shape, wide


class GatedResiduals(NamedTuple):
    """All that the backward passes read.

    Attributes:
        x, gate, up, down: as given.
        z, u: x gate and x up, (..., h), in the working dtype.
    """

    x: Float[Array, "*rows d"]
    gate: Float[Array, "d h"]
    up: Float[Array, "d h"]
    down: Float[Array, "h out"]
    z: Float[Array, "*rows h"]
    u: Float[Array, "*rows h"]


class GatedCotangents(NamedTuple):
    """dLoss/dx, dLoss/dgate, dLoss/dup and dLoss/ddown, of the shapes and dtypes of what they belong to."""

    ct_x: Float[Array, "*rows d"]
    ct_gate: Float[Array, "d h"]
    ct_up: Float[Array, "d h"]
    ct_down: Float[Array, "h out"]


def _times(x: Array, weights: Array) -> Array:
    return jnp.matmul(x, weights, precision="highest")


def _checked(x: Array, gate: Array, up: Array, down: Array) -> None:
    require_axes("x", x, 1, "(..., d)")
    if gate.ndim != 2 or gate.shape[0] != x.shape[-1]:
        raise ValueError(f"expected gate of shape ({x.shape[-1]}, h), as x has {x.shape[-1]} units, got {gate.shape}")
    require_shape("up", up, gate.shape, "that of gate")
    if down.ndim != 2 or down.shape[0] != gate.shape[1]:
        raise ValueError(f"expected down of shape ({gate.shape[1]}, out), as gate is {gate.shape}, got {down.shape}")


@in_working_dtype()
def swiglu(x: Array, gate: Array, up: Array, down: Array) -> Float[Array, "*rows out"]:
    """(silu(x gate) ∘ x up) down, silu(z) = z / (1 + exp(-z)).

    Args:
        x: (..., d), float.
        gate, up: (d, h), float.
        down: (h, out), float; often out = d. The identity: only the gated unit.

    Returns:
        (..., out), dtype of x.

    Raises:
        TypeError: for what holds no floats.
        ValueError: for shapes that do not fit.

    Source: Shazeer, GLU variants improve transformer, 2020.

    Example:
        >>> one = jnp.ones((1, 1))
        >>> print(swiglu(jnp.array([[2.0]]), one, one, one).round(2))  # 2 sigmoid(2) 2
        [[3.52]]
    """
    _checked(x, gate, up, down)
    return _times(jax.nn.silu(_times(x, gate)) * _times(x, up), down)


def swiglu_forward(
    x: ArrayLike, gate: ArrayLike, up: ArrayLike, down: ArrayLike
) -> tuple[Float[Array, "*rows out"], GatedResiduals]:
    """`swiglu` and what its backward pass reads; arguments, errors and source as there.

    Example:
        >>> y, residuals = swiglu_forward(jnp.array([[0.0]]), *[jnp.ones((1, 1))] * 3)
        >>> y.tolist(), residuals.u.tolist()
        ([[0.0]], [[0.0]])
    """
    return _forward(silu(), x, gate, up, down)


def swiglu_backward(residuals: GatedResiduals, ct_y: ArrayLike) -> GatedCotangents:
    """ct_h = ct_y downᵀ, ct_z = ct_h ∘ u ∘ f'(z), ct_u = ct_h ∘ a; ct_x = ct_z gateᵀ + ct_u upᵀ.

    ct_gate = xᵀ ct_z, ct_up = xᵀ ct_u, ct_down = hᵀ ct_y, summed over all samples.

    Args:
        residuals: of `swiglu_forward`.
        ct_y: dLoss/dy, shape of y.

    Raises:
        TypeError: for what holds no floats.
        ValueError: for another shape.

    Example:
        >>> _, residuals = swiglu_forward(jnp.array([[2.0]]), *[jnp.ones((1, 1))] * 3)
        >>> print(swiglu_backward(residuals, jnp.array([[1.0]])).ct_down.round(2))
        [[3.52]]
    """
    return _backward(silu(), residuals, ct_y)


@in_working_dtype()
def geglu(x: Array, gate: Array, up: Array, down: Array) -> Float[Array, "*rows out"]:
    """(gelu(x gate) ∘ x up) down, gelu(z) = z Φ(z), the exact one; arguments, errors and source as of `swiglu`.

    Example:
        >>> one = jnp.ones((1, 1))
        >>> print(geglu(jnp.array([[2.0]]), one, one, one).round(4))  # 2 Φ(2) 2
        [[3.909]]
    """
    _checked(x, gate, up, down)
    return _times(jax.nn.gelu(_times(x, gate), approximate=False) * _times(x, up), down)


def geglu_forward(
    x: ArrayLike, gate: ArrayLike, up: ArrayLike, down: ArrayLike
) -> tuple[Float[Array, "*rows out"], GatedResiduals]:
    """`geglu` and what its backward pass reads; arguments, errors and source as of `swiglu`.

    Example:
        >>> y, residuals = geglu_forward(jnp.array([[0.0]]), *[jnp.ones((1, 1))] * 3)
        >>> y.tolist(), residuals.z.tolist()
        ([[0.0]], [[0.0]])
    """
    return _forward(gelu(), x, gate, up, down)


def geglu_backward(residuals: GatedResiduals, ct_y: ArrayLike) -> GatedCotangents:
    """As `swiglu_backward`, f'(z) = Φ(z) + z φ(z).

    Example:
        >>> _, residuals = geglu_forward(jnp.array([[2.0]]), *[jnp.ones((1, 1))] * 3)
        >>> print(geglu_backward(residuals, jnp.array([[1.0]])).ct_down.round(4))
        [[3.909]]
    """
    return _backward(gelu(), residuals, ct_y)


def _forward(
    activation: Activation, x: ArrayLike, gate: ArrayLike, up: ArrayLike, down: ArrayLike
) -> tuple[Array, GatedResiduals]:
    given = [floating_array(name, each) for name, each in (("x", x), ("gate", gate), ("up", up), ("down", down))]
    _checked(*given)
    x, gate, up, down = given
    rows, to_gate, to_up, to_out = (wide(each, *given) for each in given)
    z, u = _times(rows, to_gate), _times(rows, to_up)
    y = _times(activation.value(z) * u, to_out)
    return y.astype(x.dtype), GatedResiduals(x, gate, up, down, z, u)


def _backward(activation: Activation, residuals: GatedResiduals, ct_y: ArrayLike) -> GatedCotangents:
    *given, z, u = residuals
    ct_y = floating_array("ct_y", ct_y)
    require_shape("ct_y", ct_y, (*z.shape[:-1], residuals.down.shape[-1]), "that of y")
    x, gate, up, down, ct = (each.astype(z.dtype) for each in (*given, ct_y))
    a = activation.value(z)
    ct_h = _times(ct, down.T)
    ct_u = ct_h * a
    ct_z = activation.vjp(z, a, ct_h * u)
    ct_x = _times(ct_z, gate.T) + _times(ct_u, up.T)
    cotangents = (ct_x, _outer(x, ct_z), _outer(x, ct_u), _outer(a * u, ct))
    return GatedCotangents(*(ct.astype(each.dtype) for ct, each in zip(cotangents, given, strict=True)))


def _outer(rows: Array, cts: Array) -> Array:
    """The sum over all samples of rowᵀ ct."""
    samples = tuple(range(rows.ndim - 1))
    return jnp.tensordot(rows, cts, (samples, samples), precision="highest")
