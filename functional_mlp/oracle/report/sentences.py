"""The sentences of a report that its text and its page share, and how they write numbers."""

import math
from collections import Counter

import numpy as np

from functional_mlp.oracle.case import params_by_path
from functional_mlp.oracle.diagnosis import Diagnosis, Evidence, Explanation, Named, Relation
from functional_mlp.oracle.documents import Update
from functional_mlp.oracle.mistakes import MISTAKES
from functional_mlp.oracle.report.headlines import headline_of, quantity_in_words, value_of, with_names
from functional_mlp.oracle.report.notation import Notation, index_of, lines_as_handed_over, listed, name_of
from functional_mlp.oracle.report.reported import NOT_SEARCHED, RELATED, UNSEARCHED, Finding, Place, Reported
from functional_mlp.oracle.report.reported import Explanation as ExplanationOfFunction
from functional_mlp.oracle.verdict import Cause, Leaf, Verdict, worst_of

SIGNS = {Verdict.CONSISTENT: "ok", Verdict.UNDECIDED: "UNDECIDED", Verdict.WRONG: "WRONG"}
FEW_GROUPS = 3
MOST_TIES = 4  # other explanations that are written out
NUMBERS = {2: "two", 3: "three", 4: "four"}
TIED = "The same numbers come from each of these, the likelier first:"
SEPARATE = "To tell them apart: functional-mlp case separate CASE GRADIENTS -o NEXT."
MAY_BE_EITHER = (
    "Some of these are mistakes, others only another convention: right for another scale or reduction of the loss."
)
DETECTS = (
    "noise floor: how far rounding may take a right program; as the worst error, in the array's own unit. detects: an"
    " error of this size, relative to the size of the array, cannot pass."
)
STEP_BY_STEP = "How one entry comes about, step by step: report.explain(), or --explain."
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
    what = report.function or f"{report.network}, {count(report.samples, 'sample')}"
    return f"{what}, judged as {report.precision}."


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


def right_for(named: Named) -> str:
    """What a convention is right for; "" of a mistake."""
    return (
        ": right for another loss, sign or layout; declare it if you mean that" if MISTAKES[named.id].convention else ""
    )


def place_of(named: Named) -> str:
    """Which mistake, which variant of it, and where: in which layers, of which params[0] is the first."""
    variant = "" if named.variant is None else f" ({named.variant})"
    where = listed([str(layer + 1) for layer in named.layers]) if named.layers else ""
    layers = "layers" if len(named.layers) > 1 else "layer"
    return f"{named.id}{variant}{f' in {layers} {where}' if where else ''}"


def fitted(named: Named) -> str:
    """Its free number, as fitted, in brackets; "" if it has none."""
    parameter = MISTAKES[named.id].parameter
    return "" if named.value is None or parameter is None else f" ({parameter.name} = {value_of(named)})"


def first_sentences(report: Reported, notation: Notation) -> tuple[str, ...]:
    """What is said first, in the person's words: the mistake; or several, in their order, after how many they are.

    Where no mistake is known, it is what can be said of the numbers, or what the calls showed, or how many arrays there
    are of each verdict.
    """
    diagnosis = report.diagnosis
    if not _is_known(diagnosis):
        finding = first_finding(report)
        return (full_sentence(finding.sentence) if finding else _of_misfits(report) or counted_verdicts(report),)
    if isinstance(diagnosis, ExplanationOfFunction):
        part = " That is a part of it." if diagnosis.unexplained else ""
        return (full_sentence(diagnosis.sentence) + part,)
    assert diagnosis is not None
    if not diagnosis.mistakes:
        return (_of_relation(diagnosis.relations[0], notation),)
    headlines = tuple(headline_of(named, notation).sentence for named in diagnosis.mistakes)
    if len(headlines) == 1:
        return (f"{headlines[0]} That is a part of it.",) if diagnosis.unexplained else headlines
    kinds = {kind_of(named) for named in diagnosis.mistakes}
    what = "mistakes" if kinds == {"MISTAKE"} else "conventions" if kinds == {"CONVENTION"} else "things"
    part = ", which are a part of it" if diagnosis.unexplained else ""
    return (f"{NUMBERS.get(len(headlines), str(len(headlines)))} {what} at once{part}:", *headlines)


# what is said first of an array that cannot be compared
_OF_MISFITS: dict[Cause | None, str] = {
    Cause.MISSING: "is missing",
    Cause.SHAPE: "cannot be compared",
    Cause.NOT_FINITE: "is not finite",
}


def _of_misfits(report: Reported) -> str:
    """That arrays are missing, have other shapes, or hold NaN; "" if none is and does."""
    misfits = [leaf for leaf in report.leaves if leaf.verdict is Verdict.WRONG and leaf.cause in _OF_MISFITS]
    if not misfits:
        return ""
    paths = list(dict.fromkeys(leaf.path for leaf in misfits))
    kinds = {leaf.cause for leaf in misfits}
    names = with_names(listed(paths))
    if len(paths) > 1:
        several = "are missing" if kinds == {Cause.MISSING} else "cannot be compared"
        return f"{names} {several}{_why(misfits[0])}."
    return f"{names} {_OF_MISFITS[misfits[0].cause]}{_why(misfits[0])}."


def _why(leaf: Leaf) -> str:
    """What a misfit says beyond its kind, up to where numbers are counted."""
    said = leaf.sentence.partition("; ")[0]
    return "" if leaf.cause is Cause.MISSING else f": {said}"


def first_finding(report: Reported) -> Finding | None:
    """The finding that is said first: where no mistake is known, one that makes the verdict what it is."""
    if _is_known(report.diagnosis):
        return None
    return next((finding for finding in report.findings if finding.verdict is report.verdict), None)


def _is_known(diagnosis: Diagnosis | ExplanationOfFunction | None) -> bool:
    """Whether a diagnosis says anything of the numbers."""
    if isinstance(diagnosis, ExplanationOfFunction):
        return diagnosis.kind != UNSEARCHED
    return diagnosis is not None and bool(diagnosis.mistakes or diagnosis.relations)


def _of_relation(relation: Relation, notation: Notation) -> str:
    """What is said of some arrays, by the person's names and in their layout."""
    return with_names(lines_as_handed_over(relation.sentence.removesuffix("."), relation.paths[0], notation)) + "."


def further_relations(diagnosis: Diagnosis, notation: Notation) -> tuple[str, ...]:
    """What else can be said of arrays that no mistake explains, besides what `first_sentences` says."""
    said = diagnosis.relations if diagnosis.mistakes else diagnosis.relations[1:]
    return tuple(_of_relation(one, notation) for one in said)


def reproduced(diagnosis: Diagnosis, *, update: bool = False) -> str:
    """How well the mistakes reproduce the numbers, and what they leave unexplained; "" if there are none."""
    if not diagnosis.mistakes:
        return ""
    count_ = len(diagnosis.mistakes)
    digits = min(named.digits for named in diagnosis.mistakes)
    does = {1: "this", 2: "both"}.get(count_, f"all {NUMBERS.get(count_, str(count_))}")
    spoilt = any(
        (parameter := MISTAKES[mistake.id].parameter) is not None and parameter.magnified
        for mistake in diagnosis.mistakes
    )
    but = ", but for the rounding that it magnifies" if spoilt else ""
    agree = f", to {digits} digits{but}" if digits else but  # none where an array is 0 but for rounding
    if not diagnosis.unexplained:
        return f"Your numbers are those of a program that does {does}{agree}."
    known = [shown.path for shown in diagnosis.evidence if shown.path not in diagnosis.unexplained]
    explained = [name_of(path, gradient=not update) for path in known]
    whose = f"Your {listed(explained)}" if explained else "Some of your numbers"
    are = "is that" if len(explained) == 1 else "are those"
    sentence = f"{whose} {are} of a program that does {does}{agree}."
    left = listed([name_of(path, gradient=not update) for path in diagnosis.unexplained])
    return f"{sentence} What is wrong with {left} is not explained by it."


def not_explained(diagnosis: Diagnosis, notation: Notation) -> str:
    """What is said where no known mistake explains the numbers."""
    first = quantity_in_words(diagnosis.first_wrong, notation)
    found = f"The first wrong quantity on the way back is {first}."
    if diagnosis.searched:
        return f"No known mistake reproduces these numbers. {found}"
    return (
        f"{found} No mistake was looked for: that takes every array in its own shape, and a case that is not too large."
    )


def tied(diagnosis: Diagnosis, notation: Notation) -> tuple[str, ...]:
    """What else gives the same numbers, the likelier first, at most `MOST_TIES` of it; () if nothing does."""
    if not diagnosis.explanations:
        return ()
    best, *explanations = diagnosis.explanations
    others = list(dict.fromkeys(_instead(best, explanation, notation) for explanation in explanations))
    more = f"And {len(others) - MOST_TIES} more, which --json lists." if len(others) > MOST_TIES else ""
    return (*others[:MOST_TIES], *([more] if more else ()))


def _instead(best: Explanation, other: Explanation, notation: Notation) -> str:
    """Another explanation: of one that shares mistakes with the best, what stands in place of the rest."""
    differing = [named for named in other if place_of(named) not in map(place_of, best)]
    replaced = [str(i) for i, named in enumerate(best, 1) if place_of(named) not in map(place_of, other)]
    if not (0 < len(differing) < len(other) and replaced):
        differing, replaced = list(other), []
    first, *more = (headline_of(named, notation).sentence.rstrip(".") for named in differing)
    words = "; and ".join([first, *(f"{headline[:1].lower()}{headline[1:]}" for headline in more)])
    place = f"In place of {listed(replaced)}: " if replaced and len(best) > 1 else ""
    return f"{place}{words} ({' with '.join(map(place_of, differing))})."


def entry_of(evidence: Evidence, report: Reported, notation: Notation) -> str:
    """The name of the entry that is shown, such as dW1[2, 0], in the array as it was handed over."""
    path, at = evidence.path, evidence.at
    turned = any(leaf.cause is Cause.SHAPE for leaf in report.leaves)  # then the index is of what was given
    case = notation.case
    if case is not None and path in params_by_path(case.params) and not turned:
        name = notation.entry(path, at)
        return name.removeprefix("d") if is_of_update(report) else name
    index = at if turned else index_of(path, at, notation)
    return path + (f"[{', '.join(map(str, index))}]" if index else "")


def is_of_update(report: Reported) -> bool:
    """Whether the arrays are parameters after a step, not gradients."""
    return any(isinstance(exhibit.answer, Update) for exhibit in report.exhibits)


# of a function that is no network


def place_in_words(place: Place) -> str:
    """Such as "norms.py:12, in layer_norm: x.mean(axis=-1)"."""
    name = place.file.replace("\\", "/").rpartition("/")[2]
    inside = f", in {place.function}" if place.function else ""
    return f"{name}:{place.line}{inside}" + (f": {place.expression}" if place.expression else "")


def full_sentence(sentence: str) -> str:
    """With a capital and a full stop."""
    sentence = sentence.rstrip(".")
    return f"{sentence[:1].upper()}{sentence[1:]}."


def reproduced_by(explanation: ExplanationOfFunction) -> str:
    """Which arrays it reproduces, how well, what it leaves unexplained, and whether more was looked for."""
    if not explanation.searched and explanation.kind in (RELATED, UNSEARCHED):
        return full_sentence(NOT_SEARCHED)
    if explanation.kind == RELATED:
        return "No change of the backward pass that was tried reproduces these numbers."
    whose = listed(explanation.arrays) if explanation.arrays else "numbers"
    are = "is that" if len(explanation.arrays) == 1 else "are those"
    sentence = f"Your {whose} {are} of a program that does this, to {explanation.digits} digits."
    if explanation.unexplained:
        sentence += f" What is wrong with {listed(explanation.unexplained)} is not explained by it."
    return sentence if explanation.searched else f"{sentence} {full_sentence(NOT_SEARCHED)}"


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
