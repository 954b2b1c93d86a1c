"""What the same numbers give again: whether code keeps something between calls, or gives other numbers each time."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from functional_mlp._dtypes import Array
from functional_mlp.oracle.case import Case, parse_path
from functional_mlp.oracle.noise import Floor
from functional_mlp.oracle.probing.call import Ask, Call, Fault, Reference, Skipped, values_of
from functional_mlp.oracle.probing.probe_cases import purpose_of
from functional_mlp.oracle.verdict import Misfit, truth_of

IRREPRODUCIBLE = (
    "the same arguments do not always give the same bits; the differences are within the rounding noise (sums in an"
    " order that changes, as with threads)"
)
Leaves = Mapping[str, np.ndarray | Misfit]  # what was computed, by path


class Yardstick(NamedTuple):
    """By what the answers of several calls are compared.

    Attributes:
        floors: of every array, by path.
        truth: of those that earlier calls may have been added to.
        unit: roundoff of what is stored.
        flips: whether rounding may bring a unit to the other side of its kink; not where it is exactly there.
    """

    floors: Mapping[str, Floor]
    truth: Mapping[str, Array]
    unit: float
    flips: bool = True


def yardstick_of(reference: Reference) -> Yardstick:
    """That of a case."""
    truth = truth_of(reference.solution)
    gradients = {path: truth[path] for path in reference.noise.floors if parse_path(path).array == "params"}
    storage = reference.noise.precision.storage
    return Yardstick(reference.noise.floors, gradients, storage.unit, purpose_of(reference.case) != "at the kink")


def repeated(ask: Ask, reference: Reference, first: Call) -> tuple[tuple[Fault, ...], tuple[str, ...]]:
    """What a second call with the same numbers shows, and a third: faults and notes."""

    def again() -> Leaves | Fault:
        result = _answered(ask, reference.case)
        return result if isinstance(result, Fault) else result.leaves

    return compared(again, yardstick_of(reference), first.leaves)


def compared(
    again: Callable[[], Leaves | Fault], yardstick: Yardstick, first: Leaves
) -> tuple[tuple[Fault, ...], tuple[str, ...]]:
    """What further calls with the same numbers show: faults and notes.

    Args:
        again: calls once more.
        yardstick: by which answers are compared.
        first: answer.
    """
    second = again()
    if isinstance(second, Fault):
        return (second._replace(sentence=f"{second.sentence}, when called again with the same numbers"),), ()
    far, path = apart(yardstick, first, second)
    if far == 0:
        return (), ()
    third = again()
    if not isinstance(third, Fault) and _accumulates(yardstick, first, second, third):
        words = "adds the gradients of earlier calls; set them to zero before each call. Further cases were not tried"
        return (Fault("accumulates", words),), ()
    if far <= 1:
        return (), (IRREPRODUCIBLE,)
    words = (
        f"gives another {path} when called again with the same numbers: something is kept between calls, is random,"
        " or is read before it is set"
    )
    return (Fault("nondeterministic", words),), ()


def _answered(ask: Ask, case: Case) -> Call | Fault:
    """What comes of a case that was answered before."""
    result = ask(case)
    if isinstance(result, Skipped):
        return Fault("nondeterministic", "says that it does not support a case that it has answered before")
    return result


def after_another(ask: Ask, reference: Reference, first: Call) -> tuple[tuple[Fault, ...], tuple[str, ...]]:
    """What the same numbers give after another batch than before: faults and notes."""
    again = _answered(ask, reference.case)
    if isinstance(again, Fault):
        return (again,), ()
    far, path = apart(yardstick_of(reference), first.leaves, again.leaves)
    if far <= 1:
        return (), (IRREPRODUCIBLE,) if far else ()
    words = (
        f"gives another {path} when another, larger batch was computed before: it reads what that left in a buffer;"
        " use the rows of its own batch only"
    )
    return (Fault("stale-state", words),), ()


def apart(yardstick: Yardstick, first: Leaves, second: Leaves) -> tuple[float, str]:
    """How far two answers differ, at the worst array, and which that is.

    Returns:
        0 if they are the same; at most 1 if rounding explains it; else infinity.
    """
    worst, where = 0.0, ""
    for path in dict.fromkeys([*first, *second]):
        before, after = first.get(path), second.get(path)
        if isinstance(before, np.ndarray) and isinstance(after, np.ndarray):
            if np.array_equal(before, after, equal_nan=True):
                continue
            floor = yardstick.floors[path]
            allowed = floor.smooth + floor.slack if yardstick.flips else floor.smooth
            with np.errstate(all="ignore"):
                explained = bool((np.abs(before - after) <= 2 * allowed).all())
            ratio = 1.0 if explained else np.inf
        else:
            ratio = 0.0 if isinstance(before, Misfit) and isinstance(after, Misfit) else np.inf
        if ratio > worst:
            worst, where = ratio, path
    return worst, where


def _accumulates(yardstick: Yardstick, *calls: Leaves) -> bool:
    """Whether arrays grow by the same gradient, that of the first call or the true one, with each of three calls."""
    moved = False
    for path, truth in yardstick.truth.items():
        arrays = [leaves.get(path) for leaves in calls]
        if not all(isinstance(array, np.ndarray) for array in arrays):
            continue
        first, second, third = (np.asarray(array, np.float64) for array in arrays)
        with np.errstate(all="ignore"):
            allowed = 4 * yardstick.floors[path].smooth + 16 * yardstick.unit * np.abs(third)
            step, again = second - first, third - second
            if (np.abs(step) <= allowed).all() and (np.abs(again) <= allowed).all():
                continue
            if not (np.abs(step - again) <= allowed).all() or not any(
                (np.abs(step - gradient) <= allowed).all() for gradient in (first, truth)
            ):
                return False
        moved = True
    return moved


def is_overwritten(call: Call) -> bool:
    """Whether what a call returned is no longer what it was."""
    try:
        now = values_of(call.case, call.answer)
    except (TypeError, ValueError):
        return True
    return any(
        isinstance(leaf, np.ndarray) and not np.array_equal(leaf, np.asarray(now[path]), equal_nan=True)
        for path, leaf in call.leaves.items()
    )
