"""Whether an answer is one of the right ones of a vector: every entry within what is allowed.

This is all that a consumer in another language does, too. There is no third verdict here: the vectors are chosen so
that none is needed.
"""

from typing import Any, NamedTuple

import numpy as np

from functional_mlp._dtypes import Array
from functional_mlp.oracle.checking import handed_over
from functional_mlp.oracle.documents import Digits, Update, digits_of
from functional_mlp.oracle.verdict import Given, Misfit, given_leaves, given_params, known_to
from functional_mlp.vectors.reading import Answer, Vector


class Mismatch(NamedTuple):
    """The worst entry of the first array that is not right.

    Attributes:
        path: of the array.
        sentence: what is wrong with it.
        at: index of the entry; None where nothing could be compared.
        got, expected, allowed: of that entry; NaN where nothing could be compared.
        unknown: how far `got` may be from what was computed, as it was printed; it is allowed in addition.
    """

    path: str
    sentence: str
    at: tuple[int, ...] | None = None
    got: float = np.nan
    expected: float = np.nan
    allowed: float = np.nan
    unknown: float = 0.0


def judge(vector: Vector, answer: Any) -> Mismatch | None:
    """What is wrong with an answer; None if it is right.

    Args:
        vector: the question.
        answer: gradients, as `oracle.check` takes them (with `loss`, `outputs`, `deltas` and `ct_inputs` as far as they
            are given, in an `oracle.Gradients`); or the parameters after the vector's steps, as an `oracle.Update`.

    Raises:
        TypeError: for what holds no numbers.
        ValueError: for an update, where the vector has no learning rate or another one.
    """
    if isinstance(answer, Update):
        if answer.learning_rate != vector.learning_rate:
            rate = "no update" if vector.learning_rate is None else f"a step of rate {vector.learning_rate}"
            raise ValueError(f"expected {rate} for {vector.id}, got a step of rate {answer.learning_rate}")
        given = given_params(vector.case, answer.params)
        after = {path: path.replace("params[", "params_after[") for path in given}
        leaves = {after[path]: leaf for path, leaf in given.items()}
        printed = {after[path]: digits_of(answer, path) for path in given}
    else:
        gradients = handed_over(answer, len(vector.case.params))
        leaves = given_leaves(vector.case, gradients)
        printed = {path: digits_of(gradients, path) for path in leaves}
    first = None
    for right in vector.answers:
        mismatch = _mismatch(right, leaves, printed)
        if mismatch is None:
            return None
        first = first or mismatch
    return first


def _mismatch(right: Answer, leaves: Given, printed: dict[str, Digits | None]) -> Mismatch | None:
    for path, leaf in leaves.items():
        if isinstance(leaf, Misfit):
            return Mismatch(path, leaf.sentence)
        if path not in right.expected:
            return Mismatch(path, "given, but the case has none")
        mismatch = mismatch_of(
            path, leaf.values, right.expected[path], right.allowed[path], known_to(leaf, printed[path])
        )
        if mismatch is not None:
            return mismatch
    return None


def mismatch_of(path: str, got: Array, expected: Array, allowed: Array, unknown: Array) -> Mismatch | None:
    """The worst entry of an array that is not right; None if all are.

    Args:
        path: of the array.
        got, expected: of one shape, float64.
        allowed: the largest error of each entry; infinite where nothing is required.
        unknown: how far each number may be from what was computed, as it was printed.
    """
    most = allowed + unknown
    with np.errstate(invalid="ignore"):
        error = np.abs(got - expected)
        wrong = ~((error <= most) | np.isinf(allowed))  # NaN is wrong
    if not wrong.any():
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(wrong, np.where(np.isfinite(error), error / most, np.inf), -1.0)
    index = tuple(int(i) for i in np.unravel_index(np.argmax(ratio), wrong.shape))
    arrays = (got, expected, allowed, np.broadcast_to(unknown, got.shape))
    number, want, limit, half = (float(array[index]) for array in arrays)
    place = f" at {list(index)}" if index else ""
    digits = f", and {half:.3g} for the digits it has" if half > limit / 10 else ""
    words = (
        f"got {number:.9g}{place}, expected {want:.9g}, off by {abs(number - want):.3g}, allowed {limit:.3g}{digits}"
    )
    return Mismatch(path, words, index, number, want, limit, half)
