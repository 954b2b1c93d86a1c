"""What a report is: an address, a question, the gradients as they were and as they should have been."""

from collections.abc import Callable
from typing import Any, NamedTuple

from benchmarks.accuracy.anything.operations import Operation, Question

Gradients = list[Any]


class Report(NamedTuple):
    """A public report.

    Attributes:
        id: short.
        field: normalisation, attention, convolution, recurrence, sums in 16 bits, or another.
        address: where it was reported.
        what: what was wrong, in a sentence.
        dtype: of the arrays.
        precision: as the authors would declare it.
        operation: the reference.
        question: arguments and cotangent that show it.
        reported: the gradients as they were.
        mended: as they are after the repair.
    """

    id: str
    field: str
    address: str
    what: str
    dtype: str
    precision: str
    operation: Operation
    question: Callable[[], Question]
    reported: Callable[[Question], Gradients]
    mended: Callable[[Question], Gradients]
