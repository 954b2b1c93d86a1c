"""The places where a program can be changed, to plant a mistake.

A planted mistake is a `Change`: at one named place, from a `Program` to another one. The functions `in_…` make changes,
one for each place:

    forward             another network or other parameters in the forward pass; the rest follows from what it saw
    output_cotangent    what the backward pass starts from
    through_activation, weights_cotangent, bias_cotangent, previous_cotangent     the stages, as in `backward`
    gathered            every cotangent, before the penalty
    penalty             what the penalty adds
    returned            what is handed back at the end
    update              one step of gradient descent
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from functional_mlp.activations import Activation
from functional_mlp.backward_pass import Cotangents, Residuals, already_through
from functional_mlp.losses import Loss
from functional_mlp.network import Dense, Network
from functional_mlp.oracle.mistakes.program import (
    OF_PROBABILITIES,
    Program,
    bias_cotangent,
    ended,
    penalty_as,
    seen,
    through_activation,
    weights_cotangent,
)


class Here(NamedTuple):
    """Where and how a mistake is planted.

    Attributes:
        program: the one it is planted in.
        layer: index into the parameters; None for every layer.
        variant: of the mistake, or None.
        value: of its free number, or None.
        learning_rate: of the update, or None.
    """

    program: Program
    layer: Any
    variant: Any
    value: Any
    learning_rate: Any

    @property
    def samples(self) -> int:
        """The number n of samples."""
        return self.program.inputs.shape[0]

    @property
    def activation(self) -> Activation:
        """The activation of this layer."""
        return self.program.network.activations[self.layer]

    @property
    def loss(self) -> Any:
        """The loss of the case."""
        return self.program.loss

    @property
    def targets(self) -> Any:
        """The targets (n, K)."""
        return self.program.targets

    @property
    def sample_weights(self) -> Any:
        """The sample weights (n,), or None."""
        return self.program.sample_weights

    @property
    def coefficients(self) -> Array:
        """What the loss multiplies every term with, (n, 1)."""
        return self.loss.coefficients(self.targets.shape, self.sample_weights, self.targets.dtype)

    def values(self, offset: int) -> tuple[Array, Array]:
        """z and a of the layer `offset` after this one."""
        tape, layer = self.program.tape, self.layer + offset
        return tape.pre_activations[layer], tape.activations[layer]

    def given(self, offset: int) -> Array:
        """What the layer `offset` after this one was given: a_prev there."""
        return self.program.inputs_of_layers[self.layer + offset]


class Change(NamedTuple):
    """A change of a program at one named place.

    Attributes:
        place: its name, as above.
        apply: the program with the change.
        places: by variant, where these are made at different places.
    """

    place: str
    apply: Callable[[Here], Program]
    places: Mapping[str, str] = MappingProxyType({})

    def place_of(self, variant: str | None) -> str:
        """Where a variant of it is made."""
        return self.place if variant is None else self.places.get(variant, self.place)


def _layers(here: Here) -> tuple[int, ...]:
    return tuple(range(len(here.program.params))) if here.layer is None else (here.layer,)


def in_forward(function: Callable[[Here], Program]) -> Change:
    """`function` returns a program with another network, or other parameters `used`, whose tape is then made anew."""

    def apply(here: Here) -> Program:
        return seen(function(here))

    return Change("forward", apply)


def with_activation(here: Here, activation: Activation) -> Program:
    """The program with another activation in this layer, for `in_forward`."""
    activations = list(here.program.network.activations)
    activations[here.layer] = activation
    return here.program._replace(network=Network(here.program.network.sizes, activations))


def in_cotangent(function: Callable[[Here, Array], Array]) -> Change:
    """`function` maps the right cotangent at the outputs to the one that is used."""
    return Change(
        "output_cotangent",
        lambda here: here.program._replace(ct_outputs=function(here, here.program.ct_outputs)),
    )


def in_loss(function: Callable[[Here], Loss], *, reported: bool = False) -> Change:
    """`function` returns the loss whose cotangent is taken, and, if `reported`, whose value is given."""

    def apply(here: Here) -> Program:
        program = ended(here.program._replace(loss=function(here)))
        return program._replace(loss=here.loss, value=program.value if reported else here.program.value)

    return Change("output_cotangent", apply)


def rescaled(here: Here, factor: float) -> Loss:
    """The case's loss times a number, for `in_loss`."""
    return replace(here.loss, scale=here.loss.scale * factor)


def in_probabilities(function: Callable[[Here, Loss, Activation, Array], Array]) -> Change:
    """For losses that see probabilities, their own or made inside: `function` returns the cotangent of the logits.

    It is given the loss of probabilities, the activation that makes them, and the logits (n, K).
    """

    def apply(here: Here) -> Program:
        program, loss = here.program, here.loss
        if loss.kind in OF_PROBABILITIES:
            kind, activation = OF_PROBABILITIES[loss.kind]
            of_probabilities = Loss(kind, loss.over_samples, loss.over_outputs, loss.scale)
            ct_a = function(here, of_probabilities, activation, program.tape.activations[-1])
            return program._replace(ct_outputs=ct_a)
        ct_z = function(here, loss, program.network.activations[-1], program.tape.pre_activations[-1])
        last = program.stages[-1]._replace(through_activation=already_through)
        return program._replace(ct_outputs=ct_z, stages=(*program.stages[:-1], last))

    return Change("output_cotangent", apply)


def cotangent_of_logits(loss: Loss, activation: Activation, z: Array, here: Here) -> Array:
    """The right cotangent of logits z (n, K) that `activation` turns into what `loss` sees."""
    of_logits = loss.on_logits(activation)
    if of_logits is not None:
        return of_logits.cotangent(z, here.targets, here.sample_weights)
    a = activation.value(z)
    return activation.vjp(z, a, loss.cotangent(a, here.targets, here.sample_weights))


def _in_stage(stage: str) -> Callable[[Callable[[Here, Residuals, Array], Any]], Change]:
    """Makes changes of one stage of this layer (of every layer for the whole network)."""

    def make(function: Callable[[Here, Residuals, Array], Any]) -> Change:
        def apply(here: Here) -> Program:
            program = here.program
            for layer in _layers(here):
                if stage == "through_activation" and layer == len(program.params) - 1:
                    program = _unfused(program)
                there = here._replace(layer=layer)
                program = with_stages(program, layer, {stage: lambda r, ct, there=there: function(there, r, ct)})
            return program

        return Change(stage, apply)

    return make


def with_stages(program: Program, layer: int, stages: Mapping[str, Callable[..., Any]]) -> Program:
    """`program` with other stages, by name, in one layer."""
    all_stages = list(program.stages)
    all_stages[layer] = all_stages[layer]._replace(**stages)
    return program._replace(stages=tuple(all_stages))


def _unfused(program: Program) -> Program:
    """`program` with the two factors dLoss/da and f'(z) of a fused output layer apart, so that one can be changed."""
    if program.loss is None or program.stages[-1].through_activation is not already_through:
        return program
    ct_a = program.loss.cotangent(program.tape.activations[-1], program.targets, program.sample_weights)  # type: ignore
    return with_stages(program._replace(ct_outputs=ct_a), -1, {"through_activation": through_activation})


in_activation = _in_stage("through_activation")
in_weights = _in_stage("weights_cotangent")
in_bias = _in_stage("bias_cotangent")
in_previous = _in_stage("previous_cotangent")


def in_sums(function: Callable[[Here, Residuals, Array], tuple[Residuals, Array]]) -> Change:
    """`function` returns the residuals and the ct_z that the two sums over samples, ct_W and ct_b, are made of."""
    sums = (
        in_weights(lambda here, layer, ct: weights_cotangent(*function(here, layer, ct))),
        in_bias(lambda here, layer, ct: bias_cotangent(*function(here, layer, ct))),
    )
    return one_after_the_other("weights_cotangent", *sums)


def one_after_the_other(place: str, *changes: Change) -> Change:
    """Several changes that make one mistake."""

    def apply(here: Here) -> Program:
        for change in changes:
            here = here._replace(program=change.apply(here))
        return here.program

    return Change(place, apply)


def by_variant(changes: Mapping[str, Change]) -> Change:
    """The change that belongs to the variant, each at its own place."""
    places = {variant: change.place for variant, change in changes.items()}
    return Change(next(iter(places.values())), lambda here: changes[here.variant].apply(here), places)


def in_gathered(function: Callable[[Here, Cotangents], Cotangents]) -> Change:
    """`function` maps all cotangents, before the penalty."""
    return Change(
        "gathered",
        lambda here: here.program._replace(
            gathered=lambda pulled: function(here, here.program.gathered(pulled)),
        ),
    )


def in_penalty(added: Callable[[Here, Array, Array], Array], on_bias: bool | None = None) -> Change:
    """`added` returns what is added to the gradient of an array, given both; `on_bias` replaces the `l2_on_bias`."""

    def apply(here: Here) -> Program:
        loss = here.loss
        biases = on_bias if on_bias is not None else loss is not None and loss.l2_on_bias
        return penalty_as(lambda ct, leaf: added(here, ct, leaf), biases, here.program)

    return Change("penalty", apply)


def in_returned(function: Callable[[Here, Dense], Dense]) -> Change:
    """`function` maps the gradient of this layer (of every layer for the whole network) at the very end."""

    def apply(here: Here) -> Program:
        def returned(pulled: Cotangents) -> Cotangents:
            pulled = here.program.returned(pulled)
            params = list(pulled.params)
            for layer in _layers(here):
                params[layer] = Dense(*function(here, pulled.params[layer]))
            return pulled._replace(params=tuple(params))

        return here.program._replace(returned=returned)

    return Change("returned", apply)


def scaled(dense: Dense, factor: float) -> Dense:
    """A layer's gradient times a number, for `in_returned`."""
    return jax.tree.map(lambda leaf: (leaf * factor).astype(leaf.dtype), dense)


def zeroed(x: Array, index: Any) -> Array:
    """`x` with 0 in place of `x[index]`."""
    kept = np.ones(x.shape, bool)
    kept[index] = False
    return jnp.where(kept, x, jnp.zeros_like(x))


def in_update(function: Callable[[Here, Array, Array, float, bool], Array]) -> Change:
    """`function` returns an array after the step, from (array, gradient, learning rate, whether it is a bias)."""
    return Change(
        "update",
        lambda here: here.program._replace(stepped=lambda *leaf: function(here, *leaf)),
    )
