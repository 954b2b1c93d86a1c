"""What mistake in the backward pass made these numbers: in sentences, with lines of the person's own function."""

from collections.abc import Iterator, Sequence

import numpy as np

from functional_mlp._dtypes import Array
from functional_mlp.oracle.report import NOT_SEARCHED, RELATED, UNSEARCHED, Explanation
from functional_mlp.oracle.traced.diagnosis.changes import PATH, RULE, VALUE
from functional_mlp.oracle.traced.diagnosis.matching import Factor
from functional_mlp.oracle.traced.diagnosis.relations import Relation, relations_of
from functional_mlp.oracle.traced.diagnosis.replay import Tape, TooLargeError, places_of, record
from functional_mlp.oracle.traced.diagnosis.search import Match, matches_of
from functional_mlp.oracle.traced.diagnosis.target import Target, target_of
from functional_mlp.oracle.traced.diagnosis.wording import Wording
from functional_mlp.oracle.traced.noise import Floor
from functional_mlp.oracle.traced.tracing import Place, Trace
from functional_mlp.oracle.truth import float64_on_cpu

MOST_TIES = 8
AT_ONE_PLACE = frozenset(
    {"missing", "sign", "scaled", "rule", "value", "truncated"}
)  # kinds that say more than a whole


def diagnose(
    trace: Trace, floors: Sequence[Floor], given: Sequence[Array | None], paths: Sequence[str]
) -> Explanation | None:
    """The change of the backward pass that reproduces the given gradients, to within the noise.

    What is named reproduces every entry of every array that was given, and explains far more than chance would: random
    errors get no name. Of several that do so the likeliest is named, the others are its ties.

    Args:
        trace: of the function and its VJP.
        floors: of the results of the trace, outputs first.
        given: the gradients, float64; None for those that were not given, or have another shape.
        paths: their names.

    Returns:
        None if nothing was found, or nothing is wrong. An explanation of kind "related" says how numbers are related
        to the right ones, and knows no reason; one of kind "unsearched", that the function was too large to be searched
        and whole arrays say nothing.
    """
    with float64_on_cpu(), np.errstate(all="ignore"):
        of_gradients = floors[trace.outputs :]
        target = target_of(list(given), [np.asarray(f.true) for f in of_gradients], list(of_gradients))
        if not any(target.wrong):
            return None
        whole = _of_arrays(relations_of(target, paths), target, paths)
        simple = whole is not None and whole.kind != RELATED and not whole.unexplained
        try:
            tape = record(trace.forward, list(trace.operands[: len(target.true)]))
        except TooLargeError:
            return (
                Explanation(NOT_SEARCHED, UNSEARCHED, searched=False)
                if whole is None
                else whole._replace(searched=False)
            )
        found = list(_of_changes(tape, trace, target, paths, pairs=not simple))
        named = [e for e in found if e.kind != RELATED]
        if simple and whole is not None:
            named.insert(1 if named and named[0].kind in AT_ONE_PLACE else 0, whole)
        if named:
            return named[0]._replace(ties=tuple(e for e in named[1:] if e.sentence != named[0].sentence)[:MOST_TIES])
        return whole if whole is not None else next(iter(found), None)


def _of_changes(
    tape: Tape, trace: Trace, target: Target, paths: Sequence[str], *, pairs: bool
) -> Iterator[Explanation]:
    """What was found at places of the function, the likeliest first."""
    cts = list(trace.operands[len(target.true) :])
    places = places_of(tape)
    wording = Wording(tape, places, paths)
    matches = sorted(matches_of(tape, cts, target, places, pairs=pairs), key=_likelihood)
    arrays = tuple(path for path, wrong in zip(paths, target.wrong, strict=True) if wrong)
    for match in matches:
        yield _explained(match, wording, arrays)


def _likelihood(match: Match) -> tuple[int, int]:
    """What people do most comes first; of the rest, what most edges have in common."""
    if match.variant is not None:
        return 3, 0
    first = match.candidates[0]
    if match.second:
        return 5, 0
    if first.kind == PATH and match.factor is not None:
        order = 0 if match.factor.value == 0 else 1 if match.factor.value in (-1.0, 2.0, 0.5) else 3
        return (order if match.factor.words else 6), -len(match.candidates)
    return {RULE: 2, VALUE: 4}[first.kind], 0


def _explained(match: Match, wording: Wording, arrays: tuple[str, ...]) -> Explanation:
    variant = match.variant
    if variant is not None:
        if variant.place is None:
            return Explanation(f"this is another gradient: {variant.words}", "function", None, (), arrays, match.digits)
        at = wording.at(wording.tape.steps[max(variant.instead)])
        sentence = f"this is the gradient of another function: {variant.words}, in {at}"
        return Explanation(sentence, "function", None, _known([wording.places[variant.place]]), arrays, match.digits)
    sentence = wording.of_group(match.candidates, match.factor)
    chosen = wording.likeliest(match.candidates, match.factor)
    others = [wording.places[c.place] for c in match.candidates]
    places = [*wording.within(chosen), *others]
    if match.second:
        second = match.second[0]
        sentence = f"{sentence}; and {wording.of_group(match.second, second.factor)}"
        places.insert(1, wording.places[second.place])
    return Explanation(
        sentence,
        _kind(match),
        None if match.factor is None or match.second else match.factor.value,
        _known(places),
        arrays,
        match.digits,
    )


def _kind(match: Match) -> str:
    if match.second:
        return "two"
    first = match.candidates[0]
    if first.kind != PATH or match.factor is None:
        return "truncated" if "truncated" in first.words else "value" if first.kind == VALUE else "rule"
    if not match.factor.words:
        return RELATED
    return {0.0: "missing", -1.0: "sign"}.get(match.factor.value, "scaled")


def _known(places: Sequence[Place | None]) -> tuple[Place, ...]:
    """Each once, in order."""
    return tuple(dict.fromkeys(place for place in places if place is not None))


def _as_number(factor: Factor) -> str:
    perhaps = f": perhaps it {factor.perhaps}" if factor.perhaps else ""
    return f"is {factor.shown()} times the right one{perhaps}"


def _of_arrays(found: Sequence[Relation], target: Target, paths: Sequence[str]) -> Explanation | None:
    if not found:
        return None
    wrong = [i for i, w in enumerate(target.wrong) if w]
    parts: dict[str, list[str]] = {}
    for r in found:
        words = r.words or (_as_number(r.factor) if r.factor else "")
        parts.setdefault(words, []).append(paths[r.array])
    sentence = "; ".join(
        f"the gradient of {' and '.join(names)} {words}"
        if len(names) == 1
        else f"each of those of {', '.join(names)} {words}"
        for words, names in parts.items()
    )
    kinds = {r.kind if r.words else RELATED for r in found}
    factors = {r.factor.value for r in found if r.factor is not None}
    explained = {r.array for r in found}
    return Explanation(
        sentence,
        RELATED if RELATED in kinds else kinds.pop() if len(kinds) == 1 else "several",
        factors.pop() if len(factors) == 1 else None,
        (),
        tuple(paths[i] for i in wrong if i in explained),
        min(r.digits for r in found),
        unexplained=tuple(paths[i] for i in wrong if i not in explained),
    )
