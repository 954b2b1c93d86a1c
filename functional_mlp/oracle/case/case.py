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
from functional_mlp.losses import Loss
from functional_mlp.network import Network
from functional_mlp.oracle.case.arrays import (
    BIAS_LAYOUTS,
    WEIGHTS_LAYOUTS,
    Layer,
    canonical_layer,
    declared_layer,
    numbers,
    require_representable,
    require_shape,
)
from functional_mlp.oracle.case.paths import layer_path, parameter_path, parse_path

MAX_NAME = 1000
HASHED_ROWS = 16  # of the inputs: enough to tell most cases apart


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
        named = (self.network, self.loss, self.name, self.dtype, self.weights_layout, self.bias_layout)
        return *named, numbers_

    def _check(self) -> None:
        """Refuses what is not sound, and brings the arrays into the oracle's form."""
        known_name("dtype", self.dtype, DTYPES)
        known_name("weights_layout", self.weights_layout, WEIGHTS_LAYOUTS)
        known_name("bias_layout", self.bias_layout, BIAS_LAYOUTS)
        require_network(self.network)
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
                require_representable(parameter_path(i, field), array, self.dtype)
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
            canonical_layer(layer_path(i), layer, shape, self.weights_layout, self.bias_layout)
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
        require_loss(self.loss)
        if self.ct_outputs is not None:
            raise ValueError("expected either a loss with targets, or ct_outputs, got both")
        if self.targets is None:
            raise ValueError(f"expected targets for the loss {self.loss.kind}, got none")
        self.loss.require_admissible(self.network.activations[-1])
        targets = numbers("targets", self.targets)
        require_shape("targets", targets, shape)
        self.loss.require_targets(targets)
        if self.sample_weights is None:
            return {"targets": targets}
        weights = numbers("sample_weights", self.sample_weights)
        require_shape("sample_weights", weights, shape[:1])
        if (weights < 0).any() or not weights.any():
            raise ValueError("expected sample_weights to be not negative and not all 0")
        return {"targets": targets, "sample_weights": weights}


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
