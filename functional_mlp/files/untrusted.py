"""Files from strangers: bounded sizes, nothing unpickled, and one sentence for whatever is wrong with one."""

import io
import math
import os
import stat
import sys
import warnings
import zipfile
from collections.abc import Collection
from typing import Any

import numpy as np

MAX_BYTES = 64 * 2**20
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


def text_of(content: bytes, source: str) -> str:
    """The text of a JSON file; a byte order mark before it is left out. Raises FileError if it is not UTF-8."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileError(f"{source}: expected UTF-8 text, NPZ or safetensors, got byte {error.start} amiss") from error


def npz_arrays(content: bytes, source: str, max_bytes: int, texts: Collection[str] = ()) -> dict[str, np.ndarray]:
    """The arrays of an NPZ archive, each member's size and header checked before its numbers are touched.

    Args:
        content: of the file.
        source: what to call it.
        max_bytes: that it may unpack to.
        texts: names of arrays that are one text each; all others hold real numbers.

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
                if name in arrays:
                    raise FileError(f"{source}: array {name[:60]!r} stands twice in the archive")
                arrays[name] = _npy_array(_unpacked(archive, member, source), name, source, name in texts)
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


def _npy_array(content: bytes, name: str, source: str, is_text: bool) -> np.ndarray:
    """One .npy array; what its header claims must be what is there."""
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
    if is_text and (dtype.kind != "U" or shape != ()):
        raise FileError(f"{where}: expected one text, got dtype {dtype}")
    if not is_text and (dtype.kind not in "fiu" or dtype.subdtype):
        raise FileError(f"{where}: expected real numbers, got dtype {dtype}")
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != len(content) - file.tell():
        raise FileError(f"{where}: its header claims shape {shape}, which is not what the file holds")
    flat = np.frombuffer(content, dtype, offset=file.tell())
    return flat.reshape(shape, order="F" if fortran_order else "C")
