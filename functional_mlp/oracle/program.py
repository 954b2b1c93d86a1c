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
from functional_mlp.backward import Cotangents, Residuals, Stages, already_through, output_cotangent, pull_back
from functional_mlp.forward import Tape, forward
from functional_mlp.losses import Loss
from functional_mlp.network import Dense, Network, Params
from functional_mlp.oracle.case import DTYPES, Case
from functional_mlp.oracle.interpreting import Trace, evaluate, interpret, trace

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
    return penalty_as(lambda ct, leaf: loss.l2 * leaf, loss.l2_on_bias, program)


def computed(function: Callable[[Program], Any], program: Program, key: Any = None) -> Any:
    """`function(program)`, a tree of arrays, as NumPy arrays; without compiling.

    Args:
        function: of a program.
        program: whose arrays it is given.
        key: hashable: what `function` does beside reading the program's network, loss and arrays. If given, programs
            of one network, loss and shape are traced once.
    """
    arrays = {name: getattr(program, name) for name in ARRAYS}
    on_arrays = lambda arrays: function(program._replace(**arrays))  # noqa: E731
    if key is None:
        return interpret(on_arrays, arrays)
    shapes = jax.tree.map(lambda array: jax.ShapeDtypeStruct(array.shape, array.dtype), arrays)
    leaves, structure = jax.tree.flatten(shapes)
    whole = (key, program.network, program.loss, structure, tuple((leaf.shape, leaf.dtype) for leaf in leaves))
    return evaluate(_trace_once(_Traceable(whole, on_arrays, shapes)), arrays)


@dataclass(frozen=True)
class _Traceable:
    """A function of arrays, known by its key."""

    key: Any
    function: Callable[[Any], Any] = field(compare=False)
    shapes: Any = field(compare=False)


@lru_cache(maxsize=4096)
def _trace_once(traceable: _Traceable) -> Trace:
    return trace(traceable.function, traceable.shapes)


def seen(program: Program) -> Program:
    """`program` with the tape of its network and parameters `used`, and all that follows from it."""
    _, tape = forward(program.network, program.used, program.inputs)
    return ended(program._replace(tape=tape))


def ended(program: Program) -> Program:
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
