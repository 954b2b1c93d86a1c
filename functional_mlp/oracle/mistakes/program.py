"""One pass of a program, as data: what somebody's code does, stage by stage, each of which can be replaced. In NumPy.

A `Program` holds what a program runs on, what its forward pass computed, and what it does from there on: the cotangent
that it starts from, four stages per layer, the gathered cotangents, the penalty, what it returns, the update step.
`prepare` makes the right one for a case, `run` executes one.

The formulas are those of `activations` and `losses`, which serve NumPy's arrays too, and only activations of one's own
go through JAX: compiling, or tracing, would take seconds for dozens of mistakes and every new shape.
"""

import zlib
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import numpy as np

from functional_mlp._checks import known_name
from functional_mlp._dtypes import DTYPES, working_dtype
from functional_mlp.activations import Activation, numpy_value, numpy_vjp, sigmoid, softmax
from functional_mlp.backward_pass import Cotangents, Stages, already_through
from functional_mlp.forward_pass import Tape
from functional_mlp.losses import Loss, penalty_value, reduced
from functional_mlp.network import Dense, Network
from functional_mlp.oracle.case import Case, layer_of, not_a_case
from functional_mlp.oracle.truth import computing
from functional_mlp.update_rules import Descent, RuleState, UpdateRule

# the probability loss inside each loss of logits, and the activation that makes the probabilities
OF_PROBABILITIES = {
    "sigmoid_cross_entropy": ("binary_cross_entropy", sigmoid()),
    "softmax_cross_entropy": ("categorical_cross_entropy", softmax()),
    "softmax_kl_divergence": ("kl_divergence", softmax()),
}


def vjp_at(activation: Activation, z: np.ndarray, ct: np.ndarray) -> np.ndarray:
    """ct f'(z) at any pre-activations."""
    return numpy_vjp(activation, z, numpy_value(activation, z), ct)


def product(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """left @ right in the working dtype: 16-bit factors are accumulated in float32, and not rounded back."""
    work = working_dtype(left.dtype)
    result: np.ndarray = np.matmul(left.astype(work, copy=False), right.astype(work, copy=False))
    return result


def times(factor: float, array: np.ndarray) -> np.ndarray:
    """factor * array in the array's own dtype, which Python's numbers would widen for bfloat16."""
    scaled: np.ndarray = array.dtype.type(factor) * array
    return scaled


def summed(array: np.ndarray, axis: int | None = None, keepdims: bool = False) -> np.ndarray:
    """The sum in the working dtype, rounded once to the array's own."""
    total: np.ndarray = array.sum(axis=axis, keepdims=keepdims, dtype=working_dtype(array.dtype))
    return total.astype(array.dtype, copy=False)


# the right stages, as in `backward_pass`


def through_activation(layer: Any, ct_a: np.ndarray) -> np.ndarray:
    """ct_z = ct_a f'(z)."""
    return numpy_vjp(layer.activation, layer.z, layer.a, ct_a)


def weights_cotangent(layer: Any, ct_z: np.ndarray) -> np.ndarray:
    """ct_W = a_prev^T ct_z."""
    return product(layer.a_prev.T, ct_z).astype(ct_z.dtype, copy=False)


def bias_cotangent(layer: Any, ct_z: np.ndarray) -> Any:
    """ct_b = sum of ct_z over samples; None for a layer without bias."""
    return summed(ct_z, axis=0) if layer.has_bias else None


def previous_cotangent(layer: Any, ct_z: np.ndarray) -> np.ndarray:
    """ct_a_prev = ct_z W^T."""
    return product(ct_z, layer.weights.T).astype(ct_z.dtype, copy=False)


RIGHT: Any = Stages(through_activation, weights_cotangent, bias_cotangent, previous_cotangent)  # type: ignore[arg-type]


def unchanged(x: Any) -> Any:
    """What happens to all cotangents where nothing was changed."""
    return x


def as_computed(layer: int, name: str, gradient: Any) -> Any:
    """What is returned of the gradient of one parameter where nothing was changed."""
    return gradient


class Program(NamedTuple):
    """A program that computes a gradient, as data; NumPy arrays in the dtype that it computes in.

    Attributes:
        network, loss, params, inputs, targets, sample_weights: the question; `network` is the one it runs.
        another_batch: other inputs, N(0, 1), that depend on nothing but the case's inputs.
        used: the parameters that its forward pass uses.
        tape: what its forward pass computed.
        differentiated: the loss whose derivative it takes; `loss` is the one of the case.
        value: the loss it reports, penalty included; None without a loss.
        ct_outputs: what its backward pass starts from: ct_a of the last layer, or ct_z where the stages say so.
        adjusted: what happens to that derivative before it is `ct_outputs`.
        stages: of its backward pass, per layer.
        gathered: applied to all cotangents before the penalty.
        penalised: adds the penalty's gradient: of (gradient, parameter, whether it is a bias).
        returned: what is handed back: of (layer, "weights" or "bias", gradient).
        finished: applied to the gradients of all layers that are handed back.
        rule: by which it updates its parameters.
        early: layers whose parameters it updates before it sends their cotangent on.
        state: of the rule, before the step; None before the first.
        right: the right program, run: whatever another one leaves as it is need not be computed again; None for itself.
        found: what the right program found on the way back, per layer; None in others.
    """

    network: Network
    loss: Loss | None
    params: tuple[Any, ...]
    inputs: np.ndarray
    targets: Any
    sample_weights: Any
    another_batch: np.ndarray
    used: tuple[Any, ...]
    tape: Any
    value: Any
    ct_outputs: Any
    stages: tuple[Any, ...]
    differentiated: Loss | None
    adjusted: Callable[[Any], Any] = unchanged
    gathered: Callable[[Any], Any] = unchanged
    penalised: Callable[[Any, Any, bool], Any] = lambda gradient, parameter, is_bias: gradient
    returned: Callable[[int, str, Any], Any] = as_computed
    finished: Callable[[Any], Any] = unchanged
    rule: UpdateRule = Descent()
    early: frozenset[int] = frozenset()
    state: RuleState | None = None
    right: Any = None
    found: Any = None

    @property
    def inputs_of_layers(self) -> tuple[np.ndarray, ...]:
        """a_0..a_{L-1}: what each layer was given."""
        return (self.tape.inputs, *self.tape.activations[:-1])


class LayerView(NamedTuple):
    """All that a stage of a program may read of its layer: what `backward_pass.Residuals` has, and more.

    Attributes:
        activation, weights, has_bias, a_prev, z, a, precision: as there.
        bias: (fan_out,), or None.
        ct_a: the cotangent (n, fan_out) that the stages of this layer begin with.
    """

    activation: Activation
    weights: np.ndarray
    has_bias: bool
    a_prev: np.ndarray
    z: np.ndarray
    a: np.ndarray
    precision: None
    bias: Any
    ct_a: Any = None


class RightCotangents(NamedTuple):
    """What the right backward pass found, per layer.

    Attributes:
        ct_z: cotangents of the pre-activations.
        weights, bias: gradients, without the penalty's.
        ct_a: cotangents of what the layer was given.
    """

    ct_z: tuple[Any, ...]
    weights: tuple[Any, ...]
    bias: tuple[Any, ...]
    ct_a: tuple[Any, ...]


class Prepared(NamedTuple):
    """A case made ready for mistakes to be injected.

    Attributes:
        case: the case.
        tape: what the right forward pass computes in float64, which decides where a mistake may occur.
        program: the right program, in the dtype that mistakes are injected in.
    """

    case: Case
    tape: Any
    program: Program


def prepare(case: Case, dtype: str = "float64", rule: UpdateRule = Descent()) -> Prepared:  # noqa: B008
    """A case made ready, in one of the dtypes of `DTYPES`, for a program that updates by a rule.

    Raises:
        TypeError, ValueError: for what is no case, or an unknown dtype.
    """
    if not isinstance(case, Case):
        raise not_a_case(case)
    known_name("dtype", dtype, DTYPES)
    with computing(case.network):
        program = _right_program(case, dtype)._replace(rule=rule)
        if dtype == "float64":
            return Prepared(case, program.tape, program)
        params = tuple(Dense(*layer) for layer in case.params)  # type: ignore[arg-type]
        return Prepared(case, tape_of(case.network, params, case.inputs), program)


def _right_program(case: Case, dtype: str) -> Program:
    def cast(array: Any) -> Any:
        return None if array is None else array.astype(DTYPES[dtype])

    loss, params = case.loss, tuple(Dense(cast(weights), cast(bias)) for weights, bias in case.params)
    another = np.random.default_rng(zlib.crc32(case.inputs.tobytes())).normal(size=case.inputs.shape)
    program = with_tape(
        Program(
            network=case.network,
            loss=loss,
            params=params,
            inputs=cast(case.inputs),
            targets=cast(case.targets),
            sample_weights=cast(case.sample_weights),
            another_batch=cast(another),
            used=params,
            tape=None,
            value=None,
            ct_outputs=cast(case.ct_outputs),
            stages=(RIGHT,) * len(params),
            differentiated=loss,
        )
    )
    program = program._replace(found=_found(program))
    if loss is not None and loss.penalises:
        program = with_penalty(program, lambda gradient, parameter: loss.penalty_gradient(parameter), loss.l2_on_bias)
    return program._replace(right=program)


def tape_of(network: Network, params: Any, inputs: np.ndarray, right: Program | None = None) -> Any:
    """What a forward pass computes; layers that are those of the right program are not computed again."""
    a, pre_activations, activations = inputs, [], []
    for layer, (activation, (weights, bias)) in enumerate(zip(network.activations, params, strict=True)):
        if right is not None and a is right.inputs_of_layers[layer] and params[layer] is right.used[layer]:
            z = right.tape.pre_activations[layer]
            same = activation == right.network.activations[layer]
            a = right.tape.activations[layer] if same else numpy_value(activation, z)
        else:
            z = product(a, weights)
            z = (z if bias is None else z + bias[None, :].astype(z.dtype)).astype(a.dtype, copy=False)
            a = numpy_value(activation, z)
        pre_activations.append(z)
        activations.append(a)
    return Tape(inputs, tuple(pre_activations), tuple(activations))  # type: ignore[arg-type]


def with_tape(program: Program) -> Program:
    """`program` with the tape of its network and parameters `used`, and all that follows from it."""
    tape = tape_of(program.network, program.used, program.inputs, program.right)
    return with_loss(program._replace(tape=tape))


def with_loss(program: Program) -> Program:
    """`program` with loss and output cotangent that follow from its tape and the loss that it differentiates."""
    loss = program.differentiated
    if loss is None:
        return program
    loss.require_admissible(program.network.activations[-1])
    through = program.stages[-1].through_activation
    computed, seen = loss, program.tape.activations[-1]
    if through in (through_activation, already_through):  # it goes through the last activation as the right one does
        computed, seen = seen_by_loss(program.network, loss, program.tape)
        through = through_activation if computed is loss else already_through
    value, ct = reduced(computed, seen, program.targets, program.sample_weights)
    last = program.stages[-1]._replace(through_activation=through)
    return program._replace(
        value=value + penalty_value(loss, program.params),
        ct_outputs=program.adjusted(ct),
        stages=(*program.stages[:-1], last),
    )


def seen_by_loss(network: Network, loss: Loss, tape: Any) -> tuple[Loss, np.ndarray]:
    """The loss as it is computed, and what it is computed from: outputs, or logits where the two are fused."""
    of_logits = loss.on_logits(network.activations[-1])
    return (loss, tape.activations[-1]) if of_logits is None else (of_logits, tape.pre_activations[-1])


def with_penalty(program: Program, added: Callable[[Any, Any], Any], on_bias: bool) -> Program:
    """`program` whose penalty adds this to the gradient of an array, given both: the gradient first."""

    def penalised(gradient: Any, parameter: Any, is_bias: bool) -> Any:
        if is_bias and not on_bias:
            return gradient
        return (gradient + added(gradient, parameter)).astype(gradient.dtype)

    return program._replace(penalised=penalised)


# execution


def view_of(program: Program, layer: int) -> LayerView:
    """What the stages of a layer may read, but for the cotangent that comes."""
    weights, bias = program.params[layer]
    tape: Any = program.tape
    a_prev: Any = program.inputs_of_layers[layer]
    z, a, activation = tape.pre_activations[layer], tape.activations[layer], program.network.activations[layer]
    return LayerView(activation, weights, bias is not None, a_prev, z, a, None, bias)  # type: ignore[arg-type]


def _found(program: Program) -> RightCotangents:
    """What the program finds on the way back."""
    found, ct = [], program.ct_outputs
    for layer in reversed(range(len(program.params))):
        stages, view = program.stages[layer], view_of(program, layer)._replace(ct_a=ct)
        ct_z = stages.through_activation(view, ct)
        rest = [getattr(stages, name)(view, ct_z) for name in Stages._fields[1:]]
        found.append((ct_z, *rest))
        ct = rest[-1]
    return RightCotangents(*zip(*reversed(found), strict=True))


def run(program: Program, paths: Collection[str] | None = None) -> Cotangents:
    """What the backward pass of `program` returns.

    Args:
        program: the program.
        paths: of the arrays that are looked at, such as "params[0].weights"; None for all. The others are those of the
            right program.
    """
    if not (program.gathered is program.finished is unchanged):  # which may mix layers
        paths = None
    found, last = program.right.found, len(program.params) - 1
    lowest = 0 if paths is None else max(0, min(_lowest(path, last) for path in paths))
    ct_z, weights, bias, ct_inputs = list(found.ct_z), list(found.weights), list(found.bias), found.ct_a[0]
    ct = program.ct_outputs
    for layer in reversed(range(lowest, last + 1)):
        stages = _StagesOf(program, layer, ct)
        ct_z[layer] = stages.pulled("through_activation", ct)
        for name, gradients in (("weights", weights), ("bias", bias)):
            if paths is None or layer in program.early or f"params[{layer}].{name}" in paths:
                gradients[layer] = stages.pulled(f"{name}_cotangent", ct_z[layer])
        if layer > lowest or (layer == 0 and (paths is None or "ct_inputs" in paths)):
            if layer in program.early:
                stages.change_parameters(_updated(program, layer, Dense(weights[layer], bias[layer])))
            ct = stages.pulled("previous_cotangent", ct_z[layer])
            ct_inputs = ct if layer == 0 else ct_inputs
    pulled = program.gathered(Cotangents(tuple(map(Dense, weights, bias)), ct_inputs, tuple(ct_z)))
    handed_back = tuple(_handed_back(program, paths, *own) for own in enumerate(pulled.params))
    return pulled._replace(params=program.finished(handed_back))


def _lowest(path: str, last: int) -> int:
    """The layer down to which the way back goes for an array; beyond the last for what the forward pass computes."""
    return last + 1 if path in ("loss", "outputs") else layer_of(path)


class _StagesOf:
    """The stages of a layer as functions of a cotangent; those of the right program recall what it found."""

    def __init__(self, program: Program, layer: int, ct: np.ndarray) -> None:
        right = program.right
        found, above = right.found, layer + 1 < len(program.params)
        self.stages, self.right_stages = program.stages[layer], right.stages[layer]
        view = view_of(program, layer)
        self.same = _are_the_same(view, view_of(right, layer))
        self.view = view._replace(ct_a=ct)
        ct_z = found.ct_z[layer]
        self.known = {
            "through_activation": (found.ct_a[layer + 1] if above else right.ct_outputs, ct_z),
            "weights_cotangent": (ct_z, found.weights[layer]),
            "bias_cotangent": (ct_z, found.bias[layer]),
            "previous_cotangent": (ct_z, found.ct_a[layer]),
        }

    def pulled(self, name: str, ct: np.ndarray) -> Any:
        """What a stage makes of a cotangent."""
        stage, (known_ct, found) = getattr(self.stages, name), self.known[name]
        recalls = self.same and ct is known_ct and stage is getattr(self.right_stages, name)
        return found if recalls else stage(self.view, ct)

    def change_parameters(self, layer: Dense) -> None:
        """Other parameters from here on."""
        self.view = self.view._replace(weights=layer.weights, bias=layer.bias)  # type: ignore[arg-type]
        self.same = False


def _are_the_same(one: LayerView, other: LayerView) -> bool:
    """Whether two layers hold the same arrays, not only equal ones."""
    return one.activation == other.activation and all(x is y for x, y in zip(one[1:], other[1:], strict=True))


def _updated(program: Program, layer: int, gradients: Dense) -> Dense:
    """The parameters of a layer after the step, in the dtype that the program computes in."""
    state = program.rule.init(program.params) if program.state is None else program.state
    handed_back, parameters = _handed_back(program, None, layer, gradients), program.params[layer]
    slots = (tuple(getattr(tree[layer], name) for tree in state.slots) for name in Dense._fields)

    def moved(slots: Any, parameter: Any, gradient: Any) -> Any:
        if parameter is None or gradient is None:
            return parameter
        return program.rule.of_array(state.steps + 1, slots, parameter, gradient)[1].astype(parameter.dtype)

    return Dense(*map(moved, slots, parameters, handed_back))


def _handed_back(program: Program, paths: Collection[str] | None, layer: int, own: Any) -> Dense:
    """The gradients of a layer's parameters with the penalty's, as the program returns them."""

    def finished(name: str, gradient: Any, parameter: Any) -> Any:
        if gradient is None or (paths is not None and f"params[{layer}].{name}" not in paths):
            return gradient
        if parameter is not None:
            gradient = program.penalised(gradient, parameter, name == "bias")
        return program.returned(layer, name, gradient)

    return Dense(*map(finished, Dense._fields, own, program.params[layer]))


def run_update(program: Program, state: RuleState | None = None) -> tuple[RuleState, tuple[Dense, ...]]:
    """The state and the parameters after one step of `program`; a state of None is that before the first step."""
    state = program.rule.init(program.params) if state is None else state
    with np.errstate(all="ignore"):
        return program.rule.step(state, program.params, run(program._replace(state=state)).params)
