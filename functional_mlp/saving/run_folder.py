"""Folders that runs are saved in: whose a folder is, and that one process at a time writes to it.

An index file, replaced whole, describes the run: what would change its results, as JSON. A folder of another run is
refused, with what differs.
"""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from functional_mlp.files import write_bytes

try:
    import fcntl
except ImportError:  # Windows: two runs in one folder are not noticed there
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"


@contextlib.contextmanager
def only_one(directory: Path) -> Iterator[None]:
    """Makes `directory`, and has it for this process alone, which lets go of it even when it is killed.

    Raises:
        OSError: if it cannot be made, or written.
        ValueError: if another process has it.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        if fcntl is not None and os.access(directory, os.W_OK):  # nobody writes to another
            file = stack.enter_context((directory / LOCK).open("a"))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ValueError(
                    f"expected a directory that no other run is writing to, got {directory}; wait until that one has"
                    " ended, or name another directory"
                ) from None
        yield


def claimed(directory: Path, name: str, kind: tuple[str, int], description: Mapping[str, Any], **new: Any) -> Any:
    """What the index `name` of a folder holds; a folder with nothing in it gets one, with the fields `new`.

    Raises:
        OSError: if it cannot be read or written.
        ValueError: if the folder holds another run (and what differs), or something else.
    """
    index = directory / name
    if not index.exists():
        if not is_new(directory):
            noun = kind[0].rpartition("/")[2]
            raise ValueError(
                f"expected a new directory, an empty one, or one of a {noun}, got {directory}; name another one"
            )
        write_index(index, kind, description, **new)
    return read_index(index, kind, description)


def is_new(directory: Path) -> bool:
    """Whether there is nothing in it yet, but for hidden files such as a system's own."""
    return all(entry.name.startswith(".") for entry in directory.iterdir())


def write_index(index: Path, kind: tuple[str, int], description: Mapping[str, Any], **more: Any) -> None:
    """Writes the index of a folder: format and version, what `read_index` compares, and more fields."""
    content = {"format": kind[0], "version": kind[1], **more, "run": description}
    write_bytes(index, (json.dumps(content, indent=1) + "\n").encode())


def read_index(index: Path, kind: tuple[str, int], description: Mapping[str, Any]) -> dict[str, Any]:
    """What `write_index` wrote, if it is about the run that `description` describes.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is of another run, and what differs; or no such file.
    """
    try:
        content = dict(json.loads(index.read_text()))
        found = (content["format"], content["version"])
        recorded = dict(content["run"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"expected {index} to be the index of a run, got {error!r}") from error
    if found != kind:
        raise ValueError(f"expected {index} of format {kind[0]!r}, version {kind[1]}, got {found}")
    asked = json.loads(json.dumps(description))
    different = [name for name in {**asked, **recorded} if asked.get(name) != recorded.get(name)]
    if different:
        name = different[0]
        raise ValueError(
            f"expected the run that {index.parent} holds, got another {name}: {asked.get(name)} instead of"
            f" {recorded.get(name)}; name another directory"
        )
    return content
