"""Watching somebody's code over several cases: its numbers are judged, and what it does as a program is seen.

Whoever asks hands in a function from a case to what came of it (`Ask`): a call in this process (`calling.py`), or a
program of its own (`driving.py`). Where a case may be put again, it is put twice, with fresh copies of the same
numbers, and a third time where the two answers differ. So code that keeps something between calls, or gives other
numbers each time, is found, whatever its gradients are.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from functional_mlp.oracle.case import DTYPES, Case, layer_of, weights_and_bias
from functional_mlp.oracle.checking import described, notes_of, report_on
from functional_mlp.oracle.diagnosis import Asked, diagnose_several
from functional_mlp.oracle.documents import Gradients
from functional_mlp.oracle.noise import Noise, estimate_noise, precision_named
from functional_mlp.oracle.probing.call import Call, Fault, Skipped, values_of
from functional_mlp.oracle.probing.probe_cases import PURPOSES, SIDES, at_zero_of, purpose_of, with_side
from functional_mlp.oracle.report import Exhibit, Finding, Report, count
from functional_mlp.oracle.truth import Solution, solve
from functional_mlp.oracle.verdict import Cause, Leaf, Misfit, Verdict, judge, truth_of, worst_of

Ask = Callable[[Case], Call | Fault | Skipped]


# one case


class Posed(NamedTuple):
    """A case, the truth about it, and how far a correct function may stray."""

    case: Case
    solution: Solution
    noise: Noise


class Seen(NamedTuple):
    """What is known of somebody's code from one case.

    Attributes:
        name: of the case.
        leaves: verdicts on the first answer.
        faults: of the program.
        notes: what changes no verdict.
        as_float32: of a wrong answer in float64: whether it would be consistent in float32.
        call: the first one, if it gave an answer.
        kept: the first answer, in arrays of its own.
        asked: the same with all that it was judged by, if it is wrong and to be explained.
        posed: the case with the truth about it.
        skipped: why the case was not answered, where it is not supported.
    """

    name: str
    leaves: tuple[Leaf, ...] = ()
    faults: tuple[Fault, ...] = ()
    notes: tuple[str, ...] = ()
    as_float32: tuple[str, ...] = ()
    call: Call | None = None
    kept: Gradients | None = None
    asked: Asked | None = None
    posed: Posed | None = None
    skipped: str | None = None


IRREPRODUCIBLE = (
    "the same arguments do not always give the same bits; the differences are within the rounding noise (sums in an"
    " order that changes, as with threads)"
)
REUSED = "arrays that were returned are overwritten by the next call: correct, but whoever keeps them must copy them"


def watch(ask: Ask, cases: Sequence[Case], precision: str, given: str | None, *, repeat: bool = True) -> list[Seen]:
    """The code with every case; it stops where gradients of earlier calls are added, or are of a narrower dtype.

    Args:
        ask: puts a case.
        cases: in the order of `telling_cases`.
        precision: that the answers are judged as.
        given: the same if it was declared; else None.
        repeat: whether cases are put again, to see what is kept between them.
    """
    declared = precision_named(precision)
    seen: list[Seen] = []
    before: Call | None = None
    small: tuple[Posed, Call] | None = None
    for case in cases:
        first = ask(case)
        if not isinstance(first, Call):
            unanswered = {"skipped": first.reason} if isinstance(first, Skipped) else {"faults": (first,)}
            seen.append(Seen(case.name)._replace(**unanswered))
            continue
        solution = solve(case)
        question = Posed(case, solution, estimate_noise(case, solution, declared))
        notes = (REUSED,) if before is not None and _overwritten(before) else ()
        leaves, sides = _judged(question, first)
        as_float32 = notes_of(case, solution, first.answer, question.noise, leaves, given)
        faults, again = _repeated(ask, question, first) if repeat else ((), ())
        if first.changed:
            words = f"changes its arguments ({_listed(first.changed)}); work on copies"
            faults = (Fault("mutates", words), *faults)
        faults = (*first.faults, *faults)
        kept = _kept(first)
        wrong = worst_of(leaf.verdict for leaf in leaves) is Verdict.WRONG
        asked = Asked(*question, kept, leaves, group=case.name) if wrong and kept is not None else None
        said = (*first.notes, *notes, *sides, *again)
        seen.append(Seen(case.name, leaves, faults, said, as_float32, first, kept, asked, question))
        if any(fault.id == "accumulates" for fault in faults) or (given is None and first.dtype != "float64"):
            break
        before = first
        if purpose_of(case) == "partial batch" and repeat and not faults and not again:
            small = (question, first)
        # once more after a larger batch that is another one than before the first call
        elif small is not None and len(case.inputs) > len(small[0].case.inputs):
            fault, again = _after_another(ask, *small)
            place = next(i for i, one in enumerate(seen) if one.posed is small[0])
            seen[place] = seen[place]._replace(faults=fault, notes=seen[place].notes + again)
            small = None
    return seen


def _kept(call: Call) -> Gradients | None:
    """An answer in copies that no later call overwrites; None if it is not in arrays."""
    own = {path: leaf.astype(DTYPES[call.dtype]) for path, leaf in call.leaves.items() if isinstance(leaf, np.ndarray)}
    if len(own) < len(call.leaves):  # of other shapes, as in the other layout
        return _copied(call.answer)
    params = [(own[f"params[{i}].weights"], own.get(f"params[{i}].bias")) for i in range(len(call.case.params))]
    deltas = [own[path] for path in own if path.startswith("deltas")] or None
    more: dict[str, Any] = {"deltas": deltas} | {name: own.get(name) for name in ("loss", "outputs", "ct_inputs")}
    return call.answer._replace(params=params, **more)


def _copied(answer: Gradients) -> Gradients | None:
    """An answer in arrays of its own, in whatever shapes; None if it is not in arrays."""

    def copied(value: Any) -> Any:
        return None if value is None else np.array(value)

    try:
        layers = [weights_and_bias(f"params[{i}]", layer) for i, layer in enumerate(answer.params)]
        params = [tuple(map(copied, layer)) for layer in layers]
        deltas = None if answer.deltas is None else list(map(copied, answer.deltas))
        more = {"deltas": deltas} | {name: copied(getattr(answer, name)) for name in ("loss", "outputs", "ct_inputs")}
        return answer._replace(params=params, **more)
    except (TypeError, ValueError):
        return None


def _judged(question: Posed, call: Call) -> tuple[tuple[Leaf, ...], tuple[str, ...]]:
    """The verdicts on a call, and notes about the side that it takes at kinks, if that is another than the network's.

    Units that are meant to be at their kink influence no other layer, so the side is a matter of each layer alone.
    """
    case = question.case
    leaves = {leaf.path: leaf for leaf in judge(*question, call.answer)}
    sides: dict[str, list[int]] = {}
    for side in SIDES:
        open_ = {layer_of(path) for path, leaf in leaves.items() if leaf.cause is Cause.KINK}
        if not open_ or purpose_of(case) != "at the kink":
            break
        other = with_side(case, side)
        solution = solve(other)
        noise = estimate_noise(other, solution, question.noise.precision)
        there = {leaf.path: leaf for leaf in judge(other, solution, noise, call.answer)}
        for layer in sorted(layer for layer in open_ if layer >= 0):
            own = {path: leaf for path, leaf in there.items() if layer_of(path) == layer}
            if all(leaf.verdict is not Verdict.WRONG and leaf.cause is not Cause.KINK for leaf in own.values()):
                leaves |= own
                sides.setdefault(side, []).append(layer)
    notes = []
    for side, layers in sides.items():
        names = dict.fromkeys(case.network.activations[layer].name for layer in layers)
        where = f"layer{'s' if len(layers) > 1 else ''} {_listed(list(map(str, layers)))} ({_listed(list(names))})"
        declared = _listed(list(dict.fromkeys(f"{at_zero_of(case.network.activations[layer]):g}" for layer in layers)))
        notes.append(
            f"exactly at the kink, z = 0, the derivative of the {side} is taken in {where}; the network"
            f" declares {declared} there: either is right"
        )
    return tuple(leaves.values()), tuple(notes)


# several calls


def _repeated(ask: Ask, question: Posed, first: Call) -> tuple[tuple[Fault, ...], tuple[str, ...]]:
    """What a second call with the same numbers shows, and a third: faults and notes."""
    second = _answered(ask, question.case)
    if isinstance(second, Fault):
        return (second._replace(sentence=f"{second.sentence}, when called again with the same numbers"),), ()
    apart, where = _apart(question, first, second)
    if apart == 0:
        return (), ()
    third = _answered(ask, question.case)
    if not isinstance(third, Fault) and _accumulates(question, first, second, third):
        words = "adds the gradients of earlier calls; set them to zero before each call. Further cases were not tried"
        return (Fault("accumulates", words),), ()
    if apart <= 1:
        return (), (IRREPRODUCIBLE,)
    words = (
        f"gives another {where} when called again with the same numbers: something is kept between calls, is random,"
        " or is read before it is set"
    )
    return (Fault("nondeterministic", words),), ()


def _answered(ask: Ask, case: Case) -> Call | Fault:
    """What comes of a case that was answered before."""
    result = ask(case)
    if isinstance(result, Skipped):
        return Fault("nondeterministic", "says that it does not support a case that it has answered before")
    return result


def _after_another(ask: Ask, question: Posed, first: Call) -> tuple[tuple[Fault, ...], tuple[str, ...]]:
    """What the same numbers give after another batch than before: faults and notes."""
    again = _answered(ask, question.case)
    if isinstance(again, Fault):
        return (again,), ()
    apart, where = _apart(question, first, again)
    if apart <= 1:
        return (), (IRREPRODUCIBLE,) if apart else ()
    words = (
        f"gives another {where} when another, larger batch was computed before: it reads what that left in a buffer;"
        " use the rows of its own batch only"
    )
    return (Fault("stale-state", words),), ()


def _apart(question: Posed, first: Call, second: Call) -> tuple[float, str]:
    """How far two answers differ, at the worst array, and which that is.

    Rounding may bring a unit to the other side of its kink, but not where it is exactly there.

    Returns:
        0 if they are the same; at most 1 if rounding explains it; else infinity.
    """
    worst, where = 0.0, ""
    flips = purpose_of(question.case) != "at the kink"
    for path in dict.fromkeys([*first.leaves, *second.leaves]):
        one, other = first.leaves.get(path), second.leaves.get(path)
        if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
            if np.array_equal(one, other, equal_nan=True):
                continue
            floor = question.noise.floors[path]
            allowed = floor.smooth + floor.slack if flips else floor.smooth
            with np.errstate(all="ignore"):
                explained = bool((np.abs(one - other) <= 2 * allowed).all())
            ratio = 1.0 if explained else np.inf
        else:
            ratio = 0.0 if isinstance(one, Misfit) and isinstance(other, Misfit) else np.inf
        if ratio > worst:
            worst, where = ratio, path
    return worst, where


def _accumulates(question: Posed, *calls: Call) -> bool:
    """Whether arrays grow by the same gradient, that of the first call or the true one, with each of three calls."""
    truth, moved = truth_of(question.solution), False
    for path, floor in question.noise.floors.items():
        arrays = [call.leaves.get(path) for call in calls]
        if not path.startswith("params") or not all(isinstance(array, np.ndarray) for array in arrays):
            continue
        first, second, third = (np.asarray(array, np.float64) for array in arrays)
        with np.errstate(all="ignore"):
            allowed = 4 * floor.smooth + 16 * question.noise.precision.storage.unit * np.abs(third)
            step, again = second - first, third - second
            if (np.abs(step) <= allowed).all() and (np.abs(again) <= allowed).all():
                continue
            gradients = (first, truth[path])
            if not (np.abs(step - again) <= allowed).all() or not any(
                (np.abs(step - gradient) <= allowed).all() for gradient in gradients
            ):
                return False
        moved = True
    return moved


def _overwritten(call: Call) -> bool:
    """Whether what a call returned is no longer what it was."""
    try:
        now = values_of(call.case, call.answer)
    except (TypeError, ValueError):
        return True
    return any(
        isinstance(leaf, np.ndarray) and not np.array_equal(leaf, np.asarray(now[path]), equal_nan=True)
        for path, leaf in call.leaves.items()
    )


# one report


def merged(
    seen: Sequence[Seen],
    precision: str,
    notes: tuple[str, ...] = (),
    *,
    cases: Sequence[Case],
    code: str = "your function",
) -> Report:
    """One report on all cases.

    Args:
        seen: what `watch` returned; of several networks, one after the other.
        precision: that the answers were judged as.
        notes: that come first.
        cases: that were to be asked; the first gives the report its network, if all have it.
        code: what is spoken of.
    """
    answered = [one for one in seen if one.skipped is None]
    leaves = tuple(replace(leaf, group=one.name) for one in answered for leaf in one.leaves)
    where: dict[tuple[str, str], dict[str, str]] = {}
    for one in answered:
        for fault in one.faults:
            where.setdefault((fault.id, fault.sentence), {})[one.name] = fault.details
    possible = len(cases) - (len(seen) - len(answered))
    findings = tuple(
        Finding(id_, Verdict.WRONG, f"{_where(list(names), possible)} {code} {sentence}{_first_of(names)}.")
        for (id_, sentence), names in where.items()
    )
    wrong = [one for one in answered if any(leaf.verdict is Verdict.WRONG for leaf in one.leaves)]
    if wrong and all(one.as_float32 for one in wrong):
        notes += wrong[0].as_float32
    elif not findings:
        notes += _pattern({one.posed.case: one in wrong for one in answered if one.posed is not None})
    random = any(finding.id == "nondeterministic" for finding in findings)
    said = dict.fromkeys(note for one in answered for note in one.notes)
    notes += tuple(note for note in said if not (random and note == IRREPRODUCIBLE))
    report = report_on(cases[0], precision_named(precision), leaves, notes)
    networks = {described(case) for case in cases}
    asked_for = {one.name for one in seen}
    adds = any(finding.id == "accumulates" for finding in findings)
    excluded = () if adds else ("accumulated",)  # every call was made twice
    asked = [one.asked for one in answered if one.asked is not None]
    return replace(
        report,
        name=count(len(answered), "telling case"),
        network=report.network if len(networks) == 1 else f"{len(networks)} networks",
        samples=sum(len(case.inputs) for case in cases if case.name in asked_for),
        findings=findings,
        finder=partial(diagnose_several, asked, excluded),
        exhibits=tuple(
            Exhibit(one.name, one.posed.case, one.kept)
            for one in answered
            if one.posed is not None and one.kept is not None
        ),
    )


def _pattern(wrong: Mapping[Case, bool]) -> tuple[str, ...]:
    """What the cases that are wrong have in common, by whether each is."""
    if len({described(case) for case in wrong}) > 1:
        return ()
    names = {purpose_of(case) for case, is_wrong in wrong.items() if is_wrong}
    if not names:
        return ()
    every = {purpose_of(case) for case in wrong}
    if len(names) == 1:
        [name] = names
        return (f"only the case '{name}' is wrong. It is about {PURPOSES[name]}",)
    if names == {"partial batch", "one sample"}:
        return ("only batches smaller than the first one are wrong: is the number of its samples kept?",)
    if names == every - {"one sample"}:
        return ("one sample is right, several are not: look at sums, means and factors 1/n over samples",)
    return ()


def _first_of(details: Mapping[str, str]) -> str:
    """The details of the first case that has any."""
    name, first = next(((name, text) for name, text in details.items() if text), ("", ""))
    if not first:
        return ""
    return f": {first}" if len(details) == 1 else f": {first}, in {name!r}"


def _where(names: Sequence[str], total: int) -> str:
    if len(names) == total:
        return "in every case"
    return f"in the case{'s' if len(names) > 1 else ''} {_listed([repr(name) for name in names])}"


def _listed(words: Sequence[str]) -> str:
    shown = [*words[:3], f"{len(words) - 3} more"] if len(words) > 4 else list(words)
    return " and ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else shown[0]
