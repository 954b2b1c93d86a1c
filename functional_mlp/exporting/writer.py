"""Networks that leave Python: forward pass, gradient and training step as StableHLO for CPU, CUDA, ROCm and TPU.

One file holds all of it: the functions over flat lists of arrays, the number of samples left open (`jax.export`), a
manifest, the vectors that they must reproduce with the noise floor of each entry, and a program that checks them where
only JAX and NumPy are. The parameters are arguments, so a file serves any parameters of its network.
"""

import dataclasses
import hashlib
import io
import json
import os
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import optax

from functional_mlp import __version__
from functional_mlp._checks import known_name
from functional_mlp._jax_compat import without_source_names
from functional_mlp.backward_pass import backward, loss_and_grad
from functional_mlp.exporting import artifact
from functional_mlp.exporting.artifact import FORMAT, MAIN, MANIFEST, VECTORS, VERSION
from functional_mlp.files import write_bytes
from functional_mlp.forward_pass import forward
from functional_mlp.network import Dense, Params, named_params
from functional_mlp.oracle.case import Case, parameter_of
from functional_mlp.oracle.documents import document_of
from functional_mlp.oracle.noise import Floor, Noise, estimate_noise, precision_named
from functional_mlp.oracle.truth import solve
from functional_mlp.oracle.verdict import floor_of_step, truth_of
from functional_mlp.training import init_train_state, train_step

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
RATE_OF_THE_STEP = 0.0625  # of the vectors of a training step; every dtype has it exactly


class Function(NamedTuple):
    """A function to export.

    Attributes:
        call: of flat arrays, returning a flat tuple.
        arguments: their names; those of the parameters first.
        results: their names.
    """

    call: Callable[..., tuple[Any, ...]]
    arguments: tuple[str, ...]
    results: tuple[str, ...]


def functions_of(case: Case) -> dict[str, Function]:
    """What is exported of a case: `forward`; with a loss `loss_and_grad` and `train_step`, without one `backward`.

    `train_step` is one step of plain gradient descent; its last argument is the learning rate.
    """
    network, loss = case.network, case.loss
    layers = [Dense(*layer) for layer in case.params]  # type: ignore[arg-type]
    structure = jax.tree.structure(tuple(layers))
    names = tuple(named_params(case.params))
    grads = tuple(f"ct_{name}" for name in names)
    data = tuple(name for name in ("targets", "sample_weights") if getattr(case, name) is not None)

    def split(arrays: Sequence[Any]) -> tuple[Params, Sequence[Any]]:
        return jax.tree.unflatten(structure, arrays[: len(names)]), arrays[len(names) :]

    def run(*arrays: Any) -> tuple[Any, ...]:
        params, (inputs,) = split(arrays)
        return (forward(network, params, inputs)[0],)

    def pulled_back(*arrays: Any) -> tuple[Any, ...]:
        params, (inputs, ct_outputs) = split(arrays)
        _, tape = forward(network, params, inputs)
        ct_params, ct_inputs = backward(network, params, tape, ct_outputs)
        return (*jax.tree.leaves(ct_params), ct_inputs)

    def value_and_grad(*arrays: Any) -> tuple[Any, ...]:
        assert loss is not None
        params, rest = split(arrays)
        value, ct_params = loss_and_grad(network, loss, params, *rest)
        return (value, *jax.tree.leaves(ct_params))

    def step(*arrays: Any) -> tuple[Any, ...]:
        assert loss is not None
        params, (*rest, learning_rate) = split(arrays)
        optimizer = optax.sgd(learning_rate)
        state, metrics = train_step(network, loss, optimizer, init_train_state(params, optimizer), *rest)
        return (*jax.tree.leaves(state.params), metrics.loss)

    functions = {"forward": Function(run, (*names, "inputs"), ("outputs",))}
    if loss is None:
        end = ("inputs", "ct_outputs")
        return functions | {"backward": Function(pulled_back, (*names, *end), (*grads, "ct_inputs"))}
    return functions | {
        "loss_and_grad": Function(value_and_grad, (*names, "inputs", *data), ("loss", *grads)),
        "train_step": Function(step, (*names, "inputs", *data, "learning_rate"), (*names, "loss")),
    }


def _arguments(case: Case) -> dict[str, np.ndarray]:
    """Every argument of every function, float64, by name."""
    arrays = named_params(case.params)
    for name in ("inputs", "targets", "sample_weights", "ct_outputs"):
        if getattr(case, name) is not None:
            arrays[name] = getattr(case, name)
    return arrays | {"learning_rate": np.asarray(RATE_OF_THE_STEP)}


def _path(name: str) -> str:
    """params.0.weights as the oracle names it: params[0].weights."""
    _, number, leaf = name.split(".")
    return f"params[{number}].{leaf}"


def export(path: str | os.PathLike[str], case: Case, platforms: Sequence[str] = PLATFORMS) -> None:
    """Writes the functions of a case's network and loss to one file, all or nothing.

    None of the platforms need be here. `python FILE` then checks the file against its own vectors, on a machine with
    JAX and NumPy alone; `load` reads it here.

    Args:
        path: to write; by custom it ends in .zip.
        case: network, loss and dtype of the functions; its parameters and data become the vectors.
        platforms: to compile for, of "cpu", "cuda", "rocm" and "tpu".

    Raises:
        OSError: if the file cannot be written.
        ValueError: for an unknown platform, or none.
    """
    chosen = tuple(known_name("platform", platform, PLATFORMS) for platform in platforms)
    if not chosen:
        raise ValueError(f"expected at least one platform of {', '.join(PLATFORMS)}, got none")
    functions = functions_of(case)
    with jax.enable_x64(case.dtype == "float64"):
        exported = {name: _exported(case, function, chosen) for name, function in functions.items()}
    contents = {f"{name}.jax_export": bytes(function.serialize()) for name, function in exported.items()}
    vectors = io.BytesIO()
    np.savez_compressed(vectors, **_vectors(case, functions))  # type: ignore[arg-type]
    contents[VECTORS] = vectors.getvalue()
    specification = {field: value for field, value in document_of(case).items() if field in ("network", "loss")}
    manifest = specification | {
        "format": FORMAT,
        "version": VERSION,
        "functional_mlp": __version__,
        "jax": jax.__version__,
        "name": case.name,
        "dtype": case.dtype,
        "platforms": chosen,
        "functions": {
            name: {
                "file": f"{name}.jax_export",
                "arguments": _described(function.arguments, exported[name].in_avals),
                "results": _described(function.results, exported[name].out_avals),
            }
            for name, function in functions.items()
        },
        "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
    }
    contents[MANIFEST] = (json.dumps(manifest, indent=1) + "\n").encode()
    contents[MAIN] = Path(artifact.__file__).read_bytes()
    write_bytes(path, _zipped(contents))


def _exported(case: Case, function: Function, platforms: tuple[str, ...]) -> jax.export.Exported:
    scope = jax.export.SymbolicScope(("n >= 1",))
    (samples,) = jax.export.symbolic_shape("n", scope=scope)
    dtype = jnp.dtype(case.dtype)
    arrays = _arguments(case)
    specifications = []
    for name in function.arguments:
        shape: tuple[Any, ...] = arrays[name].shape
        if name in ("inputs", "targets", "sample_weights", "ct_outputs"):
            shape = (samples, *shape[1:])
        specifications.append(jax.ShapeDtypeStruct(shape, dtype))
    exported = jax.export.export(jax.jit(function.call), platforms=platforms)(*specifications)
    # which differ from machine to machine
    program = without_source_names(exported.mlir_module_serialized)
    return dataclasses.replace(exported, mlir_module_serialized=program)


def _described(names: Sequence[str], avals: Sequence[Any]) -> list[dict[str, Any]]:
    return [
        {"name": name, "shape": [n if isinstance(n, int) else str(n) for n in aval.shape], "dtype": str(aval.dtype)}
        for name, aval in zip(names, avals, strict=True)
    ]


def _vectors(case: Case, functions: Mapping[str, Function]) -> dict[str, np.ndarray]:
    """Arguments, true results and their floors, by the names that `Artifact` gives them."""
    solution = solve(case)
    truth, noise = truth_of(solution), estimate_noise(case, solution, precision_named(case.dtype))
    vectors = {f"arguments.{name}": array for name, array in _arguments(case).items()}
    for name, function in functions.items():
        for result in function.results:
            true, floor = _truth(case, truth, noise, result)
            vectors |= {f"{name}.{result}": true, f"{name}.{result}.floor": floor.smooth + floor.slack}
    return vectors


def _truth(case: Case, truth: Mapping[str, np.ndarray], noise: Noise, result: str) -> tuple[np.ndarray, Floor]:
    """The true value of a result, and how far a correct implementation may stray from it."""
    if result.startswith("params."):  # after a step
        path = _path(result)
        before = parameter_of(case, path)
        floor = floor_of_step(noise, path, before, truth[path], RATE_OF_THE_STEP)
        return before - RATE_OF_THE_STEP * truth[path], floor
    path = _path(result.removeprefix("ct_")) if result.startswith("ct_params.") else result
    return truth[path], noise.floors[path]


def _zipped(contents: Mapping[str, bytes]) -> bytes:
    """A zip file without dates: the same contents give the same bytes."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return file.getvalue()
