"""PyTorch modules, losses and autograd functions.

What a module computes is read by `graph.py`. Its gradients are those of `torch.autograd.grad`, with the numbers
put in by `torch.func.functional_call`: parameters, their `.grad` and `requires_grad`, the mode and the global
generators stay what they are.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from functional_mlp._dtypes import DTYPES
from functional_mlp.activations import resolve
from functional_mlp.losses import Loss
from functional_mlp.oracle.adapters.adapted import Adapted, Forward, Pairs, by_hand, nothing_left_out
from functional_mlp.oracle.adapters.layers import network_of, refuse
from functional_mlp.oracle.adapters.torch_modules.graph import Weighted, is_torchs, read_layers
from functional_mlp.oracle.case import Case, Layer
from functional_mlp.oracle.documents import Gradients
from functional_mlp.oracle.truth import solve


class _Module(NamedTuple):
    """A module, its linear layers in order, its parameters by name, and where they are."""

    model: Any
    layers: list[Weighted]
    named: Mapping[str, Any]
    device: Any


def adapt_torch(model: Any, loss: Any, activations: Any) -> Adapted:
    """The `Adapted` of a torch.nn.Module; arguments and errors as `models.adapt`."""
    named = dict(model.named_parameters())
    if not named:
        raise refuse("the model", "it has no parameters")
    dtypes = sorted({_dtype_name(parameter) for parameter in named.values()})
    if len(dtypes) > 1 or dtypes[0] not in DTYPES:
        raise refuse("the model", f"its parameters are {' and '.join(dtypes)}, not of one floating dtype")
    layers, found = read_layers(model, named)
    network = network_of(found, activations)
    module = _Module(model, layers, named, next(iter(named.values())).device)
    params = tuple(
        Layer(_numpy(named[layer.weight]).T.copy(), None if layer.bias is None else _numpy(named[layer.bias]))
        for layer in layers
    )
    assign = partial(_assign, module)
    if loss is None or isinstance(loss, Loss):
        return Adapted(network, loss, params, by_hand(partial(_forward, module), loss), assign, dtypes[0])
    left_out = _where_clipped if type(loss).__name__ == "BCELoss" else nothing_left_out
    gradients = partial(_with_own_loss, module, loss)
    return Adapted(network, _meant(loss), params, gradients, assign, dtypes[0], left_out=left_out)


def _leaves(module: _Module, params: Any) -> dict[str, Any]:
    """The parameters of the module, by name, that are the given pairs."""
    leaves = {}
    for layer, (weights, bias) in zip(module.layers, params, strict=True):
        leaves[layer.weight] = _tensor(module, np.transpose(weights)).requires_grad_()
        if layer.bias is not None:
            leaves[layer.bias] = _tensor(module, bias).requires_grad_()
    return leaves


def _outputs(module: _Module, leaves: dict[str, Any], inputs: Any) -> Any:
    import torch

    kept = [module.device] if module.device.type == "cuda" else []
    with torch.enable_grad(), torch.random.fork_rng(kept):
        return torch.func.functional_call(module.model, leaves, (_tensor(module, inputs),))


def _pairs(module: _Module, leaves: dict[str, Any], result: Any, ct_result: Any = None) -> Pairs:
    """The gradients of what was computed from the leaves; zeros for what has no influence, where torch has None."""
    import torch

    values = list(leaves.values())
    grads = torch.autograd.grad(result, values, ct_result, allow_unused=True, materialize_grads=True)
    by_name = {name: _numpy(grad) for name, grad in zip(leaves, grads, strict=True)}
    return [(by_name[layer.weight].T, None if layer.bias is None else by_name[layer.bias]) for layer in module.layers]


def _forward(module: _Module, params: Any, inputs: Any) -> Forward:
    leaves = _leaves(module, params)
    outputs = _outputs(module, leaves, inputs)
    return Forward(_numpy(outputs), lambda ct: _pairs(module, leaves, outputs, _tensor(module, ct).to(outputs.dtype)))


def _with_own_loss(module: _Module, loss: Any, params: Any, inputs: Any, targets: Any) -> Gradients:
    """The gradients of PyTorch's own loss."""
    import torch

    leaves = _leaves(module, params)
    outputs = _outputs(module, leaves, inputs)
    with torch.enable_grad():
        value = loss(outputs, _tensor(module, targets))
    return Gradients(list(_pairs(module, leaves, value)), _numpy(value), _numpy(outputs))


def _assign(module: _Module, params: Any) -> Any:
    import torch

    with torch.no_grad():
        for name, leaf in _leaves(module, params).items():
            module.named[name].copy_(leaf)
    return module.model


def _tensor(module: _Module, array: Any) -> Any:
    """A tensor of an array's numbers, in its dtype, where the module is."""
    import torch

    dtype = getattr(torch, str(np.asarray(array).dtype))
    return torch.tensor(np.asarray(array, np.float64), dtype=dtype, device=module.device)


def _numpy(tensor: Any) -> np.ndarray:
    """A copy, in the same dtype (NumPy itself has no bfloat16)."""
    import torch

    return tensor.detach().to("cpu", torch.float64).numpy().astype(DTYPES[_dtype_name(tensor)])


def _dtype_name(tensor: Any) -> str:
    return str(tensor.dtype).removeprefix("torch.")


# losses: PyTorch's modules, and which of the oracle's they are


LOSS_KINDS = {
    "MSELoss": ("squared_error", "mean"),
    "BCELoss": ("binary_cross_entropy", "mean"),
    "BCEWithLogitsLoss": ("sigmoid_cross_entropy", "mean"),
    "CrossEntropyLoss": ("softmax_cross_entropy", "sum"),
}
PLAIN_LOSS = {"weight": None, "pos_weight": None, "label_smoothing": 0.0}


def _meant(loss: Any) -> Loss:
    """The oracle's loss that a loss module of PyTorch is."""
    name = type(loss).__name__
    if name not in LOSS_KINDS or not is_torchs(loss):
        hint = "; use CrossEntropyLoss, which takes targets as probabilities" if name == "NLLLoss" else ""
        raise ValueError(
            f"expected loss to be a functional_mlp.Loss, None, or one of torch.nn.{', torch.nn.'.join(LOSS_KINDS)},"
            f" got {name}{hint}"
        )
    for field, plain in PLAIN_LOSS.items():
        if getattr(loss, field, plain) != plain:
            raise ValueError(
                f"expected {name} with {field}={plain}, got {getattr(loss, field)!r}: the oracle has no other"
            )
    if loss.reduction not in ("mean", "sum"):
        raise ValueError(f"expected {name} with reduction 'mean' or 'sum', got {loss.reduction!r}")
    kind, over_outputs = LOSS_KINDS[name]
    return Loss(kind, loss.reduction, over_outputs if loss.reduction == "mean" else "sum")


CLIPS_AT = 1e-12  # p (1 - p), by which BCELoss divides, is never taken for less


def _where_clipped(case: Case) -> str:
    """Why a case is none for PyTorch's BCELoss."""
    p = solve(case).outputs
    if (p * (1 - p)).min() >= CLIPS_AT:
        return ""
    return "BCELoss clips the derivative where p (1 − p) is below 1e-12, by design; BCEWithLogitsLoss does not"


# one autograd.Function alone


def model_of_function(function: Any, meant: Any) -> tuple[Any, Any]:
    """A small float64 module with an autograd.Function in every layer, and what to declare of it.

    Arguments and errors as `models.check_autograd_function`.
    """
    import torch

    apply = getattr(function, "apply", function)
    if not callable(apply):
        raise TypeError(f"expected an autograd.Function or something to be called, got {type(function).__name__}")

    class Applied(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return apply(x)

    class Affine(torch.nn.Linear):
        def forward(self, x: Any) -> Any:
            return apply(x, self.weight, self.bias)

    affine = meant == "linear"
    linear: type = Affine if affine else torch.nn.Linear
    with torch.random.fork_rng([]):
        layers = [
            module
            for sizes in ((4, 5), (5, 6))
            for module in (linear(*sizes), torch.nn.Tanh() if affine else Applied())
        ]
    return torch.nn.Sequential(*layers).double(), None if affine else resolve(meant)
