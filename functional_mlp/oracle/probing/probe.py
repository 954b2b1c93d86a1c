"""Probing somebody's code: it is asked several cases, its numbers are judged, and what it does as a program is seen.

Whoever asks hands in a function from a case to what came of it (`Ask`): a call in this process (`call.py`), or a
program of its own (`programs/`). Where a case may be put again, it is put twice, with fresh copies of the same numbers,
and a third time where the two answers differ (`repeats.py`). So code that keeps something between calls, or gives other
numbers each time, is found, whatever its gradients are.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from functional_mlp._dtypes import DTYPES
from functional_mlp.oracle.case import (
    FIELDS,
    Case,
    as_rows,
    declared_layer,
    delta_path,
    layer_of,
    pairs_in,
    parameter_path,
)
from functional_mlp.oracle.diagnosis import Asked
from functional_mlp.oracle.documents import Gradients
from functional_mlp.oracle.noise import Noise, Precision, estimate_noise, precision_named
from functional_mlp.oracle.probing.asking import Asking
from functional_mlp.oracle.probing.call import Ask, Call, Fault, Reference, Skipped, listed, restricted
from functional_mlp.oracle.probing.probe_cases import (
    FAR_TAIL,
    SIDES,
    at_kinks_of,
    far,
    is_explained,
    is_meant,
    purpose_of,
    remedied,
    with_side,
)
from functional_mlp.oracle.probing.repeats import after_another, is_overwritten, repeated
from functional_mlp.oracle.truth import solve
from functional_mlp.oracle.verdict import (
    MATERIAL,
    Cause,
    Hint,
    Leaf,
    Verdict,
    by_convention,
    hint_on,
    is_wrong,
    judge,
    notes_on_shapes,
    with_allowances,
)


class Probed(NamedTuple):
    """What is known of somebody's code from one case.

    Attributes:
        name: of the case.
        leaves: verdicts on the first answer.
        faults: of the program.
        notes: what changes no verdict.
        hint: of a wrong answer: in which other precision it would not be wrong, if in any.
        call: the first one, if it gave an answer.
        kept: the first answer, in arrays of its own.
        asked: the same with all that it was judged by, if it is wrong and to be explained.
        reference: the case with the truth about it.
        skipped: why the case was not answered, where it is not supported.
        beyond: of a case that is not what the code is made for: whether it has it right nevertheless; else None.
    """

    name: str
    leaves: tuple[Leaf, ...] = ()
    faults: tuple[Fault, ...] = ()
    notes: tuple[str, ...] = ()
    hint: Hint | None = None
    call: Call | None = None
    kept: Gradients | None = None
    asked: Asked | None = None
    reference: Reference | None = None
    skipped: str | None = None
    beyond: bool | None = None


SATURATED = ("near saturation", FAR_TAIL)
REUSED = "arrays that were returned are overwritten by the next call: correct, but whoever keeps them must copy them"


def probe_code(
    ask: Ask,
    cases: Sequence[Case],
    precision: str,
    given: str | None,
    *,
    repeat: bool = True,
    asking: Asking | None = None,
) -> list[Probed]:
    """The code with every case; it stops where gradients of earlier calls are added, or are of a narrower dtype.

    Args:
        ask: puts a case.
        cases: in the order of `draw_probe_cases`.
        precision: that the answers are judged as.
        given: the same if it was declared; else None.
        repeat: whether cases are put again, to see what is kept between them.
        asking: for which targets the code is made, and what of its answers is judged.
    """
    asking = Asking() if asking is None else asking
    ask = restricted(ask, asking.only)
    declared = precision_named(precision)
    probed: list[Probed] = []
    before: Call | None = None
    small: tuple[Reference, Call] | None = None
    for case in cases:
        first = ask(case)
        if not is_meant(case, asking):
            probed.append(_beyond(first, case, declared))
            continue
        if isinstance(first, Fault) and _is_beyond_float64(case) and before is not None:
            words = (
                f"it {first.sentence} where pre-activations are so large that their exponentials overflow in float64"
            )
            probed.append(Probed(case.name, beyond=False, notes=(f"{words}; right where they are not",)))
            continue
        if not isinstance(first, Call):
            unanswered = {"skipped": first.reason} if isinstance(first, Skipped) else {"faults": (first,)}
            probed.append(Probed(case.name)._replace(**unanswered))
            continue
        solution = solve(case)
        reference = Reference(case, solution, estimate_noise(case, solution, declared))
        reused = (REUSED,) if before is not None and is_overwritten(before) else ()
        leaves, sides = _judged(reference, first)
        material = np.inf if purpose_of(case) in SATURATED else MATERIAL
        allowed = with_allowances(
            *(*reference, first.answer, leaves), material=material, rejudge=partial(_rejudged, reference, first)
        )
        leaves, reference = allowed.leaves, reference._replace(noise=allowed.noise)
        hint = hint_on(case, solution, allowed.noise, allowed.given, leaves, given)
        overflowed = _overflowed(case, leaves, declared)
        if overflowed is not None:
            probed.append(overflowed)
            continue
        faults, again = repeated(ask, reference, first) if repeat else ((), ())
        if first.changed:
            words = f"changes its arguments ({listed(first.changed)}); work on copies"
            faults = (Fault("mutates", words), *faults)
        faults = (*first.faults, *faults)
        kept = _kept(first)
        wrong = is_wrong(leaves) and not is_explained(case, leaves)
        asked = None
        if wrong and kept is not None:
            kept_loss = kept.loss if allowed.given.loss is not None else None
            asked = Asked(*reference, kept._replace(loss=kept_loss), leaves, None, case.name, allowed.coarser)
        shapes = notes_on_shapes(case, first.answer.params)
        notes = (*first.notes, *reused, *sides, *allowed.notes, *again, *shapes)
        probed.append(Probed(case.name, leaves, faults, notes, hint, first, kept, asked, reference))
        if any(fault.id == "accumulates" for fault in faults) or (given is None and first.dtype != "float64"):
            break
        before = first
        if purpose_of(case) == "partial batch" and repeat and not faults and not again:
            small = (reference, first)
        # once more after a larger batch that is another one than before the first call
        elif small is not None and len(case.inputs) > len(small[0].case.inputs):
            fault, again = after_another(ask, *small)
            place = next(i for i, earlier in enumerate(probed) if earlier.reference is small[0])
            probed[place] = probed[place]._replace(faults=fault, notes=probed[place].notes + again)
            small = None
    return probed


def _beyond(first: Call | Fault | Skipped, case: Case, declared: Precision) -> Probed:
    """What an answer shows of a case that the code is not made for: whether it is right nevertheless."""
    if not isinstance(first, Call):
        return Probed(case.name, beyond=isinstance(first, Skipped))
    solution = solve(case)
    noise = estimate_noise(case, solution, declared)
    leaves = by_convention(case, solution, noise, first.answer, judge(case, solution, noise, first.answer)).leaves
    return Probed(case.name, beyond=not is_wrong(leaves))


def _overflowed(case: Case, leaves: tuple[Leaf, ...], declared: Precision) -> Probed | None:
    """What is noted of numbers that are not finite, in float64, whose exponentials nobody has overflow; else None."""
    remedy = next((leaf.remedy for leaf in leaves if leaf.cause is Cause.NOT_FINITE), "")
    if not _is_beyond_float64(case) or not remedy:
        return None
    largest, fixes = far(declared), remedy.partition(". ")[2]
    words = f"not finite at |z| = {largest:.0f}, where exponentials overflow in float64; in float32 they do so at 89"
    return Probed(case.name, beyond=False, notes=(f"{words}. {fixes}",))


def _is_beyond_float64(case: Case) -> bool:
    """Whether a case has pre-activations whose exponentials overflow in float64, which nobody's program meets."""
    return case.dtype == "float64" and purpose_of(case) == FAR_TAIL


def _kept(call: Call) -> Gradients | None:
    """An answer in copies that no later call overwrites, in the layout of its case; None if it is not in arrays."""
    arrays = {
        path: leaf.astype(DTYPES[call.dtype]) for path, leaf in call.leaves.items() if isinstance(leaf, np.ndarray)
    }
    if len(arrays) < len(call.leaves):  # of other shapes, as in the other layout
        return _copied(call.answer)
    layout, layers = call.case.layout, range(len(call.case.params))

    def laid_out(path: str) -> np.ndarray | None:
        array = arrays.get(path)
        return None if array is None else as_rows(array, layout)

    params = []
    for layer in layers:
        weights, bias = (arrays.get(parameter_path(layer, field)) for field in FIELDS)
        pair = {"bias": bias} if weights is None else declared_layer((weights, bias), layout)
        params.append((pair.get("weights"), pair.get("bias")))
    deltas = [array for layer in layers if (array := laid_out(delta_path(layer))) is not None] or None
    more: dict[str, Any] = {"deltas": deltas} | {name: laid_out(name) for name in ("outputs", "ct_inputs")}
    return call.answer._replace(params=params, loss=arrays.get("loss"), **more)


def _copied(answer: Gradients) -> Gradients | None:
    """An answer in arrays of its own, in whatever shapes; None if it is not in arrays."""

    def copied(value: Any) -> Any:
        return None if value is None else np.array(value)

    try:
        params = [tuple(map(copied, pair)) for pair in pairs_in(answer.params)]
        deltas = None if answer.deltas is None else list(map(copied, answer.deltas))
        more = {"deltas": deltas} | {name: copied(getattr(answer, name)) for name in ("loss", "outputs", "ct_inputs")}
        return answer._replace(params=params, **more)
    except (TypeError, ValueError):
        return None


def _rejudged(
    reference: Reference, first: Call, noise: Noise, given: Gradients
) -> tuple[tuple[Leaf, ...], tuple[str, ...]]:
    return _judged(reference._replace(noise=noise), first._replace(answer=given))


def _judged(reference: Reference, call: Call) -> tuple[tuple[Leaf, ...], tuple[str, ...]]:
    """The verdicts on a call, and notes about the side that it takes at kinks, if that is another than the network's.

    Units that are meant to be at their kink influence no other layer, so the side is a matter of each layer alone.
    """
    case = reference.case
    leaves = {leaf.path: leaf for leaf in judge(*reference, call.answer)}
    if purpose_of(case) == FAR_TAIL:
        return remedied(list(leaves.values()), case, reference.noise.precision), ()
    sides: dict[str, list[int]] = {}
    for side in SIDES:
        undecided = {layer_of(path) for path, leaf in leaves.items() if leaf.cause is Cause.KINK}
        if not undecided or purpose_of(case) != "at the kink":
            break
        other = with_side(case, side)
        solution = solve(other)
        noise = estimate_noise(other, solution, reference.noise.precision)
        by_side = {leaf.path: leaf for leaf in judge(other, solution, noise, call.answer)}
        for layer in sorted(layer for layer in undecided if layer >= 0):
            of_layer = {path: leaf for path, leaf in by_side.items() if layer_of(path) == layer}
            if all(leaf.verdict is not Verdict.WRONG and leaf.cause is not Cause.KINK for leaf in of_layer.values()):
                leaves |= of_layer
                sides.setdefault(side, []).append(layer)
    notes = []
    for side, layers in sides.items():
        names = dict.fromkeys(case.network.activations[layer].name for layer in layers)
        where = f"layer{'s' if len(layers) > 1 else ''} {listed(list(map(str, layers)))} ({listed(list(names))})"
        activations = [case.network.activations[layer] for layer in layers]
        declared = listed(list(dict.fromkeys(words for activation in activations for words in at_kinks_of(activation))))
        notes.append(
            f"exactly at the kink, the derivative of the {side} is taken in {where}; the network declares {declared}:"
            " either is right"
        )
    return tuple(leaves.values()), tuple(notes)
