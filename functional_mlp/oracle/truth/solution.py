"""The truth about a case: every intermediate and every gradient, in float64, by two derivations that must agree.

The hand-written backward pass gives the answer. `jax.grad` of the plain forward pass is computed beside it, and where
the two differ by more than their rounding can explain, the oracle refuses to answer.

Everything is computed on the CPU inside a scope of its own, whatever the caller's JAX settings are: the same case gives
the same bits from inside a float32 program, under another default device, matrix precision, promotion rule or
debug_nans, and the settings are afterwards as they were.
"""

from typing import Any, NamedTuple

import jax
import numpy as np

from functional_mlp._notebook import table
from functional_mlp.network import Dense
from functional_mlp.oracle.case import Case, Layer, not_a_case
from functional_mlp.oracle.truth.agreement import (
    Derivation,
    allowed_distance,
    compiled_derivations,
    plainly_agree,
    require_agreement,
)
from functional_mlp.oracle.truth.scope import float64_on_cpu


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


def _solution(case: Case, answer: Derivation) -> Solution:
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
