"""Mistakes of an activation that is computed as something near it: short constants, tables, other forms."""

import itertools
import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import ml_dtypes
import numpy as np

from functional_mlp._dtypes import DTYPES, working_dtype
from functional_mlp.activations import FACTORIES, Activation, numpy_value, numpy_vjp, sigmoid_value, softmax_vjp
from functional_mlp.oracle.mistakes.catalogue.chain_rule.derivatives import DERIVATIVE_FROM_OUTPUT
from functional_mlp.oracle.mistakes.catalogue.chain_rule.formulas import (
    GELU_CUBIC,
    GELU_LOGISTIC,
    GELU_SCALE,
    PRODUCTS,
    density,
    gelu_gate,
    gelu_gate_slope,
    normal,
)
from functional_mlp.oracle.mistakes.catalogue.forward_pass.other_functions import of_arrays
from functional_mlp.oracle.mistakes.catalogue.forward_pass.slips import A_SOFTMAX, in_any_softmax
from functional_mlp.oracle.mistakes.catalogue.mistake import Mistake, Parameter
from functional_mlp.oracle.mistakes.changes import (
    Array,
    Change,
    Context,
    by_variant,
    in_activation,
    in_forward,
    with_activation,
)
from functional_mlp.oracle.mistakes.conditions import GELU_FORMS, Condition, Site, activation_in, for_variant
from functional_mlp.oracle.mistakes.program import Program

SHORT_E = 2.718
TABLE_STEP = 1 / 128


def _short_softmax(z: Array) -> Array:
    e = SHORT_E ** (z - np.max(z, axis=-1, keepdims=True))
    return e / np.sum(e, axis=-1, keepdims=True)


def _from_table(value: Callable[[Array], Array]) -> Callable[[Array], Array]:
    return lambda z: value(np.clip(np.round(z / TABLE_STEP) * TABLE_STEP, -8, 8))


# name of the activation -> variant -> its value; the derivative is then computed from the activation, as in `a(1 − a)`
APPROXIMATED: Mapping[tuple[str, str], Callable[[Array], Array]] = {
    ("sigmoid", "short-e"): lambda z: 1 / (1 + SHORT_E**-z),
    ("tanh", "short-e"): lambda z: 1 - 2 / (SHORT_E ** (2 * z) + 1),
    ("softmax", "short-e"): _short_softmax,
    ("tanh", "rational"): lambda z: z * (27 + z * z) / (27 + 9 * z * z),
    ("sigmoid", "table"): _from_table(sigmoid_value),
    ("tanh", "table"): _from_table(np.tanh),
    ("gelu", "gelu-tanh"): lambda z: 0.5 * z * (1 + np.tanh(GELU_SCALE * (z + GELU_CUBIC * z * z * z))),
    ("gelu", "gelu-sigmoid"): lambda z: z * sigmoid_value(GELU_LOGISTIC * z),
}


def _slope_of_product(name: str, z: Array) -> Array:
    """d/dz of z g(z)."""
    g, slope = PRODUCTS[name]
    return g(z) + z * slope(z)


# of those activations whose derivative cannot be had from the activation
SLOPES: Mapping[str, Callable[[Array], Array]] = {
    "gelu-tanh": partial(_slope_of_product, "gelu_tanh"),
    "gelu-sigmoid": partial(_slope_of_product, "quick_gelu"),
}


def _by_output(own: Activation, value: Callable[[Array], Array], slope: Callable[[Array], Array] | None) -> Activation:
    """An activation that is computed otherwise, and goes back by its own formula in terms of a, or by its slope."""

    def vjp(z: Array, a: Array, ct_a: Array) -> Array:
        if own.name == "softmax":
            return softmax_vjp(z, a, ct_a)
        if slope is None:
            return ct_a * DERIVATIVE_FROM_OUTPUT[own.name](a, **dict(own.parameters))
        return ct_a * slope(z)

    return of_arrays(own, value, vjp)


def _approximated(context: Context) -> Program:
    own, variant = context.activation, context.variant
    return with_activation(context, _by_output(own, APPROXIMATED[own.name, variant], SLOPES.get(variant)))


E_CHOICES = (2.7, 2.71, 2.718, 2.7182, 2.7183, 2.71828, 2.718282, 2.7182818, 2.71828183, 2.718281828)
PI_CHOICES = (3.14, 3.142, 3.1416, 3.14159, 3.141593, 3.1415927, 3.14159265)
MANY_UNITS = 16  # of the last place: a constant that is nearer hardly shows


def _short_constants(site: Site) -> tuple[float, ...]:
    true, choices = (math.e, E_CHOICES) if site.variant == "e" else (math.pi, PI_CHOICES)
    unit = float(ml_dtypes.finfo(DTYPES[site.case.dtype]).eps)
    return tuple(choice for choice in choices if abs(choice / true - 1) > MANY_UNITS * unit)


def _softmax_by(context: Context, z: Array) -> Array:
    e = context.value ** (z - np.max(z, axis=-1, keepdims=True))
    return e / np.sum(e, axis=-1, keepdims=True)  # type: ignore[no-any-return]


# of those activations that are made of exponentials; the parameters as in the activation
BY_POWERS: Mapping[str, Callable[..., Array]] = {
    "sigmoid": lambda e, z: 1 / (1 + e**-z),
    "tanh": lambda e, z: 1 - 2 / (e ** (2 * z) + 1),
    "elu": lambda e, z, alpha, at_zero: np.where(z > 0, z, alpha * (e**z - 1)),
}


def _by_powers(context: Context) -> Program:
    own = context.activation
    value = partial(BY_POWERS[own.name], context.value, **dict(own.parameters))
    return with_activation(context, _by_output(own, value, None))


def _by_short_pi(context: Context) -> Program:
    scale = math.sqrt(2 / context.value)

    def slope(z: Array) -> Array:
        return gelu_gate(z, scale) + z * gelu_gate_slope(z, scale)

    return with_activation(context, _by_output(context.activation, lambda z: z * gelu_gate(z, scale), slope))


def _by_short_density(context: Context, layer: Any, ct: Array) -> Array:
    z = layer.z.astype(working_dtype(ct.dtype), copy=False)
    return (ct.astype(z.dtype, copy=False) * (normal(z) + z * density(z, context.value))).astype(ct.dtype)


SHORT_E_OF_SOFTMAX, SHORT_E_ELSEWHERE = in_any_softmax(_softmax_by), in_forward(_by_powers)


def _short_e(context: Context) -> Program:
    elsewhere = context.activation.name in BY_POWERS
    return (SHORT_E_ELSEWHERE if elsewhere else SHORT_E_OF_SOFTMAX).apply(context)


_FORMS = {form: FACTORIES[name]() for name, form in GELU_FORMS.items()}
_MIXED = {f"{forward}-{backward}": (forward, backward) for forward, backward in itertools.permutations(_FORMS, 2)}
_A_GELU = activation_in(*GELU_FORMS)


def _of_another_form(context: Context, layer: Any, ct: Array) -> Array:
    return numpy_vjp(_FORMS[_MIXED[context.variant][1]], layer.z, layer.a, ct)


def _of_two_forms(context: Context) -> Program:
    forward, backward = (_FORMS[form] for form in _MIXED[context.variant])

    def vjp(z: Array, a: Array, ct_a: Array) -> Array:
        return numpy_vjp(backward, z, a, ct_a)

    return with_activation(context, of_arrays(context.activation, partial(numpy_value, forward), vjp))


BACK_AS_ANOTHER, OF_TWO_FORMS = in_activation(_of_another_form), in_forward(_of_two_forms)


def _mixed_gelu(context: Context) -> Program:
    """A gelu whose forward pass has one form, perhaps that of the case, and whose backward pass another."""
    as_declared = GELU_FORMS.get(context.activation.name) == _MIXED[context.variant][0]
    return (BACK_AS_ANOTHER if as_declared else OF_TWO_FORMS).apply(context)


APPROXIMATION_MISTAKES = (
    Mistake(
        "activation-approximated",
        "An activation is approximated: e = 2.718, a rational tanh, a table, a gelu by tanh or sigmoid.",
        "a = an approximation of f(z); sigmoid and tanh go back by a(1 − a) and 1 − a² of that",
        "a = f(z) to the last digit of the precision",
        in_forward(_approximated),
        (
            Condition(
                "an activation with such an approximation",
                lambda site: (site.activation.name, site.variant) in APPROXIMATED,
            ),
        ),
        variants=tuple(dict.fromkeys(variant for _, variant in APPROXIMATED)),
        unsearched=("short-e", "gelu-tanh", "gelu-sigmoid"),
    ),
    Mistake(
        "gelu-form-other",
        "A gelu has another of its forms than the case says, forward and backward: a slightly different function.",
        "a = z Φ(z) by the error function (erf), z (1 + tanh(√(2/π) (z + 0.044715 z³)))/2 (tanh), or z σ(1.702 z)"
        " (sigmoid), and its own derivative",
        "the form that the case declares; or declare the program's: gelu (erf), gelu_tanh (tanh), quick_gelu (sigmoid)",
        in_forward(lambda context: with_activation(context, _FORMS[context.variant])),
        (
            _A_GELU,
            Condition("another form", lambda site: site.variant != GELU_FORMS[site.activation.name]),
        ),
        variants=tuple(_FORMS),
        convention=True,
    ),
    Mistake(
        "gelu-forms-mixed",
        "The forward pass computes one form of gelu, and the backward pass the derivative of another.",
        "a = f(z), ct_z = ct_a g'(z), f and g two of the forms erf, tanh and sigmoid",
        "ct_z = ct_a f'(z) with the form of the forward pass; gelu_tanh and quick_gelu are activations of their own",
        Change("forward", _mixed_gelu),
        (_A_GELU,),
        variants=tuple(_MIXED),
    ),
    Mistake(
        "short-constant",
        "A constant is written with a few digits: e in an exponential, or π in a gelu.",
        "2.718ᶻ for eᶻ in sigmoid, tanh, elu or softmax; √(2/3.14) in a gelu by tanh, √(2·3.14) in gelu'",
        "the exponential function, and π, of the library: exp(z), not 2.718 ** z",
        by_variant(
            {
                "e": Change("forward", _short_e),
                "pi": in_forward(_by_short_pi),
                "pi-in-derivative": in_activation(_by_short_density),
            }
        ),
        (
            for_variant(
                "an activation that is made with it",
                {
                    "e": lambda site: site.activation.name in BY_POWERS or A_SOFTMAX.test(site),
                    "pi": activation_in("gelu_tanh").test,
                    "pi-in-derivative": activation_in("gelu").test,
                },
            ),
            Condition("a constant above 1", lambda site: site.value > 1),
        ),
        tag="fitted",
        parameter=Parameter(
            "the constant", lambda site: 2.718 if site.variant == "e" else 3.14, choices=_short_constants
        ),
        variants=("e", "pi", "pi-in-derivative"),
    ),
)
