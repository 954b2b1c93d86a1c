"""Hazards of numbers: saturation, logits, kinks, cancellation, underflow and overflow."""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from functional_mlp.losses import Loss
from functional_mlp.network import Network
from tools.vectorgen.hazards.networks import ACTIVATIONS, ENDS, SQUARED, short
from tools.vectorgen.hazards.recipes import (
    ALL,
    WIDE,
    Array,
    Change,
    Drawn,
    Numbers,
    Recipe,
    biased,
    followed,
    logits,
    targets,
    without_bias,
)

CURVED = ("sigmoid", "tanh", "softplus", "silu", "gelu", "elu", "softmax")


def saturation() -> Iterator[Recipe]:
    """Units far out on both sides, in hidden layers and under every cross-entropy."""
    far_out = {"far": 20.0, "farther": 60.0, "farthest": 800.0}
    for (word, size), name in itertools.product(far_out.items(), CURVED):
        yield Recipe(
            *("saturation", f"hidden-{name}-{word}", f"{name} of about ±{size:g} and ±{size / 2:g}.", ("Saturation",)),
            *(Network((2, 4, 2), (name, "identity")), SQUARED),
            change=biased(0, (size, -size, size / 2, -size / 2)),
        )
    for name in ("sigmoid", "tanh"):
        yield Recipe(
            *("saturation", f"whole-layer-{name}", f"Every unit of a layer of {name} is saturated.", ("Saturation",)),
            *(Network((2, 3, 2), (name, "identity")), SQUARED),
            change=biased(0, (25.0, 30.0, -28.0)),
        )
    for name, size in itertools.product(("sigmoid", "tanh"), (6.0, 9.0, 13.0, 17.0)):
        network = Network((2, 4, 2), (name, "identity"))
        comment = f"{name} of about ±{size:g}, where 1 minus it has lost some of its digits, and not all."
        slug = f"cancelling-{name}-{size:g}"
        yield Recipe("saturation", slug, comment, ("Saturation",), network, SQUARED, change=biased(0, (size, -size)))
    crosses = [(kind, last) for kind, last in ENDS.items() if kind != "squared_error"]
    sure = {"sure": 12.0, "surer": 40.0, "surest": 500.0}
    for (kind, last), (word, size) in itertools.product(crosses, sure.items()):
        for side, flag in (("right", "Saturation"), ("wrong", "WrongSideSaturation")):
            yield Recipe(
                *("saturation", f"{short(kind)}-{word}-{side}", f"An output that is sure, and {side}.", (flag,)),
                *(Network((2, 3, 3), ("tanh", last)), Loss(kind)),
                change=_sure(size, right=side == "right"),
            )


def _sure(size: float, *, right: bool) -> Change:
    """Logits of about (size, 0, −size); the target is on the first unit if that is right, else on the last."""

    def on_one_unit(numbers: Numbers, shape: tuple[int, int]) -> Array:
        return np.resize([1.0, 0.0, 0.0] if right else [0.0, 0.0, 1.0], shape)

    return followed(biased(1, (size, 0.0, -size)), targets(on_one_unit))


def logit_vectors() -> Iterator[Recipe]:
    """Logits given directly, as inputs of a layer that hands them on."""
    rows = {
        "huge": ("Logits of ±10,000.", "HugeLogits", [[1e4, -1e4, 0.0], [-1e4, 1e4, 5e3], [1e4, 1e4, -1e4]]),
        "overflowing": (
            *("Logits just above ln of the largest float64, and float32.", "HugeLogits"),
            [[710.0, 0.0, 1.0], [89.0, 88.0, 0.0], [-746.0, -104.0, 89.0]],
        ),
        "offset": (
            *("Logits that differ by little, far from 0.", "HugeLogits"),
            [[1000.0, 1001.0, 999.5], [-500.0, -501.0, -499.0]],
        ),
        "negative": ("Logits that are all far below 0.", "HugeLogits", [[-1000.0, -1010.0, -1005.0]]),
        "tiny": (
            *("Logits of about 1e-8.", "TinyLogits"),
            [[2.0**-27, -(2.0**-26), 3 * 2.0**-28], [2.0**-30, 0.0, -(2.0**-27)]],
        ),
        "equal": ("Equal logits.", "TinyLogits", [[0.0, 0.0, 0.0], [2.5, 2.5, 2.5]]),
        "nearly-equal": ("Logits that differ by 2⁻¹².", "TinyLogits", [[1.0, 1.0 + 2.0**-12, 1.0 - 2.0**-12]]),
        "one-hot": ("One logit beside two that are far below.", "HugeLogits", [[30.0, -30.0, -30.0], [0.0, 50.0, 0.0]]),
    }
    for (word, (comment, flag, values)), (kind, last) in itertools.product(rows.items(), ENDS.items()):
        if kind in ("sigmoid_cross_entropy", "softmax_cross_entropy"):
            network = Network((3, 3), (last,))
            slug, flags = f"{short(kind)}-{word}", (flag, "SingleLayer")
            yield Recipe("logits", slug, comment, flags, network, Loss(kind), len(values), logits(values))
    yield Recipe(
        *("logits", "one-class", "A softmax of one class: p is 1, and the gradient 0.", ("SingleUnit",)),
        *(Network((2, 3, 1), ("tanh", "identity")), Loss("softmax_cross_entropy")),
    )
    for kind in ("sigmoid_cross_entropy", "softmax_cross_entropy"):
        yield Recipe(
            *("logits", f"{short(kind)}-low", "Moderate logits.", ("Ordinary",)),
            *(Network((3, 4, 3), ("relu", "identity")), Loss(kind, over_samples="mean")),
            precisions=ALL,
        )


def kinks() -> Iterator[Recipe]:
    """Pre-activations of exactly 0, whatever the order of the sums."""
    units = {"relu": "relu", "leaky-relu": ACTIVATIONS["leaky_relu-slope"], "elu-alpha": ACTIVATIONS["elu-alpha"]}
    for name, unit in units.items():
        for slug, comment, flags, change in (
            ("hidden", "Hidden units at 0, some as a difference of equal numbers.", ("Kink",), _at_zero),
            ("negative-zero", "Inputs of −0.0, no bias.", ("Kink", "NegativeZero"), _negative_zero),
        ):
            yield Recipe(
                *("kinks", f"{name}-{slug}", f"{name}. {comment}", flags, Network((2, 3, 2), (unit, "identity"))),
                *(SQUARED, 4, change),
                keeps_from_kinks=False,
            )
        yield Recipe(
            *("kinks", f"{name}-output", f"{name} at the output, at 0.", ("Kink", "SingleLayer")),
            *(Network((2, 3), (unit,)), SQUARED, 4, _at_zero),
            keeps_from_kinks=False,
        )
        yield Recipe(
            *("kinks", f"{name}-twice", f"{name} at 0 in two layers.", ("Kink", "DeadUnits")),
            *(Network((2, 3, 3, 2), (unit, unit, "identity")), SQUARED, 4, followed(_at_zero, _no_weights)),
            keeps_from_kinks=False,
        )
        yield Recipe(
            *("kinks", f"{name}-near", f"{name} of ±2⁻¹²: small, and not 0.", ("Kink",)),
            *(Network((1, 2, 2), (unit, "identity")), SQUARED, 2, _near_zero),
        )
        yield Recipe(
            *("kinks", f"{name}-declared", f"{name} at 0, with the derivative of the right side declared.", ("Kink",)),
            *(Network((2, 3, 2), (_right(unit), "identity")), SQUARED, 4, _at_zero),
            keeps_from_kinks=False,
        )
    yield Recipe(
        *("kinks", "smooth-at-zero", "elu with alpha 1 has no kink at 0.", ("Kink",)),
        *(Network((2, 3, 2), ("elu", "identity")), SQUARED, 4, _at_zero),
        keeps_from_kinks=False,
    )
    yield Recipe(
        *("kinks", "dead-units", "Two of four units are inactive for every sample.", ("DeadUnits",)),
        *(Network((2, 4, 2), ("relu", "identity")), SQUARED),
        change=biased(0, (5.0, -5.0, 0.25, -6.0)),
        precisions=ALL,
    )
    yield Recipe(
        *("kinks", "dead-layer", "Every unit is inactive: the layers before learn nothing.", ("DeadUnits",)),
        *(Network((2, 3, 3, 2), ("tanh", "relu", "identity")), SQUARED),
        change=biased(1, (-9.0,)),
    )
    yield Recipe(
        *("kinks", "negative-zero-linear", "Inputs of −0.0 and a smooth network.", ("NegativeZero",)),
        *(Network((2, 3, 2), ("tanh", "identity")), SQUARED),
        change=_negative_zero,
    )


def _right(unit: Any) -> dict[str, Any]:
    return ({"name": unit} if isinstance(unit, str) else dict(unit)) | {"at_zero": 1.0}


def _quarters(numbers: Numbers, shape: tuple[int, ...]) -> Array:
    """±¼ … ±1: products and sums of few of them are exact in every precision."""
    return numbers.integers(shape, 1, 4) / 4 * (2 * numbers.integers(shape, 0, 1) - 1)


def _at_zero(numbers: Numbers, drawn: Drawn) -> Drawn:
    weights = _quarters(numbers, (2, 3))
    weights[:, 0] = 0
    weights[:, 1] = (0.5, -0.5)
    rows = _quarters(numbers, (len(drawn.inputs), 2))
    rows[:2, 1] = rows[:2, 0]
    drawn = drawn.with_layer(0, weights, np.array([0.0, 0.0, 0.125]))
    return drawn._replace(inputs=rows)


def _no_weights(numbers: Numbers, drawn: Drawn) -> Drawn:
    """The second layer's first unit sees nothing."""
    weights = drawn.params[1][0].copy()
    weights[:, 0] = 0
    return drawn.with_layer(1, weights, np.array([0.0, 0.75, -0.75]))


def _negative_zero(numbers: Numbers, drawn: Drawn) -> Drawn:
    rows = _quarters(numbers, drawn.inputs.shape)
    rows[0] = -0.0
    rows[1, 0] = -0.0
    fan_in, fan_out = drawn.params[0][0].shape
    return drawn.with_layer(0, _quarters(numbers, (fan_in, fan_out)), np.zeros(fan_out))._replace(inputs=rows)


def _near_zero(numbers: Numbers, drawn: Drawn) -> Drawn:
    drawn = drawn.with_layer(0, np.array([[1.0, -1.0]]), np.zeros(2))
    return drawn._replace(inputs=np.array([[2.0**-12], [-(2.0**-12)]]))


def cancellation() -> Iterator[Recipe]:
    """Differences of nearly equal numbers: outputs and targets, samples, terms of a sum, on both ways."""

    def of(
        slug: str,
        comment: str,
        sizes: tuple[int, ...],
        units: Any,
        change: Change,
        *flags: str,
        samples: int = 4,
    ) -> Recipe:
        chosen = flags or ("Cancellation",)
        return Recipe("cancellation", slug, comment, chosen, Network(sizes, units), SQUARED, samples, change)

    yield of("targets-near-outputs", "Targets 2⁻¹⁸ from the outputs.", (3, 2), "identity", _nearly_fitting(2.0**-18))
    yield of(
        "perfect-fit",
        "Targets that are the outputs: the gradient is 0.",
        (3, 2),
        "identity",
        _nearly_fitting(0.0),
        "PerfectFit",
    )
    yield of("samples", "Samples in pairs whose terms nearly cancel.", (3, 2), "identity", _opposed, samples=6)
    yield of("bias", "A bias that nearly cancels the sum.", (1, 3, 2), ("tanh", "identity"), _countered, samples=1)
    for name in ("tanh", "identity"):
        yield of(f"forward-{name}", "Weights in pairs that nearly cancel.", (4, 3, 2), (name, "identity"), _paired(0))
        yield of(f"backward-{name}", "Cotangents that nearly cancel.", (2, 3, 4), (name, "identity"), _paired_across)
    yield of("order", "Terms from 2⁻⁸ to 2⁸.", (48, 2), "tanh", _spread(8), "SumOrder", "Wide", samples=2)
    yield of("order-samples", "Samples from 2⁻⁸ to 2⁸.", (2, 2), "identity", _spread_samples, "SumOrder", samples=33)
    yield of("softmax", "Classes that share a logit, and nearly the cotangent.", (3, 4), "softmax", _level)


def _nearly_fitting(apart: float) -> Change:
    def change(numbers: Numbers, drawn: Drawn) -> Drawn:
        weights, rows = _quarters(numbers, (3, 2)), _quarters(numbers, drawn.inputs.shape)
        bias = _quarters(numbers, (2,))
        outputs = rows @ weights + bias  # exact
        signs = 2 * numbers.integers(outputs.shape, 0, 1) - 1
        return drawn.with_layer(0, weights, bias)._replace(inputs=rows, end=outputs + apart * signs)

    return change


def _opposed(numbers: Numbers, drawn: Drawn) -> Drawn:
    weights, half = _quarters(numbers, (3, 2)), _quarters(numbers, (len(drawn.inputs) // 2, 3))
    rows, bias = np.concatenate([half, half]), _quarters(numbers, (2,))
    outputs = rows @ weights + bias  # exact
    misses = _quarters(numbers, (len(half), 2))
    apart = np.concatenate([misses, -misses * (1 + 2.0**-12)])
    return drawn.with_layer(0, weights, bias)._replace(inputs=rows, end=outputs + apart)


def _countered(numbers: Numbers, drawn: Drawn) -> Drawn:
    weights = _quarters(numbers, (1, 3)) * 4
    return drawn.with_layer(0, weights, -weights[0] + 2.0**-10)._replace(inputs=np.ones((1, 1)))


def _paired(layer: int) -> Change:
    """Rows of weights in pairs w, −w (1 + 2⁻¹⁰), for inputs in equal pairs."""

    def change(numbers: Numbers, drawn: Drawn) -> Drawn:
        weights = drawn.params[layer][0].copy()
        weights[1::2] = numbers.rounded(-weights[::2] * (1 + 2.0**-10))
        rows = drawn.inputs.copy()
        rows[:, 1::2] = rows[:, ::2]
        return drawn.with_layer(layer, weights)._replace(inputs=rows)

    return change


def _paired_across(numbers: Numbers, drawn: Drawn) -> Drawn:
    """Columns of the last weights in pairs, biases and targets alike, so that Wᵀ ct_z nearly cancels."""
    weights, bias = (np.array(part) for part in drawn.params[1])
    weights[:, 1::2] = numbers.rounded(-weights[:, ::2] * (1 + 2.0**-10))
    bias[1::2] = -bias[::2]
    end = drawn.end.copy()
    end[:, 1::2] = -end[:, ::2]  # the outputs are nearly opposite, the misses too; equal weights would add up
    weights[:, 2:] = weights[:, 2:][:, ::-1]
    return drawn.with_layer(1, weights, bias)._replace(end=end)


def _spread(power: int) -> Change:
    def change(numbers: Numbers, drawn: Drawn) -> Drawn:
        scales = np.ldexp(1.0, numbers.integers(drawn.inputs.shape[1:], -power, power).astype(int))
        weights = drawn.params[0][0]
        rows = numbers.rounded(drawn.inputs * scales)
        return drawn.with_layer(0, numbers.rounded(weights / 4))._replace(inputs=numbers.rounded(rows / 16))

    return change


def _spread_samples(numbers: Numbers, drawn: Drawn) -> Drawn:
    scales = np.ldexp(1.0, numbers.integers((len(drawn.inputs), 1), -8, 8).astype(int))
    return drawn._replace(inputs=numbers.rounded(drawn.inputs * scales))


def _level(numbers: Numbers, drawn: Drawn) -> Drawn:
    weights = np.repeat(drawn.params[0][0][:, :1], 4, axis=1)
    end = np.full(drawn.end.shape, 0.25) + _quarters(numbers, drawn.end.shape) * 2.0**-8
    return drawn.with_layer(0, weights, np.zeros(4))._replace(end=numbers.rounded(end))


def magnitudes() -> Iterator[Recipe]:
    """Numbers near the ends of the format, and of very different sizes."""
    powers = {"float64": 1, "float32": 1 / 8}

    def scaled(power: int, part: str = "inputs") -> Change:
        """Times 2**power in float64, and as far out in float32."""

        def change(numbers: Numbers, drawn: Drawn) -> Drawn:
            factor = np.ldexp(1.0, int(power * powers[numbers.precision]))
            if part == "inputs":
                return drawn._replace(inputs=numbers.rounded(drawn.inputs * factor))
            return drawn.with_layer(0, numbers.rounded(drawn.params[0][0] * factor))

        return change

    plain: tuple[str, ...] = ("identity", "identity")
    single = ("float32",)  # float64's noise at such numbers is not known well enough
    for slug, comment, flag, units, change in (
        ("tiny-inputs", "Tiny inputs, no bias.", "Underflow", plain, followed(without_bias(), scaled(-500))),
        ("tiny-inputs-tanh", "Tiny inputs.", "Underflow", ("tanh", "identity"), scaled(-400)),
        ("subnormal-inputs", "Inputs below the smallest normal number.", "Underflow", plain, scaled(-1050)),
        ("tiny-weights", "Tiny weights in the first layer.", "Underflow", plain, scaled(-300, "weights")),
        ("subnormal-weights", "Weights below the smallest normal one.", "Underflow", plain, scaled(-1045, "weights")),
        ("huge-inputs", "Inputs of about 2⁵⁶: squares near the largest number.", "Overflow", plain, scaled(450)),
        ("huge-inputs-relu", "Huge inputs and relu.", "Overflow", ("relu", "identity"), scaled(400)),
        ("huge-inputs-tanh", "Huge inputs and tanh: all saturate.", "Overflow", ("tanh", "identity"), scaled(300)),
        ("huge-inputs-softplus", "Huge inputs and softplus.", "Overflow", ("softplus", "identity"), scaled(300)),
    ):
        network = Network((3, 4, 2), units)
        precisions = single if flag == "Overflow" else WIDE
        yield Recipe("magnitudes", slug, comment, (flag,), network, SQUARED, 4, change, precisions)
    for slug, scale, flag in (("large-scale", 2.0**60, "Overflow"), ("small-scale", 2.0**-60, "Underflow")):
        network, loss = Network((3, 4, 2), ("tanh", "identity")), Loss("squared_error", scale=scale)
        yield Recipe("magnitudes", slug, f"A loss times {scale:g}.", (flag,), network, loss)
    network = Network((3, 4, 2), ("tanh", "identity"))
    mixed = "Inputs of which one is 2²⁰ times another, with weights that make up for it."
    yield Recipe("magnitudes", "mixed-inputs", mixed, ("SumOrder",), network, SQUARED, change=_mixed)
    loss = Loss("squared_error", scale=2.0**-10)
    comment = "A small loss in half precision: gradients fall below its smallest normal number."
    half = ("float16",)
    yield Recipe("magnitudes", "half-underflow", comment, ("Underflow",), network, loss, precisions=half)
    loss = Loss("squared_error", scale=2.0**10)
    comment = "A large loss in half precision, as loss scaling makes it."
    yield Recipe("magnitudes", "half-scaled", comment, ("Overflow",), network, loss, precisions=half)


def _mixed(numbers: Numbers, drawn: Drawn) -> Drawn:
    factors = np.array([2.0**-10, 1.0, 2.0**10])
    drawn = drawn.with_layer(0, numbers.rounded(drawn.params[0][0] / factors[:, None]))
    return drawn._replace(inputs=numbers.rounded(drawn.inputs * factors))
