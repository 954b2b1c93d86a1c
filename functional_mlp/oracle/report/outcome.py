"""What the oracle found, as data: the verdict on every array, findings, notes, and what was asked and answered.

How it is said is for others: `report.py` writes text and JSON, `page.py` HTML, with the sentences of `wording.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from functional_mlp.oracle.diagnosis import Diagnosis
from functional_mlp.oracle.report.attachments import Exhibit
from functional_mlp.oracle.verdict import Leaf, Verdict, worst_of


@dataclass(frozen=True)
class Finding:
    """Something that several runs show and no single array does, such as results that differ from run to run.

    Attributes:
        id: "raises", "returns", "mutates", "accumulates", "nondeterministic" or "stale-state" (`functions.py`), or
            one of those in `driving.py`.
        verdict: WRONG, or UNDECIDED.
        sentence: what was seen, and how to mend it.
    """

    id: str
    verdict: Verdict
    sentence: str


@dataclass(frozen=True)
class Outcome:
    """What the oracle found.

    Attributes:
        name: of the case; "" if it has none.
        network: its sizes and activations, in words.
        samples: rows of data.
        precision: what the noise floor was computed for.
        leaves: the verdict on every array.
        findings: what several runs show.
        notes: sentences that change no verdict.
        finder: finds the diagnosis, when it is asked for; or None.
        exhibits: the cases and the answers that were judged, one for each group of leaves; () if they were not kept.
    """

    name: str
    network: str
    samples: int
    precision: str
    leaves: tuple[Leaf, ...]
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    finder: Callable[[], Diagnosis | None] | None = field(default=None, repr=False, compare=False)
    exhibits: tuple[Exhibit, ...] = field(default=(), repr=False, compare=False)

    @cached_property
    def diagnosis(self) -> Diagnosis | None:
        """Which mistake it is; None if nothing is wrong, or the report is not on one set of gradients.

        It is looked for when it is first asked for, by this or by a text: that takes seconds.
        """
        return None if self.finder is None else self.finder()

    @property
    def verdict(self) -> Verdict:
        """WRONG if any leaf or finding is, else UNDECIDED if any is, else CONSISTENT."""
        return worst_of([*(leaf.verdict for leaf in self.leaves), *(finding.verdict for finding in self.findings)])
