"""Explanations of gradients whose layers were handed over in reverse order, beside other mistakes.

What stands elsewhere explains nothing where it stands. So the arrays are put where they belong, and explained there.
"""

from collections.abc import Collection, Mapping

import numpy as np

from functional_mlp.oracle.case import layer_of
from functional_mlp.oracle.diagnosis.candidates import Discrepancy, judged_again
from functional_mlp.oracle.diagnosis.composition import Composed, compose, part
from functional_mlp.oracle.mistakes import places

REVERSED = "layers-in-reverse"
MOST_TOGETHER = 3  # mistakes, that one among them


def reversed_and_more(question: Discrepancy, unexplained: Collection[str]) -> list[Composed]:
    """Explanations of all arrays by the reverse order of the layers and other mistakes.

    Args:
        question: what is to be explained.
        unexplained: paths of the arrays that nothing explains as they stand.
    """
    last = len(question.case.params) - 1
    moved = all(path.startswith("params[") and 2 * layer_of(path) != last for path in unexplained)
    if not moved or REVERSED in question.excluded or not places(question.prepared, REVERSED):
        return []
    found = []
    for one in compose(_reversed(question), entirely=True):
        parts = (part(REVERSED), *one.parts)
        if len(parts) <= MOST_TOGETHER:
            found.append(Composed(parts, _mirrored(one.made, last), (), one.cost + parts[0].cost))
    return found


def _mirrored(arrays: Mapping[str, np.ndarray], last: int) -> dict[str, np.ndarray]:
    """Arrays of parameters in the reverse order of the layers."""

    def other(path: str) -> str:
        return path.replace(f"[{layer_of(path)}]", f"[{last - layer_of(path)}]") if path.startswith("params[") else path

    return {path: arrays[other(path)] for path in arrays if other(path) in arrays}


def _reversed(question: Discrepancy) -> Discrepancy:
    given = _mirrored(question.given, len(question.case.params) - 1)
    return judged_again(question._replace(given=given, excluded=question.excluded | {REVERSED}))
