"""Mistakes in the derivative of an activation: left out, of another variable, of another activation, or its mask."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from functional_mlp.activations import FACTORIES, numpy_value, numpy_vjp, selu, softmax_vjp
from functional_mlp.oracle.mistakes.catalogue.mistake import Mistake
from functional_mlp.oracle.mistakes.changes import (
    Array,
    by_variant,
    in_activation,
)
from functional_mlp.oracle.mistakes.conditions import (
    AT_A_KINK,
    DIFFERS_FROM_IDENTITY,
    HIDDEN,
    INACTIVE_UNIT,
    LAST,
    LOOKALIKES,
    NOT_IDENTITY,
    PIECEWISE,
    USUAL,
    Condition,
    Site,
    activation_in,
    for_variant,
    taken_for,
)
from functional_mlp.oracle.mistakes.program import (
    through_activation,
    vjp_at,
)

_SELU = selu().kinks[0]


def _slopes_by_sign(a: Array, slope: float, at_zero: float) -> Array:
    return np.where(a > 0, 1, slope).astype(a.dtype)


# f' from the activation alone, as programs write it that kept a and not z
DERIVATIVE_FROM_OUTPUT: Mapping[str, Callable[..., Array]] = {
    "sigmoid": lambda a: a * (1 - a),
    "tanh": lambda a: 1 - a * a,
    "relu": lambda a, at_zero: (a > 0).astype(a.dtype),
    "leaky_relu": _slopes_by_sign,
    "prelu": _slopes_by_sign,
    "selu": lambda a, at_zero: np.where(a > 0, a.dtype.type(_SELU.right), a + a.dtype.type(_SELU.left)),
    "elu": lambda a, alpha, at_zero: np.where(a > 0, np.ones_like(a), a + a.dtype.type(alpha)),
}


def derivative_from(layer: Any, values: Array, ct: Array) -> Array:
    """ct f'(z), with f' by the formula in terms of a, of which `values` take the place."""
    if layer.activation.name == "softmax":
        return softmax_vjp(values, values, ct)
    return ct * DERIVATIVE_FROM_OUTPUT[layer.activation.name](values, **dict(layer.activation.parameters))


def _derivative_at(layer: Any, z: Array, ct: Array) -> Array:
    """ct f'(z) at other pre-activations."""
    return vjp_at(layer.activation, z, ct)


def _differs_at_output(site: Site) -> bool:
    """Whether f'(a) and f'(z) differ; of a softmax, whose derivative is no function of one number, they do."""
    by_z, by_a = (vjp_at(site.activation, x, np.ones_like(x)) for x in (site.pre_activations, site.activations))
    return site.activation.name == "softmax" or not np.allclose(by_a, by_z)


def _has_formula_of_output(site: Site) -> bool:
    return site.activation.name in DERIVATIVE_FROM_OUTPUT


def _same_function(site: Site, offset: int) -> bool:
    return site.case.network.activations[site.layer + offset] == site.activation


def _other_side(layer: Any, ct: Array) -> Array:
    pulled = through_activation(layer, ct)
    for kink in layer.activation.kinks:
        both = ct.dtype.type(kink.left + kink.right) * ct
        pulled = np.where(layer.z == kink.position, both - pulled, pulled)
    return pulled


def differ(site: Site) -> bool:
    """Whether the layer's activation and the one that the variant names differ somewhere in this case."""
    if site.activation.name in PIECEWISE and site.variant in PIECEWISE:
        return INACTIVE_UNIT.test(site)
    usual = site.variant in USUAL and site.activation.name in (*USUAL, "identity")
    if usual or site.variant not in FACTORIES:
        return True
    other, z = FACTORIES[site.variant](), site.pre_activations
    own = [numpy_value(site.activation, z), vjp_at(site.activation, z, np.ones_like(z))]
    others = [numpy_value(other, z), vjp_at(other, z, np.ones_like(z))]
    return not np.allclose(own, others, rtol=1e-6, atol=1e-9)


def _derivative_of(name: str, layer: Any, ct: Array) -> Array:
    return _derivative_at(layer._replace(activation=FACTORIES[name]()), layer.z, ct)


OTHER_DERIVATIVES: Mapping[str, Callable[[Any, Array], Array]] = {
    **{name: partial(_derivative_of, name) for name in USUAL},
    "sigmoid-of-output": lambda layer, ct: ct * (layer.a * (1 - layer.a)),
    "tanh-of-output": lambda layer, ct: ct * (1 - layer.a * layer.a),
    **{name: partial(_derivative_of, name) for name in LOOKALIKES},
}
WRONG_TANH: Mapping[str, Callable[[Array], Array]] = {
    "tanh": lambda a: a,
    "one-minus-tanh": lambda a: 1 - a,
    "one-minus-tanh-squared": lambda a: (1 - a) * (1 - a),
}

DERIVATIVE_MISTAKES = (
    Mistake(
        "output-derivative-missing",
        "The derivative of the output layer's activation is left out.",
        "ct_z = ct_a at the output layer",
        "ct_z = ct_a f'(z)",
        in_activation(lambda context, layer, ct: ct),
        (LAST, NOT_IDENTITY, DIFFERS_FROM_IDENTITY),
    ),
    Mistake(
        "hidden-derivative-missing",
        "The derivative of a hidden layer's activation is left out.",
        "ct_z = ct_a at a hidden layer",
        "ct_z = ct_a f'(z)",
        in_activation(lambda context, layer, ct: ct),
        (HIDDEN, NOT_IDENTITY, DIFFERS_FROM_IDENTITY),
    ),
    Mistake(
        "derivative-of-wrong-variable",
        "The derivative is taken of the wrong variable: its formula in terms of a is given z, or f' is given a.",
        "ct_z = ct_a z(1 − z) for ct_a a(1 − a), or ct_a f'(a) for ct_a f'(z)",
        "a formula in terms of the activation gets a, the function f' gets z",
        by_variant(
            {
                "z-for-a": in_activation(lambda context, layer, ct: derivative_from(layer, layer.z, ct)),
                "a-for-z": in_activation(lambda context, layer, ct: _derivative_at(layer, layer.a, ct)),
            }
        ),
        (
            for_variant(
                "an activation whose derivative differs between z and a",
                {
                    "z-for-a": lambda site: site.activation.name in ("sigmoid", "tanh", "softmax", "elu", "selu"),
                    "a-for-z": _differs_at_output,
                },
            ),
        ),
        variants=("z-for-a", "a-for-z"),
    ),
    Mistake(
        "derivative-of-neighbour-layer",
        "The derivative is evaluated at the values of the next or the previous layer.",
        "ct_z = ct_a f'(z of a neighbour), or f' in terms of a with the a of a neighbour",
        "ct_z = ct_a f'(z) with the z (or a) of the layer itself",
        by_variant(
            {
                "next": in_activation(lambda context, layer, ct: _derivative_at(layer, context.values(1)[0], ct)),
                "previous": in_activation(lambda context, layer, ct: _derivative_at(layer, context.values(-1)[0], ct)),
                "next-output": in_activation(
                    lambda context, layer, ct: derivative_from(layer, context.values(1)[1], ct)
                ),
                "previous-output": in_activation(lambda context, layer, ct: derivative_from(layer, layer.a_prev, ct)),
            }
        ),
        (
            NOT_IDENTITY,
            for_variant(
                "a neighbour of the same width",
                {
                    "next": lambda site: site.width(1) == site.fan_out,
                    "previous": lambda site: site.has_layer(-1) and site.fan_in == site.fan_out,
                    "next-output": lambda site: (
                        site.width(1) == site.fan_out and _has_formula_of_output(site) and not _same_function(site, 1)
                    ),
                    "previous-output": lambda site: (
                        site.fan_in == site.fan_out
                        and _has_formula_of_output(site)
                        and not (site.has_layer(-1) and _same_function(site, -1))
                    ),
                },
            ),
        ),
        variants=("next", "previous", "next-output", "previous-output"),
    ),
    Mistake(
        "derivative-of-other-activation",
        "The derivative of another activation is used than the layer has.",
        "ct_z = ct_a g'(z), g another activation",
        "ct_z = ct_a f'(z) with the f of the forward pass",
        in_activation(lambda context, layer, ct: OTHER_DERIVATIVES[context.variant](layer, ct)),
        (
            Condition("another activation than the layer's own", lambda site: site.variant != site.activation.name),
            Condition("an activation that is taken for it", taken_for),
            Condition("a unit on which the two differ", differ),
            for_variant(
                "an activation with another derivative",
                {
                    "softmax": lambda site: site.fan_out > 1,
                    "relu": lambda site: site.activation.name != "leaky_relu",
                    "sigmoid-of-output": lambda site: site.activation.name != "sigmoid",
                    "tanh-of-output": lambda site: site.activation.name != "tanh",
                    "softplus": lambda site: site.activation.name != "sigmoid",  # σ for its own derivative
                },
            ),
        ),
        variants=tuple(OTHER_DERIVATIVES),
    ),
    Mistake(
        "tanh-derivative-wrong",
        "The derivative of tanh is taken to be tanh itself, 1 − tanh, or (1 − tanh)².",
        "ct_z = ct_a a, ct_a (1 − a), or ct_a (1 − a)²",
        "ct_z = ct_a (1 − a²)",
        in_activation(lambda context, layer, ct: ct * WRONG_TANH[context.variant](layer.a)),
        (activation_in("tanh"),),
        variants=tuple(WRONG_TANH),
    ),
    Mistake(
        "sigmoid-derivative-doubled",
        "The derivative of the sigmoid has a stray factor 2.",
        "ct_z = ct_a 2 a(1 − a)",
        "ct_z = ct_a a(1 − a)",
        in_activation(lambda context, layer, ct: 2 * context.before("through_activation")(layer, ct)),
        (activation_in("sigmoid"),),
    ),
    Mistake(
        "relu-drops-cotangent",
        "Going back through a relu returns its derivative alone and drops the cotangent that came.",
        "ct_z = f'(z)",
        "ct_z = ct_a f'(z)",
        in_activation(lambda context, layer, ct: context.before("through_activation")(layer, np.ones_like(ct))),
        (activation_in("relu", "leaky_relu", "elu"),),
    ),
    Mistake(
        "relu-mask-missing",
        "Going back through a relu lets every cotangent pass, also where the unit is inactive.",
        "ct_z = ct_a",
        "ct_z = ct_a where z > 0, else 0",
        in_activation(lambda context, layer, ct: ct),
        (activation_in("relu"), INACTIVE_UNIT),
    ),
    Mistake(
        "relu-mask-on-cotangent",
        "A relu's mask is taken from the sign of the cotangent, instead of the pre-activation's or beside it.",
        "ct_z = ct_a where ct_a > 0 (and z > 0), else 0",
        "ct_z = ct_a where z > 0, else 0",
        by_variant(
            {
                "instead": in_activation(lambda context, layer, ct: numpy_vjp(layer.activation, ct, ct, ct)),
                "as-well": in_activation(
                    lambda context, layer, ct: context.before("through_activation")(
                        layer, numpy_vjp(layer.activation, ct, ct, ct)
                    )
                ),
            }
        ),
        (activation_in("relu", "leaky_relu"),),
        variants=("instead", "as-well"),
    ),
    Mistake(
        "leaky-slope-wrong-side",
        "The slope of a leaky relu is applied where the unit is active, and 1 where it is not.",
        "ct_z = slope ct_a where z > 0, else ct_a",
        "ct_z = ct_a where z > 0, else slope ct_a",
        in_activation(lambda context, layer, ct: _derivative_at(layer, -layer.z, ct)),
        (activation_in("leaky_relu"),),
    ),
    Mistake(
        "leaky-slope-missing",
        "The slope of a leaky relu is forgotten on the way back: inactive units pass nothing.",
        "ct_z = ct_a where z > 0, else 0",
        "ct_z = ct_a where z > 0, else slope ct_a",
        in_activation(lambda context, layer, ct: OTHER_DERIVATIVES["relu"](layer, ct)),
        (activation_in("leaky_relu"), INACTIVE_UNIT),
    ),
    Mistake(
        "kink-other-side",
        "At a pre-activation exactly at a kink, 0 for relu, the derivative is that of the other side.",
        "f'(0) = 1 where the case says otherwise, or the reverse",
        "f'(0) as the case declares it (at_zero): by default that of the left side",
        in_activation(lambda context, layer, ct: _other_side(layer, ct)),
        (AT_A_KINK,),
        convention=True,
    ),
)
