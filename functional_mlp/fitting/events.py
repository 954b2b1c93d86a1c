"""Event files, as TensorBoard reads them."""

from pathlib import Path

import numpy as np

from functional_mlp.fitting.fit import SCORES, Fit, architecture


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
