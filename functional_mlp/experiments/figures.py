"""One look for all figures: colour-blind-safe colours, readable sizes, and the pictures that several experiments draw.

Figures are made with matplotlib's objects, not with pyplot: no list of open figures, no window.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.inspection import DecisionBoundaryDisplay

from functional_mlp.experiments.runs import over_runs

# Okabe and Ito's palette, told apart with every common colour vision
BLUE, ORANGE, GREEN, VERMILION, SKY, PURPLE, YELLOW, BLACK = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#56B4E9",
    "#CC79A7",
    "#F0E442",
    "#000000",
)
COLOURS = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY, BLACK, YELLOW)
CLASS_COLOURS = (BLUE, ORANGE)
CLASS_MARKERS = ("o", "^")
SHADES = 5  # from a boundary to either class
STYLE: Any = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "svg.hashsalt": "functional-mlp",  # the same figure gives the same file
}


def new_figure(rows: int = 1, columns: int = 1, size: tuple[float, float] = (6.4, 4.2), **options: Any) -> Any:
    """A figure and its axes (one Axes, or an array of them), in the common style.

    Args:
        rows, columns: of axes.
        size: in inches.
        options: of `Figure.subplots`.
    """
    rcParams.update(STYLE)  # for good: legends and texts read it when they are added, the SVG writer when it saves
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, **options)


class _Classifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """What DecisionBoundaryDisplay asks of an estimator, around a function from points (n, 2) to a score (n,)."""

    def __init__(self, score: Callable[[np.ndarray], np.ndarray]) -> None:
        self._score = score
        self.classes_ = np.array([0, 1])

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def fit(self, *_: Any) -> "_Classifier":
        """There is nothing to fit."""
        return self

    def decision_function(self, points: np.ndarray) -> np.ndarray:
        """The score of each point."""
        return self._score(np.asarray(points))


def decision_boundary(
    axes: Axes,
    score: Callable[[np.ndarray], np.ndarray],
    inputs: np.ndarray,
    labels: np.ndarray,
    between: tuple[float, float],
) -> None:
    """Draws what a classifier says everywhere, the surer the darker, with its boundary if it has one, and the samples.

    Args:
        axes: where to.
        score: maps points (n, 2) to (n,), such as a probability; in the upper half of its range is class 1.
        inputs: (n, 2).
        labels: (n,) of 0 and 1.
        between: the least and the largest score.
    """
    threshold, half = sum(between) / 2, (between[1] - between[0]) / 2
    shades = LinearSegmentedColormap.from_list("", [CLASS_COLOURS[0], "white", CLASS_COLOURS[1]])
    common: dict[str, Any] = {"grid_resolution": 300, "response_method": "decision_function", "eps": 0.3, "ax": axes}
    estimator = _Classifier(lambda points: np.asarray(score(points), np.float64) - threshold)
    DecisionBoundaryDisplay.from_estimator(
        estimator,
        inputs,
        plot_method="contourf",
        levels=np.linspace(-half, half, 2 * SHADES + 1),
        cmap=shades,
        extend="both",
        alpha=0.45,
        **common,
    )
    line = DecisionBoundaryDisplay.from_estimator(
        estimator, inputs, plot_method="contour", levels=[0], colors=[BLACK], linewidths=[1.5], **common
    )
    upper = line.response > 0
    if upper.all() or not upper.any():
        said = f"no boundary: all is class {int(upper.all())}"
        axes.text(0.5, 0.02, said, transform=axes.transAxes, ha="center", va="bottom")
    scatter_classes(axes, inputs, labels)


def scatter_classes(axes: Axes, inputs: np.ndarray, labels: np.ndarray) -> None:
    """Draws the samples (n, 2) of classes 0 and 1, in colours and markers of their own, with labelled axes."""
    for label, (colour, marker) in enumerate(zip(CLASS_COLOURS, CLASS_MARKERS, strict=True)):
        chosen = labels == label
        axes.scatter(
            inputs[chosen, 0],
            inputs[chosen, 1],
            s=9,
            c=colour,
            marker=marker,
            linewidths=0,
            alpha=0.8,
            label=f"class {label}",
        )
    axes.set(xlabel="$x_1$", ylabel="$x_2$", aspect="equal")
    axes.legend(loc="upper right", markerscale=2, frameon=True, edgecolor="none")


def curve_of_runs(axes: Axes, x: Any, runs: Any, colour: str, label: str | None = None) -> None:
    """Draws runs (R, points) over x (points,): the one run, or the median of several with bands of quantiles.

    Of the runs that have diverged, what is not finite is left out.
    """
    runs = np.asarray(runs, np.float64)
    axes.plot(x, over_runs(np.nanmedian, runs), color=colour, linewidth=1.5, label=label)
    if len(runs) > 1:
        for low, high, alpha in ((0.1, 0.9, 0.15), (0.25, 0.75, 0.25)):
            band = over_runs(np.nanquantile, runs, (low, high))
            axes.fill_between(x, *band, color=colour, alpha=alpha, linewidth=0)


def spread_of(runs: int, diverged: int = 0) -> str:
    """What the title of a figure says of the runs of `curve_of_runs`, as a line of its own; "" if there is nothing."""
    bands = f"median of {runs} initial values, 25–75 % and 10–90 % bands" if runs > 1 else ""
    said = "; ".join(filter(None, (bands, share_of_diverged(diverged, runs))))
    return said and f"\n{said}"


def share_of_diverged(diverged: int, runs: int) -> str:
    """What a figure says of the runs that diverged; "" for none."""
    return f"{diverged} of {runs} runs diverged" if diverged else ""


def histogram_of_runs(axes: Axes, values: Any, label: str, colour: str, diverged: int = 0) -> None:
    """Draws how one number (R,) is distributed over the runs, with its median; what is not finite is left out.

    Args:
        axes: where to.
        values: (R,).
        label: of the number.
        colour: of the bars.
        diverged: how many of the runs have, which the legend then says.
    """
    values = np.asarray(values, np.float64)
    finite = values[np.isfinite(values)]
    if len(finite):
        low, high = finite.min(), finite.max()
        # bars need some width, which beside a huge number is a huge one
        margin = 0.0 if high - low > 1e-9 * abs(high) else 0.5 * max(1.0, abs(high))
        axes.hist(finite, min(20, max(5, len(values) // 4)), range=(low - margin, high + margin), color=colour)
        axes.axvline(float(np.median(finite)), color=BLACK, linestyle=":", label=f"median {np.median(finite):.4g}")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel=label, ylabel="initial values")
    axes.legend(*axes.get_legend_handles_labels(), title=share_of_diverged(diverged, len(values)) or None)


def network_sketch(axes: Axes, sizes: Sequence[int], most: int = 8) -> None:
    """Draws layers as columns of units with their connections; long layers show `most` units and their size."""
    axes.set_axis_off()
    places: list[np.ndarray] = []
    for size in sizes:
        shown = min(size, most)
        places.append(np.linspace(-1, 1, shown) * min(1.0, shown / most) if shown > 1 else np.zeros(1))
    for layer, (left, right) in enumerate(pairwise(places)):
        for low in left:
            for high in right:
                axes.plot([layer, layer + 1], [low, high], color=BLACK, alpha=0.15, linewidth=0.6, zorder=1)
    names = ["inputs", *(f"hidden {number}" for number in range(1, len(sizes) - 1)), "outputs"]
    for layer, (size, place, name) in enumerate(zip(sizes, places, names, strict=True)):
        axes.scatter(np.full(len(place), layer), place, s=110, c=SKY, edgecolors=BLACK, linewidths=0.8, zorder=2)
        dots = f"\n({len(place)} of {size} shown)" if len(place) < size else ""
        axes.text(layer, -1.25, f"{name}\n{size}{dots}", ha="center", va="top")
    axes.set(xlim=(-0.5, len(sizes) - 0.5), ylim=(-1.75, 1.15))
