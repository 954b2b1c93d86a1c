"""Losses of Keras 3, classes and functions and their names, as losses of the oracle.

Those of probabilities clip them at `keras.backend.epsilon()`, 1e-7, by design: cases in which that changes something
are left out. What Keras has beyond these is not taken.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from functional_mlp.losses import Loss
from functional_mlp.network import Network
from functional_mlp.oracle.case import Case
from functional_mlp.oracle.truth import solve


class _Kind(NamedTuple):
    """What a class of Keras computes.

    Attributes:
        kind: of the oracle's loss.
        over_outputs: its reduction over the outputs.
        of_logits: the kind if it is made with from_logits=True; "" if there is no such argument.
        options: arguments that are options of the oracle's loss too.
        targets: what it is asked with, as `Adapted` has it.
    """

    kind: str
    over_outputs: str
    of_logits: str = ""
    options: tuple[str, ...] = ()
    targets: str | None = None


_SMOOTHED = ("label_smoothing",)
_KINDS = {
    "MeanSquaredError": _Kind("squared_error", "mean"),
    "MeanAbsoluteError": _Kind("absolute_error", "mean"),
    "Huber": _Kind("huber", "mean", options=("delta",)),
    "LogCosh": _Kind("log_cosh", "mean"),
    "Hinge": _Kind("hinge", "mean"),
    "BinaryCrossentropy": _Kind("binary_cross_entropy", "mean", "sigmoid_cross_entropy", _SMOOTHED),
    "CategoricalCrossentropy": _Kind("categorical_cross_entropy", "sum", "softmax_cross_entropy", _SMOOTHED),
    "SparseCategoricalCrossentropy": _Kind(
        "categorical_cross_entropy", "sum", "softmax_cross_entropy", targets="labels"
    ),
    # it clips targets too, so that one-hot ones are none for it
    "KLDivergence": _Kind("kl_divergence", "sum", targets="soft"),
}
# what is near to one of the oracle's, and what it is
_UNLIKE = {
    "CategoricalHinge": ", which is the largest of the terms that 'multiclass_hinge' sums",
    "SquaredHinge": ", which is the square of the terms of 'hinge'",
}
_REDUCTIONS = {"sum_over_batch_size": "mean", "mean": "mean", "mean_with_sample_weight": "mean", "sum": "sum"}
# arguments that must be what they are by default
_PLAIN: Mapping[str, Any] = {"axis": -1, "ignore_class": None}


class KerasLoss(NamedTuple):
    """A loss of Keras.

    Attributes:
        own: the loss itself, a function of targets and outputs.
        loss: what it is.
        targets: what it is asked with unless something else is declared, as `Adapted` has it.
    """

    own: Any
    loss: Loss
    targets: str | None

    def value_and_cotangent(
        self, backend: str, outputs: np.ndarray, targets: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Its value (), and its gradient by the outputs (n, K), as the backend computes them."""
        if backend == "jax":
            import jax

            value, ct_outputs = jax.value_and_grad(lambda varied: self.own(targets, varied))(outputs)
            return np.asarray(value), np.asarray(ct_outputs)
        import torch

        varied = torch.tensor(outputs, requires_grad=True)
        with torch.enable_grad():
            value = self.own(torch.tensor(targets), varied)
        [ct_outputs] = torch.autograd.grad(value, [varied])
        return value.detach().numpy(), ct_outputs.numpy()

    def require_fitting(self, network: Network) -> None:
        """Raises ValueError if the loss does not fit the last activation."""
        self.loss.require_admissible(network.activations[-1])
        end = network.activations[-1].name
        if self.loss.kind == "categorical_cross_entropy" and end != "softmax":
            raise ValueError(
                f"expected softmax at the end of a model with {type(self.own).__name__}, which divides the outputs by"
                f" their sum, got {end}"
            )

    def left_out(self, case: Case) -> str:
        """Why a case is none for it; "" if it is one."""
        import keras

        if self.loss.kind not in ("binary_cross_entropy", "categorical_cross_entropy", "kl_divergence"):
            return ""
        end, least = solve(case).outputs, 1.001 * keras.backend.epsilon()
        clipped = end.min() < least or (self.loss.kind != "kl_divergence" and end.max() > 1 - 2 * least)
        if self.loss.kind == "kl_divergence":
            clipped = clipped or np.min(case.targets) < least  # type: ignore[arg-type]  # a loss has targets
        if not clipped:
            return ""
        return f"{type(self.own).__name__} clips probabilities at {keras.backend.epsilon():g}, by design"


def keras_loss(given: Any) -> KerasLoss:
    """What a loss of Keras is.

    Args:
        given: one of `keras.losses`, a class's instance or a function, or its name, as `model.compile` takes it.

    Raises:
        TypeError: for what is no loss of Keras.
        ValueError: for a loss that the oracle does not have.
    """
    import keras

    named = keras.losses.get(given) if isinstance(given, str) else given
    own = _instance_of(named)
    name = type(own).__name__
    known = f"expected loss to be a functional_mlp.Loss, None, or one of keras.losses.{', keras.losses.'.join(_KINDS)}"
    if not type(own).__module__.startswith("keras."):
        raise TypeError(f"{known}, got {name}")
    if name not in _KINDS:
        raise ValueError(
            f"{known}, got {name}{_UNLIKE.get(name, '')}; where the oracle has it, give it as a functional_mlp.Loss"
        )
    config = own.get_config() | getattr(own, "_fn_kwargs", {})  # Huber's config does not hold its delta
    for argument, plain in _PLAIN.items():
        if config.get(argument, plain) != plain:
            raise ValueError(f"expected {name} with {argument}={plain}, got {config[argument]!r}")
    if own.reduction not in _REDUCTIONS:
        raise ValueError(f"expected {name} with reduction 'sum_over_batch_size' or 'sum', got {own.reduction!r}")
    kind = _KINDS[name]
    if any(option not in config for option in kind.options):
        raise ValueError(f"expected a {name} that says its {kind.options[0]}; give the functional_mlp.Loss that it is")
    options = {option: config[option] for option in kind.options}
    chosen = kind.of_logits if kind.of_logits and config["from_logits"] else kind.kind
    return KerasLoss(own, Loss(chosen, _REDUCTIONS[own.reduction], kind.over_outputs, **options), kind.targets)


def _instance_of(loss: Any) -> Any:
    """A loss's class, in place of the function that gives a number for each sample, which Keras averages."""
    import keras

    if isinstance(loss, type):
        return loss()
    name = getattr(loss, "__name__", "")
    by_function = {spelled.lower(): spelled for spelled in _KINDS}
    if getattr(keras.losses, name, None) is loss and name.replace("_", "") in by_function:
        return getattr(keras.losses, by_function[name.replace("_", "")])()
    return loss
