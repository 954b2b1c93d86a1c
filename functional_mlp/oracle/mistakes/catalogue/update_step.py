"""Mistakes of the update step: they show in updated parameters only."""

from functional_mlp.oracle.mistakes.catalogue.mistake import Mistake, constant
from functional_mlp.oracle.mistakes.changes import in_update
from functional_mlp.oracle.mistakes.conditions import SOME_BIAS, Condition
from functional_mlp.oracle.mistakes.program import times

UPDATE_STEP_MISTAKES = (
    Mistake(
        "ascends",
        "The step goes up: the gradient is added.",
        "W + η ct_W",
        "W − η ct_W",
        in_update(lambda context, leaf, ct, rate, is_bias: leaf + times(rate, ct)),
        scope="update",
    ),
    Mistake(
        "bias-never-updated",
        "The biases stay as they were.",
        "b",
        "b − η ct_b",
        in_update(lambda context, leaf, ct, rate, is_bias: leaf if is_bias else leaf - times(rate, ct)),
        (SOME_BIAS,),
        scope="update",
    ),
    Mistake(
        "momentum-as-weights",
        "Momentum is applied to the parameter instead of the velocity.",
        "W + μ W − η ct_W",
        "W − η ct_W in the first step; then v = μ v − η ct_W, W + v",
        in_update(lambda context, leaf, ct, rate, is_bias: leaf + times(context.value, leaf) - times(rate, ct)),
        (Condition("a momentum other than 0", lambda site: site.value != 0),),
        scope="update",
        tag="fitted",
        parameter=constant("the momentum μ", 0.9),
    ),
    Mistake(
        "learning-rate-twice",
        "The gradient is multiplied with the learning rate twice.",
        "W − η² ct_W",
        "W − η ct_W",
        in_update(lambda context, leaf, ct, rate, is_bias: leaf - times(rate, times(rate, ct))),
        scope="update",
        tag="second-case",
        second="another learning rate",
    ),
)
