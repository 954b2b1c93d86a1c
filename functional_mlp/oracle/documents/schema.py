"""Documents of every kind, read and written: each has the fields that its JSON Schema says (`schemas/`).

How fields become bytes, in JSON, NPZ and safetensors, is known to `codec.py`; what they mean, to `cases.py`,
`answers.py` and `solutions.py`. Whatever is wrong becomes one `FileError`: one sentence that names the file and field.

Gradients and updates may hold NaN and infinities: whether they are right is for the oracle to judge. Cases may not.
"""

import difflib
import json
import os
import sys
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import numpy as np

from functional_mlp.files import MAX_BYTES, FileError, Path_, read_bytes, write_bytes
from functional_mlp.oracle.documents.codec import decode, encode

MAX_ENTRIES = 1001  # of a list that the schemas look at: one more than they allow
VERSION = 1
DOCUMENT_KINDS = ("case", "gradients", "update", "solution")


def read_document(path: Path_, kind: str, max_bytes: int = MAX_BYTES) -> dict[str, Any]:
    """Reads a document of one of `DOCUMENT_KINDS`, checked against its schema; see `read_case`."""
    require_path(path)
    source = str(path)
    document = decode(read_bytes(path, max_bytes), source, max_bytes, not_finite=kind in ("gradients", "update"))
    check_schema(document, kind, source)
    return document


def write_document(path: Path_, document: dict[str, Any], dtype: str = "float64") -> None:
    """Writes a document whole or not at all; the format follows the suffix: .json, .npz, .safetensors.

    Args:
        path: where to; "-" writes JSON to standard output.
        document: fields, with NumPy arrays of float64.
        dtype: the arrays' dtype in the binary formats, in which they must be representable.

    Raises:
        FileError: for another suffix, bfloat16 in NPZ, a document that `read_document` would refuse, numbers that JSON
            has not, or a place that cannot be written.
    """
    check_schema(document, str(document.get("format")).removeprefix("functional-mlp/"), str(path))
    suffix = ".json" if str(path) == "-" else Path(path).suffix
    content = encode(document, suffix, dtype, str(path))
    if str(path) == "-":
        sys.stdout.buffer.write(content)
        return
    _write(path, content)


def write_text(path: Path_, text: str) -> None:
    """Writes a text as UTF-8, whole or not at all; raises FileError for a place that cannot be written."""
    _write(path, text.encode())


def _write(path: Path_, content: bytes) -> None:
    try:
        write_bytes(path, content)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise FileError(f"{path}: {getattr(error, 'strerror', None) or error}") from error


def require_path(path: Any) -> None:
    """Raises TypeError for what names no file, such as a case that is given where its path belongs."""
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"expected the path of a file first, as a string or a Path, got {type(path).__name__}")


# what the schemas say


@cache
def validator(kind: str) -> Any:
    """The JSON Schema validator of one kind of document."""
    text = resources.files("functional_mlp.oracle.documents").joinpath(f"schemas/{kind}.schema.json").read_text()
    return jsonschema.Draft202012Validator(json.loads(text))


def check_schema(document: dict[str, Any], kind: str, source: str) -> None:
    """Raises FileError unless the document is of this kind, version and form; the sentence names the field."""
    form, version = document.get("format"), document.get("version")
    if not isinstance(form, str) or form != f"functional-mlp/{kind}":
        raise FileError(f"{source}: expected format 'functional-mlp/{kind}', got {_short(form)}")
    if type(version) not in (int, float) or version != VERSION:
        raise FileError(f"{source}: expected version {VERSION}, got {_short(version)}")
    error = next(validator(kind).iter_errors(_without_numbers(document)), None)
    if error is not None:
        place = ".".join(map(str, error.absolute_path))
        raise FileError(f"{source}: {f'{place[:120]}: ' if place else ''}{_sentence(error)}")


def _sentence(error: Any) -> str:
    """A schema's objection in our words; those of jsonschema repeat whole documents."""
    got, wanted = error.instance, error.validator_value
    if error.schema_path[0] in ("then", "else"):  # of the whole document
        return f"expected {error.schema['description']}"
    if error.validator == "required":
        return f"expected the field {next(name for name in wanted if name not in got)!r}"
    if error.validator == "additionalProperties" and wanted is False:
        known = sorted(error.schema["properties"])
        unknown = next(name for name in got if name not in known)
        return f"unknown field {_short(unknown)}: {_nearest(unknown, known)}known: {', '.join(known)}"
    if error.validator == "enum":
        return f"unknown {_short(got)}: {_nearest(str(got), wanted)}known: {', '.join(wanted)}"
    phrase = {
        "type": "type",
        "minItems": "a list at least as long as",
        "maxItems": "a list no longer than",
        "maxLength": "a text no longer than",
        "minimum": "a number of at least",
        "maximum": "a number of at most",
        "exclusiveMinimum": "a number above",
    }[error.validator]
    return f"expected {phrase} {' or '.join(wanted) if isinstance(wanted, list) else wanted}, got {_short(got)}"


def _nearest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name[:60].lower(), known, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}? " if near else ""


def _short(value: Any) -> str:
    """A few characters that say what `value` is."""
    if isinstance(value, str):
        return repr(value[:60])
    if isinstance(value, list | dict | np.ndarray):
        return "an object" if isinstance(value, dict) else "an array"
    return str(value)[:60]


def _without_numbers(document: dict[str, Any]) -> dict[str, Any]:
    """The document with every array of numbers emptied: validating then costs nothing, however large they are.

    Whether they are rectangular, and of numbers, is seen when they become NumPy arrays. Lists that the schemas look at
    are cut where they are too long anyway.
    """
    fields = {name: _emptied(value) for name, value in document.items()}
    network, params = document.get("network"), document.get("params")
    if isinstance(network, dict):
        fields["network"] = {
            name: value[:MAX_ENTRIES] if isinstance(value, list) else value for name, value in network.items()
        }
    if isinstance(params, list | tuple):
        fields["params"] = [
            {name: _emptied(value) for name, value in layer.items()} if isinstance(layer, dict) else _emptied(layer)
            for layer in params[:MAX_ENTRIES]
        ]
    return fields


def _emptied(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray) and value.ndim == 0:
        return value.item()
    return [] if isinstance(value, list | tuple | np.ndarray) else value
