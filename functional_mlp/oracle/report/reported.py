"""What text, JSON and page say something of: findings, and what they read of a report."""

from dataclasses import dataclass
from typing import Protocol

from functional_mlp.oracle.diagnosis import Diagnosis
from functional_mlp.oracle.report.attachments import Exhibit
from functional_mlp.oracle.report.functions import Explanation
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
    def exhibits(self) -> tuple[Exhibit, ...]: ...  # noqa: D102
    @property
    def diagnosis(self) -> Diagnosis | Explanation | None: ...  # noqa: D102
    @property
    def verdict(self) -> Verdict: ...  # noqa: D102


def network_diagnosis(report: Reported) -> Diagnosis | None:
    """The diagnosis of a network's gradients; None if there is none, or the report is on another function."""
    return report.diagnosis if isinstance(report.diagnosis, Diagnosis) else None
