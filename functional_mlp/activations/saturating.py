"""Activations that saturate: sigmoid, tanh and scaled tanh, softsign, and softmax, which mixes the units of a row."""

from fractions import Fraction

import numpy as np
from jax import lax

from functional_mlp._checks import finite_float
from functional_mlp._dtypes import EitherArray, namespace
from functional_mlp._jax_compat import sharded_as
from functional_mlp.activations.activation import Activation
from functional_mlp.activations.primitives import (
    exponential,
    finite,
    logistic,
    magnitude,
    positive_float,
    sigmoid_parts,
)

# sigmoid: a = 1 / (1 + exp(-z)); da/dz = a (1 - a)
#
# With e = exp(-|z|) and r = 1 / (1 + e): a = r and 1 - a = e r for z > 0, and the other way round for z < 0, so that
# a (1 - a) = e r^2 without 1 - a, which is 0 from z = 37 on. The derivative computes e and r again: to keep two arrays
# from the forward pass for it takes more time than an exponential, and twice the memory.


def sigmoid_value(z: EitherArray) -> EitherArray:
    return logistic(z)


def sigmoid_vjp(z: EitherArray, a: EitherArray, ct_a: EitherArray) -> EitherArray:
    e, r = sigmoid_parts(z if isinstance(z, np.ndarray) else lax.optimization_barrier(z))
    return ct_a * (e * r * r)


def sigmoid_second(z: EitherArray, a: EitherArray, ct_a: EitherArray, t_z: EitherArray) -> EitherArray:
    # f'' = a (1 - a) (1 - 2a), and 1 - 2a = -tanh(z / 2) = -sign(z) (1 - e) r
    xp = namespace(z)
    e, r = sigmoid_parts(z)
    middle = xp.expm1(-magnitude(z)) * r
    return ct_a * t_z * (e * r * r) * xp.where(z <= 0, -middle, middle)


def sigmoid() -> Activation:
    """a = 1 / (1 + exp(-z))."""
    return Activation("sigmoid", sigmoid_value, sigmoid_vjp, probabilities=True, second_fn=sigmoid_second)


# tanh: da/dz = 1 - a^2


def tanh_value(z: EitherArray) -> EitherArray:
    return namespace(z).tanh(z)


def _reciprocal_cosh(h: EitherArray) -> EitherArray:
    """1 / cosh z of h = exp(-|z|)."""
    return 2 * h / (1 + h * h)


def tanh_vjp(z: EitherArray, a: EitherArray, ct_a: EitherArray) -> EitherArray:
    # 1 - tanh^2 z = (1 / cosh z)^2 and 1 / cosh z = 2h / (1 + h^2), h = exp(-|z|): no cancellation near a = +-1, and
    # squaring last keeps exp(-2|z|) from underflowing before the factor 4 is in
    xp = namespace(z)
    reciprocal_cosh = _reciprocal_cosh(xp.exp(-xp.abs(z)))
    return ct_a * (reciprocal_cosh * reciprocal_cosh)


def tanh_second(z: EitherArray, a: EitherArray, ct_a: EitherArray, t_z: EitherArray) -> EitherArray:
    # f'' = -2 a (1 - a^2), with the factor between the two that would underflow
    xp = namespace(z)
    reciprocal_cosh = _reciprocal_cosh(xp.exp(-xp.abs(z)))
    return ct_a * t_z * ((reciprocal_cosh * (-2 * a)) * reciprocal_cosh)


def tanh() -> Activation:
    """a = tanh z."""
    return Activation("tanh", tanh_value, tanh_vjp, second_fn=tanh_second)


# scaled tanh: a = scale tanh(rate z); da/dz = scale rate (1 - tanh^2(rate z))


def scaled_tanh_value(z: EitherArray, scale: float, rate: float) -> EitherArray:
    return scale * namespace(z).tanh(rate * z)


def scaled_tanh_vjp(z: EitherArray, a: EitherArray, ct_a: EitherArray, scale: float, rate: float) -> EitherArray:
    # as tanh, with exp(-|rate z|) to all its digits: that of a rounded product loses them in the tail
    reciprocal_cosh = _reciprocal_cosh(exponential(-magnitude(z), Fraction(rate)))
    return ct_a * (scale * rate * reciprocal_cosh * reciprocal_cosh)


def scaled_tanh_second(
    z: EitherArray, a: EitherArray, ct_a: EitherArray, t_z: EitherArray, scale: float, rate: float
) -> EitherArray:
    steep = -2 * rate * namespace(z).tanh(rate * z)
    return steep * scaled_tanh_vjp(z, a, ct_a * t_z, scale, rate)


def scaled_tanh(scale: float = 1.7159, rate: float = 2 / 3) -> Activation:
    """a = scale tanh(rate z), by default with f(1) = 1 and f(-1) = -1, as in LeCun, Bottou, Orr and Müller, 1998."""
    parameters = (("scale", finite_float("scale", scale)), ("rate", positive_float("rate", rate)))
    return Activation("scaled_tanh", scaled_tanh_value, scaled_tanh_vjp, parameters, second_fn=scaled_tanh_second)


# softsign: a = z / (1 + |z|); da/dz = 1 / (1 + |z|)^2


def softsign_value(z: EitherArray) -> EitherArray:
    z = finite(z)
    return z / (1 + magnitude(z))


def softsign_vjp(z: EitherArray, a: EitherArray, ct_a: EitherArray) -> EitherArray:
    r = 1 / (1 + magnitude(z))
    return ct_a * (r * r)


def softsign_second(z: EitherArray, a: EitherArray, ct_a: EitherArray, t_z: EitherArray) -> EitherArray:
    r = 1 / (1 + magnitude(z))
    return ct_a * t_z * (-2 * namespace(z).sign(z) * (r * r * r))


def softsign() -> Activation:
    """a = z / (1 + |z|)."""
    return Activation("softsign", softsign_value, softsign_vjp, second_fn=softsign_second)


# softmax over the last axis: a_i = exp(z_i) / sum_j exp(z_j); da_i/dz_j = a_i (delta_ij - a_j)


def are_largest(x: EitherArray) -> EitherArray:
    """Whether each entry of a row is its largest, of several the first: of the shape of x, and sharded as it is."""
    xp = namespace(x)
    places = xp.arange(x.shape[-1]).reshape((*(1 for _ in x.shape[1:]), -1))
    of_values = x if isinstance(x, np.ndarray) else lax.stop_gradient(x)  # argmax has no rule for Taylor series (jet)
    largest: EitherArray = sharded_as(places == xp.argmax(of_values, axis=-1, keepdims=True), x)
    return largest


def chosen(x: EitherArray, which: EitherArray) -> EitherArray:
    """The one entry (..., 1) of each row that is marked: as a sum, which may be sharded, and differentiated any way."""
    xp = namespace(x)
    return xp.sum(xp.where(which, x, xp.zeros_like(x)), axis=-1, keepdims=True)


def shifted_exponentials(z: EitherArray) -> tuple[EitherArray, EitherArray]:
    """exp(z - max z) over the last axis, and the shifted z - max z itself, both of the shape and dtype of z.

    The rounding error r of the subtraction (Knuth's two-sum) is put back, exp(d + r) = exp(d) (1 + r): without that an
    entry 700 below the largest is wrong by 350 ulp. The maximum is taken by its index, not by max, because the loss
    that is built on this counts that entry as exactly 1, and jax.grad should too where several are largest.
    """
    xp = namespace(z)
    top = chosen(z, are_largest(z))
    shifted = z - top
    recovered = shifted - z
    r = (z - (shifted - recovered)) - (top + recovered)
    r = r if isinstance(r, np.ndarray) else lax.stop_gradient(r)
    r = xp.where(xp.isfinite(r), r, xp.zeros_like(r))  # z - max z overflowed: exp is 0 anyway
    return xp.exp(shifted) * (1 + r), shifted


def softmax_value(z: EitherArray) -> EitherArray:
    e, _ = shifted_exponentials(z)
    return e / namespace(e).sum(e, axis=-1, keepdims=True)


def softmax_vjp(z: EitherArray, a: EitherArray, ct_a: EitherArray) -> EitherArray:
    # ct_z_i = a_i (ct_i - sum_j a_j ct_j). The Jacobian annihilates constants, so ct is first taken relative to that of
    # the largest unit: near saturation ct_i - sum_j a_j ct_j would cancel there.
    xp = namespace(a, ct_a)
    relative = ct_a - chosen(ct_a, are_largest(a))
    return a * (relative - xp.sum(a * relative, axis=-1, keepdims=True))


def softmax_second(z: EitherArray, a: EitherArray, ct_a: EitherArray, t_z: EitherArray) -> EitherArray:
    # with t_a = J t_z and s = sum_j a_j ct_j, the tangent of a_i (ct_i - s) is t_a_i (ct_i - s) - a_i sum_j t_a_j ct_j
    xp = namespace(a, ct_a)
    t_a = softmax_vjp(z, a, t_z)
    relative = ct_a - chosen(ct_a, are_largest(a))
    mean = xp.sum(a * relative, axis=-1, keepdims=True)
    return t_a * (relative - mean) - a * xp.sum(t_a * relative, axis=-1, keepdims=True)


def softmax() -> Activation:
    """a_i = exp(z_i) / sum_j exp(z_j) over the units of a layer."""
    return Activation("softmax", softmax_value, softmax_vjp, probabilities=True, second_fn=softmax_second)
