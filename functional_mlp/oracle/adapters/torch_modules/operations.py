"""One operation of PyTorch: the backward pass that autograd makes of it, as a function of arrays."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from functional_mlp._dtypes import DTYPES


def backward_by_torch(forward: Callable[..., Any]) -> Callable[..., Any]:
    """A function of arrays and a cotangent that returns the outputs and the gradients, as autograd has them.

    Args:
        forward: of tensors, such as the `apply` of an autograd.Function.
    """

    def backward(*arguments: Any) -> Any:
        import torch

        *given, ct = arguments
        leaves, structure = jax.tree.flatten(tuple(given))
        tensors = [_tensor(leaf) if isinstance(leaf, np.ndarray) else leaf for leaf in leaves]
        moving = [i for i, leaf in enumerate(tensors) if torch.is_tensor(leaf) and leaf.is_floating_point()]
        for i in moving:
            tensors[i].requires_grad_()
        with torch.enable_grad(), torch.random.fork_rng():
            outputs = forward(*jax.tree.unflatten(structure, tensors))
        results = jax.tree.leaves(outputs)
        cts = jax.tree.leaves(ct, is_leaf=lambda leaf: leaf is None)
        pulled = [
            (result, _tensor(np.asarray(one)).to(result.dtype))
            for result, one in zip(results, cts, strict=True)
            if one is not None and result.requires_grad
        ]
        found = torch.autograd.grad(
            [result for result, _ in pulled],
            [tensors[i] for i in moving],
            [one for _, one in pulled],
            allow_unused=True,
            materialize_grads=True,
        )
        gradients: list[Any] = [None] * len(leaves)
        for i, gradient in zip(moving, found, strict=True):
            gradients[i] = _numpy(gradient)
        return jax.tree.map(_numpy, outputs), tuple(jax.tree.unflatten(structure, gradients))

    return backward


def function_of_module(module: Any) -> tuple[Callable[..., Any], dict[str, Any]]:
    """A module as a function of its parameters and its inputs; and its own parameters, a dict by name."""
    import torch

    def forward(params: Any, *inputs: Any) -> Any:
        buffers = {name: buffer.clone() for name, buffer in module.named_buffers()}
        return torch.func.functional_call(module, _flat(params) | buffers, inputs)

    params: dict[str, Any] = {}
    for name, parameter in module.named_parameters():
        *above, last = name.split(".")
        inner = params
        for part in above:
            inner = inner.setdefault(part, {})
        inner[last] = _numpy(parameter)
    return forward, params


def _flat(params: dict[str, Any], above: str = "") -> dict[str, Any]:
    """Parameters by the names that PyTorch has for them, such as "0.weight"."""
    flat: dict[str, Any] = {}
    for name, part in params.items():
        flat |= _flat(part, f"{above}{name}.") if isinstance(part, dict) else {above + name: part}
    return flat


def _tensor(array: np.ndarray) -> Any:
    """A tensor of an array's numbers in its dtype, with gaps in memory if the array has some."""
    import torch

    dtype = getattr(torch, array.dtype.name)
    plain = np.ascontiguousarray(array, np.float64 if array.dtype.kind not in "iub" else None).reshape(array.shape)
    tensor = torch.tensor(plain).to(dtype)
    if array.flags.c_contiguous or not array.ndim:
        return tensor
    gaps = torch.zeros((*array.shape[:-1], 2 * array.shape[-1]), dtype=dtype)[..., ::2]
    return gaps.copy_(tensor)


def _numpy(tensor: Any) -> np.ndarray:
    import torch

    kept = tensor.detach().cpu()
    name = str(kept.dtype).removeprefix("torch.")
    return kept.to(torch.float64).numpy().astype(DTYPES[name]) if name in DTYPES else kept.numpy()
