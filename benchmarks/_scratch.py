"""Folders that last as long as the process."""

import atexit
import shutil
import tempfile
from pathlib import Path


def new_folder() -> Path:
    """An empty folder, removed at the end of the process."""
    folder = tempfile.mkdtemp(prefix="functional-mlp-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
