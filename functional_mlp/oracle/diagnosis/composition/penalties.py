"""What was added to the gradients of some arrays: their penalties, read as few mistakes."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from functional_mlp.oracle.diagnosis.composition.constants import UNNAMED, Constants, Part, close, part
from functional_mlp.oracle.diagnosis.composition.fits import Explained, agrees, made_by


def penalties_of(explained: Sequence[Explained], constants: Constants) -> tuple[Part, ...] | None:
    """The mistakes that the penalties show; () if they are as declared, None if they show none that is known."""
    fitted = [one for one in explained if one.observed.parameter is not None and one.fit.factor != 0]
    odd = [one for one in fitted if not _is_declared(one) and not with_its_penalty(one)]
    if not odd:
        return ()
    for times in (lambda one: 1.0, lambda one: one.fit.factor):  # beside the factor, or within it
        found = next(_penalty_parts(fitted, odd, constants, times), None)
        if found is not None:
            return found
    return None


def _penalty_parts(
    fitted: Sequence[Explained],
    odd: Sequence[Explained],
    constants: Constants,
    times: Callable[[Explained], float],
) -> Iterator[tuple[Part, ...]]:
    weights = [one for one in fitted if one.observed.kind == "weights"]
    biases = [one for one in fitted if one.observed.kind == "bias"]
    odd_weights, odd_biases = ([one for one in own if one in odd] for own in (weights, biases))
    largest = max(odd, key=lambda one: one.observed.given.size)
    l2, l1 = largest.fit.l2 / times(largest), largest.fit.l1 / times(largest)

    def have(own: Sequence[Explained], l2: float, l1: float) -> bool:
        return all(_same_penalty(one, l2 * times(one), l1 * times(one)) for one in own)

    declared = constants.l2
    on_bias = any(one.observed.l2 for one in biases)
    of_penalty = bool(declared) and penalty_times(l2 / declared, constants) is not None
    if constants.rate is not None and (odd_biases or not biases) and not of_penalty:
        added = _momentum(fitted, largest, constants)
        if added is not None:
            yield added
    if odd_weights and have(weights, l2, l1):
        parts = _of_weights(l2, l1, weights[0], constants)
        if not odd_biases:
            yield parts
        elif not on_bias and have(biases, l2, l1):
            yield (*parts, part("l2-on-bias"))
        elif on_bias and have(biases, l2, l1):
            yield parts
        elif on_bias and have(biases, 0.0, 0.0):
            yield (*parts, part("l2-not-on-bias"))
    if not odd_weights and odd_biases:
        if not on_bias and declared and have(biases, declared, 0.0):
            yield (part("l2-on-bias"),)
        if on_bias and have(biases, 0.0, 0.0):
            yield (part("l2-not-on-bias"),)


def _momentum(fitted: Sequence[Explained], largest: Explained, constants: Constants) -> tuple[Part, ...] | None:
    """That the parameters themselves are added to them in a step, and what their penalty is then; None if not so."""
    assert constants.rate is not None
    beside: list[tuple[float, tuple[Part, ...]]] = [(1.0, ()), (0.0, ())]
    if constants.l2:
        beside += [(ratio, (part(*key),)) for key, ratio in _ratios(constants).items() if ratio]
    for within in (lambda one: 1.0, lambda one: one.fit.factor, lambda one: np.sign(one.fit.factor)):
        for ratio, parts in beside:

            def l2_of(one: Explained, ratio: float = ratio, within: Callable = within) -> float:
                return float(ratio * within(one) * one.observed.l2)

            momentum = (l2_of(largest) - largest.fit.l2) * constants.rate
            plain = close(momentum, float(f"{momentum:.3g}"), max(1e-9, largest.observed.relative))
            added = (_same_penalty(one, l2_of(one) - momentum / constants.rate, 0.0) for one in fitted)
            if momentum > 0 and plain and all(added):
                return (part("momentum-as-weights", value=float(momentum)), *parts)
    return None


def _of_weights(l2: float, l1: float, one: Explained, constants: Constants) -> tuple[Part, ...]:
    """The mistakes by which the weights have these coefficients of penalties."""
    parts: list[Part] = []
    declared, declared_l1 = one.observed.l2, one.observed.l1
    if not close(l2, declared, 1e-9) and (declared or abs(l2) > 0):
        exact = penalty_times(l2 / declared, constants) if declared else None
        mistake_id = "l2-coefficient-different" if declared else "l2-unexpected"
        other = part(mistake_id, more=UNNAMED / 2, value=l2)
        parts.append(other if exact is None else exact)
    if not close(l1, declared_l1, 1e-9) and (declared_l1 or l1):
        if declared_l1 and l1 == 0:
            parts.append(part("l1-missing"))
        else:
            parts.append(part("l1-penalty", value=l1))
    return tuple(parts)


def penalty_times(ratio: float, constants: Constants) -> Part | None:
    """The mistake that multiplies the L2 penalty's gradient with a number; None if none does."""
    for key, value in _ratios(constants).items():
        if abs(ratio - value) <= 1e-6 * max(1.0, abs(value)):
            return part(*key)
    return None


def _ratios(constants: Constants) -> dict[tuple[str, tuple[()], str | None], float]:
    """The mistakes that multiply the L2 penalty's gradient, and by what."""
    return {
        ("l2-missing", (), None): 0.0,
        ("l2-sign", (), None): -1.0,
        ("l2-factor", (), "doubled"): 2.0,
        ("l2-factor", (), "halved"): 0.5,
        ("l2-not-averaged", (), "times-n"): float(constants.samples),
        ("l2-not-averaged", (), "divided-by-n"): 1.0 / constants.samples,
    }


def _is_declared(one: Explained) -> bool:
    return _same_penalty(one, one.observed.l2, one.observed.l1)


def _same_penalty(one: Explained, l2: float, l1: float) -> bool:
    """Whether the array is as well explained with these coefficients."""
    fit = one.fit._replace(l2=l2, l1=l1)
    return agrees(one.observed, made_by(one.observed, one.gradient, fit))


def with_its_penalty(one: Explained) -> bool:
    """Whether the factor multiplies the penalty too, as where gradients are scaled at the very end."""
    observed, fit = one.observed, one.fit
    if fit.factor == 1 or (observed.l2 == 0 and observed.l1 == 0):
        return False
    return _same_penalty(one, fit.factor * observed.l2, fit.factor * observed.l1)
