"""Files from strangers: bounded sizes, nothing unpickled, and one sentence for whatever is wrong with one."""

import os
import stat
import sys
import tomllib
from typing import Any

MAX_BYTES = 64 * 2**20
MAX_BYTES_OF_A_TABLE = 256 * 2**20
MAX_SENTENCE = 390
Path_ = str | os.PathLike[str]


class FileError(ValueError):
    """A file that cannot be read as what was asked for, or not be written; its one sentence says why and where.

    The sentence is printable and short whatever a file's name and content put into it.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__(one_line(sentence))


def one_line(sentence: str) -> str:
    """A sentence as it can be shown, whatever strangers put into it: printable, not longer than `MAX_SENTENCE`."""
    line = "".join(char if char.isprintable() else "?" for char in sentence[:10_000])
    half = MAX_SENTENCE // 2
    return line if len(line) <= MAX_SENTENCE else f"{line[:half]} … {line[-half:]}"


def read_bytes(path: Path_, max_bytes: int) -> bytes:
    """The content of a regular file (symbolic links followed) of at most `max_bytes`."""
    if str(path) == "-":
        if sys.stdin is None:
            raise FileError("-: expected a document on standard input, got a closed one")
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
        raise FileError(
            f"{source}: expected UTF-8 text, NPZ or safetensors, got byte {error.start} amiss; save a text as UTF-8"
        ) from error


def read_toml(path: Path_, max_bytes: int) -> dict[str, Any]:
    """What a TOML file says; raises FileError for a file that cannot be read, is too large, or is none."""
    try:
        return tomllib.loads(text_of(read_bytes(path, max_bytes), str(path)))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise FileError(f"{path}: expected TOML, got {error}") from error
