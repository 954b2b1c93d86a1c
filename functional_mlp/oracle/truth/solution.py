"""The truth about a case: every intermediate and every gradient, in float64, by two derivations that must agree.

The hand-written backward pass gives the answer, in NumPy, and differences of the value confirm it. Where they do not,
as at kinks or of vanishing gradients, and of activations of one's own, `jax.grad` of the plain forward pass is compiled
beside the hand-written one, and where the two differ by more than their rounding can explain, the oracle refuses to
answer.

Everything is computed on the CPU, what JAX computes inside a scope of its own, whatever the caller's JAX settings are:
the same case gives the same bits from inside a float32 program, under another default device, matrix precision,
promotion rule or debug_nans, and the settings are afterwards as they were.
"""

from typing import Any, NamedTuple

import jax
import numpy as np

from functional_mlp._notebook import table
from functional_mlp.activations import is_of_this_package
from functional_mlp.losses import penalty_value
from functional_mlp.network import Dense
from functional_mlp.oracle.case import Case, Layer, not_a_case
from functional_mlp.oracle.truth.agreement import (
    Derivation,
    allowed_distance,
    compiled_derivations,
    plainly_agree,
    require_agreement,
)
from functional_mlp.oracle.truth.differences import confirmed_by_differences
from functional_mlp.oracle.truth.passes import passes
from functional_mlp.oracle.truth.scope import computing, float64_on_cpu


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

    def __repr__(self) -> str:
        loss = "" if self.loss is None else f"loss {self.loss:.6g}, "
        shapes = ", ".join(str(layer.weights.shape) for layer in self.grads)
        return f"<Solution: {loss}outputs {self.outputs.shape}, gradients of weights {shapes}>"

    def _repr_html_(self) -> str:
        """What a notebook shows: the arrays, and how large they are."""
        arrays = [("outputs", self.outputs), ("ct_inputs", self.ct_inputs)]
        for number, layer in enumerate(self.grads, 1):
            arrays += [
                (f"d{letter}{number}", leaf) for letter, leaf in zip("Wb", layer, strict=True) if leaf is not None
            ]
        rows = [(name, own.shape, float(np.max(np.abs(own), initial=0.0))) for name, own in arrays]
        loss = "" if self.loss is None else f": loss {self.loss:.6g}"
        return table(f"Solution{loss}", ("array", "shape", "largest entry"), rows)


def solve(case: Case) -> Solution:
    """Every intermediate and every gradient of a case.

    Args:
        case: the question.

    Returns:
        The answer by the hand-written backward pass, in float64, as NumPy arrays that cannot be written to.

    Raises:
        TypeError: if `case` is none.
        DisagreementError: if `jax.grad` finds something else than the hand-written pass, beyond rounding.
        OverflowError: if the answer, or what `jax.grad` makes of it, is not finite in float64.
        RuntimeError: if JAX has no CPU backend.
    """
    if not isinstance(case, Case):
        raise not_a_case(case)
    if all(map(is_of_this_package, case.network.activations)):
        with computing(case.network):
            solution = _in_numpy(case)
            if _not_finite(solution) is None and confirmed_by_differences(case, solution.grads, solution.ct_inputs):
                return solution
    return _compiled(case)


def _in_numpy(case: Case) -> Solution:
    """The answer by the hand-written pass in NumPy."""
    found, loss = passes(case, {}), case.loss

    def only(array: np.ndarray) -> np.ndarray:
        return _frozen(array[0])

    def with_penalty(gradient: Any, parameter: Any, covered: Any) -> Any:
        if parameter is None:
            return None
        added = 0.0 if loss is None or covered is None or not loss.penalises else loss.penalty_gradient(parameter)
        return _frozen(gradient[0] + added)

    grads = tuple(
        Layer(*map(with_penalty, own, layer, layer if loss is None else loss.penalised(*layer)))
        for own, layer in zip(found.grads, case.params, strict=True)
    )
    return Solution(
        loss=None if loss is None else float(found.loss[0] + penalty_value(loss, case.params)),
        outputs=only(found.outputs),
        pre_activations=tuple(map(only, found.pre_activations)),
        activations=tuple(map(only, found.activations)),
        deltas=tuple(map(only, found.deltas)),
        grads=grads,
        ct_inputs=only(found.ct_inputs),
    )


def _compiled(case: Case) -> Solution:
    """The answer by the hand-written pass in JAX, confirmed by its automatic differentiation."""
    params: Any = tuple(Dense(weights, bias) for weights, bias in case.params)  # type: ignore[arg-type]
    names = ("inputs", "targets", "ct_outputs", "sample_weights")
    arrays = {name: getattr(case, name) for name in names if getattr(case, name) is not None}
    with float64_on_cpu():
        shapes = tuple((w.shape, b is None) for w, b in case.params), tuple((n, x.shape) for n, x in arrays.items())
        answer, by_autodiff = compiled_derivations(case.network, case.loss, shapes)(params, arrays)
        solution = _solution(case, answer)
        _require_finite(solution)
        if not plainly_agree(case, *jax.tree.map(np.asarray, (answer, by_autodiff))):
            allowed = allowed_distance(case, shapes, params, arrays, answer)
            require_agreement((answer.cotangents.params, answer.cotangents.inputs), by_autodiff, allowed)
    return solution


def _frozen(array: Any) -> np.ndarray:
    copy = np.array(array, np.float64)
    copy.setflags(write=False)
    return copy


def _solution(case: Case, answer: Derivation) -> Solution:
    _, pre_activations, activations = jax.tree.map(_frozen, answer.tape)
    return Solution(
        loss=None if case.loss is None else float(answer.value),
        outputs=activations[-1],
        pre_activations=pre_activations,
        activations=activations,
        deltas=jax.tree.map(_frozen, answer.cotangents.deltas),
        grads=tuple(Layer(*layer) for layer in jax.tree.map(_frozen, answer.cotangents.params)),
        ct_inputs=_frozen(answer.cotangents.inputs),
    )


def _not_finite(solution: Solution) -> str | None:
    """The name of what is not finite; None if everything is."""
    named = solution._asdict().items()
    return next((name for name, own in named if not all(np.isfinite(x).all() for x in jax.tree.leaves(own))), None)


def _require_finite(solution: Solution) -> None:
    name = _not_finite(solution)
    if name is not None:
        raise OverflowError(
            f"expected an answer that float64 can hold, got {name} that is not finite: the case overflows,"
            " or a probability loss meets an output that rounds to 0 or 1; scale the case down"
        )
