"""The one pass of a program, as data with named places where it can be changed.

A `Program` holds what a program runs on, what its forward pass saw, and what it does from there on: the cotangent that
it starts from, four stages per layer, the gathered cotangents, the penalty, what it returns, the update step. `begin`
makes the right one for a case, `run` executes it. A planted mistake is a `Change`: at one named place, from a program
to another one. The functions `in_…` make changes, one for each place:

    forward             another network or other parameters in the forward pass; the rest follows from what it saw
    output_cotangent    what the backward pass starts from
    through_activation, weights_cotangent, bias_cotangent, previous_cotangent     the stages, as in `backward`
    gathered            every cotangent, before the penalty
    penalty             what the penalty adds
    returned            what is handed back at the end
    update              one step of gradient descent

Nothing here is compiled, which would take minutes for dozens of mistakes and many shapes: `begin` and `computed` run
JAX's functions with NumPy (`interpreting`). They must be called inside `solution.float64_on_cpu()`.
"""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from functional_mlp._checks import known_name
from functional_mlp.activations import Activation, sigmoid, softmax
from functional_mlp.backward import Cotangents, Residuals, Stages, already_through, output_cotangent, pull_back
from functional_mlp.forward import Tape, forward
from functional_mlp.losses import Loss
from functional_mlp.network import Dense, Network, Params
from functional_mlp.oracle.case import DTYPES, Case
from functional_mlp.oracle.interpreting import interpret

# the probability loss inside each loss of logits, and the activation that makes the probabilities
OF_PROBABILITIES: Mapping[str, tuple[str, Activation]] = {
    "sigmoid_cross_entropy": ("binary_cross_entropy", sigmoid()),
    "softmax_cross_entropy": ("categorical_cross_entropy", softmax()),
}


@partial(jax.jit, static_argnums=(0, 1))
def _traced_once(stage: str, settings: tuple[Activation, bool, Any], arrays: tuple[Array, ...], ct: Array) -> Any:
    activation, has_bias, precision = settings
    weights, a_prev, z, a = arrays
    return getattr(Stages(), stage)(Residuals(activation, weights, has_bias, a_prev, z, a, precision), ct)


def _right(stage: str) -> Callable[[Residuals, Array], Any]:
    """A stage of `backward`, traced once for each activation and shape: most stages are the same in most programs."""

    def run(layer: Residuals, ct: Array) -> Any:
        settings = (layer.activation, layer.has_bias, layer.precision)
        return _traced_once(stage, settings, (layer.weights, layer.a_prev, layer.z, layer.a), ct)

    return run


RIGHT = Stages(*map(_right, Stages._fields))
through_activation, weights_cotangent, previous_cotangent = RIGHT[0], RIGHT[1], RIGHT[3]
bias_cotangent: Callable[[Residuals, Array], Any] = RIGHT.bias_cotangent


def unchanged(x: Any) -> Any:
    """What happens at a place where nothing was changed."""
    return x


def descended(parameter: Array, gradient: Array, learning_rate: float, is_bias: bool) -> Array:
    """One step of plain gradient descent for one array."""
    return parameter - learning_rate * gradient


class Program(NamedTuple):
    """A program that computes a gradient, as data; all arrays in the dtype that it computes in.

    Attributes:
        network, loss, params, inputs, targets, sample_weights: the question; `network` is the one it runs.
        another_batch: other inputs, N(0, 1), that depend on nothing but the case's inputs.
        used: the parameters that its forward pass uses.
        tape: what its forward pass saw.
        value: the loss it reports, penalty included; None without a loss.
        ct_outputs: what its backward pass starts from: ct_a of the last layer, or ct_z where the stages say so.
        stages: of its backward pass, per layer.
        gathered: applied to all cotangents before the penalty.
        penalised: adds the penalty's gradient to the first argument, given the parameters as the second.
        returned: applied to all cotangents at the end.
        stepped: one parameter array after one step, from (parameter, gradient, learning rate, whether it is a bias).
    """

    network: Network
    loss: Loss | None
    params: Params
    inputs: Array
    targets: Array | None
    sample_weights: Array | None
    another_batch: Array
    used: Params
    tape: Tape
    value: Array | None
    ct_outputs: Array
    stages: tuple[Stages, ...]
    gathered: Callable[[Cotangents], Cotangents]
    penalised: Callable[[Params, Params], Params]
    returned: Callable[[Cotangents], Cotangents]
    stepped: Callable[[Array, Array, float, bool], Array]

    @property
    def inputs_of_layers(self) -> tuple[Array, ...]:
        """a_0..a_{L-1}: what each layer was given."""
        return (self.tape.inputs, *self.tape.activations[:-1])


ARRAYS = ("params", "inputs", "targets", "sample_weights", "another_batch", "used", "tape", "value", "ct_outputs")


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
    """A change of a program at one named place."""

    place: str
    apply: Callable[[Here], Program]


@lru_cache(maxsize=4)  # a case cannot change; many mistakes are planted in one after the other
def begin(case: Case, dtype: str = "float64") -> Program:
    """The right program for a case, its forward pass done, in one of the dtypes of `DTYPES`; NumPy arrays.

    Raises:
        TypeError, ValueError: for an unknown dtype.
    """
    number_type = DTYPES[known_name("dtype", dtype, DTYPES)]

    def cast(array: np.ndarray | None) -> Any:
        with np.errstate(over="ignore"):
            return None if array is None else array.astype(number_type)

    loss, params = case.loss, tuple(Dense(cast(weights), cast(bias)) for weights, bias in case.params)
    another = np.random.default_rng(zlib.crc32(case.inputs.tobytes())).normal(size=case.inputs.shape)
    program = Program(
        network=case.network,
        loss=loss,
        params=params,
        inputs=cast(case.inputs),
        targets=cast(case.targets),
        sample_weights=cast(case.sample_weights),
        another_batch=cast(another),
        used=params,
        tape=None,  # type: ignore[arg-type]
        value=None,
        ct_outputs=cast(case.ct_outputs),
        stages=(RIGHT,) * len(params),
        gathered=unchanged,
        penalised=lambda ct_params, params: ct_params,
        returned=unchanged,
        stepped=descended,
    )
    stages = program.stages

    def started(program: Program) -> tuple[Tape, Any, Array]:
        nonlocal stages
        program = seen(program)
        stages = program.stages
        return program.tape, program.value, program.ct_outputs

    tape, value, ct_outputs = computed(started, program)
    program = program._replace(tape=tape, value=value, ct_outputs=ct_outputs, stages=stages)
    if loss is None or loss.l2 == 0:
        return program
    return _penalty_as(lambda ct, leaf: loss.l2 * leaf, loss.l2_on_bias, program)


def computed(function: Callable[[Program], Any], program: Program) -> Any:
    """`function(program)`, a tree of arrays, as NumPy arrays; without compiling."""
    arrays = {name: getattr(program, name) for name in ARRAYS}
    return interpret(lambda arrays: function(program._replace(**arrays)), arrays)


def seen(program: Program) -> Program:
    """`program` with the tape of its network and parameters `used`, and all that follows from it."""
    _, tape = forward(program.network, program.used, program.inputs)
    return _ended(program._replace(tape=tape))


def _ended(program: Program) -> Program:
    """`program` with loss and output cotangent that follow from its tape."""
    loss = program.loss
    if loss is None:
        return program
    end = output_cotangent(program.network, loss, program.tape, program.targets, program.sample_weights)  # type: ignore
    fused = end.stages[-1].through_activation is already_through
    last = RIGHT._replace(through_activation=already_through) if fused else RIGHT
    stages = (*program.stages[:-1], last)
    return program._replace(value=end.value + loss.penalty(program.params), ct_outputs=end.cotangent, stages=stages)


def seen_by_loss(network: Network, loss: Loss, tape: Tape) -> tuple[Loss, Array]:
    """The loss as it is computed, and what it is computed from: outputs, or logits where the two are fused."""
    of_logits = loss.on_logits(network.activations[-1])
    return (loss, tape.activations[-1]) if of_logits is None else (of_logits, tape.pre_activations[-1])


def run(program: Program) -> Cotangents:
    """Everything that the backward pass of `program` returns."""
    pulled = pull_back(program.network, program.params, program.tape, program.ct_outputs, program.stages)
    pulled = program.gathered(pulled)
    return program.returned(pulled._replace(params=program.penalised(pulled.params, program.params)))


def run_update(program: Program, learning_rate: float) -> Params:
    """The parameters after one step of `program`."""
    return tuple(
        Dense(
            program.stepped(dense.weights, ct.weights, learning_rate, False),
            None if dense.bias is None else program.stepped(dense.bias, ct.bias, learning_rate, True),  # type: ignore
        )
        for dense, ct in zip(program.params, run(program).params, strict=True)
    )


# the places of change


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
        program = _ended(here.program._replace(loss=function(here)))
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
    """The change that belongs to the variant; known by the place of the first."""
    return Change(next(iter(changes.values())).place, lambda here: changes[here.variant].apply(here))


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
        return _penalty_as(lambda ct, leaf: added(here, ct, leaf), biases, here.program)

    return Change("penalty", apply)


def _penalty_as(added: Callable[[Array, Array], Array], on_bias: bool, program: Program) -> Program:
    return program._replace(penalised=partial(_with_penalty, added, on_bias))


def _with_penalty(
    added: Callable[[Array, Array], Array], on_bias: bool, ct_params: Params, params: Params
) -> tuple[Dense, ...]:
    return tuple(
        Dense(
            (ct.weights + added(ct.weights, dense.weights)).astype(ct.weights.dtype),
            (ct.bias + added(ct.bias, dense.bias)).astype(ct.bias.dtype)
            if on_bias and ct.bias is not None and dense.bias is not None
            else ct.bias,
        )
        for ct, dense in zip(ct_params, params, strict=True)
    )


def in_returned(function: Callable[[Here, Dense], Dense]) -> Change:
    """`function` maps the gradient of this layer (of every layer for the whole network) at the very end."""

    def apply(here: Here) -> Program:
        def returned(pulled: Cotangents) -> Cotangents:
            pulled, params = here.program.returned(pulled), list(pulled.params)
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
