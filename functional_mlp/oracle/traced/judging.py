"""The verdict on every array that was computed, by the floors of a trace.

An entry within the floor of rounding is consistent; beyond it, but within what other outcomes of comparisons may do,
undecided, and so it is where numbers overflow in the declared format; else wrong. At a tie whoever takes another side
than JAX, everywhere in an array, is right too.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from functional_mlp._dtypes import Array
from functional_mlp.oracle.case import entry_path
from functional_mlp.oracle.noise import Floor as SmoothFloor
from functional_mlp.oracle.noise import Limits, Precision
from functional_mlp.oracle.traced.noise import Floor
from functional_mlp.oracle.traced.question import Question
from functional_mlp.oracle.verdict import (
    Cause,
    Conditions,
    Handed,
    Leaf,
    Misfit,
    Verdict,
    judge_leaf,
    misfit_leaf,
)
from functional_mlp.oracle.verdict import Question as QuestionOfArray


def judged(question: Question, floors: Sequence[Floor]) -> tuple[Leaf, ...]:
    """The verdicts, those on gradients first.

    Args:
        question: what was asked.
        floors: of its trace: of the outputs, then of the gradients.
    """
    count = len(question.outputs)
    by_path = dict(zip(question.outputs, floors[:count], strict=True))
    given = [*zip(question.paths, question.given, floors[count:], strict=True)]
    given += [(path, leaf, by_path[path]) for path, leaf in question.given_outputs.items()]
    return tuple(_judged(path, leaf, floor, question.precision) for path, leaf, floor in given)


REMEDIES = {
    Cause.BRANCH: "decide it with arguments that keep away from ties and kinks (equal maxima, comparisons that"
    " the noise may turn): change them a little",
    Cause.ROUNDING: "decide it in {wider}, or with smaller arrays or better scaled arguments",
    Cause.UNDERFLOW: "decide it in {wider}, or scale ct up, so that no number falls below {smallest:.1e}",
    Cause.OVERFLOW: "decide it in {wider}, or scale the arguments down, so that no number exceeds {largest:.1e}",
    Cause.SHAPE: "give gradients of the shapes of the arguments, and outputs of the shapes that the function returns",
}


KINKS = "a tie or a near tie"  # of a comparison, a maximum, a rounding


def _judged(path: str, given: Handed | Misfit, floor: Floor, precision: Precision) -> Leaf:
    if isinstance(given, Misfit):
        return dataclasses.replace(misfit_leaf(path, given), remedy=REMEDIES[given.cause])
    if not np.isfinite(floor.true).all():
        index = tuple(map(int, np.argwhere(~np.isfinite(floor.true))[0]))
        raise OverflowError(
            f"expected a function whose derivative is finite, got {floor.true[index]} for {entry_path(path, index)} in"
            " float64; keep both sides of jax.numpy.where finite, or scale the arguments down"
        )
    unproved = np.full(floor.true.shape, np.inf)
    conditions = Conditions(
        precision,
        kinks=KINKS,
        kink=Cause.BRANCH,
        causes={Cause.OVERFLOW: floor.overflow, Cause.BRANCH: floor.slack > 0, Cause.UNDERFLOW: floor.underflow},
        finest=floor.finest,
        remedies=REMEDIES,
    )

    def judged_by(true: Array, slack: Array) -> Leaf:
        limits = Limits(0.0, 0.0, float(np.abs(true).max()))
        off = SmoothFloor(floor.smooth, slack, unproved)
        return judge_leaf(QuestionOfArray(path, true, given, true, off, None, limits), conditions)

    # what is right at a tie may lie to either side of what JAX takes there
    leaf = judged_by(floor.true, floor.slack + np.abs(floor.true - floor.centre))
    if leaf.cause is not Cause.BRANCH:
        return leaf
    others = (judged_by(other, np.where(floor.overflow, np.inf, 0.0)) for other in floor.conventions[1:])
    return next((other for other in others if other.verdict is Verdict.CONSISTENT), leaf)
