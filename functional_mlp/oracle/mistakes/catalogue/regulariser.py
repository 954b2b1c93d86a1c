"""Mistakes in the penalties."""

import numpy as np

from functional_mlp.oracle.mistakes.catalogue.mistake import Mistake, constant
from functional_mlp.oracle.mistakes.changes import Array, Change, Context, by_variant, in_penalty
from functional_mlp.oracle.mistakes.conditions import (
    A_BIAS_NOT_ZERO,
    L1_PENALTY,
    NO_L1_PENALTY,
    NO_PENALTY,
    NO_PENALTY_ON_BIAS,
    PENALTY,
    PENALTY_ON_BIAS,
    SEVERAL_SAMPLES,
    Condition,
)
from functional_mlp.oracle.mistakes.program import Program, times, with_penalty


def _penalty_times(factor: float) -> Change:
    return in_penalty(lambda context, ct, leaf: times(factor * context.loss.l2, leaf))


def _with_signs(context: Context, ct: Array, leaf: Array) -> Array:
    signs = times(context.value, np.sign(leaf))
    return signs if context.loss is None or context.loss.l2 == 0 else signs + times(context.loss.l2, leaf)


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
        parameter=constant("the coefficient λ", 0.01),
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
        parameter=constant("the coefficient λ", 0.01),
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
)
