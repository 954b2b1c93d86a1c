"""Wrong derivatives of activations: terms of the product rule, wrong arguments, wrong sides, other functions."""

import math

import jax
import jax.numpy as jnp
from jax import lax

from benchmarks.accuracy.anything.mistakes.registry import factor, mistake, slope, spoilt, with_ct

ROOT = math.sqrt(2 / math.pi)
NO_CT = "the cotangent of the output is not multiplied in: this is the gradient of the sum of the outputs"


def density(x):
    return jnp.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


def cumulative(x):
    return 0.5 * (1 + lax.erf(x / math.sqrt(2)))


slope("gelu", "density_term_missing", "the second term of the product rule is missing", cumulative, "density = ")
slope(
    "gelu", "tanh_form", "the backward pass is that of the tanh approximation", jax.grad(lambda x: jax.nn.gelu(x).sum())
)
slope(
    "gelu",
    "density_not_normalised",
    "1 / sqrt(2 pi) is missing in the density",
    lambda x: cumulative(x) + x * jnp.exp(-0.5 * x * x),
    "density = ",
)
slope(
    "gelu",
    "density_of_x",
    "the exponent lacks its 1/2",
    lambda x: cumulative(x) + x * jnp.exp(-x * x) / math.sqrt(2 * math.pi),
    "density = ",
)
slope(
    "gelu",
    "sigmoid_form",
    "the backward pass is that of the sigmoid approximation",
    lambda x: jax.nn.sigmoid(1.702 * x) * (1 + 1.702 * x * (1 - jax.nn.sigmoid(1.702 * x))),
)


def tanh_form(x, cube=3 * 0.044715, squared=True, root=ROOT):
    t = jnp.tanh(ROOT * (x + 0.044715 * x**3))
    return 0.5 * (1 + t) + 0.5 * x * (1 - (t * t if squared else t)) * root * (1 + cube * x * x)


slope("gelu_tanh", "cube_missing", "the cube's derivative is missing", lambda x: tanh_form(x, cube=0), "inner = ")
slope(
    "gelu_tanh",
    "cube_not_trebled",
    "the cube's derivative lacks its 3",
    lambda x: tanh_form(x, cube=0.044715),
    "inner = ",
)
slope(
    "gelu_tanh",
    "tanh_not_squared",
    "the derivative of tanh is 1 - t instead of 1 - t^2",
    lambda x: tanh_form(x, squared=False),
    "jnp.tanh(inner)",
)
slope(
    "gelu_tanh",
    "root_missing",
    "sqrt(2 / pi) is missing in the chain rule",
    lambda x: tanh_form(x, root=1.0),
    "inner = ",
)
slope(
    "gelu_tanh",
    "inner_missing",
    "the path through the tanh is missing",
    lambda x: 0.5 * (1 + jnp.tanh(ROOT * (x + 0.044715 * x**3))),
    "jnp.tanh(inner)",
    "inner = ",
)
slope(
    "gelu_tanh", "erf_form", "the backward pass is that of the exact function", lambda x: cumulative(x) + x * density(x)
)


def quick(x, c=1.702, inner=1.702):
    s = jax.nn.sigmoid(c * x)
    return s + inner * x * s * (1 - s)


slope("quick_gelu", "factor_missing", "1.702 is missing in the chain rule", lambda x: quick(x, inner=1.0), "1.702")
slope(
    "quick_gelu", "gate_path_missing", "the path through the gate is missing", lambda x: quick(x, inner=0.0), "gate = "
)
slope("quick_gelu", "constant_rounded", "1.7 is used for 1.702", lambda x: quick(x, 1.7, 1.7), "1.702", "x * gate")


def swish(x, form):
    s = jax.nn.sigmoid(x)
    return form(x, s)


slope("silu", "gate_path_missing", "the path through the gate is missing", jax.nn.sigmoid, "gate = ")
slope(
    "silu",
    "of_output",
    "x s is used for x in the derivative of the gate",
    lambda x: swish(x, lambda x, s: s * (1 + x * s * (1 - s))),
    "gate = ",
    "x * gate",
)
slope(
    "silu",
    "slope_not_multiplied",
    "s + s (1 - s): x is missing in the second term",
    lambda x: swish(x, lambda x, s: s + s * (1 - s)),
    "x * gate",
)
slope(
    "silu",
    "sign_of_the_second_term",
    "the second term has the wrong sign",
    lambda x: swish(x, lambda x, s: s - x * s * (1 - s)),
    "gate = ",
)


def mished(x, form):
    t = jnp.tanh(jax.nn.softplus(x))
    return form(x, t, jax.nn.sigmoid(x))


slope(
    "mish",
    "inner_missing",
    "the path through softplus is missing",
    lambda x: mished(x, lambda x, t, s: t),
    "inner = ",
    "jnp.tanh(inner)",
)
slope(
    "mish",
    "sigmoid_missing",
    "the derivative of softplus is missing",
    lambda x: mished(x, lambda x, t, s: t + x * (1 - t * t)),
    "inner = ",
)
slope(
    "mish",
    "tanh_not_squared",
    "the derivative of tanh is 1 - t instead of 1 - t^2",
    lambda x: mished(x, lambda x, t, s: t + x * (1 - t) * s),
    "jnp.tanh(inner)",
)

slope("softplus", "of_relu", "the derivative is that of relu", lambda x: (x > 0).astype(x.dtype))
slope("softplus", "squared", "the derivative is s (1 - s)", lambda x: jax.nn.sigmoid(x) * (1 - jax.nn.sigmoid(x)))
slope(
    "softplus",
    "thresholded",
    "from x > 1 on it is taken for the identity",
    lambda x: jnp.where(x > 1, 1, jax.nn.sigmoid(x)),
)
slope("log_sigmoid", "sign", "sigmoid(x) instead of sigmoid(-x)", jax.nn.sigmoid)
slope(
    "log_sigmoid",
    "of_sigmoid",
    "the derivative of the sigmoid, without the logarithm",
    lambda x: jax.nn.sigmoid(x) * jax.nn.sigmoid(-x),
)
with_ct("log_sigmoid", "ct_ignored", NO_CT, lambda ct: 0 * ct + 1)
slope("sigmoid", "of_input", "x (1 - x) instead of y (1 - y)", lambda x: x * (1 - x))
slope(
    "sigmoid",
    "applied_twice",
    "the saved output is taken for the input",
    lambda x: jax.grad(lambda y: jax.nn.sigmoid(y).sum())(jax.nn.sigmoid(x)),
)
slope("sigmoid", "one_minus_y", "y is missing: 1 - y", lambda x: 1 - jax.nn.sigmoid(x))
slope("tanh", "not_squared", "1 - y instead of 1 - y^2", lambda x: 1 - jnp.tanh(x), "jnp.tanh(x)")
slope("tanh", "of_input", "1 - x^2 instead of 1 - y^2", lambda x: 1 - x * x, "jnp.tanh(x)")
with_ct("tanh", "ct_ignored", NO_CT, lambda ct: 0 * ct + 1)
slope("elu", "one_added_missing", "y instead of y + 1 below 0", lambda x: jnp.where(x > 0, 1, jnp.expm1(x)), "below = ")
slope("elu", "of_relu", "0 below 0", lambda x: (x > 0).astype(x.dtype), "below = ", "jnp.where(x > 0, x, below)")
slope(
    "elu",
    "condition_of_output",
    "exp(y) instead of exp(x) below 0",
    lambda x: jnp.where(x > 0, 1, jnp.exp(jnp.expm1(jnp.minimum(x, 0)))),
    "below = ",
)
slope(
    "selu",
    "scale_missing_below",
    "the scale is missing below 0",
    lambda x: jnp.where(x > 0, 1.0507009873554805, 1.6732632423543772 * jnp.exp(x)),
    "below = ",
)
slope(
    "selu",
    "alpha_missing",
    "alpha is missing below 0",
    lambda x: 1.0507009873554805 * jnp.where(x > 0, 1, jnp.exp(x)),
    "below = ",
)
slope(
    "selu",
    "scale_missing",
    "the scale is missing",
    lambda x: jnp.where(x > 0, 1, 1.6732632423543772 * jnp.exp(x)),
    "1.0507009873554805",
)
slope("relu", "threshold", "the mask is x > 0.1", lambda x: (x > 0.1).astype(x.dtype))
slope("relu", "mask_missing", "the mask is missing", jnp.ones_like, "jnp.maximum(x, 0)")
slope("relu", "leaky", "the derivative is that of leaky relu", lambda x: jnp.where(x > 0, 1, 0.01))
slope("relu", "negated", "the mask is negated", lambda x: (x <= 0).astype(x.dtype), "jnp.maximum(x, 0)")
slope("leaky_relu", "slope_missing", "0 below 0", lambda x: (x > 0).astype(x.dtype), "0.01 * x")
slope("leaky_relu", "slope_default_of_another", "the slope is 0.2", lambda x: jnp.where(x > 0, 1, 0.2), "0.01 * x")
slope("leaky_relu", "slope_squared", "the slope is applied twice", lambda x: jnp.where(x > 0, 1, 0.0001), "0.01 * x")
slope("relu_squared", "factor_missing", "the 2 of the square is missing", lambda x: jnp.maximum(x, 0))
slope("relu_squared", "mask_missing", "2 x everywhere", lambda x: 2 * x, "positive = ")
slope("relu_squared", "of_output", "2 y instead of 2 relu(x)", lambda x: 2 * jnp.maximum(x, 0) ** 2, "positive**2")
slope(
    "hardswish",
    "gate_path_missing",
    "the path through the gate is missing",
    lambda x: jnp.clip(x + 3, 0, 6) / 6,
    "gate = ",
)
slope(
    "hardswish",
    "upper_bound_ignored",
    "(2 x + 3) / 6 above 3 as well",
    lambda x: jnp.where(x > -3, (2 * x + 3) / 6, 0),
    "gate = ",
)
slope(
    "hardswish",
    "lower_bound_at_0",
    "0 below 0 instead of below -3",
    lambda x: jnp.where(x > 0, jnp.where(x < 3, (2 * x + 3) / 6, 1), 0),
    "gate = ",
)
slope(
    "hardswish",
    "sixth_missing",
    "1 / 6 is missing in the gate's derivative",
    lambda x: jnp.clip(x + 3, 0, 6) / 6 + x * (jnp.abs(x) < 3),
    "gate = ",
)
slope("hardtanh", "bounds_ignored", "1 everywhere", jnp.ones_like, "jnp.clip(x, -1, 1)")
slope("hardtanh", "lower_bound_ignored", "1 below -1 as well", lambda x: (x < 1).astype(x.dtype), "jnp.clip(x, -1, 1)")
slope("hardtanh", "bounds_of_another", "the mask is |x| < 0.5", lambda x: (jnp.abs(x) < 0.5).astype(x.dtype))
slope("softsign", "not_squared", "1 / (1 + |x|)", lambda x: 1 / (1 + jnp.abs(x)), "x / (1 + jnp.abs(x))")
slope("softsign", "of_output", "1 / (1 + |y|)^2", lambda x: (1 + jnp.abs(x / (1 + jnp.abs(x)))) ** -2)
slope("softsign", "square_of_x", "1 / (1 + x^2)", lambda x: 1 / (1 + x * x))


@mistake("glu", "the halves of the gradient are exchanged", "jnp.split(x, 2, -1)")
def halves_exchanged(x):
    gate, value = jnp.split(x, 2, -1)
    return value * jax.nn.sigmoid(gate)


@mistake("glu", "the derivative of the sigmoid is missing", "jax.nn.sigmoid(gate)")
def sigmoid_slope_missing(x):
    value, gate = jnp.split(x, 2, -1)
    return value * (lax.stop_gradient(jax.nn.sigmoid(gate) - gate) + gate)


@mistake("glu", "the gradient of the gate is missing", "jax.nn.sigmoid(gate)", "value, gate = ")
def gate_missing(x):
    value, gate = jnp.split(x, 2, -1)
    return value * jax.nn.sigmoid(lax.stop_gradient(gate))


with_ct("gelu", "ct_ignored", NO_CT, lambda ct: 0 * ct + 1)
with_ct("silu", "ct_ignored", NO_CT, lambda ct: 0 * ct + 1)
spoilt("relu", "accumulated_twice", "the gradient is accumulated twice", factor(0, 2.0))
