"""Activations of the normal distribution: gelu, its form by tanh, and the gaussian."""

from fractions import Fraction

import numpy as np

from functional_mlp._dtypes import EitherArray, namespace
from functional_mlp.activations.activation import Activation
from functional_mlp.activations.primitives import (
    exponential_of_square,
    halves,
    leading_half,
    magnitude,
    negative_part,
    within,
)

# gelu: a = z Phi(z), Phi and phi the normal distribution function and density; da/dz = Phi(z) + z phi(z)
#
# Phi(-x) = phi(x) M(x) for x >= 0, M the Mills ratio: erfc(x / sqrt 2) / 2 as commonly coded takes exp of a rounded
# x^2 and is wrong by hundreds of ulp in the tail. (1 + x) M(x) is summed from its Chebyshev series in
# t = (x - 3) / (x + 3); tools/mills_ratio.py prints the coefficients.

_MILLS_CENTRE = 3.0
_MILLS_COEFFICIENTS = (
    1.1784568228520871382,
    -0.15568377366551466356,
    -0.046025207156927475746,
    0.028942713009137377789,
    -0.0059413181042768192952,
    0.000094799334831258108817,
    0.0001728511083513618982,
    -0.00001115834180798935005,
    -6.3587887693641513917e-6,
    3.5029253722892262988e-7,
    2.9237005795067485642e-7,
    2.0931932541286052074e-9,
    -1.4199632268740968955e-8,
    -1.5329417610288627042e-9,
    5.8852858288207007563e-10,
    1.6390973161781182823e-10,
    -1.0513403971842205931e-11,
    -1.1600413731548862789e-11,
    -1.3297689295170161885e-12,
    5.0494778476671877093e-13,
    1.861806923287154499e-13,
    3.6376184250875270712e-15,
    -1.223244687194721427e-14,
    -2.9972885854615156567e-15,
    1.9771263545646858202e-16,
    2.7187191275586569479e-16,
    5.2799351979214807366e-17,
    -7.5506117275562239947e-18,
    -6.1888447206551608152e-18,
)
_SQRT_TWO_PI = 2.5066282746310005024
_DENSITY_UNDERFLOWS = 40.0  # phi(40) = 1.5e-348: 0 in every floating format


def mills_ratio(x: EitherArray) -> EitherArray:
    """M(x) = Phi(-x) / phi(x) for x >= 0, of the shape and dtype of x; by Clenshaw's recurrence."""
    smallest = float(np.finfo(x.dtype).eps) / 64
    coefficients = [c for c in _MILLS_COEFFICIENTS if abs(c) > smallest]
    t = (x - _MILLS_CENTRE) / (x + _MILLS_CENTRE)
    b1 = b2 = namespace(x).zeros_like(x)
    for c in reversed(coefficients[1:]):
        b1, b2 = 2 * t * b1 - b2 + c, b1
    return (t * b1 - b2 + coefficients[0]) / (1 + x)


def _normal_density_times(x: EitherArray, factor: EitherArray) -> EitherArray:
    """phi(x) factor = exp(-x^2 / 2) factor / sqrt(2 pi) for 0 <= x <= 40, of the shape and dtype of x."""
    return exponential_of_square(x, 0.5, factor / _SQRT_TWO_PI)


def _tail_argument(z: EitherArray) -> EitherArray:
    return within(magnitude(z), 0.0, _DENSITY_UNDERFLOWS)


def gelu_value(z: EitherArray) -> EitherArray:
    x = _tail_argument(z)
    # z <= 0: z Phi(z) = -phi(x) x M(x); z > 0: z Phi(z) = z - z Phi(-z), and z Phi(-z) = phi(x) x M(x) too
    tail = _normal_density_times(x, x * mills_ratio(x))
    return namespace(z).where(z <= 0, -tail, z - tail)


def gelu_vjp(z: EitherArray, a: EitherArray, ct_a: EitherArray) -> EitherArray:
    x = _tail_argument(z)
    # z <= 0: Phi(z) + z phi(z) = phi(x) (M(x) - x); z > 0: the derivative is 1 minus that, by symmetry
    left = _normal_density_times(x, mills_ratio(x) - x)
    return ct_a * namespace(z).where(z <= 0, left, 1 - left)


def gelu_second(z: EitherArray, a: EitherArray, ct_a: EitherArray, t_z: EitherArray) -> EitherArray:
    x = _tail_argument(z)
    return ct_a * t_z * _normal_density_times(x, 2 - x * x)  # f'' = phi(z) (2 - z^2)


def gelu(approximate: str | bool = "none") -> Activation:
    """a = z Phi(z), Phi the normal distribution function; by tanh if `approximate` says so.

    Args:
        approximate: "none" or False for the exact one, "tanh" or True for `gelu_tanh`: as PyTorch, and as JAX and
            Keras spell it.

    Raises:
        ValueError: for something else.
    """
    if approximate in ("none", False) and not isinstance(approximate, float):
        return Activation("gelu", gelu_value, gelu_vjp, second_fn=gelu_second)
    if approximate in ("tanh", True) and not isinstance(approximate, float):
        return gelu_tanh()
    raise ValueError(f"expected approximate of gelu to be 'none', 'tanh', False or True, got {approximate!r}")


# gelu by tanh: a = z (1 + tanh u) / 2 = z sigmoid(2 u), 2 u = z (A + B z^2), A = 2 sqrt(2/pi), B = 0.044715 A;
# da/dz = sigmoid(2 u) (1 + z sigmoid(-2 u) (A + 3 B z^2))
#
# exp(2 u) keeps its digits where 2 u is known to more than those of the format: z, z^2 and A + B z^2 are each the sum
# of an exact half and a small rest, so that products of halves are exact.

_LINEAR = Fraction("1.595769121605730711759784239738")  # A
_CUBIC = Fraction("0.044715") * _LINEAR  # B
_SATURATED = 30.0  # exp(-2u) is 0 in every format


def _exponential_of_cubic(z: EitherArray, part: float) -> EitherArray:
    """exp(part 2 u) for -30 <= z <= 0 and a power of 2 as the part, of the shape and dtype of z."""
    xp, nmant = namespace(z), np.finfo(z.dtype).nmant
    (a, a_rest), (b, b_rest) = halves(_LINEAR, nmant), halves(_CUBIC, nmant)
    leading = leading_half(z)
    rest = z - leading
    square = leading * leading  # exact; z^2 = square + more
    more = rest * (z + leading)
    s = leading_half(square + more)
    s_rest = (square - s) + more
    v = leading_half(a + b * (square + more))
    v_rest = ((a - v) + b * s) + (a_rest + b * s_rest + b_rest * (square + more))
    e = xp.exp(part * (leading * v))
    return e + e * xp.expm1(part * (rest * v + z * v_rest))


def _cubic_logistic_times(z: EitherArray, factor: EitherArray) -> EitherArray:
    """sigmoid(2 u) factor, for -30 <= z <= 30; for z <= 0 as (h factor) h / (1 + h^2), h = exp(u)."""
    h = _exponential_of_cubic(negative_part(z), 0.5)
    e = _exponential_of_cubic(-magnitude(z), 1.0)
    return namespace(z).where(z <= 0, (h * factor) * h / (1 + h * h), factor / (1 + e))


def gelu_tanh_value(z: EitherArray) -> EitherArray:
    xp = namespace(z)
    return _cubic_logistic_times(within(z, -_SATURATED, _SATURATED), xp.maximum(z, np.finfo(z.dtype).min))


def gelu_tanh_vjp(z: EitherArray, a: EitherArray, ct_a: EitherArray) -> EitherArray:
    z = within(z, -_SATURATED, _SATURATED)
    slope = float(_LINEAR) + float(3 * _CUBIC) * (z * z)
    return ct_a * _cubic_logistic_times(z, 1 + (z * slope) * _cubic_logistic_times(-z, namespace(z).ones_like(z)))


def gelu_tanh_second(z: EitherArray, a: EitherArray, ct_a: EitherArray, t_z: EitherArray) -> EitherArray:
    # with y = 2 u, s = sigmoid(y): f'' = s' (2 y' + z y'' + z y'^2 (1 - 2 s)), which is even; s' = e r^2 and
    # 1 - 2 s = -(1 - e) r for z > 0, e = exp(-|y|), r = 1 / (1 + e)
    x = within(magnitude(z), 0.0, _SATURATED)
    h = _exponential_of_cubic(-x, 0.5)
    square, r = x * x, 1 / (1 + h * h)
    y = x * (float(_LINEAR) + float(_CUBIC) * square)
    slope = float(_LINEAR) + float(3 * _CUBIC) * square
    factor = 2 * slope + float(6 * _CUBIC) * square + x * slope * slope * (namespace(z).expm1(-y) * r)
    return ct_a * t_z * ((h * factor) * h * (r * r))


def gelu_tanh() -> Activation:
    """a = z (1 + tanh(sqrt(2/pi) (z + 0.044715 z^3))) / 2: gelu as JAX and flax compute it by default."""
    return Activation("gelu_tanh", gelu_tanh_value, gelu_tanh_vjp, second_fn=gelu_tanh_second)


# gaussian: a = exp(-z^2); da/dz = -2 z exp(-z^2)


def gaussian_value(z: EitherArray) -> EitherArray:
    x = _tail_argument(z)
    return exponential_of_square(x, 1.0, namespace(z).ones_like(x))


def gaussian_vjp(z: EitherArray, a: EitherArray, ct_a: EitherArray) -> EitherArray:
    x = _tail_argument(z)
    derivative = exponential_of_square(x, 1.0, 2 * x)
    return ct_a * namespace(z).where(z <= 0, derivative, -derivative)


def gaussian_second(z: EitherArray, a: EitherArray, ct_a: EitherArray, t_z: EitherArray) -> EitherArray:
    x = _tail_argument(z)
    return ct_a * t_z * exponential_of_square(x, 1.0, 4 * (x * x) - 2)


def gaussian() -> Activation:
    """a = exp(-z^2)."""
    return Activation("gaussian", gaussian_value, gaussian_vjp, second_fn=gaussian_second)
