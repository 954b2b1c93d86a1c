"""Gradients by correct.c, compiled with gcc on first use, with or without -ffast-math."""

import ctypes
import functools
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.compiler import shared_object
from functional_mlp._dtypes import DTYPES
from functional_mlp.losses import OPTIONS
from functional_mlp.oracle import Case
from reference.plain import Answer, Array, is_fused

SOURCE = Path(__file__).with_name("correct.c")
STRICT = ("-O2", "-fno-fast-math", "-ffp-contract=off")
FAST = ("-O3", "-ffast-math", "-march=native")
C_TYPES = {"float64": "double", "float32": "float"}

# in the order of the enumerations in the source
ACTIVATIONS = ("identity", "sigmoid", "tanh", "relu", "leaky_relu", "elu", "softplus", "silu", "gelu", "softmax")
LOSSES = (
    *(None, "squared_error", "binary_cross_entropy", "categorical_cross_entropy"),
    *("sigmoid_cross_entropy", "softmax_cross_entropy"),
)


def knows(case: Case) -> bool:
    """Whether the C program has the activations and the loss of a case: one of the first five, without options."""
    loss = case.loss
    has_activations = all(
        activation.name in ACTIVATIONS and dict(activation.parameters).get("beta", 1.0) == 1.0
        for activation in case.network.activations
    )
    if loss is None:
        return has_activations
    plain = loss.over_samples != "batch_mean" and not {"l1", *OPTIONS} & {*loss.as_fields()}
    return has_activations and plain and loss.kind in LOSSES


@functools.cache
def loaded(flags: tuple[str, ...], dtype: str) -> ctypes.CDLL:
    """The source compiled with `flags` for "float64" or "float32", and loaded; errors as `shared_object`."""
    program = shared_object(SOURCE, ("-std=c11", f"-DREAL={C_TYPES[dtype]}", *flags))
    program.gradients.restype = ctypes.c_double
    return program


def c_gradients(case: Case, flags: tuple[str, ...], fused: bool) -> Answer:
    """The answer of the C program, computed in the case's dtype.

    Args:
        case: the question.
        flags: of the compiler: `STRICT` or `FAST`.
        fused: p - t instead of a probability loss's derivative through its own activation's.
    """
    network, loss, dtype = case.network, case.loss, DTYPES[case.dtype]
    sizes, samples, fused = network.sizes, len(case.inputs), is_fused(case, fused)
    parameters = [dict(activation.parameters) for activation in network.activations]

    def reals(values: Any) -> Array:
        return np.ascontiguousarray(values, dtype)

    def integers(values: Any) -> Array:
        return np.ascontiguousarray(values, np.intc)

    kinds = [ACTIVATIONS.index(activation.name) for activation in network.activations]
    kind = LOSSES.index(None if loss is None else loss.kind)
    flat = np.concatenate([x.ravel() for layer in case.params for x in layer if x is not None])
    z, a, ct_z = (np.empty(samples * sum(sizes[1:]), dtype) for _ in range(3))
    grads, ct_inputs = np.empty(flat.size, dtype), np.empty((samples, sizes[0]), dtype)
    arguments = (
        len(kinds),
        integers(sizes),
        integers(kinds),
        reals([p.get("slope", p.get("alpha", 0.0)) for p in parameters]),
        reals([p.get("at_zero", 0.0) for p in parameters]),
        integers([b is not None for _, b in case.params]),
        reals(flat),
        samples,
        reals(case.inputs),
        reals(case.ct_outputs if loss is None else case.targets),
        None if case.sample_weights is None else reals(case.sample_weights),
        kind + 2 if fused else kind,  # the losses of logits follow those of probabilities
        int(loss is not None and loss.over_samples == "mean"),
        int(loss is not None and loss.over_outputs == "mean"),
        int(fused),
        1.0 if loss is None else loss.scale,
        0.0 if loss is None else loss.l2,
        int(loss is not None and loss.l2_on_bias),
        *(z, a, ct_z, grads, ct_inputs, np.empty(samples * max(sizes), dtype)),
    )
    value = loaded(flags, case.dtype).gradients(*map(_c_argument, arguments))
    ends = np.cumsum([samples * size for size in sizes[1:]])[:-1]
    deltas = tuple(x.reshape(samples, -1) for x in np.split(ct_z, ends))
    outputs = np.split(a, ends)[-1].reshape(samples, -1)
    return Answer(_unflattened(grads, case), None if loss is None else value, outputs, deltas, ct_inputs)


def _c_argument(argument: Any) -> Any:
    if isinstance(argument, np.ndarray):
        return ctypes.c_void_p(argument.ctypes.data)
    return ctypes.c_double(argument) if isinstance(argument, float) else argument


def _unflattened(flat: Array, case: Case) -> tuple[tuple[Array, Array | None], ...]:
    grads, start = [], 0
    for (fan_in, fan_out), (_, bias) in zip(case.network.shapes, case.params, strict=True):
        middle = start + fan_in * fan_out
        end = middle + (0 if bias is None else fan_out)
        grads.append((flat[start:middle].reshape(fan_in, fan_out), None if bias is None else flat[middle:end]))
        start = end
    return tuple(grads)
