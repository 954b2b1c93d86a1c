"""The two derivations of a case, how far apart they may be, and the refusal to answer where they are farther apart.

One is the hand-written backward pass, the other `jax.grad` of the plain forward pass.
"""

import dataclasses
from collections.abc import Callable
from functools import lru_cache
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
from functional_mlp.network import Network, Params
from functional_mlp.oracle.case import Case

# How far two correct float64 derivations may be apart, in units of roundoff times the size of what was added up on the
# way (`_sizes`): a generous factor, since a wrong derivation is off by much more, and a false alarm here would refuse
# the answer to a sound question. `make certify` measures the real distance from the truth.
AGREEMENT = 1000.0
UNIT = float(np.finfo(np.float64).eps) / 2
VARIATIONS = 4
KEPT_PROGRAMS = 8  # compiled ones that are kept
Shapes = tuple[Any, ...]


class DisagreementError(ArithmeticError):
    """The two derivations differ by more than rounding explains: this is a bug of functional_mlp; please report it."""


class Derivation(NamedTuple):
    """One derivation of a case, as JAX arrays."""

    value: Any
    tape: Tape
    cotangents: Cotangents


def derived_by_hand(network: Network, loss: Loss | None, params: Params, arrays: dict[str, Any]) -> Derivation:
    """The hand-written backward pass; `arrays` are the case's inputs, and targets or cotangents."""
    _, tape = forward(network, params, arrays["inputs"])
    if loss is None:
        return Derivation(jnp.zeros(()), tape, pull_back(network, params, tape, arrays["ct_outputs"]))
    end = output_cotangent(network, loss, tape, arrays["targets"], arrays.get("sample_weights"))
    pulled = pull_back(network, params, tape, end.cotangent, end.stages)
    grads = add_penalty_gradient(loss, pulled.params, params)
    return Derivation(end.value + loss.penalty(params), tape, pulled._replace(params=grads))


def derived_by_autodiff(
    network: Network, loss: Loss | None, params: Params, arrays: dict[str, Any]
) -> tuple[Params, Any]:
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
    """`activation` with a value whose automatic derivative at each kink is the chosen one: of a line through it."""
    if not activation.kinks:
        return activation

    def value(z: Any, **parameters: float) -> Any:
        a = activation.value_fn(z, **parameters)
        for kink in activation.kinks:
            line = jax.lax.stop_gradient(a) + activation.derivative_at(kink) * (z - kink.position)
            a = jnp.where(z == kink.position, line, a)
        return a

    return dataclasses.replace(activation, value_fn=value)


@lru_cache(maxsize=KEPT_PROGRAMS)
def compiled_derivations(network: Network, loss: Loss | None, shapes: Shapes) -> Callable[..., Any]:
    """Both derivations as one compiled program for arrays of these shapes, from (params, arrays).

    Kept by specification and shapes, and dropped with all that JAX keeps of it once others have been asked for: until
    then, what an activation of one's own holds on to lives on.
    """
    del shapes
    return jax.jit(
        lambda params, arrays: (
            derived_by_hand(network, loss, params, arrays),
            derived_by_autodiff(network, loss, params, arrays),
        )
    )


def plainly_agree(case: Case, answer: Derivation, by_autodiff: tuple[Params, Any]) -> bool:
    """Whether every entry agrees to `AGREEMENT` units of the absolute terms of its last sum.

    That is less than `allowed_distance`, and most cases need no more; so most need not compile that.
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


def _sizes(network: Network, loss: Loss | None, params: Params, arrays: dict[str, Any]) -> tuple[Params, Any]:
    """The size of what is added up on the way to every gradient: the backward pass with absolute values throughout.

    Times the unit roundoff this is the rounding of one derivation, up to a factor; what the forward pass rounds comes
    on top (`_allowance`).
    """
    _, tape = forward(network, params, arrays["inputs"])
    smallest = jnp.finfo(jnp.float64).tiny / jnp.finfo(jnp.float64).eps  # so that underflow counts as rounding too
    if loss is None:
        start = jnp.abs(arrays["ct_outputs"]) + smallest
        stages = (_ABSOLUTE,) * len(params)
    else:
        end = output_cotangent(network, loss, tape, arrays["targets"], arrays.get("sample_weights"))
        terms = loss.coefficients(arrays["targets"], arrays.get("sample_weights"), jnp.float64)
        start = (
            jnp.abs(end.cotangent)
            + jnp.abs(terms) * (1 + jnp.abs(loss.effective_targets(arrays["targets"])))
            + smallest
        )
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


@lru_cache(maxsize=KEPT_PROGRAMS)
def _compiled_allowance(network: Network, loss: Loss | None, shapes: Shapes) -> Callable[..., Any]:
    """`_allowance` as a compiled program; kept as `compiled_derivations`."""
    del shapes
    return jax.jit(lambda *case: _allowance(network, loss, *case))


def allowed_distance(
    case: Case, shapes: Shapes, params: Params, arrays: dict[str, Any], answer: Derivation
) -> tuple[Params, Any]:
    """How far apart two correct derivations of a case may be, for gradients of parameters and inputs."""
    moved = moved_by_ulps((params, arrays))
    return _compiled_allowance(case.network, case.loss, shapes)(params, arrays, moved, answer)  # type: ignore[no-any-return]


def _allowance(
    network: Network,
    loss: Loss | None,
    params: Params,
    arrays: dict[str, Any],
    moved: tuple[Any, Any],
    answer: Derivation,
) -> tuple[Params, Any]:
    """How far apart two correct derivations may be: rounding of sums, and what input changes of a few ulp bring about.

    Args:
        network, loss, params, arrays: the case.
        moved: `params` and `arrays` with every number moved by a few ulp, and a leading axis of such variations.
        answer: the hand-written one.
    """
    gradients = (answer.cotangents.params, answer.cotangents.inputs)
    varied = jax.vmap(lambda case: derived_by_hand(network, loss, *case).cotangents)(moved)
    return jax.tree.map(
        lambda size, there, here: jnp.maximum(
            AGREEMENT * UNIT * size, 100 * jnp.max(jnp.abs(there - here[None]), axis=0)
        ),
        _sizes(network, loss, params, arrays),
        (varied.params, varied.inputs),
        gradients,
    )


def moved_by_ulps(tree: Any) -> Any:
    """`tree` with every number moved by two ulp up or down, and a leading axis of such variations."""
    rng = np.random.default_rng(0)

    def move(array: np.ndarray) -> np.ndarray:
        return array * (1 + 4 * UNIT * rng.choice([-1.0, 1.0], (VARIATIONS, *np.shape(array))))

    return jax.tree.map(move, tree)


def require_agreement(
    by_hand: tuple[Params, Any], by_autodiff: tuple[Params, Any], allowed: tuple[Params, Any]
) -> None:
    """Raises DisagreementError where the two are farther apart than allowed, OverflowError if one is not finite."""
    pairs = zip(jax.tree.leaves_with_path(by_hand), jax.tree.leaves(by_autodiff), jax.tree.leaves(allowed), strict=True)
    for (path, hand), auto, allowance in pairs:
        if not np.isfinite(np.asarray(auto)).all():
            raise OverflowError(
                "expected a case that jax.grad can confirm, got derivatives of it that are not finite: a probability"
                " loss meets an output that rounds to 0 or 1; scale the case down, or use the loss of the logits"
            )
        apart = np.asarray(jnp.abs(hand - auto))
        if not (apart <= np.asarray(allowance)).all():
            index = np.unravel_index(np.argmax(apart - np.asarray(allowance)), apart.shape)
            place = "ct_inputs" if path[0].idx == 1 else f"grads{jax.tree_util.keystr(path[1:])}"
            raise DisagreementError(
                f"the two derivations disagree at {place}{[int(i) for i in index]}: by hand {float(hand[index])!r},"
                f" by jax.grad {float(auto[index])!r}; is an activation of your own in it, whose VJP is not the"
                " derivative of its value there? If not, this is a bug of functional_mlp, please report the case"
            )
