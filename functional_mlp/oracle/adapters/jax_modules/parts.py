"""What models of JAX frameworks have in common: `jax.vjp` of their forward pass, and `jax.nn` as activations."""

import contextlib
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from functional_mlp._dtypes import DTYPES
from functional_mlp.activations import resolve
from functional_mlp.losses import Loss
from functional_mlp.oracle.adapters.adapted import Adapted, Forward, by_hand
from functional_mlp.oracle.adapters.layers import (
    CELU,
    ELU,
    HARDTANH,
    PLAIN,
    SOFTSIGN,
    Found,
    Rule,
    follow,
    gelu_rule,
    leaky_relu_rule,
    network_of,
    refuse,
    softmax_rule,
)
from functional_mlp.oracle.case import Layer

RULES: tuple[tuple[Callable[..., Any], Rule], ...] = (
    *((getattr(jax.nn, name), rule) for name, rule in PLAIN.items()),
    (jnp.tanh, PLAIN["tanh"]),
    (jnp.sin, Rule("sin")),
    (jnp.cos, Rule("cos")),
    (jax.nn.soft_sign, SOFTSIGN),
    (jax.nn.hard_tanh, HARDTANH),
    (jax.nn.leaky_relu, leaky_relu_rule(0.01)),
    (jax.nn.elu, ELU),
    (jax.nn.celu, CELU),
    (jax.nn.gelu, gelu_rule(True)),
    (jax.nn.softmax, softmax_rule("axis", -1, (-1,))),
)
# functions of optax, which leave the reduction to whoever calls them: what they are, and the reduction that is usual
_MEAN = 'over_samples="mean"'
OPTAX = {
    "squared_error": f'fm.Loss("squared_error", {_MEAN}, over_outputs="mean")',
    "l2_loss": f'fm.Loss("squared_error", {_MEAN}, over_outputs="mean", scale=0.5)',
    "huber_loss": f'fm.Loss("huber", {_MEAN}, over_outputs="mean", delta=...)',
    "log_cosh": f'fm.Loss("log_cosh", {_MEAN}, over_outputs="mean")',
    "hinge_loss": f'fm.Loss("hinge", {_MEAN}, over_outputs="mean")',
    "sigmoid_binary_cross_entropy": f'fm.Loss("sigmoid_cross_entropy", {_MEAN}, over_outputs="mean")',
    "sigmoid_focal_loss": f'fm.Loss("sigmoid_focal", {_MEAN}, over_outputs="mean", gamma=..., alpha=...)',
    "softmax_cross_entropy": f'fm.Loss("softmax_cross_entropy", {_MEAN})',
    "safe_softmax_cross_entropy": f'fm.Loss("softmax_cross_entropy", {_MEAN})',
    "softmax_cross_entropy_with_integer_labels": f'fm.Loss("softmax_cross_entropy", {_MEAN}) and targets="labels"',
    "kl_divergence": f'fm.Loss("softmax_kl_divergence", {_MEAN}), without the log_softmax before it',
}


class ModelPart(NamedTuple):
    """A dense layer of a model.

    Attributes:
        path: what the model calls it.
        weights: in the layout (fan_in, fan_out).
        bias: (fan_out,), or None.
        activation, unknown: as `layers.Found`.
    """

    path: str
    weights: Any
    bias: Any
    activation: Any = None
    unknown: str = ""


def recognised(function: Any) -> tuple[Any, str]:
    """The activation that a function of JAX is, whatever `functools.partial` binds included; or None and its name.

    What is one of the oracle's already, as a mapping, stays what it is.
    """
    if isinstance(function, Mapping):
        return function, ""
    given: dict[str, Any] = {}
    name = getattr(function, "__name__", type(function).__name__)
    while isinstance(function, functools.partial) and not function.args:
        given = function.keywords | given
        function = function.func
        name = f"partial of {getattr(function, '__name__', name)}"
    rule = next((rule for known, rule in RULES if known is function), None)
    if rule is not None and set(given) <= {argument.name for argument in rule.arguments}:
        return follow(rule, f"the function {name}", given), ""
    with contextlib.suppress(Exception):  # somebody's function, which may want something else
        probe = jnp.zeros(2)
        if function(probe) is probe:
            return "identity", ""
    return None, f"the function {name}"


def parts_in_row(layers: Sequence[Any], read: Callable[[str, Any], ModelPart | Any]) -> list[ModelPart]:
    """Dense layers with the activation that follows each, from layers and functions in a row.

    Args:
        layers: as the model has them.
        read: maps a path and a layer to its ModelPart, or to the function that it applies.

    Raises:
        ValueError: for a function before the first dense layer, or two in a row.
    """
    parts: list[ModelPart] = []
    free = False
    for number, layer in enumerate(layers):
        part = read(f"layers[{number}]", layer)
        if isinstance(part, ModelPart):
            parts.append(part._replace(activation="identity"))
            free = True
            continue
        spec, unknown = recognised(part)
        if spec is not None and resolve(spec).name == "identity":
            continue
        if not free:
            raise refuse(f"layers[{number}]", "it does not follow a dense layer")
        parts[-1] = parts[-1]._replace(activation=spec, unknown=unknown)
        free = False
    return parts


def adapted_by_jax(
    parts: Sequence[ModelPart],
    apply: Callable[[Any, Any], Any],
    assign: Callable[[Any], Any],
    loss: Any,
    activations: Any,
    **more: Any,
) -> Adapted:
    """The `Adapted` of a model whose forward pass is a function of JAX.

    Args:
        parts: its layers, in the order of the forward pass.
        apply: maps params, a list of (weights (fan_in, fan_out), bias) per layer, and inputs (n, n_0) to the outputs.
        assign: as in `Adapted`.
        loss, activations: as `models.adapt`.
        more: further fields of `Adapted`.

    Raises:
        TypeError: for a loss that is none of the package.
        ValueError: as `network_of`, and for parameters of several dtypes.
    """
    if loss is not None and not isinstance(loss, Loss):
        raise TypeError(f"expected loss to be a functional_mlp.Loss or None, got {_described(loss)}")
    for part in parts:
        if np.ndim(part.weights) != 2:
            raise refuse(f"layer {part.path}", f"its weights have the shape {np.shape(part.weights)}")
    found = [Found(part.path, np.shape(part.weights), part.activation, part.unknown) for part in parts]
    network = network_of(found, activations)
    params = tuple(Layer(np.array(part.weights), None if part.bias is None else np.array(part.bias)) for part in parts)
    dtypes = {str(leaf.dtype) for layer in params for leaf in layer if leaf is not None}
    if len(dtypes) > 1 or not dtypes <= set(DTYPES):
        raise refuse("the model", f"its parameters have the dtypes {sorted(dtypes)}; expected one of floats")
    [dtype] = dtypes
    return Adapted(network, loss, params, by_hand(forward_by_jax(apply), loss), assign, dtype, **more)


def _described(loss: Any) -> str:
    """What was given for a loss, and which one to give in its place."""
    name = getattr(loss, "__name__", type(loss).__name__)
    if str(getattr(loss, "__module__", "")).partition(".")[0] == "optax" and name in OPTAX:
        return (
            f"optax.{name}, which gives a number for each sample or output, and leaves it to you to reduce them; for"
            f" their mean give {OPTAX[name]}"
        )
    return type(loss).__name__


def forward_by_jax(apply: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Forward]:
    """`Forward` of a function of params and inputs, compiled."""
    value = jax.jit(apply)
    pull = jax.jit(lambda params, inputs, ct: jax.vjp(lambda varied: apply(varied, inputs), params)[1](ct)[0])

    def forward(params: Any, inputs: np.ndarray) -> Forward:
        params = [tuple(layer) for layer in params]
        # the caller's settings otherwise: a right model is right under them
        wide = functools.partial(jax.enable_x64, True) if inputs.dtype == np.float64 else contextlib.nullcontext

        def pulled(ct: np.ndarray) -> Any:
            with wide():
                return [tuple(map(_numpy, layer)) for layer in pull(params, inputs, ct)]

        with wide():
            return Forward(np.array(value(params, inputs)), pulled)

    return forward


def _numpy(leaf: Any) -> np.ndarray | None:
    return None if leaf is None else np.array(leaf)
