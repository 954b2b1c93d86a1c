"""Mistakes of the forward pass: the gradient is right, for another function."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import jax
import jax.numpy as jnp
from jaxtyping import Array

from functional_mlp.activations import FACTORIES, Activation, sigmoid_value, softmax, softmax_vjp
from functional_mlp.losses import KINDS
from functional_mlp.oracle.mistakes.catalogue.chain_rule import DERIVATIVE_FROM_OUTPUT, differ
from functional_mlp.oracle.mistakes.catalogue.mistake import Mistake, Parameter
from functional_mlp.oracle.mistakes.changes import (
    Change,
    Here,
    by_variant,
    in_bias,
    in_forward,
    one_after_the_other,
    with_activation,
)
from functional_mlp.oracle.mistakes.conditions import (
    BIAS_NOT_ZERO,
    DIFFERS_FROM_IDENTITY,
    INACTIVE_UNIT,
    LAST,
    NOT_IDENTITY,
    SEVERAL_OUTPUTS,
    Condition,
    Spot,
    activation_in,
)
from functional_mlp.oracle.mistakes.program import (
    Program,
    bias_cotangent,
)


def _missing(here: Here) -> Program:
    """This layer without activation; a loss that was fused with it goes on with output − target."""
    last = here.layer == len(here.program.params) - 1
    identity = replace(FACTORIES["identity"](), probabilities=last)  # so that the loss accepts it
    return with_activation(here, identity)


def _activation_missing() -> Change:
    without = in_forward(_missing)

    def apply(here: Here) -> Program:
        program, loss = without.apply(here), here.loss
        last = here.layer == len(program.params) - 1
        if not last or loss is None or loss.on_logits(here.program.network.activations[-1]) is None:
            return program
        ct = here.coefficients * (program.tape.activations[-1] - here.targets)
        return program._replace(ct_outputs=ct.astype(here.targets.dtype))

    return Change("forward", apply)


def _swapped_fits(spot: Spot) -> bool:
    if spot.variant == spot.activation.name or (spot.variant == "softmax" and spot.fan_out == 1) or not differ(spot):
        return False
    needs = spot.is_last and spot.loss is not None and KINDS[spot.loss.kind].of_probabilities
    return not needs or FACTORIES[spot.variant]().probabilities


def _with_slope(activation: Activation, slope: float) -> Activation:
    return FACTORIES["elu"](alpha=slope) if activation.name == "elu" else FACTORIES["leaky_relu"](slope)


def _own_slope(spot: Spot) -> float:
    parameters = dict(spot.activation.parameters)
    return parameters.get("slope", parameters.get("alpha", 0.0))


def _and_softmax(inner: Activation) -> Activation:
    """softmax after an activation, as one activation."""

    def value(z: Array) -> Array:
        return softmax().value(inner.value(z))

    def vjp(z: Array, a: Array, ct_a: Array) -> Array:
        between = inner.value(z)
        return inner.vjp(z, between, softmax().vjp(between, a, ct_a))

    return Activation(f"{inner.name} and softmax", value, vjp, probabilities=True)


SHORT_E = 2.718
TABLE_STEP = 1 / 128


def _short_softmax(z: Array) -> Array:
    e = SHORT_E ** (z - jnp.max(z, axis=-1, keepdims=True))
    return e / jnp.sum(e, axis=-1, keepdims=True)


def _from_table(value: Callable[[Array], Array]) -> Callable[[Array], Array]:
    return lambda z: value(jnp.clip(jnp.round(z / TABLE_STEP) * TABLE_STEP, -8, 8))


# name of the activation -> variant -> its value; the derivative is then computed from the activation, as in `a(1 − a)`
APPROXIMATED: Mapping[tuple[str, str], Callable[[Array], Array]] = {
    ("sigmoid", "short-e"): lambda z: 1 / (1 + SHORT_E**-z),
    ("tanh", "short-e"): lambda z: 1 - 2 / (SHORT_E ** (2 * z) + 1),
    ("softmax", "short-e"): _short_softmax,
    ("tanh", "rational"): lambda z: z * (27 + z * z) / (27 + 9 * z * z),
    ("sigmoid", "table"): _from_table(sigmoid_value),
    ("tanh", "table"): _from_table(jnp.tanh),
    ("gelu", "gelu-tanh"): lambda z: 0.5 * z * (1 + jnp.tanh(0.7978845608028654 * (z + 0.044715 * z * z * z))),
    ("gelu", "gelu-sigmoid"): lambda z: z * sigmoid_value(1.702 * z),
}


def _approximated(here: Here) -> Program:
    own = here.activation
    value = APPROXIMATED[own.name, here.variant]

    def vjp(z: Array, a: Array, ct_a: Array) -> Array:
        if own.name == "softmax":
            return softmax_vjp(z, a, ct_a)
        if own.name in DERIVATIVE_FROM_OUTPUT:
            return ct_a * DERIVATIVE_FROM_OUTPUT[own.name](a)
        return jax.vjp(value, z)[1](ct_a)[0]

    return with_activation(here, Activation(f"{own.name}, {here.variant}", value, vjp, probabilities=own.probabilities))


def _with_bias(factor: float) -> Callable[[Here], Program]:
    def change(here: Here) -> Program:
        used = list(here.program.used)
        used[here.layer] = used[here.layer]._replace(bias=factor * used[here.layer].bias)  # type: ignore[operator]
        return here.program._replace(used=tuple(used))

    return change


_SUBTRACTED = in_forward(_with_bias(-1.0))

FORWARD_PASS = (
    Mistake(
        "activation-missing",
        "A layer's activation is left out of the forward pass: another function.",
        "a = z (at an output whose loss takes ct_z = output − target: z − target)",
        "a = f(z)",
        _activation_missing(),
        (
            NOT_IDENTITY,
            DIFFERS_FROM_IDENTITY,
            Condition("another activation than softmax", lambda spot: spot.activation.name != "softmax"),
        ),
    ),
    Mistake(
        "activation-swapped",
        "A layer has another activation than the case says, forward and backward: another function.",
        "a = g(z)",
        "a = f(z)",
        in_forward(lambda here: with_activation(here, FACTORIES[here.variant]())),
        (Condition("another activation that fits the layer and the loss", _swapped_fits),),
        variants=tuple(name for name in FACTORIES if name != "identity"),
    ),
    Mistake(
        "slope-different",
        "The slope of a leaky relu (alpha of an elu) differs from the case's, forward and backward: another function.",
        "a = s z for z < 0 with another s",
        "the slope that the case declares",
        in_forward(lambda here: with_activation(here, _with_slope(here.activation, here.value))),
        (
            activation_in("relu", "leaky_relu", "elu"),
            INACTIVE_UNIT,
            Condition("another slope than the layer has", lambda spot: spot.value != _own_slope(spot)),
        ),
        tag="fitted",
        parameter=Parameter("the slope", lambda spot: 0.2 if _own_slope(spot) != 0.2 else 0.01, traced=False),
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
        in_forward(lambda here: with_activation(here, _and_softmax(here.activation))),
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
                    "forward", _SUBTRACTED, in_bias(lambda here, layer, ct: bias_cotangent(layer, -ct))
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
                lambda spot: (spot.activation.name, spot.variant) in APPROXIMATED,
            ),
        ),
        variants=tuple(dict.fromkeys(variant for _, variant in APPROXIMATED)),
    ),
)
