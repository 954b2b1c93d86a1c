"""Explanations of numbers that stand in wrong places: layers in reverse order, or weights transposed, beside others.

What stands elsewhere explains nothing where it stands. So the numbers are put where they may belong, and explained
there: by other mistakes, all of them or none.
"""

from collections.abc import Collection, Iterator
from typing import NamedTuple

import numpy as np

from functional_mlp.oracle.case import layer_of
from functional_mlp.oracle.diagnosis.candidates import Arrays, Discrepancy, next_on_the_way_back
from functional_mlp.oracle.diagnosis.composition import Composed, Part, compose, part
from functional_mlp.oracle.mistakes import places

MOST_TOGETHER = 3  # mistakes, the rearrangement among them


class Rearrangement(NamedTuple):
    """A way in which arrays are handed over in each other's places, or turned.

    Attributes:
        part: the mistake.
        path: of the array in whose place each one stands, by its own path.
        turned: paths of those that are transposed.
    """

    part: Part
    path: dict[str, str]
    turned: frozenset[str]

    def applied(self, arrays: Arrays) -> dict[str, np.ndarray]:
        """Arrays put where they belong, or, as this is its own inverse, as they were handed over."""
        moved = {path: arrays[self.path.get(path, path)] for path in arrays}
        return {path: array.T if path in self.turned else array for path, array in moved.items()}


def rearranged(question: Discrepancy, unexplained: Collection[str]) -> list[Composed]:
    """Explanations of all arrays by a rearrangement and other mistakes.

    Args:
        question: what is to be explained.
        unexplained: paths of the arrays that nothing explains as they stand; the last layer is not tried again where
            it stays in its place.
    """
    last = len(question.case.params) - 1
    found: list[Composed] = []
    for way in _ways(question):
        own = _rearranged(question, way)
        if not own.wrong or (_leaves(way, last) and any(layer_of(path) == last for path in unexplained)):
            continue
        for one in compose(own, entirely=True):
            parts = (way.part, *one.parts)
            if len(parts) <= MOST_TOGETHER:
                found.append(Composed(parts, way.applied(one.made), (), one.cost + way.part.cost))
    return found


def _leaves(way: Rearrangement, layer: int) -> bool:
    """Whether the arrays of a layer stay as they are."""
    return not any(layer_of(path) == layer for path in (*way.path, *way.turned))


def _ways(question: Discrepancy) -> Iterator[Rearrangement]:
    params, given = question.case.params, question.given
    last = len(params) - 1
    if "layers-in-reverse" not in question.excluded and places(question.prepared, "layers-in-reverse"):
        paths = [path for path in given if path.startswith("params[")]
        mirrored = {path: path.replace(f"[{layer_of(path)}]", f"[{last - layer_of(path)}]") for path in paths}
        if set(mirrored.values()) == set(paths):
            yield Rearrangement(part("layers-in-reverse"), mirrored, frozenset())
    square = [layer for layer in range(last + 1) if _is_square(params[layer].weights)]
    if "weight-gradient-transposed" not in question.excluded:
        for layers in dict.fromkeys((tuple(square), *((layer,) for layer in square))):
            turned = frozenset(f"params[{layer}].weights" for layer in layers)
            if layers and turned <= given.keys():
                yield Rearrangement(part("weight-gradient-transposed", layers), {}, turned)


def _is_square(weights: np.ndarray) -> bool:
    return weights.shape[0] == weights.shape[1] > 1


def _rearranged(question: Discrepancy, way: Rearrangement) -> Discrepancy:
    given = way.applied(question.given)
    wrong = frozenset(path for path in given if _is_wrong(question, path, given))
    first = next_on_the_way_back(wrong, given) if wrong else ""
    return question._replace(given=given, wrong=wrong, first=first, excluded=question.excluded | {way.part.id})


def _is_wrong(question: Discrepancy, path: str, given: Arrays) -> bool:
    if not path.startswith("params"):
        return path in question.wrong
    return not bool((np.abs(given[path] - question.truth[path]) <= question.allowed[path]).all())
