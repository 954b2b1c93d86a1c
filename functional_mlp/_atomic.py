"""Writing files all or nothing: to a temporary name beside the target, then renamed over it."""

import os
import tempfile


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Writes `content` to `path`; a reader sees the old file or the new one, never a part.

    Raises:
        OSError: if the directory does not exist or cannot be written.
    """
    path = os.fspath(path)
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path) or ".", prefix=f".{os.path.basename(path)}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def write_text(path: str | os.PathLike[str], content: str) -> None:
    """`write_bytes` of `content` in UTF-8."""
    write_bytes(path, content.encode())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
