"""What a candidate has to reproduce: the numbers that were given, beside the right ones and how far they may stray."""

from typing import Any, NamedTuple

import numpy as np

from functional_mlp._dtypes import Array

FEWEST_PROBES, MOST_PROBES = 8, 32
WIDE = 20_000_000  # numbers that all probes together may move
SEED = 20_261_126


class Target(NamedTuple):
    """The gradients to be explained; all lists have one entry for each gradient.

    Attributes:
        given: the numbers; the right ones where none were given.
        true: the right ones.
        off: given - true.
        allowed: how far a program that computes the given numbers may stray; infinite where nothing can be said.
        wrong: whether an array has an entry that is farther off.
    """

    given: list[Array]
    true: list[Array]
    off: list[Array]
    allowed: list[Array]
    wrong: list[bool]


class Probe(NamedTuple):
    """Directions in the space of the gradients, along which candidates are compared first.

    Attributes:
        seeds: for each gradient (probes, *shape).
        off: what the given numbers are off by, along each.
        allowed: how far they may stray.
    """

    seeds: list[Array]
    off: Array
    allowed: Array


def target_of(given: list[Any], true: list[Array], floors: list[Any]) -> Target:
    """Where given numbers are larger than the right ones, so may their rounding be: floors grow with what is given."""
    numbers, off, allowed, wrong = [], [], [], []
    for g, t, floor in zip(given, true, floors, strict=True):
        if g is None or np.shape(g) != t.shape:
            numbers.append(t)
            off.append(np.zeros(t.shape))
            allowed.append(np.full(t.shape, np.inf))
            wrong.append(False)
            continue
        numbers.append(np.asarray(g, np.float64))
        with np.errstate(all="ignore"):
            error = numbers[-1] - t
            relative = min(_rms(floor.smooth) / max(_rms(t), 1e-300), 1.0)
            far = floor.smooth + floor.slack + np.abs(floor.centre - t)
            may = np.maximum(far, relative * (np.abs(numbers[-1]) + _rms(numbers[-1])))
        may = np.where(np.isfinite(may) & np.isfinite(t), np.maximum(may, 1e-300), np.inf)
        known = np.isfinite(may)
        off.append(np.where(known, error, 0.0))
        allowed.append(may)
        wrong.append(bool(np.any(~(np.abs(error) <= may) & known)))
    return Target(numbers, true, off, allowed, wrong)


def probes_of(target: Target, numbers: int) -> Probe:
    """Of each array some entries, the most telling ones of those that are wrong, and one direction of all.

    Args:
        target: what is to be explained.
        numbers: that move in one pass; the more, the fewer probes.
    """
    generator = np.random.default_rng(SEED)
    room = int(np.clip(WIDE // max(numbers, 1), FEWEST_PROBES, MOST_PROBES))
    wrong, arrays = sum(target.wrong), len(target.true)
    each = int(np.clip((room - arrays) // max(wrong, 1) - 1, 2, 8))
    entries: list[tuple[int, Any]] = []
    for i, is_wrong in enumerate(target.wrong):
        allowed = target.allowed[i].ravel()
        known = np.flatnonzero(np.isfinite(allowed))
        if not known.size:
            continue
        count = min(each if is_wrong else 1, known.size)
        telling = np.argsort(-np.abs(target.off[i].ravel()[known]) / allowed[known], kind="stable")
        chosen = known[telling[: (count + 1) // 2]] if is_wrong else known[:0]
        others = np.setdiff1d(known, chosen)
        rest = generator.choice(others, min(count - chosen.size, others.size), replace=False)
        entries += [(i, int(k)) for k in (*chosen, *rest)]
        if known.size > count:
            entries.append((i, known))
    seeds = [np.zeros((len(entries), t.size)) for t in target.true]
    off, may = np.zeros(len(entries)), np.zeros(len(entries))
    for row, (i, where) in enumerate(entries):
        weights = generator.choice([-1.0, 1.0], np.size(where)) if np.ndim(where) else 1.0
        seeds[i][row, where] = weights
        off[row] = np.sum(weights * target.off[i].ravel()[where])
        may[row] = np.sum(target.allowed[i].ravel()[where])
    return Probe([s.reshape(-1, *t.shape) for s, t in zip(seeds, target.true, strict=True)], off, may)


def _rms(a: Any) -> float:
    a = a[np.isfinite(a)] if np.ndim(a) else a
    return float(np.sqrt(np.mean(np.square(a)))) if np.size(a) else 0.0
