"""Arguments that tell right code from wrong, made from an example of them.

What a function accepts is known only from the example: what is positive there stays positive, rows that sum to 1 go on
doing so, symmetric matrices stay symmetric, infinities stay where they are. What lies outside of the function's domain
nevertheless is found by its truth, which is not finite then, and left out.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from functional_mlp._dtypes import DTYPES, Array
from functional_mlp.oracle.noise import Precision
from functional_mlp.oracle.traced.question import Called
from functional_mlp.oracle.verdict import coarsest

SPREAD = 0.3  # of what is drawn, relative to the example
OFFSETS = {"float64": 100.0, "float32": 100.0}  # in standard deviations; in narrower formats it is NARROW_OFFSET
NARROW_OFFSET = 4.0
SMALL, LARGE = 1e-3, 30.0
LEVELS = 0.5  # in standard deviations, of numbers that tie
BEYOND = 1.07  # times the logarithm of the largest number: there exponentials overflow
FEW = 0.25  # of the entries are so far out

# what each draw is about, and whether it is meant to decide: every array must be decided in one of those that are
PURPOSES: Mapping[str, tuple[str, bool]] = {
    "as given": ("the arguments that were given", True),
    "drawn": ("other numbers of the same kind", True),
    "not contiguous": ("the same numbers with other strides in memory", True),
    "repeated indices": ("indices of which many are the same, as labels are and rows of an embedding", True),
    "one sample": ("a first axis of length 1", True),
    "small numbers": ("numbers a thousand times smaller, as where an epsilon shows", False),
    "large numbers": ("numbers 30 times larger", False),
    "far from zero": ("numbers whose mean is large beside their spread, as where digits cancel", False),
    "ties and zeros": ("equal numbers and zeros, as at kinks, in maxima and where a spread is 0", False),
    "far tail": ("numbers whose exponentials overflow", False),
}


class Draw(NamedTuple):
    """Arguments to ask with.

    Attributes:
        name: a key of `PURPOSES`.
        leaves: as the function takes them, in place of those of the example.
    """

    name: str
    leaves: tuple[Any, ...]


def draws(called: Called, precision: Precision, seed: int) -> Iterator[Draw]:
    """The draws from an example, in the order of `PURPOSES`; those that would be no other are left out."""
    known: dict[str, tuple[Any, ...]] = {}
    for number, name in enumerate(PURPOSES):
        leaves = _drawn(name, called, precision, np.random.default_rng([seed, number]), known)
        if leaves is not None:
            known[name] = leaves
            yield Draw(name, leaves)


def _drawn(
    name: str, called: Called, precision: Precision, rng: np.random.Generator, known: Mapping[str, tuple[Any, ...]]
) -> tuple[Any, ...] | None:
    form, dtypes = precision.storage, formats(called, precision)
    spread = {path: float(np.std(_finite(array))) for path, array in called.floating.items()}
    largest = max(array.size for array in called.floating.values())
    data = {
        path for path, array in called.floating.items() if array.size == largest and _is_signed(array) and spread[path]
    }

    def changed(change: Callable[[str, Array], Array], among: Any = None) -> tuple[Any, ...] | None:
        """The example with other numbers of floating point; None if none of them is changed."""
        leaves = [*called.leaves]
        paths = called.floating if among is None else among
        for path, array in called.floating.items():
            place = called.places[path]
            if isinstance(leaves[place], float):
                continue  # an epsilon, a rate: who knows what else it may be
            with np.errstate(over="ignore"):
                leaves[place] = np.array(change(path, array) if path in paths else array, dtypes[path], order="C")
        return tuple(leaves) if paths else None

    match name:
        case "as given":
            return changed(lambda _, x: x)
        case "drawn":
            return changed(lambda _, x: jittered(x, rng))
        case "not contiguous":
            return tuple(strided(leaf) for leaf in known["drawn"])
        case "repeated indices":
            return _repeated(known["drawn"], rng)
        case "one sample":
            return _one_sample(known["drawn"])
        case "small numbers" | "large numbers":
            factor = SMALL if name == "small numbers" else LARGE
            signed = {path for path, array in called.floating.items() if _is_signed(array)}
            return changed(lambda _, x: factor * jittered(x, rng), signed)
        case "far from zero":
            offset = OFFSETS.get(form.name, NARROW_OFFSET)
            return changed(lambda path, x: jittered(x, rng) + offset * spread[path], data)
        case "ties and zeros":
            return changed(lambda path, x: LEVELS * spread[path] * np.round(x / (LEVELS * spread[path])), data)
        case _:
            far = BEYOND * math.log(form.largest)
            there = lambda x: rng.random(x.shape) < FEW  # noqa: E731
            return changed(lambda _, x: np.where(there(x), np.copysign(far, x), jittered(x, rng)), data)


def jittered(array: Array, rng: np.random.Generator) -> Array:
    """Other numbers of the kind that an array holds."""
    finite = np.isfinite(array)
    if not finite.all() or not array.size or not array.any():
        return array if array.any() or not array.size else SPREAD * rng.normal(size=array.shape)
    if np.isin(array, (0.0, 1.0)).all() and array.min() < array.max():
        return rng.permuted(array)
    if array.ndim > 1 and array.shape[-1] == array.shape[-2] > 1 and np.array_equal(array, np.swapaxes(array, -1, -2)):
        scales = np.exp(SPREAD / 2 * rng.normal(size=array.shape[:-1]))
        return scales[..., :, None] * array * scales[..., None, :]
    factors = np.exp(SPREAD * rng.normal(size=array.shape))
    if _is_signed(array):
        return rng.permuted(array.ravel()).reshape(array.shape) * factors
    if array.min() >= 0 and array.ndim and array.shape[-1] > 1 and np.allclose(array.sum(axis=-1), 1.0, rtol=1e-2):
        return array * factors / (array * factors).sum(axis=-1, keepdims=True)
    if 0 <= array.min() < array.max() <= 1:
        return rng.permuted(array.ravel()).reshape(array.shape)
    return array * factors


def _is_signed(array: Array) -> bool:
    """Whether an array has numbers of either sign, and no infinities: then it may have others."""
    return bool(np.isfinite(array).all() and array.size and array.min() < 0 < array.max())


def _finite(array: Array) -> Array:
    return np.where(np.isfinite(array), array, 0.0)


def formats(called: Called, precision: Precision) -> dict[str, np.dtype]:
    """The dtype in which each array of floating point is handed over: what the declared precision stores.

    Where the example has arrays of that format already, wider ones beside them stay wide: parameters often are.
    """
    own = {path: coarsest([called.leaves[place]]) for path, place in called.places.items()}
    stored = precision.storage.name
    mixed = stored in own.values()
    return {path: DTYPES[name if mixed and name != "float64" else stored] for path, name in own.items()}


def strided(leaf: Any) -> Any:
    """The same numbers, every other one in memory, the last axis backwards."""
    if not isinstance(leaf, np.ndarray) or not leaf.ndim or leaf.dtype == object:
        return leaf
    buffer = np.zeros((*leaf.shape[:-1], 2 * leaf.shape[-1]), leaf.dtype)
    view = buffer[..., ::-2]
    view[...] = leaf
    return view


def _repeated(leaves: tuple[Any, ...], rng: np.random.Generator) -> tuple[Any, ...] | None:
    def few(leaf: Any) -> Any:
        if not _is_indices(leaf):
            return leaf
        return rng.choice(rng.choice(leaf.ravel(), 2), leaf.shape).astype(leaf.dtype)

    return tuple(map(few, leaves)) if any(map(_is_indices, leaves)) else None


def _is_indices(leaf: Any) -> bool:
    return isinstance(leaf, np.ndarray) and leaf.dtype.kind in "iu" and leaf.size > 1


def _one_sample(leaves: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """The first entry along the first axis of the first array of several axes, and of all that are as long.

    Indices into that axis would be none any more: where there are others than of each entry, there is no such draw.
    """
    arrays = [leaf for leaf in leaves if isinstance(leaf, np.ndarray) and leaf.ndim]
    rows = next((len(array) for array in arrays if array.ndim > 1), 1)
    if rows == 1 or any(_is_indices(array) and len(array) != rows for array in arrays):
        return None
    return tuple(
        leaf[:1].copy() if isinstance(leaf, np.ndarray) and leaf.ndim and len(leaf) == rows else leaf for leaf in leaves
    )


def cotangents(shapes: Any, dtype: np.dtype, rng: np.random.Generator) -> Any:
    """Numbers like the outputs, none of them near 1 or 0; None for outputs that have no cotangent."""

    def drawn(leaf: Any) -> Any:
        if not jax.dtypes.issubdtype(leaf.dtype, np.floating):
            return None
        signs = np.where(rng.random(leaf.shape) < 0.5, -1.0, 1.0)
        return np.array(signs * rng.uniform(0.4, 1.9, leaf.shape), dtype)

    return jax.tree.map(drawn, shapes)
