"""The figures of `experiments.himmelblau`: surface, contours with the descent paths, basins of attraction."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, LogNorm, to_rgb
from matplotlib.patches import Patch

import functional_mlp as fm
from functional_mlp.experiments.figures import BLACK, BLUE, GREEN, ORANGE, PURPLE, VERMILION, YELLOW, new_figure

Surface = tuple[np.ndarray, np.ndarray, np.ndarray]  # x, y and f, each (rows, columns)
PALEST, DARKEST = 0.3, 1.0  # how much of its colour a fast and a slow start show


def pair(point: Any) -> str:
    """A point as text, with typographic minus signs."""
    return f"({', '.join(f'{float(c):.7g}' for c in point)})".replace("-", "−")


def draw_surface(surface: Surface) -> Any:
    """The function as a surface."""
    x, y, f = surface
    figure, axes = new_figure(size=(7.4, 5.6), subplot_kw={"projection": "3d"})
    look = {"cmap": "cividis", "norm": LogNorm(1, f.max()), "linewidth": 0, "antialiased": False, "rasterized": True}
    drawn = axes.plot_surface(x, y, f, rcount=len(x), ccount=len(x), **look)
    axes.view_init(elev=60, azim=-125)
    axes.zaxis.labelpad = 14
    axes.set(title="Himmelblau's function $f(x, y) = (x^2+y-11)^2 + (x+y^2-7)^2$")
    axes.set(xlabel="$x$", ylabel="$y$", zlabel="$f(x, y)$")
    figure.colorbar(drawn, label="$f(x, y)$ (logarithmic; 1 and below alike)", shrink=0.7, pad=0.12)
    return figure


def draw_paths(surface: Surface, path: fm.Path, title: str) -> Any:
    """Contours of the function with the descent paths (steps + 1, runs, 2), beside the values along them."""
    x, y, f = surface
    figure, (left, right) = new_figure(1, 2, (10.6, 5.2), width_ratios=(1.2, 1))
    levels = np.geomspace(1, 2000, 14)
    filled = left.contourf(x, y, np.maximum(f, 1), levels=levels, norm=LogNorm(), cmap="Greys", alpha=0.7, extend="max")
    left.contour(x, y, f, levels=levels, colors="0.35", linewidths=0.4)
    bar = figure.colorbar(filled, ax=left, label="$f(x, y)$", ticks=[1, 10, 100, 1000], shrink=0.85)
    bar.ax.set_yticklabels(["≤ 1", "10", "100", "1000"])
    points, values = np.asarray(path.points, np.float64), np.asarray(path.values, np.float64)
    points = np.where(np.isfinite(points), points, np.nan)
    looks = zip((BLUE, VERMILION, GREEN, ORANGE), "os^D", ("-", "--", "-.", ":"), strict=True)
    for run, (colour, marker, style) in enumerate(looks):
        left.plot(*points[:, run].T, color=colour, marker=".", markersize=4, linewidth=1.6)
        start = {"marker": marker, "markersize": 8, "markeredgecolor": "white", "linestyle": style}
        left.plot(*points[0, run], color=colour, label=f"start {pair(points[0, run])}", **start)
        positive = np.isfinite(values[:, run]) & (values[:, run] > 0)
        right.plot(np.where(positive, values[:, run], np.nan), style, color=colour)
    _stars(left, label="minimum")
    left.set(title=title, xlabel="$x$", ylabel="$y$", aspect="equal")
    left.set(xlim=(x.min(), x.max()), ylim=(y.min(), y.max()))
    right.set(title="Value along the paths\n(exact zeros and overflows left out)", yscale="log")
    right.set(xlabel="step", ylabel="$f(x, y)$")
    figure.legend(loc="outside lower center", ncols=5)
    return figure


def _stars(axes: Any, **options: Any) -> None:
    look = {"color": "black", "markersize": 13, "markeredgecolor": "white", "linestyle": "", "zorder": 3}
    axes.plot(*fm.HIMMELBLAU_MINIMA.T, "*", **look, **options)


def draw_basins(
    minimum: np.ndarray, steps: np.ndarray, shares: Mapping[str, float], extent: tuple[float, float], title: str
) -> Any:
    """Each start in the colour of the minimum that it reaches, the darker the more steps it takes.

    Args:
        minimum: (grid, grid) index of the minimum reached; negative for none, counted from the end of `shares`.
        steps: (grid, grid) updates until there.
        shares: of the four minima, of the starts that have not arrived, and of those that diverged, by name.
        extent: of both axes.
        title: of the figure.
    """
    colours = np.array([to_rgb(colour) for colour in (BLUE, VERMILION, GREEN, YELLOW, PURPLE, BLACK)])
    arrived = minimum >= 0
    few, many = np.percentile(steps[arrived], [0.5, 99.5]) if arrived.any() else (1, 2)
    few = max(few, 1)
    scale = LogNorm(few, max(many, few + 1), clip=True)
    shade = PALEST + (DARKEST - PALEST) * np.asarray(scale(np.maximum(steps, 1)))
    shade = np.where(arrived, shade, 1.0)[..., None]
    figure, axes = new_figure(size=(7.4, 6.9))
    picture = colours[minimum] * shade + (1 - shade)
    axes.imshow(picture, origin="lower", extent=(*extent, *extent), interpolation="nearest")
    axes.grid(False)
    _stars(axes)
    for point in fm.HIMMELBLAU_MINIMA:
        axes.annotate(pair(np.round(point, 2)), point, (0, -17), textcoords="offset points", ha="center")
    greys = ListedColormap(np.linspace(1 - PALEST, 1 - DARKEST, 128)[:, None].repeat(3, axis=1))
    bar = figure.colorbar(ScalarMappable(scale, greys), ax=axes, extend="both", shrink=0.8)
    bar.set_label("updates until $f$ is near 0 (shade of each colour)")
    ticks = [tick for tick in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000) if few <= tick <= many]
    bar.set_ticks(ticks, labels=[str(tick) for tick in ticks])
    bar.ax.minorticks_off()
    patches = [
        Patch(facecolor=colour, label=f"{name.replace('-', '−')}: {f'{share:.2%}' if share else 'none'}")
        for colour, (name, share) in zip(colours, shares.items(), strict=True)
    ]
    figure.legend(handles=patches, loc="outside lower center", ncols=2)
    axes.set(title=title, xlabel="$x$ of the start", ylabel="$y$ of the start")
    return figure
