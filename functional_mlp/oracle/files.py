"""Case, gradients, update and solution documents: JSON, NPZ and safetensors, in and out, bit for bit.

A document is the same set of fields in every format. In JSON it is one object. In NPZ and safetensors every array of
numbers is an array of its own (`params.0.weights`, `inputs`), and the fields that are no arrays are JSON text under
`header`. The JSON Schemas beside this module (`schemas/`) say which fields there are.

Files come from strangers: nothing is unpickled, sizes are bounded before memory is taken (`max_bytes`, also of what an
archive unpacks to and of what an array's header claims), and whatever is wrong becomes one `FileError` with one sentence
that names the file and the field.
"""

import io
import json
import math
import os
import stat
import zipfile
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import safetensors
import safetensors.numpy

from functional_mlp._atomic import write_bytes
from functional_mlp.losses import Loss
from functional_mlp.network import Network
from functional_mlp.oracle.case import DTYPES, Case, canonical_layer

MAX_BYTES = 256 * 2**20  # memory peaks at some 25 times this for JSON, 3 times for the binary formats
MAX_DEPTH = 16
VERSION = 1
KINDS = ("case", "gradients", "update", "solution")
Path_ = str | os.PathLike[str]


class FileError(ValueError):
    """A file that cannot be read as what was asked for; its one sentence says why and where."""


# reading: bytes, then a document (fields, with arrays as NumPy arrays), then what it means


def read_case(path: Path_, max_bytes: int = MAX_BYTES) -> Case:
    """Reads a case.

    Args:
        path: a .json, .npz or .safetensors file; "-" reads JSON from standard input.
        max_bytes: the largest file, and the largest unpacked content, that is accepted.

    Raises:
        FileError: if the file cannot be read, or is no sound case.
    """
    return case_of(read_document(path, "case", max_bytes), str(path))


def read_document(path: Path_, kind: str, max_bytes: int = MAX_BYTES) -> dict[str, Any]:
    """Reads a document of one `KINDS`, checked against its schema; see `read_case`."""
    content = read_bytes(path, max_bytes)
    source = str(path)
    if content[:4] == b"PK\x03\x04":
        document = _from_npz(content, source, max_bytes)
    elif content[8:9] == b"{" and len(content) > 8 and content[:1] not in (b"{", b"[", b" ", b"\n"):
        document = _from_safetensors(content, source)
    else:
        document = _from_json(content, source)
    check_schema(document, kind, source)
    return document


def read_bytes(path: Path_, max_bytes: int) -> bytes:
    """The content of a regular file (symbolic links followed) of at most `max_bytes`."""
    if str(path) == "-":
        import sys

        content = sys.stdin.buffer.read(max_bytes + 1)
    else:
        try:
            # without O_NONBLOCK, opening a FIFO would wait for somebody to write
            with open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise FileError(f"{path}: expected a regular file, got a directory, a pipe or a device")
                content = file.read(max_bytes + 1)
        except OSError as error:
            raise FileError(f"{path}: {error.strerror or error}") from error
    if len(content) > max_bytes:
        raise FileError(f"{path}: expected at most {max_bytes} bytes, got more; raise --max-bytes if you trust the file")
    if not content:
        raise FileError(f"{path}: expected a document, got an empty file")
    return content


def _unique_fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"field {twice[:60]!r} stands twice in one object")
    return fields


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON number")


def _parse_json(text: str, source: str, where: str = "") -> dict[str, Any]:
    try:
        document = json.loads(text, object_pairs_hook=_unique_fields, parse_constant=_no_constant)
    except RecursionError as error:
        raise FileError(f"{source}: {where}nested too deeply") from error
    except ValueError as error:
        raise FileError(f"{source}: {where}not valid JSON: {error}") from error
    if not isinstance(document, dict):
        raise FileError(f"{source}: {where}expected a JSON object, got {type(document).__name__}")
    return document


def _from_json(content: bytes, source: str) -> dict[str, Any]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileError(f"{source}: expected UTF-8 text, NPZ or safetensors, got byte {error.start} amiss") from error
    return _parse_json(text, source)


def _from_npz(content: bytes, source: str, max_bytes: int) -> dict[str, Any]:
    """The arrays of an archive, each member's size and header checked before its numbers are touched."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            claimed = sum(member.file_size for member in members)
            if claimed > max_bytes:
                raise FileError(f"{source}: unpacks to {claimed} bytes, more than the {max_bytes} allowed")
            names = [member.filename for member in members]
            if len(set(names)) != len(names):
                raise FileError(f"{source}: the archive holds an array twice")
            arrays = {
                member.filename.removesuffix(".npy"): _npy_array(archive, member, source) for member in members
            }
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, EOFError, OSError, RuntimeError) as error:
        raise FileError(f"{source}: not a readable NPZ archive: {error}") from error
    except ValueError as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"{source}: not a readable NPZ archive: {error}") from error
    header = arrays.pop("header", None)
    if header is None or header.ndim != 0 or header.dtype.kind != "U":
        raise FileError(f"{source}: expected the JSON fields as a text array named header")
    return _nested(_parse_json(str(header), source, "header: "), arrays, source)
