"""Arrays as people give them, as the oracle's own: numbers, shapes, and the layouts of a layer.

This is the one place that knows in which layouts a layer may come, and what is said of an array that does not fit.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from functional_mlp._dtypes import DTYPES, Array
from functional_mlp.oracle.case.paths import entry_path, layer_path

WEIGHTS_LAYOUTS = ("in_out", "out_in")
BIAS_LAYOUTS = ("separate", "last_row")


class Layer(NamedTuple):
    """The parameters of one layer as the oracle holds them.

    Attributes:
        weights: (fan_in, fan_out) float64.
        bias: (fan_out,) float64, or None.
    """

    weights: np.ndarray
    bias: np.ndarray | None


def canonical_layer(
    what: str, layer: Any, shape: tuple[int, int], weights_layout: str = "in_out", bias_layout: str = "separate"
) -> Layer:
    """One layer as given by a person, brought into the oracle's layout; shapes checked, values not.

    Args:
        what: its name for messages, such as "params[0]".
        layer: (weights, bias), weights alone, a mapping with these fields, or an object with these attributes.
        shape: (fan_in, fan_out).
        weights_layout, bias_layout: as declared in the case.

    Raises:
        TypeError, ValueError: as `Case`.
    """
    given_weights, given_bias = weights_and_bias(what, layer)
    weights = numbers(f"{what}.weights", given_weights)
    require_shape(f"{what}.weights", weights, declared_shape(shape, weights_layout, bias_layout))
    weights, last_row = without_layout(weights, weights_layout, bias_layout)
    if last_row is not None:
        if given_bias is not None:
            raise ValueError(f"expected no {what}.bias with bias_layout 'last_row': it is the last row of the weights")
        return Layer(np.array(weights, order="C"), np.array(last_row))
    fan_out = shape[1]
    bias = None
    if given_bias is not None:
        bias = numbers(f"{what}.bias", given_bias)
        if bias.shape == (1, fan_out):
            bias = np.array(bias[0])
        require_shape(f"{what}.bias", bias, (fan_out,))
    return Layer(np.array(weights, order="C"), bias)


def declared_shape(shape: tuple[int, int], weights_layout: str, bias_layout: str) -> tuple[int, int]:
    """The shape that weights (fan_in, fan_out) have in the declared layouts."""
    fan_in, fan_out = shape
    rows = fan_in + (bias_layout == "last_row")
    return (rows, fan_out) if weights_layout == "in_out" else (fan_out, rows)


def without_layout(weights: np.ndarray, weights_layout: str, bias_layout: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Views of weights in the declared layouts as (fan_in, fan_out), and of the bias if it is their last row."""
    weights = weights.T if weights_layout == "out_in" else weights
    return (weights[:-1], weights[-1]) if bias_layout == "last_row" else (weights, None)


def declared_layer(layer: Any, weights_layout: str, bias_layout: str) -> dict[str, np.ndarray]:
    """A layer of the oracle as a person's `weights` and `bias` in the declared layouts: `canonical_layer` undone."""
    weights, bias = layer
    if bias_layout == "last_row":
        weights, bias = np.vstack([weights, bias]), None
    weights = weights.T if weights_layout == "out_in" else weights
    return {"weights": weights} if bias is None else {"weights": weights, "bias": bias}


def weights_and_bias(what: str, layer: Any) -> tuple[Any, Any]:
    """The two parts of a layer, in whichever of the forms it is given that `canonical_layer` takes; either may be None.

    Raises:
        ValueError: for a mapping with other fields.
    """
    if isinstance(layer, dict):
        unknown = [name for name in layer if name not in Layer._fields]
        if unknown or "weights" not in layer:
            raise ValueError(f"expected {what} to have the fields weights and bias, got {list(map(str, layer))}")
        return layer["weights"], layer.get("bias")
    if hasattr(layer, "weights"):
        return layer.weights, getattr(layer, "bias", None)
    if isinstance(layer, tuple | list) and len(layer) == 2 and not _are_rows(*layer):
        return layer[0], layer[1]
    return layer, None


def pairs_in(params: Iterable[Any]) -> list[tuple[Any, Any]]:
    """Weights and bias of every layer, as they were given; errors as `weights_and_bias`."""
    return [weights_and_bias(layer_path(i), layer) for i, layer in enumerate(params)]


def _are_rows(first: Any, second: Any) -> bool:
    """Whether two things are the rows of a matrix, and not weights and bias."""
    if first is None or second is None or _is_matrix(first):
        return False
    return _length(first) == _length(second)


def _length(row: Any) -> int:
    return len(row) if isinstance(row, list | tuple) or np.ndim(row) else -1


def _is_matrix(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return len(value) > 0 and (isinstance(value[0], list | tuple) or np.ndim(value[0]) == 1)
    return np.ndim(value) == 2


def numbers(what: str, value: Any) -> np.ndarray:
    """`value` as a new float64 array in C order; integers are taken as they are, since nothing is lost.

    Raises:
        TypeError: for objects, strings, booleans, complex numbers.
        ValueError: for ragged lists, and integers that float64 cannot hold.
    """
    try:
        array = np.asarray(value)
    except Exception as error:  # ragged lists, and whatever a stranger's __array__ raises
        if isinstance(value, list | tuple):
            misfit = _misfit(what, value) or f"{what} to be a rectangular array, got rows of unequal length"
            raise ValueError(f"expected {misfit}") from error
        raise TypeError(f"expected {what} to be an array of numbers, got {type(value).__name__}") from error
    dtype = array.dtype.newbyteorder("=")
    if dtype not in DTYPES.values() and dtype.kind not in "iu":
        misfit = _misfit(what, value) or f"{what} to hold real numbers of at most 64 bits, got dtype {array.dtype}"
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
