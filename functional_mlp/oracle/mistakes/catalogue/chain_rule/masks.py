"""Mistakes in the two sides of a relu and its relatives on the way back: another slope, number or threshold."""

from typing import Any

import numpy as np

from functional_mlp.activations import FACTORIES, Activation, numpy_vjp
from functional_mlp.oracle.mistakes.catalogue.mistake import Mistake, Parameter
from functional_mlp.oracle.mistakes.changes import Array, Context, in_activation
from functional_mlp.oracle.mistakes.conditions import INACTIVE_UNIT, Condition, Site, activation_in
from functional_mlp.oracle.mistakes.program import vjp_at


def with_slope(activation: Activation, slope: float) -> Activation:
    """A leaky relu of this slope; for an elu, one with this alpha."""
    return FACTORIES["elu"](alpha=slope) if activation.name == "elu" else FACTORIES["leaky_relu"](slope)


def own_slope(site: Site) -> float:
    """The slope of the layer's activation on the inactive side, alpha of an elu; 0 of a relu."""
    parameters = dict(site.activation.parameters)
    return parameters.get("slope", parameters.get("alpha", 0.0))


def another_slope(site: Site) -> float:
    """0.2, which many write, or 0.01 where that is the layer's own."""
    return 0.2 if own_slope(site) != 0.2 else 0.01


SLOPES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3)  # of leaky units, that people write
THRESHOLDS = (1.0, 0.5, 0.1, 0.01, 1e-3, -1e-3, -0.01, -0.1, -0.5, -1.0)


def _moves(site: Site, threshold: float) -> bool:
    z = site.pre_activations
    return bool(((z > threshold) != (z > 0)).any())


def _moving(site: Site) -> tuple[float, ...]:
    return tuple(threshold for threshold in THRESHOLDS if _moves(site, threshold))


def _by_side(context: Context, layer: Any, ct: Array, inactive: Array) -> Array:
    """What the program has where z > 0, and something else where units are inactive."""
    return np.where(layer.z <= 0, inactive, context.before("through_activation")(layer, ct))


MASK_MISTAKES = (
    Mistake(
        "slope-different-backward",
        "On the way back, and not forward, inactive units have another slope than the activation.",
        "ct_z = s ct_a where z < 0 (of an elu: s eᶻ ct_a), with an s that is not the slope of the forward pass",
        "ct_z = ct_a f'(z) with the slope (alpha of an elu) of the forward pass",
        in_activation(
            lambda context, layer, ct: _by_side(
                context,
                layer,
                ct,
                numpy_vjp(with_slope(layer.activation, context.value), layer.z, layer.a, ct),
            )
        ),
        (activation_in("relu", "leaky_relu", "prelu", "elu"), INACTIVE_UNIT),
        tag="fitted",
        parameter=Parameter("the slope on the way back", another_slope, linear=True),
    ),
    Mistake(
        "mask-overwrites",
        "Where a unit is inactive its cotangent is overwritten by a number, such as the slope.",
        "ct_z = c where z ≤ 0",
        "ct_z = slope ct_a where z ≤ 0 (of a relu 0): multiply, do not assign",
        in_activation(lambda context, layer, ct: _by_side(context, layer, ct, np.full_like(ct, context.value))),
        (activation_in("relu", "leaky_relu", "prelu"), INACTIVE_UNIT),
        tag="fitted",
        parameter=Parameter("the number", lambda site: own_slope(site) or 0.01, linear=True),
    ),
    Mistake(
        "relu-threshold",
        "On the way back the mask of a relu has another threshold than 0.",
        "ct_z = ct_a where z > θ, else slope ct_a (of a relu 0)",
        "ct_z = ct_a where z > 0",
        in_activation(
            lambda context, layer, ct: vjp_at(layer.activation, layer.z - layer.z.dtype.type(context.value), ct)
        ),
        (
            activation_in("relu", "leaky_relu", "prelu"),
            Condition("a pre-activation between 0 and the threshold", lambda site: _moves(site, site.value)),
        ),
        tag="fitted",
        parameter=Parameter("the threshold θ", lambda site: next(iter(_moving(site)), THRESHOLDS[0]), choices=_moving),
    ),
)
