"""One pass of a program, as data: what somebody's code does, stage by stage, each of which can be replaced.

A `Program` holds what a program runs on, what its forward pass saw, and what it does from there on: the cotangent that
it starts from, four stages per layer, the gathered cotangents, the penalty, what it returns, the update step. `begin`
makes the right one for a case, `run` executes it.

Nothing here is compiled, which would take minutes for dozens of mistakes and many shapes: `begin` and `computed` run
JAX's functions with NumPy (`interpreting`). They must be called inside `solution.float64_on_cpu()`.
"""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array

from functional_mlp._checks import known_name
from functional_mlp.activations import Activation, sigmoid, softmax
from functional_mlp.backward_pass import Cotangents, Residuals, Stages, already_through, pull_back
from functional_mlp.forward_pass import Tape, affine
from functional_mlp.losses import Loss
from functional_mlp.network import Dense, Network, Params
from functional_mlp.oracle.case import DTYPES, Case
from functional_mlp.oracle.mistakes.interpreting import Trace, evaluate, interpret, trace

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


class Known(NamedTuple):
    """What the right backward pass found, per layer.

    Attributes:
        ct_z: cotangents of the pre-activations.
        weights, bias: gradients, without the penalty's.
        ct_a: cotangents of what the layer was given.
    """

    ct_z: tuple[Array, ...]
    weights: tuple[Array, ...]
    bias: tuple[Array | None, ...]
    ct_a: tuple[Array, ...]


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
        known: what the right program finds on the way back; None while nobody knows.
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
    known: Known | None = None

    @property
    def inputs_of_layers(self) -> tuple[Array, ...]:
        """a_0..a_{L-1}: what each layer was given."""
        return (self.tape.inputs, *self.tape.activations[:-1])


ARRAYS = (
    "params",
    "inputs",
    "targets",
    "sample_weights",
    "another_batch",
    "used",
    "tape",
    "value",
    "ct_outputs",
    "known",
)


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
    program = program._replace(known=computed(_found, program))
    if loss is None or loss.l2 == 0:
        return program
    return penalty_as(lambda ct, leaf: loss.l2 * leaf, loss.l2_on_bias, program)


def computed(
    function: Callable[..., Any],
    program: Program,
    *numbers: float,
    key: Any = None,
    wanted: Callable[[Any], Any] = unchanged,
) -> Any:
    """`function(program, *numbers)`, a tree of arrays, as NumPy arrays; without compiling.

    Args:
        function: of a program and numbers, which are traced: of no dtype of their own, as Python's.
        program: whose arrays it is given.
        numbers: the numbers.
        key: hashable: what `function` does beside reading the program's network, loss and arrays, and the numbers. If
            given, programs of one network, loss and shape are traced once.
        wanted: picks from the tree what is returned, and nothing else is computed.
    """
    arrays = {name: getattr(program, name) for name in ARRAYS}
    on_arrays = lambda arrays, numbers: function(program._replace(**arrays), *numbers)  # noqa: E731
    if key is None:
        return wanted(interpret(on_arrays, arrays, numbers))
    shapes = jax.tree.map(lambda array: jax.ShapeDtypeStruct(array.shape, array.dtype), arrays)
    leaves, structure = jax.tree.flatten((shapes, numbers))
    whole = (key, program.network, program.loss, structure, tuple(map(_shape_of, leaves)))
    return evaluate(_trace_once(_Traceable(whole, on_arrays, shapes, numbers)), arrays, numbers, wanted=wanted)


def _shape_of(leaf: Any) -> tuple[Any, ...]:
    return (leaf.shape, leaf.dtype) if isinstance(leaf, jax.ShapeDtypeStruct) else ()


@dataclass(frozen=True)
class _Traceable:
    """A function of arrays and numbers, known by its key."""

    key: Any
    function: Callable[..., Any] = field(compare=False)
    shapes: Any = field(compare=False)
    numbers: tuple[float, ...] = field(compare=False)


@lru_cache(maxsize=4096)
def _trace_once(traceable: _Traceable) -> Trace:
    return trace(traceable.function, traceable.shapes, traceable.numbers)


def _found(program: Program) -> Known:
    """What the program finds on the way back."""
    found: dict[str, list[Any]] = {stage: [] for stage in Stages._fields}

    def noted(name: str, stage: Callable[..., Any]) -> Callable[..., Any]:
        def run(layer: Residuals, ct: Array) -> Any:
            found[name].insert(0, stage(layer, ct))
            return found[name][0]

        return run

    stages = [Stages(*map(noted, Stages._fields, layer)) for layer in program.stages]
    pull_back(program.network, program.params, program.tape, program.ct_outputs, stages)
    return Known(*(tuple(found[name]) for name in Stages._fields))


def recalling(program: Program) -> Program:
    """`program` with stages that recall what is known, if they are given just what the right program gave them.

    Whatever a mistake leaves as it is, above it on the way back, is thus neither traced nor computed again.
    """
    known, tape = program.known, program.tape
    if known is None:
        return program

    def stages_of(layer: int) -> Stages:
        ct_a = program.ct_outputs if layer == len(program.params) - 1 else known.ct_a[layer + 1]
        a_prev, z, a = program.inputs_of_layers[layer], tape.pre_activations[layer], tape.activations[layer]
        own = (program.params[layer].weights, a_prev, z, a)

        def recalled(name: str, stage: Callable[..., Any], result: Any, ct: Array) -> Callable[..., Any]:
            def run(layer: Residuals, given: Array) -> Any:
                arrays = (layer.weights, layer.a_prev, layer.z, layer.a)
                same = given is ct and all(x is y for x, y in zip(arrays, own, strict=True))
                return result if same else stage(layer, given)

            return stage if stage is already_through else run

        cts = (ct_a, *3 * (known.ct_z[layer],))
        return Stages(*map(recalled, Stages._fields, program.stages[layer], (k[layer] for k in known), cts))

    return program._replace(stages=tuple(map(stages_of, range(len(program.params)))))


def seen(program: Program) -> Program:
    """`program` with the tape of its network and parameters `used`, and all that follows from it."""
    return ended(program._replace(tape=tape_of(program, program.used, program.inputs)))


def tape_of(program: Program, params: Params, inputs: Array) -> Tape:
    """What `forward` sees, each layer traced once for each activation and shape."""
    a, pre_activations, activations = inputs, [], []
    for activation, dense in zip(program.network.activations, params, strict=True):
        z, a = _layer_once(activation, dense.weights, dense.bias, a)
        pre_activations.append(z)
        activations.append(a)
    return Tape(inputs, tuple(pre_activations), tuple(activations))


@partial(jax.jit, static_argnums=0)
def _layer_once(activation: Activation, weights: Array, bias: Array | None, a_prev: Array) -> tuple[Array, Array]:
    z = affine(a_prev, weights, bias)
    return z, activation.value(z)


@partial(jax.jit, static_argnums=0)
def vjp_at(activation: Activation, z: Array, ct: Array) -> Array:
    """ct f'(z) at any pre-activations, traced once for each activation and shape."""
    return activation.vjp(z, activation.value(z), ct)


def ended(program: Program) -> Program:
    """`program` with loss and output cotangent that follow from its tape."""
    loss = program.loss
    if loss is None:
        return program
    loss.require_admissible(program.network.activations[-1])
    own, end = seen_by_loss(program.network, loss, program.tape)
    value, ct_outputs = _ended_once(own, end, program.targets, program.sample_weights)
    last = RIGHT if own is loss else RIGHT._replace(through_activation=already_through)
    value = value + loss.penalty(program.params)
    return program._replace(value=value, ct_outputs=ct_outputs, stages=(*program.stages[:-1], last))


@partial(jax.jit, static_argnums=0)
def _ended_once(loss: Loss, end: Array, targets: Array, sample_weights: Array | None) -> tuple[Array, Array]:
    """The loss and its cotangent, traced once for each loss and shape."""
    return loss.value_and_cotangent(end, targets, sample_weights)


def seen_by_loss(network: Network, loss: Loss, tape: Tape) -> tuple[Loss, Array]:
    """The loss as it is computed, and what it is computed from: outputs, or logits where the two are fused."""
    of_logits = loss.on_logits(network.activations[-1])
    return (loss, tape.activations[-1]) if of_logits is None else (of_logits, tape.pre_activations[-1])


def run(program: Program, down_to: int = 0) -> Cotangents:
    """Everything that the backward pass of `program` returns.

    Args:
        program: the program.
        down_to: the layer at which to stop, or their number for none; what is below is then that of the right program.
    """
    known = program.known
    if known is None or down_to == 0 or program.gathered is not unchanged:  # which may mix layers
        pulled = pull_back(program.network, program.params, program.tape, program.ct_outputs, program.stages)
    else:
        pulled = _pulled_down_to(down_to, program, known)
    pulled = program.gathered(pulled)
    return program.returned(pulled._replace(params=program.penalised(pulled.params, program.params)))


def _pulled_down_to(layer: int, program: Program, known: Known) -> Cotangents:
    if layer == len(program.params):
        return Cotangents(tuple(map(Dense, known.weights, known.bias)), known.ct_a[0], known.ct_z)
    tape, above = program.tape, slice(layer, None)
    upper = Network(program.network.sizes[above], program.network.activations[above])
    seen_above = Tape(program.inputs_of_layers[layer], tape.pre_activations[above], tape.activations[above])
    pulled = pull_back(upper, program.params[above], seen_above, program.ct_outputs, program.stages[above])
    below = tuple(map(Dense, known.weights[:layer], known.bias[:layer]))
    return Cotangents((*below, *pulled.params), known.ct_a[0], (*known.ct_z[:layer], *pulled.deltas))


def run_update(program: Program, learning_rate: float) -> Params:
    """The parameters after one step of `program`."""
    return tuple(
        Dense(
            program.stepped(dense.weights, ct.weights, learning_rate, False),
            None if dense.bias is None else program.stepped(dense.bias, ct.bias, learning_rate, True),  # type: ignore
        )
        for dense, ct in zip(program.params, run(program).params, strict=True)
    )


def penalty_as(added: Callable[[Array, Array], Array], on_bias: bool, program: Program) -> Program:
    """`program` whose penalty adds this to the gradient of an array, given both: the gradient first."""
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
