"""Mistakes of the update step and of the rule that it follows: they show in updated parameters only."""

from dataclasses import replace
from typing import Any, cast

import numpy as np

from functional_mlp.oracle.mistakes.catalogue.mistake import Mistake, constant
from functional_mlp.oracle.mistakes.changes import Altered, Context, in_rule
from functional_mlp.oracle.mistakes.conditions import (
    DECAYS,
    KEEPS_A_STATE,
    SOME_BIAS,
    Condition,
    for_variant,
    rule_in,
)
from functional_mlp.update_rules import Adam, Descent, Momentum, RMSprop, Slots, UpdateRule

MOMENTUM = rule_in("a rule with momentum", Momentum, momentum=True)
ADAM = rule_in("Adam", Adam)
CORRECTS = rule_in("Adam with its bias correction", Adam, bias_correction=True)
SECOND_STEP: Any = {"scope": "rule", "tag": "second-case", "second": "a second step"}


def _rule(context: Context) -> Any:
    return context.program.rule


def _upwards(rule: UpdateRule, number: Any, slots: Slots, parameter: Any, gradient: Any) -> tuple[Slots, Any]:
    return rule.of_array(number, slots, parameter, -gradient)


def _frozen_bias(rule: UpdateRule, number: Any, slots: Slots, parameter: Any, gradient: Any) -> tuple[Slots, Any]:
    slots, moved = rule.of_array(number, slots, parameter, gradient)
    return slots, parameter if parameter.ndim == 1 else moved


def _grown(context: Context) -> UpdateRule:
    def taken(rule: UpdateRule, number: Any, slots: Slots, parameter: Any, gradient: Any) -> tuple[Slots, Any]:
        return (), parameter + context.value * parameter - rule.learning_rate * gradient

    return Altered(Descent(_rule(context).learning_rate), taken)


def _turned(rule: UpdateRule, number: Any, slots: Slots, parameter: Any, gradient: Any) -> tuple[Slots, Any]:
    return rule.of_array(number, tuple(-slot for slot in slots), parameter, gradient)


def _forgetful(rule: UpdateRule, number: Any, slots: Slots, parameter: Any, gradient: Any) -> tuple[Slots, Any]:
    _, moved = rule.of_array(1, tuple(np.zeros_like(slot) for slot in slots), parameter, gradient)
    return slots, moved


def _miscounted(context: Context) -> UpdateRule:
    by = {"counts from 2": 1, "counts from 0": -1}[context.variant]
    return Altered(_rule(context), lambda rule, number, *rest: rule.of_array(number + by, *rest))


def _unsquared(context: Context) -> UpdateRule:
    def taken(rule: Any, number: Any, slots: Slots, parameter: Any, gradient: Any) -> tuple[Slots, Any]:
        place = rule.slots.index("second_moment")
        decay = rule.beta2 if isinstance(rule, Adam) else rule.decay
        averaged = np.abs(gradient) if context.variant == "its magnitude" else gradient
        excess = (1 - decay) * (averaged - gradient * gradient) / decay
        own = (*slots[:place], slots[place] + excess, *slots[place + 1 :])
        step: tuple[Slots, Any] = rule.of_array(number, own, parameter, gradient)
        return step

    return Altered(_rule(context), taken)


def _with(**settings: Any) -> Any:
    """The rule with other settings."""
    return in_rule(lambda context: replace(_rule(context), **settings))


def _altered(taken: Any) -> Any:
    return in_rule(lambda context: Altered(_rule(context), taken))


UPDATE_STEP_MISTAKES = (
    Mistake(
        "ascends",
        "The step goes up: the gradient is added.",
        "W + η ct_W",
        "W − η ct_W",
        _altered(_upwards),
        scope="update",
    ),
    Mistake(
        "bias-never-updated",
        "The biases stay as they were.",
        "b",
        "b − η ct_b",
        _altered(_frozen_bias),
        (SOME_BIAS,),
        scope="update",
    ),
    Mistake(
        "momentum-as-weights",
        "Momentum is applied to the parameter instead of the velocity.",
        "W + μ W − η ct_W",
        "W − η ct_W in the first step; then v = μ v − η ct_W, W + v",
        in_rule(_grown),
        (
            Condition("a momentum other than 0", lambda site: site.value != 0),
            rule_in("plain descent or momentum", Descent, Momentum),
        ),
        scope="update",
        tag="fitted",
        parameter=constant("the momentum μ", 0.9, linear=True),
    ),
    Mistake(
        "learning-rate-twice",
        "The gradient is multiplied with the learning rate twice.",
        "W − η² ct_W",
        "W − η ct_W",
        in_rule(lambda context: replace(_rule(context), learning_rate=_rule(context).learning_rate ** 2)),
        scope="update",
        tag="second-case",
        second="another learning rate",
    ),
    Mistake(
        "momentum-missing",
        "There is no momentum: every step is one of plain descent.",
        "W − η ct_W",
        "v = μ v + ct_W, W − η v",
        in_rule(lambda context: Descent(_rule(context).learning_rate, _rule(context).weight_decay)),
        (MOMENTUM,),
        **SECOND_STEP,
    ),
    Mistake(
        "momentum-sign",
        "The velocity of the step before is subtracted.",
        "v = ct_W − μ v",
        "v = ct_W + μ v",
        _altered(_turned),
        (MOMENTUM,),
        **SECOND_STEP,
    ),
    Mistake(
        "nesterov-missing",
        "The momentum is the classical one.",
        "W − η v",
        "W − η (ct_W + μ v)",
        _with(nesterov=False),
        (rule_in("Nesterov's momentum", Momentum, momentum=True, nesterov=True),),
        scope="rule",
    ),
    Mistake(
        "nesterov-unexpected",
        "The momentum is Nesterov's.",
        "W − η (ct_W + μ v)",
        "W − η v",
        _with(nesterov=True),
        (rule_in("classical momentum", Momentum, momentum=True, nesterov=False),),
        scope="rule",
    ),
    Mistake(
        "velocity-averaged",
        "The velocity is a running average: the gradient is multiplied with 1 − μ.",
        "v = μ v + (1 − μ) ct_W",
        "v = μ v + ct_W",
        in_rule(lambda context: replace(_rule(context), dampening=_rule(context).momentum, dampen_first=True)),
        (rule_in("a rule with momentum and without dampening", Momentum, momentum=True, dampening=False),),
        scope="rule",
        convention=True,
    ),
    Mistake(
        "state-not-kept",
        "What the rule keeps is set back before every step: each is a first step.",
        "the state 0 and t = 1 in every step",
        "the state and t of the step before",
        _altered(_forgetful),
        (
            KEEPS_A_STATE,
            Condition(
                "a rule whose first step is not one of plain descent",
                lambda site: not isinstance(site.rule, Momentum) or site.rule.nesterov,
            ),
        ),
        **SECOND_STEP,
    ),
    Mistake(
        "bias-correction-missing",
        "The averages are used as they are, although they began at 0.",
        "W − η m / (√v + ε)",
        "m̂ = m / (1 − β₁ᵗ), v̂ = v / (1 − β₂ᵗ), W − η m̂ / (√v̂ + ε)",
        _with(bias_correction=False),
        (CORRECTS,),
        scope="rule",
    ),
    Mistake(
        "bias-correction-step-off-by-one",
        "The number of the step in the bias correction is another one.",
        "1 − βᵗ⁺¹ (or 1 − βᵗ⁻¹, which is 0 in the first step)",
        "1 − βᵗ with t = 1 in the first step",
        in_rule(_miscounted),
        (
            CORRECTS,
            for_variant(
                "an ε that is not divided by 1 − β₂ᵗ itself, which would be 0",
                {"counts from 0": lambda site: not cast(Adam, site.rule).epsilon_uncorrected},
            ),
        ),
        scope="rule",
        variants=("counts from 2", "counts from 0"),
    ),
    Mistake(
        "epsilon-inside-root",
        "The ε stands inside of the root.",
        "√(v + ε)",
        "√v + ε",
        _with(epsilon_inside=True),
        (rule_in("Adam or RMSprop with ε outside of the root", Adam, RMSprop, epsilon=True, epsilon_inside=False),),
        scope="rule",
        convention=True,
    ),
    Mistake(
        "epsilon-outside-root",
        "The ε stands outside of the root.",
        "√v + ε",
        "√(v + ε)",
        _with(epsilon_inside=False),
        (rule_in("Adam or RMSprop with ε inside of the root", Adam, RMSprop, epsilon=True, epsilon_inside=True),),
        scope="rule",
        convention=True,
    ),
    Mistake(
        "second-moment-not-squared",
        "The second average is of the gradient, not of its square.",
        "v = β₂ v + (1 − β₂) ct_W",
        "v = β₂ v + (1 − β₂) ct_W²",
        in_rule(_unsquared),
        (rule_in("Adam or RMSprop", Adam, RMSprop),),
        scope="rule",
        variants=("its magnitude", "the gradient"),
    ),
    Mistake(
        "first-moment-missing",
        "The gradient itself is used in place of its running average.",
        "W − η ct_W / (√v̂ + ε)",
        "W − η m̂ / (√v̂ + ε)",
        _with(beta1=0.0),
        (rule_in("Adam", Adam, beta1=True),),
        **SECOND_STEP,
    ),
    Mistake(
        "betas-swapped",
        "The two decay rates are swapped.",
        "m = β₂ m + (1 − β₂) ct_W, v = β₁ v + (1 − β₁) ct_W²",
        "m = β₁ m + (1 − β₁) ct_W, v = β₂ v + (1 − β₂) ct_W²",
        in_rule(lambda context: replace(_rule(context), beta1=_rule(context).beta2, beta2=_rule(context).beta1)),
        (ADAM,),
        **SECOND_STEP,
    ),
    Mistake(
        "decay-coupled",
        "The weight decay is added to the gradient, as in Adam with an L2 penalty.",
        "ct_W + λ W in place of ct_W",
        "W − η (m̂ / (√v̂ + ε) + λ W): AdamW's decay leaves the averages alone",
        _with(decoupled=False),
        (rule_in("AdamW", Adam, decoupled=True), DECAYS),
        scope="rule",
    ),
    Mistake(
        "decay-decoupled",
        "The weight decay is subtracted from the parameters, as in AdamW.",
        "W − η (m̂ / (√v̂ + ε) + λ W)",
        "ct_W + λ W in place of ct_W: Adam with an L2 penalty",
        _with(decoupled=True),
        (rule_in("Adam with a coupled decay", Adam, decoupled=False), DECAYS),
        scope="rule",
    ),
    Mistake(
        "weight-decay-missing",
        "There is no weight decay.",
        "λ = 0",
        "ct_W + λ W in place of ct_W; in AdamW, W − η λ W besides",
        _with(weight_decay=0.0),
        (DECAYS,),
        scope="rule",
    ),
)
