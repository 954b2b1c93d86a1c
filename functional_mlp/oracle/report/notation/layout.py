"""Arrays of a report as they lie in the layout in which they were handed over."""

import dataclasses
from typing import Any

from functional_mlp.oracle.case import layer_of
from functional_mlp.oracle.report.notation.notation import Notation
from functional_mlp.oracle.verdict import Leaf


def as_handed_over(leaf: Leaf, notation: Notation) -> Leaf:
    """A verdict on an array with its entries, and the index of its worst, as they lie in the person's array.

    A bias that is part of the weights stays an array of its own; its entries have the index that they have in these.
    """
    if leaf.entries is None:
        return leaf
    index = None if leaf.index is None else index_of(leaf.path, leaf.index, notation)
    sentence = leaf.sentence
    if leaf.index:
        sentence = sentence.replace(f" at {list(leaf.index)}", f" at {list(index or ())}", 1)
    entries, ratios = (_turned(leaf.path, array, notation) for array in (leaf.entries, leaf.ratios))
    return dataclasses.replace(leaf, index=index, sentence=sentence, entries=entries, ratios=ratios)


def index_of(path: str, at: tuple[int, ...], notation: Notation) -> tuple[int, ...]:
    """Where an entry of the oracle's array lies in the person's; `at` where that is the same."""
    if path.startswith("params") and path.endswith(("weights", "bias")):
        return notation.index(path, at)
    return at[::-1] if notation.columns else at


def _turned(path: str, array: Any, notation: Notation) -> Any:
    if array is None:
        return None
    if path.endswith(".bias"):
        shape = {"row": (1, -1), "column": (-1, 1)}.get(str(notation.layout.bias), (-1,))
        return array.reshape(shape)
    turned = notation.turned if path.endswith(".weights") else notation.columns
    return array.T if turned else array


def name_of(path: str, *, gradient: bool = True) -> str:
    """What the person calls an array: dW1 for params[0].weights, or W1 of parameters; the path where it has no name."""
    if not path.startswith("params") or not path.endswith((".weights", ".bias")):
        return path
    return f"{'d' if gradient else ''}{'W' if path.endswith('weights') else 'b'}{layer_of(path) + 1}"
