"""Update rules in ball arithmetic: the parameter after each step, correctly rounded to float64.

Every running average is written out as the sum over all steps that it is, not as the recursion that programs use:
after t steps m = (1 − β) Σₛ βᵗ⁻ˢ gₛ, and a velocity is Σₛ μᵗ⁻ˢ gₛ. Numbers are exact as long as no root is taken. For
one parameter with its gradients; rules act on every number alone.

p is the parameter, g its gradient, η the rate, λ the decay; the settings have the names of the rule's own fields.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flint import ctx, fmpq

from reference.balls import ZERO, ZERO_BALL, Near, Real, ball, is_zero, round_to_float64, total

PRECISIONS = (128, 512, 2048)  # bits


def exact_settings(settings: Mapping[str, float | bool]) -> dict[str, Any]:
    """The settings of a rule, its numbers as fmpq."""
    return {name: value if isinstance(value, bool) else _rational(value) for name, value in settings.items()}


def _rational(number: float) -> fmpq:
    return fmpq(*number.as_integer_ratio())


def _weighted(decay: fmpq, numbers: Sequence[Real]) -> Real:
    """Σₛ decayᵗ⁻ˢ xₛ."""
    last = len(numbers) - 1
    return total(x * decay ** (last - s) for s, x in enumerate(numbers))


def _over_root(numerator: Real, square: Real, epsilon: Real, inside: bool) -> Real:
    """x / (√s + ε), or x / √(s + ε); 0 where x is 0, as the limit of both."""
    if is_zero(numerator):
        return ZERO
    root = ball(square + epsilon).sqrt() if inside else ball(square).sqrt() + ball(epsilon)
    return Near(ZERO, ball(numerator) / root)


def descent(settings: Any, gradients: Sequence[Real], moved: list[Real]) -> Real:
    """g: what the rate multiplies in the last step."""
    return gradients[-1]


def momentum(settings: Any, gradients: Sequence[Real], moved: list[Real]) -> Real:
    """v = Σₛ μᵗ⁻ˢ (1 − dₛ) gₛ, or g + μ v."""
    mu, dampening = settings["momentum"], settings["dampening"]
    first = 0 if settings["dampen_first"] else 1
    pushed = [g * (1 - dampening) if s >= first else g for s, g in enumerate(gradients)]
    velocity = _weighted(mu, pushed)
    return gradients[-1] + velocity * mu if settings["nesterov"] else velocity


def adam(settings: Any, gradients: Sequence[Real], moved: list[Real]) -> Real:
    """m̂ / (√v̂ + ε) with m̂ = Σ β₁ᵗ⁻ˢ gₛ / Σ β₁ᵗ⁻ˢ, v̂ = Σ β₂ᵗ⁻ˢ gₛ² / Σ β₂ᵗ⁻ˢ."""
    beta1, beta2, epsilon = settings["beta1"], settings["beta2"], settings["epsilon"]
    t = len(gradients)
    mean = _weighted(beta1, gradients) * (1 - beta1)
    square = _weighted(beta2, [g * g for g in gradients]) * (1 - beta2)
    if settings["bias_correction"]:
        mean, square = mean / (1 - beta1**t), square / (1 - beta2**t)
        if settings["epsilon_uncorrected"]:
            epsilon = ball(epsilon) / ball(1 - beta2**t).sqrt()
    return _over_root(mean, square, epsilon, settings["epsilon_inside"])


def rmsprop(settings: Any, gradients: Sequence[Real], moved: list[Real]) -> Real:
    """g / (√s + ε), s = (1 − ρ) Σ ρᵗ⁻ˢ gₛ², minus the square of the mean where centred; summed with momentum."""
    rho = settings["decay"]
    square = _weighted(rho, [g * g for g in gradients]) * (1 - rho)
    if settings["centred"]:
        mean = _weighted(rho, gradients) * (1 - rho)
        square = square - mean * mean
    moved.append(_over_root(gradients[-1], square, settings["epsilon"], settings["epsilon_inside"]))
    return _weighted(settings["momentum"], moved)


FORMULAS: dict[str, Callable[[Any, Sequence[Real], list[Real]], Real]] = {
    "descent": descent,
    "momentum": momentum,
    "adam": adam,
    "rmsprop": rmsprop,
}


def certified_steps(
    formula: str, settings: Mapping[str, float | bool], parameter: float, gradients: Sequence[float]
) -> list[float]:
    """The parameter after each step, each the float64 nearest to the true value.

    Args:
        formula: a key of `FORMULAS`: Nesterov's is momentum, AdamW is Adam, with their settings.
        settings: every number and choice of the rule, by name: "learning_rate", "weight_decay", …; an exact float64
            each.
        parameter: before the first step.
        gradients: of each step.

    Raises:
        KeyError: for an unknown formula, or a setting that is missing.
        ArithmeticError: if a parameter does not round to one float64 with 2048 bits.

    Example:
        >>> certified_steps("descent", {"learning_rate": 0.5, "weight_decay": 0.0}, 1.0, [1.0, 0.5])
        [0.5, 0.25]
    """
    exact = exact_settings(settings)
    for bits in PRECISIONS:
        with ctx.workprec(bits):
            rounded = [round_to_float64(p) for p in _steps(formula, exact, parameter, gradients)]
        if None not in rounded:
            return [p if p is not None else math.nan for p in rounded]
    raise ArithmeticError(f"a parameter does not round to one float64 with {PRECISIONS[-1]} bits")


def _steps(formula: str, settings: Any, parameter: float, gradients: Sequence[float]) -> list[Real]:
    number = Number(Near(_rational(parameter), ZERO_BALL), [], [])
    return [number.step(formula, settings, _rational(gradient)) for gradient in gradients]


@dataclasses.dataclass
class Number:
    """A parameter, and what was done with it: exact numbers or balls, at the precision of `flint.ctx`.

    Attributes:
        value: after the last step.
        used: the gradient of each step, a coupled decay in it.
        moved: what rmsprop sums with its momentum.
    """

    value: Real
    used: list[Real]
    moved: list[Real]

    def step(self, formula: str, settings: Any, gradient: Real) -> Real:
        """Takes a step, and returns the value after it; `settings` as in `certified_steps`, numbers as fmpq."""
        p, rate, decay = self.value, settings["learning_rate"], settings["weight_decay"]
        decoupled = settings.get("decoupled", False)
        self.used.append(gradient + (ZERO if decoupled else p * decay))
        step = FORMULAS[formula](settings, self.used, self.moved)
        self.value = p - step * rate - (p * (rate * decay) if decoupled else ZERO)
        return self.value
