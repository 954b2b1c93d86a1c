"""A framework's model as the oracle sees it: a network, a loss, parameters, and the model's own gradients."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from functional_mlp._dtypes import DTYPES
from functional_mlp.losses import Loss
from functional_mlp.network import Network
from functional_mlp.oracle.case import Case, Layer
from functional_mlp.oracle.checking import check, formerly_by_place
from functional_mlp.oracle.documents import Gradients
from functional_mlp.oracle.noise import precision_named
from functional_mlp.oracle.probing import (
    Call,
    Fault,
    Skipped,
    asking_of,
    call_function,
    combined_report,
    draw_probe_cases,
    left_out,
    probe_code,
)
from functional_mlp.oracle.report import Report
from functional_mlp.oracle.truth import float64_on_cpu

Pairs = Sequence[tuple[Any, Any]]


def nothing_left_out(case: Case) -> str:
    """Of most models: every case is one for them."""
    return ""


class Forward(NamedTuple):
    """What a framework computed in one forward pass.

    Attributes:
        outputs: (n, n_L).
        pull: maps ct_outputs (n, n_L) to the gradients of the parameters, (weights, bias) per layer, by the
            framework's own backward pass.
    """

    outputs: np.ndarray
    pull: Callable[[np.ndarray], Pairs]


@dataclass(frozen=True)
class Adapted:
    """A model of another framework, as the oracle sees it.

    Attributes:
        network: the architecture that was read from the model.
        loss: the loss, without the penalty that `decay` says; None for a bare vector-Jacobian product.
        params: copies of the model's parameters, (weights (fan_in, fan_out), bias (fan_out,) or None) per layer; None
            for a model that has none yet.
        gradients: gradients(params, inputs, targets) runs the model's own passes with these numbers, in the dtype of
            these arrays, and leaves the model as it was; the targets are ct_outputs if `loss` is None. It returns
            `Gradients`.
        assign: assign(params) gives the model these parameters and returns it: the same object where the framework's
            models can be changed, else a new one.
        dtype: of the model's parameters.
        castable: whether the model also runs in other dtypes.
        decay: coefficient of a penalty that is divided by the number of samples.
        left_out: says why the model's gradients are not meant for a probe case; "" if they are.
    """

    network: Network
    loss: Loss | None
    params: tuple[Layer, ...] | None
    gradients: Callable[[Any, Any, Any], Gradients]
    assign: Callable[[Any], Any]
    dtype: str
    castable: bool = True
    decay: float = 0.0
    left_out: Callable[[Case], str] = nothing_left_out

    @property
    def biased(self) -> tuple[bool, ...]:
        """Whether each layer has a bias."""
        if self.params is None:
            return (True,) * len(self.network.shapes)
        return tuple(layer.bias is not None for layer in self.params)

    def loss_for(self, samples: int) -> Loss | None:
        """The loss of a batch of so many samples, penalty included."""
        return self.loss if self.loss is None or self.decay == 0 else _with_l2(self.loss, self.decay / samples)

    def case(self, inputs: Any, targets: Any, name: str = "") -> Case:
        """A case of the model's own parameters and data of yours, rounded to the model's dtype.

        Args:
            inputs: (n, n_0).
            targets: (n, n_L); ct_outputs if `loss` is None.
            name: of the case.

        Raises:
            TypeError, ValueError: as `Case`; ValueError too if the model has no parameters yet.
        """
        if self.params is None:
            raise ValueError("expected a model with parameters, got one that was not fitted; fit it first")
        inputs, targets = (np.asarray(array, DTYPES[self.dtype]).astype(np.float64) for array in (inputs, targets))
        end = {"ct_outputs" if self.loss is None else "targets": targets}
        loss = self.loss_for(max(len(inputs), 1)) if inputs.ndim else self.loss
        return Case(self.network, loss, self.params, inputs, name=name, dtype=self.dtype, **end)  # type: ignore[arg-type]

    @formerly_by_place("precision")
    def check(self, inputs: Any, targets: Any, *, precision: str | None = None) -> Report:
        """Judges the gradients of the model's own parameters for data of yours; arguments as `case` and `check`."""
        case = self.case(inputs, targets)
        arrays = [
            tuple(None if leaf is None else leaf.astype(DTYPES[self.dtype]) for leaf in layer) for layer in case.params
        ]
        end = case.ct_outputs if case.targets is None else case.targets
        given = self.gradients(arrays, *(array.astype(DTYPES[self.dtype]) for array in (case.inputs, end)))  # type: ignore[union-attr]
        return check(case, given, precision=precision or self.dtype)


def check_adapted(
    adapted: Adapted,
    precision: str | None = None,
    seed: int = 0,
    targets: str | None = None,
    only: Sequence[str] = (),
) -> Report:
    """Judges a model with probe cases; arguments and errors as `check_model`."""
    asking = asking_of(targets, None, any(adapted.biased), only)
    declared = adapted.dtype if precision is None else precision
    stored = precision_named(declared).storage.name
    if stored != adapted.dtype and not adapted.castable:
        raise ValueError(
            f"expected a precision stored as {adapted.dtype}, which the model computes in whatever it is given, got"
            f" {declared!r}; build the model in {stored} instead"
        )

    def ask(case: Case) -> Call | Fault | Skipped:
        reason = adapted.left_out(case)
        return Skipped(reason) if reason else call_function(adapted.gradients, case)

    cases = draw_probe_cases(adapted.network, adapted.loss, declared, seed, asking)
    cases = tuple(_fitted(adapted, case) for case in cases)
    probed = probe_code(ask, cases, declared, declared, asking=asking)
    return combined_report(probed, declared, left_out(probed), cases=cases, code="your model")


def _with_l2(loss: Loss, l2: float) -> Loss:
    return dataclasses.replace(loss, l2=l2)


def _fitted(adapted: Adapted, case: Case) -> Case:
    """A probe case with the loss of its number of samples, and biases where the model has some."""
    loss = adapted.loss_for(len(case.inputs))
    biased = adapted.biased
    if loss == case.loss and all(biased):
        return case
    params = [(weights, bias if has else None) for (weights, bias), has in zip(case.params, biased, strict=True)]
    return Case(
        *(case.network, loss, params, case.inputs, case.targets, case.ct_outputs), name=case.name, dtype=case.dtype
    )


def by_hand(forward: Callable[[Any, Any], Forward], loss: Loss | None) -> Callable[[Any, Any, Any], Gradients]:
    """The `gradients` of a model whose loss is the oracle's: its hand-derived cotangent goes into the model's own pass.

    Args:
        forward: runs the model with params and inputs.
        loss: the loss; None if the cotangent is given.
    """

    def gradients(params: Any, inputs: np.ndarray, targets: np.ndarray) -> Gradients:
        outputs, pull = forward(params, inputs)
        if loss is None:
            return Gradients(list(pull(targets)), outputs=outputs)
        with float64_on_cpu():
            ct_outputs = np.asarray(loss.cotangent(outputs, targets))
        pairs = [_with_decay(loss, ct, layer) for ct, layer in zip(pull(ct_outputs), params, strict=True)]
        return Gradients(pairs, outputs=outputs)

    return gradients


def _with_decay(loss: Loss, ct_layer: tuple[Any, Any], layer: tuple[Any, Any]) -> tuple[Any, Any]:
    """The gradients of one layer with those of the penalty added, in the dtype of the parameters."""
    (ct_weights, ct_bias), (weights, bias) = ct_layer, layer
    if not loss.penalises:
        return ct_weights, ct_bias
    decays = loss.l2_on_bias and bias is not None
    return ct_weights + loss.penalty_gradient(weights), ct_bias + loss.penalty_gradient(bias) if decays else ct_bias
