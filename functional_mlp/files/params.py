"""Parameters to and from a file: safetensors, or NPZ without pickle."""

import io
import os
import zipfile
import zlib
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from functional_mlp._checks import floating_dtype
from functional_mlp._dtypes import SAFETENSORS_NAMES
from functional_mlp.files.atomic import write_bytes
from functional_mlp.files.npz import npy_header
from functional_mlp.network import Dense, Network, Params, check_params, shapes_of

PARAMS_FORMAT = "functional-mlp/params"
PARAMS_VERSION = "1"
FILE_DTYPES = tuple(reversed(SAFETENSORS_NAMES.values()))


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
            raise ValueError(f"expected params to be (weights, bias) pairs, got {shapes_of(params)}")
        for name, leaf in zip(Dense._fields, layer, strict=True):
            if leaf is not None:
                arrays[f"params.{number}.{name}"] = np.asarray(leaf)
                floating_dtype(f"the dtype of params[{number}].{name}", arrays[f"params.{number}.{name}"].dtype)
    if not arrays:
        raise ValueError(f"expected params of at least one layer, got {shapes_of(params)}")
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
                    shape, _, dtype = npy_header(file)
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
