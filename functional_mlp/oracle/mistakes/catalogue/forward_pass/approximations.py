"""Mistakes of an activation that is computed as something near it: short constants, tables, other forms."""

import itertools
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from functional_mlp.activations import (
    FACTORIES,
    numpy_value,
    numpy_vjp,
    sigmoid_value,
    sigmoid_vjp,
    softmax_vjp,
    tanh_vjp,
)
from functional_mlp.oracle.mistakes.catalogue.chain_rule.derivatives import DERIVATIVE_FROM_OUTPUT
from functional_mlp.oracle.mistakes.catalogue.forward_pass.other_functions import of_arrays
from functional_mlp.oracle.mistakes.catalogue.mistake import Mistake
from functional_mlp.oracle.mistakes.changes import (
    Array,
    Context,
    in_forward,
    with_activation,
)
from functional_mlp.oracle.mistakes.conditions import (
    GELU_FORMS,
    Condition,
    activation_in,
)
from functional_mlp.oracle.mistakes.program import Program

SHORT_E = 2.718
TABLE_STEP = 1 / 128


def _short_softmax(z: Array) -> Array:
    e = SHORT_E ** (z - np.max(z, axis=-1, keepdims=True))
    return e / np.sum(e, axis=-1, keepdims=True)


def _from_table(value: Callable[[Array], Array]) -> Callable[[Array], Array]:
    return lambda z: value(np.clip(np.round(z / TABLE_STEP) * TABLE_STEP, -8, 8))


GELU_SCALE, GELU_CUBIC, GELU_LOGISTIC = 0.7978845608028654, 0.044715, 1.702  # of the usual approximations of gelu
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


def _slope_of_tanh_form(z: Array) -> Array:
    """d/dz of z (1 + tanh u) / 2 with u = s (z + c z³)."""
    u = GELU_SCALE * (z + GELU_CUBIC * z * z * z)
    return 0.5 * (1 + np.tanh(u)) + 0.5 * z * tanh_vjp(u, u, GELU_SCALE * (1 + 3 * GELU_CUBIC * z * z))


def _slope_of_sigmoid_form(z: Array) -> Array:
    """d/dz of z sigmoid(r z)."""
    return sigmoid_value(GELU_LOGISTIC * z) + z * sigmoid_vjp(GELU_LOGISTIC * z, z, GELU_LOGISTIC + 0 * z)


# of those activations whose derivative cannot be had from the activation
SLOPES: Mapping[str, Callable[[Array], Array]] = {
    "gelu-tanh": _slope_of_tanh_form,
    "gelu-sigmoid": _slope_of_sigmoid_form,
}


def _approximated(context: Context) -> Program:
    own = context.activation
    value = APPROXIMATED[own.name, context.variant]

    def vjp(z: Array, a: Array, ct_a: Array) -> Array:
        if own.name == "softmax":
            return softmax_vjp(z, a, ct_a)
        if own.name in DERIVATIVE_FROM_OUTPUT:
            return ct_a * DERIVATIVE_FROM_OUTPUT[own.name](a)
        return ct_a * SLOPES[context.variant](z)

    return with_activation(
        context, of_arrays(f"{own.name}, {context.variant}", value, vjp, probabilities=own.probabilities)
    )


_FORMS = {form: FACTORIES[name]() for name, form in GELU_FORMS.items()}
_MIXED = {f"{forward}-{backward}": (forward, backward) for forward, backward in itertools.permutations(_FORMS, 2)}
_A_GELU = activation_in(*GELU_FORMS)


def _mixed_gelu(context: Context) -> Program:
    """A gelu whose forward pass has one form, and whose backward pass another."""
    forward, backward = (_FORMS[form] for form in _MIXED[context.variant])

    def vjp(z: Array, a: Array, ct_a: Array) -> Array:
        return numpy_vjp(backward, z, a, ct_a)

    mixed = of_arrays(f"gelu, {context.variant}", partial(numpy_value, forward), vjp, probabilities=False)
    return with_activation(context, mixed)


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
        unsearched=("gelu-tanh", "gelu-sigmoid"),
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
        in_forward(_mixed_gelu),
        (_A_GELU,),
        variants=tuple(_MIXED),
    ),
)
