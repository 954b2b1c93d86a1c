"""Comparing given arrays with those of a mistake, entry by entry, by the noise floor of the case."""

import numpy as np

from functional_mlp._dtypes import Array
from functional_mlp.oracle.diagnosis.candidates import Arrays, Discrepancy


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
    told = any(agreeing_digits(question.given[path], arrays[path]) > 0 for path in question.wrong)
    return told and true > times * own


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
