"""Hazards of networks and losses: shapes, activations, every loss with every reduction, targets."""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from functional_mlp.losses import Loss
from functional_mlp.network import Network
from tools.vectorgen.hazards.recipes import ALL, WIDE, Change, Recipe, targets, without_bias

SQUARED = Loss("squared_error")
ENDS = {  # loss: the activation before it
    "squared_error": "identity",
    "binary_cross_entropy": "sigmoid",
    "categorical_cross_entropy": "softmax",
    "sigmoid_cross_entropy": "identity",
    "softmax_cross_entropy": "identity",
}
ACTIVATIONS: dict[str, Any] = {
    "identity": "identity",
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "relu": "relu",
    "leaky_relu": "leaky_relu",
    "leaky_relu-slope": {"name": "leaky_relu", "slope": 0.25},
    "elu": "elu",
    "elu-alpha": {"name": "elu", "alpha": 2.0},
    "softplus": "softplus",
    "silu": "silu",
    "gelu": "gelu",
    "softmax": "softmax",
}


def short(kind: str) -> str:
    """The name of a loss as part of an id."""
    return kind.replace("_", "-")


def shapes() -> Iterator[Recipe]:
    """Sizes, numbers of samples, depth and width."""

    def of(
        slug: str,
        comment: str,
        flags: tuple[str, ...],
        sizes: tuple[int, ...],
        activations: Any,
        kind: str = "squared_error",
        samples: int = 4,
        change: Change | None = None,
        precisions: tuple[str, ...] = WIDE,
    ) -> Recipe:
        network = Network(sizes, activations)
        return Recipe("shapes", slug, comment, flags, network, Loss(kind), samples, change, precisions)

    single = ("SingleUnit", "SingleLayer")
    yield of("one-unit", "One input, one unit, one sample.", (*single, "SingleSample"), (1, 1), "sigmoid", samples=1)
    yield of("one-unit-batch", "One input, one unit, five samples.", single, (1, 1), "tanh", samples=5)
    classic = ("relu", "relu", "sigmoid")
    flags, comment = ("Ordinary", "NonSquare", "SingleUnit"), "The network that the examples use."
    yield of("two-four-three-one", comment, flags, (2, 4, 3, 1), classic, "binary_cross_entropy", 5, precisions=ALL)
    yield of("one-layer", "A single layer.", ("SingleLayer", "NonSquare"), (3, 2), "sigmoid", precisions=ALL)
    yield of("one-input", "One input.", ("NonSquare",), (1, 4, 2), ("tanh", "identity"), samples=3)
    yield of("one-output", "One output.", ("SingleUnit",), (3, 4, 1), ("tanh", "identity"), samples=5)
    yield of("bottleneck", "A hidden layer of one unit.", ("SingleUnit",), (3, 1, 3), ("tanh", "identity"))
    yield of("funnel", "Four different sizes.", ("NonSquare",), (5, 2, 7, 3), ("tanh", "softplus", "identity"))
    for samples in (3, 5):
        slug, units = f"square-{samples}-samples", ("tanh", "sigmoid", "tanh")
        yield of(slug, "Equal sizes in every layer.", ("Square",), (3, 3, 3, 3), units, samples=samples)
    yield of("square-relu", "Equal sizes and relu.", ("Square",), (4, 4, 4), ("relu", "identity"), samples=4)
    yield of("single-sample", "One sample.", ("SingleSample",), (4, 3, 2), ("tanh", "sigmoid"), samples=1)
    yield of(
        *("single-sample-softmax", "One sample and softmax.", ("SingleSample",), (4, 3, 3), ("relu", "softmax")),
        *("categorical_cross_entropy", 1),
    )
    yield of("deep", "Eight hidden layers.", ("Deep", "Square"), (3, *(4,) * 8, 2), (*("tanh",) * 8, "identity"))
    yield of("deep-narrow", "Ten hidden layers of two units.", ("Deep",), (2, *(2,) * 10, 1), "silu", samples=3)
    yield of("deep-one-unit", "Six layers of one unit.", ("Deep", "SingleUnit"), (1,) * 7, "softplus", samples=3)
    yield of(
        *("deep-classifier", "Five hidden layers and softmax.", ("Deep",), (3, *(5,) * 5, 4)),
        *((*("elu",) * 5, "softmax"), "categorical_cross_entropy"),
        precisions=(*WIDE, "float16"),
    )
    yield of("wide", "A hidden layer of 96 units.", ("Wide",), (4, 96, 3), ("tanh", "identity"), samples=3)
    yield of("wide-inputs", "128 inputs.", ("Wide",), (128, 3, 2), ("sigmoid", "identity"), samples=3)
    yield of(
        *("wide-outputs", "40 classes.", ("Wide",), (2, 3, 40), ("tanh", "softmax"), "categorical_cross_entropy", 3)
    )
    for slug, comment, layers in (
        ("no-bias", "No layer has a bias.", ()),
        ("no-bias-first", "The first layer has no bias.", (0,)),
        ("no-bias-last", "The last layer has no bias.", (1,)),
    ):
        ends = ("tanh", "identity")
        yield of(slug, comment, ("NoBias",), (3, 4, 2), ends, change=without_bias(*layers))


def activations() -> Iterator[Recipe]:
    """Every activation in a hidden layer, at the output, and between equal layers."""
    for name, unit in ACTIVATIONS.items():
        softmax = ("SoftmaxHidden",) if name == "softmax" else ()
        yield Recipe(
            *("activations", f"hidden-{name}", f"{name} in a hidden layer.", ("HiddenActivation", *softmax)),
            *(Network((2, 4, 3), (unit, "identity")), SQUARED, 5),
            precisions=(*WIDE, "float16") if name == "softmax" else ALL,  # bfloat16 would show no digit of its gradient
        )
        yield Recipe(
            *("activations", f"output-{name}", f"{name} at the output.", ("OutputActivation", "SingleLayer", *softmax)),
            *(Network((3, 4), (unit,)), SQUARED, 5),
        )
        yield Recipe(
            *("activations", f"between-{name}", f"{name} between equal layers.", ("HiddenActivation", "Square")),
            *(Network((3, 3, 3, 3), ("tanh", unit, "sigmoid")), Loss("squared_error", over_samples="mean"), 4),
        )


def losses() -> Iterator[Recipe]:
    """Every loss × reduction × scale, pairs that do not cancel, and targets of all kinds."""
    reductions = tuple(itertools.product(("sum", "mean"), repeat=2))
    for (kind, last), (over_samples, over_outputs), scale in itertools.product(ENDS.items(), reductions, (1.0, 0.5)):
        slug = f"{short(kind)}-{over_samples}-{over_outputs}{'' if scale == 1 else '-half'}"
        comment = f"{kind}: {over_samples} over samples, {over_outputs} over outputs{'' if scale == 1 else ', halved'}."
        loss = Loss(kind, over_samples, over_outputs, scale)
        low = ALL if (over_samples, over_outputs) in (("sum", "sum"), ("mean", "mean")) else WIDE
        network = Network((3, 4, 3), ("tanh", last))
        precisions = low if scale == 1 else ("float64",)
        yield Recipe("losses", slug, comment, ("LossAndReduction",), network, loss, precisions=precisions)
    yield Recipe(
        *("losses", "one-output-mean", "The mean over a single output.", ("LossAndReduction", "SingleUnit")),
        *(Network((3, 2, 1), ("relu", "sigmoid")), Loss("binary_cross_entropy", "mean", "mean"), 5),
    )
    yield from _unusual_pairs()
    yield from _targets()


def _unusual_pairs() -> Iterator[Recipe]:
    pairs = (("softmax", "binary_cross_entropy"), ("sigmoid", "categorical_cross_entropy"))
    for (last, kind), over_samples in itertools.product(pairs, ("sum", "mean")):
        network, loss = Network((3, 4, 3), ("tanh", last)), Loss(kind, over_samples)
        slug, comment = f"{short(kind)}-after-{last}-{over_samples}", f"{kind} after {last}."
        yield Recipe("losses", slug, comment, ("UnusualPair",), network, loss)
    for last in ("sigmoid", "softmax"):
        network = Network((3, 4, 3), ("tanh", last))
        yield Recipe(
            *("losses", f"squared-error-after-{last}", f"squared_error after {last}.", ("OutputActivation",)),
            *(network, SQUARED),
        )


def _targets() -> Iterator[Recipe]:
    kinds = {
        "soft": ("Targets between 0 and 1.", "SoftTargets", lambda numbers, shape: numbers.uniform(shape, 0, 1)),
        "any": ("Targets from −2 to 2.", "AnyTargets", lambda numbers, shape: numbers.uniform(shape, -2, 2)),
        "zero": ("Targets that are all 0.", "AnyTargets", lambda numbers, shape: np.zeros(shape)),
    }
    for (name, (comment, flag, make)), (kind, last) in itertools.product(kinds.items(), ENDS.items()):
        if name == "zero" and kind in ("categorical_cross_entropy", "softmax_cross_entropy"):
            continue  # no loss at all
        flags = (flag, "TargetsNotNormalised") if "softmax" in (last, kind.removesuffix("_cross_entropy")) else (flag,)
        network = Network((3, 4, 3), ("tanh", last))
        slug = f"{short(kind)}-{name}-targets"
        yield Recipe("losses", slug, comment, flags, network, Loss(kind), change=targets(make))
    yield Recipe(
        *("losses", "two-ones", "Two classes at once: targets of a softmax that sum to 2.", ("TargetsNotNormalised",)),
        *(Network((3, 4, 4), ("tanh", "softmax")), Loss("categorical_cross_entropy", over_samples="mean")),
        change=targets(lambda numbers, shape: np.resize([1.0, 0.0, 1.0, 0.0, 0.0], shape)),
    )
