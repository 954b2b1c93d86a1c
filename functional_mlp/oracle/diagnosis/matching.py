"""Trying mistakes: what a program with them computes, compared with what was given by the noise floor of the case."""

from collections.abc import Collection

import numpy as np

from functional_mlp._dtypes import Array
from functional_mlp.oracle.case import layer_of, parameter_of
from functional_mlp.oracle.diagnosis.candidates import Arrays, Discrepancy, Slips, that_reach
from functional_mlp.oracle.mistakes import MISTAKES, inject_update, injected_arrays

# how many times nearer than the right numbers are those of a mistake; of a fit
CLEAR, CLEAR_OF_FIT = 2.0, 4.0


def off(question: Discrepancy, arrays: Arrays, path: str) -> float:
    """How far the given array is from this one, at the worst entry, in what numbers of its size may be off."""
    given, own = question.given[path], arrays[path]
    if own.shape != given.shape:
        return np.inf
    finite = np.isfinite(own) & np.isfinite(given)
    with np.errstate(all="ignore"):
        # where the truth is 0, as behind inactive units, the noise is that of the array's other numbers
        largest = np.max(np.abs(own), initial=0.0, where=np.isfinite(own))
        allowed = np.maximum(question.allowed[path], question.relative[path] * largest)
        ratios = np.where(finite, np.abs(given - own) / allowed, np.inf)
        ratios[(given == own) | (np.isnan(given) & np.isnan(own))] = 0.0
    return float(np.max(ratios, initial=0.0))


def matches(question: Discrepancy, arrays: Arrays, path: str) -> bool:
    """Whether an array that was given is this one, to within the noise of numbers of its size."""
    return off(question, arrays, path) <= 1


def proves(question: Discrepancy, arrays: Arrays, times: float) -> bool:
    """Whether the given numbers are so many times nearer to these arrays than to the true ones, in finite digits."""
    own, true = (max(off(question, near, path) for path in question.wrong) for near in (arrays, question.truth))
    told = any(
        agreeing_digits(question.given[path], arrays[path]) > 0 or _vanish(question, arrays, path)
        for path in question.wrong
    )
    return told and true > times * own


def _vanish(question: Discrepancy, arrays: Arrays, path: str) -> bool:
    """Whether an array is 0 as the given one is."""
    return all(bool((np.abs(array) <= question.allowed[path]).all()) for array in (question.given[path], arrays[path]))


def relative_sizes(truth: Arrays, allowed: Arrays) -> dict[str, float]:
    """The largest allowance of each array relative to its largest number; of an array of zeros, that of the others."""
    sizes = {path: float(np.max(np.abs(array), initial=0.0)) for path, array in truth.items()}
    own = {path: float(np.max(allowed[path])) / size for path, size in sizes.items() if size > 0}
    most = max((ratio for ratio in own.values() if np.isfinite(ratio)), default=0.0)
    return {path: own.get(path, most) for path in truth}


def matched(question: Discrepancy, arrays: Arrays) -> frozenset[str]:
    """The paths of those of these arrays that were given."""
    return frozenset(path for path in arrays if matches(question, arrays, path))


def agreeing_digits(given: Array, own: Array) -> int:
    """Decimal digits to which the finite numbers of two arrays agree, at most 17."""
    finite = np.isfinite(given) & np.isfinite(own)
    if not finite.any():
        return 0
    with np.errstate(all="ignore"):
        far, size = float(np.linalg.norm((given - own)[finite])), float(np.linalg.norm(own[finite]))
        digits = 17.0 if far == 0 else -np.log10(far / size) if size > 0 else 0.0
    return int(np.clip(np.nan_to_num(digits), 0.0, 17.0))


def injected_by(question: Discrepancy, group: Slips, paths: Collection[str]) -> dict[str, Array] | None:
    """What a program with these mistakes computes, by path; None if they cannot be made together."""
    try:
        if any(MISTAKES[slip.id].shows_in_updates for slip in group):
            arrays = _stepped(question, group, paths)
        else:
            arrays = injected_arrays(question.prepared, group, paths)
    except (ValueError, ArithmeticError):
        return None
    return {path: np.asarray(array, np.float64) for path, array in arrays.items()}


def _stepped(question: Discrepancy, group: Slips, paths: Collection[str]) -> dict[str, Array]:
    """What a program with mistakes in its step subtracts, divided by the rate."""
    if question.rate is None:
        raise ValueError("expected parameters after a step")
    case, rate = question.case, question.rate
    after = inject_update(question.prepared, group, rate)
    steps = {path: (parameter_of(case, path), getattr(after[layer_of(path)], path.partition(".")[2])) for path in paths}
    return {path: (before - stepped) / rate for path, (before, stepped) in steps.items()}


def loosened(question: Discrepancy, group: Slips) -> Discrepancy:
    """The question with what a mistake that magnifies rounding needs more of allowance."""
    slip, parameter = group[0], MISTAKES[group[0].id].parameter
    if parameter is None or parameter.magnified is None or slip.value is None:
        return question
    allowed = dict(question.allowed)
    for path in (path for path in allowed if path.startswith("params")):
        weights, grads = parameter_of(question.case, path), question.truth[path]
        rounding = (question.loss_noise, question.unit, weights, grads)
        allowed[path] = allowed[path] + parameter.magnified(slip.value, slip.variant, *rounding)
    return question._replace(allowed=allowed)


def explained_by(question: Discrepancy, group: Slips, sign: str, times: float = CLEAR) -> Arrays | None:
    """All arrays of a program with these mistakes, if they are the given ones; else None.

    Args:
        question: what is to be explained.
        group: the mistakes.
        sign: path of the wrong array that is compared first: a few numbers rule out most mistakes.
        times: by which the given numbers must be nearer to the mistaken than to the right ones.
    """
    question = loosened(question, group)
    for slips, paths in ((that_reach(group, sign), [sign]), (group, question.given)):
        arrays = injected_by(question, slips, paths)
        if arrays is None or len(matched(question, arrays)) < len(paths):
            return None
    return arrays if arrays and proves(question, arrays, times) else None
