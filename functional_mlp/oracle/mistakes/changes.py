"""The places where a program can be changed, to inject a mistake.

An injected mistake is a `Change`: at one named place, from a `Program` to another one. The functions `in_…` make
changes, one for each place:

    forward             another network or other parameters in the forward pass; the rest follows from that
    output_cotangent    what the backward pass starts from
    through_activation, weights_cotangent, bias_cotangent, previous_cotangent     the stages, as in `backward_pass`
    gathered            every cotangent, before the penalty
    penalty             what the penalty adds
    returned            what is handed back at the end, array by array
    finished            what is handed back at the end, all arrays together
    early               which layers are updated before the cotangent is sent on
    rule                the update rule
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from functional_mlp.activations import Activation, numpy_value, numpy_vjp
from functional_mlp.backward_pass import Cotangents, already_through
from functional_mlp.losses import Loss, penalty_value, reduced
from functional_mlp.network import Dense, Network
from functional_mlp.oracle.mistakes.program import (
    OF_PROBABILITIES,
    Program,
    through_activation,
    with_loss,
    with_penalty,
    with_tape,
)
from functional_mlp.update_rules import Slots, UpdateRule

Array = np.ndarray  # in the dtype that the program computes in


class Context(NamedTuple):
    """Where and how a mistake is injected.

    Attributes:
        program: the one it is injected in.
        layer: index into the parameters; None for every layer.
        variant: of the mistake, or None.
        value: of its free number, or of its free numbers; or None.
    """

    program: Program
    layer: Any
    variant: Any
    value: Any

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
        """The loss that the program differentiates; that of the case, if nothing was changed before."""
        return self.program.differentiated

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
        dtype = self.targets.dtype
        return self.loss.coefficients(self.targets, self.sample_weights, dtype, np).astype(dtype)

    @property
    def divisor(self) -> float:
        """What the mean over samples of the loss divides by."""
        plain, targets = replace(self.loss, scale=1.0), self.targets.astype(np.float64)
        summed, mean = (
            replace(plain, over_samples=reduction).coefficients(targets, self.sample_weights, targets.dtype, np).sum()
            for reduction in ("sum", self.loss.over_samples)
        )
        return float(summed / mean) if mean else 1.0

    def before(self, stage: str) -> Callable[[Any, Array], Any]:
        """A stage of this layer as it was before the change."""
        function: Callable[[Any, Array], Any] = getattr(self.program.stages[self.layer], stage)
        return function

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
    apply: Callable[[Context], Program]
    places: Mapping[str, str] = MappingProxyType({})

    def place_of(self, variant: str | None) -> str:
        """Where a variant of it is made."""
        return self.place if variant is None else self.places.get(variant, self.place)


def _layers(context: Context) -> tuple[int, ...]:
    return tuple(range(len(context.program.params))) if context.layer is None else (context.layer,)


def in_forward(function: Callable[[Context], Program]) -> Change:
    """`function` returns a program with another network, or other parameters `used`, whose tape is then made anew."""

    def apply(context: Context) -> Program:
        return with_tape(function(context))

    return Change("forward", apply)


def with_activation(context: Context, activation: Activation) -> Program:
    """The program with another activation in this layer, for `in_forward`."""
    activations = list(context.program.network.activations)
    activations[context.layer] = activation
    return context.program._replace(network=Network(context.program.network.sizes, activations))


def in_cotangent(function: Callable[[Context, Array], Array]) -> Change:
    """`function` maps the cotangent at the outputs to the one that is used."""

    def apply(context: Context) -> Program:
        before = context.program.adjusted

        def adjusted(ct: Array) -> Array:
            return function(context, before(ct))

        return context.program._replace(adjusted=adjusted, ct_outputs=function(context, context.program.ct_outputs))

    return Change("output_cotangent", apply)


def in_loss(function: Callable[[Context], Loss], *, reported: bool = False) -> Change:
    """`function` returns the loss whose cotangent is taken, and, if `reported`, whose value is given."""

    def apply(context: Context) -> Program:
        program = with_loss(context.program._replace(differentiated=function(context)))
        return program if reported else program._replace(value=context.program.value)

    return Change("output_cotangent", apply)


def rescaled(context: Context, factor: float) -> Loss:
    """The case's loss times a number, for `in_loss`."""
    return replace(context.loss, scale=context.loss.scale * factor)


def in_probabilities(
    function: Callable[[Context, Loss, Activation, Array], Array],
    terms: Callable[[Context, Loss, Activation, Array], Array] | None = None,
) -> Change:
    """For losses that see probabilities, their own or made inside: `function` returns the cotangent of the logits.

    It is given the loss of probabilities, the activation that makes them, and the logits (n, K); and so is `terms`,
    which returns the terms (n, K) of the loss that is reported.
    """

    def apply(context: Context) -> Program:
        program, loss = context.program, context.loss
        if terms is not None:
            program = program._replace(value=reported(context, terms(context, *_of_probabilities(context))))
        ct_z = function(context, *_of_probabilities(context))
        return program._replace(ct_outputs=ct_z) if loss.kind in OF_PROBABILITIES else _past_outputs(program, ct_z)

    return Change("output_cotangent", apply)


def _of_probabilities(context: Context) -> tuple[Loss, Activation, Array]:
    """The loss that sees probabilities, what makes them, and the logits that they are made of."""
    program, loss = context.program, context.loss
    if loss.kind not in OF_PROBABILITIES:
        return loss, program.network.activations[-1], program.tape.pre_activations[-1]
    kind, activation = OF_PROBABILITIES[loss.kind]
    return loss.of_kind(kind), activation, program.tape.activations[-1]


def _past_outputs(program: Program, ct_z: Array) -> Program:
    """`program` whose backward pass starts from the cotangent of the last pre-activations."""
    last = program.stages[-1]._replace(through_activation=already_through)
    return program._replace(ct_outputs=ct_z, stages=(*program.stages[:-1], last))


def reported(context: Context, terms: Array) -> Any:
    """The value of the loss whose terms (n, K) are these, penalty included."""
    return (context.coefficients * terms).sum() + penalty_value(context.loss, context.program.params)


def in_softmax(function: Callable[[Context, Array], Array]) -> Change:
    """For cross-entropies of a softmax: `function` maps logits (n, K) to what is used as probabilities."""

    def apply(context: Context) -> Program:
        program = context.program
        _, _, z = _of_probabilities(context)
        p, targets = function(context, z), context.loss.effective_targets(context.targets)
        ct_z = context.coefficients * (p * targets.sum(axis=1, keepdims=True) - targets)
        absent = targets == 0
        terms = np.where(absent, np.zeros_like(p), -targets * np.log(np.where(absent, np.ones_like(p), p)))
        program = program._replace(value=reported(context, terms))
        if context.loss.kind in OF_PROBABILITIES:
            return program._replace(ct_outputs=ct_z)
        tape = program.tape._replace(activations=(*program.tape.activations[:-1], p))
        return _past_outputs(program._replace(tape=tape), ct_z)

    return Change("forward", apply)


def cotangent_of_logits(loss: Loss, activation: Activation, z: Array, context: Context) -> Array:
    """The right cotangent of logits z (n, K) that `activation` turns into what `loss` sees."""
    of_logits = loss.on_logits(activation)
    if of_logits is not None:
        return cotangent_of(of_logits, z, context)
    a = numpy_value(activation, z)
    return numpy_vjp(activation, z, a, cotangent_of(loss, a, context))


def cotangent_of(loss: Loss, outputs: Array, context: Context) -> Array:
    """ct_outputs (n, K) of a loss at these outputs."""
    ct: Array = reduced(loss, outputs, context.targets, context.sample_weights)[1]
    return ct


def _in_stage(stage: str) -> Callable[[Callable[[Context, Any, Array], Any]], Change]:
    """Makes changes of one stage of this layer (of every layer for the whole network)."""

    def make(function: Callable[[Context, Any, Array], Any]) -> Change:
        def apply(context: Context) -> Program:
            program = context.program
            for layer in _layers(context):
                if stage == "through_activation" and layer == len(program.params) - 1:
                    program = unfused(program)
                own = context._replace(program=program, layer=layer)
                program = with_stages(program, layer, {stage: partial(function, own)})
            return program

        return Change(stage, apply)

    return make


def with_stages(program: Program, layer: int, stages: Mapping[str, Callable[..., Any]]) -> Program:
    """`program` with other stages, by name, in one layer."""
    all_stages = list(program.stages)
    all_stages[layer] = all_stages[layer]._replace(**stages)
    return program._replace(stages=tuple(all_stages))


def unfused(program: Program) -> Program:
    """`program` with the two factors dLoss/da and f'(z) of a fused output layer apart, so that one can be changed."""
    loss = program.differentiated
    if loss is None or program.stages[-1].through_activation is not already_through:
        return program
    ct_a = reduced(loss, program.tape.activations[-1], program.targets, program.sample_weights)[1]  # type: ignore[arg-type]
    program = program._replace(ct_outputs=program.adjusted(ct_a))
    return with_stages(program, -1, {"through_activation": through_activation})


in_activation = _in_stage("through_activation")
in_weights = _in_stage("weights_cotangent")
in_bias = _in_stage("bias_cotangent")
in_previous = _in_stage("previous_cotangent")


def of_two_factors(change: Change) -> Change:
    """A change of a stage that reads ct_a or f' by itself: at a fused output layer the two factors are taken apart."""

    def apply(context: Context) -> Program:
        last = context.layer == len(context.program.params) - 1
        return change.apply(context._replace(program=unfused(context.program)) if last else context)

    return Change(change.place, apply, change.places)


def in_sums(function: Callable[[Context, Any, Array], tuple[Any, Array]]) -> Change:
    """`function` returns the residuals and the ct_z that the two sums over samples, ct_W and ct_b, are made of."""
    sums = (
        in_weights(lambda context, layer, ct: context.before("weights_cotangent")(*function(context, layer, ct))),
        in_bias(lambda context, layer, ct: context.before("bias_cotangent")(*function(context, layer, ct))),
    )
    return one_after_the_other("weights_cotangent", *sums)


def one_after_the_other(place: str, *changes: Change) -> Change:
    """Several changes that make one mistake."""

    def apply(context: Context) -> Program:
        for change in changes:
            context = context._replace(program=change.apply(context))
        return context.program

    return Change(place, apply)


def by_variant(changes: Mapping[str, Change]) -> Change:
    """The change that belongs to the variant, each at its own place."""
    places = {variant: change.place for variant, change in changes.items()}
    return Change(next(iter(places.values())), lambda context: changes[context.variant].apply(context), places)


def in_gathered(function: Callable[[Context, Cotangents], Cotangents]) -> Change:
    """`function` maps all cotangents, before the penalty."""
    return Change(
        "gathered",
        lambda context: context.program._replace(
            gathered=lambda pulled: function(context, context.program.gathered(pulled)),
        ),
    )


def in_penalty(added: Callable[[Context, Array, Array], Array], on_bias: bool | None = None) -> Change:
    """`added` returns what an L2 penalty adds to the gradient of an array, given both; that of an L1 penalty stays.

    `on_bias` replaces the `l2_on_bias`.
    """

    def apply(context: Context) -> Program:
        loss = context.loss
        biases = on_bias if on_bias is not None else loss is not None and loss.l2_on_bias
        if loss is None or loss.l1 == 0:
            return with_penalty(context.program, lambda ct, leaf: added(context, ct, leaf), biases)
        kept = replace(loss, l2=0.0)
        return with_penalty(
            context.program, lambda ct, leaf: added(context, ct, leaf) + kept.penalty_gradient(leaf), biases
        )

    return Change("penalty", apply)


def in_returned(function: Callable[[Context, str, Array], Array]) -> Change:
    """`function` maps a gradient of this layer (of every layer for the whole network) at the very end.

    It is given the name of the parameter, "weights" or "bias", and its gradient.
    """

    def apply(context: Context) -> Program:
        before = context.program.returned

        def returned(layer: int, name: str, gradient: Any) -> Any:
            gradient = before(layer, name, gradient)
            return function(context, name, gradient) if layer in _layers(context) else gradient

        return context.program._replace(returned=returned)

    return Change("returned", apply)


def in_finished(function: Callable[[Context, tuple[Dense, ...]], tuple[Dense, ...]]) -> Change:
    """`function` maps the gradients of all layers, the penalty's included, at the very end."""
    return Change(
        "finished",
        lambda context: context.program._replace(
            finished=lambda gradients: function(context, context.program.finished(gradients)),
        ),
    )


def zeroed(x: Array, index: Any) -> Array:
    """`x` with 0 in place of `x[index]`."""
    kept = np.ones(x.shape, bool)
    kept[index] = False
    return np.where(kept, x, np.zeros_like(x))


def _updated_early(context: Context) -> Program:
    return context.program._replace(early=context.program.early | frozenset(_layers(context)))


UPDATED_EARLY = Change("early", _updated_early)  # this layer is updated before its cotangent is sent on


def in_rule(function: Callable[[Context], UpdateRule]) -> Change:
    """`function` returns the update rule that is used for `context.program.rule`."""
    return Change("rule", lambda context: context.program._replace(rule=function(context)))


class Altered(UpdateRule):
    """A rule whose step for one array is another one.

    Attributes:
        rule: the right one.
        taken: the step that is taken, from (rule, number, slots, parameter, gradient), as `UpdateRule.of_array`.
    """

    def __init__(self, rule: UpdateRule, taken: Callable[..., tuple[Slots, Any]]) -> None:
        super().__init__(rule.learning_rate, rule.weight_decay)
        object.__setattr__(self, "rule", rule)
        object.__setattr__(self, "taken", taken)

    @property
    def slots(self) -> tuple[str, ...]:
        """Those of the right rule."""
        slots: tuple[str, ...] = self.rule.slots  # type: ignore[attr-defined]
        return slots

    def of_array(self, number: Any, slots: Slots, parameter: Any, gradient: Any) -> tuple[Slots, Any]:
        """The step that is taken."""
        step: tuple[Slots, Any] = self.taken(self.rule, number, slots, parameter, gradient)  # type: ignore[attr-defined]
        return step
