"""Mistakes of the forward pass: the gradient is right, for another function."""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from functional_mlp.activations import (
    FACTORIES,
    Activation,
    numpy_value,
    numpy_vjp,
    sigmoid_value,
    sigmoid_vjp,
    softmax,
    softmax_vjp,
    tanh_vjp,
)
from functional_mlp.losses import KINDS
from functional_mlp.oracle.mistakes.catalogue.chain_rule.derivatives import DERIVATIVE_FROM_OUTPUT, differ
from functional_mlp.oracle.mistakes.catalogue.mistake import Mistake, Parameter
from functional_mlp.oracle.mistakes.changes import (
    Array,
    Change,
    Context,
    by_variant,
    in_bias,
    in_forward,
    one_after_the_other,
    with_activation,
)
from functional_mlp.oracle.mistakes.conditions import (
    BIAS_NOT_ZERO,
    DIFFERS_FROM_IDENTITY,
    GELU_FORMS,
    INACTIVE_UNIT,
    LAST,
    LOOKALIKES,
    NOT_IDENTITY,
    SEVERAL_OUTPUTS,
    USUAL,
    Condition,
    Site,
    activation_in,
    taken_for,
)
from functional_mlp.oracle.mistakes.program import Program, bias_cotangent, times


def _missing(context: Context) -> Program:
    """This layer without activation; a loss that was fused with it goes on with output − target."""
    last = context.layer == len(context.program.params) - 1
    identity = replace(FACTORIES["identity"](), probabilities=last)  # so that the loss accepts it
    return with_activation(context, identity)


def _activation_missing() -> Change:
    without = in_forward(_missing)

    def apply(context: Context) -> Program:
        program, loss = without.apply(context), context.loss
        last = context.layer == len(program.params) - 1
        if not last or loss is None or loss.on_logits(context.program.network.activations[-1]) is None:
            return program
        ct = context.coefficients * (program.tape.activations[-1] - context.targets)
        return program._replace(ct_outputs=ct.astype(context.targets.dtype))

    return Change("forward", apply)


def _swapped_fits(site: Site) -> bool:
    if site.variant == site.activation.name or (site.variant == "softmax" and site.fan_out == 1):
        return False
    if not taken_for(site) or not differ(site):
        return False
    needs = site.is_last and site.loss is not None and KINDS[site.loss.kind].of_probabilities
    return not needs or FACTORIES[site.variant]().probabilities


def _with_slope(activation: Activation, slope: float) -> Activation:
    return FACTORIES["elu"](alpha=slope) if activation.name == "elu" else FACTORIES["leaky_relu"](slope)


def _own_slope(site: Site) -> float:
    parameters = dict(site.activation.parameters)
    return parameters.get("slope", parameters.get("alpha", 0.0))


def _of_arrays(name: str, value: Any, vjp: Any, *, probabilities: bool) -> Activation:
    """An activation of two functions of NumPy's arrays."""

    def own_value(z: Array) -> Array:
        return value(z)  # type: ignore[no-any-return]

    for function in (own_value, vjp):
        setattr(function, "serves_numpy", True)  # noqa: B010
    return Activation(name, own_value, vjp, probabilities=probabilities)


def _and_softmax(inner: Activation) -> Activation:
    """softmax after an activation, as one activation."""

    def value(z: Array) -> Array:
        return numpy_value(softmax(), numpy_value(inner, z))

    def vjp(z: Array, a: Array, ct_a: Array) -> Array:
        between = numpy_value(inner, z)
        return numpy_vjp(inner, z, between, numpy_vjp(softmax(), between, a, ct_a))

    return _of_arrays(f"{inner.name} and softmax", value, vjp, probabilities=True)


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
        context, _of_arrays(f"{own.name}, {context.variant}", value, vjp, probabilities=own.probabilities)
    )


_FORMS = {form: FACTORIES[name]() for name, form in GELU_FORMS.items()}
_MIXED = {f"{forward}-{backward}": (forward, backward) for forward, backward in itertools.permutations(_FORMS, 2)}
_A_GELU = activation_in(*GELU_FORMS)


def _mixed_gelu(context: Context) -> Program:
    """A gelu whose forward pass has one form, and whose backward pass another."""
    forward, backward = (_FORMS[form] for form in _MIXED[context.variant])

    def vjp(z: Array, a: Array, ct_a: Array) -> Array:
        return numpy_vjp(backward, z, a, ct_a)

    mixed = _of_arrays(f"gelu, {context.variant}", partial(numpy_value, forward), vjp, probabilities=False)
    return with_activation(context, mixed)


def _with_bias(factor: float) -> Callable[[Context], Program]:
    def change(context: Context) -> Program:
        used = list(context.program.used)
        used[context.layer] = used[context.layer]._replace(bias=times(factor, used[context.layer].bias))  # type: ignore[operator]
        return context.program._replace(used=tuple(used))

    return change


_SUBTRACTED = in_forward(_with_bias(-1.0))

FORWARD_PASS_MISTAKES = (
    Mistake(
        "activation-missing",
        "A layer's activation is left out of the forward pass: another function.",
        "a = z (at an output whose loss takes ct_z = output − target: z − target)",
        "a = f(z)",
        _activation_missing(),
        (
            NOT_IDENTITY,
            DIFFERS_FROM_IDENTITY,
            Condition("another activation than softmax", lambda site: site.activation.name != "softmax"),
        ),
    ),
    Mistake(
        "activation-swapped",
        "A layer has another activation than the case says, forward and backward: another function.",
        "a = g(z)",
        "a = f(z)",
        in_forward(lambda context: with_activation(context, FACTORIES[context.variant]())),
        (Condition("another activation that fits the layer and the loss", _swapped_fits),),
        variants=(*USUAL, *LOOKALIKES),
    ),
    Mistake(
        "slope-different",
        "The slope of a leaky relu (alpha of an elu) differs from the case's, forward and backward: another function.",
        "a = s z for z < 0 with another s",
        "the slope that the case declares",
        in_forward(lambda context: with_activation(context, _with_slope(context.activation, context.value))),
        (
            activation_in("relu", "leaky_relu", "prelu", "elu"),
            INACTIVE_UNIT,
            Condition("another slope than the layer has", lambda site: site.value != _own_slope(site)),
        ),
        tag="fitted",
        parameter=Parameter("the slope", lambda site: 0.2 if _own_slope(site) != 0.2 else 0.01),
    ),
    Mistake(
        "softmax-missing",
        "The softmax is left out of the forward pass: another function.",
        "a = z (at an output whose loss takes ct_z = output − target: z − target)",
        "a = softmax(z)",
        _activation_missing(),
        (activation_in("softmax"),),
    ),
    Mistake(
        "softmax-extra",
        "A softmax is applied to the outputs that the case does not have: another function.",
        "outputs = softmax(f(z))",
        "outputs = f(z)",
        in_forward(lambda context: with_activation(context, _and_softmax(context.activation))),
        (LAST, SEVERAL_OUTPUTS),
    ),
    Mistake(
        "bias-missing",
        "The bias is not added in the forward pass; its gradient is computed all the same.",
        "z = a_prev W",
        "z = a_prev W + b",
        in_forward(_with_bias(0.0)),
        (BIAS_NOT_ZERO,),
    ),
    Mistake(
        "bias-subtracted",
        "The bias is subtracted, as a threshold; its gradient has the sign that belongs to this, or the usual one.",
        "z = a_prev W − b, ct_b = −sum of ct_z or +sum of ct_z",
        "z = a_prev W + b, ct_b = sum of ct_z over samples",
        by_variant(
            {
                "consistent": one_after_the_other(
                    "forward", _SUBTRACTED, in_bias(lambda context, layer, ct: bias_cotangent(layer, -ct))
                ),
                "forward-only": _SUBTRACTED,
            }
        ),
        (BIAS_NOT_ZERO,),
        variants=("consistent", "forward-only"),
    ),
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
