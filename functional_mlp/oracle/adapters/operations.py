"""Asking the oracle about one operation of any framework, beside a reference in JAX.

Whatever has a forward pass that its framework differentiates (an autograd function, a module, a layer, a `custom_vjp`)
becomes a backward pass that is called with arrays: a function of the arguments and the cotangent that returns the
outputs and the gradients. Nothing is imported to find out what it is.
"""

import dataclasses
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from functional_mlp._checks import known_name
from functional_mlp.oracle.adapters.torch_modules.operations import backward_by_torch, function_of_module
from functional_mlp.oracle.noise import precision_named
from functional_mlp.oracle.report import Report
from functional_mlp.oracle.traced import at_numbers, check_backward

FRAMEWORKS = ("jax", "keras", "torch")


def check_operation(
    theirs: Any,
    function: Callable[..., Any] | None,
    arguments: Any,
    *,
    precision: str | None = None,
    framework: str | None = None,
    seed: int = 0,
    wrt: Any = None,
) -> Report:
    """Judges the derivative of an operation, by a reference in JAX, without a tolerance.

    It is called with telling arguments that are made from an example: other scales, offsets, a first axis of length 1,
    ties and kinks, the far tail, strides, repeated indices, cotangents other than 1; and it is called again, so that
    code which gives other numbers each time, adds to earlier ones, or changes its arguments, is found.

    Args:
        theirs: a function theirs(*arguments, ct) of NumPy arrays that returns the gradients, or (outputs, gradients);
            a subclass of torch.autograd.Function; a torch.nn.Module or a layer of Keras; a `jax.custom_vjp`.
        function: the reference, as `check_vjp` takes it; of a module or layer it is function(params, *arguments), with
            a dict of its parameters by name. None of a `jax.custom_vjp`: the function that it was made of.
        arguments: an example of them, as `check_vjp` takes them; of a module or layer without the parameters.
        precision: what theirs computes in; the arrays that it gets are of the format that this stores. None: the
            narrowest dtype of the example, or that of the gradients, if it is narrower.
        framework: "torch" or "jax", if theirs is a plain function of the forward pass, which that is to differentiate.
        seed: of what is drawn.
        wrt: as in `check_vjp`.

    Returns:
        A report. Its leaves have the name of what they were drawn for as `group`.

    Raises:
        TypeError, ValueError: as `check_vjp`; for what is none of these.

    Example:
        >>> import jax.numpy as jnp
        >>> def softplus(x):
        ...     return jnp.logaddexp(x, 0.0)
        >>> def softplus_backward(x, ct):
        ...     return ct * np.exp(x) / (1 + np.exp(x))
        >>> report = check_operation(softplus_backward, softplus, np.array([-2.0, 0.5, 3.0]))
        >>> {leaf.group for leaf in report.leaves if leaf.verdict == "wrong"}  # exp overflows
        {'far tail'}
    """
    arguments = tuple(arguments) if isinstance(arguments, tuple | list) else (arguments,)
    found = framework_of(theirs) if framework is None else known_name("framework", framework, FRAMEWORKS)
    if isinstance(theirs, jax.custom_vjp) and function is None:
        function = inspect.unwrap(theirs)
    if function is None:
        raise TypeError("expected function to be a reference in JAX, got None; only a jax.custom_vjp has one itself")
    backward = theirs
    if found == "torch":
        if hasattr(theirs, "named_parameters"):
            theirs, params = function_of_module(theirs)
            arguments = (params, *arguments)
        backward = backward_by_torch(getattr(theirs, "apply", theirs))
    elif found == "jax":
        backward = backward_by_jax(theirs)
    elif found == "keras":
        backward, params = _of_layer(theirs)
        arguments = (params, *arguments)
    report = check_backward(backward, function, arguments, precision=precision, seed=seed, wrt=wrt)
    if len(jax.tree.leaves(arguments)) != 1:
        return report
    numbers = at_numbers(backward, function, precision_named(report.precision).storage.name)
    return dataclasses.replace(report, at_numbers=numbers)


def framework_of(theirs: Any) -> str:
    """Whose autodiff differentiates it; "" of a function that returns gradients itself."""
    if isinstance(theirs, jax.custom_vjp):
        return "jax"
    if not isinstance(theirs, type) and str(getattr(theirs, "__module__", "")).partition(".")[0] == "torch":
        return "torch"  # such as torch.nn.functional.gelu
    kinds = (theirs if isinstance(theirs, type) else type(theirs)).__mro__
    packages = {kind.__module__.partition(".")[0] for kind in kinds}
    return next((name for name in ("keras", "torch") if name in packages), "")


def backward_by_jax(forward: Callable[..., Any]) -> Callable[..., Any]:
    """The backward pass that JAX makes of a forward pass, in the dtypes of the arguments."""

    def backward(*arguments: Any) -> Any:
        *given, ct = arguments
        wide = any(leaf.dtype == np.float64 for leaf in _arrays(arguments))
        with jax.enable_x64(True) if wide else jax.numpy_dtype_promotion("standard"):
            leaves, structure = jax.tree.flatten(tuple(given))
            places = [i for i, leaf in enumerate(leaves) if jnp.issubdtype(jnp.result_type(leaf), jnp.floating)]

            def of_floats(*floats: Any) -> Any:
                new = [*leaves]
                for i, leaf in zip(places, floats, strict=True):
                    new[i] = leaf
                return forward(*jax.tree.unflatten(structure, new))

            outputs, pull = jax.vjp(of_floats, *(leaves[i] for i in places))
            gradients: list[Any] = [None] * len(leaves)
            for i, gradient in zip(places, pull(_like(ct, outputs)), strict=True):
                gradients[i] = np.asarray(gradient)
            return jax.tree.map(np.asarray, outputs), tuple(jax.tree.unflatten(structure, gradients))

    return backward


def _arrays(tree: Any) -> Iterator[np.ndarray]:
    return (leaf for leaf in jax.tree.leaves(tree) if isinstance(leaf, np.ndarray))


def _like(ct: Any, outputs: Any) -> Any:
    """Cotangents in the dtypes of the outputs; of integers those that JAX expects."""
    leaves, structure = jax.tree.flatten(outputs)
    cts = jax.tree.leaves(ct, is_leaf=lambda leaf: leaf is None)

    def like(ct: Any, output: Any) -> Any:
        if ct is None:
            return np.zeros(output.shape, jax.dtypes.float0)
        return jnp.asarray(ct, output.dtype)

    return jax.tree.unflatten(structure, list(map(like, cts, leaves)))


def _of_layer(layer: Any) -> tuple[Callable[..., Any], dict[str, np.ndarray]]:
    """The backward pass of a layer of Keras, by its backend, and its parameters by name."""
    import keras

    backend = keras.backend.backend()
    if backend not in ("jax", "torch"):
        raise ValueError(f"expected Keras with the backend jax or torch, got {backend}; set KERAS_BACKEND=jax")
    if not layer.built:
        raise ValueError("expected a layer that is built; call it once, or layer.build(shape of its inputs)")
    names = [variable.name for variable in layer.trainable_variables]
    fixed = [variable.value for variable in layer.non_trainable_variables]

    def forward(params: Any, *inputs: Any) -> Any:
        return layer.stateless_call([params[name] for name in names], fixed, *inputs)[0]

    params = {
        name: np.array(keras.ops.convert_to_numpy(variable.value))
        for name, variable in zip(names, layer.trainable_variables, strict=True)
    }
    by_backend = {"jax": backward_by_jax, "torch": backward_by_torch}
    return by_backend[backend](forward), params
