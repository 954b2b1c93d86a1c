"""The sentences of a report that its text and its page share, and how they write numbers."""

import math
from collections import Counter

import numpy as np

from functional_mlp.oracle.diagnosis import EITHER, Diagnosis, Evidence, Named
from functional_mlp.oracle.mistakes import MISTAKES
from functional_mlp.oracle.report.reported import Reported
from functional_mlp.oracle.verdict import Leaf, Verdict, worst_of

SIGNS = {Verdict.CONSISTENT: "ok", Verdict.UNDECIDED: "UNDECIDED", Verdict.WRONG: "WRONG"}
FEW_GROUPS = 3
SEPARATE = "To tell them apart: functional-mlp case separate CASE GRADIENTS -o NEXT."
MAY_BE_EITHER = (
    "Some of these are mistakes, others only another convention: right for another scale or reduction of the loss."
)
AGREES = (
    "Every entry agrees with the true gradient to within the rounding noise of this precision. An error in an array of"
    " the size in the last column, relative to the array, would not have passed."
)


def counted_verdicts(report: Reported) -> str:
    """How many arrays there are of each verdict."""
    counts = Counter(leaf.verdict for leaf in report.leaves)
    total = len(report.leaves)
    counted = [f"{counts[verdict]} of {total} arrays {verdict}" for verdict in Verdict if counts[verdict]]
    return f"{', '.join(counted) or 'nothing could be compared'}."


def subject(report: Reported) -> str:
    """What was judged."""
    return f"{report.network}, {count(report.samples, 'sample')}, judged as {report.precision}."


def is_of_one_case(report: Reported) -> bool:
    """Whether there is but one set of gradients, which no group names."""
    return not any(leaf.group for leaf in report.leaves)


def groups(report: Reported) -> dict[str, list[Leaf]]:
    """The leaves by their groups, in the order in which these appear."""
    found: dict[str, list[Leaf]] = {}
    for leaf in report.leaves:
        found.setdefault(leaf.group, []).append(leaf)
    return found


def shown_groups(report: Reported) -> list[str]:
    """The groups that a short text shows array by array: all of a few; else those that say most.

    That is the one which the evidence is from, or the first wrong one, and the first undecided one.
    """
    every = groups(report)
    if len(every) <= FEW_GROUPS:
        return list(every)
    worst = {group: worst_of(leaf.verdict for leaf in leaves) for group, leaves in every.items()}
    first = {verdict: next((group for group in every if worst[group] is verdict), None) for verdict in Verdict}
    told = None if report.diagnosis is None else report.diagnosis.group
    chosen = (told if told in every else first[Verdict.WRONG], first[Verdict.UNDECIDED])
    return [group for group in every if group in chosen]


def farthest(leaves: list[Leaf]) -> float:
    """The largest error over its noise floor; NaN where nothing could be compared."""
    largest = [float(np.max(leaf.ratios)) for leaf in leaves if leaf.ratios is not None and leaf.ratios.size]
    return max(largest, default=math.nan)


def spoken_of(report: Reported) -> list[Leaf]:
    """The leaves of which something is said, wrong ones first."""
    spoken = [leaf for leaf in report.leaves if leaf.sentence]
    return sorted(spoken, key=lambda leaf: leaf.verdict is not Verdict.WRONG)


def remedies(report: Reported) -> tuple[str, ...]:
    """What to do, each thing once."""
    return tuple(dict.fromkeys(leaf.remedy for leaf in spoken_of(report) if leaf.remedy))


# the diagnosis


def kind_of(named: Named) -> str:
    """Whether it is a mistake or a convention, in capitals."""
    return "CONVENTION" if MISTAKES[named.id].convention else "MISTAKE"


def place_of(named: Named) -> str:
    """Which mistake, which variant of it, and where."""
    variant = "" if named.variant is None else f" ({named.variant})"
    where = f" in layer{'s' if len(named.layers) > 1 else ''} {', '.join(map(str, named.layers))}"
    return f"{named.id}{variant}{where if named.layers else ''}"


def fitted(named: Named) -> str:
    """Its free number, as fitted, in brackets; "" if it has none."""
    parameter = MISTAKES[named.id].parameter
    if named.value is None or parameter is None:
        return ""
    return f" ({parameter.name} = {', '.join(f'{number:.6g}' for number in np.atleast_1d(named.value))})"


def reproduced(diagnosis: Diagnosis) -> str:
    """How well the mistakes reproduce the numbers; "" if there are none."""
    if not diagnosis.mistakes:
        return ""
    digits, does = min(named.digits for named in diagnosis.mistakes), "this" if len(diagnosis.mistakes) == 1 else "both"
    spoilt = any(
        (parameter := MISTAKES[mistake.id].parameter) is not None and parameter.magnified
        for mistake in diagnosis.mistakes
    )
    but = ", but for the rounding that it magnifies" if spoilt else ""
    return f"Your numbers are those of a program that does {does}, to {digits} digits{but}."


def not_explained(diagnosis: Diagnosis) -> str:
    """What is said where no known mistake explains the numbers."""
    found = f"The first wrong quantity on the way back is {diagnosis.first_wrong}."
    if diagnosis.searched:
        return f"No known mistake reproduces these numbers. {found}"
    return f"{found} The mistake was not looked for: it takes every array, of a small case."


def tied(diagnosis: Diagnosis) -> tuple[str, ...]:
    """Sentences about other mistakes that give the same numbers: which, and whether some are only conventions."""
    if not diagnosis.ties:
        return ()
    others = [" with ".join(map(place_of, explanation)) for explanation in diagnosis.explanations[1:]]
    sentence = f"The same numbers come from: {'; or '.join(dict.fromkeys(others))}."
    return (sentence, MAY_BE_EITHER) if diagnosis.kind == EITHER else (sentence,)


def entry_of(evidence: Evidence) -> str:
    """The name of the entry that is shown."""
    return evidence.path + (f"[{','.join(map(str, evidence.at))}]" if evidence.at else "")


# leaves and numbers


def shape_of(leaf: Leaf) -> str:
    """Such as 3x4."""
    return "-" if leaf.entries is None else "x".join(map(str, leaf.entries.shape)) or "number"


def detects(leaf: Leaf) -> float:
    """The smallest detectable change, relative to the array; NaN where the array is 0."""
    return leaf.smallest_detectable / leaf.norm if leaf.norm > 0 else math.nan


def detects_everywhere(leaves: list[Leaf]) -> float:
    """The same of the array where it is largest."""
    return max((change for change in map(detects, leaves) if not math.isnan(change)), default=math.nan)


def count(number: int, what: str) -> str:
    """Such as 1 sample, 2 samples."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def short(value: float) -> str:
    """Two digits, or a dash for what there is not."""
    if math.isnan(value):
        return "-"
    return "0" if value == 0 else f"{value:.1e}"
