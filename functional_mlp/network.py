"""The network as a static specification, its parameters as a pytree, and their way to and from a file.

A `Network` says sizes and activations and holds no numbers; `Params` is a plain tuple of `Dense(weights, bias)`, so
`jax.tree` functions, optax and every transformation work on it. Dimension letters: n samples, layers l = 1..L of sizes
n_0..n_L; in layer l, fan_in = n_{l-1} and fan_out = n_l.
"""

import io
import os
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.nn import initializers
from jaxtyping import Array, Float, Key

from functional_mlp._atomic import write_bytes
from functional_mlp._checks import (
    floating_array,
    floating_dtype,
    known_name,
    positive_int,
    random_key,
    working_dtype,
)
from functional_mlp.activations import Activation, resolve

PARAMS_FORMAT = "functional-mlp/params"
PARAMS_VERSION = "1"
FILE_DTYPES = ("F16", "BF16", "F32", "F64")


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


def _describe(params: Any) -> str:
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


def check_params(network: Network, params: Any) -> Params:
    """`params` as a tuple of Dense whose shapes fit `network` and whose leaves share one floating dtype.

    Args:
        network: the specification.
        params: a sequence of (weights, bias) pairs; each bias may be None.

    Raises:
        TypeError: for leaves that are no arrays of floats, or of differing dtypes.
        ValueError: if the structure or a shape differs; the message shows the expected tree and the one that came.
    """
    expected = f"({', '.join(f'Dense(weights=[{i}, {o}], bias=[{o}])' for i, o in network.shapes)})"
    mismatch = f"expected parameters {expected} for sizes {network.sizes}, got {_describe(params)}"
    if not isinstance(params, tuple | list) or len(params) != len(network.shapes):
        raise ValueError(mismatch)
    layers = []
    for number, (layer, shape) in enumerate(zip(params, network.shapes, strict=True)):
        if not isinstance(layer, tuple | list) or len(layer) != 2:
            raise ValueError(mismatch)
        weights = floating_array(f"params[{number}].weights", layer[0])
        bias = None if layer[1] is None else floating_array(f"params[{number}].bias", layer[1])
        if weights.shape != shape or (bias is not None and bias.shape != shape[1:]):
            raise ValueError(mismatch)
        layers.append(Dense(weights, bias))
    dtypes = {str(leaf.dtype) for leaf in jax.tree.leaves(layers)}
    if len(dtypes) > 1:
        raise TypeError(f"expected all parameters to share one dtype, got {_describe(params)}")
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


def save_params(path: str | os.PathLike[str], params: Params) -> None:
    """Writes parameters as arrays `params.0.weights`, `params.0.bias`, …, all or nothing.

    The file is NPZ if `path` ends in .npz, which cannot hold bfloat16; otherwise safetensors. NumPy arrays are written
    as they are, whether or not JAX has their dtype enabled.

    Raises:
        OSError: if the file cannot be written.
        TypeError, ValueError: if `params` are no parameters, or bfloat16 is to go into an NPZ file.
    """
    arrays = {}
    for number, layer in enumerate(params):
        if not isinstance(layer, tuple | list) or len(layer) != 2 or layer[0] is None:
            raise ValueError(f"expected params to be (weights, bias) pairs, got {_describe(params)}")
        for name, leaf in zip(Dense._fields, layer, strict=True):
            if leaf is not None:
                arrays[f"params.{number}.{name}"] = np.asarray(leaf)
                floating_dtype(f"the dtype of params[{number}].{name}", arrays[f"params.{number}.{name}"].dtype)
    if not arrays:
        raise ValueError(f"expected params of at least one layer, got {_describe(params)}")
    write_bytes(path, _npz(arrays) if _is_npz(path) else _safetensors(arrays))


def _is_npz(path: str | os.PathLike[str]) -> bool:
    return os.fsdecode(path).endswith(".npz")


def _safetensors(arrays: dict[str, np.ndarray]) -> bytes:
    import safetensors.numpy

    content: bytes = safetensors.numpy.save(arrays, metadata={"format": PARAMS_FORMAT, "version": PARAMS_VERSION})
    return content


def _npz(arrays: dict[str, np.ndarray]) -> bytes:
    if any(array.dtype == jnp.bfloat16 for array in arrays.values()):
        raise TypeError("expected parameters of a dtype that NPZ knows, got bfloat16; use a name in .safetensors")
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def load_params(path: str | os.PathLike[str], network: Network) -> Params:
    """Reads parameters written by `save_params`; names, dtypes and shapes are checked before any array is read.

    Raises:
        OSError: if the file cannot be read.
        TypeError: if the file holds a dtype that is not supported or not enabled in JAX.
        ValueError: if it is no file of this format, or does not fit `network`.
    """
    with open(path, "rb"):  # a directory or a missing file: the system's own sentence, with the name
        pass
    try:
        arrays = _read_npz(path, network) if _is_npz(path) else _read_safetensors(path, network)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{os.fsdecode(path)}: {error}") from error
    layers = range(len(network.shapes))
    return check_params(
        network, tuple(Dense(arrays[f"params.{i}.weights"], arrays.get(f"params.{i}.bias")) for i in layers)
    )


def _read_safetensors(path: str | os.PathLike[str], network: Network) -> dict[str, Any]:
    import safetensors

    try:
        # its name notwithstanding this framework needs JAX alone, and unlike "numpy" it knows bfloat16
        with safetensors.safe_open(path, framework="flax") as file:
            metadata = file.metadata() or {}
            found = (metadata.get("format"), metadata.get("version"))
            if found != (PARAMS_FORMAT, PARAMS_VERSION):
                raise ValueError(f"expected format {PARAMS_FORMAT!r} of version {PARAMS_VERSION!r}, got {found}")
            expected = _expected_arrays(network, file.keys())
            for name in sorted(file.keys()):
                header = file.get_slice(name)
                _check_header(name, header.get_shape(), header.get_dtype(), expected)
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no mapping
    except safetensors.SafetensorError as error:
        raise ValueError(f"expected a safetensors file, got {error}") from error


def _read_npz(path: str | os.PathLike[str], network: Network) -> dict[str, Any]:
    arrays = {}
    try:
        with zipfile.ZipFile(path) as archive:
            expected = _expected_arrays(network, [name.removesuffix(".npy") for name in archive.namelist()])
            for member in archive.infolist():
                name = member.filename.removesuffix(".npy")
                with archive.open(member) as file:
                    version = np.lib.format.read_magic(file)
                    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
                    shape, _, dtype = read[version](file)
                    _check_header(name, list(shape), f"{dtype.kind.upper()}{8 * dtype.itemsize}", expected)
                with archive.open(member) as file:
                    arrays[name] = jnp.asarray(np.lib.format.read_array(file, allow_pickle=False))
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"expected an NPZ file, got {error}") from error
    return arrays


def _expected_arrays(network: Network, names: Iterable[str]) -> dict[str, list[int]]:
    """The shapes of all parameters of `network` by name; raises unless `names` are names of some, with all weights."""
    expected: dict[str, list[int]] = {}
    names = set(names)
    for number, shape in enumerate(network.shapes):
        expected |= {f"params.{number}.weights": list(shape), f"params.{number}.bias": [shape[1]]}
        if f"params.{number}.weights" not in names:
            raise ValueError(f"expected an array params.{number}.weights for sizes {network.sizes}, got none")
    unexpected = sorted(names - set(expected))
    if unexpected:
        more = f" and {len(unexpected) - 3} more" if len(unexpected) > 3 else ""
        raise ValueError(f"expected only parameters of sizes {network.sizes}, got also {unexpected[:3]}{more}")
    return expected


def _check_header(name: str, shape: list[int], dtype: str, expected: dict[str, list[int]]) -> None:
    """Raises unless an array of a file, of which only the header was read, has its shape and a known dtype."""
    if shape != expected[name]:
        raise ValueError(f"expected {name} of shape {expected[name]}, got {shape}")
    if dtype not in FILE_DTYPES:
        raise TypeError(f"expected {name} of one of the dtypes {', '.join(FILE_DTYPES)}, got {dtype}")
    if dtype == "F64" and jax.dtypes.canonicalize_dtype("float64") != "float64":
        raise TypeError(f"{name} is float64, which is not enabled in JAX: load inside `with jax.enable_x64(True):`")
