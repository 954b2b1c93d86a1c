"""How somebody's arrays lie: which way weights are turned, where biases stand, whether samples are rows or columns.

The oracle itself knows one layout: weights (fan_in, fan_out), biases (fan_out,), samples as rows. This is the one place
that knows the others; what is not declared is found out from the shapes, where these leave one reading.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from functional_mlp._checks import known_name
from functional_mlp._dtypes import Array
from functional_mlp.oracle.case.arrays import numbers, require_shape
from functional_mlp.oracle.case.containers import names_of, weights_and_bias
from functional_mlp.oracle.case.paths import layer_path

WEIGHTS_LAYOUTS = ("in_out", "out_in")
BIASES_IN_WEIGHTS = ("first_row", "last_row")
BIAS_LAYOUTS = ("separate", *BIASES_IN_WEIGHTS)
CHOICES: Mapping[str, tuple[str, ...]] = {
    "weights": WEIGHTS_LAYOUTS,
    "bias": ("vector", "row", "column", *BIASES_IN_WEIGHTS),
    "samples": ("rows", "columns"),
    "params": ("pairs", "flat", "lists", "dict", "weights"),
    "targets": ("rows", "labels"),
}
# of a bias in the weights, by the name that its place has where weights are (fan_out, fan_in)
_IN_TURNED = {"first_column": "first_row", "last_column": "last_row"}


class Layer(NamedTuple):
    """The parameters of one layer as the oracle holds them.

    Attributes:
        weights: (fan_in, fan_out) float64.
        bias: (fan_out,) float64, or None.
    """

    weights: np.ndarray
    bias: np.ndarray | None


@dataclass(frozen=True)
class Layout:
    """How arrays are handed over, in either direction. What is None is found out, or is the first of each list.

    Attributes:
        weights: "in_out", (fan_in, fan_out); or "out_in", (fan_out, fan_in).
        bias: "vector", (fan_out,); "row", (1, fan_out); "column", (fan_out, 1); or part of the weights: "first_row" or
            "last_row" of (fan_in + 1, fan_out), which is the "first_column" or "last_column" of (fan_out, fan_in + 1).
        samples: "rows", inputs (n, n_0); or "columns", inputs (n_0, n), and targets, outputs and deltas likewise.
        params: what a function is given as parameters: "pairs", [(W1, b1), …]; "flat", [W1, b1, W2, b2]; "lists",
            ([W1, W2], [b1, b2]); "dict", {"W1": …, "b1": …}; or "weights" alone, [W1, W2]. What it returns may have any
            of these forms.
        targets: "rows", such as one-hot rows; or "labels", the class of each sample as an integer, (n,).

    Raises:
        TypeError, ValueError: for values that are none of these.

    Example:
        >>> Layout(weights="out_in", bias="column", samples="columns").bias
        'column'
    """

    weights: str | None = None
    bias: str | None = None
    samples: str | None = None
    params: str | None = None
    targets: str | None = None

    def __post_init__(self) -> None:
        if self.bias in _IN_TURNED:
            if self.weights != "out_in":
                raise ValueError(
                    f"expected weights 'out_in', (fan_out, fan_in), with the bias as their {self.bias}, got"
                    f" {self.weights!r}; of weights (fan_in, fan_out) it is the {_IN_TURNED[self.bias]}"
                )
            object.__setattr__(self, "bias", _IN_TURNED[self.bias])
        if self.bias == "separate":
            object.__setattr__(self, "bias", None)
        for field, choices in CHOICES.items():
            value = getattr(self, field)
            if value is not None:
                known_name(f"layout of {field}" if field != "params" else "form of params", value, choices)

    @property
    def in_weights(self) -> bool:
        """Whether biases are part of the weights."""
        return self.bias in BIASES_IN_WEIGHTS

    def settled(self) -> "Layout":
        """The layout with the first choice for whatever is None."""
        return Layout(*(getattr(self, field) or choices[0] for field, choices in CHOICES.items()))

    def completed(self, other: "Layout") -> "Layout":
        """The layout with another one's choices for whatever is None."""
        return Layout(*(getattr(self, field) or getattr(other, field) for field in CHOICES))

    def words(self) -> str:
        """What differs from the oracle's own layout, as a person would say it."""
        said = {
            "weights": {"out_in": "weights (fan_out, fan_in)"},
            "bias": {
                "row": "biases (1, fan_out)",
                "column": "biases (fan_out, 1)",
                "first_row": "the bias in the weights, first",
                "last_row": "the bias in the weights, last",
            },
            "samples": {"columns": "samples as columns"},
            "params": {
                "flat": "parameters as one list [W1, b1, …]",
                "lists": "parameters as two lists",
                "dict": "parameters as a dict W1, b1, …",
                "weights": "a list of weights alone",
            },
            "targets": {"labels": "targets as class labels"},
        }
        return ", ".join(text for field, texts in said.items() if (text := texts.get(getattr(self, field) or "")))


# by names that people know them by
LAYOUTS: Mapping[str, Layout] = {
    "columns": Layout("out_in", "column", "columns"),
    "torch": Layout("out_in", "vector", "rows"),
}


def layout_of(given: Any) -> Layout:
    """The layout that somebody declares: a `Layout`, a mapping of its fields, one of the names in `LAYOUTS`, or None.

    Raises:
        TypeError, ValueError: for anything else; the sentence lists what there is.
    """
    if given is None:
        return Layout()
    if isinstance(given, Layout):
        return given
    if isinstance(given, str):
        return LAYOUTS[known_name("layout", given, LAYOUTS)]
    if isinstance(given, Mapping):
        for field in given:
            known_name("field of a layout", field, CHOICES)
        return Layout(**given)
    raise TypeError(f"expected layout to be an oracle.Layout, or a name such as 'columns', got {type(given).__name__}")


# from a layout


def found_layout(declared: Layout, shapes: Sequence[tuple[int, int]], pairs: Sequence[tuple[Any, Any]]) -> Layout:
    """What weights of these shapes leave as the one reading of what is not declared of them.

    Args:
        declared: as far as it is.
        shapes: (fan_in, fan_out) per layer.
        pairs: what was given, (weights, bias) per layer.

    Raises:
        ValueError: where weights have one row more than there are inputs, which may be the bias, first or last.
    """
    given = [shape_of(weights) for weights, _ in pairs]
    if declared.weights is not None and declared.bias is not None:
        return declared

    def fits(layout: Layout) -> bool:
        return given == [declared_shape(shape, layout) for shape in shapes]

    options = [declared.weights] if declared.weights else list(WEIGHTS_LAYOUTS)
    for weights in options:
        turned = dataclasses.replace(declared, weights=weights)
        if fits(turned):
            return dataclasses.replace(turned, bias=declared.bias or _shape_of_biases([bias for _, bias in pairs]))
        if declared.bias is None and all(bias is None for _, bias in pairs):
            larger = dataclasses.replace(turned, bias="last_row")
            if fits(larger):
                ends = " or ".join(repr(name) for name in (BIASES_IN_WEIGHTS if weights == "in_out" else _IN_TURNED))
                raise ValueError(
                    f"expected {layer_path(0)}.weights of shape {declared_shape(shapes[0], turned)}, got {given[0]}:"
                    f" one more, as if the bias were in them; declare bias_layout {ends.replace('column', 'row')}"
                )
    return declared


def _shape_of_biases(biases: Sequence[Any]) -> str | None:
    """Whether all biases of more than one unit are rows, or columns; None if they are neither, or of both kinds."""
    kinds = {
        "column" if shape[1:] == (1,) else "row" if shape[:1] == (1,) else None
        for bias in biases
        if bias is not None and math.prod(shape := shape_of(bias)) > 1
    }
    return kinds.pop() if len(kinds) == 1 else None


def shape_of(array: Any) -> tuple[int, ...]:
    """The shape of what may be an array; (-1,), which fits nothing, for rows of unequal length."""
    try:
        return tuple(np.shape(array))
    except ValueError:
        return (-1,)


def canonical_layer(what: str, layer: Any, shape: tuple[int, int], layout: Layout) -> Layer:
    """One layer as given by a person, brought into the oracle's layout; shapes checked, values not.

    Args:
        what: its name for messages, such as "params[0]".
        layer: (weights, bias), weights alone, a mapping with these fields, or an object with these attributes.
        shape: (fan_in, fan_out).
        layout: as declared in the case.

    Raises:
        TypeError, ValueError: as `Case`.
    """
    given_weights, given_bias = weights_and_bias(what, layer)
    weights = numbers(f"{what}.weights", given_weights)
    require_shape(f"{what}.weights", weights, declared_shape(shape, layout))
    weights, in_weights = without_layout(weights, layout)
    if in_weights is not None:
        if given_bias is not None:
            raise ValueError(f"expected no {what}.bias with bias_layout {layout.bias!r}: it is in the weights")
        return Layer(np.array(weights, order="C"), np.array(in_weights))
    fan_out = shape[1]
    bias = None
    if given_bias is not None:
        bias = numbers(f"{what}.bias", given_bias)
        if bias.shape in shapes_of_bias(fan_out):
            bias = np.array(bias).reshape(fan_out)
        require_shape(f"{what}.bias", bias, (fan_out,))
    return Layer(np.array(weights, order="C"), bias)


def shapes_of_bias(fan_out: int) -> tuple[tuple[int, ...], ...]:
    """The shapes in which the biases of a layer may come: a vector, a row, a column; of one unit a number too."""
    return ((fan_out,), (1, fan_out), (fan_out, 1), *(((),) if fan_out == 1 else ()))


def declared_shape(shape: tuple[int, int], layout: Layout) -> tuple[int, int]:
    """The shape that weights (fan_in, fan_out) have in a layout."""
    fan_in, fan_out = shape
    rows = fan_in + layout.in_weights
    return (fan_out, rows) if layout.weights == "out_in" else (rows, fan_out)


def without_layout(weights: np.ndarray, layout: Layout) -> tuple[np.ndarray, np.ndarray | None]:
    """Views of weights in a layout as (fan_in, fan_out), and of the bias if it is in them."""
    weights = weights.T if layout.weights == "out_in" else weights
    if not layout.in_weights:
        return weights, None
    return (weights[1:], weights[0]) if layout.bias == "first_row" else (weights[:-1], weights[-1])


def as_rows(array: Array, layout: Layout) -> Array:
    """A view of inputs, targets, outputs or deltas in a layout, with samples as rows; or the other way round."""
    return array.T if layout.samples == "columns" else array


# into a layout


def declared_layer(layer: Any, layout: Layout) -> dict[str, np.ndarray]:
    """A layer of the oracle as a person's `weights` and `bias` in a layout: `canonical_layer` undone."""
    weights, bias = layer
    if layout.in_weights and bias is not None:
        weights, bias = np.vstack([bias, weights] if layout.bias == "first_row" else [weights, bias]), None
    weights = weights.T if layout.weights == "out_in" else weights
    if bias is None:
        return {"weights": weights}
    return {"weights": weights, "bias": bias.reshape({"row": (1, -1), "column": (-1, 1)}.get(layout.bias or "", -1))}


def in_form(layers: Sequence[Mapping[str, Any]], layout: Layout) -> Any:
    """Layers as `declared_layer` makes them, in the form that a layout names: lists, tuples or a dict of the arrays."""
    pairs = [(layer["weights"], layer.get("bias")) for layer in layers]
    match layout.params:
        case "flat":
            return [leaf for pair in pairs for leaf in pair if leaf is not None]
        case "lists":
            return [weights for weights, _ in pairs], [bias for _, bias in pairs]
        case "dict":
            return names_of(pairs)
        case "weights":
            return [weights for weights, _ in pairs]
        case _:
            return [weights if layout.in_weights else (weights, bias) for weights, bias in pairs]
