"""Mistakes of a forward pass that computes another function, whose gradient may be right."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from functional_mlp.activations import (
    FACTORIES,
    Activation,
    numpy_value,
    numpy_vjp,
    softmax,
)
from functional_mlp.losses import KINDS
from functional_mlp.oracle.mistakes.catalogue.chain_rule.derivatives import differ
from functional_mlp.oracle.mistakes.catalogue.chain_rule.masks import SLOPES, another_slope, own_slope, with_slope
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


def of_arrays(like: Activation, value: Any, vjp: Any) -> Activation:
    """Another value and VJP, functions of NumPy's arrays alone, under the name and the parameters of an activation."""

    def own_value(z: Array, **parameters: float) -> Array:
        return value(z)  # type: ignore[no-any-return]

    def own_vjp(z: Array, a: Array, ct_a: Array, **parameters: float) -> Array:
        return vjp(z, a, ct_a)  # type: ignore[no-any-return]

    for function in (own_value, own_vjp):
        setattr(function, "serves_numpy", True)  # noqa: B010
    return replace(like, value_fn=own_value, vjp_fn=own_vjp)


def _and_softmax(inner: Activation) -> Activation:
    """softmax after an activation, as one activation."""

    def value(z: Array) -> Array:
        return numpy_value(softmax(), numpy_value(inner, z))

    def vjp(z: Array, a: Array, ct_a: Array) -> Array:
        between = numpy_value(inner, z)
        return numpy_vjp(inner, z, between, numpy_vjp(softmax(), between, a, ct_a))

    return of_arrays(Activation(f"{inner.name} and softmax", value, vjp, probabilities=True), value, vjp)


def _with_bias(factor: float) -> Callable[[Context], Program]:
    def change(context: Context) -> Program:
        used = list(context.program.used)
        used[context.layer] = used[context.layer]._replace(bias=times(factor, used[context.layer].bias))  # type: ignore[operator]
        return context.program._replace(used=tuple(used))

    return change


_SUBTRACTED = in_forward(_with_bias(-1.0))

OTHER_FUNCTION_MISTAKES = (
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
        in_forward(lambda context: with_activation(context, with_slope(context.activation, context.value))),
        (
            activation_in("relu", "leaky_relu", "prelu", "elu"),
            INACTIVE_UNIT,
            Condition("another slope than the layer has", lambda site: site.value != own_slope(site)),
        ),
        tag="fitted",
        parameter=Parameter("the slope", another_slope, typical=SLOPES),
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
)
