"""Mistakes in the penalties."""

from dataclasses import replace
from typing import Any

import numpy as np

from functional_mlp.activations import numpy_vjp
from functional_mlp.backward_pass import already_through
from functional_mlp.losses import penalty_value
from functional_mlp.oracle.mistakes.catalogue.mistake import Mistake, Parameter, constant
from functional_mlp.oracle.mistakes.changes import (
    Array,
    Change,
    Context,
    by_variant,
    in_cotangent,
    in_penalty,
    with_stages,
)
from functional_mlp.oracle.mistakes.conditions import (
    A_BIAS_NOT_ZERO,
    A_LOSS,
    L1_PENALTY,
    NO_L1_PENALTY,
    NO_PENALTY,
    NO_PENALTY_ON_BIAS,
    PENALTY,
    PENALTY_ON_BIAS,
    SEVERAL_SAMPLES,
    Condition,
    Site,
    for_variant,
)
from functional_mlp.oracle.mistakes.program import Program, times, with_penalty


def _penalty_times(factor: float) -> Change:
    return in_penalty(lambda context, ct, leaf: times(factor * context.loss.l2, leaf))


def _with_signs(context: Context, ct: Array, leaf: Array) -> Array:
    signs = times(context.value, np.sign(leaf))
    return signs if context.loss is None or context.loss.l2 == 0 else signs + times(context.loss.l2, leaf)


def _gradient_summed(context: Context) -> float:
    """By what the sum over samples is more than what the loss makes of it; by what the mean is less than the sum."""
    return context.divisor if context.loss.over_samples == "mean" else 1 / context.samples


def _added_to_outputs(context: Context, addition: Array) -> Array:
    """The cotangent that the program starts from, with something added to that of the outputs."""
    program = context.program
    if program.stages[-1].through_activation is already_through:  # it starts from that of the pre-activations
        z, a = program.tape.pre_activations[-1], program.tape.activations[-1]
        addition = numpy_vjp(program.network.activations[-1], z, a, addition)
    return (program.ct_outputs + addition).astype(program.ct_outputs.dtype)


def _in_every_output(context: Context, ct: Array) -> Array:
    return _added_to_outputs(context, np.full_like(ct, context.value))


def _in_right_class(context: Context, ct: Array) -> Array:
    return _added_to_outputs(context, times(context.value, context.targets))


def _in_last_delta(context: Context) -> Program:
    program = context.program
    through = program.stages[-1].through_activation

    def with_constant(layer: Any, ct: Array) -> Array:
        ct_z: Array = through(layer, ct)
        return ct_z + ct_z.dtype.type(context.value)

    return with_stages(program, -1, {"through_activation": with_constant})


def _penalty_of(site: Site) -> float:
    """The value of the penalty, or of one with a usual coefficient where none is declared."""
    penalty = replace(site.loss, l2=site.loss.l2 or 0.01, l1=0.0)
    return float(penalty_value(penalty, site.case.params))


def _is_another(site: Site) -> bool:
    """Whether a coefficient is none that a simpler slip gives: the declared one times 0, ±1, 2, ½, n or 1/n."""
    factors = (0.0, 1.0, -1.0, 2.0, 0.5, site.samples, 1 / site.samples)
    return not any(abs(site.value - factor * site.loss.l2) <= 1e-4 * site.loss.l2 for factor in factors)


def _without_l1(context: Context) -> Program:
    loss = context.loss
    return with_penalty(context.program, lambda ct, leaf: times(loss.l2, leaf), loss.l2_on_bias)


REGULARISER_MISTAKES = (
    Mistake(
        "l2-sign",
        "The penalty's gradient is subtracted.",
        "ct_W − λ W",
        "ct_W + λ W",
        _penalty_times(-1.0),
        (PENALTY,),
        scope="network",
    ),
    Mistake(
        "l2-factor",
        "The penalty's gradient has a factor 2 too much or too little.",
        "ct_W + 2λ W, or ct_W + ½λ W",
        "ct_W + λ W: the penalty is ½λ times the sum of squares",
        by_variant({"doubled": _penalty_times(2.0), "halved": _penalty_times(0.5)}),
        (PENALTY,),
        scope="network",
        variants=("doubled", "halved"),
        convention=True,
    ),
    Mistake(
        "l2-missing",
        "The penalty is left out of the gradient.",
        "ct_W",
        "ct_W + λ W",
        _penalty_times(0.0),
        (PENALTY,),
        scope="network",
    ),
    Mistake(
        "l2-unexpected",
        "A penalty (weight decay) is added that the case does not have.",
        "ct_W + λ W",
        "ct_W",
        in_penalty(lambda context, ct, leaf: times(context.value, leaf), on_bias=False),
        (NO_PENALTY, Condition("a coefficient other than 0", lambda site: site.value != 0)),
        scope="network",
        tag="fitted",
        parameter=constant("the coefficient λ", 0.01, linear=True),
    ),
    Mistake(
        "l1-penalty",
        "An L1 penalty is added that the case does not have.",
        "ct_W + λ sign(W)",
        "ct_W; or declare the loss with l1=λ",
        in_penalty(_with_signs, on_bias=False),
        (NO_L1_PENALTY, Condition("a coefficient other than 0", lambda site: site.value != 0)),
        scope="network",
        tag="fitted",
        parameter=constant("the coefficient λ", 0.01, linear=True),
    ),
    Mistake(
        "l1-missing",
        "The L1 penalty is left out of the gradient.",
        "ct_W",
        "ct_W + λ sign(W)",
        Change("penalty", _without_l1),
        (L1_PENALTY,),
        scope="network",
    ),
    Mistake(
        "l2-on-bias",
        "The penalty is applied to the biases too, which the case spares.",
        "ct_b + λ b",
        "ct_b",
        in_penalty(lambda context, ct, leaf: times(context.loss.l2, leaf), on_bias=True),
        (PENALTY, NO_PENALTY_ON_BIAS, A_BIAS_NOT_ZERO),
        scope="network",
        convention=True,
    ),
    Mistake(
        "l2-not-on-bias",
        "The penalty is not applied to the biases, which the case penalises too.",
        "ct_b",
        "ct_b + λ b",
        in_penalty(lambda context, ct, leaf: times(context.loss.l2, leaf), on_bias=False),
        (PENALTY_ON_BIAS, A_BIAS_NOT_ZERO),
        scope="network",
        convention=True,
    ),
    Mistake(
        "l2-not-averaged",
        "The penalty is added once per sample, or divided by the number of samples, where the case takes it as it is.",
        "ct_W + nλ W, or ct_W + (λ/n) W",
        "ct_W + λ W, whatever n is",
        by_variant(
            {
                "times-n": in_penalty(lambda context, ct, leaf: times(context.samples * context.loss.l2, leaf)),
                "divided-by-n": in_penalty(lambda context, ct, leaf: times(context.loss.l2 / context.samples, leaf)),
            }
        ),
        (PENALTY, SEVERAL_SAMPLES),
        scope="network",
        variants=("times-n", "divided-by-n"),
        convention=True,
    ),
    Mistake(
        "l2-on-gradient",
        "The gradient, not the parameter, is scaled by the penalty's coefficient.",
        "ct_W + λ ct_W",
        "ct_W + λ W",
        in_penalty(lambda context, ct, leaf: times(context.loss.l2, ct)),
        (PENALTY,),
        scope="network",
    ),
    Mistake(
        "l2-coefficient-different",
        "The penalty is taken with another coefficient than the declared one.",
        "ct_W + λ' W",
        "ct_W + λ W with the λ that is declared; or declare the loss with l2=λ'",
        in_penalty(lambda context, ct, leaf: times(context.value, leaf)),
        (PENALTY, Condition("another coefficient, by another factor than 2, n or a sign", _is_another)),
        scope="network",
        tag="fitted",
        parameter=Parameter("the coefficient λ'", lambda site: 1.5 * site.loss.l2 if site.loss else 1.5, linear=True),
        convention=True,
    ),
    Mistake(
        "l2-on-summed-gradient",
        "The gradient, not the parameter, is scaled by the penalty's coefficient, and before it is averaged, or after.",
        "ct_W + λ n ct_W under a mean, or ct_W + (λ/n) ct_W under a sum",
        "ct_W + λ W",
        in_penalty(lambda context, ct, leaf: times(context.loss.l2 * _gradient_summed(context), ct)),
        (
            PENALTY,
            SEVERAL_SAMPLES,
            Condition("a mean that divides by something else than 1", lambda site: site.divisor != 1),
        ),
        scope="network",
    ),
    Mistake(
        "penalty-in-delta",
        "A constant such as the penalty's value is added to the cotangent where the penalty belongs to the weights.",
        "ct at the outputs + c, + c t (in the right class alone), or ct_z of the output layer + c",
        "ct at the outputs without it; the penalty adds λ W to ct_W",
        by_variant(
            {
                "outputs": in_cotangent(_in_every_output),
                "right-class": in_cotangent(_in_right_class),
                "delta": Change("output_cotangent", _in_last_delta),
            }
        ),
        (
            A_LOSS,
            Condition("a constant other than 0", lambda site: site.value != 0),
            for_variant(
                "an output layer without softmax for all outputs, with an activation for its delta",
                {
                    "outputs": lambda site: site.case.network.activations[-1].name != "softmax",
                    "delta": lambda site: site.case.network.activations[-1].name != "identity",
                },
            ),
        ),
        scope="network",
        tag="fitted",
        parameter=Parameter("the constant c", lambda site: _penalty_of(site) if site.loss else 0.01, linear=True),
        variants=("outputs", "right-class", "delta"),
    ),
)
