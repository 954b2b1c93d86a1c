"""A framework's model as the oracle sees it: a network, a loss, parameters, and the model's own gradients."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from functional_mlp._dtypes import DTYPES
from functional_mlp.losses import Loss
from functional_mlp.network import Network
from functional_mlp.oracle.case import Case, Layer, declared_data
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
        coarse: why the framework's gradients have no more digits than those of float32; "" if they have.
        targets: what its loss is asked with unless something else is declared, as `check_function` has it; None: as any
            loss of its kind.
        loss_of_rows: of a loss that is asked with "labels": what it is for targets (n, K); None if it takes none.
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
    coarse: str = ""
    targets: str | None = None
    loss_of_rows: Loss | None = None

    @property
    def biased(self) -> tuple[bool, ...]:
        """Whether each layer has a bias."""
        if self.params is None:
            return (True,) * len(self.network.shapes)
        return tuple(layer.bias is not None for layer in self.params)

    def asked_with(self, targets: str | None) -> "Adapted":
        """This model with the loss that belongs to targets as `check_function` has them.

        Raises:
            ValueError: for rows of numbers, if its loss takes class labels only.
        """
        if self.targets != "labels" or targets == "labels":
            return self
        if self.loss_of_rows is None:
            raise ValueError(
                "expected targets to be class labels, integers (n,), which alone the model's loss takes; declare"
                " targets='labels', or nothing"
            )
        return dataclasses.replace(self, loss=self.loss_of_rows, targets=None)

    def loss_for(self, samples: int) -> Loss | None:
        """The loss of a batch of so many samples, penalty included."""
        return self.loss if self.loss is None or self.decay == 0 else _with_l2(self.loss, self.decay / samples)

    def case(self, inputs: Any, targets: Any, name: str = "") -> Case:
        """A case of the model's own parameters and data of yours, rounded to the model's dtype.

        Args:
            inputs: (n, n_0).
            targets: (n, n_L), or class labels, integers (n,), of a loss over classes; ct_outputs if `loss` is None.
            name: of the case.

        Raises:
            TypeError, ValueError: as `Case`; ValueError too if the model has no parameters yet.
        """
        if self.params is None:
            raise ValueError("expected a model with parameters, got one that was not fitted; fit it first")
        inputs, targets = self._rounded(inputs), np.asarray(targets)
        labels = targets.ndim == 1 and targets.dtype.kind in "iu"
        end = {"ct_outputs" if self.loss is None else "targets": targets if labels else self._rounded(targets)}
        asked = self.asked_with("labels" if labels else None)
        loss = asked.loss_for(max(len(inputs), 1)) if inputs.ndim else asked.loss
        return Case(self.network, loss, self.params, inputs, name=name, dtype=self.dtype, **end)  # type: ignore[arg-type]

    @formerly_by_place("precision")
    def check(self, inputs: Any, targets: Any, *, precision: str | None = None) -> Report:
        """Judges the gradients of the model's own parameters for data of yours; arguments as `case` and `check`."""
        declared = self.declared(precision)
        case = self.case(inputs, targets)
        dtype = DTYPES[self.dtype]
        arrays = [tuple(None if leaf is None else leaf.astype(dtype) for leaf in layer) for layer in case.params]
        data = declared_data(case).values()
        given = self.gradients(arrays, *(array if array.dtype.kind in "iu" else array.astype(dtype) for array in data))
        report = check(case, given, precision=declared)
        return dataclasses.replace(report, notes=(*notes_on(self.network), *report.notes))

    def declared(self, precision: str | None) -> str:
        """The name of the precision that answers are judged as.

        Raises:
            ValueError: for float64, where the framework's own derivatives are coarser.
        """
        declared = self.dtype if precision is None else precision
        if self.coarse and precision_named(declared).storage.name == "float64":
            raise ValueError(
                f"expected a precision of float32 or narrower, got {declared!r}: {self.coarse}, so that right gradients"
                " are off in float64; declare precision='float32'"
            )
        return declared

    def _rounded(self, array: Any) -> np.ndarray:
        """Numbers in float64 that the model's dtype holds."""
        return np.asarray(array, DTYPES[self.dtype]).astype(np.float64)


SLOPES = "the slopes of PReLU are taken as they are: their own gradients are not judged"


def notes_on(network: Network) -> tuple[str, ...]:
    """What a report on a model does not say of its parameters."""
    return (SLOPES,) if any(activation.name == "prelu" for activation in network.activations) else ()


def check_adapted(
    adapted: Adapted,
    precision: str | None = None,
    seed: int = 0,
    targets: str | None = None,
    only: Sequence[str] = (),
) -> Report:
    """Judges a model with probe cases; arguments and errors as `check_model`."""
    targets = adapted.targets if targets is None else targets
    asking = asking_of(targets, None, any(adapted.biased), only)
    adapted = adapted.asked_with(targets)
    declared = adapted.declared(precision)
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
    return combined_report(
        probed, declared, (*notes_on(adapted.network), *left_out(probed)), cases=cases, code="your model"
    )


def _with_l2(loss: Loss, l2: float) -> Loss:
    return dataclasses.replace(loss, l2=l2)


def _fitted(adapted: Adapted, case: Case) -> Case:
    """A probe case with the loss of its number of samples, and biases where the model has some."""
    loss = adapted.loss_for(len(case.inputs))
    biased = adapted.biased
    if loss == case.loss and all(biased):
        return case
    params = [(weights, bias if has else None) for (weights, bias), has in zip(case.params, biased, strict=True)]
    data = (params, case.inputs, case.targets, case.ct_outputs)
    return Case(case.network, loss, *data, name=case.name, dtype=case.dtype).laid_out(case.layout)


def by_hand(
    forward: Callable[[Any, Any], Forward],
    loss: Loss | None,
    own: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]] | None = None,
) -> Callable[[Any, Any, Any], Gradients]:
    """The `gradients` of a model whose forward pass can be pulled back by itself.

    Args:
        forward: runs the model with params and inputs.
        loss: the loss, whose hand-derived cotangent goes into the model's own pass; None if the cotangent is given.
        own: the framework's value of its own loss, and the cotangent of the outputs (n, n_L) that it computes, in place
            of the oracle's.
    """

    def gradients(params: Any, inputs: np.ndarray, targets: np.ndarray) -> Gradients:
        outputs, pull = forward(params, inputs)
        if own is not None:
            value, ct_outputs = own(outputs, targets)
            return Gradients(list(pull(ct_outputs)), value, outputs)
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
