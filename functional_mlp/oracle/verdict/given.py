"""What was given, brought into the oracle's layout, by path; and what does not fit, with the reason.

Paths are those of the report: "params[0].weights", "params[0].bias", "loss", "outputs", "deltas[0]", "ct_inputs".
Nothing is judged here but shapes: whether an array is missing or cannot be compared.
"""

import math
from collections.abc import Iterable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from functional_mlp._dtypes import Array
from functional_mlp.oracle.case import (
    FIELDS,
    Case,
    Layer,
    as_rows,
    declared_layer,
    declared_shape,
    delta_path,
    layer_path,
    layers_in,
    numbers,
    parameter_path,
    shape_of,
    shapes_of_bias,
    weights_and_bias,
    without_layout,
)
from functional_mlp.oracle.documents import Digits, Gradients
from functional_mlp.oracle.noise import FORMATS
from functional_mlp.oracle.verdict.leaf import Cause


class Misfit(NamedTuple):
    """Why an array that was given cannot be compared."""

    cause: Cause
    sentence: str


class Handed(NamedTuple):
    """An array as it was handed over, in the oracle's layout.

    Attributes:
        values: float64.
        dtype: that it came in: a key of `DTYPES`.
        one_for_all: whether it came as one number, which stands here for every unit.
    """

    values: Array
    dtype: str
    one_for_all: bool = False


Given = dict[str, Handed | Misfit]


def given_leaves(case: Case, given: Gradients) -> Given:
    """What was given, by path, in the oracle's layout; whatever does not fit is a `Misfit`.

    Raises:
        TypeError: for what holds no numbers at all.
    """
    n = len(case.inputs)
    shapes = tuple((n, size) for size in case.network.sizes)
    leaves: Given = given_params(case, given.params, given.only)
    if given.deltas is not None:
        leaves |= _given_deltas(case, given.deltas, shapes[1:])
    for name, value, shape in (("outputs", given.outputs, shapes[-1]), ("ct_inputs", given.ct_inputs, shapes[0])):
        if value is not None:
            leaves[name] = _of_samples(case, name, value, shape)
    if given.loss is not None:
        leaves["loss"] = _fitting("loss", given.loss, (), also=((1,), (1, 1)))
    return leaves


def given_params(case: Case, params: Any, only: tuple[str, ...] = ()) -> Given:
    """Gradients or parameters by path, from the layout of the case; see `given_leaves`.

    Args:
        case: the question.
        params: one entry per layer, or another form that `case.layers_in` takes.
        only: of these fields ("weights", "bias") or paths ("params[0].bias") alone, whatever else is there; () for all.
    """
    layers = layers_in(params, len(case.params))
    if isinstance(layers, np.ndarray | str | dict) or not hasattr(layers, "__len__"):
        raise TypeError(
            f"expected gradients to be a list with one (weights, bias) pair per layer, got {type(params).__name__}"
        )
    leaves: Given = {}
    few = f"missing: {len(layers)} of {len(case.params)} layers were given"
    for i, (layer, given) in enumerate(zip(case.params, list(layers), strict=False)):
        leaves |= _given_layer(case, i, layer, given)
    for i in range(len(layers), len(case.params)):
        for field, leaf in zip(FIELDS, case.params[i], strict=True):
            if leaf is not None:
                leaves[parameter_path(i, field)] = Misfit(Cause.MISSING, few)
    if len(layers) > len(case.params):
        excess = f"the network has {len(case.params)} layers, but gradients of {len(layers)} were given"
        leaves[layer_path(len(case.params))] = Misfit(Cause.SHAPE, excess)
    asked = {path: leaf for path, leaf in leaves.items() if is_asked_for(path, only)}
    if not asked:
        raise ValueError(f"expected only to name parameters of the case, {', '.join(leaves)}, got {', '.join(only)}")
    return asked


def notes_on_shapes(case: Case, params: Any) -> tuple[str, ...]:
    """What is said of gradients of biases in another shape than the biases', if NumPy makes a matrix of the two."""
    notes = []
    pairs = map(partial(weights_and_bias, "params"), layers_in(params, len(case.params)))
    for i, (layer, (_, given)) in enumerate(zip(case.params, pairs, strict=False)):
        own = declared_layer(layer, case.layout).get("bias")
        if own is None or given is None or case.layout.in_weights:
            continue
        shape = shape_of(given)
        if shape not in shapes_of_bias(own.size):  # what is said of that is that it does not fit
            continue
        together = np.broadcast_shapes(own.shape, shape)
        if math.prod(together) > own.size:
            path = parameter_path(i, "bias")
            words = f"the gradient of {path} has shape {shape}, the bias {own.shape}"
            notes.append(f"{words}: subtracted from it, NumPy makes {together} of the two; reshape it")
    return tuple(notes)


def is_asked_for(path: str, only: tuple[str, ...]) -> bool:
    """Whether an array is to be judged, where of the parameters only these fields or paths are; () means all."""
    return not only or not path.startswith("params") or path in only or path.rpartition(".")[2] in only


def _given_layer(case: Case, number: int, layer: Layer, given: Any) -> Given:
    """The weights and the bias of one layer, given in the layouts that the case declares."""
    weights, bias = weights_and_bias(layer_path(number), given)
    weights_path, bias_path = (parameter_path(number, field) for field in FIELDS)
    layout, fan_out = case.layout, layer.weights.shape[1]
    fitting: Handed | Misfit = Misfit(Cause.MISSING, "missing")
    if weights is not None:
        other = "in_out" if layout.weights == "out_in" else "out_in"
        hint = f"if that is your layout, declare weights_layout {other!r} in the case"
        fitting = _given_parameter(weights_path, weights, declared_shape(layer.weights.shape, layout), if_turned=hint)
    in_weights: Handed | Misfit = fitting
    if isinstance(fitting, Handed):
        values, row = without_layout(fitting.values, layout)
        fitting = fitting._replace(values=values)
        in_weights = fitting if row is None else fitting._replace(values=row)
    leaves: Given = {weights_path: fitting}
    if layout.in_weights and layer.bias is not None:
        leaves[bias_path] = in_weights
        if bias is not None:
            leaves[bias_path] = Misfit(
                Cause.SHAPE, f"given, though the bias is the {str(layout.bias).replace('_', ' ')} of the weights"
            )
    elif layer.bias is None:
        if bias is not None:
            leaves[bias_path] = Misfit(Cause.SHAPE, "given, but there is no bias")
    elif bias is None:
        leaves[bias_path] = Misfit(Cause.MISSING, "missing")
    else:
        leaves[bias_path] = _given_parameter(bias_path, bias, (fan_out,), also=shapes_of_bias(fan_out))
    return leaves


def _given_parameter(path: str, value: Any, shape: tuple[int, ...], **more: Any) -> Handed | Misfit:
    """The gradient of a parameter, a bias as a vector, row or column; one number is taken to stand for every entry."""
    fitting = _fitting(path, value, shape, **more)
    if isinstance(fitting, Handed) or math.prod(shape_of(value)) != 1:
        return fitting
    return Handed(np.full(shape, numbers(path, value).item()), coarsest([value]), one_for_all=True)


def _given_deltas(case: Case, deltas: Any, shapes: tuple[tuple[int, ...], ...]) -> Given:
    if not isinstance(deltas, list | tuple) and np.ndim(deltas) == 0:
        raise TypeError(f"expected deltas to be a list with one array per layer, got {type(deltas).__name__}")
    leaves: Given = {}
    for i, shape in enumerate(shapes):
        path = delta_path(i)
        missing = Misfit(Cause.MISSING, "missing")
        leaves[path] = _of_samples(case, path, deltas[i], shape) if i < len(deltas) else missing
    if len(deltas) > len(shapes):
        leaves[delta_path(len(shapes))] = Misfit(Cause.SHAPE, f"given, but there are only {len(shapes)} layers")
    return leaves


def _of_samples(case: Case, what: str, value: Any, shape: tuple[int, ...]) -> Handed | Misfit:
    """An array with one row, or in the layout of the case one column, per sample."""
    columns = case.layout.samples == "columns"
    hint = f"if samples are {'rows' if columns else 'columns'}, declare that in the layout of the case"
    # the outputs of a network with one are often kept as a vector
    also = (shape[:1],) if shape[1] == 1 else ()
    fitting = _fitting(what, value, shape[::-1] if columns else shape, also=also, if_turned=hint)
    return fitting._replace(values=as_rows(fitting.values, case.layout)) if isinstance(fitting, Handed) else fitting


def _fitting(
    what: str,
    value: Any,
    shape: tuple[int, ...],
    also: tuple[tuple[int, ...], ...] = (),
    if_turned: str = "",
) -> Handed | Misfit:
    """An array of a shape, or of others that hold the same numbers in the same order."""
    try:
        array = numbers(what, value)
    except ValueError as error:
        return Misfit(Cause.SHAPE, str(error))
    if array.shape in also:
        array = array.reshape(shape)
    if array.shape != shape:
        turned = len(shape) == 2 and array.shape == shape[::-1]
        hint = f": the transpose; {if_turned}" if turned else ""
        return Misfit(Cause.SHAPE, f"expected shape {shape}, got {array.shape}{hint}")
    return Handed(array, coarsest([value]))


def coarsest(arrays: Iterable[Any]) -> str:
    """The name of the narrowest dtype among arrays: what they were computed in, if nobody says.

    Lists have the narrowest dtype of what they hold; Python's numbers are float64.
    """
    found = set().union(*map(_dtype_names, arrays))
    return next((name for name in ("float16", "bfloat16", "float32") if name in found), "float64")


def has_dtype(array: Any) -> bool:
    """Whether an array says what it was computed in; lists of Python's numbers do not."""
    return bool(_dtype_names(array))


def _dtype_names(array: Any) -> set[str]:
    if isinstance(array, list | tuple):
        plain = {int, float}.issuperset(map(type, array))
        return set() if plain else set().union(*map(_dtype_names, array))
    dtype = getattr(array, "dtype", None)
    if dtype is None:
        return set()
    return {dtype.newbyteorder("=").name if isinstance(dtype, np.dtype) else str(dtype).removeprefix("torch.")}


def known_to(handed: Handed, printed: Digits | None, values: Array | None = None, *, widest: bool = False) -> Array:
    """How far numbers may be from those that were computed, as they came: rounded to a dtype, or printed.

    Args:
        handed: the array.
        printed: how it was printed, if it was.
        values: other numbers, that might have come the same way; None: the array's own.
        widest: whether to take every printed number at its own word, where its digits are in doubt (`Digits.widest`).
    """
    values = handed.values if values is None else values
    half = np.zeros_like(values)
    if handed.dtype != "float64":
        form = FORMATS[handed.dtype]
        size = np.abs(np.where(np.isfinite(values), values, 0.0))
        half = np.maximum(form.unit * size, form.smallest)
    if printed is None:
        return half
    return np.asarray(half + (printed.widest(values) if widest else printed.half_unit(values)))
