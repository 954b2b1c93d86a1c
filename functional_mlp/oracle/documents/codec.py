"""Documents as bytes: JSON, NPZ and safetensors, in and out, bit for bit, from whoever sent them.

A document is the same set of fields in every format. In JSON it is one object. In NPZ and safetensors every array of
numbers is an array of its own (`params.0.weights`, `inputs`), and the fields that are no arrays are JSON text under
`header`. What the fields mean is not known here.

Files come from strangers: nothing is unpickled, sizes are bounded before memory is taken (`max_bytes`, also of what an
archive unpacks to and of what an array's header claims), and whatever is wrong becomes one `FileError` with one
sentence that names the file and the place.

A number in JSON stands for the float64 nearest to it, however it is spelled: 0.1, 1e23, 9223372036854776000, -0. So
do numbers as other languages spell them (`spelling.py`), where a text is else no JSON.
"""

import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from functional_mlp._dtypes import DTYPES, SAFETENSORS_NAMES
from functional_mlp.files import FileError, npz_arrays, text_of
from functional_mlp.oracle.documents.spelling import as_json

# Memory peaks below this times the size of the worst JSON file (empty objects in each other; numbers alone take some 10
# times their text), and at some 3 times the unpacked size of a binary one (7 times for thousands of empty arrays).
JSON_MEMORY = 48
MAX_DEPTH = 8  # of JSON; a document needs 5


# reading


def _unique_fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        names: set[str] = set()
        twice = next(name for name, _ in pairs if name in names or names.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f"field {twice[:60]!r} stands twice in one object")
    return fields


class _NotFiniteError(ValueError):
    """NaN or an infinity, where there may be none."""


def _no_constant(text: str) -> Any:
    raise _NotFiniteError(f"{text} is no JSON number")


def _integer(text: str) -> int | float:
    # every int below 10^15 is a float64; a longer one is a decimal like any other, and -0 has a sign
    return int(text) if len(text) <= 15 and text != "-0" else float(text)


def _loaded(text: str, not_finite: bool) -> tuple[Any, str]:
    """What a text holds, and the text as JSON: with its numbers spelled so, if they were not.

    Raises:
        ValueError: for what is no JSON even then, in the words about the text as it came.
    """

    def load(text: str) -> Any:
        constant = float if not_finite else _no_constant
        return json.loads(text, object_pairs_hook=_unique_fields, parse_constant=constant, parse_int=_integer)

    try:
        return load(text), text
    except _NotFiniteError:
        raise
    except ValueError as error:
        mended = as_json(text)
        if mended.first is None:
            raise
        try:
            return load(mended.text), mended.text
        except _NotFiniteError:
            raise
        except ValueError:
            raise error from None


def parse_json(text: str, source: str, not_finite: bool = False) -> tuple[dict[str, Any], str]:
    """The object that a JSON text holds, and the text, with its numbers spelled as in JSON.

    Raises:
        FileError: if it is no sound JSON, or no object.
    """
    try:
        document, text = _loaded(text, not_finite)
    except RecursionError as error:
        raise FileError(f"{source}: nested too deeply") from error
    except ValueError as error:
        raise FileError(f"{source}: not valid JSON: {error}") from error
    if not isinstance(document, dict):
        raise FileError(f"{source}: expected a JSON object, got {type(document).__name__}")
    for field, value in document.items():
        if not _is_shallow(value, MAX_DEPTH):
            raise FileError(f"{source}: {field[:60]}: nested too deeply")
    return document, text


def _is_shallow(value: Any, depth: int) -> bool:
    """Whether at most `depth` lists and objects are nested in each other."""
    if not isinstance(value, list | dict):
        return True
    items = value.values() if isinstance(value, dict) else value
    if {list, dict}.isdisjoint(map(type, items)):
        return depth > 0
    return depth > 1 and all(_is_shallow(item, depth - 1) for item in items)


def _from_npz(content: bytes, source: str, max_bytes: int, not_finite: bool) -> dict[str, Any]:
    arrays = npz_arrays(content, source, max_bytes, texts=["header"])
    header = arrays.pop("header", None)
    try:  # str() of an array that holds no Unicode is a SystemError
        text = None if header is None else header.astype("<U").tobytes().decode("utf-32-le").rstrip("\0")
    except UnicodeDecodeError as error:
        raise FileError(f"{source}: not a readable NPZ archive: its header is no text: {error}") from error
    if text is None:
        raise FileError(f"{source}: expected the fields that are no arrays as JSON text, in an array named header")
    return _nested(parse_json(text, f"{source}: header", not_finite)[0], arrays, source)


def _from_safetensors(content: bytes, source: str, not_finite: bool) -> dict[str, Any]:
    arrays, metadata = tensors_of(content, source, {name: DTYPES[dtype] for dtype, name in SAFETENSORS_NAMES.items()})
    if "header" not in metadata:
        raise FileError(f"{source}: expected the fields that are no arrays as JSON text, in the metadata named header")
    return _nested(parse_json(metadata["header"], f"{source}: header", not_finite)[0], arrays, source)


def tensors_of(
    content: bytes, source: str, dtypes: Mapping[str, np.dtype]
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays of a safetensors file, and its metadata.

    Args:
        content: of the file.
        source: its name, for messages.
        dtypes: that its arrays may have, by the names of safetensors.

    Raises:
        FileError: if it is none.
    """
    try:
        tensors = safetensors.deserialize(content)
        header_size = int.from_bytes(content[:8], "little")
        metadata = json.loads(content[8 : 8 + header_size]).get("__metadata__") or {}
    except (safetensors.SafetensorError, ValueError, RecursionError) as error:
        raise FileError(f"{source}: not a readable safetensors file: {error}") from error
    arrays = {}
    for name, tensor in tensors:
        where = f"{source}: array {name[:60]!r}"
        dtype = dtypes.get(tensor["dtype"])
        if dtype is None:
            raise FileError(f"{where}: expected one of {', '.join(dtypes)}, got {tensor['dtype']}")
        try:
            arrays[name] = np.frombuffer(tensor["data"], dtype).reshape(tensor["shape"])
        except (ValueError, OverflowError) as error:  # no numbers, but along another axis more than NumPy can count
            raise FileError(f"{where}: its header claims shape {tensor['shape']}, which is no possible one") from error
    return arrays, metadata


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


def format_of(content: bytes) -> str:
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
    match format_of(content):
        case "npz":
            return _from_npz(content, source, max_bytes, not_finite)
        case "safetensors":
            return _from_safetensors(content, source, not_finite)
        case _:
            return parse_json(text_of(content, source), source, not_finite)[0]


def decode_text(content: bytes, source: str, max_bytes: int, not_finite: bool) -> tuple[dict[str, Any], str]:
    """`decode`, and the text that the document is, with its numbers spelled as in JSON; "" for a binary one."""
    if format_of(content) != "json":
        return decode(content, source, max_bytes, not_finite), ""
    return parse_json(text_of(content, source), source, not_finite)


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
    if not isinstance(value, np.ndarray | np.generic):
        return value
    return value.tolist() if value.dtype.kind in "iu" else np.asarray(value, np.float64).tolist()


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
