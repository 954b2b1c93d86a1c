"""The verdict: what somebody computed against the truth, entry by entry, by the noise floor of its precision.

An entry within the smooth floor is CONSISTENT; beyond it, but within the floor plus the slack of kinks, lost
probabilities and digits in doubt, UNDECIDED; else WRONG. A leaf is WRONG if any entry is, else UNDECIDED if any entry
is. It is UNDECIDED too where even a gradient of zeros would pass and the given one is not much nearer to the truth,
since then the noise is as large as the signal, and where the format overflows. NaN and infinity, another shape and a
missing leaf are WRONG.
Comparisons are written so that NaN fails.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from functional_mlp._dtypes import Array
from functional_mlp.oracle.case import Case, by_path
from functional_mlp.oracle.documents import Digits, Gradients, digits_of
from functional_mlp.oracle.noise import Floor, Limits, Noise
from functional_mlp.oracle.truth import Solution
from functional_mlp.oracle.verdict.given import Handed, Misfit, given_leaves, known_to
from functional_mlp.oracle.verdict.leaf import CONSISTENT, OF_ENTRIES, UNDECIDED, WRONG, Cause, Leaf, Verdict
from functional_mlp.oracle.verdict.sentences import REMEDIES, Conditions, conditions_of, remedy_for, sentence_about


def worst_of(verdicts: Iterable[Verdict]) -> Verdict:
    """WRONG if any is, else UNDECIDED if any is, else CONSISTENT."""
    found = set(verdicts)
    return next((verdict for verdict in (Verdict.WRONG, Verdict.UNDECIDED) if verdict in found), Verdict.CONSISTENT)


def is_wrong(leaves: Iterable[Leaf]) -> bool:
    """Whether any array is WRONG."""
    return any(leaf.verdict is Verdict.WRONG for leaf in leaves)


class Question(NamedTuple):
    """One array to be judged.

    Attributes:
        path: its name.
        true: what a program would compute without rounding.
        got: what was given, of the same shape.
        signal: the array that zeros must be told from: the gradient, or the step of an update.
        floor: what rounding and kinks may do.
        printed: how `got` was printed, or None.
        limits: of the noise, for this leaf.
    """

    path: str
    true: Array
    got: Handed
    signal: Array
    floor: Floor
    printed: Digits | None
    limits: Limits


def truth_of(solution: Solution) -> dict[str, Array]:
    """Every array of a solution that may be judged, by path."""
    return {path: np.asarray(array, np.float64) for path, array in by_path(solution).items()}


def judge(case: Case, solution: Solution, noise: Noise, given: Gradients) -> tuple[Leaf, ...]:
    """The verdict on every array that was given or should have been.

    Args:
        case, solution, noise: the truth, and how far a correct program may stray from it.
        given: what was computed.

    Raises:
        TypeError: for what holds no numbers at all.
    """
    truth, conditions = truth_of(solution), conditions_of(noise)
    leaves = []
    for path, got in given_leaves(case, given).items():
        if isinstance(got, Misfit):
            leaves.append(misfit_leaf(path, got))
        elif path not in truth:  # a loss, where the case has only a cotangent
            leaves.append(misfit_leaf(path, Misfit(Cause.SHAPE, "given, but the case has no loss")))
        else:
            printed = digits_of(given, path)
            question = Question(path, truth[path], got, truth[path], noise.floors[path], printed, noise.limits[path])
            leaf = judge_leaf(question, conditions)
            leaves.append(_for_every_unit(leaf) if got.one_for_all else leaf)
    return tuple(leaves)


def _for_every_unit(leaf: Leaf) -> Leaf:
    """The verdict on one number that was given for several units, which is judged as if it stood for each."""
    words = f"one number was given for {leaf.size} {'units' if leaf.path.endswith('bias') else 'entries'}"
    if leaf.verdict is Verdict.WRONG:
        return replace(leaf, sentence=f"{words}; {leaf.sentence}")
    return misfit_leaf(leaf.path, Misfit(Cause.SHAPE, words))


def floor_of_step(noise: Noise, path: str, before: Array, gradient: Array, rate: float) -> Floor:
    """How far a parameter may be from `before - rate * gradient` after a step: noise of the gradient, and rounding."""
    storage, step = noise.precision.storage, rate * gradient
    # the parameter as stored, the product with the rate (which is rounded itself) and the subtraction round
    rounding = storage.unit * (np.abs(before) + 4 * np.abs(step) + np.abs(before - step))
    rounding = rounding + storage.smallest * (4 + np.abs(gradient))
    floor = Floor(*(rate * part for part in noise.floors[path]))
    return floor._replace(smooth=floor.smooth + rounding, bound=floor.bound + rounding)


def misfit_leaf(path: str, misfit: Misfit) -> Leaf:
    """The verdict on what cannot be compared."""
    return Leaf(path, Verdict.WRONG, misfit.cause, misfit.sentence, REMEDIES.get(misfit.cause, ""))


def judge_leaf(question: Question, conditions: Conditions) -> Leaf:
    """The verdict on one array.

    Args:
        question: the array.
        conditions: under which it was computed, as `conditions_of` takes them from the noise of a network.
    """
    path, true, handed, signal, floor, printed, limits = question
    storage, got, half = conditions.precision.storage, handed.values, known_to(handed, printed)
    doubt = np.maximum(known_to(handed, printed, widest=True) - half, 0.0)
    overflows = limits.largest > storage.largest / 2
    with np.errstate(all="ignore"):
        error = np.abs(got - true)
        smooth = floor.smooth + half
        without_doubt = smooth + floor.slack
        whole = without_doubt + doubt
        finite = np.isfinite(got)
        excusable = overflows | np.isinf(floor.slack) | (~finite & (limits.unnormalised > storage.largest / 2))
        excusable = excusable | (~finite & conditions.saturated)
        entries = np.where(error <= smooth, CONSISTENT, np.where((error <= whole) | excusable, UNDECIDED, WRONG))
        entries = np.where(~finite, np.where(excusable, UNDECIDED, WRONG), entries)
        entries = np.where(np.isfinite(smooth), entries, np.where(entries == WRONG, WRONG, UNDECIDED)).astype(np.int8)
        ratios = np.where(finite & (error == error), error / whole, np.inf)
        ratios = np.where(error == 0, 0.0, ratios)
        # where an entry is excused whatever it is, no change is certain to be noticed
        blinding = overflows or bool(np.isinf(floor.slack).any())
        farthest = np.abs(true) + whole  # a change as large as that may have been printed less exactly
        certain = np.nan_to_num(
            whole - half + np.maximum(half, known_to(handed, printed, np.asarray(farthest), widest=True)), nan=np.inf
        )
        detectable = np.inf if blinding else float(np.linalg.norm(certain))
    # the worst entry of the worst kind
    worst = np.argmax(np.where(entries == entries.max(), ratios, -1.0))
    index = tuple(int(i) for i in np.unravel_index(worst, true.shape))
    verdict = OF_ENTRIES[int(entries.max())]
    blind = _is_blind(question, np.asarray(without_doubt), np.asarray(error), conditions.finest)
    cause: Cause | None = None
    if verdict is Verdict.WRONG:
        cause = Cause.VALUE if np.isfinite(got[index]) else Cause.NOT_FINITE
    elif verdict is Verdict.UNDECIDED:
        overflowing = bool(overflows or limits.unnormalised > storage.largest / 2)
        by_digits = without_doubt[index] < error[index] <= whole[index]
        cause = Cause.DIGITS if by_digits else _undecided_cause(question, conditions, overflowing, index)
    elif blind:
        verdict, cause = Verdict.UNDECIDED, _blind_cause(question, conditions, overflows)
    leaf = Leaf(
        path=path,
        verdict=verdict,
        cause=cause,
        index=index,
        expected=float(true[index]),
        got=float(got[index]),
        error=float(error[index]),
        floor=float(smooth[index]),
        proved=bool(np.isfinite(got[index]) and error[index] > floor.bound[index] * 2 + whole[index]),
        norm=float(np.linalg.norm(signal)),
        smallest_detectable=detectable,
        wrong=int((entries == WRONG).sum()),
        undecided=int((entries == UNDECIDED).sum()),
        size=int(entries.size),
        entries=entries,
        ratios=ratios,
    )
    if cause is None:
        return leaf
    blinded = blind and not entries.any()
    return replace(leaf, sentence=sentence_about(leaf, conditions, blinded), remedy=remedy_for(cause, conditions))


def _is_blind(question: Question, whole: Array, error: Array, finest: float) -> bool:
    """Whether an array without wrong entries says nothing: zeros would pass, and it is no nearer to the truth.

    A gradient within the noise of float64, as where symmetry makes it 0, is taken for 0 in coarser formats. A step is
    known no better than the parameters are stored.
    """
    size = np.abs(question.signal)
    if not size.any() or not (size <= whole).all():
        return False
    if question.signal is not question.true:
        return True
    is_zero = bool((size <= question.floor.smooth * finest).all())
    near = np.linalg.norm(error) <= NEAR_TRUTH * np.linalg.norm(size)
    return not (near or (is_zero and finest < 1))


NEAR_TRUTH = 0.25  # of the signal's norm: an array that comes so near has the signal in it, though zeros would pass too


def _undecided_cause(question: Question, conditions: Conditions, overflows: bool, index: tuple[int, ...]) -> Cause:
    if overflows:
        return Cause.OVERFLOW
    for cause, holds in conditions.causes.items():
        if holds[index]:
            return cause
    if conditions.saturated and (not np.isfinite(question.got.values[index]) or not conditions.kinks):
        return Cause.SATURATION
    if not np.isfinite(question.floor.smooth[index]) or not conditions.kinks:
        return Cause.ROUNDING
    return conditions.kink


def _blind_cause(question: Question, conditions: Conditions, overflows: bool) -> Cause:
    """Why even zeros would pass."""
    storage = conditions.precision.storage
    signal, floor = np.abs(question.signal), question.floor
    if overflows or np.any(conditions.causes.get(Cause.OVERFLOW, False)):
        return Cause.OVERFLOW
    if not (signal <= floor.smooth + floor.slack).all():
        return Cause.DIGITS
    if not (signal <= floor.smooth + known_to(question.got, question.printed)).all():
        return Cause.SATURATION if conditions.saturated and not conditions.kinks else conditions.kink
    lowest = question.limits.delicate * storage.unit  # what the last digits of its numbers stand for
    return Cause.UNDERFLOW if 0 < lowest < 64 * storage.smallest else Cause.ROUNDING
