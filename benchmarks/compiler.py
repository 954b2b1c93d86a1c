"""C sources as shared objects, compiled with gcc in a temporary folder of this process."""

import atexit
import ctypes
import shutil
import subprocess
import tempfile
from pathlib import Path


def new_folder() -> Path:
    """An empty folder, removed at the end of the process."""
    folder = tempfile.mkdtemp(prefix="functional-mlp-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def has_compiler() -> bool:
    """Whether gcc is there."""
    return shutil.which("gcc") is not None


def shared_object(source: Path, flags: tuple[str, ...]) -> ctypes.CDLL:
    """`source` compiled with `flags`, and loaded.

    It is linked without them: with -ffast-math gcc would link start-up code that makes the whole process flush
    subnormal numbers to zero, Python and NumPy included.

    Raises:
        subprocess.CalledProcessError: if gcc refuses.
    """
    stem = new_folder() / source.stem
    compiled, linked = f"{stem}.o", f"{stem}.so"
    compile_it = ["gcc", "-fPIC", *flags, "-c", str(source), "-o", compiled]
    for command in (compile_it, ["gcc", "-shared", compiled, "-o", linked, "-lm"]):
        subprocess.run(command, check=True, capture_output=True)
    return ctypes.CDLL(linked)
