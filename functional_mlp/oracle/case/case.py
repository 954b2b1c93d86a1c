"""A case: a network, a loss or a cotangent, parameters and data, as plain NumPy numbers, checked once.

This module computes nothing. A case that exists is sound: shapes fit, every number is finite and exactly representable
in the case's dtype, and the loss is admissible. Arrays are held as float64, which every supported dtype fits into.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from functional_mlp._checks import known_name
from functional_mlp._dtypes import DTYPES as DTYPES
from functional_mlp.losses import Loss
from functional_mlp.network import Network

MAX_NAME = 1000
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


@dataclass(frozen=True, eq=False, init=False)
class Case:
    """One question to the oracle.

    Args:
        network: the specification.
        loss: the loss; None for a bare vector-Jacobian product of `ct_outputs`.
        params: per layer a pair (weights, bias), or weights alone for a layer without bias, in the declared layouts.
            Biases of shape (1, fan_out) are taken as (fan_out,).
        inputs: (n, n_0).
        targets: (n, n_L), with a loss.
        ct_outputs: (n, n_L), without one.
        sample_weights: (n,), optional, with a loss.
        name: for messages and files: at most 1000 printable characters.
        dtype: a key of `DTYPES`: every number of the case must be representable in it.
        weights_layout: "in_out", weights (fan_in, fan_out); or "out_in", weights (fan_out, fan_in).
        bias_layout: "separate"; or "last_row": the bias is the last row of each (fan_in + 1, fan_out) weight matrix
            (the last column in the layout "out_in").

    Attributes:
        params: tuple of `Layer`, always (fan_in, fan_out) with separate biases, whatever was declared.
        inputs, targets, ct_outputs, sample_weights: float64 arrays, or None.

    Raises:
        TypeError: for what is no array of numbers.
        ValueError: for shapes that do not fit, numbers that are not finite or not representable, an inadmissible loss,
            or fields that exclude each other; the sentence names the field and the place, as it was given.
    """

    network: Network
    loss: Loss | None
    params: tuple[Layer, ...]
    inputs: np.ndarray
    targets: np.ndarray | None
    ct_outputs: np.ndarray | None
    sample_weights: np.ndarray | None
    name: str
    dtype: str
    weights_layout: str
    bias_layout: str

    def __init__(
        self,
        network: Network,
        loss: Loss | None,
        params: Any,
        inputs: Any,
        targets: Any = None,
        ct_outputs: Any = None,
        sample_weights: Any = None,
        name: str = "",
        dtype: str = "float64",
        weights_layout: str = "in_out",
        bias_layout: str = "separate",
    ) -> None:
        given = (
            *(network, loss, params, inputs, targets, ct_outputs, sample_weights),
            *(name, dtype, weights_layout, bias_layout),
        )
        for field, value in zip(dataclasses.fields(self), given, strict=True):
            object.__setattr__(self, field.name, value)
        self._check()

    def _check(self) -> None:
        """Refuses what is not sound, and brings the arrays into the oracle's form."""
        known_name("dtype", self.dtype, DTYPES)
        known_name("weights_layout", self.weights_layout, WEIGHTS_LAYOUTS)
        known_name("bias_layout", self.bias_layout, BIAS_LAYOUTS)
        if not isinstance(self.network, Network):
            raise TypeError(f"expected network to be a functional_mlp.Network, got {type(self.network).__name__}")
        if not isinstance(self.name, str):
            raise TypeError(f"expected name to be a string, got {type(self.name).__name__}")
        if len(self.name) > MAX_NAME or not self.name.isprintable():
            raise ValueError(f"expected name of at most {MAX_NAME} printable characters, got {self.name[:60]!r}")
        params = self._canonical_params()
        inputs = numbers("inputs", self.inputs)
        require_shape("inputs", inputs, ("n", self.network.sizes[0]))
        if len(inputs) == 0:
            raise ValueError(f"expected at least one sample in inputs, got shape {inputs.shape}")
        data = {"inputs": inputs} | self._checked_end((len(inputs), self.network.sizes[-1]))
        for i, layer in enumerate(params):
            for field, array in declared_layer(layer, self.weights_layout, self.bias_layout).items():
                require_representable(f"params[{i}].{field}", array, self.dtype)
        for name, array in data.items():
            require_representable(name, array, self.dtype)
        for array in [*data.values(), *(leaf for layer in params for leaf in layer if leaf is not None)]:
            array.setflags(write=False)
        for name, value in ({"params": params} | data).items():
            object.__setattr__(self, name, value)

    def _canonical_params(self) -> tuple[Layer, ...]:
        shapes = self.network.shapes
        if isinstance(self.params, np.ndarray) or not isinstance(self.params, Sequence):
            raise TypeError(f"expected params to be a list with one layer per entry, got {type(self.params).__name__}")
        if len(self.params) != len(shapes):
            raise ValueError(
                f"expected params of {len(shapes)} layers for sizes {self.network.sizes}, got {len(self.params)}"
            )
        return tuple(
            canonical_layer(f"params[{i}]", layer, shape, self.weights_layout, self.bias_layout)
            for i, (layer, shape) in enumerate(zip(self.params, shapes, strict=True))
        )

    def _checked_end(self, shape: tuple[int, int]) -> dict[str, np.ndarray]:
        """Targets and sample weights of a loss, or the cotangent of a bare VJP."""
        if self.loss is None:
            for name in ("targets", "sample_weights"):
                if getattr(self, name) is not None:
                    raise ValueError(f"expected no {name} without a loss; give a loss, or ct_outputs alone")
            if self.ct_outputs is None:
                raise ValueError("expected either a loss with targets, or ct_outputs, got neither")
            ct_outputs = numbers("ct_outputs", self.ct_outputs)
            require_shape("ct_outputs", ct_outputs, shape)
            return {"ct_outputs": ct_outputs}
        if not isinstance(self.loss, Loss):
            raise TypeError(f"expected loss to be a functional_mlp.Loss or None, got {type(self.loss).__name__}")
        if self.ct_outputs is not None:
            raise ValueError("expected either a loss with targets, or ct_outputs, got both")
        if self.targets is None:
            raise ValueError(f"expected targets for the loss {self.loss.kind}, got none")
        self.loss.require_admissible(self.network.activations[-1])
        targets = numbers("targets", self.targets)
        require_shape("targets", targets, shape)
        if self.sample_weights is None:
            return {"targets": targets}
        weights = numbers("sample_weights", self.sample_weights)
        require_shape("sample_weights", weights, shape[:1])
        if (weights < 0).any() or not weights.any():
            raise ValueError("expected sample_weights to be not negative and not all 0")
        return {"targets": targets, "sample_weights": weights}


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
    fan_in, fan_out = shape
    rows = fan_in + (bias_layout == "last_row")
    expected = (rows, fan_out) if weights_layout == "in_out" else (fan_out, rows)
    require_shape(f"{what}.weights", weights, expected)
    if weights_layout == "out_in":
        weights = weights.T
    if bias_layout == "last_row":
        if given_bias is not None:
            raise ValueError(f"expected no {what}.bias with bias_layout 'last_row': it is the last row of the weights")
        return Layer(np.array(weights[:-1], order="C"), np.array(weights[-1]))
    bias = None
    if given_bias is not None:
        bias = numbers(f"{what}.bias", given_bias)
        if bias.shape == (1, fan_out):
            bias = np.array(bias[0])
        require_shape(f"{what}.bias", bias, (fan_out,))
    return Layer(np.array(weights, order="C"), bias)


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
    with np.errstate(all="ignore"):
        rounded = array.astype(DTYPES[dtype]).astype(np.float64)
    wrong = ~np.isfinite(array) | (rounded != array)
    if not wrong.any():
        return
    index = tuple(int(i) for i in np.argwhere(wrong)[0])
    value = float(array[index])
    place = f"{what}[{', '.join(map(str, index))}]"
    if not np.isfinite(value):
        raise ValueError(f"expected {place} to be finite, got {value}")
    raise ValueError(
        f"expected {place} to be a {dtype} number, got {value!r}; the nearest one is {float(rounded[index])!r}:"
        " write that, or declare another dtype"
    )
