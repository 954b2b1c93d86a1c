"""Faults that are in no catalogue: what they do has no name, and none must be said."""

from collections.abc import Callable, Sequence

import numpy as np

from benchmarks.accuracy.field.elementwise import Array
from benchmarks.accuracy.field.faults.registry import (
    Edit,
    Fault,
    at_once,
    batch,
    both,
    every,
    having,
    hidden,
    sending,
)
from benchmarks.accuracy.field.formulas import Gradients, Tape
from benchmarks.accuracy.field.problems import Family

Change = Callable[[list[Array], np.random.Generator], None]


def _drawn(family: Family, rng: np.random.Generator) -> float:
    """The seed of a fault that draws numbers of its own."""
    return float(rng.integers(1 << 30))


def _exponent(family: Family, rng: np.random.Generator) -> float:
    return float(rng.choice((1.1, 1.3, 0.7)))


def _to_arrays(change: Change) -> dict[str, Edit]:
    """The arrays that are handed over, changed in place."""

    def edit(tape: Tape, layer: int, before: Callable[[], Gradients], seed: float) -> Gradients:
        pairs = [(weights.copy(), None if bias is None else bias.copy()) for weights, bias in before()]
        change([array for pair in pairs for array in pair if array is not None], np.random.default_rng(int(seed)))
        return pairs

    return {"hand over": edit}


def _several(arrays: Sequence[Array], rng: np.random.Generator, least: int = 2) -> Array:
    """One of the arrays that have several entries."""
    able = [array for array in arrays if array.size >= least]
    return able[rng.integers(len(able))]


def _one_entry(arrays: list[Array], rng: np.random.Generator) -> None:
    array = _several(arrays, rng)
    array.flat[rng.integers(array.size)] += np.abs(array).max() * rng.uniform(0.3, 2) * rng.choice((-1, 1))


def _noise(arrays: list[Array], rng: np.random.Generator) -> None:
    for array in arrays:
        array += 1e-3 * np.abs(array).max() * rng.normal(size=array.shape)


def _noise_on_one(arrays: list[Array], rng: np.random.Generator) -> None:
    array = _several(arrays, rng)
    array += np.abs(array).max() * rng.normal(size=array.shape)


def _shuffled(arrays: list[Array], rng: np.random.Generator) -> None:
    """The entries of an array in another order."""
    array = _several(arrays, rng, least=4)
    array.flat[:] = rng.permutation(array.ravel())


def _entry_from_elsewhere(arrays: list[Array], rng: np.random.Generator) -> None:
    to = int(rng.integers(len(arrays)))
    to = to if arrays[to].size > 1 else 0
    source = arrays[to - 1]
    arrays[to].flat[rng.integers(arrays[to].size)] = source.flat[rng.integers(source.size)]


def _power(arrays: list[Array], rng: np.random.Generator) -> None:
    array = _several(arrays, rng)
    array[...] = np.sign(array) * np.abs(array) ** array.dtype.type(rng.choice((0.9, 1.2, 3)))


def _sorted(arrays: list[Array], rng: np.random.Generator) -> None:
    array = _several(arrays, rng, least=4)
    array.flat[:] = np.sort(array.ravel())


def _rounded(arrays: list[Array], rng: np.random.Generator) -> None:
    array = _several(arrays, rng)
    largest = np.abs(array).max()
    array[...] = np.round(array / largest, 1) * largest


_smooth = ("sigmoid", "tanh", "softplus", "silu", "gelu")
_in_hidden = both(hidden, having(*_smooth))


def _cubed(tape: Tape, layer: int, before: Callable[[], Array], number: float) -> Array:
    return before() ** 3


def _stretched(tape: Tape, layer: int, before: Callable[[], Array], factor: float) -> Array:
    kept, tape.Z[layer] = tape.Z[layer], factor * tape.Z[layer]
    made = before()
    tape.Z[layer] = kept
    return made


INVENTED = (
    Fault("", "one entry changed", _to_arrays(_one_entry), number=_drawn),
    Fault("", "noise of 1e-3", _to_arrays(_noise), number=_drawn),
    Fault("", "an array of noise", _to_arrays(_noise_on_one), number=_drawn),
    Fault("", "the entries of an array shuffled", _to_arrays(_shuffled), number=_drawn),
    Fault("", "an entry of another array", _to_arrays(_entry_from_elsewhere), number=_drawn),
    Fault("", "an array to a power", _to_arrays(_power), number=_drawn),
    Fault("", "the entries of an array sorted", _to_arrays(_sorted), number=_drawn),
    Fault("", "an array rounded to few steps", _to_arrays(_rounded), number=_drawn),
    Fault("", "the delta cubed", {"through": _cubed}, every, where=at_once),
    Fault(
        "",
        "the delta's sign times its root",
        {"through": lambda tape, i, before, c: np.sign(before()) * np.sqrt(np.abs(before()))},
        hidden,
        where=at_once,
    ),
    Fault("", "f(1.1 z) for f(z)", {"activate": _stretched}, _in_hidden, number=_exponent),
    Fault(
        "",
        "1 / (1 + z^2) for f'(z)",
        {"through": lambda tape, i, before, c: tape.ct[i] / (1 + tape.Z[i] ** 2)},
        having(*_smooth, "relu"),
    ),
    Fault(
        "",
        "f' to a power",
        {"through": lambda tape, i, before, c: tape.ct[i] * np.abs(before() / tape.ct[i]) ** c},
        having("sigmoid", "tanh"),
        number=_exponent,
    ),
    Fault(
        "",
        "samples exchanged on the way back",
        {"send": lambda tape, i, before, c: np.random.default_rng(int(c)).permutation(before())},
        sending,
        where=batch,
        number=_drawn,
    ),
    Fault(
        "",
        "units exchanged on the way back",
        {"send": lambda tape, i, before, c: np.random.default_rng(int(c)).permutation(before(), axis=1)},
        sending,
        where=at_once,
        number=_drawn,
    ),
    Fault(
        "",
        "the weights' squares on the way back",
        {"send": lambda tape, i, before, c: tape.delta[i] @ (tape.W[i] ** 2).T},
        sending,
    ),
    Fault(
        "",
        "activations squared in dW",
        {"weights": lambda tape, i, before, c: (tape.A[i] ** 2).T @ tape.delta[i]},
        every,
    ),
)
