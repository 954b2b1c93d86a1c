"""Which operations of a tape are the same line of the person's function, called several times, and where that is."""

from itertools import pairwise
from typing import Any

from functional_mlp.oracle.traced.diagnosis.replay.tape import LoopPart, Step, Tape
from functional_mlp.oracle.traced.tracing import Place, place_of


def places_of(tape: Tape) -> list[Place | None]:
    """By place: where it is in the person's code; None if that is not known.

    What `jit` compiles is traced once, and keeps the line from which it was first called: there the call counts, unless
    the compiled function is the person's own, which its name tells.
    """
    firsts: dict[int, Step] = {}
    for step in tape.steps:
        firsts.setdefault(step.place, step)
    return [_place(tape.calls[i], firsts[i]) for i in range(len(tape.calls))]


def _place(calls: tuple[Any, ...], step: Step) -> Place | None:
    chain = [*calls, step.equation.equation if isinstance(step.equation, LoopPart) else step.equation]
    place = place_of(chain[0])
    for call, inner in pairwise(chain):
        if call.primitive.name not in ("jit", "pjit", "closed_call", "core_call"):
            place = place_of(inner) or place
            continue
        own = place_of(inner)
        if own is None or own.function != call.params.get("name"):
            break
        place = own
    return place


def sites_of(tape: Tape, places: list[Place | None]) -> list[int]:
    """By place: the same number for the same operation of the same expression, as often as it is called."""
    names: dict[int, str] = {step.place: step.name for step in tape.steps}
    grouped: dict[Any, list[int]] = {}
    for i, place in enumerate(places):
        grouped.setdefault(place if place is not None else i, []).append(i)
    sites, count = [0] * len(places), 0
    for members in grouped.values():
        period = _period([names[i] for i in members])
        for order, i in enumerate(members):
            sites[i] = count + order % period
        count += period
    return sites


def _period(row: list[str]) -> int:
    """After how many a row begins again, to the end."""
    return next(p for p in range(1, len(row) + 1) if not len(row) % p and row == row[:p] * (len(row) // p))
