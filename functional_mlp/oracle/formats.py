"""Documents as bytes: JSON, NPZ and safetensors, in and out, bit for bit, from whoever sent them.

A document is the same set of fields in every format. In JSON it is one object. In NPZ and safetensors every array of
numbers is an array of its own (`params.0.weights`, `inputs`), and the fields that are no arrays are JSON text under
`header`. What the fields mean is not known here (`files.py`).

Files come from strangers: nothing is unpickled, sizes are bounded before memory is taken (`max_bytes`, also of what an
archive unpacks to and of what an array's header claims), and whatever is wrong becomes one `FileError` with one
sentence that names the file and the place.

A number in JSON stands for the float64 nearest to it, however it is spelled: 0.1, 1e23, 9223372036854776000, -0.
"""

import io
import json
import math
import os
import stat
import sys
import warnings
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from functional_mlp.oracle.case import DTYPES

MAX_BYTES = 64 * 2**20
# Memory peaks below this times the size of the worst JSON file (empty objects in each other; numbers alone take some 10
# times their text), and at some 3 times the unpacked size of a binary one (7 times for thousands of empty arrays).
JSON_MEMORY = 48
MAX_DEPTH = 8  # of JSON; a document needs 5
MAX_SENTENCE = 390
Path_ = str | os.PathLike[str]


class FileError(ValueError):
    """A file that cannot be read as what was asked for, or not be written; its one sentence says why and where.

    The sentence is printable and short whatever a file's name and content put into it.
    """

    def __init__(self, sentence: str) -> None:
        line = "".join(char if char.isprintable() else "?" for char in sentence[:10_000])
        half = MAX_SENTENCE // 2
        super().__init__(line if len(line) <= MAX_SENTENCE else f"{line[:half]} … {line[-half:]}")


# reading


def read_bytes(path: Path_, max_bytes: int) -> bytes:
    """The content of a regular file (symbolic links followed) of at most `max_bytes`."""
    if str(path) == "-":
        content = sys.stdin.buffer.read(max_bytes + 1)
    else:
        try:
            with open(path, "rb", opener=_open_at_once) as file:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode):
                    raise FileError(f"{path}: expected a regular file, got a pipe or a device")
                _require_at_most(max_bytes, status.st_size, path)
                content = file.read(status.st_size)
        except OSError as error:
            raise FileError(f"{path}: {error.strerror or error}") from error
        except ValueError as error:  # a NUL in the name
            raise error if isinstance(error, FileError) else FileError(f"{path}: {error}") from error
    _require_at_most(max_bytes, len(content), path)
    if not content:
        raise FileError(f"{path}: expected a document, got an empty file")
    return content


def _require_at_most(max_bytes: int, size: int, path: Path_) -> None:
    if size > max_bytes:
        raise FileError(
            f"{path}: expected at most {max_bytes} bytes, got more; raise --max-bytes if you trust the file"
        )


def _open_at_once(path: str, flags: int) -> int:
    # without O_NONBLOCK, opening a FIFO would wait for somebody to write
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _unique_fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f"field {twice[:60]!r} stands twice in one object")
    return fields


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON number")


def _integer(text: str) -> int | float:
    # every int below 10^15 is a float64; a longer one is a decimal like any other, and -0 has a sign
    return int(text) if len(text) <= 15 and text != "-0" else float(text)


def _parse_json(text: str, source: str, not_finite: bool = False) -> dict[str, Any]:
    constant = float if not_finite else _no_constant
    try:
        document = json.loads(text, object_pairs_hook=_unique_fields, parse_constant=constant, parse_int=_integer)
    except RecursionError as error:
        raise FileError(f"{source}: nested too deeply") from error
    except ValueError as error:
        raise FileError(f"{source}: not valid JSON: {error}") from error
    if not isinstance(document, dict):
        raise FileError(f"{source}: expected a JSON object, got {type(document).__name__}")
    for field, value in document.items():
        if not _is_shallow(value, MAX_DEPTH):
            raise FileError(f"{source}: {field[:60]}: nested too deeply")
    return document


def _is_shallow(value: Any, depth: int) -> bool:
    """Whether at most `depth` lists and objects are nested in each other."""
    if not isinstance(value, list | dict):
        return True
    items = value.values() if isinstance(value, dict) else value
    if {list, dict}.isdisjoint(map(type, items)):
        return depth > 0
    return depth > 1 and all(_is_shallow(item, depth - 1) for item in items)


def text_of(content: bytes, source: str) -> str:
    """The text of a JSON file; a byte order mark before it is left out. Raises FileError if it is not UTF-8."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileError(f"{source}: expected UTF-8 text, NPZ or safetensors, got byte {error.start} amiss") from error


def _from_npz(content: bytes, source: str, max_bytes: int, not_finite: bool) -> dict[str, Any]:
    """The arrays of an archive, each member's size and header checked before its numbers are touched."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            claimed = sum(member.file_size for member in members)
            if claimed > max_bytes:
                raise FileError(f"{source}: unpacks to {claimed} bytes, more than the {max_bytes} allowed")
            arrays: dict[str, np.ndarray] = {}
            for member in members:
                name = member.filename.removesuffix(".npy")
                if name in arrays:
                    raise FileError(f"{source}: array {name[:60]!r} stands twice in the archive")
                arrays[name] = _npy_array(_unpacked(archive, member, source), name, source)
            header = arrays.pop("header", None)
            # str() of an array that holds no Unicode is a SystemError
            text = None if header is None else header.astype("<U").tobytes().decode("utf-32-le").rstrip("\0")
    except FileError:
        raise
    # zipfile says nowhere what it raises for torn archives: BadZipFile, EOFError, OverflowError, zlib.error, ...
    except Exception as error:
        raise FileError(f"{source}: not a readable NPZ archive: {error or type(error).__name__}") from error
    if text is None:
        raise FileError(f"{source}: expected the fields that are no arrays as JSON text, in an array named header")
    return _nested(_parse_json(text, f"{source}: header", not_finite), arrays, source)


def _unpacked(archive: zipfile.ZipFile, member: zipfile.ZipInfo, source: str) -> bytes:
    """A member's bytes: no more than it claims, since asked for all, zipfile unpacks before it cuts."""
    where = f"{source}: array {member.filename[:60]!r}"
    if member.flag_bits & 1:
        raise FileError(f"{where}: expected a member that is not encrypted")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise FileError(f"{where}: expected a member stored or deflated, got compression {member.compress_type}")
    with archive.open(member) as file:
        return file.read(member.file_size + 1)


def _npy_array(content: bytes, name: str, source: str) -> np.ndarray:
    """One .npy array; what its header claims must be what is there."""
    where = f"{source}: array {name[:60]!r}"
    file = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(file)
        if version not in _NPY_HEADERS:
            raise FileError(f"{where}: expected .npy version 1.0 or 2.0, got {version[0]}.{version[1]}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            shape, fortran_order, dtype = _NPY_HEADERS[version](file)
    except FileError:
        raise
    except Exception as error:  # the header is a Python literal: RecursionError, MemoryError, tokenize's own, ...
        raise FileError(f"{where}: not a readable .npy array") from error
    if dtype.hasobject:
        raise FileError(f"{where}: holds Python objects, which are never unpickled")
    if name == "header" and (dtype.kind != "U" or shape != ()):
        raise FileError(f"{where}: expected the fields that are no arrays as JSON text, got dtype {dtype}")
    if name != "header" and (dtype.kind not in "fiu" or dtype.subdtype):
        raise FileError(f"{where}: expected real numbers, got dtype {dtype}")
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != len(content) - file.tell():
        raise FileError(f"{where}: its header claims shape {shape}, which is not what the file holds")
    flat = np.frombuffer(content, dtype, offset=file.tell())
    return flat.reshape(shape, order="F" if fortran_order else "C")


_NPY_HEADERS: dict[tuple[int, int], Any] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def _from_safetensors(content: bytes, source: str, not_finite: bool) -> dict[str, Any]:
    try:
        tensors = safetensors.deserialize(content)
        header_size = int.from_bytes(content[:8], "little")
        metadata = json.loads(content[8 : 8 + header_size]).get("__metadata__") or {}
    except (safetensors.SafetensorError, ValueError, RecursionError) as error:
        raise FileError(f"{source}: not a readable safetensors file: {error}") from error
    dtypes = {name: dtype for dtype, name in _SAFETENSORS_NAMES.items()}
    arrays = {}
    for name, tensor in tensors:
        where = f"{source}: array {name[:60]!r}"
        dtype = dtypes.get(tensor["dtype"])
        if dtype is None:
            raise FileError(f"{where}: expected one of {', '.join(dtypes)}, got {tensor['dtype']}")
        try:
            arrays[name] = np.frombuffer(tensor["data"], DTYPES[dtype]).reshape(tensor["shape"])
        except (ValueError, OverflowError) as error:  # no numbers, but along another axis more than NumPy can count
            raise FileError(f"{where}: its header claims shape {tensor['shape']}, which is no possible one") from error
    if "header" not in metadata:
        raise FileError(f"{source}: expected the fields that are no arrays as JSON text, in the metadata named header")
    return _nested(_parse_json(metadata["header"], f"{source}: header", not_finite), arrays, source)


_SAFETENSORS_NAMES = {"float64": "F64", "float32": "F32", "bfloat16": "BF16", "float16": "F16"}


def _nested(fields: dict[str, Any], arrays: dict[str, np.ndarray], source: str) -> dict[str, Any]:
    """`fields` with the flat `arrays` (`inputs`, `params.0.weights`, `deltas.1`) put in their places."""
    document = dict(fields)
    lists: dict[str, dict[int, Any]] = {}
    for name, array in arrays.items():
        where = f"{source}: array {name[:60]!r}"
        field, *rest = name.split(".")
        if not rest:
            if field in document:
                raise FileError(f"{where} stands twice, in the header and as an array")
            document[field] = array
            continue
        number = int(rest[0]) if rest[0].isdecimal() and len(rest[0]) <= 6 else -1
        if rest[0] != str(number) or len(rest) > 2:
            raise FileError(f"{where}: expected a name such as inputs or params.0.weights")
        entries = lists.setdefault(field, {})
        entry = entries.setdefault(number, array if len(rest) == 1 else {})
        if isinstance(entry, dict) == (len(rest) == 1):
            raise FileError(f"{where} stands beside an array {field[:60]}.{number}")
        if len(rest) == 2:
            entry[rest[1]] = array
    for field, entries in lists.items():
        if field in document:
            raise FileError(f"{source}: field {field[:60]!r} stands twice, as one and as a list of arrays")
        missing = next((i for i in range(len(entries)) if i not in entries), None)
        if missing is not None:
            raise FileError(f"{source}: field {field[:60]!r}: expected entry {missing} before entry {max(entries)}")
        document[field] = [entries[i] for i in range(len(entries))]
    return document


def kind_of(content: bytes) -> str:
    """Which of the formats a file begins like: "npz", "safetensors" or "json"."""
    if content[:2] == b"PK":
        return "npz"
    # the length of a header, of less than 2^56 bytes
    return "safetensors" if content[8:9] == b"{" and b"\0" in content[:8] else "json"


def decode(content: bytes, source: str, max_bytes: int, not_finite: bool) -> dict[str, Any]:
    """The fields of a document, arrays as NumPy arrays or (from JSON) nested lists.

    Args:
        content: a whole file, in whichever of the formats it begins like.
        source: its name, for messages.
        max_bytes: the most that an archive may unpack to.
        not_finite: whether JSON may hold NaN and infinities, as Python writes them.

    Raises:
        FileError: if it is no sound file of its format.
    """
    match kind_of(content):
        case "npz":
            return _from_npz(content, source, max_bytes, not_finite)
        case "safetensors":
            return _from_safetensors(content, source, not_finite)
        case _:
            return _parse_json(text_of(content, source), source, not_finite)


# writing


def encode(document: dict[str, Any], suffix: str, dtype: str, source: str) -> bytes:
    """A document as the bytes of a file.

    Args:
        document: fields, with NumPy arrays of float64.
        suffix: .json, .npz or .safetensors.
        dtype: the arrays' dtype in the binary formats, in which they must be representable.
        source: the file's name, for messages.

    Raises:
        FileError: for another suffix, bfloat16 in NPZ, or numbers that JSON has not.
    """
    if suffix == ".json":
        return (_dumped(document, source) + "\n").encode()
    if suffix in (".npz", ".safetensors"):
        return _binary(document, dtype, suffix, source)
    raise FileError(
        f"{source}: expected a name that ends in .json, .npz or .safetensors, got {suffix or 'no suffix'!r}"
    )


def _dumped(fields: dict[str, Any], source: str) -> str:
    try:
        return json.dumps(_listed(fields), allow_nan=False)
    except ValueError as error:
        raise FileError(f"{source}: expected finite numbers, which alone JSON has, got others") from error


def _listed(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _listed(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_listed(item) for item in value]
    return np.asarray(value, np.float64).tolist() if isinstance(value, np.ndarray | np.generic) else value


def _binary(document: dict[str, Any], dtype: str, suffix: str, source: str) -> bytes:
    if suffix == ".npz" and dtype == "bfloat16":
        raise FileError(f"{source}: NPZ has no bfloat16; use .safetensors or .json")
    header: dict[str, Any] = {}
    arrays: dict[str, np.ndarray] = {}
    for field, value in document.items():
        flat = dict(_flat(field, value)) if isinstance(value, np.ndarray | list | tuple) else {}
        if not flat:
            header[field] = value
        arrays |= {name: np.asarray(array, DTYPES[dtype], order="C") for name, array in flat.items()}
    text = _dumped(header, source)
    if suffix == ".safetensors":
        return safetensors.numpy.save(arrays, metadata={"header": text})
    file = io.BytesIO()
    np.savez(file, header=np.array(text), **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def _flat(name: str, value: Any) -> Iterator[tuple[str, np.ndarray]]:
    """Arrays below a field, by their flat names."""
    if isinstance(value, np.ndarray):
        yield name, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _flat(f"{name}.{key}", item)
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value):
            yield from _flat(f"{name}.{i}", item)
