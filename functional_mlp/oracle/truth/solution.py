"""The truth about a case: every intermediate and every gradient, in float64, by two derivations that must agree.

The hand-written backward pass gives the answer. `jax.grad` of the plain forward pass is computed beside it, and where
the two differ by more than their rounding can explain, the oracle refuses to answer.

Everything is computed on the CPU inside a scope of its own, whatever the caller's JAX settings are: the same case gives
the same bits from inside a float32 program, under another default device, matrix precision, promotion rule or
debug_nans, and the settings are afterwards as they were.
"""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from functional_mlp.activations import Activation
from functional_mlp.backward_pass import (
    Cotangents,
    Stages,
    add_penalty_gradient,
    already_through,
    output_cotangent,
    pull_back,
)
from functional_mlp.forward_pass import Tape, forward
from functional_mlp.losses import Loss
from functional_mlp.network import Dense, Network, Params
from functional_mlp.oracle.case import Case, Layer

# How far two correct float64 derivations may be apart, in units of roundoff times the size of what was added up on the
# way (`_sizes`): a generous factor, since a wrong derivation is off by much more, and a false alarm here would refuse
# the answer to a sound question. `make certify` measures the real distance from the truth.
AGREEMENT = 1000.0
UNIT = float(np.finfo(np.float64).eps) / 2
VARIATIONS = 4


class DisagreementError(ArithmeticError):
    """The two derivations differ by more than rounding explains: this is a bug of functional_mlp; please report it."""


class Solution(NamedTuple):
    """What the oracle knows of a case; every array is NumPy float64.

    Attributes:
        loss: the loss, penalty included; None for a bare cotangent.
        outputs: a_L (n, n_L).
        pre_activations: z_1..z_L, each (n, n_l).
        activations: a_1..a_L, each (n, n_l).
        deltas: ct_z of layers 1..L, each (n, n_l).
        grads: per layer (weights (fan_in, fan_out), bias (fan_out,) or None), the penalty's included.
        ct_inputs: dLoss/d inputs (n, n_0).
    """

    loss: float | None
    outputs: np.ndarray
    pre_activations: tuple[np.ndarray, ...]
    activations: tuple[np.ndarray, ...]
    deltas: tuple[np.ndarray, ...]
    grads: tuple[Layer, ...]
    ct_inputs: np.ndarray


@contextlib.contextmanager
def float64_on_cpu() -> Iterator[None]:
    """The scope in which the oracle computes: float64, on the CPU, with every setting that could matter pinned.

    Raises:
        RuntimeError: if JAX has no CPU backend, as with JAX_PLATFORMS=cuda.
    """
    try:
        cpu = jax.devices("cpu")[0]
    except RuntimeError as error:
        raise RuntimeError(
            "the oracle computes on the CPU, which JAX was told not to use; set JAX_PLATFORMS=cuda,cpu (yours first)"
        ) from error
    with contextlib.ExitStack() as stack:
        for setting in (
            jax.enable_x64(True),
            jax.default_device(cpu),
            jax.default_matmul_precision("highest"),
            jax.numpy_dtype_promotion("standard"),
            jax.numpy_rank_promotion("allow"),
            jax.debug_nans(False),
            jax.debug_infs(False),
            jax.disable_jit(False),
            jax.transfer_guard("allow"),
        ):
            stack.enter_context(setting)
        yield


class _Answer(NamedTuple):
    """One derivation of a case, as JAX arrays."""

    value: Any
    tape: Tape
    cotangents: Cotangents


def _by_hand(network: Network, loss: Loss | None, params: Params, arrays: dict[str, Any]) -> _Answer:
    _, tape = forward(network, params, arrays["inputs"])
    if loss is None:
        return _Answer(jnp.zeros(()), tape, pull_back(network, params, tape, arrays["ct_outputs"]))
    end = output_cotangent(network, loss, tape, arrays["targets"], arrays.get("sample_weights"))
    pulled = pull_back(network, params, tape, end.cotangent, end.stages)
    grads = add_penalty_gradient(loss, pulled.params, params)
    return _Answer(end.value + loss.penalty(params), tape, pulled._replace(params=grads))


def _by_autodiff(network: Network, loss: Loss | None, params: Params, arrays: dict[str, Any]) -> tuple[Params, Any]:
    """Gradients with respect to parameters and inputs, by jax.grad of the value."""
    network = Network(network.sizes, [_kink_as_chosen(activation) for activation in network.activations])
    of_logits = None if loss is None else loss.on_logits(network.activations[-1])

    def value(params: Params, inputs: Any) -> Any:
        outputs, tape = forward(network, params, inputs)
        if loss is None:
            return jnp.sum(outputs * arrays["ct_outputs"])
        chosen, end = (loss, outputs) if of_logits is None else (of_logits, tape.pre_activations[-1])
        return chosen.value(end, arrays["targets"], arrays.get("sample_weights")) + loss.penalty(params)

    return jax.grad(value, argnums=(0, 1))(params, arrays["inputs"])


def _kink_as_chosen(activation: Activation) -> Activation:
    """`activation` with a value whose automatic derivative at 0 is the chosen one: at_zero z there, else the value."""
    if "at_zero" not in dict(activation.parameters):
        return activation

    def value(z: Any, at_zero: float, **others: float) -> Any:
        return jnp.where(z == 0, at_zero * z, activation.value_fn(z, at_zero=at_zero, **others))

    return dataclasses.replace(activation, value_fn=value)


def _sizes(network: Network, loss: Loss | None, params: Params, arrays: dict[str, Any]) -> tuple[Params, Any]:
    """The size of what is added up on the way to every gradient: the backward pass with absolute values throughout.

    Times the unit roundoff this is the rounding of one derivation, up to a factor; what the forward pass rounds comes
    on top (`_noise`).
    """
    _, tape = forward(network, params, arrays["inputs"])
    smallest = jnp.finfo(jnp.float64).tiny / jnp.finfo(jnp.float64).eps  # so that underflow counts as rounding too
    if loss is None:
        start = jnp.abs(arrays["ct_outputs"]) + smallest
        stages = (_ABSOLUTE,) * len(params)
    else:
        end = output_cotangent(network, loss, tape, arrays["targets"], arrays.get("sample_weights"))
        terms = loss.coefficients(end.cotangent.shape, arrays.get("sample_weights"), jnp.float64)
        start = jnp.abs(end.cotangent) + jnp.abs(terms) * (1 + jnp.abs(arrays["targets"])) + smallest
        fused = end.stages[-1].through_activation is already_through
        last = _ABSOLUTE._replace(through_activation=already_through) if fused else _ABSOLUTE
        stages = (*(_ABSOLUTE,) * (len(params) - 1), last)
    pulled = pull_back(network, params, tape, start, stages)
    if loss is None:
        return pulled.params, pulled.inputs
    return add_penalty_gradient(loss, pulled.params, jax.tree.map(jnp.abs, params)), pulled.inputs


def _absolute(stage: Any) -> Any:
    return lambda layer, ct: stage(layer._replace(a_prev=jnp.abs(layer.a_prev), weights=jnp.abs(layer.weights)), ct)


_ABSOLUTE = Stages(
    through_activation=lambda layer, ct: jnp.abs(layer.activation.vjp(layer.z, layer.a, ct)) + ct,
    weights_cotangent=_absolute(Stages().weights_cotangent),
    previous_cotangent=_absolute(Stages().previous_cotangent),
)


@jax.jit
def _noise(
    network: Network, loss: Loss | None, params: Params, arrays: dict[str, Any], moved: tuple[Any, Any], answer: _Answer
) -> tuple[Params, Any]:
    """How far apart two correct derivations may be: rounding of sums, and what input changes of a few ulp bring about.

    Args:
        network, loss, params, arrays: the case.
        moved: `params` and `arrays` with every number moved by a few ulp, and a leading axis of such variations.
        answer: the hand-written one.
    """
    gradients = (answer.cotangents.params, answer.cotangents.inputs)
    varied = jax.vmap(lambda case: _by_hand(network, loss, *case).cotangents)(moved)
    return jax.tree.map(
        lambda size, there, here: jnp.maximum(
            AGREEMENT * UNIT * size, 100 * jnp.max(jnp.abs(there - here[None]), axis=0)
        ),
        _sizes(network, loss, params, arrays),
        (varied.params, varied.inputs),
        gradients,
    )


@jax.jit
def _both(
    network: Network, loss: Loss | None, params: Params, arrays: dict[str, Any]
) -> tuple[_Answer, tuple[Params, Any]]:
    """The answer and jax.grad's gradients: one program."""
    return _by_hand(network, loss, params, arrays), _by_autodiff(network, loss, params, arrays)


def _plainly_agree(case: Case, answer: _Answer, by_autodiff: tuple[Params, Any]) -> bool:
    """Whether every entry agrees to `AGREEMENT` units of the absolute terms of its last sum.

    That is less than `_noise` allows, and most cases need no more; so most need not compile `_noise`.
    """
    before = (answer.tape.inputs, *answer.tape.activations[:-1])
    (grads, ct_inputs), (auto_grads, auto_inputs) = (answer.cotangents.params, answer.cotangents.inputs), by_autodiff
    deltas = [np.abs(delta) for delta in answer.cotangents.deltas]
    pairs = [(ct_inputs, auto_inputs, deltas[0] @ np.abs(case.params[0].weights).T)]
    for hand, auto, delta, a_prev in zip(grads, auto_grads, deltas, before, strict=True):
        pairs.append((hand.weights, auto.weights, np.abs(a_prev).T @ delta))
        if hand.bias is not None:
            pairs.append((hand.bias, auto.bias, delta.sum(axis=0)))
    return all(
        bool((np.abs(np.subtract(hand, auto)) <= AGREEMENT * UNIT * np.asarray(size)).all())
        for hand, auto, size in pairs
    )


def _moved(tree: Any) -> Any:
    """`tree` with every number moved by two ulp up or down, and a leading axis of such variations."""
    rng = np.random.default_rng(0)

    def move(array: np.ndarray) -> np.ndarray:
        return array * (1 + 4 * UNIT * rng.choice([-1.0, 1.0], (VARIATIONS, *np.shape(array))))

    return jax.tree.map(move, tree)


def solve(case: Case) -> Solution:
    """Every intermediate and every gradient of a case.

    Args:
        case: the question.

    Returns:
        The answer by the hand-written backward pass, in float64, as NumPy arrays that cannot be written to.

    Raises:
        DisagreementError: if `jax.grad` finds something else than the hand-written pass, beyond rounding.
        OverflowError: if the answer, or what `jax.grad` makes of it, is not finite in float64.
        RuntimeError: if JAX has no CPU backend.
    """
    params: Any = tuple(Dense(weights, bias) for weights, bias in case.params)  # type: ignore[arg-type]
    names = ("inputs", "targets", "ct_outputs", "sample_weights")
    arrays = {name: getattr(case, name) for name in names if getattr(case, name) is not None}
    with float64_on_cpu():
        answer, by_autodiff = _both(case.network, case.loss, params, arrays)
        solution = _solution(case, answer)
        _require_finite(solution)
        if not _plainly_agree(case, *jax.tree.map(np.asarray, (answer, by_autodiff))):
            allowed = _noise(case.network, case.loss, params, arrays, _moved((params, arrays)), answer)
            _require_agreement((answer.cotangents.params, answer.cotangents.inputs), by_autodiff, allowed)
    return solution


def _solution(case: Case, answer: _Answer) -> Solution:
    def frozen(array: Any) -> np.ndarray:
        copy = np.array(array, np.float64)
        copy.setflags(write=False)
        return copy

    _, pre_activations, activations = jax.tree.map(frozen, answer.tape)
    return Solution(
        loss=None if case.loss is None else float(answer.value),
        outputs=activations[-1],
        pre_activations=pre_activations,
        activations=activations,
        deltas=jax.tree.map(frozen, answer.cotangents.deltas),
        grads=tuple(Layer(*layer) for layer in jax.tree.map(frozen, answer.cotangents.params)),
        ct_inputs=frozen(answer.cotangents.inputs),
    )


def _require_finite(solution: Solution) -> None:
    for name, value in solution._asdict().items():
        for leaf in jax.tree.leaves(value):
            if not np.isfinite(leaf).all():
                raise OverflowError(
                    f"expected an answer that float64 can hold, got {name} that is not finite: the case overflows,"
                    " or a probability loss meets an output that rounds to 0 or 1; scale the case down"
                )


def _require_agreement(by_hand: tuple[Params, Any], by_autodiff: tuple[Params, Any], noise: tuple[Params, Any]) -> None:
    pairs = zip(jax.tree.leaves_with_path(by_hand), jax.tree.leaves(by_autodiff), jax.tree.leaves(noise), strict=True)
    for (path, hand), auto, allowed in pairs:
        if not np.isfinite(np.asarray(auto)).all():
            raise OverflowError(
                "expected a case that jax.grad can confirm, got derivatives of it that are not finite: a probability"
                " loss meets an output that rounds to 0 or 1; scale the case down, or use the loss of the logits"
            )
        apart = np.asarray(jnp.abs(hand - auto))
        if not (apart <= np.asarray(allowed)).all():
            index = np.unravel_index(np.argmax(apart - np.asarray(allowed)), apart.shape)
            place = "ct_inputs" if path[0].idx == 1 else f"grads{jax.tree_util.keystr(path[1:])}"
            raise DisagreementError(
                f"the two derivations disagree at {place}{[int(i) for i in index]}: by hand {float(hand[index])!r},"
                f" by jax.grad {float(auto[index])!r}; is an activation of your own in it, whose VJP is not the"
                " derivative of its value there? If not, this is a bug of functional_mlp, please report the case"
            )
