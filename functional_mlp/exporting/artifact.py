"""Reads what `functional_mlp.export` wrote, and checks it against the vectors in it. Needs JAX and NumPy alone (and
flatbuffers, which JAX reads it with).

The artifact is a zip file with a copy of this file as its `__main__.py`: `python network.zip` says whether every
function gives the right numbers here. To use the functions, put this file anywhere and import it, or read the zip file
with a few lines of your own: `manifest.json` says what is in it.
"""

import hashlib
import io
import json
import sys
import zipfile
from typing import Any, NamedTuple

import numpy as np

FORMAT, VERSION = "functional-mlp/export", 1
MANIFEST, VECTORS, MAIN = "manifest.json", "vectors.npz", "__main__.py"
MAX_BYTES_OF_A_MEMBER = 2**30


class Artifact(NamedTuple):
    """What an exported file holds.

    Attributes:
        manifest: network, loss, dtype, platforms, versions; of each function the names, shapes and dtypes of its
            arguments and results, in order. A shape may begin with "n", the number of samples.
        functions: `jax.export.Exported` by name: `functions["forward"].call(*arguments)`.
        vectors: float64 arrays by name: arguments (`arguments.inputs`), true results (`forward.outputs`), and how far
            a correct implementation in the artifact's dtype may stray from them (`forward.outputs.floor`).
    """

    manifest: dict[str, Any]
    functions: dict[str, Any]
    vectors: dict[str, np.ndarray]


class Comparison(NamedTuple):
    """One result of one function, beside its vector: the entry that is worst by its floor."""

    function: str
    result: str
    error: float
    floor: float
    agrees: bool


def load(path: Any) -> Artifact:
    """Reads an artifact; its members' checksums are compared first.

    Raises:
        OSError: if the file cannot be read.
        ImportError: without the package flatbuffers, which JAX reads such files with.
        ValueError: if it is no artifact of this format, or damaged.
    """
    import jax.export

    try:
        with zipfile.ZipFile(path) as archive:
            manifest = _manifest(archive)
            contents = {name: _member(archive, name, manifest["sha256"][name]) for name in _members(manifest)}
        with np.load(io.BytesIO(contents[VECTORS]), allow_pickle=False) as file:
            vectors = {name: file[name] for name in file.files}
        functions = {
            name: jax.export.deserialize(bytearray(contents[function["file"]]))
            for name, function in manifest["functions"].items()
        }
    except (OSError, ImportError):  # ImportError: JAX wants flatbuffers for this
        raise
    except Exception as error:  # zip files, JSON, NumPy and JAX each have their own
        raise ValueError(f"{path}: expected a file that functional-mlp export wrote, got {error}") from error
    return Artifact(manifest, functions, vectors)


def _manifest(archive: zipfile.ZipFile) -> dict[str, Any]:
    manifest = json.loads(_member(archive, MANIFEST))
    found = (manifest.get("format"), manifest.get("version"))
    if found != (FORMAT, VERSION):
        raise ValueError(f"format and version {found}, not {(FORMAT, VERSION)}")
    return dict(manifest)


def _members(manifest: dict[str, Any]) -> list[str]:
    return [VECTORS, *(function["file"] for function in manifest["functions"].values())]


def _member(archive: zipfile.ZipFile, name: str, sha256: str | None = None) -> bytes:
    if archive.getinfo(name).file_size > MAX_BYTES_OF_A_MEMBER:
        raise ValueError(f"more than {MAX_BYTES_OF_A_MEMBER} bytes of {name}")
    content = archive.read(name)
    if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
        raise ValueError(f"a damaged {name}")
    return content


def verify(artifact: Artifact) -> list[Comparison]:
    """Calls every function that has vectors on JAX's default device; one comparison per result.

    Of a float64 artifact, inside `with jax.enable_x64(True):`.
    """
    comparisons = []
    for name, function in artifact.manifest["functions"].items():
        arguments = [
            np.asarray(artifact.vectors[f"arguments.{argument['name']}"]).astype(_dtype(argument["dtype"]))
            for argument in function["arguments"]
        ]
        results = artifact.functions[name].call(*arguments)
        for result, got in zip(function["results"], results, strict=True):
            true = artifact.vectors[f"{name}.{result['name']}"]
            floor = artifact.vectors[f"{name}.{result['name']}.floor"]
            comparisons.append(_compared(name, result["name"], np.asarray(got, np.float64), true, floor))
    return comparisons


def _compared(function: str, result: str, got: np.ndarray, true: np.ndarray, floor: np.ndarray) -> Comparison:
    error = np.abs(got - true)
    agrees = bool(got.shape == true.shape and (error <= floor).all())  # a NaN does not
    with np.errstate(divide="ignore", invalid="ignore"):
        worst = np.argmax(np.where(error == 0, 0, np.nan_to_num(error / floor, nan=np.inf)))
    return Comparison(function, result, float(error.flat[worst]), float(floor.flat[worst]), agrees)


def _dtype(name: str) -> Any:
    import jax.numpy as jnp

    return jnp.dtype(name)


def main(path: str) -> int:
    """Verifies the artifact `path`; prints the comparisons and returns 0 if all agree, 1 if not, 2 if it is none."""
    import jax

    try:
        artifact = load(path)
    except (OSError, ImportError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    with jax.enable_x64(artifact.manifest["dtype"] == "float64"):
        comparisons = verify(artifact)
    for function, result, distance, floor, agrees in comparisons:
        verdict = "agrees" if agrees else "DIFFERS"
        print(f"{verdict:<8}{function:<14} {result:<22} off by {distance:.2e}, floor {floor:.2e}")
    return 0 if all(comparison.agrees for comparison in comparisons) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else sys.argv[0]))
