"""What text, JSON and page say something of: findings, explanations, and what they read of a report.

For a network mistakes have names (`oracle.mistakes`). Of another function only what its backward program shows is
known: a path that is missing, a factor, a sum that was left out; each at a place of the person's reference function.
"""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from functional_mlp.oracle.diagnosis import Diagnosis
from functional_mlp.oracle.report.attachments import Exhibit
from functional_mlp.oracle.verdict import Leaf, Verdict


@dataclass(frozen=True)
class Finding:
    """Something that several runs show and no single array does, such as results that differ from run to run.

    Attributes:
        id: "raises", "returns", "mutates", "accumulates", "nondeterministic" or "stale-state" (`probing/`), or
            one of those in `driving.py`.
        verdict: WRONG, or UNDECIDED.
        sentence: what was seen, and how to mend it.
    """

    id: str
    verdict: Verdict
    sentence: str


class AtNumber(NamedTuple):
    """The derivative of a function of single numbers, at one of them.

    Attributes:
        z: the number.
        yours, right: the derivative there.
    """

    z: float
    yours: float
    right: float


RELATED = "related"  # the kind of what only says how wrong numbers are related to the right ones
UNSEARCHED = "unsearched"  # the kind of what says nothing, but that nothing was looked for
NOT_SEARCHED = (
    "the mistake was not looked for in the function: it has too many numbers on its way; ask with smaller arguments"
)


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
            are related to the right ones, but no change of the program is known that makes them; "unsearched" where
            nothing is known, for nothing was looked for.
        factor: that is too much, or the exponent, where one was fitted; else None.
        places: in the reference function, the likeliest first; () of what concerns whole arrays.
        arrays: paths of the wrong arrays that it reproduces.
        digits: decimal ones to which it does, in the worst array.
        ties: others that reproduce the same numbers, the likelier first; their own ties are ().
        unexplained: paths of the wrong arrays that it leaves unexplained.
        group: of the leaves, where there are several sets of gradients.
        searched: whether a change of the program was looked for: not of a function with too many numbers on its way.
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
    searched: bool = True


class Reported(Protocol):
    """What is read of a `Report`; its attributes are described there."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def network(self) -> str: ...  # noqa: D102
    @property
    def samples(self) -> int: ...  # noqa: D102
    @property
    def precision(self) -> str: ...  # noqa: D102
    @property
    def leaves(self) -> tuple[Leaf, ...]: ...  # noqa: D102
    @property
    def findings(self) -> tuple[Finding, ...]: ...  # noqa: D102
    @property
    def notes(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def function(self) -> str: ...  # noqa: D102
    @property
    def at_numbers(self) -> tuple[AtNumber, ...]: ...  # noqa: D102
    @property
    def exhibits(self) -> tuple[Exhibit, ...]: ...  # noqa: D102
    @property
    def diagnosis(self) -> Diagnosis | Explanation | None: ...  # noqa: D102
    @property
    def verdict(self) -> Verdict: ...  # noqa: D102


def network_diagnosis(report: Reported) -> Diagnosis | None:
    """The diagnosis of a network's gradients; None if there is none, or the report is on another function."""
    return report.diagnosis if isinstance(report.diagnosis, Diagnosis) else None
