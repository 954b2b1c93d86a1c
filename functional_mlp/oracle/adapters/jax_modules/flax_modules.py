"""Flax: `nnx` modules, and `linen` modules bound to their variables (`module.bind(variables)`).

nnx.Sequential says what its activations are. Of every other module they are plain Python code and must be declared.
The dense layers of a linen module are taken in the order in which its forward pass calls them, those of an nnx module
in the order in which its attributes were set.
"""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from functional_mlp.oracle.adapters.adapted import Adapted
from functional_mlp.oracle.adapters.jax_modules.parts import ModelPart, adapted_by_jax, parts_in_row
from functional_mlp.oracle.adapters.layers import follow, prelu_rule, refuse


def adapt_flax(model: Any, loss: Any, activations: Any) -> Adapted:
    """The `Adapted` of a flax module; arguments and errors as `models.adapt`."""
    from flax import linen, nnx

    if isinstance(model, nnx.Module):
        return _adapt_nnx(model, loss, activations)
    if isinstance(model, linen.Module):
        return _adapt_linen(model, loss, activations)
    raise TypeError(f"expected a flax.nnx.Module or a flax.linen.Module, got {type(model).__name__}")


# nnx


def _adapt_nnx(model: Any, loss: Any, activations: Any) -> Adapted:
    import jax.numpy as jnp
    from flax import nnx

    paths = list(_linear_paths(model, ()))
    if isinstance(model, nnx.Sequential):
        parts = parts_in_row(model.layers, _read)
    else:
        parts = [_part(".".join(map(str, path)) or type(model).__name__, _below(model, path)) for path in paths]
    graph, state = nnx.split(model)

    def apply(params: Any, inputs: Any) -> Any:
        merged = nnx.merge(graph, state)
        for path, (weights, bias) in zip(paths, params, strict=True):
            layer = _below(merged, path)
            layer.kernel = nnx.Param(weights)
            if bias is not None:
                layer.bias = nnx.Param(bias)
        return merged(inputs)

    def assign(params: Any) -> Any:
        for path, (weights, bias) in zip(paths, params, strict=True):
            layer = _below(model, path)
            layer.kernel[...] = jnp.asarray(weights, layer.kernel.dtype)
            if bias is not None:
                layer.bias[...] = jnp.asarray(bias, layer.bias.dtype)
        return model

    return adapted_by_jax(parts, apply, assign, loss, activations)


def _below(tree: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        tree = tree[key] if isinstance(key, int) else getattr(tree, key)
    return tree


def _linear_paths(tree: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """The paths of the linear layers in an nnx module, in the order of its attributes.

    Raises:
        ValueError: for a part that is no dense layer, but has parameters or draws random numbers.
    """
    from flax import nnx

    where = ".".join(map(str, path)) or "the model"
    if isinstance(tree, nnx.Linear):
        yield path
    elif isinstance(tree, nnx.PReLU):
        return  # its slope is taken as it is
    elif isinstance(tree, nnx.Dropout):
        if tree.rate > 0 and not tree.deterministic:
            raise refuse(f"{where} (Dropout)", "it is random; call model.eval() first")
    elif isinstance(tree, nnx.Param):
        raise refuse(f"the parameter {where}", "it belongs to no nnx.Linear")
    elif isinstance(tree, nnx.List | list | tuple):
        for number, item in enumerate(tree):
            yield from _linear_paths(item, (*path, number))
    elif isinstance(tree, nnx.Module):
        if type(tree).__module__.startswith("flax.nnx.nn") and not isinstance(tree, nnx.Sequential):
            raise refuse(f"{where} ({type(tree).__name__})", "it is no dense layer")
        for name, item in vars(tree).items():
            if not name.startswith("_"):
                yield from _linear_paths(item, (*path, name))


def _part(path: str, layer: Any) -> ModelPart:
    return ModelPart(path, layer.kernel[...], None if layer.bias is None else layer.bias[...])


def _read(path: str, layer: Any) -> Any:
    from flax import nnx

    if isinstance(layer, nnx.Linear):
        return _part(path, layer)
    if isinstance(layer, nnx.PReLU):
        return follow(prelu_rule("negative_slope"), f"{path} (PReLU)", {"negative_slope": layer.negative_slope[...]})
    return (lambda z: z) if isinstance(layer, nnx.Dropout) else layer


# linen


def _adapt_linen(model: Any, loss: Any, activations: Any) -> Adapted:
    if model.scope is None:
        raise TypeError("expected a linen module bound to its variables; give module.bind(variables)")
    module, variables = model.unbind()
    extra = sorted(set(variables) - {"params"})
    if extra:
        raise refuse(f"the collection {extra[0]!r}", "a layer keeps a state, as BatchNorm does")
    tree = variables["params"]
    paths = _dense_paths(module, variables)
    known = {(*path, name) for path in paths for name in ("kernel", "bias")}
    for path, _ in _leaves(tree, ()):
        if path not in known:
            raise refuse(f"the parameter {'/'.join(path)}", "it belongs to no Dense layer that the forward pass calls")
    dense = [_at(tree, path) for path in paths]
    parts = [
        ModelPart("/".join(path) or type(module).__name__, layer["kernel"], layer.get("bias"))
        for path, layer in zip(paths, dense, strict=True)
    ]

    def replaced(params: Any) -> dict[str, Any]:
        new: Any = {}
        for path, (weights, bias) in zip(paths, params, strict=True):
            place = new
            for name in path:
                place = place.setdefault(name, {})
            place |= {"kernel": weights} if bias is None else {"kernel": weights, "bias": bias}
        return {"params": new}

    return adapted_by_jax(
        parts,
        lambda params, inputs: module.apply(replaced(params), inputs),
        lambda params: copy.copy(module).bind(replaced(params)),
        loss,
        activations,
    )


def _dense_paths(module: Any, variables: Any) -> list[tuple[str, ...]]:
    """The paths of the dense layers in the order in which the forward pass calls them.

    Which of them takes the inputs is not known beforehand, so each is tried.
    """
    import jax
    from flax import linen
    from flax.errors import ScopeParamShapeError

    called: list[tuple[str, ...]] = []

    def listen(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
        if isinstance(context.module, linen.Dense) and context.method_name == "__call__":
            called.append(context.module.path)
        if isinstance(context.module, linen.Dropout) and context.module.rate > 0:
            decided = (context.module.deterministic, kwargs.get("deterministic"))
            if True not in decided and not any(arg is True for arg in args):
                raise refuse("/".join(context.module.path), "dropout is random; make it deterministic")
        return call(*args, **kwargs)

    kernels = [leaf for path, leaf in _leaves(variables["params"], ()) if path[-1] == "kernel" and leaf.ndim == 2]
    for width in dict.fromkeys(kernel.shape[0] for kernel in kernels):
        called.clear()
        try:
            with linen.intercept_methods(listen):
                jax.eval_shape(module.apply, variables, jax.ShapeDtypeStruct((2, width), kernels[0].dtype))
        except ScopeParamShapeError:
            continue
        twice = next((path for path in called if called.count(path) > 1), None)
        if twice is not None:
            raise refuse(f"layer {'/'.join(twice)}", "it is called more than once")
        return list(called)
    raise refuse(f"the model {type(module).__name__}", "it takes no inputs of shape (n, fan_in of one of its layers)")


def _leaves(tree: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    if not isinstance(tree, Mapping):
        yield path, tree
        return
    for name, below in tree.items():
        yield from _leaves(below, (*path, name))


def _at(tree: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        tree = tree[name]
    return tree
