"""Keras 3: `keras.Sequential` of Dense layers, on the backends JAX and PyTorch.

The gradients are those of the backend, through `model.stateless_call`, so that the model is not written to. A layer
computes in its own dtype whatever it is given, so a model is judged in that dtype alone; and float64 is refused, since
Keras casts to float32 on the way (as of 3.15). What a loss of Keras is, is said in `keras_losses.py`.
"""

import dataclasses
from functools import partial
from typing import Any

import numpy as np

from functional_mlp.losses import Loss
from functional_mlp.oracle.adapters.adapted import Adapted, Forward, by_hand
from functional_mlp.oracle.adapters.jax_modules.parts import ModelPart, adapted_by_jax, forward_by_jax
from functional_mlp.oracle.adapters.keras_losses import keras_loss
from functional_mlp.oracle.adapters.layers import (
    CELU,
    ELU,
    HARDTANH,
    PLAIN,
    SOFTSIGN,
    follow,
    gelu_rule,
    leaky_relu_rule,
    prelu_rule,
    refuse,
    softmax_rule,
)

# by the names of functions; hard_sigmoid is that of Keras 3, z / 6 + 1/2
KERAS_RULES = {"linear": PLAIN["identity"]} | {name: rule for name, rule in PLAIN.items() if name != "identity"}
KERAS_RULES |= {
    "hard_silu": PLAIN["hard_swish"],
    "hard_tanh": HARDTANH,
    "softsign": SOFTSIGN,
    "leaky_relu": leaky_relu_rule(0.2),
    "prelu": prelu_rule("alpha"),
    "elu": ELU,
    "celu": CELU,
    "gelu": gelu_rule(False),
    "softmax": softmax_rule("axis", -1, (-1,)),
}
# layers that are activations, with the function that they apply
LAYERS = {"ReLU": "relu", "LeakyReLU": "leaky_relu", "PReLU": "prelu", "ELU": "elu", "Softmax": "softmax"}
NOTHING = ("InputLayer", "Flatten", "Dropout")  # Dropout is off outside training


def adapt_keras(model: Any, loss: Any, activations: Any) -> Adapted:
    """The `Adapted` of a keras.Sequential; arguments and errors as `models.adapt`."""
    import keras

    if not isinstance(model, keras.Sequential):
        raise TypeError(f"expected a keras.Sequential, got {type(model).__name__}")
    backend = keras.backend.backend()
    if backend not in ("jax", "torch"):
        raise ValueError(f"expected Keras with the backend jax or torch, got {backend}; set KERAS_BACKEND=jax")
    if not model.built:
        raise ValueError("expected a model that is built; begin it with keras.Input((features,)), or call it once")
    layers, parts = _read(model)
    fixed = [(variable, variable.value) for variable in (*model.trainable_variables, *model.non_trainable_variables)]

    def apply(params: Any, inputs: Any) -> Any:
        new: dict[int, Any] = {}
        for layer, pair in zip(layers, params, strict=True):
            new |= {id(variable): leaf for variable, leaf in zip(layer.weights, pair, strict=False)}
        values = [new.get(id(variable), value) for variable, value in fixed]
        count = len(model.trainable_variables)
        return model.stateless_call(values[:count], values[count:], inputs, training=False)[0]

    def assign(params: Any) -> Any:
        for layer, pair in zip(layers, params, strict=True):
            layer.set_weights([np.asarray(leaf) for leaf in pair if leaf is not None])
        return model

    own = None if loss is None or isinstance(loss, Loss) else keras_loss(loss)
    adapted = adapted_by_jax(parts, apply, assign, loss if own is None else own.loss, activations, castable=False)
    if adapted.dtype == "float64":
        raise ValueError(
            "expected a model of float32 or narrower, got float64: Keras casts to float32 on the way (in tanh on JAX,"
            " in products of matrices on PyTorch)"
        )
    for part in (model, *model.layers):
        if part.compute_dtype != adapted.dtype:
            raise ValueError(
                f"expected every part to compute in the dtype of the parameters, {adapted.dtype}, but {part.name}"
                f" computes in {part.compute_dtype}; call keras.config.set_dtype_policy before building the model"
            )
    pull = None if own is None else partial(own.value_and_cotangent, backend)
    forward = forward_by_jax(apply) if backend == "jax" else partial(_by_torch, apply)
    adapted = dataclasses.replace(adapted, gradients=by_hand(forward, adapted.loss, pull))
    if own is None:
        return adapted
    own.require_fitting(adapted.network)
    return dataclasses.replace(adapted, targets=own.targets, left_out=own.left_out)


def _by_torch(apply: Any, params: Any, inputs: np.ndarray) -> Forward:
    import torch

    tensors = [[None if leaf is None else torch.tensor(leaf, requires_grad=True) for leaf in layer] for layer in params]
    leaves = [leaf for layer in tensors for leaf in layer if leaf is not None]
    with torch.enable_grad():
        outputs = apply(tensors, torch.tensor(inputs))

    def pull(ct: np.ndarray) -> list[Any]:
        grads = iter(
            torch.autograd.grad(outputs, leaves, torch.tensor(ct, dtype=outputs.dtype), materialize_grads=True)
        )
        return [tuple(None if leaf is None else next(grads).numpy() for leaf in layer) for layer in tensors]

    return Forward(outputs.detach().numpy(), pull)


def _read(model: Any) -> tuple[list[Any], list[ModelPart]]:
    """The dense layers of a model, and what they are."""
    import keras

    layers: list[Any] = []
    parts: list[ModelPart] = []
    for layer in model.layers:
        kind = type(layer).__name__
        of_keras = type(layer).__module__.startswith("keras.")
        if of_keras and kind == "Dense":
            weights = [np.array(keras.ops.convert_to_numpy(variable.value)) for variable in layer.weights]
            spec, unknown = _function(layer.activation)
            layers.append(layer)
            parts.append(ModelPart(layer.name, weights[0], weights[1] if len(weights) > 1 else None, spec, unknown))
        elif of_keras and kind in NOTHING:
            continue
        elif (layer.weights and kind != "PReLU") or (of_keras and kind not in (*LAYERS, "Activation")):
            raise refuse(f"the layer {layer.name} ({kind})", "it is neither dense nor an activation")
        elif not parts or parts[-1].unknown or parts[-1].activation != {"name": "identity"}:
            raise refuse(f"the layer {layer.name} ({kind})", "it does not follow a dense layer without an activation")
        else:
            spec, unknown = _activation_layer(layer, kind) if of_keras else (None, f"the layer {layer.name} ({kind})")
            parts[-1] = parts[-1]._replace(activation=spec, unknown=unknown)
    return layers, parts


def _activation_layer(layer: Any, kind: str) -> tuple[Any, str]:
    if kind == "Activation":
        return _function(layer.activation)
    what = f"the layer {layer.name} ({kind})"
    if kind != "ReLU":
        slopes = {variable.name: np.array(variable.value.tolist()) for variable in layer.weights}
        return follow(KERAS_RULES[LAYERS[kind]], what, vars(layer) | slopes), ""
    match (layer.negative_slope or 0.0, layer.max_value, layer.threshold or 0.0):
        case (0.0, None, 0.0):
            return PLAIN["relu"].name, ""
        case (0.0, 6.0, 0.0):
            return PLAIN["relu6"].name, ""
        case (slope, None, 0.0):
            return follow(KERAS_RULES["leaky_relu"], what, {"negative_slope": slope}), ""
    raise refuse(what, "the oracle has it with a slope, or with max_value=6, alone and with threshold 0")


def _function(function: Any) -> tuple[Any, str]:
    """The activation that a function is, whatever `functools.partial` binds included; or None and its name."""
    import keras

    given: dict[str, Any] = {}
    if isinstance(function, partial) and not function.args:
        function, given = function.func, function.keywords
    name = getattr(function, "__name__", type(function).__name__)
    rule = KERAS_RULES.get(name)
    known = rule is not None and getattr(keras.activations, name, None) is function
    if rule is not None and known and set(given) <= {argument.name for argument in rule.arguments}:
        return follow(rule, f"the function {name}", given), ""
    return None, f"the function {name}"
