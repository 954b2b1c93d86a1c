"""The lines of NumPy that people write by mistake, in the same notation as the right ones."""

import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Any

from functional_mlp.activations import FACTORIES, Activation
from functional_mlp.losses import KINDS
from functional_mlp.oracle.report.notation.notation import Notation
from functional_mlp.oracle.report.notation.spelling import (
    called,
    in_brackets,
    slope_from_a,
    slope_from_z,
    slope_of,
    without_brackets,
)

# the formulas in terms of a that are taken for another activation's derivative
OF_OUTPUT = {"sigmoid-of-output": "{A} * (1 - {A})", "tanh-of-output": "(1 - {A}**2)"}
OF_LOSSES = re.compile(r"\{(?:beginning|loss_\w+)\}")
UNKNOWN = "?"  # a line with such a term is not shown


def mistaken_terms(
    notation: Notation, layers: tuple[int, ...], variant: str | None, number: float | None, template: str
) -> dict[str, str]:
    """The terms of `mistakes.wording` that mistaken lines are made of, for the last of some layers.

    Args:
        notation: of the case.
        layers: in which the mistake was made.
        variant: of the mistake.
        number: its free number, if it has one.
        template: that is to be filled in; those of other losses are spelled only where it has one.
    """
    layer = max(layers)
    names = notation.names(layer)
    return {
        **_said_of_derivatives(notation, layers),
        "number": UNKNOWN if number is None else f"{number:.9g}",
        "samples_axis": str(int(notation.columns)),
        **dict(_derivatives(notation, layer, names, variant, number)),
        **dict(_products(notation, layer, names)),
        **dict(_of_some(notation, names)),
        **dict(_through_of_one_sample(notation, layer, names)),
        **dict(_at_the_outputs(notation, variant, number) if OF_LOSSES.search(template) else ()),
    }


def _said_of_derivatives(notation: Notation, layers: tuple[int, ...]) -> dict[str, str]:
    """What a derivative of the wrong variable is, in a sentence on all of the layers."""
    own, names = notation.activation(max(layers)), notation.names(max(layers))
    z, a = ("Z", "A") if len(layers) > 1 else (names["Z"], names["A"])
    alike = len({notation.activation(layer) for layer in layers}) == 1
    by_z, by_a = (without_brackets(slope) for slope in (slope_from_z(own, a), slope_from_a(own, z)))
    if own is None or not alike or not by_z:
        return {
            "said_a_for_z": f"taken at {a}, the output, where {z} is meant",
            "said_z_for_a": f"made of {z} by the formula that is meant for {a}, the output",
        }
    return {
        "said_a_for_z": f"computed as {by_z}, but {a} = {called(own, z)} is what {own.name} gave already",
        "said_z_for_a": f"computed as {by_a}: that formula is meant for {a} = {called(own, z)}, not for {z}",
    }


def _derivatives(
    notation: Notation, layer: int, names: Mapping[str, str], variant: str | None, number: float | None
) -> Iterator[tuple[str, str]]:
    """What stands for the right slope, and what dZ is then."""
    own = notation.activation(layer)
    z, a, error = names["Z"], names["A"], names["dA"]
    above, below = notation.names(layer + 1), notation.names(layer - 1)
    a_again = called(own, a)
    slopes = {
        "a_for_z": (a_again, slope_from_z(own, a)),
        "z_for_a": (z, slope_from_a(own, z)),
        "next": (called(own, above["Z"]), slope_from_z(own, above["Z"])),
        "previous": (called(own, below["Z"]), slope_from_z(own, below["Z"])),
        "next_output": (above["A"], slope_from_a(own, above["A"])),
        "previous_output": (names["A_prev"], slope_from_a(own, names["A_prev"])),
        "error_for_a": (error, slope_from_a(own, error)),
        "error_for_z": (called(own, error), slope_from_z(own, error)),
    }
    for name, (values, slope) in slopes.items():
        whole = slope or name == "a_for_z"  # a softmax has no slope; of its own outputs it is made once more
        yield f"through_{name}", notation.through(layer, error, values, slope) if whole else UNKNOWN
    parameter, value = next(iter(() if own is None else own.parameters), ("slope", 0.0))
    yield "slope", notation.slope(layer)
    yield "slope_alone", without_brackets(notation.slope(layer))
    yield "called_at_a", a_again
    inactive = f"{0.0 if parameter == 'at_zero' else value:.12g}"
    yield "parameter", inactive
    for name, mask in (
        ("number", f"{z} > {UNKNOWN if number is None else f'{number:.9g}'}"),
        ("error", f"{error} > 0"),
    ):
        yield f"gate_by_{name}", f"({mask})" if inactive == "0" else f"np.where({mask}, 1, {inactive})"
    below_0, above_0 = _sides(own, a, notation.slope(layer))
    yield "slope_below", below_0
    yield "slope_above", above_0
    yield "slope_of_other", _slope_of_other(variant, z, a)
    yield "slope_with_number", _slope_with(own, z, 0.0 if number is None else number)


def _sides(own: Activation | None, a: str, slope: str) -> tuple[str, str]:
    """The derivative of an activation of two pieces, where units are inactive and where they are active."""
    parameters = {} if own is None else dict(own.parameters)
    if own is not None and own.name == "elu":
        return f"{a} + {parameters['alpha']:.12g}", "1"
    return (f"{parameters['slope']:.12g}", "1") if "slope" in parameters else (slope, slope)


def _slope_with(own: Activation | None, z: str, number: float) -> str:
    """The derivative with another slope on the inactive side."""
    if own is not None and own.name == "elu":
        return f"np.where({z} > 0, 1, {number:.9g} * np.exp({z}))"
    return f"np.where({z} > 0, 1, {number:.9g})"


def _slope_of_other(variant: str | None, z: str, a: str) -> str:
    variant = variant or ""
    if variant in OF_OUTPUT:
        return OF_OUTPUT[variant].format(A=a)
    if variant not in FACTORIES or variant == "softmax":
        return UNKNOWN if variant == "softmax" else f"{variant}_prime({z})"
    return slope_from_z(FACTORIES[variant](), z)


def _products(notation: Notation, layer: int, names: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """What stands for the right products and sums."""
    above, below = notation.names(layer + 1), notation.names(layer - 1)
    gradient = f"({notation.product(names)})" if notation.terms(layer)["penalty"] else names["dW"]  # of the loss alone
    yield "back_unturned", notation.back(names, turned=not notation.turned)
    yield "back_by_gradient", notation.back({**names, "W": gradient})
    yield "back_of_error", notation.back({**names, "dZ": names["dA"]})
    yield "product_of_output", notation.product({**names, "A_prev": names["A"]})
    yield "product_of_z", notation.product({**names, "A_prev": below["Z"]})
    yield "product_of_inputs", notation.product({**names, "A_prev": "X"})
    yield "product_of_error", notation.product({**names, "dZ": names["dA"]})
    yield "sums_of_error", notation.sums({**names, "dZ": names["dA"]})
    yield "product_of_below", notation.product({**names, "A_prev": below["A_prev"]})
    yield "product_with_next", notation.product({**names, "dZ": above["dZ"]})
    yield "sums_with_next", notation.sums({**names, "dZ": above["dZ"]})
    across = notation.turned
    yield "dW_over_inputs", notation.as_bias(f"{gradient}.sum(axis={int(across)})")
    yield "dW_mean_over_inputs", notation.as_bias(f"{gradient}.mean(axis={int(across)})")
    for place, number in (("first", 0), ("last", -1)):
        yield f"dW_of_{place}", notation.as_bias(gradient + (f"[:, {number}]" if across else f"[{number}]"))


def _of_some(notation: Notation, names: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Products and sums of one sample or one unit, or of sums, where those over all are meant."""
    below, delta, weights = names["A_prev"], names["dZ"], names["W"]
    samples, units = int(notation.columns), int(not notation.columns)
    last = ("[-1:]", "[:, -1:]")
    yield (
        "back_of_last_unit",
        notation.back({"dZ": f"{delta}{last[units]}", "W": f"{weights}{last[int(not notation.turned)]}"}),
    )
    over_units = [f"{delta}.sum(axis={units})", f"{weights}.sum(axis={int(not notation.turned)})"]
    yield "back_of_sums", f"np.outer({', '.join(over_units[:: -1 if notation.columns else 1])})"
    yield "sums_over_units", notation.as_bias(f"{delta}.sum(axis={units})")
    for place, sample in (("first", 0), ("last", -1)):
        row = f"[:, {sample}]" if notation.columns else f"[{sample}]"
        yield f"dZ_of_{place}", notation.as_bias(f"{delta}{row}")
        yield f"product_of_{place}", _outer(notation, f"{below}{row}", f"{delta}{row}")
        yield f"product_of_{place}_inputs", _outer(notation, f"{below}{row}", f"{delta}.sum(axis={samples})")
    yield "product_of_sums", _outer(notation, f"{below}.sum(axis={samples})", f"{delta}.sum(axis={samples})")


def _through_of_one_sample(notation: Notation, layer: int, names: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """What dZ is where the error of all samples goes back with the values of one of them."""
    own, error, delta = notation.activation(layer), names["dA"], names["dZ"]
    begins = layer == notation.depth - 1 and notation.at_the_outputs()[0] == delta
    for place, sample in (("first", 0), ("last", -1)):
        row = f"[:, {sample}]" if notation.columns else f"[{sample}]"
        summed = f"{error}.sum(axis={int(notation.columns)})"
        slope = slope_of(own, names["Z"] + row, names["A"] + row)
        through = summed if own is not None and own.name == "identity" else f"{summed} * {slope}"
        known = not begins and own is not None and own.name != "softmax"
        line = f"{delta} = np.zeros_like({error}); {delta}{row} = {through}"
        yield f"through_of_{place}", line if known else UNKNOWN


def _outer(notation: Notation, inputs: str, outputs: str) -> str:
    """Of two vectors, as weights lie."""
    return f"np.outer({outputs}, {inputs})" if notation.turned else f"np.outer({inputs}, {outputs})"


def _at_the_outputs(notation: Notation, variant: str | None, number: float | None) -> Iterator[tuple[str, str]]:
    """What stands for the right line where the way back begins."""
    name, line = notation.at_the_outputs()
    yield "beginning", name
    yield "loss_in_brackets", in_brackets(line)
    loss = None if notation.case is None else notation.case.loss
    changes: Mapping[str, Mapping[str, Any]] = {
        "loss_summed": {"over_samples": "sum"},
        "loss_averaged": {"over_samples": "mean"},
        "loss_outputs_summed": {"over_outputs": "sum"},
        "loss_outputs_averaged": {"over_outputs": "mean"},
        "loss_unscaled": {"scale": 1.0},
    }
    for term, changed in changes.items():
        yield term, notation.at_the_outputs(loss=None if loss is None else dataclasses.replace(loss, **changed))[1]
    for term, divisor in (
        ("one_less", "(n - 1)"),
        ("one_more", "(n + 1)"),
        ("nominal", UNKNOWN if number is None else f"{number:.9g}"),
    ):
        yield f"loss_{term}", notation.at_the_outputs(divisor)[1]
    yield "loss_of_other", _of_other_loss(notation, variant or "", name)
    last = notation.depth - 1
    names = notation.names(last)
    again = notation.through(last, name, names["A"], notation.slope(last))
    yield "loss_again", f"{line}; {name} = {again}" if name == names["dZ"] else UNKNOWN


def _of_other_loss(notation: Notation, kind: str, beginning: str) -> str:
    """The line of another loss, and what dZ of the last layer is by it where the right line is dZ itself."""
    last = notation.depth - 1
    names, loss = notation.names(last), None if notation.case is None else notation.case.loss
    if loss is None:
        return UNKNOWN
    half = kind.startswith("half_")
    kind = kind.removeprefix("half_")
    if kind not in KINDS:
        return UNKNOWN
    other = loss.of_kind(kind)
    name, line = notation.at_the_outputs(loss=dataclasses.replace(other, scale=other.scale / 2) if half else other)
    through = f"; {names['dZ']} = {notation.terms(last)['through']}" if beginning == names["dZ"] != name else ""
    return UNKNOWN if "dLoss(" in line else f"{name} = {line}{through}"
