"""Activation functions, each beside its hand-derived vector-Jacobian product (VJP).

For a = f(z) the VJP maps the cotangent ct_a = dLoss/da to ct_z = dLoss/dz. All functions work on arrays of any shape
with the units on the last axis (n, fan_out); only softmax mixes the units of a row. They are written so that neither
the value nor the derivative loses digits where the function saturates: no 1 - a, no 1 - a**2, no exponential of a
positive number. The identity used stands beside each formula; docs/reference/derivations.md derives them.

At the kink of relu, leaky_relu and elu (alpha != 1) the derivative is that of the left side unless `at_zero` says
otherwise; -0.0 is at the kink too. float16 and bfloat16 are computed in float32 and rounded once. NaN stays NaN.

The formulas serve JAX's arrays and NumPy's: `xp` is the library of the array that they are given.

This module does not register derivatives with JAX: differentiating these functions with `jax.grad` differentiates the
formula of the value, which is what the tests compare the hand-written VJPs with.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array

from functional_mlp._checks import finite_float, floating_array, known_name
from functional_mlp._dtypes import EitherArray, namespace, working_dtype


@jax.tree_util.register_static
@dataclass(frozen=True)
class Activation:
    """An activation function with its VJP: a frozen value, equal to another one with equal fields.

    Made by the factories below (`sigmoid()`, `leaky_relu(0.02)`), or directly from two functions of your own:
    `Activation("cube", lambda z: z**3, lambda z, a, ct_a: 3 * z**2 * ct_a)`. Registered static, so it passes through
    `jit`, `vmap` and `custom_vjp` as part of the tree structure. Define your functions once: another lambda with the
    same text is another function, and compiles again.

    Attributes:
        name: the name it is known by in files and messages.
        value_fn: maps pre-activations z (..., fan_out), and the parameters by name, to activations a of the same shape.
        vjp_fn: maps z, a, ct_a and the parameters to ct_z, all of one shape.
        parameters: (name, value) pairs, or a mapping, handed to both functions as keyword arguments.
        probabilities: whether the outputs are probabilities, so that losses of probabilities may follow.
    """

    name: str
    value_fn: Callable[..., Any] = field(repr=False)
    vjp_fn: Callable[..., Any] = field(repr=False)
    parameters: tuple[tuple[str, float], ...] = ()
    probabilities: bool = False

    def __post_init__(self) -> None:
        if not callable(self.value_fn) or not callable(self.vjp_fn):
            raise TypeError(f"expected two functions for activation {self.name!r}: its value and its VJP")
        pairs = self.parameters.items() if isinstance(self.parameters, Mapping) else self.parameters
        object.__setattr__(self, "parameters", tuple((str(name), value) for name, value in pairs))

    def value(self, z: Array) -> Array:
        """Activations a = f(z), shape and dtype of z.

        Raises:
            TypeError: if z does not hold floats.
        """
        z = floating_array("pre-activations", z)
        work = working_dtype(z.dtype)
        return self.value_fn(z.astype(work), **dict(self.parameters)).astype(z.dtype)

    def vjp(self, z: Array, a: Array, ct_a: Array) -> Array:
        """The cotangent ct_z, shape and dtype of z.

        Args:
            z: pre-activations.
            a: activations, `self.value(z)`.
            ct_a: cotangent of the activations, shape of z.

        Raises:
            TypeError: if one of them does not hold floats.
            ValueError: if their shapes differ.
        """
        z, a, ct_a = (floating_array(*pair) for pair in (("pre-activations", z), ("activations", a), ("ct_a", ct_a)))
        if not z.shape == a.shape == ct_a.shape:
            raise ValueError(f"expected z, a and ct_a of one shape, got {z.shape}, {a.shape} and {ct_a.shape}")
        work = working_dtype(z.dtype)
        return self.vjp_fn(z.astype(work), a.astype(work), ct_a.astype(work), **dict(self.parameters)).astype(z.dtype)


def is_of_this_package(activation: Activation) -> bool:
    """Whether both functions serve NumPy's arrays too; of an activation of one's own nobody knows."""
    functions = (activation.value_fn, activation.vjp_fn)
    return all(
        getattr(function, "serves_numpy", False) or any(function is known for known in _SERVING_NUMPY)
        for function in functions
    )


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


# identity: a = z


def identity_value(z: EitherArray) -> EitherArray:
    return z


def identity_vjp(z: EitherArray, a: EitherArray, ct_a: EitherArray) -> EitherArray:
    return ct_a


def _magnitude(z: EitherArray) -> EitherArray:
    # |z|; where, not abs, whose derivative at 0 is 0 to jax.grad: neither side's
    return namespace(z).where(z <= 0, -z, z)


# sigmoid: a = 1 / (1 + exp(-z)); da/dz = a (1 - a)
#
# With e = exp(-|z|) and r = 1 / (1 + e): a = r and 1 - a = e r for z > 0, and the other way round for z < 0, so that
# a (1 - a) = e r^2 without 1 - a, which is 0 from z = 37 on. The derivative computes e and r again: to keep two arrays
# from the forward pass for it takes more time than an exponential, and twice the memory.


def _sigmoid_parts(z: EitherArray) -> tuple[EitherArray, EitherArray]:
    e = namespace(z).exp(-_magnitude(z))
    return e, 1 / (1 + e)


def sigmoid_value(z: EitherArray) -> EitherArray:
    e, r = _sigmoid_parts(z)
    return namespace(z).where(z <= 0, e * r, r)


def sigmoid_vjp(z: EitherArray, a: EitherArray, ct_a: EitherArray) -> EitherArray:
    e, r = _sigmoid_parts(z if isinstance(z, np.ndarray) else lax.optimization_barrier(z))
    return ct_a * (e * r * r)


# tanh: da/dz = 1 - a^2


def tanh_value(z: EitherArray) -> EitherArray:
    return namespace(z).tanh(z)


def tanh_vjp(z: EitherArray, a: EitherArray, ct_a: EitherArray) -> EitherArray:
    # 1 - tanh^2 z = (1 / cosh z)^2 and 1 / cosh z = 2h / (1 + h^2), h = exp(-|z|): no cancellation near a = +-1, and
    # squaring last keeps exp(-2|z|) from underflowing before the factor 4 is in
    xp = namespace(z)
    h = xp.exp(-xp.abs(z))
    reciprocal_cosh = 2 * h / (1 + h * h)
    return ct_a * (reciprocal_cosh * reciprocal_cosh)


# relu: a = max(z, 0)


def _where_positive(z: EitherArray, right: EitherArray, left: EitherArray, at_zero: EitherArray) -> EitherArray:
    # the last one: NaN where z is NaN
    where = namespace(z, right, at_zero).where
    return where(z > 0, right, where(z < 0, left, where(z == 0, at_zero, z)))


def _scaled(factor: float, ct_a: EitherArray) -> EitherArray:
    # 0 ct_a is 0, also for the infinite cotangent of a unit that has no part in the result
    return namespace(ct_a).zeros_like(ct_a) if factor == 0 else factor * ct_a


def relu_value(z: EitherArray, at_zero: float) -> EitherArray:
    # not maximum(z, 0): jax.grad of that is 1/2 at z = 0
    xp = namespace(z)
    return xp.where(z <= 0, xp.zeros_like(z), z)


def relu_vjp(z: EitherArray, a: EitherArray, ct_a: EitherArray, at_zero: float) -> EitherArray:
    return _where_positive(z, ct_a, namespace(z).zeros_like(z), _scaled(at_zero, ct_a))


# leaky relu: a = z for z > 0, slope z for z < 0


def leaky_relu_value(z: EitherArray, slope: float, at_zero: float) -> EitherArray:
    return namespace(z).where(z <= 0, slope * z, z)


def leaky_relu_vjp(z: EitherArray, a: EitherArray, ct_a: EitherArray, slope: float, at_zero: float) -> EitherArray:
    return _where_positive(z, ct_a, _scaled(slope, ct_a), _scaled(at_zero, ct_a))


def _negative_part(z: EitherArray) -> EitherArray:
    # keeps the exponential of a branch not taken finite; where, not minimum, so that jax.grad is one-sided at 0
    xp = namespace(z)
    return xp.where(z <= 0, z, xp.zeros_like(z))


# elu: a = z for z > 0, alpha (exp(z) - 1) for z < 0


def elu_value(z: EitherArray, alpha: float, at_zero: float) -> EitherArray:
    xp = namespace(z)
    return xp.where(z <= 0, alpha * xp.expm1(_negative_part(z)), z)


def elu_vjp(z: EitherArray, a: EitherArray, ct_a: EitherArray, alpha: float, at_zero: float) -> EitherArray:
    # alpha exp(z), not a + alpha, which cancels for z << 0
    return _where_positive(z, ct_a, ct_a * (alpha * namespace(z).exp(_negative_part(z))), _scaled(at_zero, ct_a))


# softplus: a = log(1 + exp(z)); da/dz = sigmoid(z)


def softplus_value(z: EitherArray) -> EitherArray:
    # log(1 + e^z) = max(z, 0) + log(1 + e^-|z|)
    xp = namespace(z)
    return relu_value(z, at_zero=0.0) + xp.log1p(xp.exp(-_magnitude(z)))


def softplus_vjp(z: EitherArray, a: EitherArray, ct_a: EitherArray) -> EitherArray:
    return ct_a * sigmoid_value(z)


# silu: a = z sigmoid(z)


def _sigmoid_times(z: EitherArray, factor: EitherArray) -> EitherArray:
    """sigmoid(z) factor; for z <= 0 as (h factor) h / (1 + h^2), h = exp(z/2): exp(z) alone underflows too early."""
    xp = namespace(z)
    h = xp.exp(0.5 * _negative_part(z))
    return xp.where(z <= 0, (h * factor) * h / (1 + h * h), factor * sigmoid_value(z))


def silu_value(z: EitherArray) -> EitherArray:
    # the lowest number for -inf: times exp(-inf) = 0 that is 0, the limit, and not NaN
    return _sigmoid_times(z, namespace(z).maximum(z, np.finfo(z.dtype).min))


def silu_vjp(z: EitherArray, a: EitherArray, ct_a: EitherArray) -> EitherArray:
    z = namespace(z).clip(z, np.finfo(z.dtype).min, np.finfo(z.dtype).max)  # as above, on both sides
    # d/dz z s(z) = s + z s (1 - s) = s(z) (1 + z s(-z))
    return ct_a * _sigmoid_times(z, 1 + z * sigmoid_value(-z))


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


def _leading_half(x: EitherArray) -> EitherArray:
    """x rounded to the leading half of its significand, so that the square is exact; ties to even."""
    info = np.finfo(x.dtype)
    kept = (info.nmant - 1) // 2
    if not isinstance(x, np.ndarray):
        return lax.reduce_precision(x, exponent_bits=info.nexp, mantissa_bits=kept)
    bits, dropped = x.view(f"u{x.itemsize}"), info.nmant - kept
    rounded = bits + ((1 << (dropped - 1)) - 1) + ((bits >> dropped) & 1)
    return (rounded >> dropped << dropped).view(x.dtype)


def _normal_density_times(x: EitherArray, factor: EitherArray) -> EitherArray:
    """phi(x) factor = exp(-x^2 / 2) factor / sqrt(2 pi) for 0 <= x <= 40, of the shape and dtype of x.

    x = hi + lo with so few bits in hi that hi^2 is exact, and exp(-x^2/2) = exp(-hi^2/2) (1 + expm1(-lo (x + hi)/2)).
    (Written as a product of two exponentials, XLA would merge them and lose this.) One half of exp(-hi^2/2) is
    multiplied in after the factor, so that nothing underflows before the result does.
    """
    xp = namespace(x)
    hi = _leading_half(x)
    lo = x - hi
    half = xp.exp(-0.25 * (hi * hi))
    corrected = half + half * xp.expm1(-0.5 * (lo * (x + hi)))
    return (corrected * (factor / _SQRT_TWO_PI)) * half


def _tail_argument(z: EitherArray) -> EitherArray:
    return namespace(z).minimum(_magnitude(z), _DENSITY_UNDERFLOWS)


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


# softmax over the last axis: a_i = exp(z_i) / sum_j exp(z_j); da_i/dz_j = a_i (delta_ij - a_j)


def shifted_exponentials(z: EitherArray) -> tuple[EitherArray, EitherArray]:
    """exp(z - max z) over the last axis, and the shifted z - max z itself, both of the shape and dtype of z.

    The rounding error r of the subtraction (Knuth's two-sum) is put back, exp(d + r) = exp(d) (1 + r): without that an
    entry 700 below the largest is wrong by 350 ulp. The maximum is taken by its index, not by max, because the loss
    that is built on this counts that entry as exactly 1, and jax.grad should too where several are largest.
    """
    xp = namespace(z)
    top = xp.take_along_axis(z, xp.argmax(z, axis=-1, keepdims=True), axis=-1)
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
    top = xp.argmax(a, axis=-1, keepdims=True)
    relative = ct_a - xp.take_along_axis(ct_a, top, axis=-1)
    return a * (relative - xp.sum(a * relative, axis=-1, keepdims=True))


# the factories


def identity() -> Activation:
    """a = z."""
    return Activation("identity", identity_value, identity_vjp)


def sigmoid() -> Activation:
    """a = 1 / (1 + exp(-z))."""
    return Activation("sigmoid", sigmoid_value, sigmoid_vjp, probabilities=True)


def tanh() -> Activation:
    """a = tanh z."""
    return Activation("tanh", tanh_value, tanh_vjp)


def relu(at_zero: float = 0.0) -> Activation:
    """a = max(z, 0); `at_zero` is the derivative taken at z = 0 (0: left side, 1: right side)."""
    return Activation("relu", relu_value, relu_vjp, (("at_zero", finite_float("at_zero", at_zero)),))


def leaky_relu(slope: float = 0.01, at_zero: float | None = None) -> Activation:
    """a = z for z > 0, slope z for z <= 0; `at_zero` is the derivative taken at z = 0 (None: `slope`)."""
    slope = finite_float("slope", slope)
    kink = slope if at_zero is None else finite_float("at_zero", at_zero)
    return Activation("leaky_relu", leaky_relu_value, leaky_relu_vjp, (("slope", slope), ("at_zero", kink)))


def elu(alpha: float = 1.0, at_zero: float | None = None) -> Activation:
    """a = z for z > 0, alpha (exp(z) - 1) for z <= 0; `at_zero` is the derivative taken at z = 0 (None: `alpha`)."""
    alpha = finite_float("alpha", alpha)
    kink = alpha if at_zero is None else finite_float("at_zero", at_zero)
    return Activation("elu", elu_value, elu_vjp, (("alpha", alpha), ("at_zero", kink)))


def softplus() -> Activation:
    """a = log(1 + exp(z))."""
    return Activation("softplus", softplus_value, softplus_vjp)


def silu() -> Activation:
    """a = z sigmoid(z), also called swish."""
    return Activation("silu", silu_value, silu_vjp)


def gelu() -> Activation:
    """a = z Phi(z), Phi the normal distribution function: the exact GELU, not its tanh approximation."""
    return Activation("gelu", gelu_value, gelu_vjp)


def softmax() -> Activation:
    """a_i = exp(z_i) / sum_j exp(z_j) over the units of a layer."""
    return Activation("softmax", softmax_value, softmax_vjp, probabilities=True)


FACTORIES: Mapping[str, Callable[..., Activation]] = {
    factory.__name__: factory
    for factory in (identity, sigmoid, tanh, relu, leaky_relu, elu, softplus, silu, gelu, softmax)
}


_SERVING_NUMPY = tuple(
    function for factory in FACTORIES.values() for function in (factory().value_fn, factory().vjp_fn)
)


def resolve(spec: "str | Activation | Mapping[str, Any]") -> Activation:
    """The activation meant by a name, by an Activation, or by a mapping such as {"name": "leaky_relu", "slope": 0.02}.

    Raises:
        TypeError: if `spec` is something else, or a parameter is not a number.
        ValueError: if the name or a parameter is unknown.
    """
    if isinstance(spec, Activation):
        return spec
    name, parameters = (spec.get("name"), spec) if isinstance(spec, Mapping) else (spec, {})
    factory = FACTORIES[known_name("activation", name, FACTORIES)]
    given = {key: value for key, value in parameters.items() if key != "name"}
    allowed = [key for key, _ in factory().parameters]
    for key in given:
        if not allowed:
            raise ValueError(f"activation {name!r} takes no parameters, got {key!r}")
        known_name(f"parameter of {name}", key, allowed)
    return factory(**given)
