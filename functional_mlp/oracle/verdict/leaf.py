"""What is said of one array and of its entries, as data."""

import enum
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from functional_mlp._dtypes import Array


class Verdict(enum.StrEnum):
    """What the oracle says of an entry, a leaf or a report."""

    CONSISTENT = "consistent"
    WRONG = "wrong"
    UNDECIDED = "undecided"


class Cause(enum.StrEnum):
    """Why a leaf is not consistent."""

    ROUNDING = "rounding"
    KINK = "kink"
    BRANCH = "branch"
    SATURATION = "saturation"
    UNDERFLOW = "underflow"
    OVERFLOW = "overflow"
    DIGITS = "digits"
    VALUE = "value"
    NOT_FINITE = "not finite"
    SHAPE = "shape"
    MISSING = "missing"


CONSISTENT, UNDECIDED, WRONG = 0, 1, 2  # of entries
OF_ENTRIES = (Verdict.CONSISTENT, Verdict.UNDECIDED, Verdict.WRONG)


@dataclass(frozen=True, eq=False)
class Leaf:
    """The verdict on one array.

    Attributes:
        path: "params[0].weights", "params[0].bias", "loss", "outputs", "deltas[0]" or "ct_inputs"; for an update the
            parameters themselves; of a function that is no network, its argument or output, such as "scale".
        verdict: of the whole array.
        cause: why it is not consistent; None if it is.
        sentence: the same in words; "" if it is consistent.
        remedy: what would decide or mend it; "" if it is consistent.
        index: of the worst entry, in error over floor; None where nothing could be compared.
        expected, got, error, floor: of that entry; `got` and `error` may be NaN or infinite.
        proved: whether the worst entry errs by more than the rigorous bound on rounding: not even the most unlucky
            rounding explains it.
        norm: Euclidean norm of the true array (of the step, for an update).
        smallest_detectable: a finite change of the array of at least this Euclidean norm is certain to be called wrong.
        wrong, undecided, size: counts of entries.
        entries: verdicts of the entries (0 consistent, 1 undecided, 2 wrong), of the array's shape; or None.
        ratios: error over floor of the entries, likewise.
        group: which case or learning rate it belongs to, where there are several.
    """

    path: str
    verdict: Verdict
    cause: Cause | None = None
    sentence: str = ""
    remedy: str = ""
    index: tuple[int, ...] | None = None
    expected: float = np.nan
    got: float = np.nan
    error: float = np.nan
    floor: float = np.nan
    proved: bool = False
    norm: float = np.nan
    smallest_detectable: float = np.nan
    wrong: int = 0
    undecided: int = 0
    size: int = 0
    entries: NDArray[np.int8] | None = field(default=None, repr=False)
    ratios: Array | None = field(default=None, repr=False)
    group: str = ""
