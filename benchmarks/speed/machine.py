"""Where it was measured, and with what."""

import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from benchmarks.compiler import has_compiler
from functional_mlp.experiments import version_of

PACKAGES = (
    *("functional-mlp", "jax", "jaxlib", "numpy", "scipy", "optax"),
    *("scikit-learn", "flax", "equinox", "torch", "numba"),
)


def describe() -> dict[str, Any]:
    """The processor, the system, how busy it is, and the versions of what is installed."""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {package: version for package in PACKAGES if (version := version_of(package))},
        "gcc": compiler(),
        "load": load(),
    }


def processor() -> str:
    """Its name as the system has it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def load() -> float | None:
    """The load average of the last minute, or None where the system has none: what else the machine does."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):  # Windows; and a system that does not tell
        return None


def compiler() -> str | None:
    """The first line of `gcc --version`, or None."""
    if not has_compiler():
        return None
    return subprocess.run(["gcc", "--version"], capture_output=True, text=True, check=False).stdout.partition("\n")[0]
