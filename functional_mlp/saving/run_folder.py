"""Folders that runs are saved in: whose a folder is, and that one process at a time writes to it.

An index file, replaced whole, has the run's fingerprint. A folder of another run is refused, with what differs; one
that would be gone on with to other bits is refused unless that is accepted.
"""

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from functional_mlp.files import write_bytes
from functional_mlp.saving.fingerprint import Fingerprint

try:
    import fcntl
except ImportError:  # Windows: two runs in one folder are not noticed there
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"
EVERY: float = 60.0
KEEP: int = 2
_RUN, _COMPUTERS = "run", "computed_by"  # fields of an index


@dataclass(frozen=True)
class Place:
    """Where and how a run is saved.

    Attributes:
        path: the folder.
        every: seconds after which another checkpoint is due.
        keep: how many checkpoints are kept.
        accept_other_bits: whether to go on with what was computed by another JAX, or on another kind of machine.
    """

    path: Path
    every: float = EVERY
    keep: int = KEEP
    accept_other_bits: bool = False


@dataclass(frozen=True)
class Index:
    """The file in a folder that says whose it is.

    Attributes:
        path: of the file.
        kind: format and version.
        content: of the file, as JSON has it.
    """

    path: Path
    kind: tuple[str, int]
    content: dict[str, Any]

    def write(self, **fields: Any) -> "Index":
        """The index with these fields changed, after it was written."""
        content = {"format": self.kind[0], "version": self.kind[1], **self.content, **fields}
        write_bytes(self.path, (json.dumps(content, indent=1) + "\n").encode())
        return Index(self.path, self.kind, content)


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


def claimed(path: Path, kind: tuple[str, int], fingerprint: Fingerprint, **new: Any) -> Index:
    """The index `path` of a run's folder; a folder with nothing in it gets one, with the fields `new`.

    Raises:
        OSError: if it cannot be read or written.
        ValueError: if the folder holds another run (and what differs), or something else.
    """
    if not path.exists():
        if not is_new(path.parent):
            noun = kind[0].rpartition("/")[2]
            raise ValueError(
                f"expected a new directory, an empty one, or one of a {noun}, got {path.parent}; name another one"
            )
        fields = {_RUN: dict(fingerprint.run), _COMPUTERS: [dict(fingerprint.computed_by)]}
        Index(path, kind, new | fields).write()
    return read_index(path, kind, fingerprint)


def is_new(directory: Path) -> bool:
    """Whether there is nothing in it yet, but for hidden files such as a system's own."""
    return all(entry.name.startswith(".") for entry in directory.iterdir())


def read_index(path: Path, kind: tuple[str, int], fingerprint: Fingerprint) -> Index:
    """The index of a folder, if it is about the run that has this fingerprint.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is of another run, and what differs; or no such file.
    """
    try:
        content = dict(json.loads(path.read_text()))
        found = (content["format"], content["version"])
        recorded = dict(content[_RUN])
        if found == kind:
            computers = [dict(computer) for computer in content[_COMPUTERS]]
            _ = computers[-1]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise ValueError(f"expected {path} to be the index of a run, got {error!r}") from error
    if found != kind:
        raise ValueError(
            f"expected {path} of format {kind[0]!r}, version {kind[1]}, got {found}; go on with the release of"
            " functional-mlp that wrote it, or name another directory"
        )
    asked = Fingerprint(json.loads(json.dumps(dict(fingerprint.run))), fingerprint.computed_by)
    different = asked.other_run(recorded, computers)
    if different is not None:
        raise ValueError(f"expected the run that {path.parent} holds, got {different}; name another directory")
    return Index(path, kind, content)


def gone_on(index: Index, fingerprint: Fingerprint, accept_other_bits: bool) -> Index:
    """The index of a run that is gone on with, in which what computes it from now on is recorded.

    Raises:
        OSError: if it cannot be written.
        ValueError: if bits may differ from now on, and that is not accepted.
    """
    computers = index.content[_COMPUTERS]
    different = fingerprint.other_bits(computers[-1])
    if different is None:
        return index
    if not accept_other_bits:
        raise ValueError(
            f"expected to go on with what computed the run in {index.path.parent}, got {different}; results may differ"
            " in their last bits: to go on all the same, say accept_other_bits=True (--accept-other-bits)"
        )
    return index.write(**{_COMPUTERS: [*computers, dict(fingerprint.computed_by)]})
