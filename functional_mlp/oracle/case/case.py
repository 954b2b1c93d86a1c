"""A case: a network, a loss or a cotangent, parameters and data, as plain NumPy numbers, checked once.

This module computes nothing. A case that exists is sound: shapes fit, every number is finite and exactly representable
in the case's dtype, and the loss is admissible. Arrays are held as float64, which every supported dtype fits into.
"""

import dataclasses
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from functional_mlp._checks import known_name
from functional_mlp._dtypes import DTYPES, Array
from functional_mlp._notebook import table
from functional_mlp.losses import Loss
from functional_mlp.network import Network
from functional_mlp.oracle.case.arrays import numbers, require_representable, require_shape
from functional_mlp.oracle.case.containers import layers_in, pairs_in
from functional_mlp.oracle.case.layouts import (
    BIAS_LAYOUTS,
    WEIGHTS_LAYOUTS,
    Layer,
    Layout,
    as_rows,
    canonical_layer,
    declared_layer,
    found_layout,
    layout_of,
    shape_of,
)
from functional_mlp.oracle.case.paths import layer_path, parameter_path, parse_path
from functional_mlp.oracle.case.targets import are_labels, are_written_as_labels, labels_of_rows, rows_of_labels

MAX_NAME = 1000
HASHED_ROWS = 16  # of the inputs: enough to tell most cases apart
OWN_LAYOUT = Layout().settled()


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Case:
    """One question to the oracle.

    Args:
        network: the specification.
        loss: the loss; None for a bare vector-Jacobian product of `ct_outputs`.
        params: per layer a pair (weights, bias), or weights alone for a layer without bias; or a list or dict of all
            (`containers.pairs_of`). Biases may be vectors, rows or columns.
        inputs: (n, n_0).
        targets: (n, n_L), with a loss; or the class of each sample, integers (n,), where the loss is of classes; or
            (n,) numbers for one output.
        ct_outputs: (n, n_L), without one.
        sample_weights: (n,), optional, with a loss.
        name: for messages and files: at most 1000 printable characters.
        dtype: a key of `DTYPES`: every number of the case must be representable in it.
        weights_layout: "in_out", weights (fan_in, fan_out); or "out_in", weights (fan_out, fan_in).
        bias_layout: "separate"; or "last_row" or "first_row": the bias is that row of each (fan_in + 1, fan_out) weight
            matrix (in the layout "out_in" that column).
        layout: all that is declared of the layout, as `layout_of` takes it. What is declared nowhere is found out where
            the shapes leave one reading; weights of square layers are then (fan_in, fan_out), samples rows.

    Attributes:
        params: tuple of `Layer`, always (fan_in, fan_out) with separate biases, whatever was declared.
        inputs, targets, ct_outputs, sample_weights: float64 arrays, samples as rows, or None.
        layout: a `Layout` without None: of the arrays as they were given, and as gradients are expected.

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
    layout: Layout

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
        weights_layout: str | None = None,
        bias_layout: str | None = None,
        layout: Any = None,
    ) -> None:
        declared = _declared(weights_layout, bias_layout, layout)
        given = (network, loss, params, inputs, targets, ct_outputs, sample_weights, name, dtype, declared)
        for field, value in zip(dataclasses.fields(self), given, strict=True):
            object.__setattr__(self, field.name, value)
        self._check()

    @property
    def weights_layout(self) -> str:
        """ "in_out" or "out_in"."""
        return str(self.layout.weights)

    @property
    def bias_layout(self) -> str:
        """ "separate", or which row of the weights the bias is: "first_row" or "last_row"."""
        return str(self.layout.bias) if self.layout.in_weights else "separate"

    def laid_out(self, layout: Any) -> "Case":
        """The same case in another layout: as it is written, handed to functions, and as gradients are expected.

        Args:
            layout: as `layout_of` takes it; what it leaves open stays as it is.

        Raises:
            TypeError, ValueError: for what is no layout, and for class labels where targets are no one-hot rows.
        """
        whole = layout_of(layout).completed(self.layout)
        if whole.targets == "labels":
            if self.loss is None or self.targets is None:
                raise ValueError("expected a loss of classes, for class labels, got none")
            if not are_written_as_labels(self.loss, self.targets):
                raise ValueError(
                    f"expected one-hot targets of a loss of classes, for class labels, got targets of {self.loss.kind}"
                    " that are none"
                )
        return self._with(layout=whole)

    def __repr__(self) -> str:
        name = f" {self.name!r}" if self.name else ""
        return f"<Case{name}: {', '.join(f'{what} {said}' for what, said in self._said())}>"

    def _repr_html_(self) -> str:
        """What a notebook shows: the question, in words."""
        return table(f"Case {self.name}".strip(), ("", ""), self._said())

    def _said(self) -> list[tuple[str, object]]:
        loss: object = "none, a cotangent of the outputs is given" if self.loss is None else self.loss
        said = [("network", self.network), ("loss", loss), ("samples", len(self.inputs)), ("dtype", self.dtype)]
        return said if self.sample_weights is None else [*said, ("weights of samples", "given")]

    def at(self, rows: slice, params: Sequence[Any]) -> "Case":
        """The case of some of the samples, in float64 and the oracle's own layout, at other parameters.

        A loss that is a mean over samples is the mean over these. What was checked of this case is not checked again: a
        training asks for thousands of these.

        Args:
            rows: the samples, at least one.
            params: per layer (weights (fan_in, fan_out), bias (fan_out,) or None), as this case has them.

        Raises:
            ValueError: for parameters that do not fit or are not finite, and samples that all weigh nothing.
        """
        data = {name: getattr(self, name) for name in ("inputs", "targets", "ct_outputs", "sample_weights")}
        some: dict[str, Any] = {name: None if array is None else array[rows] for name, array in data.items()}
        layers = tuple(Layer(*map(_copied, layer)) for layer in params)
        weights = some["sample_weights"]
        fit = len(layers) == len(self.params) and all(map(_fit, layers, self.params))
        if fit and (weights is None or weights.any()):
            return self._with(params=layers, **some, dtype="float64", layout=OWN_LAYOUT)
        return Case(self.network, self.loss, list(layers), **some, name=self.name, layout=OWN_LAYOUT)

    def _with(self, **fields: Any) -> "Case":
        """This case with some fields changed, which are sound."""
        case = object.__new__(Case)
        for field in dataclasses.fields(self):
            object.__setattr__(case, field.name, fields.get(field.name, getattr(self, field.name)))
        return case

    def __eq__(self, other: object) -> bool:
        """Whether every field is the same, numbers bit for bit."""
        if not isinstance(other, Case):
            return NotImplemented
        return self is other or self._identity() == other._identity()

    def __hash__(self) -> int:
        # of what is quick to look at, since cases are keys of caches
        start = zlib.crc32(self.inputs[:HASHED_ROWS].tobytes())
        return hash((self.network, self.loss, self.name, self.dtype, self.inputs.shape, start))

    def _identity(self) -> tuple[Any, ...]:
        """Every field, arrays as their shapes and bytes."""
        arrays = [*(leaf for layer in self.params for leaf in layer)]
        arrays += [self.inputs, self.targets, self.ct_outputs, self.sample_weights]
        numbers_ = tuple(None if array is None else (array.shape, array.tobytes()) for array in arrays)
        named = (self.network, self.loss, self.name, self.dtype, self.layout)
        return *named, numbers_

    def _check(self) -> None:
        """Refuses what is not sound, and brings the arrays into the oracle's form."""
        known_name("dtype", self.dtype, DTYPES)
        require_network(self.network)
        if not isinstance(self.name, str):
            raise TypeError(f"expected name to be a string, got {type(self.name).__name__}")
        if len(self.name) > MAX_NAME or not self.name.isprintable():
            raise ValueError(f"expected name of at most {MAX_NAME} printable characters, got {self.name[:60]!r}")
        params, layout = self._canonical_params(self.layout)
        inputs, layout = self._canonical_inputs(layout)
        end, layout = self._checked_end((len(inputs), self.network.sizes[-1]), layout)
        data, layout = {"inputs": inputs} | end, layout.settled()
        for i, layer in enumerate(params):
            for field, array in declared_layer(layer, layout).items():
                require_representable(parameter_path(i, field), array, self.dtype)
        for name, array in data.items():
            require_representable(name, array, self.dtype)
        for array in [*data.values(), *(leaf for layer in params for leaf in layer if leaf is not None)]:
            array.setflags(write=False)
        for name, value in ({"params": params, "layout": layout} | data).items():
            object.__setattr__(self, name, value)

    def _canonical_params(self, layout: Layout) -> tuple[tuple[Layer, ...], Layout]:
        """The parameters in the oracle's layout, and what is found out of theirs."""
        shapes = self.network.shapes
        layers = layers_in(self.params, len(shapes))
        if isinstance(layers, np.ndarray) or not isinstance(layers, Sequence):
            raise TypeError(f"expected params to be a list with one layer per entry, got {type(layers).__name__}")
        if len(layers) != len(shapes):
            raise ValueError(
                f"expected params of {len(shapes)} layers for sizes {self.network.sizes}, got {len(layers)}"
            )
        found = found_layout(layout, shapes, pairs_in(layers))
        canonical = (
            canonical_layer(layer_path(i), layer, shape, found)
            for i, (layer, shape) in enumerate(zip(layers, shapes, strict=True))
        )
        return tuple(canonical), found

    def _canonical_inputs(self, layout: Layout) -> tuple[Array, Layout]:
        """Inputs with samples as rows; whether they were columns is found out where it was not declared."""
        inputs, features = numbers("inputs", self.inputs), self.network.sizes[0]
        if layout.samples is None and inputs.ndim == 2 and self._has_columns(inputs.shape, layout):
            layout = dataclasses.replace(layout, samples="columns")
        require_shape("inputs", inputs, (features, "n") if layout.samples == "columns" else ("n", features))
        inputs = np.array(as_rows(inputs, layout), order="C")
        if len(inputs) == 0:
            raise ValueError(f"expected at least one sample in inputs, got shape {inputs.shape}")
        return inputs, layout

    def _has_columns(self, shape: tuple[int, int], layout: Layout) -> bool:
        """Whether inputs of a shape have samples as columns; biases that are columns say so, where shapes do not."""
        features, outputs = self.network.sizes[0], self.network.sizes[-1]
        end = shape_of(self.targets if self.ct_outputs is None else self.ct_outputs)
        if shape[0] != features or end not in ((outputs, shape[1]), shape[1:], (1, *shape[1:])):
            return False
        as_rows_too = shape[1] == features and end in ((shape[0], outputs), shape[:1], (*shape[:1], 1))
        return not as_rows_too or layout.bias == "column"

    def _checked_end(self, shape: tuple[int, int], layout: Layout) -> tuple[dict[str, Array], Layout]:
        """Targets and sample weights of a loss, or the cotangent of a bare VJP; and what their layout is."""
        if self.loss is None:
            for name in ("targets", "sample_weights"):
                if getattr(self, name) is not None:
                    raise ValueError(f"expected no {name} without a loss; give a loss, or ct_outputs alone")
            if self.ct_outputs is None:
                raise ValueError("expected either a loss with targets, or ct_outputs, got neither")
            return {"ct_outputs": _rows("ct_outputs", self.ct_outputs, shape, layout)}, layout
        require_loss(self.loss)
        if self.ct_outputs is not None:
            raise ValueError("expected either a loss with targets, or ct_outputs, got both")
        if self.targets is None:
            raise ValueError(f"expected targets for the loss {self.loss.kind}, got none")
        self.loss.require_admissible(self.network.activations[-1])
        if are_labels(self.loss, shape_of(self.targets), shape):
            targets = rows_of_labels(numbers("targets", self.targets), self.loss, shape[1])
            layout = dataclasses.replace(layout, targets="labels")
        else:
            targets = _rows("targets", self.targets, shape, layout)
        self.loss.require_targets(targets)
        if self.sample_weights is None:
            return {"targets": targets}, layout
        weights = numbers("sample_weights", self.sample_weights)
        require_shape("sample_weights", weights, shape[:1])
        if (weights < 0).any() or not weights.any():
            raise ValueError("expected sample_weights to be not negative and not all 0")
        return {"targets": targets, "sample_weights": weights}, layout


def _copied(array: Any) -> Any:
    """An array in float64 that cannot be written to; None if there is none."""
    if array is None:
        return None
    copy = np.array(array, np.float64, order="C")
    copy.setflags(write=False)
    return copy


def _fit(arrays: Sequence[Any], others: Sequence[Any]) -> bool:
    """Whether arrays, or None, are finite and of the shapes of others."""
    return all(
        one is other is None
        or (one is not None and other is not None and one.shape == other.shape and bool(np.isfinite(one).all()))
        for one, other in zip(arrays, others, strict=True)
    )


def _rows(what: str, given: Any, shape: tuple[int, int], layout: Layout) -> Array:
    """Targets or a cotangent (n, n_L), given with samples as rows or columns, or (n,) for one output."""
    array = numbers(what, given)
    if array.shape == shape[:1] and shape[1] == 1:
        return array[:, None]
    require_shape(what, array, shape[::-1] if layout.samples == "columns" else shape)
    return np.array(as_rows(array, layout), order="C")


def _declared(weights_layout: str | None, bias_layout: str | None, layout: Any) -> Layout:
    """What is declared of a case's layout; `weights_layout` and `bias_layout` come before what `layout` says.

    Raises:
        TypeError, ValueError: for what is no layout.
    """
    if bias_layout is not None:
        known_name("bias_layout", bias_layout, BIAS_LAYOUTS)
    if weights_layout is not None:
        known_name("weights_layout", weights_layout, WEIGHTS_LAYOUTS)
    bias = "vector" if bias_layout == "separate" else bias_layout
    return Layout(weights_layout, bias).completed(layout_of(layout))


def declared_data(case: Case) -> dict[str, Array]:
    """Inputs, and targets or the cotangent of the outputs, in the case's layout: class labels are integers."""
    data = {"inputs": as_rows(case.inputs, case.layout)}
    if case.loss is not None and case.targets is not None and case.layout.targets == "labels":
        return data | {"targets": labels_of_rows(case.targets, case.loss)}
    name = "ct_outputs" if case.targets is None else "targets"
    return data | {name: as_rows(getattr(case, name), case.layout)}


def parameter_of(case: Case, path: str) -> Array:
    """The parameter that a path such as "params[0].bias" names."""
    _, layer, field = parse_path(path)
    parameter: Array = getattr(case.params[layer], field)
    return parameter


def require_network(network: Any) -> None:
    """Raises TypeError for what is no `Network`."""
    if not isinstance(network, Network):
        raise TypeError(f"expected network to be a functional_mlp.Network, got {type(network).__name__}")


def require_loss(loss: Any) -> None:
    """Raises TypeError for what is neither a `Loss` nor None."""
    if loss is not None and not isinstance(loss, Loss):
        raise TypeError(f"expected loss to be a functional_mlp.Loss or None, got {type(loss).__name__}")


def not_a_case(given: Any, hint: str = "") -> TypeError:
    """What to raise where a `Case` was expected and something else was given."""
    return TypeError(f"expected case to be an oracle.Case, got {type(given).__name__}{hint and f'; {hint}'}")
