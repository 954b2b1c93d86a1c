"""A case for the referee (reference/exact.py), and its check: shapes, finite numbers, names; nothing is computed."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
from flint import fmpq
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

# activation: its parameters with their defaults; None: the derivative of the left side
ACTIVATIONS: dict[str, dict[str, float | None]] = {
    "identity": {},
    "sigmoid": {},
    "tanh": {},
    "relu": {"at_zero": None},
    "leaky_relu": {"slope": 0.01, "at_zero": None},
    "elu": {"alpha": 1.0, "at_zero": None},
    "softplus": {"beta": 1.0},
    "silu": {},
    "gelu": {},
    "softmax": {},
    "gelu_tanh": {},
    "quick_gelu": {},
    "mish": {},
    "selu": {"at_zero": None},
    "celu": {"alpha": 1.0},
    "prelu": {"slope": 0.25, "at_zero": None},
    "relu6": {"at_zero": None, "at_six": None},
    "hardtanh": {"low": -1.0, "high": 1.0, "at_low": None, "at_high": None},
    "hard_sigmoid": {"low": -3.0, "high": 3.0, "at_low": None, "at_high": None},
    "hard_swish": {"at_low": None, "at_high": None},
    "scaled_tanh": {"scale": 1.7159, "rate": 2 / 3},
    "softsign": {},
    "sin": {},
    "cos": {},
    "gaussian": {},
}
_POSITIVE = {("softplus", "beta"), ("celu", "alpha"), ("scaled_tanh", "rate")}
_OF_CLASSES = ("label_smoothing", "class_weights", "ignore_index")
# loss: the options that it has beyond what every loss has
LOSSES: dict[str, tuple[str, ...]] = {
    "squared_error": (),
    "absolute_error": (),
    "huber": ("delta",),
    "log_cosh": (),
    "hinge": (),
    "multiclass_hinge": ("ignore_index",),
    "binary_cross_entropy": ("pos_weight", "epsilon", "label_smoothing"),
    "categorical_cross_entropy": ("epsilon", *_OF_CLASSES),
    "kl_divergence": (),
    "sigmoid_cross_entropy": ("pos_weight", "label_smoothing"),
    "softmax_cross_entropy": _OF_CLASSES,
    "softmax_kl_divergence": (),
    "sigmoid_focal": ("gamma", "alpha"),
    "softmax_focal": ("gamma", *_OF_CLASSES),
}
PROBABILITY_LOSSES = ("binary_cross_entropy", "categorical_cross_entropy", "kl_divergence")
BINARY_LOSSES = ("binary_cross_entropy", "sigmoid_cross_entropy")
REDUCTIONS = ("sum", "mean", "batch_mean")
_LOSS_FIELDS = {"kind", "over_samples", "over_outputs", "scale", "l2", "l2_on_bias", "l1"}


class Case(NamedTuple):
    """What is to be computed; arrays of float64, or what converts to it, all finite.

    Attributes:
        sizes: n_0..n_L.
        activations: one for all layers or one per layer: a name, or a mapping such as {"name": "leaky_relu",
            "slope": 0.02, "at_zero": 1.0}; `ACTIVATIONS` lists the parameters.
        params: (weights (fan_in, fan_out), bias (fan_out,) or None) per layer.
        inputs: (n, n_0).
        loss: a mapping with kind and optionally over_samples ("sum", "mean" or "batch_mean"), over_outputs ("sum" or
            "mean"), scale, l2, l1, l2_on_bias, and the options that its kind has in `LOSSES`:
            scale · over_samples(over_outputs(term)) + l2 · ½Σw² + l1 · Σ|w|; or None, with ct_outputs.
        targets: (n, K), with a loss.
        sample_weights: (n,), not negative, not all 0; the mean over samples divides by their sum (with class_weights
            each times that of the sample's class), the batch mean by the number of those that are not 0.
        ct_outputs: (n, K), without a loss.
    """

    sizes: Sequence[int]
    activations: str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]]
    params: Sequence[tuple[ArrayLike, ArrayLike | None]]
    inputs: ArrayLike
    loss: Mapping[str, Any] | None = None
    targets: ArrayLike | None = None
    sample_weights: ArrayLike | None = None
    ct_outputs: ArrayLike | None = None


class Unit(NamedTuple):
    """An activation, and its parameters by name, the derivatives chosen at kinks among them if they were given."""

    name: str
    parameters: dict[str, fmpq]


class LossSpec(NamedTuple):
    """A loss with its defaults filled in; `pos_weight` and `class_weights` hold a number for each output, or one."""

    kind: str
    over_samples: str
    over_outputs: str
    scale: fmpq
    l2: fmpq
    l2_on_bias: bool
    l1: fmpq
    delta: fmpq
    gamma: fmpq
    alpha: fmpq | None
    pos_weight: tuple[fmpq, ...]
    label_smoothing: fmpq
    class_weights: tuple[fmpq, ...] | None
    ignore_index: int | None
    epsilon: fmpq


class Problem(NamedTuple):
    """A checked case; `given` (n, K) is the targets, or without a loss ct_outputs."""

    units: list[Unit]
    params: list[tuple[Array, Array | None]]
    inputs: Array
    loss: LossSpec | None
    given: Array
    sample_weights: Array | None


def rational(x: float) -> fmpq:
    """Return the rational number that a float64 is."""
    return fmpq(*x.as_integer_ratio())


def _number(what: str, value: Any) -> fmpq:
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"expected {what} to be a number, got {value!r}")
    if not np.isfinite(value):
        raise ValueError(f"expected {what} to be finite, got {value!r}")
    return rational(float(value))


def _array(what: str, value: Any, shape: tuple[int, ...]) -> Array:
    try:
        array = np.asarray(value)
    except ValueError as error:  # rows of unequal length
        raise ValueError(f"expected {what} of shape {shape}, got {error}") from None
    if array.dtype.kind not in "iuf" or array.dtype.itemsize > 8:
        raise TypeError(f"expected {what} to hold float64, got dtype {array.dtype}")
    if array.shape != shape:
        raise ValueError(f"expected {what} of shape {shape}, got {array.shape}")
    if array.dtype.kind != "f" and (np.abs(array.astype(np.float64)) >= 2.0**53).any():
        raise ValueError(f"expected {what} to be float64 numbers, got integers from 2**53 on, which need not be")
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise ValueError(f"expected {what} to be finite, got NaN or infinity")
    return array


def _unit(spec: Any) -> Unit:
    name, given = (spec.get("name"), dict(spec)) if isinstance(spec, Mapping) else (spec, {})
    given.pop("name", None)
    if name not in ACTIVATIONS:
        raise ValueError(f"expected an activation out of {', '.join(ACTIVATIONS)}, got {name!r}")
    defaults = ACTIVATIONS[name]
    if unknown := sorted(set(given) - set(defaults)):
        raise ValueError(
            f"expected parameters of {name} out of {sorted(defaults)}, got {', '.join(map(repr, unknown))}"
        )
    values = {key: value for key, value in (defaults | given).items() if value is not None}
    numbers = {key: _number(f"{key} of {name}", value) for key, value in values.items()}
    for key, number in numbers.items():
        if (name, key) in _POSITIVE and number <= 0:
            raise ValueError(f"expected {key} of {name} to be above 0, got {values[key]}")
    if "low" in numbers and numbers["low"] >= numbers["high"]:
        raise ValueError(f"expected low below high in {name}, got {values['low']} and {values['high']}")
    return Unit(name, numbers)


def _numbers(what: str, value: Any) -> tuple[fmpq, ...]:
    several = np.ndim(value) > 0
    return tuple(_number(what, float(x)) for x in value) if several else (_number(what, value),)


def _loss(given: Mapping[str, Any], last: Unit) -> LossSpec:
    kind = given.get("kind")
    if kind not in LOSSES:
        raise ValueError(f"expected a loss out of {', '.join(LOSSES)}, got {kind!r}")
    known = _LOSS_FIELDS | set(LOSSES[kind])
    if unknown := sorted(set(given) - known):
        raise ValueError(f"expected fields of {kind} out of {sorted(known)}, got {', '.join(map(repr, unknown))}")
    if kind in PROBABILITY_LOSSES and last.name not in ("sigmoid", "softmax"):
        raise ValueError(f"expected sigmoid or softmax before {kind}, which takes probabilities, got {last.name}")
    over_samples, over_outputs = given.get("over_samples", "sum"), given.get("over_outputs", "sum")
    for reduction, reductions in ((over_samples, REDUCTIONS), (over_outputs, REDUCTIONS[:2])):
        if reduction not in reductions:
            raise ValueError(f"expected a reduction out of {', '.join(reductions)}, got {reduction!r}")
    l2_on_bias = given.get("l2_on_bias", False)
    if not isinstance(l2_on_bias, bool):
        raise TypeError(f"expected l2_on_bias to be True or False, got {l2_on_bias!r}")
    defaults = {"scale": 1.0, "l2": 0.0, "l1": 0.0, "delta": 1.0, "gamma": 2.0, "label_smoothing": 0.0, "epsilon": 0.0}
    alpha, class_weights, ignored = (given.get(name) for name in ("alpha", "class_weights", "ignore_index"))
    return LossSpec(
        kind=kind,
        over_samples=over_samples,
        over_outputs=over_outputs,
        l2_on_bias=l2_on_bias,
        alpha=None if alpha is None else _number("alpha", alpha),
        pos_weight=_numbers("pos_weight", given.get("pos_weight", 1.0)),
        class_weights=None if class_weights is None else _numbers("class_weights", class_weights),
        ignore_index=None if ignored is None else operator.index(ignored),
        **{name: _number(name, given.get(name, default)) for name, default in defaults.items()},
    )


def checked(case: Case) -> Problem:
    """Return the case with its arrays as float64 and its defaults filled in, or raise what `solve` documents."""
    sizes = tuple(operator.index(size) for size in case.sizes)
    if len(sizes) < 2 or min(sizes) < 1:
        raise ValueError(f"expected at least two sizes of at least 1, got {sizes}")
    layers = len(sizes) - 1
    one = isinstance(case.activations, str | Mapping)
    units = [_unit(spec) for spec in ([case.activations] * layers if one else case.activations)]
    if len(units) != layers or len(case.params) != layers:
        raise ValueError(
            f"expected {layers} activations and params for sizes {sizes}, got {len(units)} and {len(case.params)}"
        )
    params: list[tuple[Array, Array | None]] = []
    for layer, (weights, bias) in enumerate(case.params):
        fan_in, fan_out = sizes[layer : layer + 2]
        b = None if bias is None else _array(f"params[{layer}] bias", bias, (fan_out,))
        params.append((_array(f"params[{layer}] weights", weights, (fan_in, fan_out)), b))
    n = len(cast(Sequence[Any], case.inputs))
    if n == 0:
        raise ValueError("expected at least one sample, got none")
    inputs = _array("inputs", case.inputs, (n, sizes[0]))
    if case.loss is None:
        if case.ct_outputs is None or case.targets is not None or case.sample_weights is not None:
            raise ValueError("expected ct_outputs alone without a loss, got none, or targets or sample_weights as well")
        return Problem(units, params, inputs, None, _array("ct_outputs", case.ct_outputs, (n, sizes[-1])), None)
    if case.targets is None or case.ct_outputs is not None:
        raise ValueError("expected targets and no ct_outputs with a loss, got something else")
    loss = _loss(case.loss, units[-1])
    targets = _array("targets", case.targets, (n, sizes[-1]))
    for name, factors in (("class_weights", loss.class_weights), ("pos_weight", loss.pos_weight)):
        if factors is not None and len(factors) not in (sizes[-1], *([1] if name == "pos_weight" else [])):
            raise ValueError(f"expected {name} for {sizes[-1]} outputs, got {len(factors)} numbers")
    if "divergence" in loss.kind and (targets < 0).any():
        raise ValueError(f"expected targets of {loss.kind} to be probabilities, got a negative one")
    if loss.kind == "binary_cross_entropy" and units[-1].name == "softmax" and sizes[-1] == 1 and (targets != 1).any():
        raise ValueError("expected targets of 1 for a softmax of one unit, whose output is 1, got an infinite loss")
    if case.sample_weights is None:
        return Problem(units, params, inputs, loss, targets, None)
    weights = _array("sample_weights", case.sample_weights, (n,))
    if (weights < 0).any() or not weights.any():
        raise ValueError("expected sample_weights to be not negative and not all 0")
    return Problem(units, params, inputs, loss, targets, weights)
