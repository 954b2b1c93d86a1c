"""Arrays as people give them, as the oracle's own: numbers, shapes, and what is said of one that does not fit."""

from typing import Any

import numpy as np

from functional_mlp._dtypes import DTYPES, Array
from functional_mlp.oracle.case.paths import entry_path


def numbers(what: str, value: Any) -> np.ndarray:
    """`value` as a new float64 array in C order; integers are taken as they are, since nothing is lost.

    Raises:
        TypeError: for objects, strings, booleans, complex numbers.
        ValueError: for ragged lists, and integers that float64 cannot hold.
    """
    try:
        array = np.asarray(on_host(value))
    except Exception as error:  # ragged lists, and whatever a stranger's __array__ raises
        if isinstance(value, list | tuple):
            misfit = _misfit(what, value) or f"{what} to be a rectangular array, got rows of unequal length"
            raise ValueError(f"expected {misfit}") from error
        raise TypeError(f"expected {what} to be an array of numbers, got {type(value).__name__}") from error
    dtype = array.dtype.newbyteorder("=")
    if dtype not in DTYPES.values() and dtype.kind not in "iu":
        remedy = f"; make them numbers: {what}.astype(float)" if dtype.kind == "b" else ""
        misfit = f"{what} to hold real numbers of at most 64 bits, got dtype {array.dtype}{remedy}"
        misfit = _misfit(what, value) or misfit
        raise TypeError(f"expected {misfit}")
    if _holds_booleans(value, array.ndim):  # NumPy takes True beside 0.5 for 1.0
        raise TypeError(f"expected {_misfit(what, value)}")
    with np.errstate(invalid="ignore"):  # a signalling NaN
        wide = array.astype(np.float64, order="C")
    if dtype.kind in "iu" and dtype.itemsize == 8:
        # beyond its range a conversion back is undefined: it may give the nearest integer, and seem exact
        inside = wide < float(np.iinfo(dtype).max)
        if not (inside.all() and np.array_equal(wide.astype(dtype), array)):
            raise ValueError(f"expected {what} to hold integers that float64 can represent")
    return wide


def on_host(value: Any) -> Any:
    """A tensor of PyTorch as what NumPy takes: off its device and its graph, bfloat16 as such; all else as it is."""
    if not (hasattr(value, "detach") and hasattr(value, "cpu")):
        return value
    tensor = value.detach().cpu()
    if str(tensor.dtype) == "torch.bfloat16":
        return np.asarray(tensor.float()).astype(DTYPES["bfloat16"])
    return np.asarray(tensor)


def _holds_booleans(value: Any, ndim: int) -> bool:
    if ndim == 0 or not isinstance(value, list | tuple):
        return isinstance(value, bool | np.bool_)
    if ndim == 1:
        return bool({bool, np.bool_} & set(map(type, value)))
    return any(_holds_booleans(row, ndim - 1) for row in value)


def _misfit(what: str, value: Any, depth: int = 3) -> str:
    """What is expected where a nested list first fails to be an array of numbers, and what is there; "" if unknown."""
    if not isinstance(value, list | tuple) or not value or depth == 0:
        return ""
    nested = isinstance(value[0], list | tuple)
    for i, item in enumerate(value):
        if isinstance(item, list | tuple) != nested:
            return f"{what}[{i}] to be {'a row as' if nested else 'a number as'} {what}[0], got {_shown(item)}"
        if nested and len(item) != len(value[0]):
            return f"{what}[{i}] to have {len(value[0])} entries as {what}[0] has, got {len(item)}"
        if not nested and not hasattr(item, "dtype") and (isinstance(item, bool) or not isinstance(item, int | float)):
            return f"{what}[{i}] to be a number, got {_shown(item)}"
        if isinstance(item, np.bool_):
            return f"{what}[{i}] to be a number, got a boolean"
        below = _misfit(f"{what}[{i}]", item, depth - 1)
        if below:
            return below
    return ""


def _shown(item: Any) -> str:
    plain = item is None or isinstance(item, bool | float) or (isinstance(item, int) and item.bit_length() <= 64)
    return repr(item) if plain else repr(item[:20]) if isinstance(item, str) else f"a {type(item).__name__}"


def require_shape(what: str, array: np.ndarray, expected: tuple[int | str, ...]) -> None:
    """Raises ValueError unless `array` has the `expected` shape, in which "n" stands for any length."""
    fits = array.ndim == len(expected) and all(
        want in ("n", got) for want, got in zip(expected, array.shape, strict=True)
    )
    if not fits:
        shape = f"({', '.join(map(str, expected))}{',' * (len(expected) == 1)})"
        raise ValueError(f"expected {what} of shape {shape}, got {array.shape}")


def require_representable(what: str, array: np.ndarray, dtype: str) -> None:
    """Raises ValueError if an entry is not finite, or not a number of `dtype`; names the first one and the nearest."""
    nearest = rounded(array, dtype)
    wrong = ~np.isfinite(array) | (nearest != array)
    if not wrong.any():
        return
    index = tuple(int(i) for i in np.argwhere(wrong)[0])
    value = float(array[index])
    place = entry_path(what, index)
    if not np.isfinite(value):
        raise ValueError(f"expected {place} to be finite, got {value}")
    raise ValueError(
        f"expected {place} to be a {dtype} number, got {value!r}; the nearest one is {float(nearest[index])!r}:"
        " write that, or declare another dtype"
    )


def rounded(array: Array, dtype: str) -> Array:
    """Numbers rounded to a key of `DTYPES`, as float64."""
    with np.errstate(all="ignore"):
        return array.astype(DTYPES[dtype]).astype(np.float64)
