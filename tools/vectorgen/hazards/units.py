"""Hazards of the activations that came with release 1.1.0: smooth ones, and those that are put together of pieces."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from functional_mlp.activations import resolve
from functional_mlp.network import Network
from tools.vectorgen.hazards.networks import SQUARED
from tools.vectorgen.hazards.recipes import ALL, Change, Drawn, Numbers, Recipe, biased

OWN = ("OwnConstants",)
# slug: the activation, and what is special about it
SMOOTH: dict[str, tuple[Any, tuple[str, ...]]] = {
    "gelu_tanh": ("gelu_tanh", ("OneOfSeveralForms",)),
    "quick_gelu": ("quick_gelu", ("OneOfSeveralForms",)),
    "mish": ("mish", ()),
    "softsign": ("softsign", ()),
    "scaled_tanh": ("scaled_tanh", OWN),
    "scaled_tanh-other": ({"name": "scaled_tanh", "scale": 1.25, "rate": 0.5}, OWN),
    "softplus-beta": ({"name": "softplus", "beta": 2.0}, OWN),
    "sin": ("sin", ()),
    "cos": ("cos", ()),
    "gaussian": ("gaussian", ()),
    "celu": ("celu", ()),
    "celu-alpha": ({"name": "celu", "alpha": 2.0}, OWN),
}
# slug: the activation, biases that bring units into each piece, and the places of its kinks
PIECEWISE: dict[str, tuple[Any, tuple[float, ...], tuple[float, ...]]] = {
    "selu": ("selu", (-1.5, 1.5, 0.5), (0.0,)),
    "prelu": ("prelu", (-1.5, 1.5, 0.5), (0.0,)),
    "prelu-slope": ({"name": "prelu", "slope": -0.5}, (-1.5, 1.5, 0.5), (0.0,)),
    "relu6": ("relu6", (-2.0, 3.0, 8.0), (0.0, 6.0)),
    "hardtanh": ("hardtanh", (-2.5, 0.0, 2.5), (-1.0, 1.0)),
    "hardtanh-ends": ({"name": "hardtanh", "low": -0.5, "high": 1.5}, (-2.0, 0.5, 3.0), (-0.5, 1.5)),
    "hard_sigmoid": ("hard_sigmoid", (-5.0, 0.0, 5.0), (-3.0, 3.0)),
    "hard_sigmoid-ends": ({"name": "hard_sigmoid", "low": -2.5, "high": 2.5}, (-4.0, 0.0, 4.0), (-2.5, 2.5)),
    "hard_swish": ("hard_swish", (-5.0, 0.5, 5.0), (-3.0, 3.0)),
}
FAR = {"far": 20.0, "farthest": 800.0}
TAILS = ("gelu_tanh", "quick_gelu", "mish", "softsign", "scaled_tanh", "softplus-beta", "sin", "gaussian", "celu-alpha")


def smooth() -> Iterator[Recipe]:
    """Each in a hidden layer, at the output, and far out on both sides."""
    for name, (unit, flags) in SMOOTH.items():
        yield from _in_both_places("smooth", name, unit, flags, None)
    for name in TAILS:
        for word, size in FAR.items():
            yield Recipe(
                *("smooth", f"{word}-{name}", f"{name} of about ±{size:g} and ±{size / 2:g}.", ("Saturation",)),
                *(Network((2, 4, 2), (SMOOTH[name][0], "identity")), SQUARED, 3),
                change=biased(0, (size, -size, size / 2, -size / 2)),
            )
    yield Recipe(
        *("smooth", "celu-at-zero", "celu has no kink at 0, whatever its alpha.", OWN),
        *(Network((2, 3, 2), (SMOOTH["celu-alpha"][0], "identity")), SQUARED, 3, _at((0.0,))),
        keeps_from_kinks=False,
    )


def piecewise() -> Iterator[Recipe]:
    """Each in a hidden layer and at the output with units in every piece, far out, and exactly at its kinks."""
    for name, (unit, biases, kinks) in PIECEWISE.items():
        own = OWN if isinstance(unit, dict) else ()
        yield from _in_both_places("piecewise", name, unit, ("EveryPiece", *own), biases)
        yield Recipe(
            *("piecewise", f"farthest-{name}", f"{name} of about ±800.", ("Saturation",)),
            *(Network((2, 3, 2), (unit, "identity")), SQUARED, 3, biased(0, (800.0, -800.0, 2.0))),
        )
        place = " and ".join(f"{kink:g}".replace("-", "−") for kink in kinks)
        yield Recipe(
            *("piecewise", f"kinks-{name}", f"Units of {name} at {place} exactly.", ("Kink",)),
            *(Network((2, 3, 2), (unit, "identity")), SQUARED, 3, _at(kinks)),
            keeps_from_kinks=False,
        )
        declared = _all_means(unit)
        yield Recipe(
            *("piecewise", f"declared-{name}", f"{name} at {place}, with a derivative declared there.", ("Kink",)),
            *(Network((2, 3, 2), (declared, "identity")), SQUARED, 3, _at(kinks)),
            precisions=("float64",),
            keeps_from_kinks=False,
        )


def _in_both_places(
    group: str, name: str, unit: Any, flags: tuple[str, ...], biases: tuple[float, ...] | None
) -> Iterator[Recipe]:
    change = None if biases is None else biased(0, biases)
    yield Recipe(
        *(group, f"hidden-{name}", f"{name} in a hidden layer.", ("HiddenActivation", *flags)),
        *(Network((2, 3, 2), (unit, "identity")), SQUARED),
        change=change,
        precisions=ALL,
    )
    yield Recipe(
        *(group, f"output-{name}", f"{name} at the output.", ("OutputActivation", "SingleLayer", *flags)),
        *(Network((3, 3), (unit,)), SQUARED),
        change=change,
    )


def _all_means(unit: Any) -> dict[str, Any]:
    """The activation with 1/2 declared at every kink."""
    given = {"name": unit} if isinstance(unit, str) else dict(unit)
    return given | {kink.parameter: 0.5 for kink in resolve(given).kinks}


def _at(places: tuple[float, ...]) -> Change:
    """Units of the first layer that are at these places in every sample, whatever the inputs; the last one is not."""

    def change(numbers: Numbers, drawn: Drawn) -> Drawn:
        weights, bias = (np.array(part) for part in drawn.params[0])
        count = weights.shape[1] - 1
        weights[:, :count], bias[:count] = 0, np.resize(places, count)
        weights[:, count], bias[count] = (0.25, -0.125), places[0] + 0.75
        return drawn.with_layer(0, weights, bias)

    return change
