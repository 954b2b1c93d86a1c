"""Libraries that only a part of the package needs."""

import importlib.util

PACKAGES = {"sklearn": "scikit-learn", "orbax": "orbax-checkpoint"}  # where they are not called as their modules
EXTRAS = {"tensorboardX": "tensorboard"}  # those that are not in the extra `experiments`


def require_packages(what: str, *modules: str) -> None:
    """Raises ImportError, naming the extras to install, if a library that `what` needs is not there."""
    lacking = [name for name in modules if importlib.util.find_spec(name) is None]
    if lacking:
        extras = ",".join(dict.fromkeys(EXTRAS.get(name, "experiments") for name in lacking))
        packages = ", ".join(PACKAGES.get(name, name) for name in lacking)
        raise ImportError(f"{what} needs {packages}; install what it needs with pip install 'functional-mlp[{extras}]'")
