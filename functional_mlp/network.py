"""The network as a static specification, and its parameters as a pytree.

A `Network` says sizes and activations and holds no numbers; `Params` is a plain tuple of `Dense(weights, bias)`, so
`jax.tree` functions, optax and every transformation work on it. Dimension letters: n samples, layers l = 1..L of sizes
n_0..n_L; in layer l, fan_in = n_{l-1} and fan_out = n_l.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.nn import initializers
from jaxtyping import Array, Float, Key

from functional_mlp._checks import floating_array, floating_dtype, known_name, positive_int, random_key
from functional_mlp._dtypes import working_dtype
from functional_mlp._notebook import table
from functional_mlp.activations import Activation, is_built_in, resolve


class Dense(NamedTuple):
    """The parameters of one layer: z = a_prev @ weights + bias.

    Attributes:
        weights: (fan_in, fan_out).
        bias: (fan_out,), or None for a layer without bias.
    """

    weights: Float[Array, "fan_in fan_out"]
    bias: Float[Array, "fan_out"] | None


Params = tuple[Dense, ...]
Initializer = Callable[..., Array]


@jax.tree_util.register_static
@dataclass(frozen=True, init=False)
class Network:
    """A multilayer perceptron's specification: layer sizes and one activation per layer.

    Args:
        sizes: n_0..n_L, at least two integers of at least 1.
        activations: one for all layers, or L of them; each a name, an `Activation`, or a mapping with a name.

    Raises:
        TypeError: for sizes that are not integers.
        ValueError: for too few or non-positive sizes, an unknown activation (the nearest name is suggested), or a
            number of activations other than 1 or L.

    Example:
        >>> Network(sizes=[2, 4, 1], activations=["tanh", "sigmoid"]).sizes
        (2, 4, 1)
    """

    sizes: tuple[int, ...]
    activations: tuple[Activation, ...]

    def __init__(
        self,
        sizes: Iterable[int | np.integer],
        activations: str | Activation | Mapping[str, Any] | Iterable[Any] = "relu",
    ) -> None:
        if isinstance(sizes, str) or not isinstance(sizes, Iterable):
            raise TypeError(f"expected sizes to be a sequence of integers such as (2, 4, 1), got {sizes!r}")
        sizes = tuple(positive_int(f"sizes[{i}]", size) for i, size in enumerate(sizes))
        if len(sizes) < 2:
            raise ValueError(f"expected at least an input and an output size, got sizes {sizes}")
        layers = len(sizes) - 1
        if not isinstance(activations, str | Activation | Mapping | Iterable):
            raise TypeError(f"expected activations to be one, or a sequence of names, got {activations!r}")
        if isinstance(activations, str | Activation | Mapping):
            activations = (activations,) * layers
        resolved = tuple(resolve(spec) for spec in activations)
        if len(resolved) != layers:
            raise ValueError(
                f"expected one activation for all layers, or {layers} for sizes {sizes} (one per layer after the"
                f" input), got {len(resolved)}"
            )
        object.__setattr__(self, "sizes", sizes)
        object.__setattr__(self, "activations", resolved)

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """(fan_in, fan_out) of each layer."""
        return tuple(zip(self.sizes[:-1], self.sizes[1:], strict=True))

    def __repr__(self) -> str:
        comma = "," if len(self.activations) == 1 else ""
        return f"Network({self.sizes!r}, ({', '.join(map(_spelled, self.activations))}{comma}))"

    def _repr_html_(self) -> str:
        """What a notebook shows: a line for each layer."""
        rows = [
            (layer, fan_in, fan_out, _spelled(activation).strip("'"), (fan_in + 1) * fan_out)
            for layer, ((fan_in, fan_out), activation) in enumerate(zip(self.shapes, self.activations, strict=True), 1)
        ]
        caption = f"Network of {sum(row[-1] for row in rows):,} parameters"
        return table(caption, ("layer", "fan-in", "fan-out", "activation", "parameters"), rows)


def _spelled(activation: Activation) -> str:
    """An activation as `Network` takes it: its name, and its parameters where they are not the defaults."""
    if not is_built_in(activation):
        return repr(activation)
    if activation == resolve(activation.name):
        return repr(activation.name)
    return repr({"name": activation.name, **dict(activation.parameters)})


INITIALIZERS: Mapping[str, Initializer] = {
    "zeros": initializers.zeros,
    "lecun_normal": initializers.lecun_normal(),
    "lecun_uniform": initializers.lecun_uniform(),
    "glorot_normal": initializers.glorot_normal(),
    "glorot_uniform": initializers.glorot_uniform(),
    "he_normal": initializers.he_normal(),
    "he_uniform": initializers.he_uniform(),
    "orthogonal": initializers.orthogonal(),
    "normal_tenth": initializers.normal(0.1),  # the circles classifier: 0.1 N(0, 1), weights and biases
    "fan_out_normal": initializers.variance_scaling(1.0, "fan_out", "normal"),  # the moons classifier's weights
    "uniform_tenth": initializers.uniform(0.1),  # the moons classifier's biases: U[0, 0.1)
}
BIAS_INITIALIZERS = ("zeros", "normal_tenth", "uniform_tenth")  # the others need two axes


def _initializer(what: str, spec: str | Initializer, known: Iterable[str]) -> Initializer:
    if callable(spec):
        return spec
    return INITIALIZERS[known_name(f"initialiser for {what}", spec, known)]


def init_params(
    network: Network,
    key: Key[Array, ""] | Any,
    weights: str | Initializer = "lecun_normal",
    bias: str | Initializer | None = "zeros",
    dtype: Any = jnp.float32,
) -> Params:
    """Draws initial parameters.

    Args:
        network: the specification.
        key: a JAX random key, `jax.random.key(seed)`.
        weights: a name in `INITIALIZERS`, or a function (key, shape, dtype) as in `jax.nn.initializers`.
        bias: a name in `BIAS_INITIALIZERS`, such a function, or None for layers without bias.
        dtype: a floating dtype; float64 needs `jax.enable_x64`.

    Returns:
        One Dense(weights (fan_in, fan_out), bias (fan_out,)) per layer.

    Raises:
        TypeError: for a dtype that is not supported or not enabled, or a key that is none.
        ValueError: for an unknown initialiser, or one of your own that draws another shape.
    """
    dtype = floating_dtype("dtype", dtype)
    if jax.dtypes.canonicalize_dtype(dtype) != dtype:
        raise TypeError(f"dtype {dtype} is not enabled in JAX: run inside `with jax.enable_x64(True):`")
    random_key("key", key)
    draw_weights = _initializer("weights", weights, INITIALIZERS)
    draw_bias = None if bias is None else _initializer("bias", bias, BIAS_INITIALIZERS)
    # one program is compiled sooner than each operation by itself; a function of the caller's own may not be traceable
    draw = _draw_compiled if isinstance(weights, str) and isinstance(bias, str | None) else _draw
    # an initialiser of the caller's own may draw another shape
    return check_params(network, draw(network.shapes, draw_weights, draw_bias, dtype, key))


def _draw(
    shapes: tuple[tuple[int, int], ...], draw_weights: Initializer, draw_bias: Initializer | None, dtype: Any, key: Any
) -> Params:
    params = []
    for layer_key, (fan_in, fan_out) in zip(jax.random.split(key, len(shapes)), shapes, strict=True):
        weights_key, bias_key = jax.random.split(layer_key)
        # 16-bit parameters are drawn in float32 and rounded: some initialisers know no narrower type
        drawn = draw_weights(weights_key, (fan_in, fan_out), working_dtype(dtype))
        drawn_bias = None if draw_bias is None else draw_bias(bias_key, (fan_out,), working_dtype(dtype)).astype(dtype)
        params.append(Dense(drawn.astype(dtype), drawn_bias))
    return tuple(params)


_draw_compiled = jax.jit(_draw, static_argnums=(0, 1, 2, 3))


def shapes_of(params: Any) -> str:
    """A tree of arrays in one line: Dense(weights=float32[2, 4], bias=None), …"""

    def leaf(x: Any) -> str:
        if x is None:
            return "None"
        shape, dtype = getattr(x, "shape", None), getattr(x, "dtype", None)
        return type(x).__name__ if shape is None or dtype is None else f"{dtype}{list(shape)}"

    if not isinstance(params, tuple | list):
        return leaf(params)
    layers = []
    for layer in params:
        is_pair = isinstance(layer, tuple | list) and len(layer) == 2
        layers.append(f"Dense(weights={leaf(layer[0])}, bias={leaf(layer[1])})" if is_pair else leaf(layer))
    return f"({', '.join(layers)})"


def check_params(network: Network, params: Any, what: str = "params") -> Params:
    """`params` as a tuple of Dense whose shapes fit `network` and whose leaves share one floating dtype.

    Args:
        network: the specification.
        params: a sequence of (weights, bias) pairs; each bias may be None.
        what: what they are called in messages.

    Raises:
        TypeError: for leaves that are no arrays of floats, or of differing dtypes.
        ValueError: if the structure or a shape differs; the message shows the expected tree and the one that came.
    """
    expected = f"({', '.join(f'Dense(weights=[{i}, {o}], bias=[{o}])' for i, o in network.shapes)})"
    called = "parameters" if what == "params" else what
    mismatch = f"expected {called} {expected} for sizes {network.sizes}, got {shapes_of(params)}"
    if not isinstance(params, tuple | list) or len(params) != len(network.shapes):
        raise ValueError(mismatch)
    layers = []
    for number, (layer, shape) in enumerate(zip(params, network.shapes, strict=True)):
        if not isinstance(layer, tuple | list) or len(layer) != 2:
            raise ValueError(mismatch)
        weights = floating_array(f"{what}[{number}].weights", layer[0])
        bias = None if layer[1] is None else floating_array(f"{what}[{number}].bias", layer[1])
        if weights.shape != shape or (bias is not None and bias.shape != shape[1:]):
            raise ValueError(mismatch)
        layers.append(Dense(weights, bias))
    dtypes = {str(leaf.dtype) for leaf in jax.tree.leaves(layers)}
    if len(dtypes) > 1:
        raise TypeError(f"expected all {called} to share one dtype, got {shapes_of(params)}")
    return tuple(layers)


def check_inputs(network: Network, params: Params, inputs: Any, what: str = "inputs") -> Array:
    """`inputs` as a JAX array (n, n_0) with n at least 1, of the dtype of `params`.

    Raises:
        TypeError: if it does not hold floats, or its dtype differs from that of the parameters.
        ValueError: for another shape, or an empty batch.
    """
    array = floating_array(what, inputs)
    if array.ndim != 2 or array.shape[1] != network.sizes[0]:
        hint = f"; for one sample use {what}[None, :]" if array.shape == network.sizes[:1] else ""
        raise ValueError(f"expected {what} of shape (n, {network.sizes[0]}), one sample a row, got {array.shape}{hint}")
    if array.shape[0] == 0:
        raise ValueError(f"expected at least one sample in {what}, got an empty batch of shape {array.shape}")
    dtype = params[0].weights.dtype
    if array.dtype != dtype:
        raise TypeError(f"expected {what} of the parameters' dtype {dtype}, got {array.dtype}; use .astype('{dtype}')")
    return array


def named_params(params: Iterable[Any]) -> dict[str, Any]:
    """The leaves of parameters, or of what has their shape, by name: params.0.weights, params.0.bias, …"""
    return {
        f"params.{number}.{name}": leaf
        for number, layer in enumerate(params)
        for name, leaf in zip(Dense._fields, layer, strict=True)
        if leaf is not None
    }
