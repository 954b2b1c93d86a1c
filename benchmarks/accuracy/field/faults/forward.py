"""Faults of the forward pass, after which the gradient is that of another function."""

from collections.abc import Callable, Sequence

import numpy as np

from benchmarks.accuracy.field.elementwise import ELEMENTWISE, Array
from benchmarks.accuracy.field.faults.registry import (
    Before,
    Edit,
    Fault,
    at_once,
    both,
    either_of,
    every,
    having,
    hidden,
    output,
)
from benchmarks.accuracy.field.formulas import Style, Tape
from benchmarks.accuracy.field.problems import Family


def _as(name: str) -> dict[str, Edit]:
    """Another activation, there and back."""
    other = ELEMENTWISE[name]
    return {
        "activate": lambda tape, i, before, c: other.value(tape.Z[i], tape.family.slope),
        "through": lambda tape, i, before, c: tape.ct[i] * other.of_z(tape.Z[i], tape.family.slope),
    }


def _hidden_but(name: str) -> Callable[[Family, Style], Sequence[int]]:
    """Hidden layers of the usual activations, except this."""
    return both(hidden, having(*(own for own in ("sigmoid", "tanh", "relu") if own != name)))


def _leaky_by(value: Callable[[Array, float], Array], back: Callable[[Tape, int, float], Array]) -> dict[str, Edit]:
    return {
        "activate": lambda tape, i, before, c: value(tape.Z[i], c),
        "through": lambda tape, i, before, c: tape.ct[i] * back(tape, i, c),
    }


def _sloped(array: Array, slope: float) -> Array:
    return np.where(array > 0, array.dtype.type(1), array.dtype.type(slope))


def _no_bias(tape: Tape, layer: int, before: Before, number: float) -> Array:
    kept, tape.b[layer] = tape.b[layer], None if tape.b[layer] is None else 0 * tape.b[layer]
    made = before()
    tape.b[layer] = kept
    return made


def _minus_bias(tape: Tape, layer: int, before: Before, number: float) -> Array:
    kept, tape.b[layer] = tape.b[layer], None if tape.b[layer] is None else -tape.b[layer]
    made = before()
    tape.b[layer] = kept
    return made


def _biased(family: Family, style: Style) -> bool:
    return family.biased


def _short_sigmoid(tape: Tape, layer: int, before: Before, e: float) -> Array:
    return 1 / (1 + e ** -tape.Z[layer])


def _over_samples(tape: Tape, layer: int, before: Before, number: float) -> Array:
    e = np.exp(tape.Z[layer])
    return e / e.sum(axis=0, keepdims=True)


def _over_everything(tape: Tape, layer: int, before: Before, number: float) -> Array:
    e = np.exp(tape.Z[layer])
    return e / e.sum()


def _fused_softmax(family: Family, style: Style) -> bool:
    able = (family.activations[-1], family.loss) == ("softmax", "categorical_cross_entropy") and style.fused
    return able and at_once(family, style) and family.samples > 1 and family.targets == "one"


_nothing: Edit = lambda tape, i, before, c: tape.ct[i]  # noqa: E731
_identity: Edit = lambda tape, i, before, c: tape.Z[i]  # noqa: E731
_of_a: Edit = lambda tape, i, before, c: tape.ct[i] * tape.A[i + 1] * (1 - tape.A[i + 1])  # noqa: E731

FORWARD = (
    Fault(
        "activation-missing",
        "no activation, there and back",
        {"activate": _identity, "through": _nothing},
        both(hidden, having("sigmoid", "tanh", "relu", "leaky_relu", "elu", "softplus", "silu", "gelu")),
    ),
    *(
        Fault("activation-swapped", f"{name} instead, there and back", _as(name), _hidden_but(name))
        for name in ("sigmoid", "tanh", "relu", "softplus")
    ),
    Fault(
        "slope-different",
        "another slope, there and back",
        _leaky_by(lambda z, c: z * _sloped(z, c), lambda tape, i, c: _sloped(tape.Z[i], c)),
        having("leaky_relu"),
        number=either_of(0.05, 0.3, 0.02),
    ),
    Fault(
        "leaky-forward-slip",
        "0 below, slope times z above; back by the sign of the output",
        _leaky_by(
            lambda z, c: np.where(z > 0, z * z.dtype.type(c), z.dtype.type(0)),
            lambda tape, i, c: _sloped(tape.A[i + 1], c),
        ),
        having("leaky_relu"),
        number=lambda family, rng: family.slope,
    ),
    Fault("bias-missing", "no bias on the way forward", {"affine": _no_bias}, every, where=_biased),
    Fault(
        "bias-subtracted",
        "the bias is subtracted, there and back",
        {"affine": _minus_bias, "bias": lambda tape, i, before, c: -before()},
        every,
        where=_biased,
    ),
    Fault(
        "bias-subtracted", "the bias is subtracted on the way forward", {"affine": _minus_bias}, every, where=_biased
    ),
    Fault(
        "short-constant",
        "e of few digits",
        {"activate": _short_sigmoid, "through": _of_a},
        having("sigmoid"),
        number=either_of(2.718, 2.7183, 2.71828, 2.72),
    ),
    Fault(
        "softmax-over-samples", "normalised over the samples", {"activate": _over_samples}, output, where=_fused_softmax
    ),
    Fault(
        "softmax-over-samples",
        "normalised over everything",
        {"activate": _over_everything},
        output,
        where=_fused_softmax,
    ),
    Fault("softmax-missing", "no softmax before p - t", {"activate": _identity}, output, where=_fused_softmax),
)
