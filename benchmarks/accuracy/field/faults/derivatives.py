"""Faults of the derivative of an activation, at the place where ct_a becomes ct_z."""

from collections.abc import Callable

import numpy as np

from benchmarks.accuracy.field.elementwise import ELEMENTWISE, Array, leaky, normal, sigmoid, softmax_back
from benchmarks.accuracy.field.faults.registry import (
    Before,
    Edit,
    Fault,
    Layers,
    at_once,
    batch,
    both,
    either_of,
    factors,
    having,
    hidden,
    is_fused,
    output,
    separate,
)
from benchmarks.accuracy.field.formulas import Style, Tape
from benchmarks.accuracy.field.problems import Family

Slope = Callable[[Tape, int], Array]


def _by(slope: Slope) -> dict[str, Edit]:
    """This in place of the derivative."""
    return {"through": lambda tape, i, before, c: tape.ct[i] * slope(tape, i)}


def _of_a(function: Callable[[Array], Array]) -> dict[str, Edit]:
    return _by(lambda tape, i: function(tape.A[i + 1]))


def _of_z(function: Callable[[Array], Array]) -> dict[str, Edit]:
    return _by(lambda tape, i: function(tape.Z[i]))


def _missing(tape: Tape, layer: int, before: Before, number: float) -> Array:
    return tape.ct[layer]


def _a_for_z(tape: Tape, layer: int, before: Before, number: float) -> Array:
    written = ELEMENTWISE[tape.family.activations[layer]]
    return tape.ct[layer] * written.of_z(tape.A[layer + 1], tape.family.slope)


def _z_for_a(tape: Tape, layer: int, before: Before, number: float) -> Array:
    written = ELEMENTWISE[tape.family.activations[layer]]
    assert written.of_a is not None
    return tape.ct[layer] * written.of_a(tape.Z[layer], tape.family.slope)


def _as(name: str, of: str) -> dict[str, Edit]:
    """The derivative of another activation, of a or of z."""
    other = ELEMENTWISE[name]
    if of == "a":
        assert other.of_a is not None
        return _by(lambda tape, i: other.of_a(tape.A[i + 1], tape.family.slope))  # type: ignore[misc]
    return _by(lambda tape, i: other.of_z(tape.Z[i], tape.family.slope))


def _neighbours(shift: int) -> Layers:
    """Layers beside one of the same width."""

    def layers(family: Family, style: Style) -> list[int]:
        widths = family.sizes[1:]
        able = [i for i in separate(family, style) if 0 <= i + shift < len(widths)]
        return [i for i in able if widths[i + shift] == widths[i] and family.activations[i] != "softmax"]

    return layers


def _of_neighbour(tape: Tape, layer: int, before: Before, shift: float) -> Array:
    written = ELEMENTWISE[tape.family.activations[layer]]
    return tape.ct[layer] * written.of_z(tape.Z[layer + int(shift)], tape.family.slope)


def _last_sample(tape: Tape, layer: int, before: Before, number: float) -> Array:
    """The summed cotangent with the last sample's activations."""
    whole = tape.ct[layer]
    tape.ct[layer] = np.vstack([np.zeros_like(whole[:-1]), whole.sum(axis=0, keepdims=True)])
    delta = before()
    tape.ct[layer] = whole
    return delta


def _twice(back: Callable[[Array, Array], Array]) -> Edit:
    """p - t through the derivative once more."""
    return lambda tape, i, before, c: back(before(), tape.A[i + 1])


def _doubled(family: Family, layers: object, number: float) -> Array:
    made = factors(family, (), (), 1.0)
    for layer in layers:  # type: ignore[attr-defined]
        made[:2, : layer + 1] *= 2
    return made


_tanh, _sigmoid, _relu, _leaky = having("tanh"), having("sigmoid"), having("relu"), having("leaky_relu")


def _softmax_below(family: Family, style: Style) -> list[int]:
    return [i for i in having("softmax")(family, style) if family.sizes[i + 1] > 2]


DERIVATIVES = (
    Fault("output-derivative-missing", "output derivative missing", {"through": _missing}, both(output, separate)),
    Fault("hidden-derivative-missing", "hidden derivative missing", {"through": _missing}, both(hidden, separate)),
    Fault(
        "derivative-of-wrong-variable",
        "f'(a) for f'(z)",
        {"through": _a_for_z},
        having("sigmoid", "tanh", "elu", "softplus", "silu", "gelu"),
    ),
    Fault(
        "derivative-of-wrong-variable",
        "f' in terms of a, of z",
        {"through": _z_for_a},
        having("sigmoid", "tanh", "elu"),
    ),
    Fault("derivative-of-other-activation", "relu' for sigmoid' or tanh'", _as("relu", "a"), having("sigmoid", "tanh")),
    Fault(
        "derivative-of-other-activation",
        "sigmoid' of a for tanh' or relu'",
        _as("sigmoid", "a"),
        having("tanh", "relu"),
    ),
    Fault(
        "derivative-of-other-activation",
        "sigmoid' of z for tanh' or relu'",
        _as("sigmoid", "z"),
        having("tanh", "relu"),
    ),
    Fault(
        "derivative-of-other-activation", "1 - a^2 for sigmoid' or relu'", _as("tanh", "a"), having("sigmoid", "relu")
    ),
    Fault(
        "derivative-of-neighbour-layer",
        "f' of the next layer's z",
        {"through": lambda t, i, b, c: _of_neighbour(t, i, b, 1)},
        _neighbours(1),
    ),
    Fault(
        "derivative-of-neighbour-layer",
        "f' of the layer before's z",
        {"through": lambda t, i, b, c: _of_neighbour(t, i, b, -1)},
        _neighbours(-1),
    ),
    Fault("tanh-derivative-wrong", "tanh for tanh'", _of_a(lambda a: a), _tanh),
    Fault("tanh-derivative-wrong", "1 - tanh", _of_a(lambda a: 1 - a), _tanh),
    Fault("tanh-derivative-wrong", "(1 - tanh)^2", _of_a(lambda a: (1 - a) ** 2), _tanh),
    Fault(
        "sigmoid-derivative-doubled",
        "sigmoid' twice as large",
        {"through": lambda tape, i, before, c: 2 * before()},
        _sigmoid,
        factors=_doubled,
    ),
    Fault(
        "relu-drops-cotangent",
        "the mask alone",
        {
            "through": lambda tape, i, before, c: leaky(
                tape.Z[i], 0.0 if tape.family.activations[i] == "relu" else tape.family.slope
            )
        },
        having("relu", "leaky_relu"),
        where=at_once,
    ),
    Fault("relu-mask-missing", "the mask is always open", {"through": _missing}, _relu),
    Fault(
        "relu-mask-on-cotangent",
        "relu of the cotangent",
        {"through": lambda tape, i, before, c: np.maximum(tape.ct[i], 0)},
        _relu,
    ),
    Fault(
        "relu-mask-on-cotangent",
        "relu of the cotangent besides",
        {"through": lambda tape, i, before, c: np.maximum(before(), 0)},
        _relu,
    ),
    Fault(
        "leaky-slope-wrong-side",
        "the slope on the other side",
        _by(lambda tape, i: leaky(-tape.Z[i], tape.family.slope)),
        _leaky,
    ),
    Fault("leaky-slope-missing", "no slope on the way back", _by(lambda tape, i: leaky(tape.Z[i], 0.0)), _leaky),
    Fault(
        "slope-different-backward",
        "another slope on the way back",
        {"through": lambda tape, i, before, c: tape.ct[i] * leaky(tape.Z[i], c)},
        _leaky,
        number=lambda family, rng: float(rng.choice([-family.slope, 10 * family.slope, 0.05, 0.3])),
    ),
    Fault("value-for-derivative", "a for sigmoid'", _of_a(lambda a: a), _sigmoid),
    Fault("value-for-derivative", "the sigmoid of a for sigmoid'", _of_a(sigmoid), _sigmoid),
    Fault("value-for-derivative", "1 + tanh^2", _of_a(lambda a: 1 + a * a), _tanh),
    Fault("value-for-derivative", "a(1 + a)", _of_a(lambda a: a * (1 + a)), _sigmoid),
    Fault(
        "value-for-derivative",
        "z where it is positive, the slope elsewhere",
        _by(lambda tape, i: np.where(tape.Z[i] > 0, tape.Z[i], tape.Z[i].dtype.type(tape.family.slope))),
        _leaky,
    ),
    Fault("value-for-derivative", "relu for relu'", _of_a(lambda a: a), _relu),
    Fault(
        "sigmoid-derivative-slip", "sigmoid(z) sigmoid(1 - z)", _of_z(lambda z: sigmoid(z) * sigmoid(1 - z)), _sigmoid
    ),
    Fault("sigmoid-derivative-slip", "sigmoid(z)^2", _of_a(lambda a: a * a), _sigmoid),
    Fault("product-term-missing", "silu' without its second term", _of_z(sigmoid), having("silu")),
    Fault("product-term-missing", "gelu' without its second term", _of_z(normal), having("gelu")),
    Fault(
        "gelu-forms-mixed", "the tanh form of gelu', erf forward", _of_z(lambda z: _gelu_tanh_slope(z)), having("gelu")
    ),
    Fault(
        "mask-overwrites",
        "a number in place of the cotangent of inactive units",
        {"through": lambda tape, i, before, c: np.where(tape.Z[i] > 0, tape.ct[i], tape.ct[i].dtype.type(c))},
        having("relu", "leaky_relu"),
        number=lambda family, rng: (
            family.slope if "leaky_relu" in family.activations else float(rng.choice((0.1, 0.5, 1.0)))
        ),
        where=at_once,
    ),
    Fault(
        "relu-threshold",
        "the mask at another threshold",
        {"through": lambda tape, i, before, c: tape.ct[i] * (tape.Z[i] > c).astype(tape.Z[i].dtype)},
        _relu,
        number=either_of(1.0, 0.5, 0.1),
    ),
    Fault(
        "derivative-of-error",
        "tanh' in terms of the cotangent",
        _by(lambda tape, i: 1 - tape.ct[i] ** 2),
        _tanh,
        where=at_once,
    ),
    Fault(
        "derivative-of-error",
        "sigmoid' in terms of the cotangent",
        _by(lambda tape, i: tape.ct[i] * (1 - tape.ct[i])),
        _sigmoid,
        where=at_once,
    ),
    Fault(
        "last-sample-activations",
        "summed cotangent, the last sample's activations",
        {"through": _last_sample},
        both(hidden, separate),
        where=batch,
    ),
    Fault("softmax-jacobian-diagonal", "p(1 - p) alone", _of_a(lambda a: a * (1 - a)), _softmax_below),
    Fault("softmax-derivative-without-sum", "softmax' as a ct alone", _of_a(lambda a: a), _softmax_below),
    Fault(
        "softmax-jacobian-twice",
        "the Jacobian after p - t",
        {"through": _twice(softmax_back)},
        output,
        where=lambda family, style: (
            family.loss == "categorical_cross_entropy" and is_fused(family, style) and family.outputs > 2
        ),
    ),
    Fault(
        "sigmoid-derivative-twice",
        "sigmoid' after p - t",
        {"through": _twice(lambda ct, a: ct * a * (1 - a))},
        output,
        where=lambda family, style: family.loss == "binary_cross_entropy" and is_fused(family, style),
    ),
    Fault(
        "dead-unit-columns",
        "units that are inactive in any sample count for none",
        {"through": lambda tape, i, before, c: before() * (tape.Z[i] > 0).all(axis=0)},
        _relu,
        where=batch,
    ),
)


def _gelu_tanh_slope(z: Array) -> Array:
    inner = (2 / np.pi) ** 0.5 * (z + 0.044715 * z**3)
    slope = (2 / np.pi) ** 0.5 * (1 + 3 * 0.044715 * z**2)
    return (1 + np.tanh(inner)) / 2 + z / 2 * (1 - np.tanh(inner) ** 2) * slope
