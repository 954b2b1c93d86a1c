"""One thing that may have been done instead, on the way back."""

from typing import NamedTuple

from functional_mlp._dtypes import Array
from functional_mlp.oracle.traced.diagnosis.matching import Factor
from functional_mlp.oracle.traced.diagnosis.replay import Change

PATH, RULE, VALUE = "path", "rule", "value"  # what a candidate changes: how much flows, by which rule, by which value


class Candidate(NamedTuple):
    """A change on the way back.

    Attributes:
        kind: PATH, whose share is fitted, RULE or VALUE.
        place: of the operation.
        operand: to which it is.
        words: what is done instead; "" for a path.
        changes: by which it is made; of a path, those that cut it.
        effect: what it does along the probes; of a path, what flows through it. None if that was not found.
        other: number of the value that is used instead of another, of VALUE.
        factor: of a path whose share is not fitted.
    """

    kind: str
    place: int
    operand: int
    words: str
    changes: tuple[Change, ...]
    effect: Array | None
    other: int | None = None
    factor: Factor | None = None
