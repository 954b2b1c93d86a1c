"""NPZ archives from strangers: every member's size and header is checked before its numbers are touched."""

import io
import math
import warnings
import zipfile
from collections.abc import Collection
from typing import Any

import numpy as np

from functional_mlp.files.untrusted import FileError


def npz_arrays(
    content: bytes, source: str, max_bytes: int, texts: Collection[str] = (), *, booleans: bool = False
) -> dict[str, np.ndarray]:
    """The arrays of an NPZ archive, each member's size and header checked before its numbers are touched.

    Args:
        content: of the file.
        source: what to call it.
        max_bytes: that it may unpack to.
        texts: names of arrays that are one text each; all others hold real numbers.
        booleans: whether these may be booleans too.

    Raises:
        FileError: if it is none.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            claimed = sum(member.file_size for member in members)
            if claimed > max_bytes:
                raise FileError(f"{source}: unpacks to {claimed} bytes, more than the {max_bytes} allowed")
            arrays: dict[str, np.ndarray] = {}
            for member in members:
                name = member.filename.removesuffix(".npy")
                kinds = "U" if name in texts else "fiub" if booleans else "fiu"
                if name in arrays:
                    raise FileError(f"{source}: array {name[:60]!r} stands twice in the archive")
                arrays[name] = _npy_array(_unpacked(archive, member, source), name, source, kinds)
    except FileError:
        raise
    # zipfile says nowhere what it raises for torn archives: BadZipFile, EOFError, OverflowError, zlib.error, ...
    except Exception as error:
        raise FileError(f"{source}: not a readable NPZ archive: {error or type(error).__name__}") from error
    return arrays


def _unpacked(archive: zipfile.ZipFile, member: zipfile.ZipInfo, source: str) -> bytes:
    """A member's bytes: no more than it claims, since asked for all, zipfile unpacks before it cuts."""
    where = f"{source}: array {member.filename[:60]!r}"
    if member.flag_bits & 1:
        raise FileError(f"{where}: expected a member that is not encrypted")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise FileError(f"{where}: expected a member stored or deflated, got compression {member.compress_type}")
    with archive.open(member) as file:
        return file.read(member.file_size + 1)


def npy_header(file: Any) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, Fortran order and dtype that a .npy file begins with; FileError for another version."""
    version = np.lib.format.read_magic(file)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise FileError(f"expected .npy version 1.0 or 2.0, got {version[0]}.{version[1]}")
    return readers[version](file)


def _npy_array(content: bytes, name: str, source: str, kinds: str) -> np.ndarray:
    """One .npy array, of dtypes of some kinds, a single one if that is text; its header must claim what is there."""
    where = f"{source}: array {name[:60]!r}"
    file = io.BytesIO(content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            shape, fortran_order, dtype = npy_header(file)
    except FileError as error:
        raise FileError(f"{where}: {error}") from error
    except Exception as error:  # the header is a Python literal: RecursionError, MemoryError, tokenize's own, ...
        raise FileError(f"{where}: not a readable .npy array") from error
    if dtype.hasobject:
        raise FileError(f"{where}: holds Python objects, which are never unpickled")
    if kinds == "U" and (dtype.kind != "U" or shape != ()):
        raise FileError(f"{where}: expected one text, got dtype {dtype}")
    if dtype.kind not in kinds or dtype.subdtype:
        hint = "; NPZ has no bfloat16: use safetensors for it" if dtype == np.dtype("V2") else ""
        raise FileError(f"{where}: expected real numbers, got dtype {dtype}{hint}")
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != len(content) - file.tell():
        raise FileError(f"{where}: its header claims shape {shape}, which is not what the file holds")
    flat = np.frombuffer(content, dtype, offset=file.tell())
    return flat.reshape(shape, order="F" if fortran_order else "C")
