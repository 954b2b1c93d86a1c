"""Equinox: `equinox.nn.MLP`, `equinox.nn.Sequential`, and modules of your own that hold `equinox.nn.Linear` layers.

MLP and Sequential say what their activations are. Of another module the linear layers are taken in the order of its
fields, and the activations must be declared. The model is mapped over the samples by `jax.vmap`.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

from functional_mlp.oracle.adapters.adapted import Adapted
from functional_mlp.oracle.adapters.jax_modules.parts import ModelPart, adapted_by_jax, parts_in_row, recognised
from functional_mlp.oracle.adapters.layers import refuse

NOT_DENSE = ("Linear", "Lambda", "Identity", "MLP", "Sequential", "Dropout")  # what is recognised in equinox.nn


def adapt_equinox(model: Any, loss: Any, activations: Any) -> Adapted:
    """The `Adapted` of an equinox.Module; arguments and errors as `models.adapt`."""
    import equinox
    import jax

    linear = list(_linear_layers(model, type(model).__name__))
    if isinstance(model, equinox.nn.MLP):
        last = len(linear) - 1
        ends = [recognised(model.final_activation if i == last else model.activation) for i in range(len(linear))]
        parts = [
            _part(*named)._replace(activation=end[0], unknown=end[1]) for named, end in zip(linear, ends, strict=True)
        ]
    elif isinstance(model, equinox.nn.Sequential):
        parts = parts_in_row(model.layers, _read)
    else:
        parts = [_part(*named) for named in linear]

    def leaves(tree: Any) -> list[Any]:
        layers = [layer for _, layer in _linear_layers(tree, "")]
        return [leaf for layer in layers for leaf in (layer.weight, layer.bias) if leaf is not None]

    def replaced(params: Any) -> Any:
        new = [leaf for weights, bias in params for leaf in (weights.T, bias) if leaf is not None]
        return equinox.tree_at(leaves, model, new)

    def apply(params: Any, inputs: Any) -> Any:
        return jax.vmap(replaced(params))(inputs)

    def assign(params: Any) -> Any:
        arrays = [tuple(None if leaf is None else jax.numpy.asarray(leaf) for leaf in layer) for layer in params]
        return replaced(arrays)

    return adapted_by_jax(parts, apply, assign, loss, activations)


def _linear_layers(tree: Any, path: str) -> Iterator[tuple[str, Any]]:
    """The linear layers in a model, with their paths, in the order of fields.

    Raises:
        ValueError: for a layer of another kind that changes what a network computes.
    """
    import equinox

    if isinstance(tree, equinox.nn.Linear):
        yield path, tree
    elif isinstance(tree, equinox.nn.PReLU):
        return  # its slope is taken as it is
    elif isinstance(tree, list | tuple):
        for number, item in enumerate(tree):
            yield from _linear_layers(item, f"{path}[{number}]")
    elif isinstance(tree, dict):
        for name, item in tree.items():
            yield from _linear_layers(item, f"{path}[{name!r}]")
    elif isinstance(tree, equinox.Module):
        _require_dense(tree, path)
        for field in dataclasses.fields(tree):
            yield from _linear_layers(getattr(tree, field.name, None), f"{path}.{field.name}")
    elif equinox.is_inexact_array(tree):
        raise refuse(f"the array {path}", "it belongs to no equinox.nn.Linear")


def _require_dense(module: Any, path: str) -> None:
    of_equinox = type(module).__module__.startswith("equinox.nn")
    name = type(module).__name__
    if of_equinox and name not in NOT_DENSE:
        raise refuse(f"{path} ({name})", "it is no dense layer")
    if of_equinox and name == "Dropout" and not module.inference and module.p > 0:
        raise refuse(f"{path} ({name})", "it is random; use equinox.nn.inference_mode(model)")


def _part(path: str, layer: Any) -> ModelPart:
    if "scalar" in (layer.in_features, layer.out_features):
        raise refuse(f"layer {path}", "its size is 'scalar'; use 1")
    return ModelPart(path, layer.weight.T, layer.bias)


def _read(path: str, layer: Any) -> Any:
    import equinox

    if isinstance(layer, equinox.nn.Linear):
        return _part(path, layer)
    if isinstance(layer, equinox.nn.Lambda):
        return layer.fn
    if isinstance(layer, equinox.nn.Identity | equinox.nn.Dropout):
        return lambda z: z
    raise refuse(f"{path} ({type(layer).__name__})", "it is neither a linear layer nor an equinox.nn.Lambda")
