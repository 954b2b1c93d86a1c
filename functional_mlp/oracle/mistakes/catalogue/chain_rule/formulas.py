"""Mistakes in the formula of a derivative: a wrong one, one that lacks a term, one that is not used everywhere."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from functional_mlp._dtypes import working_dtype
from functional_mlp.activations import (
    Activation,
    gelu,
    numpy_value,
    numpy_vjp,
    sigmoid_value,
    sigmoid_vjp,
    softplus_value,
    tanh_vjp,
)
from functional_mlp.oracle.mistakes.catalogue.chain_rule.derivatives import derivative_from
from functional_mlp.oracle.mistakes.catalogue.mistake import Mistake
from functional_mlp.oracle.mistakes.changes import (
    Array,
    Change,
    Context,
    by_variant,
    in_activation,
    in_bias,
    in_previous,
    in_weights,
    of_two_factors,
    one_after_the_other,
)
from functional_mlp.oracle.mistakes.conditions import (
    DIFFERS_FROM_IDENTITY,
    HAS_BIAS,
    LAST,
    NOT_IDENTITY,
    SEVERAL_SAMPLES,
    SEVERAL_UNITS,
    Condition,
    Site,
    activation_in,
    for_variant,
)
from functional_mlp.oracle.mistakes.program import vjp_at

Formula = Callable[[Activation, Array, Array], Array]  # of the activation, z and a: what is taken for f'(z)
GELU_SCALE, GELU_CUBIC, GELU_LOGISTIC = 0.7978845608028654, 0.044715, 1.702  # of the usual approximations of gelu

VALUES: Mapping[str, Formula] = {
    "value": lambda f, z, a: a,
    "value-of-output": lambda f, z, a: numpy_value(f, a),
    "z-where-positive": lambda f, z, a: np.where(z > 0, z, numpy_vjp(f, z, a, np.ones_like(a))),
    "value-where-negative": lambda f, z, a: np.where(z > 0, numpy_vjp(f, z, a, np.ones_like(a)), a),
    "one-plus-square": lambda f, z, a: 1 + a * a,
    "a-one-plus-a": lambda f, z, a: a * (1 + a),
}
SIGMOID_SLIPS: Mapping[str, Formula] = {
    "one-minus-z": lambda f, z, a: a * numpy_value(f, 1 - z),
    "squared": lambda f, z, a: a * a,
    "one-minus-a": lambda f, z, a: 1 - a,
    "one-minus-a-squared": lambda f, z, a: (1 - a) * (1 - a),
    "a-one-minus-z": lambda f, z, a: a * (1 - z),
    "z-one-minus-a": lambda f, z, a: z * (1 - a),
    "square-inside": lambda f, z, a: a * (1 - a) / (a * a + (1 - a) * (1 - a)),  # e^-z / (1 + e^-2z)
    "sign-of-exponent": lambda f, z, a: np.exp(z) * a * a,
}


def normal(z: Array) -> Array:
    """The normal distribution function, as gelu/z."""
    return np.divide(numpy_value(gelu(), z), z, out=np.full_like(z, 0.5), where=z != 0)


def gelu_gate(z: Array, scale: float = GELU_SCALE) -> Array:
    """(1 + tanh u)/2 with u = scale (z + c z³), and so gelu/z in its form by tanh."""
    return sigmoid_value(2 * scale * (z + GELU_CUBIC * z * z * z))


def gelu_gate_slope(z: Array, scale: float = GELU_SCALE) -> Array:
    """Its derivative."""
    u = scale * (z + GELU_CUBIC * z * z * z)
    return sigmoid_vjp(2 * u, z, 2 * scale * (1 + 3 * GELU_CUBIC * z * z))


def density(z: Array, pi: float = math.pi) -> Array:
    """Of the normal distribution."""
    return np.exp(-z * z / 2) / math.sqrt(2 * pi)


def _slope_of_mish(z: Array) -> Array:
    s = softplus_value(z)
    return tanh_vjp(s, s, sigmoid_value(z))


# of activations z g(z): g and g'
PRODUCTS: Mapping[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "silu": (sigmoid_value, lambda z: sigmoid_vjp(z, z, np.ones_like(z))),
    "gelu": (normal, density),
    "gelu_tanh": (gelu_gate, gelu_gate_slope),
    "quick_gelu": (
        lambda z: sigmoid_value(GELU_LOGISTIC * z),
        lambda z: sigmoid_vjp(GELU_LOGISTIC * z, z, np.full_like(z, GELU_LOGISTIC)),
    ),
    "mish": (lambda z: np.tanh(softplus_value(z)), _slope_of_mish),
    "hard_swish": (lambda z: np.clip(z / 6 + 0.5, 0, 1), lambda z: np.where(np.abs(z) < 3, np.ones_like(z) / 6, 0)),
}
MISSING_TERMS: Mapping[str, Formula] = {
    "second-term-missing": lambda f, z, a: PRODUCTS[f.name][0](z),
    "first-term-missing": lambda f, z, a: z * PRODUCTS[f.name][1](z),
    "factor-z-missing": lambda f, z, a: PRODUCTS[f.name][0](z) + PRODUCTS[f.name][1](z),
}


def _taken_for_derivative(formulas: Mapping[Any, Formula]) -> Change:
    """ct_z = ct_a times the formula of the variant, in the working dtype."""

    def through(context: Context, layer: Any, ct: Array) -> Array:
        z, a, wide = (array.astype(working_dtype(ct.dtype), copy=False) for array in (layer.z, layer.a, ct))
        return (wide * formulas[context.variant](layer.activation, z, a)).astype(ct.dtype)

    return in_activation(through)


def _differs(formulas: Mapping[Any, Formula]) -> Condition:
    def test(site: Site) -> bool:
        f, z, a = site.activation, site.pre_activations, site.activations
        with np.errstate(all="ignore"):
            return not np.allclose(formulas[site.variant](f, z, a), numpy_vjp(f, z, a, np.ones_like(z)))

    return Condition("a unit on which the formula differs from f'(z)", test)


SOFTMAX_SUMS: Mapping[str, Callable[[Array], Any]] = {  # of a ct_a, what is subtracted from ct_a
    "missing": np.zeros_like,
    "over-samples": lambda terms: terms.sum(axis=0, keepdims=True),
    "over-everything": lambda terms: terms.sum(),
}


def _with_other_sum(context: Context, layer: Any, ct: Array) -> Array:
    a, wide = (array.astype(working_dtype(ct.dtype), copy=False) for array in (layer.a, ct))
    return (a * (wide - SOFTMAX_SUMS[context.variant](a * wide))).astype(ct.dtype)


def _without_derivative(context: Context, layer: Any) -> Any:
    """ct_z, which is sent back although the sums were made of ct_a."""
    return context.before("previous_cotangent")(layer, context.before("through_activation")(layer, layer.ct_a))


STRAIGHT = ("identity", "relu", "leaky_relu", "prelu", "relu6", "hardtanh", "hard_sigmoid")  # piece by piece

FORMULA_MISTAKES = (
    Mistake(
        "value-for-derivative",
        "The function, or something like it, stands where its derivative is meant.",
        "ct_z = ct_a f(z), or f(a), z where z > 0, a where z < 0, 1 + a² of tanh, a(1 + a) of the sigmoid",
        "ct_z = ct_a f'(z): 1 where z > 0 and the slope elsewhere, 1 − a² for tanh, a(1 − a) for the sigmoid",
        _taken_for_derivative(VALUES),
        (
            NOT_IDENTITY,
            for_variant(
                "an activation for which people write that",
                {
                    "value": lambda site: site.activation.name not in ("tanh", "softmax", "cos"),
                    "value-of-output": lambda site: site.activation.name not in (*STRAIGHT, "softmax"),
                    "z-where-positive": activation_in("leaky_relu", "prelu", "elu", "selu").test,
                    "value-where-negative": activation_in("leaky_relu", "prelu", "elu", "selu").test,
                    "one-plus-square": activation_in("tanh").test,
                    "a-one-plus-a": activation_in("sigmoid").test,
                },
            ),
            _differs(VALUES),
        ),
        variants=tuple(VALUES),
    ),
    Mistake(
        "sigmoid-derivative-slip",
        "The formula of the sigmoid's derivative is mistyped.",
        "σ(z) σ(1 − z), a², 1 − a, (1 − a)², a(1 − z), z(1 − a), e⁻ᶻ/(1 + e⁻²ᶻ) or eᶻ/(1 + e⁻ᶻ)² in place of a(1 − a)",
        "ct_z = ct_a a(1 − a), a = σ(z); or ct_a e⁻ᶻ/(1 + e⁻ᶻ)²",
        _taken_for_derivative(SIGMOID_SLIPS),
        (activation_in("sigmoid"), _differs(SIGMOID_SLIPS)),
        variants=tuple(SIGMOID_SLIPS),
    ),
    Mistake(
        "product-term-missing",
        "An activation z g(z) is differentiated without one of the two terms of the product rule, or the factor z.",
        "ct_z = ct_a g(z), ct_a z g'(z), or ct_a (g(z) + g'(z))",
        "ct_z = ct_a (g(z) + z g'(z)): for silu g = σ, for gelu g = Φ",
        _taken_for_derivative(MISSING_TERMS),
        (activation_in(*PRODUCTS), _differs(MISSING_TERMS)),
        variants=tuple(MISSING_TERMS),
    ),
    Mistake(
        "softmax-derivative-without-sum",
        "The derivative of the softmax lacks the sum over the units, or has one over something else.",
        "ct_z = ct_a a, or a (ct_a − sum over samples, or over everything, of a ct_a)",
        "ct_z = a (ct_a − sum over units of a ct_a): axis=1, keepdims=True",
        in_activation(_with_other_sum),
        (
            activation_in("softmax"),
            SEVERAL_UNITS,
            for_variant("several samples", dict.fromkeys(("over-samples", "over-everything"), SEVERAL_SAMPLES.test)),
        ),
        variants=tuple(SOFTMAX_SUMS),
    ),
    Mistake(
        "derivative-of-error",
        "The derivative is evaluated at the cotangent that comes back, the error, not at the layer's own values.",
        "ct_z = ct_a (1 − ct_a²) for tanh, ct_a ct_a(1 − ct_a) for the sigmoid, or ct_a f'(ct_a)",
        "ct_z = ct_a f'(z)",
        by_variant(
            {
                "in-terms-of-a": in_activation(lambda context, layer, ct: derivative_from(layer, ct, ct)),
                "in-terms-of-z": in_activation(lambda context, layer, ct: vjp_at(layer.activation, ct, ct)),
            }
        ),
        (
            for_variant(
                "an activation whose derivative is no mask alone",
                {
                    "in-terms-of-a": activation_in("sigmoid", "tanh", "elu", "selu").test,
                    "in-terms-of-z": lambda site: site.activation.name not in (*STRAIGHT[:4], "softmax"),
                },
            ),
        ),
        variants=("in-terms-of-a", "in-terms-of-z"),
    ),
    Mistake(
        "output-derivative-missing-in-weights",
        "The derivative of the output layer's activation is left out of its own gradients, not of what is sent back.",
        "ct_W = a_prevᵀ ct_a, ct_b = sum of ct_a, or both; ct_a_prev = ct_z Wᵀ",
        "ct_W = a_prevᵀ ct_z and ct_b = sum of ct_z, with ct_z = ct_a f'(z)",
        by_variant(
            {
                "weights": of_two_factors(
                    in_weights(lambda context, layer, ct: context.before("weights_cotangent")(layer, layer.ct_a))
                ),
                "bias": of_two_factors(
                    in_bias(lambda context, layer, ct: context.before("bias_cotangent")(layer, layer.ct_a))
                ),
                "both": of_two_factors(
                    one_after_the_other(
                        "through_activation",
                        in_previous(lambda context, layer, ct: _without_derivative(context, layer)),
                        in_activation(lambda context, layer, ct: ct),
                    )
                ),
            }
        ),
        (
            LAST,
            NOT_IDENTITY,
            DIFFERS_FROM_IDENTITY,
            for_variant(
                "a bias, or a layer below",
                {
                    "weights": lambda site: site.depth > 1 or site.bias is not None,
                    "bias": HAS_BIAS.test,
                    "both": lambda site: site.depth > 1 and site.bias is not None,
                },
            ),
        ),
        variants=("weights", "bias", "both"),
    ),
)
