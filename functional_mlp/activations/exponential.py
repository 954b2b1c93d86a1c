"""Activations that are exponential on one side: elu, selu and celu, and softplus."""

from fractions import Fraction

from functional_mlp._checks import finite_float
from functional_mlp._dtypes import EitherArray, namespace
from functional_mlp.activations.activation import Activation, Kink
from functional_mlp.activations.piecewise import relu_value, where_positive
from functional_mlp.activations.primitives import (
    exponential,
    logistic,
    magnitude,
    negative_part,
    positive_float,
    scaled,
    sigmoid_parts,
)

# elu: a = z for z > 0, alpha (exp(z) - 1) for z < 0


def _only_left(z: EitherArray, left: EitherArray) -> EitherArray:
    """What belongs to z < 0, and 0 elsewhere: of functions that are straight from 0 on; NaN where z is NaN."""
    zeros = namespace(left).zeros_like(left)
    return where_positive(z, zeros, left, zeros)


def elu_value(z: EitherArray, alpha: float, at_zero: float) -> EitherArray:
    xp = namespace(z)
    return xp.where(z <= 0, alpha * xp.expm1(negative_part(z)), z)


def elu_vjp(z: EitherArray, a: EitherArray, ct_a: EitherArray, alpha: float, at_zero: float) -> EitherArray:
    # alpha exp(z), not a + alpha, which cancels for z << 0
    return where_positive(z, ct_a, ct_a * (alpha * namespace(z).exp(negative_part(z))), scaled(at_zero, ct_a))


def elu_second(
    z: EitherArray, a: EitherArray, ct_a: EitherArray, t_z: EitherArray, alpha: float, at_zero: float
) -> EitherArray:
    return _only_left(z, ct_a * t_z * (alpha * namespace(z).exp(negative_part(z))))  # f'' = alpha exp(z) for z < 0


def elu(alpha: float = 1.0, at_zero: float | None = None) -> Activation:
    """a = z for z > 0, alpha (exp(z) - 1) for z <= 0; `at_zero` is the derivative taken at z = 0 (None: `alpha`)."""
    alpha = finite_float("alpha", alpha)
    kink = alpha if at_zero is None else finite_float("at_zero", at_zero)
    parameters = (("alpha", alpha), ("at_zero", kink))
    kinks = (Kink(0.0, alpha, 1.0, "at_zero"),)
    return Activation("elu", elu_value, elu_vjp, parameters, kinks=kinks, second_fn=elu_second)


# selu: a = scale z for z > 0, scale alpha (exp(z) - 1) for z < 0; the constants are those for which mean 0 and variance
# 1 are a fixed point, from Klambauer, Unterthiner, Mayr and Hochreiter, 2017

SELU_SCALE = 1.0507009873554804934193349852946
SELU_LEFT = 1.7580993408473768599402175208123  # scale alpha


def selu_value(z: EitherArray, at_zero: float) -> EitherArray:
    xp = namespace(z)
    return xp.where(z <= 0, SELU_LEFT * xp.expm1(negative_part(z)), SELU_SCALE * z)


def selu_vjp(z: EitherArray, a: EitherArray, ct_a: EitherArray, at_zero: float) -> EitherArray:
    h = namespace(z).exp(0.5 * negative_part(z))  # exp(z) = h^2 alone underflows before the factor is in
    left = ct_a * (SELU_LEFT * h * h)
    return where_positive(z, SELU_SCALE * ct_a, left, scaled(at_zero, ct_a))


def selu_second(z: EitherArray, a: EitherArray, ct_a: EitherArray, t_z: EitherArray, at_zero: float) -> EitherArray:
    h = namespace(z).exp(0.5 * negative_part(z))
    return _only_left(z, ct_a * t_z * (SELU_LEFT * h * h))  # f'' = scale alpha exp(z) for z < 0


def selu(at_zero: float | None = None) -> Activation:
    """a = 1.0507 z for z > 0, 1.7581 (exp(z) - 1) for z <= 0; `at_zero` as in elu (None: 1.7581, the left side)."""
    kink = SELU_LEFT if at_zero is None else finite_float("at_zero", at_zero)
    kinks = (Kink(0.0, SELU_LEFT, SELU_SCALE, "at_zero"),)
    return Activation("selu", selu_value, selu_vjp, (("at_zero", kink),), kinks=kinks, second_fn=selu_second)


# celu: a = z for z > 0, alpha (exp(z / alpha) - 1) for z < 0; da/dz is 1 on both sides of 0


def celu_value(z: EitherArray, alpha: float) -> EitherArray:
    xp = namespace(z)
    return xp.where(z <= 0, alpha * xp.expm1(negative_part(z) / alpha), z)


def celu_vjp(z: EitherArray, a: EitherArray, ct_a: EitherArray, alpha: float) -> EitherArray:
    # exp(z / alpha), not a / alpha + 1, which cancels for z << 0
    return where_positive(z, ct_a, ct_a * exponential(negative_part(z), 1 / Fraction(alpha)), ct_a)


def celu_second(z: EitherArray, a: EitherArray, ct_a: EitherArray, t_z: EitherArray, alpha: float) -> EitherArray:
    # f'' = exp(z / alpha) / alpha for z < 0
    return _only_left(z, ct_a * t_z * (exponential(negative_part(z), 1 / Fraction(alpha)) / alpha))


def celu(alpha: float = 1.0) -> Activation:
    """a = z for z > 0, alpha (exp(z / alpha) - 1) for z <= 0, whose derivative does not jump; alpha is positive."""
    parameters = (("alpha", positive_float("alpha", alpha)),)
    return Activation("celu", celu_value, celu_vjp, parameters, second_fn=celu_second)


# softplus: a = log(1 + exp(beta z)) / beta; da/dz = sigmoid(beta z)


def softplus_value(z: EitherArray, beta: float = 1.0) -> EitherArray:
    # log(1 + e^z) = max(z, 0) + log(1 + e^-|z|)
    xp = namespace(z)
    tail = xp.log1p(exponential(-magnitude(z), Fraction(beta)))
    return relu_value(z, at_zero=0.0) + (tail if beta == 1 else tail / beta)


def softplus_vjp(z: EitherArray, a: EitherArray, ct_a: EitherArray, beta: float = 1.0) -> EitherArray:
    return ct_a * logistic(z, Fraction(beta))


def softplus_second(z: EitherArray, a: EitherArray, ct_a: EitherArray, t_z: EitherArray, beta: float) -> EitherArray:
    e, r = sigmoid_parts(z, Fraction(beta))
    return ct_a * t_z * (beta * (e * r * r))  # f'' = beta s (1 - s)


def softplus(beta: float = 1.0) -> Activation:
    """a = log(1 + exp(beta z)) / beta, for a positive beta."""
    parameters = (("beta", positive_float("beta", beta)),)
    return Activation("softplus", softplus_value, softplus_vjp, parameters, second_fn=softplus_second)
