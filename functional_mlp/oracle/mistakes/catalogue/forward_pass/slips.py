"""Slips in the forward pass of a leaky relu or a softmax, whose way back is that of the right function."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from functional_mlp.activations import Activation, numpy_value, numpy_vjp
from functional_mlp.oracle.mistakes.catalogue.chain_rule.masks import SLOPES, another_slope, own_slope, with_slope
from functional_mlp.oracle.mistakes.catalogue.forward_pass.other_functions import of_arrays
from functional_mlp.oracle.mistakes.catalogue.mistake import Mistake, Parameter
from functional_mlp.oracle.mistakes.changes import Array, Change, Context, in_forward, in_softmax, with_activation
from functional_mlp.oracle.mistakes.conditions import (
    INACTIVE_UNIT,
    SEVERAL_SAMPLES,
    Condition,
    Site,
    activation_in,
    loss_in,
)
from functional_mlp.oracle.mistakes.program import Program

# what stands for a leaky relu of slope s: its value, and its own derivative
Pieces = tuple[Callable[[Array, float], Array], Callable[[Array, float], Array]]
LEAKY_SLIPS: Mapping[str, Pieces] = {
    "slope-where-positive": (lambda z, s: np.where(z > 0, s * z, 0), lambda z, s: np.where(z > 0, s, 0)),
    "sides-swapped": (lambda z, s: np.where(z > 0, s * z, z), lambda z, s: np.where(z > 0, s, 1)),
    "constant": (lambda z, s: np.where(z > 0, z, s), lambda z, s: np.where(z > 0, 1, 0)),
    "maximum": (lambda z, s: np.maximum(z, s), lambda z, s: np.where(z > s, 1, 0)),
    "slope-negated": (lambda z, s: np.where(z > 0, z, -s * z), lambda z, s: np.where(z > 0, 1, -s)),
}
BOTH_WAYS = "-both-ways"  # of the variants whose way back is that of the value
LEAKY_VARIANTS = (*LEAKY_SLIPS, *(f"{name}{BOTH_WAYS}" for name in LEAKY_SLIPS if name != "slope-negated"))


def _slipped_value(site: Site) -> Array:
    value, _ = LEAKY_SLIPS[site.variant.removesuffix(BOTH_WAYS)]
    return value(site.pre_activations, own_slope(site))


def _leaky_slip(context: Context) -> Program:
    own, slope = context.activation, dict(context.activation.parameters)["slope"]
    value, derivative = LEAKY_SLIPS[context.variant.removesuffix(BOTH_WAYS)]

    def vjp(z: Array, a: Array, ct_a: Array) -> Array:
        if context.variant.endswith(BOTH_WAYS):
            return ct_a * derivative(z, slope).astype(ct_a.dtype)
        return numpy_vjp(own, z, a, ct_a)

    return with_activation(context, of_arrays(own, lambda z: value(z, slope), vjp))


def _slope_of_value(context: Context) -> Program:
    """Another slope in the value alone."""
    own: Activation = context.activation
    return with_activation(
        context, of_arrays(own, partial(numpy_value, with_slope(own, context.value)), partial(numpy_vjp, own))
    )


def _value_counts(site: Site) -> bool:
    return site.loss is not None or not site.is_last or str(site.variant).endswith(BOTH_WAYS)


VALUE_COUNTS = Condition("a loss or a layer that goes on with the activations", _value_counts)
A_SOFTMAX = Condition(
    "a softmax, of the layer or inside of softmax_cross_entropy after it",
    lambda site: site.activation.name == "softmax" or (site.is_last and loss_in("softmax_cross_entropy").test(site)),
)


def in_any_softmax(function: Callable[[Context, Array], Array]) -> Change:
    """`function` maps logits (n, units) to what a softmax makes of them: that of this layer, or that inside the loss.

    The way back is a (ct_a − sum over units of a ct_a), as for a right softmax, which after a cross-entropy is p − t.
    """

    def vjp(z: Array, a: Array, ct_a: Array) -> Array:
        return a * (ct_a - np.sum(a * ct_a, axis=-1, keepdims=True))  # type: ignore[no-any-return]

    def of_layer(context: Context) -> Program:
        return with_activation(context, of_arrays(context.activation, partial(function, context), vjp))

    changes: Any = {True: in_forward(of_layer), False: in_softmax(function)}
    return Change("forward", lambda context: changes[context.activation.name == "softmax"].apply(context))


def _normalised(context: Context, z: Array) -> Array:
    axis = {"samples": 0, "everything": None}[context.variant]
    e = np.exp(z - np.max(z, axis=axis, keepdims=True))
    return e / np.sum(e, axis=axis, keepdims=True)  # type: ignore[no-any-return]


SLIP_MISTAKES = (
    Mistake(
        "leaky-forward-slip",
        "The formula of a leaky relu is mistyped in the forward pass; the way back is the right one, or its own.",
        "a = slope z where z > 0, else 0 (or else z); a = slope, or −slope z, where z < 0; a = max(slope, z)",
        "a = z where z > 0, else slope z",
        in_forward(_leaky_slip),
        (
            activation_in("leaky_relu", "prelu"),
            VALUE_COUNTS,
            Condition(
                "a unit on which it is another value",
                lambda site: not np.allclose(_slipped_value(site), site.activations),
            ),
        ),
        variants=LEAKY_VARIANTS,
    ),
    Mistake(
        "slope-different-forward",
        "In the forward pass, and not on the way back, inactive units have another slope than the case says.",
        "a = s z where z < 0 (of an elu: s (eᶻ − 1)) with another s; ct_z = ct_a f'(z) with the slope of the case",
        "the slope that the case declares, on both ways",
        in_forward(_slope_of_value),
        (
            activation_in("relu", "leaky_relu", "prelu", "elu"),
            INACTIVE_UNIT,
            VALUE_COUNTS,
            Condition("another slope than the layer has", lambda site: site.value != own_slope(site)),
        ),
        tag="fitted",
        parameter=Parameter("the slope in the forward pass", another_slope, typical=SLOPES),
    ),
    Mistake(
        "softmax-over-samples",
        "A softmax is normalised over the wrong axis: over the samples, or over everything at once.",
        "a = eᶻ / (sum of eᶻ over samples, or over samples and units); the way back is a(ct_a − Σ a ct_a), or p − t",
        "a = eᶻ / (sum of eᶻ over the units of a sample): axis=1, keepdims=True",
        in_any_softmax(_normalised),
        (A_SOFTMAX, SEVERAL_SAMPLES),
        variants=("samples", "everything"),
    ),
)
