"""The figures of `experiments.himmelblau`: surface, contours with the descent paths, basins of attraction."""

import itertools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, LogNorm, to_rgb
from matplotlib.patches import Patch

import functional_mlp as fm
from functional_mlp.experiments.figures import (
    BLACK,
    BLUE,
    COLOURS,
    GREEN,
    ORANGE,
    PURPLE,
    VERMILION,
    YELLOW,
    new_figure,
)

Surface = tuple[np.ndarray, np.ndarray, np.ndarray]  # x, y and f, each (rows, columns)
DIRECTIONS_FROM = (1.0, -1.0)
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
    bar = figure.colorbar(filled, ax=left, label="$f(x, y)$ of the contours", ticks=[1, 10, 100, 1000], shrink=0.85)
    bar.ax.set_yticklabels(["≤ 1", "10", "100", "1000"])
    points, values = np.asarray(path.points, np.float64), np.asarray(path.values, np.float64)
    points = np.where(np.isfinite(points), points, np.nan)
    looks = map(itertools.cycle, (COLOURS[:-1], "os^D", ("-", "--", "-.", ":")))
    for run, colour, marker, style in zip(range(points.shape[1]), *looks, strict=False):
        left.plot(*points[:, run].T, color=colour, marker=".", markersize=4, linewidth=1.6)
        start = {"marker": marker, "markersize": 8, "markeredgecolor": "white", "linestyle": style}
        left.plot(*points[0, run], color=colour, label=f"start {pair(points[0, run])}", **start)
        positive = np.isfinite(values[:, run]) & (values[:, run] > 0)
        right.plot(np.where(positive, values[:, run], np.nan), style, color=colour)
    _stars(left, label="minimum")
    left.set(title=title, xlabel="$x$", ylabel="$y$", aspect="equal")
    left.set(xlim=(x.min(), x.max()), ylim=(y.min(), y.max()))
    right.set(title="Value along the paths\n(exact zeros and overflows left out)", yscale="log")
    right.set(xlabel="step", ylabel="$f$ at the point reached")
    figure.legend(loc="outside lower center", ncols=5)
    return figure


def draw_directions(surface: Surface) -> Any:
    """The slope in every direction from one point: the directional derivative, largest along the gradient."""
    x, y, f = surface
    at, angles = np.array(DIRECTIONS_FROM), np.linspace(-np.pi, np.pi, 25)
    gradient = np.asarray(fm.himmelblau_and_grad(jnp.asarray(at))[1], np.float64)
    steepest, size = float(np.arctan2(gradient[1], gradient[0])), float(np.linalg.norm(gradient))
    units = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    slopes = jax.vmap(lambda unit: jax.jvp(fm.himmelblau, (jnp.asarray(at),), (unit,))[1])(jnp.asarray(units))
    figure, (left, right) = new_figure(1, 2, (10.6, 5.0))
    left.contour(x, y, f, levels=np.geomspace(1, 2000, 16), colors="0.6", linewidths=0.7)
    arrow = {"arrowstyle": "-|>", "linewidth": 2.2, "shrinkA": 0, "shrinkB": 0}
    ways = (
        (0.0, VERMILION, "steepest ascent: the gradient"),
        (np.pi, BLUE, "steepest descent"),
        (np.pi / 2, GREEN, "level: slope 0"),
    )
    for turn, colour, name in ways:
        end = at + 1.6 * np.array([np.cos(steepest + turn), np.sin(steepest + turn)])
        left.annotate("", end, at, arrowprops={**arrow, "color": colour})
        left.plot([], [], color=colour, linewidth=2.2, label=name)
        angle = (steepest + turn + np.pi) % (2 * np.pi) - np.pi
        right.plot(angle, size * np.cos(turn), "D", color=colour, markersize=8)
    left.plot(*at, "o", color=BLACK)
    left.set(title=f"Directions from {pair(at)}", xlabel="$x$", ylabel="$y$", aspect="equal")
    left.set(xlim=(at[0] - 3, at[0] + 3), ylim=(at[1] - 3, at[1] + 3))
    fine = np.linspace(-np.pi, np.pi, 200)
    right.plot(fine, size * np.cos(fine - steepest), color=BLACK, label=r"$\|\nabla f\|\,\cos\angle(u, \nabla f)$")
    right.plot(angles, slopes, "o", color=ORANGE, markersize=4, label=r"$\mathrm{d}f(p + s\,u)/\mathrm{d}s$ by jax.jvp")
    right.set_xticks(np.pi * np.arange(-1, 1.5, 0.5), ["−π", "−π/2", "0", "π/2", "π"])
    right.set(
        title="The slope of $f$ in every direction $u$", xlabel="direction of $u$", ylabel="directional derivative"
    )
    right.legend(loc="best")
    figure.legend(handles=left.get_legend_handles_labels()[0], loc="outside lower center", ncols=3)
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
