"""Asking the oracle about a function: it is called with telling cases, and watched as a program.

Every case is put to the function twice, with fresh copies of the same numbers, and a third time where the two answers
differ. So a function that keeps something between calls, that writes into what it was given, or that gives other
numbers each time is found, whatever its gradients are. What is found has one of these ids, and is WRONG:

    raises            an exception instead of gradients
    returns           something that holds no gradients
    mutates           the arguments are changed
    accumulates       gradients of earlier calls are added
    nondeterministic  the same arguments give another result, beyond the noise of the precision
    stale-state       the result for a batch depends on the batch before it
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from functional_mlp.losses import Loss
from functional_mlp.network import Network
from functional_mlp.oracle.answers import Gradients
from functional_mlp.oracle.calling import Call, Fault, Function, called, values_of
from functional_mlp.oracle.case import DTYPES, Case, weights_and_bias
from functional_mlp.oracle.checking import notes_of, report_on
from functional_mlp.oracle.diagnosis import Asked, diagnose_several
from functional_mlp.oracle.leaves import Cause, Misfit
from functional_mlp.oracle.noise import Noise, estimate_noise
from functional_mlp.oracle.precision import precision_named
from functional_mlp.oracle.report import Finding, Report
from functional_mlp.oracle.solution import Solution, layer_of, solve
from functional_mlp.oracle.telling import PURPOSES, SIDES, at_zero_of, telling_cases, telling_network, with_side
from functional_mlp.oracle.verdict import Leaf, Verdict, judge, truth_of


def check_function(
    fn: Function, network: Any, loss: Loss | None, precision: str | None = None, seed: int = 0
) -> Report:
    """Judges a function that computes gradients: by its numbers for telling cases, and by what it does as a program.

    Args:
        fn: called as fn(params, inputs, targets) with fresh, writable NumPy arrays: params, a list of (weights
            (fan_in, fan_out), bias (fan_out,)) per layer; inputs (n, n_0); targets (n, n_L), or the cotangent of the
            outputs if `loss` is None. It returns what `check` takes as gradients; or (loss, gradients); or a
            `Gradients`, whose loss, outputs, deltas and ct_inputs are judged too.
        network: a `functional_mlp.Network`; or activations, as `telling.telling_network` takes them, which chooses
            distinct sizes for them: the function must then go by the shapes of its arguments.
        loss: which the function differentiates, penalty included; None for a bare vector-Jacobian product.
        precision: what the function computes in, as in `check`; the arrays that it gets are of the format that this
            stores. None: float64, or the dtype of what it returns for float64 arrays, if that is narrower.
        seed: of the telling cases.

    Returns:
        A report. Its leaves have the name of their case as `group`; the ids of its findings stand at the top of this
        module. At a kink every usual convention is accepted, and named in a note if it is not the network's own. That
        arrays returned earlier are overwritten by a later call is said in a note too: the gradients are right.

    Raises:
        TypeError: if fn is not callable, and for other arguments of the wrong type.
        ValueError: for an unknown activation or precision, a negative seed, or a loss that is inadmissible.

    Example:
        >>> import functional_mlp as fm
        >>> def gradients(params, inputs, targets):
        ...     [(weights, bias)] = params
        ...     ct_z = 2 * (inputs @ weights + bias - targets)
        ...     return [(inputs.T @ ct_z, ct_z.mean(axis=0))]
        >>> report = check_function(gradients, fm.Network((4, 5), "identity"), fm.Loss("squared_error"))
        >>> report.verdict
        <Verdict.WRONG: 'wrong'>
        >>> {leaf.path for leaf in report.leaves if leaf.verdict == "wrong"}
        {'params[0].bias'}
        >>> {leaf.group for leaf in report.leaves if leaf.verdict == "consistent" and leaf.path == "params[0].bias"}
        {'one sample'}
    """
    if not callable(fn):
        raise TypeError(f"expected fn to be a function of params, inputs and targets, got {type(fn).__name__}")
    if not isinstance(network, Network):
        network = telling_network(network)
    cases = telling_cases(network, loss, "float64" if precision is None else precision, seed)
    if precision is not None:
        return _merged(cases, _watch(fn, cases, precision, precision), precision)
    seen = _watch(fn, cases, "float64", None)
    narrower = next((one.call.dtype for one in seen if one.call is not None), "float64")
    if narrower == "float64":
        return _merged(cases, seen, "float64")
    cases = telling_cases(network, loss, narrower, seed)
    said = (
        f"for float64 arguments your function returns {narrower}, so it is judged as {narrower}; to have it judged as"
        " float64, declare that"
    )
    return _merged(cases, _watch(fn, cases, narrower, narrower), narrower, (said,))


# one case


class _Question(NamedTuple):
    """A case, the truth about it, and how far a correct function may stray."""

    case: Case
    solution: Solution
    noise: Noise


class _Seen(NamedTuple):
    """What is known of a function from one case.

    Attributes:
        name: of the case.
        leaves: verdicts on the first answer.
        faults: of the program.
        notes: what changes no verdict.
        as_float32: of a wrong answer in float64: whether it would be consistent in float32.
        call: the first one, if it gave an answer.
        asked: the first answer as it was judged, if it is wrong.
    """

    name: str
    leaves: tuple[Leaf, ...] = ()
    faults: tuple[Fault, ...] = ()
    notes: tuple[str, ...] = ()
    as_float32: tuple[str, ...] = ()
    call: Call | None = None
    asked: Asked | None = None


IRREPRODUCIBLE = (
    "the same arguments do not always give the same bits; the differences are within the rounding noise (sums in an"
    " order that changes, as with threads)"
)
REUSED = (
    "arrays that your function returned are overwritten by its next call: correct, but whoever keeps them must copy"
    " them"
)


def _watch(fn: Function, cases: Sequence[Case], precision: str, given: str | None) -> list[_Seen]:
    """The function with every case; it stops where gradients of earlier calls are added, or are of a narrower dtype."""
    declared = precision_named(precision)
    seen: list[_Seen] = []
    before: Call | None = None
    small: tuple[_Question, Call] | None = None
    for case in cases:
        solution = solve(case)
        question = _Question(case, solution, estimate_noise(case, solution, declared))
        first = called(fn, case)
        if isinstance(first, Fault):
            seen.append(_Seen(case.name, faults=(first,)))
            continue
        notes = (REUSED,) if before is not None and _overwritten(before) else ()
        leaves, sides = _judged(question, first)
        as_float32 = notes_of(case, solution, first.answer, question.noise, leaves, given)
        faults, again = _repeated(fn, question, first)
        if first.changed:
            words = f"changes its arguments ({_listed(first.changed)}); work on copies"
            faults = (Fault("mutates", words), *faults)
        asked = _asked(question, first, leaves)
        seen.append(_Seen(case.name, leaves, faults, (*notes, *sides, *again), as_float32, first, asked))
        if any(fault.id == "accumulates" for fault in faults) or (given is None and first.dtype != "float64"):
            break
        before = first
        if case.name == "partial batch" and not faults and not again:
            small = (question, first)
        # once more after a larger batch that is another one than before the first call
        elif small is not None and len(case.inputs) > len(small[0].case.inputs):
            fault, again = _after_another(fn, *small)
            place = next(i for i, one in enumerate(seen) if one.name == "partial batch")
            seen[place] = seen[place]._replace(faults=fault, notes=seen[place].notes + again)
            small = None
    return seen


def _asked(question: _Question, call: Call, leaves: tuple[Leaf, ...]) -> Asked | None:
    """A wrong answer, in copies that no later call overwrites; None for one that is right, or has no arrays."""
    if all(leaf.verdict is not Verdict.WRONG for leaf in leaves):
        return None
    own = {path: leaf.astype(DTYPES[call.dtype]) for path, leaf in call.leaves.items() if isinstance(leaf, np.ndarray)}
    if len(own) < len(call.leaves):  # of other shapes, as in the other layout
        given = _copied(call.answer)
        return None if given is None else Asked(*question, given, leaves, group=question.case.name)
    params = [(own[f"params[{i}].weights"], own.get(f"params[{i}].bias")) for i in range(len(question.case.params))]
    deltas = [own[path] for path in own if path.startswith("deltas")] or None
    given = Gradients(params, own.get("loss"), own.get("outputs"), deltas, own.get("ct_inputs"))
    return Asked(*question, given, leaves, group=question.case.name)


def _copied(answer: Gradients) -> Gradients | None:
    """An answer in arrays of its own, in whatever shapes; None if it is not in arrays."""

    def copied(value: Any) -> Any:
        return None if value is None else np.array(value)

    try:
        layers = [weights_and_bias(f"params[{i}]", layer) for i, layer in enumerate(answer.params)]
        params = [tuple(map(copied, layer)) for layer in layers]
        deltas = None if answer.deltas is None else list(map(copied, answer.deltas))
        return Gradients(params, copied(answer.loss), copied(answer.outputs), deltas, copied(answer.ct_inputs))
    except (TypeError, ValueError):
        return None


def _judged(question: _Question, call: Call) -> tuple[tuple[Leaf, ...], tuple[str, ...]]:
    """The verdicts on a call, and notes about the side that it takes at kinks, if that is another than the network's.

    Units that are meant to be at their kink influence no other layer, so the side is a matter of each layer alone.
    """
    case = question.case
    leaves = {leaf.path: leaf for leaf in judge(*question, call.answer)}
    sides: dict[str, list[int]] = {}
    for side in SIDES:
        open_ = {layer_of(path) for path, leaf in leaves.items() if leaf.cause is Cause.KINK}
        if not open_ or case.name != "at the kink":
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
            f"exactly at the kink, z = 0, your function takes the derivative of the {side} in {where}; the network"
            f" declares {declared} there: either is right"
        )
    return tuple(leaves.values()), tuple(notes)


# several calls


def _repeated(fn: Function, question: _Question, first: Call) -> tuple[tuple[Fault, ...], tuple[str, ...]]:
    """What a second call with the same numbers shows, and a third: faults and notes."""
    second = called(fn, question.case)
    if isinstance(second, Fault):
        return (second._replace(sentence=f"{second.sentence}, when called again with the same numbers"),), ()
    apart, where = _apart(question, first, second)
    if apart == 0:
        return (), ()
    third = called(fn, question.case)
    if not isinstance(third, Fault) and _accumulates(question, first, second, third):
        words = "adds the gradients of earlier calls; set them to zero before each call. No other case was tried"
        return (Fault("accumulates", words),), ()
    if apart <= 1:
        return (), (IRREPRODUCIBLE,)
    words = (
        f"gives another {where} when called again with the same numbers: something is kept between calls, is random,"
        " or is read before it is set"
    )
    return (Fault("nondeterministic", words),), ()


def _after_another(fn: Function, question: _Question, first: Call) -> tuple[tuple[Fault, ...], tuple[str, ...]]:
    """What the same numbers give after another batch than before: faults and notes."""
    again = called(fn, question.case)
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


def _apart(question: _Question, first: Call, second: Call) -> tuple[float, str]:
    """How far two answers differ, at the worst array, and which that is.

    Rounding may bring a unit to the other side of its kink, but not where it is exactly there.

    Returns:
        0 if they are the same; at most 1 if rounding explains it; else infinity.
    """
    worst, where = 0.0, ""
    flips = question.case.name != "at the kink"
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


def _accumulates(question: _Question, *calls: Call) -> bool:
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


def _merged(cases: Sequence[Case], seen: Sequence[_Seen], precision: str, notes: tuple[str, ...] = ()) -> Report:
    leaves = tuple(replace(leaf, group=one.name) for one in seen for leaf in one.leaves)
    where: dict[Fault, list[str]] = {}
    for one in seen:
        for fault in one.faults:
            where.setdefault(fault, []).append(one.name)
    findings = tuple(
        Finding(fault.id, Verdict.WRONG, f"{_where(names, len(cases))} your function {fault.sentence}.")
        for fault, names in where.items()
    )
    wrong = [one for one in seen if any(leaf.verdict is Verdict.WRONG for leaf in one.leaves)]
    if wrong and all(one.as_float32 for one in wrong):
        notes += wrong[0].as_float32
    elif not findings:
        notes += _pattern({one.name: one in wrong for one in seen})
    random = any(finding.id == "nondeterministic" for finding in findings)
    said = dict.fromkeys(note for one in seen for note in one.notes)
    notes += tuple(note for note in said if not (random and note == IRREPRODUCIBLE))
    report = report_on(cases[0], precision_named(precision), leaves, notes)
    samples = sum(len(case.inputs) for case in cases[: len(seen)])
    adds = any(finding.id == "accumulates" for finding in findings)
    excluded = () if adds else ("accumulated",)  # every call was made twice
    finder = partial(diagnose_several, [one.asked for one in seen if one.asked is not None], excluded)
    name = f"{len(seen)} telling cases"
    return replace(report, name=name, samples=samples, findings=findings, finder=finder)


def _pattern(wrong: Mapping[str, bool]) -> tuple[str, ...]:
    """What the cases that are wrong have in common, by whether each is."""
    names = {name for name, is_wrong in wrong.items() if is_wrong}
    if len(names) == 1:
        [name] = names
        return (f"only the case '{name}' is wrong. It is about {PURPOSES[name]}",)
    if names == {"partial batch", "one sample"}:
        return ("only batches smaller than the first one are wrong: is the number of its samples kept?",)
    if names == set(wrong) - {"one sample"}:
        return ("one sample is right, several are not: look at sums, means and factors 1/n over samples",)
    return ()


def _where(names: Sequence[str], total: int) -> str:
    if len(names) == total:
        return "in every case"
    return f"in the case{'s' if len(names) > 1 else ''} {_listed([repr(name) for name in names])}"


def _listed(words: Sequence[str]) -> str:
    shown = [*words[:3], f"{len(words) - 3} more"] if len(words) > 4 else list(words)
    return " and ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else shown[0]
