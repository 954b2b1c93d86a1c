"""From the layers that a framework's model is found to have, to a `Network`.

A framework says what it found, layer by layer (`Found`); which activation of the oracle a framework's own is, stands in
tables of `Rule`. Nothing here knows a framework.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from functional_mlp.activations import Activation, resolve
from functional_mlp.network import Network
from functional_mlp.oracle.probing import Spec


class Argument(NamedTuple):
    """An argument of a framework's activation.

    Attributes:
        name: in the framework.
        default: what the framework takes if it is left out.
        means: the parameter of the oracle's activation that it is; "" if it is none.
        allowed: the values for which the function is the oracle's, if `means` is "".
        reason: why others are refused.
    """

    name: str
    default: Any
    means: str = ""
    allowed: tuple[Any, ...] = ()
    reason: str = ""


class Rule(NamedTuple):
    """Which of the oracle's activations a framework's is: its name, and the arguments in their order."""

    name: str
    arguments: tuple[Argument, ...] = ()


# what frameworks have in common; each adds what its own functions are called and take
PLAIN = {
    name: Rule(name)
    for name in (
        *("identity", "sigmoid", "tanh", "relu", "relu6", "softplus", "silu", "mish", "selu"),
        *("hard_sigmoid", "hard_swish"),
    )
}
SOFTSIGN, HARDTANH = Rule("softsign"), Rule("hardtanh")
ELU, CELU = (Rule(name, (Argument("alpha", 1.0, means="alpha"),)) for name in ("elu", "celu"))


def leaky_relu_rule(slope: float) -> Rule:
    """A leaky_relu whose slope a framework takes to be this if it is left out."""
    return Rule("leaky_relu", (Argument("negative_slope", slope, means="slope"),))


def prelu_rule(slope: str) -> Rule:
    """A leaky_relu whose slope is a parameter that a framework calls so, and that is taken as it is."""
    return Rule("prelu", (Argument(slope, None, means="slope"),))


def gelu_rule(default: str | bool) -> Rule:
    """A gelu, exact or by tanh as its argument `approximate` says."""
    return Rule("gelu", (Argument("approximate", default, means="approximate"),))


def softmax_rule(axis: str, default: Any, allowed: tuple[int, ...]) -> Rule:
    """A softmax over the units, whose axis a framework calls so."""
    return Rule("softmax", (Argument(axis, default, allowed=allowed, reason="softmax is over the units of a layer"),))


class Found(NamedTuple):
    """One layer of a model.

    Attributes:
        path: what the model calls it.
        shape: (fan_in, fan_out).
        activation: what follows it; None if the model does not say, or says it in a way that is not understood.
        unknown: what that is, for messages: "MyTanh".
    """

    path: str
    shape: tuple[int, int]
    activation: Spec | None
    unknown: str = ""


def follow(rule: Rule, what: str, given: Mapping[str, Any]) -> Spec:
    """The activation that a rule gives for the arguments of the framework's function.

    Raises:
        ValueError: for arguments with which it is another function, and for parameters that differ from unit to unit.
    """
    spec: dict[str, Any] = {"name": rule.name}
    for argument in rule.arguments:
        value = given.get(argument.name, argument.default)
        if argument.means:
            spec[argument.means] = value if isinstance(value, str | bool) else _one_number(what, argument.name, value)
        elif value not in argument.allowed:
            wanted = " or ".join(map(repr, argument.allowed))
            raise ValueError(f"{what}: expected {argument.name}={wanted}, got {value!r}: {argument.reason}")
    return spec


def _one_number(what: str, name: str, value: Any) -> float:
    """A number, or that of an array whose entries are all the same."""
    numbers = np.unique(np.asarray(value, np.float64))
    if numbers.size != 1:
        raise ValueError(
            f"{what}: expected one {name} for all units, got {numbers.size} from {numbers.min():g} to"
            f" {numbers.max():g}: activations of the oracle are the same for all units of a layer"
        )
    return float(numbers[0])


def refuse(what: str, why: str) -> ValueError:
    """The error for a model that is no plain multilayer perceptron: which part, and why."""
    return ValueError(
        f"{what}: {why}; the oracle knows plain multilayer perceptrons: dense layers in a row, each with an activation"
    )


def network_of(found: Sequence[Found], activations: Any = None) -> Network:
    """The network that a model's layers make.

    Args:
        found: at least one layer, in the order of the forward pass.
        activations: what is meant where the model does not say: one for all such layers, or a sequence with one per
            layer, None where the model says it.

    Raises:
        TypeError: for declarations that are no activations.
        ValueError: if layers do not fit, or an activation is neither found nor declared, or is found to be another one.
    """
    if not found:
        raise refuse("the model", "it has no dense layer")
    for before, after in itertools.pairwise(found):
        if before.shape[1] != after.shape[0]:
            raise refuse(
                f"layer {after.path}", f"it takes {after.shape[0]} numbers, but {before.path} gives {before.shape[1]}"
            )
    declared = _declared(found, activations)
    sizes = (found[0].shape[0], *(layer.shape[1] for layer in found))
    return Network(sizes, [_chosen(layer, spec) for layer, spec in zip(found, declared, strict=True)])


def _declared(found: Sequence[Found], activations: Any) -> list[Spec | None]:
    """One declaration per layer."""
    if activations is None or isinstance(activations, str | Activation | Mapping):
        return [activations if layer.activation is None else None for layer in found]
    if not isinstance(activations, Sequence):
        raise TypeError(
            "expected activations to be the name of an activation, or a sequence with one per layer, got"
            f" {type(activations).__name__}"
        )
    if len(activations) != len(found):
        names = ", ".join(layer.path for layer in found)
        raise ValueError(f"expected {len(found)} activations, one for each of {names}, got {len(activations)}")
    return list(activations)


def _chosen(layer: Found, declared: Spec | None) -> Activation:
    found = None if layer.activation is None else resolve(layer.activation)
    chosen = found if declared is None else resolve(declared)
    if chosen is None:
        what = f" ({layer.unknown})" if layer.unknown else ""
        raise ValueError(
            f"what follows layer {layer.path}{what} is no activation that the oracle recognises; declare what it is"
            " meant to be, as in activations='tanh', or a list with one name per layer; a function that has no name"
            " here is fm.Activation.of(function)"
        )
    if found is not None and chosen != found:
        raise ValueError(f"layer {layer.path}: {chosen.name} was declared, but the model has {found.name} there")
    return chosen
