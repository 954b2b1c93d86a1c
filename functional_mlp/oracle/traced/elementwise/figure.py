"""The errors of an elementwise function, drawn by matplotlib, which is optional."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from functional_mlp.oracle.traced.elementwise.curves import Curve
from functional_mlp.oracle.verdict import CONSISTENT, UNDECIDED, WRONG

STYLES = ((CONSISTENT, "consistent", "C0", "."), (UNDECIDED, "undecided", "C1", "v"), (WRONG, "wrong", "C3", "x"))
LEAST = 1e-2  # ulp, what smaller errors are drawn as
REACH = 64.0  # on either side of 0; farther out the table says what there is


def drawn(curves: Sequence[Curve], title: str) -> Any:
    """One panel per curve: the error in ulp, and what is allowed, over x from -REACH to REACH.

    Raises:
        ModuleNotFoundError: without matplotlib.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "expected matplotlib for a figure, which is not installed; pip install matplotlib, or take report.table()"
        ) from error
    figure = Figure(figsize=(8, 1 + 2.6 * len(curves)), layout="constrained")
    figure.suptitle(title)
    for axes, curve in zip(np.ravel(figure.subplots(len(curves), 1, sharex=True)), curves, strict=True):
        near = np.abs(curve.x) <= REACH
        with np.errstate(over="ignore"):
            axes.plot(curve.x[near], np.maximum(curve.allowed / curve.unit, LEAST)[near], color="0.5", label="allowed")
        highest = np.max(curve.ulp[near & np.isfinite(curve.ulp)], initial=1.0)
        for entry, label, colour, marker in STYLES:
            inside = near & (curve.entries == entry)
            if inside.any():
                shown = np.clip(curve.ulp[inside], LEAST, 2 * highest)
                axes.plot(curve.x[inside], shown, marker, markersize=2, color=colour, label=label, rasterized=True)
        axes.set(yscale="log", ylabel=f"{curve.what}, ulp", xlim=(-REACH, REACH), ylim=(LEAST / 2, 20 * highest))
        axes.set_xscale("symlog", linthresh=1.0)
        axes.legend(loc="upper left", fontsize="small")
    axes.set_xlabel("x")
    return figure
