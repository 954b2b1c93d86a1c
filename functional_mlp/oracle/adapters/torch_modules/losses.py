"""Losses of PyTorch, modules and functions, as losses of the oracle.

A loss that PyTorch divides in another way for class labels than for rows of probabilities is both: `OwnLoss` says
which is which. Losses of log-probabilities, NLLLoss and KLDivLoss, are losses of the logits before the log_softmax
that they need.
"""

import functools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from functional_mlp.losses import Loss
from functional_mlp.oracle.adapters.torch_modules.graph import is_torchs
from functional_mlp.oracle.case import Case
from functional_mlp.oracle.truth import solve


class OwnLoss(NamedTuple):
    """A loss of PyTorch.

    Attributes:
        module: the loss module.
        loss: what it is for the targets that it is asked with.
        targets: "labels" if it is asked with class labels unless rows are declared.
        of_rows: what it is then for rows (n, K); None if it takes no rows.
        of_log_probabilities: whether it needs a log_softmax before it.
    """

    module: Any
    loss: Loss
    targets: str | None = None
    of_rows: Loss | None = None
    of_log_probabilities: bool = False


class _Kind(NamedTuple):
    """What a class of PyTorch's computes.

    Attributes:
        kind: of the oracle's loss.
        means: the reductions over samples and over outputs, by PyTorch's own.
        plain: fields, with the value that alone is the oracle's.
        labels: whether it takes class labels only.
        of_log_probabilities: as in `OwnLoss`.
    """

    kind: str
    means: Mapping[str, tuple[str, str]]
    plain: Mapping[str, Any] = {}
    labels: bool = False
    of_log_probabilities: bool = False


_ELEMENTS = {"mean": ("mean", "mean"), "sum": ("sum", "sum")}
_ROWS = {"mean": ("mean", "sum"), "sum": ("sum", "sum")}
_KINDS = {
    "MSELoss": _Kind("squared_error", _ELEMENTS),
    "L1Loss": _Kind("absolute_error", _ELEMENTS),
    "HuberLoss": _Kind("huber", _ELEMENTS),
    "SmoothL1Loss": _Kind("huber", _ELEMENTS),
    "BCELoss": _Kind("binary_cross_entropy", _ELEMENTS, {"weight": None}),
    "BCEWithLogitsLoss": _Kind("sigmoid_cross_entropy", _ELEMENTS, {"weight": None}),
    "CrossEntropyLoss": _Kind("softmax_cross_entropy", _ROWS),
    "NLLLoss": _Kind("softmax_cross_entropy", _ROWS, labels=True, of_log_probabilities=True),
    "KLDivLoss": _Kind(
        *("softmax_kl_divergence", _ELEMENTS | {"batchmean": ("mean", "sum")}, {"log_target": False}),
        of_log_probabilities=True,
    ),
    "MultiMarginLoss": _Kind(
        *("multiclass_hinge", {"mean": ("mean", "mean"), "sum": ("sum", "mean")}),
        *({"p": 1, "margin": 1.0, "weight": None}, True),
    ),
}
# torch.nn.functional
_FUNCTIONS = {
    "mse_loss": "MSELoss",
    "l1_loss": "L1Loss",
    "huber_loss": "HuberLoss",
    "smooth_l1_loss": "SmoothL1Loss",
    "binary_cross_entropy": "BCELoss",
    "binary_cross_entropy_with_logits": "BCEWithLogitsLoss",
    "cross_entropy": "CrossEntropyLoss",
    "nll_loss": "NLLLoss",
    "kl_div": "KLDivLoss",
    "multi_margin_loss": "MultiMarginLoss",
}
NOTHING_IGNORED = -100  # PyTorch's default ignore_index, which is no class
CLIPS_AT = 1e-12  # p (1 - p), by which BCELoss divides, is never taken for less


def own_loss(given: Any) -> OwnLoss:
    """What a loss of PyTorch is: a module, or a function of `torch.nn.functional`, with what `functools.partial` binds.

    Raises:
        ValueError: for a loss that the oracle does not have.
    """
    module = _module_of(given)
    name = type(module).__name__
    if name not in _KINDS or not is_torchs(module):
        known = ", torch.nn.".join(_KINDS)
        raise ValueError(
            f"expected loss to be a functional_mlp.Loss, None, or one of torch.nn.{known}, got"
            f" {getattr(given, '__name__', name)}; for a loss of your own give the functional_mlp.Loss that it is meant"
            " to be, whose cotangent then goes into the model's backward pass"
        )
    kind = _KINDS[name]
    for field, plain in kind.plain.items():
        if getattr(module, field) != plain:
            raise ValueError(
                f"expected {name} with {field}={plain}, got {getattr(module, field)!r}: the oracle has no other"
            )
    if module.reduction not in kind.means:
        wanted = " or ".join(map(repr, kind.means))
        raise ValueError(f"expected {name} with reduction {wanted}, got {module.reduction!r}")
    over_samples, over_outputs = kind.means[module.reduction]
    loss = Loss(_kind_of(name, module), over_samples, over_outputs, **_options(name, module))
    of_rows = None if kind.labels else _of_rows(loss)
    return OwnLoss(module, loss, None if of_rows == loss else "labels", of_rows, kind.of_log_probabilities)


def _module_of(given: Any) -> Any:
    """The module that a function of PyTorch is, with its arguments; other things as they are."""
    import torch

    function = given.func if isinstance(given, functools.partial) and not given.args else given
    name = getattr(function, "__name__", "")
    if name not in _FUNCTIONS or getattr(torch.nn.functional, name, None) is not function:
        return given
    bound = given.keywords if function is not given else {}
    return getattr(torch.nn, _FUNCTIONS[name])(**bound)


def _kind_of(name: str, module: Any) -> str:
    return "absolute_error" if name == "SmoothL1Loss" and module.beta == 0 else _KINDS[name].kind


def _options(name: str, module: Any) -> dict[str, Any]:
    """The options of the oracle's loss."""
    if name == "HuberLoss":
        return {"delta": module.delta}
    if name == "SmoothL1Loss":
        return {"delta": module.beta, "scale": 1 / module.beta} if module.beta else {}
    if name == "BCEWithLogitsLoss" and module.pos_weight is not None:
        factors = module.pos_weight.detach().cpu().double().flatten().tolist()
        return {"pos_weight": factors if len(factors) > 1 else factors[0]}
    if name not in ("CrossEntropyLoss", "NLLLoss"):
        return {}
    options: dict[str, Any] = {"label_smoothing": getattr(module, "label_smoothing", 0.0)}
    if module.weight is not None:
        options["class_weights"] = module.weight.detach().cpu().double().tolist()
    if module.ignore_index != NOTHING_IGNORED:
        options["ignore_index"] = module.ignore_index
    return options


def _of_rows(loss: Loss) -> Loss | None:
    """A loss of labels for rows (n, K) of probabilities: the mean is over n, whatever the weights, and none is ignored.

    None if there is no such thing: PyTorch then raises.
    """
    if loss.ignore_index is not None and loss.ignore_index >= 0:
        return None
    by_class = loss.class_weights is not None and loss.over_samples == "mean"
    return replace(loss, ignore_index=None, over_samples="batch_mean" if by_class else loss.over_samples)


def where_clipped(case: Case) -> str:
    """Why a case is none for PyTorch's BCELoss."""
    p = solve(case).outputs
    if (p * (1 - p)).min() >= CLIPS_AT:
        return ""
    return "BCELoss clips the derivative where p (1 − p) is below 1e-12, by design; BCEWithLogitsLoss does not"
