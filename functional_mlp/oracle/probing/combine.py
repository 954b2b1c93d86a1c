"""One report on all cases that somebody's code was asked."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from functional_mlp.oracle.case import Case
from functional_mlp.oracle.checking import describe_case, report_on
from functional_mlp.oracle.diagnosis import diagnose_several
from functional_mlp.oracle.noise import precision_named
from functional_mlp.oracle.probing.call import Fault, listed
from functional_mlp.oracle.probing.probe import Probed
from functional_mlp.oracle.probing.probe_cases import PURPOSES, purpose_of
from functional_mlp.oracle.probing.repeats import IRREPRODUCIBLE
from functional_mlp.oracle.report import Exhibit, Finding, Report, count
from functional_mlp.oracle.verdict import Verdict

BLOCKS = (2, 4, 8, 16, 32)  # that loops are unrolled by


def combined_report(
    probed: Sequence[Probed],
    precision: str,
    notes: tuple[str, ...] = (),
    *,
    cases: Sequence[Case],
    code: str = "your function",
) -> Report:
    """One report on all cases.

    Args:
        probed: what `probe_code` returned; of several networks, one after the other.
        precision: that the answers were judged as.
        notes: that come first.
        cases: that were to be asked; the first gives the report its network, if all have it.
        code: what is spoken of.
    """
    answered = [probe for probe in probed if probe.skipped is None and probe.beyond is None]
    leaves = tuple(replace(leaf, group=probe.name) for probe in answered for leaf in probe.leaves)
    possible = len(cases) - sum(probe.skipped is not None or probe.beyond is not None for probe in probed)
    findings = findings_on([(probe.name, fault) for probe in answered for fault in probe.faults], possible, code)
    wrong = [probe for probe in answered if any(leaf.verdict is Verdict.WRONG for leaf in probe.leaves)]
    hints = [probe.hint for probe in wrong if probe.hint is not None]
    if wrong and len(hints) == len(wrong):
        notes += (max(hints, key=lambda hint: hint.unit).sentence,)  # what the coarsest explains, explains all
    elif not findings:
        notes += _pattern({probe.reference.case: probe in wrong for probe in answered if probe.reference is not None})
    random = any(finding.id == "nondeterministic" for finding in findings)
    every_note = dict.fromkeys(note for probe in answered for note in probe.notes)
    notes += tuple(note for note in every_note if not (random and note == IRREPRODUCIBLE))
    if not wrong and not findings:
        notes += _right_for(probed)
    report = report_on(cases[0], precision_named(precision), leaves, notes)
    networks = {describe_case(case) for case in cases}
    asked_for = {probe.name for probe in probed if probe.beyond is None}
    adds = any(finding.id == "accumulates" for finding in findings)
    excluded = () if adds else ("accumulated",)  # every call was made twice
    asked = [probe.asked for probe in answered if probe.asked is not None]
    return replace(
        report,
        name=count(len(answered), "telling case"),
        network=report.network if len(networks) == 1 else f"{len(networks)} networks",
        samples=sum(len(case.inputs) for case in cases if case.name in asked_for),
        findings=findings,
        finder=partial(diagnose_several, asked, excluded) if asked else None,
        exhibits=tuple(
            Exhibit(probe.name, probe.reference.case, probe.kept)
            for probe in answered
            if probe.reference is not None and probe.kept is not None
        ),
    )


def findings_on(faults: Iterable[tuple[str, Fault]], possible: int, code: str) -> tuple[Finding, ...]:
    """What is said of faults: each once, with the cases that show it.

    Args:
        faults: with the name of their case.
        possible: how many cases there are in all.
        code: what is spoken of.
    """
    where: dict[tuple[str, str], dict[str, str]] = {}
    for name, fault in faults:
        where.setdefault((fault.id, fault.sentence), {})[name] = fault.details
    return tuple(
        Finding(id_, Verdict.WRONG, f"{_where(list(names), possible)} {code} {sentence}{_first_of(names)}.")
        for (id_, sentence), names in where.items()
    )


def left_out(probed: Sequence[Probed]) -> tuple[str, ...]:
    """Notes on the cases that were not answered because they are not supported, with the reason of each."""
    return tuple(
        f"the case {probe.name!r} was left out: {probe.skipped}." for probe in probed if probe.skipped is not None
    )


def _pattern(wrong: Mapping[Case, bool]) -> tuple[str, ...]:
    """What the cases that are wrong have in common, by whether each is."""
    if len({describe_case(case) for case in wrong}) > 1:
        return ()
    names = {purpose_of(case) for case, is_wrong in wrong.items() if is_wrong}
    if not names:
        return ()
    wrong_sizes = {len(case.inputs) for case, is_wrong in wrong.items() if is_wrong}
    left_over = _left_over({len(case.inputs): len(case.inputs) in wrong_sizes for case in wrong})
    if left_over:
        return (left_over,)
    every = {purpose_of(case) for case in wrong}
    if len(names) == 1:
        [name] = names
        return (f"only the case '{name}' is wrong. It is about {PURPOSES[name]}",)
    if names == {"partial batch", "one sample"}:
        return ("only batches smaller than the first one are wrong: is the number of its samples kept?",)
    if names == every - {"one sample"}:
        return ("one sample is right, several are not: look at sums, means and factors 1/n over samples",)
    return ()


def _left_over(wrong: Mapping[int, bool]) -> str:
    """What is said of batches that are right or wrong by their size alone, as those of loops over blocks."""
    right, not_right = (sorted(size for size, is_wrong in wrong.items() if is_wrong is kind) for kind in (False, True))
    blocks = [
        str(block) for block in BLOCKS if all(is_wrong is (size % block != 0) for size, is_wrong in wrong.items())
    ]
    if not right or len(not_right) < 2 or not blocks:
        return ""
    asked = (
        f"batches of {listed(list(map(str, right)))} samples are right, those of {listed(list(map(str, not_right)))}"
    )
    return f"{asked} wrong: are samples left over by blocks of {' or '.join(blocks)} lost?"


def _right_for(probed: Sequence[Probed]) -> tuple[str, ...]:
    """For which targets code is right, where it is not for all."""
    beyond = {purpose: all(right) for purpose, right in _by_purpose(probed).items()}
    notes = tuple(dict.fromkeys(note for probe in probed if probe.beyond is False for note in probe.notes))
    if beyond.get("soft targets") is False:
        return (*notes, "right for targets that are 0 or 1, one-hot where they are classes; not for numbers between")
    if beyond.get("targets not summing to 1") is False:
        words = "right for targets whose rows sum to 1, as those of classes do: p - t is the gradient only there"
        return (*notes, f"{words}; declare targets='any' if yours do not")
    return notes


def _by_purpose(probed: Sequence[Probed]) -> dict[str, list[bool]]:
    """Whether each case that the code is not made for is right nevertheless, by what it is about."""
    found: dict[str, list[bool]] = {}
    for probe in probed:
        if probe.beyond is not None:
            found.setdefault(probe.name.partition(", ")[0], []).append(probe.beyond)
    return found


def _first_of(details: Mapping[str, str]) -> str:
    """The details of the first case that has any."""
    name, first = next(((name, text) for name, text in details.items() if text), ("", ""))
    if not first:
        return ""
    return f": {first}" if len(details) == 1 else f": {first}, in {name!r}"


def _where(names: Sequence[str], total: int) -> str:
    if len(names) == total:
        return "in every case"
    return f"in the case{'s' if len(names) > 1 else ''} {listed([repr(name) for name in names])}"
