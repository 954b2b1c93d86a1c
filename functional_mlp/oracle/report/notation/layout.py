"""Arrays of a report as they lie in the layout in which they were handed over."""

import dataclasses
import re
from typing import Any

from functional_mlp.oracle.case import layer_of
from functional_mlp.oracle.report.notation.notation import Notation
from functional_mlp.oracle.verdict import Leaf

NUMBER, LINE = re.compile(r"\d+"), re.compile(r"\b(?:row|column)(?=s?\b)")
OF_ROWS = re.compile(r"\b(rows?) (\d+(?:, \d+)*)")
ENTRY = re.compile(r"(?<= )\[(\d+(?:, \d+)*)\]")
OTHER_LINE = {"row": "column", "column": "row"}


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


def lines_as_handed_over(sentence: str, path: str, notation: Notation) -> str:
    """A sentence on rows, columns or an entry of an array, with those of the array that was handed over."""
    is_weights = path.endswith(".weights")
    if is_weights and notation.layout.bias == "first_row":
        sentence = OF_ROWS.sub(lambda found: f"{found[1]} {NUMBER.sub(_next, found[2])}", sentence)
    sentence = ENTRY.sub(lambda found: _entry(found[1], path, notation), sentence)
    turned = notation.turned if is_weights else notation.columns
    return LINE.sub(lambda found: OTHER_LINE[found[0]], sentence) if turned else sentence


def _next(number: re.Match[str]) -> str:
    return str(int(number[0]) + 1)


def _entry(at: str, path: str, notation: Notation) -> str:
    return str(list(index_of(path, tuple(map(int, at.split(", "))), notation)))


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
