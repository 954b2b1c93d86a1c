"""Faults of sums, means and constant factors: of everything, of one kind of array, of one array, of some samples."""

from collections.abc import Callable, Sequence

import numpy as np

from benchmarks.accuracy.field.elementwise import Array
from benchmarks.accuracy.field.faults.registry import (
    ALL,
    BIASES,
    DATA,
    WEIGHTS,
    Before,
    Draw,
    Edit,
    Factors,
    Fault,
    Where,
    anywhere,
    at_once,
    batch,
    either_of,
    every,
    factors,
    loss_in,
    mean,
    several,
    several_units,
    total,
)
from benchmarks.accuracy.field.formulas import Style, Tape
from benchmarks.accuracy.field.problems import Family

Factor = Callable[[Family, float], float]  # of the family and the number of the fault


def _present(tape: Tape) -> Family:
    """The family, with as many samples as there are."""
    return tape.family._replace(samples=tape.n)


def _everywhere(mistake: str, name: str, factor: Factor, where: Where = anywhere, number: Draw | None = None) -> Fault:
    """The cotangent at the outputs times a factor."""
    return Fault(
        mistake,
        name,
        {"error": lambda tape, i, before, c: before() * factor(_present(tape), c)},
        where=where,
        number=number,
        factors=lambda family, layers, c: factors(family, family.layers, DATA, factor(family, c)),
    )


def _of(place: str, mistake: str, name: str, factor: Factor, where: Where) -> Fault:
    """The sums of one kind of array, in one layer or in all, times a factor."""
    rows = WEIGHTS if place == "weights" else BIASES
    return Fault(
        mistake,
        name,
        {place: lambda tape, i, before, c: before() * factor(_present(tape), c)},
        layers=every,
        where=where,
        factors=lambda family, layers, c: factors(family, layers, rows, factor(family, c)),
    )


def _n(family: Family, c: float) -> float:
    return float(family.samples)


def _per_n(family: Family, c: float) -> float:
    return 1 / family.samples


def _weighted(weights: Callable[[int], Array]) -> dict[str, Edit]:
    """Each sample counts so many times in the sums."""

    def edit(tape: Tape, layer: int, before: Before, number: float) -> Array:
        kept = tape.delta[layer]
        tape.delta[layer] = kept * np.asarray(weights(len(kept)), kept.dtype)[:, None]
        made = before()
        tape.delta[layer] = kept
        return made

    return {"weights": edit, "bias": edit}


def _uneven(name: str, mistake: str, weights: Callable[[int], Array], where: Where = batch) -> Fault:
    return Fault(mistake, name, _weighted(weights), layers=every, whole=True, where=where)


def _several_batches(family: Family, style: Style) -> bool:
    return batch(family, style) and family.samples > 2


def _mean_over_outputs(family: Family, style: Style) -> bool:
    return family.over_outputs == "mean" and family.outputs > 1


def _sum_over_outputs(family: Family, style: Style) -> bool:
    return family.loss is not None and family.over_outputs == "sum" and family.outputs > 1


def _some(rows: Sequence[int]) -> Factors:
    return lambda family, own, c: factors(family, own, rows, c)


_array = either_of(2.0, 4.0, 0.5, 3.0, 0.1, -1.0)

REDUCTIONS = (
    _everywhere("mean-missing", "the mean's 1/n missing", _n, mean),
    _everywhere("mean-added", "1/n under a sum", _per_n, total),
    _everywhere("everything-divided-twice", "1/n twice", _per_n, mean),
    _everywhere(
        "outputs-summed-not-averaged", "the mean's 1/K missing", lambda f, c: float(f.outputs), _mean_over_outputs
    ),
    _everywhere("outputs-averaged-not-summed", "1/K under a sum", lambda f, c: 1 / f.outputs, _sum_over_outputs),
    _everywhere(
        "squared-error-factor",
        "a factor 2 or 1/2 of the square",
        lambda f, c: c,
        loss_in("squared_error"),
        either_of(2.0, 0.5),
    ),
    _everywhere(
        "loss-scaled",
        "a constant factor",
        lambda f, c: c,
        lambda family, style: family.loss is not None,
        either_of(3.0, 0.25, 0.1, 100.0),
    ),
    _everywhere("sample-count-off-by-one", "1/(n - 1) for 1/n", lambda f, c: f.samples / max(f.samples - 1, 1), mean),
    _everywhere("sample-count-off-by-one", "1/(n + 1) for 1/n", lambda f, c: f.samples / (f.samples + 1), mean),
    _everywhere("sign-flipped", "target - output", lambda f, c: -1.0),
    _of("bias", "bias-gradient-averaged", "the bias's 1/n under a sum", _per_n, total),
    _of("weights", "weight-gradient-averaged", "the weights' 1/n under a sum", _per_n, total),
    _of("bias", "bias-divided-twice", "the bias's 1/n twice", _per_n, mean),
    _of("bias", "bias-gradient-summed", "the bias's 1/n missing", _n, mean),
    _of("weights", "weight-gradient-summed", "the weights' 1/n missing", _n, mean),
    *(
        Fault(
            "array-scaled",
            f"a factor on {what}",
            {place: lambda tape, i, before, c: before() * c for place in places},
            layers=able,
            number=_array,
            where=lambda family, style: not family.l2,
            factors=_some(rows),
        )
        for what, places, rows, able in (
            ("weight gradients", ("weights",), WEIGHTS, every),
            ("bias gradients", ("bias",), BIASES, several_units),  # one number by itself has every factor
        )
    ),
    Fault(
        "layer-sign-flipped",
        "a layer's gradients negated",
        {place: lambda tape, i, before, c: -before() for place in ("weights", "bias")},
        layers=every,
        where=lambda family, style: not family.l2,
        factors=lambda family, layers, c: factors(family, layers, ALL, -1.0),
    ),
    _uneven("never reset: n, n - 1, .., 1 times", "samples-weighted-unevenly", lambda n: np.arange(n, 0, -1.0)),
    _uneven("the first sample twice", "samples-weighted-unevenly", lambda n: 1.0 + (np.arange(n) == 0)),
    _uneven("one sample left out", "samples-weighted-unevenly", lambda n: np.arange(n) != n // 2, _several_batches),
    _uneven("a sum that starts at the second sample", "sample-count-off-by-one", lambda n: np.arange(n) > 0),
    _uneven("a sum that ends before the last sample", "sample-count-off-by-one", lambda n: np.arange(n) < n - 1),
    _uneven("the last sample only", "overwritten", lambda n: np.arange(n) == n - 1, _several_batches),
    Fault(
        "bias-from-one-sample",
        "the first sample's delta",
        {"bias": lambda tape, i, before, c: tape.delta[i][0]},
        every,
        where=batch,
    ),
    Fault(
        "bias-from-one-sample",
        "the last sample's delta",
        {"bias": lambda tape, i, before, c: tape.delta[i][-1]},
        every,
        where=batch,
    ),
    Fault(
        "bias-summed-to-scalar",
        "summed over units too",
        {"bias": lambda tape, i, before, c: np.full_like(before(), tape.delta[i].sum())},
        several_units,
        where=at_once,
    ),
    Fault(
        "scalar-broadcast",
        "the sum of the entries everywhere",
        {"weights": lambda tape, i, before, c: np.full_like(tape.W[i], before().sum())},
        every,
    ),
    Fault(
        "scalar-broadcast",
        "the mean of the entries everywhere",
        {"weights": lambda tape, i, before, c: np.full_like(tape.W[i], before().mean())},
        every,
    ),
    Fault(
        "bias-from-weight-gradient",
        "db summed from dW",
        {"bias": lambda tape, i, before, c: (tape.A[i].T @ tape.delta[i]).sum(axis=0)},
        every,
    ),
    Fault(
        "bias-summed-over-wrong-axis",
        "summed over units, not samples",
        {"bias": lambda tape, i, before, c: tape.delta[i].sum(axis=1)},
        layers=lambda family, style: [i for i in family.layers if family.sizes[i + 1] == family.samples],
        where=batch,
    ),
    Fault(
        "bias-never-computed", "no bias gradient", {"bias": lambda tape, i, before, c: np.zeros_like(before())}, every
    ),
    Fault(
        "layer-never-computed",
        "no gradients of a layer",
        {place: lambda tape, i, before, c: np.zeros_like(before()) for place in ("weights", "bias")},
        every,
        where=several,
    ),
)
