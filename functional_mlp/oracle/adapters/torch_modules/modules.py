"""PyTorch modules and autograd functions, with losses of the oracle or PyTorch's own.

What a module computes is read by `graph.py`, what a loss is by `losses.py`. The gradients are those of
`torch.autograd.grad`, with the numbers put in by `torch.func.functional_call`: parameters, their `.grad` and
`requires_grad`, the mode and the global generators stay what they are.
"""

import copy
import warnings
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from functional_mlp._dtypes import DTYPES
from functional_mlp.activations import resolve
from functional_mlp.losses import Loss
from functional_mlp.oracle.adapters.adapted import Adapted, Forward, Pairs, by_hand
from functional_mlp.oracle.adapters.layers import Found, network_of, refuse
from functional_mlp.oracle.adapters.torch_modules.graph import Weighted, read_layers
from functional_mlp.oracle.adapters.torch_modules.losses import OwnLoss, own_loss, where_clipped
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
    own = None if loss is None or isinstance(loss, Loss) else own_loss(loss)
    logs = own is not None and own.of_log_probabilities
    layers, found = read_layers(model, named, log_probabilities=logs)
    network = network_of(found, activations)
    module = _Module(model, layers, named, next(iter(named.values())).device)
    params = tuple(
        Layer(_numpy(named[layer.weight]).T.copy(), None if layer.bias is None else _numpy(named[layer.bias]))
        for layer in layers
    )
    assign = partial(_assign, module)
    softplus = [_softplus_rate(layer.activation) for layer in found]
    if own is None:
        gradients, meant = by_hand(partial(_forward, module), loss), loss
    else:
        gradients, meant = partial(_with_own_loss, module, own), own.loss
    adapted = Adapted(
        *(network, meant, params, gradients, assign, dtypes[0]),
        left_out=partial(_left_out, own, softplus),
        coarse=next(filter(None, map(_coarse, found)), ""),
    )
    return adapted if own is None else replace(adapted, targets=own.targets, loss_of_rows=own.of_rows)


def _coarse(layer: Found) -> str:
    """Why the gradients of an activation of PyTorch's are no better than float32's; "" if they are."""
    spec: Mapping[str, Any] = layer.activation if isinstance(layer.activation, Mapping) else {"name": ""}
    if spec["name"] == "hard_sigmoid":
        return "PyTorch's derivative of hardsigmoid is 1/6 as float32 has it"
    if spec["name"] == "celu" and float(np.float32(1 / spec["alpha"])) != 1 / spec["alpha"]:
        return f"PyTorch's derivative of celu takes 1/alpha, alpha={spec['alpha']:g}, as float32 has it"
    return ""


SOFTPLUS_ENDS = 20.0  # PyTorch's threshold: where beta z is above it, softplus is taken to be z


def _softplus_rate(spec: Any) -> float | None:
    """The beta of a layer that the model says is followed by PyTorch's softplus; None for others."""
    return spec.get("beta", 1.0) if isinstance(spec, Mapping) and spec["name"] == "softplus" else None


def _left_out(own: OwnLoss | None, softplus: list[float | None], case: Case) -> str:
    """Why PyTorch's own functions are not meant for a case; "" if they are."""
    reason = where_clipped(case) if own is not None and type(own.module).__name__ == "BCELoss" else ""
    if reason or not any(softplus):
        return reason
    smallest = float(jnp.finfo(DTYPES[case.dtype]).eps) / 8
    for z, beta in zip(solve(case).pre_activations, softplus, strict=True):
        scaled = np.maximum(np.asarray(z) * (beta or 0.0), 0.0)
        if ((scaled > SOFTPLUS_ENDS) & (np.exp(-scaled) > smallest)).any():
            return f"softplus of PyTorch is z, and its derivative 1, where beta z is above {SOFTPLUS_ENDS:g}, by design"
    return ""


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
    given = _tensor(module, inputs)
    slopes = {name: leaf.detach().to(given.dtype) for name, leaf in module.named.items() if name not in leaves}
    with torch.enable_grad(), torch.random.fork_rng(kept):
        return torch.func.functional_call(module.model, slopes | leaves, (given,))


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


def _with_own_loss(module: _Module, own: OwnLoss, params: Any, inputs: Any, targets: Any) -> Gradients:
    """The gradients of PyTorch's own loss; without the outputs where those are logarithms of the oracle's."""
    import torch

    leaves = _leaves(module, params)
    outputs = _outputs(module, leaves, inputs)
    loss = copy.deepcopy(own.module).to(outputs.device, outputs.dtype)
    with torch.enable_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # KLDivLoss warns of what its mean divides by, which is known
        value = loss(outputs, _tensor(module, targets))
    shown = None if own.of_log_probabilities else _numpy(outputs)
    return Gradients(list(_pairs(module, leaves, value)), _numpy(value), shown)


def _assign(module: _Module, params: Any) -> Any:
    import torch

    with torch.no_grad():
        for name, leaf in _leaves(module, params).items():
            module.named[name].copy_(leaf)
    return module.model


def _tensor(module: _Module, array: Any) -> Any:
    """A tensor of an array's numbers, in its dtype, where the module is."""
    import torch

    dtype = getattr(torch, str(np.asarray(array).dtype))  # floats, or integers for class labels
    return torch.tensor(np.asarray(array, np.float64), dtype=dtype, device=module.device)


def _numpy(tensor: Any) -> np.ndarray:
    """A copy, in the same dtype (NumPy itself has no bfloat16)."""
    import torch

    return tensor.detach().to("cpu", torch.float64).numpy().astype(DTYPES[_dtype_name(tensor)])


def _dtype_name(tensor: Any) -> str:
    return str(tensor.dtype).removeprefix("torch.")


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
