"""How programs spell activations and their derivatives, and the derivatives of losses."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from functional_mlp.activations import Activation


@dataclass(frozen=True)
class Spelled:
    """How programs write an activation; `{A}` and `{Z}` are its arrays, parameters go by their names.

    Attributes:
        value: A from Z.
        slope: dA/dZ.
        call: the value of `{Z}` in one word, where the whole of it is long; "" where it is not.
        slope_from_z: dA/dZ from `{Z}` alone, where that is no longer than by its value; "" where it is.
    """

    value: str
    slope: str
    call: str = ""
    slope_from_z: str = ""


SPELLED: Mapping[str, Spelled] = {
    "sigmoid": Spelled("1 / (1 + np.exp(-{Z}))", "{A} * (1 - {A})", "sigmoid({Z})"),
    "tanh": Spelled("np.tanh({Z})", "(1 - {A}**2)"),
    "relu": Spelled("np.maximum({Z}, 0)", "({Z} > 0)"),
    "leaky_relu": Spelled("np.where({Z} > 0, {Z}, {slope:.12g} * {Z})", "np.where({Z} > 0, 1, {slope:.12g})"),
    "elu": Spelled(
        "np.where({Z} > 0, {Z}, {alpha:.12g} * np.expm1({Z}))",
        "np.where({Z} > 0, 1, {A} + {alpha:.12g})",
        slope_from_z="np.where({Z} > 0, 1, {alpha:.12g} * np.exp({Z}))",
    ),
    "softplus": Spelled("np.log1p(np.exp({Z}))", "sigmoid({Z})"),
    "silu": Spelled(
        "{Z} * sigmoid({Z})",
        "(sigmoid({Z}) + {A} * (1 - sigmoid({Z})))",
        slope_from_z="sigmoid({Z}) * (1 + {Z} * (1 - sigmoid({Z})))",
    ),
    "softmax": Spelled("softmax({Z})", ""),
    "sin": Spelled("np.sin({Z})", "np.cos({Z})"),
    "cos": Spelled("np.cos({Z})", "-np.sin({Z})"),
}
# dLoss/dA of the terms alone, by the kind of the loss
COTANGENTS: Mapping[str, str] = {
    "squared_error": "2 * ({A} - T)",
    "absolute_error": "np.sign({A} - T)",
    "huber": "np.clip({A} - T, -{delta:.12g}, {delta:.12g})",
    "log_cosh": "np.tanh({A} - T)",
    "hinge": "np.where(T * {A} < 1, -T, 0)",
    "binary_cross_entropy": "({A} - T) / ({A} * (1 - {A}))",
    "categorical_cross_entropy": "-T / {A}",
    "kl_divergence": "-T / {A}",
}
ONE_TERM = re.compile(r"-?[\w.]+(?:\((?:[^()]|\([^()]*\))*\)|\[[^\[\]]*\])?")


def value_of(activation: Activation | None, z: str) -> str:
    """A from Z, as a program writes it."""
    if activation is None:
        return f"f({z})"
    if activation.name == "identity":
        return z
    if activation.name not in SPELLED:
        return f"{activation.name}({z})"
    return SPELLED[activation.name].value.format(Z=z, **dict(activation.parameters))


def called(activation: Activation | None, z: str) -> str:
    """The same, as short as it can be said: sigmoid(Z1)."""
    spelled = SPELLED.get("" if activation is None else activation.name)
    return spelled.call.format(Z=z) if spelled is not None and spelled.call else value_of(activation, z)


def slope_of(activation: Activation | None, z: str, a: str) -> str:
    """dA/dZ of an activation that works unit by unit, from the arrays of these names.

    Args:
        activation: of the layer; None if it is unknown.
        z, a: names of arrays, or lines that make them.
    """
    if activation is None:
        return f"f_prime({z})"
    parameters = dict(activation.parameters)
    if parameters.get("at_zero", 0.0) == 1.0 and activation.name == "relu":
        return f"({z} >= 0)"
    if activation.name not in SPELLED:
        return f"{activation.name}_prime({z})"
    return SPELLED[activation.name].slope.format(Z=z, A=in_brackets(a), **parameters)


def slope_from_z(activation: Activation | None, z: str) -> str:
    """dA/dZ from Z alone."""
    spelled = SPELLED.get("" if activation is None else activation.name)
    if activation is not None and spelled is not None and spelled.slope_from_z:
        return spelled.slope_from_z.format(Z=z, **dict(activation.parameters))
    return slope_of(activation, z, called(activation, z))


def slope_from_a(activation: Activation | None, a: str) -> str:
    """dA/dZ by the formula in terms of A, or of the sign, which A shares with Z."""
    return slope_of(activation, a, a)


def in_brackets(text: str) -> str:
    """A line that may stand beside other factors and terms."""
    return text if ONE_TERM.fullmatch(text) else f"({text})"


def without_brackets(text: str) -> str:
    """A line that stands alone, without the brackets around all of it."""
    return text[1:-1] if re.fullmatch(r"\((?:[^()]|\([^()]*\))*\)", text) else text
