"""Case, gradients, update and solution documents: JSON, NPZ and safetensors, in and out, bit for bit.

A document is the same set of fields in every format. In JSON it is one object. In NPZ and safetensors every array of
numbers is an array of its own (`params.0.weights`, `inputs`), and the fields that are no arrays are JSON text under
`header`. The JSON Schemas beside this module (`schemas/`) say which fields there are.

Files come from strangers: nothing is unpickled, sizes are bounded before memory is taken (`max_bytes`, also of what an
archive unpacks to and of what an array's header claims), and whatever is wrong becomes one `FileError` with one
sentence that names the file and the field.

A number in JSON stands for the float64 nearest to it, however it is spelled: 0.1, 1e23, 9223372036854776000, -0.
Gradients and updates may hold NaN and infinities (as Python writes them): whether they are right is for the oracle to
judge. Cases may not.
"""

import dataclasses
import difflib
import io
import json
import math
import os
import stat
import sys
import warnings
import zipfile
from collections.abc import Iterator
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import numpy as np
import safetensors
import safetensors.numpy

from functional_mlp._atomic import write_bytes
from functional_mlp.activations import FACTORIES, resolve
from functional_mlp.losses import Loss
from functional_mlp.network import Network
from functional_mlp.oracle.case import DTYPES, Case, declared_layer

MAX_BYTES = 256 * 2**20
JSON_MEMORY = 32  # memory peaks below this times the size of a JSON file, and some 3 times that of a binary one
MAX_DEPTH = 8  # of JSON; a document needs 5
MAX_ENTRIES = 1001  # of a list that the schemas look at: one more than they allow
MAX_SENTENCE = 390
VERSION = 1
KINDS = ("case", "gradients", "update", "solution")
Path_ = str | os.PathLike[str]


class FileError(ValueError):
    """A file that cannot be read as what was asked for, or not be written; its one sentence says why and where.

    The sentence is printable and short whatever a file's name and content put into it.
    """

    def __init__(self, sentence: str) -> None:
        line = "".join(char if char.isprintable() else "?" for char in sentence[:10_000])
        half = MAX_SENTENCE // 2
        super().__init__(line if len(line) <= MAX_SENTENCE else f"{line[:half]} … {line[-half:]}")


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
    if content[:2] == b"PK":
        document = _from_npz(content, source, max_bytes)
    elif content[8:9] == b"{" and b"\0" in content[:8]:  # the length of a header, of less than 2^56 bytes
        document = _from_safetensors(content, source)
    else:
        document = _from_json(content, source, not_finite=kind in ("gradients", "update"))
    check_schema(document, kind, source)
    return document


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
                # one that is too large is not read at all, one that grows meanwhile no further than it was
                content = b"" if status.st_size > max_bytes else file.read(status.st_size)
        except OSError as error:
            raise FileError(f"{path}: {error.strerror or error}") from error
        except ValueError as error:  # a NUL in the name
            raise error if isinstance(error, FileError) else FileError(f"{path}: {error}") from error
    if len(content) > max_bytes:
        raise FileError(
            f"{path}: expected at most {max_bytes} bytes, got more; raise --max-bytes if you trust the file"
        )
    if not content:
        raise FileError(f"{path}: expected a document, got an empty file")
    return content


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


def _from_json(content: bytes, source: str, not_finite: bool) -> dict[str, Any]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileError(f"{source}: expected UTF-8 text, NPZ or safetensors, got byte {error.start} amiss") from error
    return _parse_json(text, source, not_finite)


def _from_npz(content: bytes, source: str, max_bytes: int) -> dict[str, Any]:
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
    except FileError:
        raise
    # zipfile says nowhere what it raises for torn archives: BadZipFile, EOFError, OverflowError, zlib.error, ...
    except Exception as error:
        raise FileError(f"{source}: not a readable NPZ archive: {error or type(error).__name__}") from error
    header = arrays.pop("header", None)
    if header is None:
        raise FileError(f"{source}: expected the fields that are no arrays as JSON text, in an array named header")
    return _nested(_parse_json(str(header), f"{source}: header"), arrays, source)


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


def _from_safetensors(content: bytes, source: str) -> dict[str, Any]:
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
    return _nested(_parse_json(metadata["header"], f"{source}: header"), arrays, source)


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


# schemas


@cache
def validator(kind: str) -> Any:
    """The JSON Schema validator of one kind of document."""
    text = resources.files("functional_mlp.oracle").joinpath(f"schemas/{kind}.schema.json").read_text()
    return jsonschema.Draft202012Validator(json.loads(text))


def check_schema(document: dict[str, Any], kind: str, source: str) -> None:
    """Raises FileError unless the document is of this kind, version and form; the sentence names the field."""
    form, version = document.get("format"), document.get("version")
    if not isinstance(form, str) or form != f"functional-mlp/{kind}":
        raise FileError(f"{source}: expected format 'functional-mlp/{kind}', got {_short(form)}")
    if type(version) not in (int, float) or version != VERSION:
        raise FileError(f"{source}: expected version {VERSION}, got {_short(version)}")
    error = jsonschema.exceptions.best_match(validator(kind).iter_errors(_without_numbers(document)))
    if error is not None:
        place = ".".join(map(str, error.absolute_path))
        raise FileError(f"{source}: {f'{place[:120]}: ' if place else ''}{_sentence(error)}")


def _sentence(error: Any) -> str:
    """A schema's objection in our words; those of jsonschema repeat whole documents."""
    got, wanted = error.instance, error.validator_value
    if {"then", "else"} & set(error.relative_schema_path) and "description" in error.schema:
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
    if isinstance(value, np.generic):
        return value.item()
    return [] if isinstance(value, list | tuple | np.ndarray) else value


# documents and what they mean


def case_of(document: dict[str, Any], source: str) -> Case:
    """The case that a checked document describes; errors as `read_case`."""
    try:
        sizes, activations = document["network"]["sizes"], document["network"]["activations"]
        loss = document.get("loss")
        arrays = {name: document.get(name) for name in ("targets", "ct_outputs", "sample_weights")}
        return Case(
            network=Network(sizes, activations),
            loss=None if loss is None else Loss(**loss),
            params=document["params"],
            inputs=document["inputs"],
            name=document.get("name", ""),
            dtype=document["dtype"],
            weights_layout=document.get("weights_layout", "in_out"),
            bias_layout=document.get("bias_layout", "separate"),
            **arrays,
        )
    except (TypeError, ValueError) as error:
        raise FileError(f"{source}: {error}") from error


def document_of(case: Case) -> dict[str, Any]:
    """A case as the document that `write_document` writes; parameters in the declared layouts."""
    fields: dict[str, Any] = {"format": "functional-mlp/case", "version": VERSION}
    if case.name:
        fields["name"] = case.name
    fields |= {"dtype": case.dtype, "network": network_fields(case.network)}
    if case.loss is not None:
        fields["loss"] = dataclasses.asdict(case.loss)
    for name, default in (("weights_layout", "in_out"), ("bias_layout", "separate")):
        if getattr(case, name) != default:
            fields[name] = getattr(case, name)
    fields["params"] = [declared_layer(layer, case.weights_layout, case.bias_layout) for layer in case.params]
    for name in ("inputs", "targets", "ct_outputs", "sample_weights"):
        if getattr(case, name) is not None:
            fields[name] = getattr(case, name)
    return fields


def network_fields(network: Network) -> dict[str, Any]:
    """A network as the field `network` of a document: an activation by its name, with the parameters it was given."""
    activations = []
    for activation in network.activations:
        name, given = activation.name, dict(activation.parameters)
        if name not in FACTORIES or resolve({"name": name, **given}) != activation:
            raise ValueError(f"expected built-in activations, which files can name, got {name!r}")
        activations.append(name if resolve(name) == activation else {"name": name, **given})
    return {"sizes": list(network.sizes), "activations": activations}


# writing


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
    suffix = Path(path).suffix
    check_schema(document, str(document.get("format")).removeprefix("functional-mlp/"), str(path))
    if str(path) == "-" or suffix == ".json":
        content = (_dumped(document, str(path)) + "\n").encode()
    elif suffix in (".npz", ".safetensors"):
        content = _binary(document, dtype, suffix, str(path))
    else:
        raise FileError(
            f"{path}: expected a name that ends in .json, .npz or .safetensors, got {suffix or 'no suffix'!r}"
        )
    if str(path) == "-":
        sys.stdout.buffer.write(content)
        return
    try:
        write_bytes(path, content)
    except OSError as error:
        raise FileError(f"{path}: {error.strerror or error}") from error


def write_case(path: Path_, case: Case) -> None:
    """Writes a case; errors as `write_document`, and for activations of your own, which files cannot name."""
    try:
        document = document_of(case)
    except ValueError as error:
        raise FileError(f"{path}: {error}") from error
    write_document(path, document, case.dtype)


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
        arrays |= {name: np.ascontiguousarray(array, DTYPES[dtype]) for name, array in flat.items()}
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
