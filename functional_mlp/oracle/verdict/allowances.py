"""What is allowed beyond rounding, of answers that are WRONG at first: conventions, and gradients read from a step."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from functional_mlp.oracle.case import Case
from functional_mlp.oracle.documents import Gradients
from functional_mlp.oracle.noise import Noise
from functional_mlp.oracle.truth import Solution
from functional_mlp.oracle.verdict.conventions import MATERIAL, by_convention
from functional_mlp.oracle.verdict.differences import as_differences
from functional_mlp.oracle.verdict.judging import is_wrong, judge
from functional_mlp.oracle.verdict.leaf import Leaf

Rejudge = Callable[[Noise, Gradients], tuple[Sequence[Leaf], tuple[str, ...]]]


class Allowed(NamedTuple):
    """Leaves after everything that is allowed was considered.

    Attributes:
        leaves: those that a convention explains, or the noise of a step, are not WRONG.
        notes: which of these it is.
        given: what is left to be explained by mistakes: without a loss that a convention explains.
        noise: by which the leaves were judged.
        coarser: that of gradients read from a step, if they look so but are WRONG nevertheless; else None.
    """

    leaves: tuple[Leaf, ...]
    notes: tuple[str, ...]
    given: Gradients
    noise: Noise
    coarser: Noise | None = None


def with_allowances(
    case: Case,
    solution: Solution,
    noise: Noise,
    given: Gradients,
    leaves: Sequence[Leaf],
    *,
    material: float = MATERIAL,
    rejudge: Rejudge | None = None,
) -> Allowed:
    """What `judge` found, with what is allowed taken for no mistake; arguments as `by_convention`.

    Args:
        case, solution, noise, given, leaves: arguments and result of `judge`.
        material: as `by_convention` takes it.
        rejudge: judges by another noise, where that is more than `judge`: leaves, and notes on them.
    """
    allowed = by_convention(case, solution, noise, given, leaves, material=material)
    found = Allowed(allowed.leaves, allowed.notes, allowed.given, noise)
    differences = as_differences(case, solution, noise, found.given) if is_wrong(found.leaves) else None
    if differences is None:
        return found
    coarser, note = differences
    again, notes = (rejudge or _judged(case, solution))(coarser, found.given)
    if is_wrong(again):
        return found._replace(coarser=coarser)
    return found._replace(leaves=tuple(again), notes=(*found.notes, *notes, note), noise=coarser)


def _judged(case: Case, solution: Solution) -> Rejudge:
    return lambda noise, given: (judge(case, solution, noise, given), ())
