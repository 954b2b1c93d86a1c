"""The verdict: what somebody computed against the truth, entry by entry, by the noise floor of its precision.

An entry within the smooth floor is CONSISTENT; beyond it, but within the floor plus the slack of kinks and lost
probabilities, UNDECIDED; else WRONG. A leaf is WRONG if any entry is, else UNDECIDED if any entry is. It is UNDECIDED
too where even a gradient of zeros would pass and the given one is not much nearer to the truth, since then the noise is
as large as the signal, and where the format overflows. NaN and infinity, another shape and a missing leaf are WRONG.
Comparisons are written so that NaN fails.
"""

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from functional_mlp._dtypes import Array
from functional_mlp.oracle.case import Case, by_path
from functional_mlp.oracle.documents import Gradients, Printed
from functional_mlp.oracle.noise import FLOAT64, Floor, Format, Limits, Noise, wider
from functional_mlp.oracle.truth import Solution
from functional_mlp.oracle.verdict.given import Cause, Handed, Misfit, given_leaves, known_to


class Verdict(enum.StrEnum):
    """What the oracle says of an entry, a leaf or a report."""

    CONSISTENT = "consistent"
    WRONG = "wrong"
    UNDECIDED = "undecided"


def worst_of(verdicts: Iterable[Verdict]) -> Verdict:
    """WRONG if any is, else UNDECIDED if any is, else CONSISTENT."""
    found = set(verdicts)
    return next((verdict for verdict in (Verdict.WRONG, Verdict.UNDECIDED) if verdict in found), Verdict.CONSISTENT)


CONSISTENT, UNDECIDED, WRONG = 0, 1, 2  # of entries
OF_ENTRIES = (Verdict.CONSISTENT, Verdict.UNDECIDED, Verdict.WRONG)


@dataclass(frozen=True, eq=False)
class Leaf:
    """The verdict on one array.

    Attributes:
        path: "params[0].weights", "params[0].bias", "loss", "outputs", "deltas[0]" or "ct_inputs"; for an update the
            parameters themselves.
        verdict: of the whole array.
        cause: why it is not consistent; None if it is.
        sentence: the same in words; "" if it is consistent.
        remedy: what would decide or mend it; "" if it is consistent.
        index: of the worst entry, in error over floor; None where nothing could be compared.
        expected, got, error, floor: of that entry; `got` and `error` may be NaN or infinite.
        proved: whether the worst entry errs by more than the rigorous bound on rounding: not even the most unlucky
            rounding explains it.
        norm: Euclidean norm of the true array (of the step, for an update).
        smallest_detectable: a finite change of the array of at least this Euclidean norm is certain to be called wrong.
        wrong, undecided, size: counts of entries.
        entries: verdicts of the entries (0 consistent, 1 undecided, 2 wrong), of the array's shape; or None.
        ratios: error over floor of the entries, likewise.
        group: which case or learning rate it belongs to, where there are several.
    """

    path: str
    verdict: Verdict
    cause: Cause | None = None
    sentence: str = ""
    remedy: str = ""
    index: tuple[int, ...] | None = None
    expected: float = np.nan
    got: float = np.nan
    error: float = np.nan
    floor: float = np.nan
    proved: bool = False
    norm: float = np.nan
    smallest_detectable: float = np.nan
    wrong: int = 0
    undecided: int = 0
    size: int = 0
    entries: NDArray[np.int8] | None = field(default=None, repr=False)
    ratios: Array | None = field(default=None, repr=False)
    group: str = ""


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
    printed: Printed | None
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
    truth = truth_of(solution)
    leaves = []
    for path, got in given_leaves(case, given).items():
        if isinstance(got, Misfit):
            leaves.append(misfit_leaf(path, got))
        elif path not in truth:  # a loss, where the case has only a cotangent
            leaves.append(misfit_leaf(path, Misfit(Cause.SHAPE, "given, but the case has no loss")))
        else:
            printed = given.printed_loss if path == "loss" else given.printed
            question = Question(path, truth[path], got, truth[path], noise.floors[path], printed, noise.limits[path])
            leaves.append(judge_leaf(question, noise))
    return tuple(leaves)


def floor_of_step(noise: Noise, path: str, before: Array, gradient: Array, rate: float) -> Floor:
    """How far a parameter may be from `before - rate * gradient` after a step: noise of the gradient, and rounding."""
    storage, step = noise.precision.storage, rate * gradient
    # the parameter as stored, the product with the rate (which is rounded itself) and the subtraction round
    rounding = storage.unit * (np.abs(before) + 4 * np.abs(step) + np.abs(before - step))
    rounding = rounding + storage.smallest * (4 + np.abs(gradient))
    floor = Floor(*(rate * part for part in noise.floors[path]))
    return floor._replace(smooth=floor.smooth + rounding, bound=floor.bound + rounding)


REMEDIES = {
    Cause.KINK: "decide it by a case whose pre-activations keep away from 0: change a bias or an input a little, or"
    " take another seed",
    Cause.SATURATION: "decide it by a case with smaller weights, whose outputs are not all but 0 or 1; or compute the"
    " loss from logits and declare sigmoid_cross_entropy or softmax_cross_entropy",
    Cause.ROUNDING: "decide it in {wider}, or by a case with fewer layers or fewer samples",
    Cause.UNDERFLOW: "decide it in {wider}, or scale the loss up, so that no number falls below {smallest:.1e}",
    Cause.OVERFLOW: "decide it in {wider}, or scale inputs and weights down, so that no number exceeds {largest:.1e}",
    Cause.DIGITS: 'decide it by printing more digits: "%.17g" in C, repr in Python',
    Cause.MISSING: "give an array for every weight matrix and bias of the case",
    Cause.SHAPE: "give arrays of the shapes of the case's own parameters and data",
}


def misfit_leaf(path: str, misfit: Misfit) -> Leaf:
    """The verdict on what cannot be compared."""
    return Leaf(path, Verdict.WRONG, misfit.cause, misfit.sentence, REMEDIES.get(misfit.cause, ""))


def judge_leaf(question: Question, noise: Noise) -> Leaf:
    """The verdict on one array."""
    path, true, handed, signal, floor, printed, limits = question
    storage, got, half = noise.precision.storage, handed.values, known_to(handed, printed)
    overflows = limits.largest > storage.largest / 2
    with np.errstate(all="ignore"):
        error = np.abs(got - true)
        smooth = floor.smooth + half
        whole = smooth + floor.slack
        finite = np.isfinite(got)
        excusable = overflows | np.isinf(floor.slack) | (~finite & (limits.unnormalised > storage.largest / 2))
        excusable = excusable | (~finite & bool(noise.saturated))
        entries = np.where(error <= smooth, CONSISTENT, np.where((error <= whole) | excusable, UNDECIDED, WRONG))
        entries = np.where(~finite, np.where(excusable, UNDECIDED, WRONG), entries)
        entries = np.where(np.isfinite(smooth), entries, np.where(entries == WRONG, WRONG, UNDECIDED)).astype(np.int8)
        ratios = np.where(finite & (error == error), error / whole, np.inf)
        ratios = np.where(error == 0, 0.0, ratios)
        # where an entry is excused whatever it is, no change is certain to be noticed
        blinding = overflows or bool(np.isinf(floor.slack).any())
        farthest = np.abs(true) + whole  # a change as large as that may have been printed less exactly
        certain = np.nan_to_num(
            whole - half + np.maximum(half, known_to(handed, printed, np.asarray(farthest))), nan=np.inf
        )
        detectable = np.inf if blinding else float(np.linalg.norm(certain))
    # the worst entry of the worst kind
    worst = np.argmax(np.where(entries == entries.max(), ratios, -1.0))
    index = tuple(int(i) for i in np.unravel_index(worst, true.shape))
    verdict = OF_ENTRIES[int(entries.max())]
    blind = _is_blind(question, np.asarray(whole), np.asarray(error), storage)
    cause: Cause | None = None
    if verdict is Verdict.WRONG:
        cause = Cause.VALUE if np.isfinite(got[index]) else Cause.NOT_FINITE
    elif verdict is Verdict.UNDECIDED:
        cause = _undecided_cause(question, noise, bool(overflows or limits.unnormalised > storage.largest / 2), index)
    elif blind:
        verdict, cause = Verdict.UNDECIDED, _blind_cause(question, noise, overflows)
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
    fill = {"wider": wider(noise.precision) or "more digits (the referee, reference.exact)"}
    remedy = REMEDIES.get(cause, "").format(**fill, smallest=storage.smallest, largest=storage.largest)
    blinded = blind and not entries.any()
    return replace(leaf, sentence=_sentence(leaf, noise, blinded), remedy=remedy)


def _is_blind(question: Question, whole: Array, error: Array, storage: Format) -> bool:
    """Whether an array without wrong entries says nothing: zeros would pass, and it is no nearer to the truth.

    A gradient within the noise of float64, as where symmetry makes it 0, is taken for 0 in coarser formats. A step is
    known no better than the parameters are stored.
    """
    size = np.abs(question.signal)
    if not size.any() or not (size <= whole).all():
        return False
    if question.signal is not question.true:
        return True
    is_zero = bool((size <= question.floor.smooth * FLOAT64.unit / storage.unit).all())
    near = np.linalg.norm(error) <= NEAR * np.linalg.norm(size)
    return not (near or (is_zero and storage.unit > FLOAT64.unit))


NEAR = 0.25  # of the signal's norm: an array that comes so near has the signal in it, though zeros would pass too


def _undecided_cause(question: Question, noise: Noise, overflows: bool, index: tuple[int, ...]) -> Cause:
    if overflows:
        return Cause.OVERFLOW
    if noise.saturated and (not np.isfinite(question.got.values[index]) or not noise.kinks):
        return Cause.SATURATION
    if not np.isfinite(question.floor.smooth[index]) or not noise.kinks:
        return Cause.ROUNDING
    return Cause.KINK


def _blind_cause(question: Question, noise: Noise, overflows: bool) -> Cause:
    """Why even zeros would pass."""
    storage = noise.precision.storage
    signal, floor = np.abs(question.signal), question.floor
    if overflows:
        return Cause.OVERFLOW
    if not (signal <= floor.smooth + floor.slack).all():
        return Cause.DIGITS
    if not (signal <= floor.smooth + known_to(question.got, question.printed)).all():
        return Cause.SATURATION if noise.saturated and not noise.kinks else Cause.KINK
    lowest = question.limits.delicate * storage.unit  # what the last digits of its numbers stand for
    return Cause.UNDERFLOW if 0 < lowest < 64 * storage.smallest else Cause.ROUNDING


def _sentence(leaf: Leaf, noise: Noise, blind: bool) -> str:
    place = "" if leaf.index == () else f" at {list(leaf.index or ())}"
    found = f"{leaf.got:.9g}{place}, expected {leaf.expected:.9g}"
    if leaf.cause is Cause.NOT_FINITE:
        return f"{leaf.got}{place}, expected {leaf.expected:.9g}; {leaf.wrong} of {leaf.size} entries are wrong"
    if leaf.cause is Cause.VALUE:
        times = f"{leaf.error / leaf.floor:.2g} times the noise floor" if leaf.floor > 0 else "where no error is due"
        proof = ", more than any rounding explains" if leaf.proved else ""
        return f"{found}: off by {leaf.error:.3g}, {times}{proof}; {leaf.wrong} of {leaf.size} entries are wrong"
    name = noise.precision.name
    if blind:
        why = {
            Cause.ROUNDING: f"the rounding noise of {name} exceeds the signal",
            Cause.UNDERFLOW: f"its numbers underflow in {name}",
            Cause.OVERFLOW: f"its numbers overflow in {name}",
            Cause.KINK: "units at a kink may change it altogether",
            Cause.SATURATION: f"outputs round to 0 or 1 in {name}",
            Cause.DIGITS: "the printed digits do not tell it from 0",
        }[leaf.cause or Cause.ROUNDING]
        return f"even zeros would pass: {why}"
    why = {
        Cause.KINK: f"as far as {_kinks(noise)} may bring it",
        Cause.SATURATION: f"an output rounds to 0 or 1 in {name}, where a loss of probabilities loses its gradient",
        Cause.OVERFLOW: f"numbers on the way to it overflow in {name}",
    }.get(leaf.cause or Cause.ROUNDING, f"the rounding noise of {name} has no bound here")
    return f"{found}: {why}; {leaf.undecided} of {leaf.size} entries are undecided"


def _kinks(noise: Noise) -> str:
    if not noise.kinks:
        return ""
    layer, sample, unit = noise.kinks[0]
    more = f" and {len(noise.kinks) - 1} like it" if len(noise.kinks) > 1 else ""
    return f"unit {unit} of layer {layer} at its kink in sample {sample}{more}"
