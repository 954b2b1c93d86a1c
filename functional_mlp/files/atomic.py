"""Writing files all or nothing: to a temporary name beside the target, then renamed over it."""

import contextlib
import os
import secrets
import stat


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Writes `content` to the file that `path` names, through symbolic links; readers see the old file or the new.

    Raises:
        OSError: if the directory does not exist or cannot be written, or `path` names what is no regular file.
    """
    path = os.path.realpath(os.fsdecode(path))
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise OSError(f"expected a regular file or a new name to write to, got {path}")
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name}.{secrets.token_hex(4)}")
    try:
        with open(temporary, "xb") as file:  # x: never somebody else's file
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        _remove(temporary)
        raise type(error)(error.errno, error.strerror, path) from error
    except BaseException:
        _remove(temporary)
        raise


def _remove(temporary: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(temporary)
