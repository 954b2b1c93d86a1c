"""Fitting the free number of a mistake to the numbers that were given."""

from collections.abc import Collection

import numpy as np

from functional_mlp.oracle.diagnosis.candidates import Arrays, Discrepancy, Slips
from functional_mlp.oracle.diagnosis.differences import differences_on_grid
from functional_mlp.oracle.diagnosis.matching import CLEAR, CLEAR_OF_FIT, explained_by, injected_by, loosened, matched
from functional_mlp.oracle.mistakes import MISTAKES, site_of

FIT_STEPS = 12
NUDGE, NUDGE_OF_STEP = 1e-6, 1e-2  # of a number, relative, to see what it changes; of a step that magnifies rounding
ALIGNED = 0.7  # cosine of what is missing with what the number changes, from which on it is fitted


def fitted(question: Discrepancy, group: Slips) -> tuple[Slips, Arrays] | None:
    """A mistake with the number that explains everything; None if there is none."""
    slip, parameter = group[0], MISTAKES[group[0].id].parameter
    if parameter is None or parameter.vector is not None:
        return None
    site = site_of(question.prepared, MISTAKES[slip.id], slip.layer, slip.variant)
    gradients = [array for path, array in question.given.items() if path.startswith("params")]
    for value in parameter.starts(site) if parameter.read is None else (parameter.read(site, gradients),):
        fitting: float | None = value  # type: ignore[assignment]
        if parameter.choices is None:
            fitting = _fit(question, group, value, [question.first])  # type: ignore[arg-type]
            if fitting is not None and len(question.given) > 1:
                fitting = _fit(question, group, fitting, question.given)
        if fitting is not None and parameter.whole:
            fitting = float(round(fitting))
        times = CLEAR if parameter.choices else CLEAR_OF_FIT
        arrays = None if fitting is None else explained_by(question, _valued(group, fitting), question.first, times)
        if arrays is not None:
            return _valued(group, fitting), arrays
    return None if parameter.magnified is None else _on_grid(question, group)


def _on_grid(question: Discrepancy, group: Slips) -> tuple[Slips, Arrays] | None:
    """Finite differences whose numbers rounding has spoilt, known by the grid that they lie on."""
    if question.rate is not None:  # what a step subtracts lies on the grid of the parameters
        return None
    numbers = [array.ravel() for path, array in question.given.items() if path.startswith("params")]
    if not numbers:
        return None
    for found in differences_on_grid(np.concatenate(numbers), question.loss, question.unit):
        own = tuple(slip._replace(variant=found.variant, value=found.value) for slip in group)
        arrays = explained_by(question, own, question.first, times=0.0)  # within this noise the right numbers match too
        if arrays is not None:
            return own, arrays
    return None


def _valued(group: Slips, value: float | None) -> Slips:
    return tuple(slip._replace(value=value) for slip in group)


def _fit(question: Discrepancy, group: Slips, value: float, paths: Collection[str]) -> float | None:
    """The number that explains some arrays, by Gauss-Newton steps; None where they lead nowhere."""
    parameter, before = MISTAKES[group[0].id].parameter, np.inf
    relative = NUDGE if parameter is None or parameter.magnified is None else NUDGE_OF_STEP
    for step in range(FIT_STEPS):
        own = injected_by(question, _valued(group, value), paths)
        if own is None:
            return None
        if len(matched(loosened(question, _valued(group, value)), own)) == len(paths):
            return value
        nudge = relative * max(abs(value), 1e-6)
        there = injected_by(question, _valued(group, value + nudge), paths)
        if there is None:
            return None
        with np.errstate(all="ignore"):
            slopes = {path: (there[path] - own[path]) / nudge for path in paths}
            gaps = {path: question.given[path] - own[path] for path in paths}
            distance = sum(float(np.sum(gap**2)) for gap in gaps.values())
            over = sum(float(np.sum(slopes[path] * gap)) for path, gap in gaps.items())
            under = sum(float(np.sum(slope**2)) for slope in slopes.values())
        # what is missing points where the number leads; near a solution the distance falls fast, and before it may rise
        leads = under > 0 and np.isfinite(over) and abs(over) >= ALIGNED * under**0.5 * distance**0.5
        if not leads or (step > 2 and not distance < before / 2):
            return None
        value, before = value + over / under, distance
    return None
