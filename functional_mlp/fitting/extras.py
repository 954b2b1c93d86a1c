"""What a fit needs beside the package itself, asked for before anything is written; and TensorBoard's event files."""

import importlib.util
from pathlib import Path

import numpy as np

from functional_mlp.fitting.fit import SCORES, Fit, architecture

NEEDED = {"sklearn": "scikit-learn", "matplotlib": "matplotlib", "orbax": "orbax-checkpoint"}


def require_extras(*, events: bool = False) -> None:
    """Raises ImportError, naming the extra to install, if a library is not there that a fit needs."""
    needed = NEEDED | ({"tensorboardX": "tensorboardX"} if events else {})
    lacking = [name for module, name in needed.items() if importlib.util.find_spec(module) is None]
    if lacking:
        extras = "experiments,tensorboard" if events else "experiments"
        raise ImportError(
            f"a fit needs {', '.join(lacking)}; install what it needs with pip install 'functional-mlp[{extras}]'"
        )


def write_events(folder: Path, fit: Fit) -> None:
    """Writes TensorBoard's event files: of every setting a run with its median losses, and its last score."""
    from tensorboardX import SummaryWriter

    for one in fit.tried:
        with SummaryWriter(str(folder / f"{architecture(one.hidden)} rate {one.learning_rate:g}")) as writer:
            for name, curve in one.curves.items():
                for epoch, value in zip(one.epochs, curve[1], strict=True):
                    if np.isfinite(value):
                        writer.add_scalar(f"loss/{name}", float(value), int(epoch))
            middle = float(one.quantiles()[1])
            if np.isfinite(middle):
                writer.add_scalar(f"score/{SCORES[fit.task]}", middle, int(one.epochs[-1]))
