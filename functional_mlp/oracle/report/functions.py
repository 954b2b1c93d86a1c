"""What is said of a function that is no network: where its backward pass departs from the right one, in its own lines.

For a network mistakes have names (`oracle.mistakes`). Of a function only what the backward program itself shows is
known: a path that is missing, a factor, a sum that was left out; each at a place of the person's reference function.
"""

from typing import Any, NamedTuple, Protocol

RELATED = "related"  # the kind of what only says how wrong numbers are related to the right ones


class Place(Protocol):
    """A line of the reference function.

    Attributes:
        file: its path.
        line: counted from 1.
        function: that the line is in.
        expression: what stands there; "" if it is not known.
    """

    @property
    def file(self) -> str: ...  # noqa: D102
    @property
    def line(self) -> int: ...  # noqa: D102
    @property
    def function(self) -> str: ...  # noqa: D102
    @property
    def expression(self) -> str: ...  # noqa: D102


class Explanation(NamedTuple):
    """One change of a function's backward program that reproduces wrong gradients, to within the noise.

    Attributes:
        sentence: what was done, with the places, such as "the path through the mean (norms.py:12) is missing".
        kind: in one word, such as "missing", "scaled", "transposed"; "related" where the sentence says how the numbers
            are related to the right ones, but no change of the program is known that makes them.
        factor: that is too much, or the exponent, where one was fitted; else None.
        places: in the reference function, the likeliest first; () of what concerns whole arrays.
        arrays: paths of the wrong arrays that it reproduces.
        digits: decimal ones to which it does, in the worst array.
        ties: others that reproduce the same numbers, the likelier first; their own ties are ().
        unexplained: paths of the wrong arrays that it leaves unexplained.
        group: of the leaves, where there are several sets of gradients.
    """

    sentence: str
    kind: str
    factor: float | None = None
    places: tuple[Place, ...] = ()
    arrays: tuple[str, ...] = ()
    digits: int = 0
    ties: "tuple[Explanation, ...]" = ()
    unexplained: tuple[str, ...] = ()
    group: str = ""


def place_in_words(place: Place) -> str:
    """Such as "norms.py:12, in layer_norm: x.mean(axis=-1)"."""
    name = place.file.replace("\\", "/").rpartition("/")[2]
    inside = f", in {place.function}" if place.function else ""
    return f"{name}:{place.line}{inside}" + (f": {place.expression}" if place.expression else "")


def full_sentence(explanation: Explanation) -> str:
    """Its sentence, with a capital and a full stop."""
    sentence = explanation.sentence.rstrip(".")
    return f"{sentence[:1].upper()}{sentence[1:]}."


def reproduced_by(explanation: Explanation) -> str:
    """Which arrays it reproduces, how well, and what it leaves unexplained."""
    if explanation.kind == RELATED:
        return "No change of the backward pass that was tried reproduces these numbers."
    whose = _listed(explanation.arrays) or "numbers"
    are = "is that" if len(explanation.arrays) == 1 else "are those"
    sentence = f"Your {whose} {are} of a program that does this, to {explanation.digits} digits."
    if not explanation.unexplained:
        return sentence
    return f"{sentence} What is wrong with {_listed(explanation.unexplained)} is not explained by it."


def explanation_document(explanation: Explanation) -> dict[str, Any]:
    """The fields of the JSON form."""
    fields: dict[str, Any] = {
        "sentence": explanation.sentence,
        "kind": explanation.kind,
        "factor": explanation.factor,
        "places": [
            {name: getattr(place, name) for name in ("file", "line", "function", "expression")}
            for place in explanation.places
        ],
        "arrays": list(explanation.arrays),
        "digits": explanation.digits,
        "unexplained": list(explanation.unexplained),
        "group": explanation.group,
    }
    return fields | {"ties": list(map(explanation_document, explanation.ties))} if explanation.ties else fields


def _listed(paths: tuple[str, ...]) -> str:
    return " and ".join([", ".join(paths[:-1]), paths[-1]]) if len(paths) > 1 else "".join(paths)
