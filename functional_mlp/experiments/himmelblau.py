"""Himmelblau's function f(x, y) = (x² + y − 11)² + (x + y² − 7)²: gradient descent, and basins of attraction.

Descends from four starts (published beside the NumPy reference and functional_mlp), and from a whole grid of starts in
one compiled program, whose picture shows which minimum each start reaches and how fast. Starts that diverge or do not
arrive are named, not hidden.

    functional-mlp experiment himmelblau --steps 200 --grid 1024
"""

import argparse
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import optax

import functional_mlp as fm
from functional_mlp.experiments.common import OPTIMIZERS, option_parser, positive, results_in, text_table
from functional_mlp.experiments.published import himmelblau as reference

Point = tuple[float, float]
STARTS = tuple(reference.PUBLISHED_STARTS)
EXTENT = (-6.0, 6.0)  # of surface, contours and grid of starts; the upper end is left out
SURFACE_STEP = 0.1
ARRIVED = 1e-6  # a start has arrived where f falls to this, or to what the dtype can tell from 0

NOT_ARRIVED, DIVERGED = -2, -1  # in place of the index of a minimum


class Basins(NamedTuple):
    """Where a grid of starts went, each (grid, grid) with y in rows and x in columns.

    Attributes:
        minimum: index into `fm.HIMMELBLAU_MINIMA`, or NOT_ARRIVED, or DIVERGED.
        steps: updates made while f was above `arrived_at` (bfloat16 counts to 256, float16 to 2048).
        seconds: of the descent, compilation included.
    """

    minimum: np.ndarray
    steps: np.ndarray
    seconds: float


def arrived_at(dtype: Any) -> float:
    """The value of f at which a descent in `dtype` has arrived: near a minimum f is known to about (32 eps)²."""
    return max(ARRIVED, (32 * float(jnp.finfo(dtype).eps)) ** 2)


def nearest_minimum(points: np.ndarray, values: np.ndarray, threshold: float) -> np.ndarray:
    """Index of the minimum nearest to each point (..., 2): NOT_ARRIVED where the value (...) is above `threshold`.

    DIVERGED where point or value is not finite.
    """
    finite = np.isfinite(points).all(axis=-1) & np.isfinite(values)
    distance = np.linalg.norm(np.where(finite[..., None], points, 0)[..., None, :] - fm.HIMMELBLAU_MINIMA, axis=-1)
    with np.errstate(invalid="ignore"):
        return np.where(finite, np.where(values <= threshold, distance.argmin(axis=-1), NOT_ARRIVED), DIVERGED)


def counting(threshold: float) -> Callable[[Any], tuple[Any, Any]]:
    """Himmelblau's function of points (..., 3) whose third entry counts the updates made above `threshold`.

    The gradient's third entry says whether f is above it; `count_with` adds that up instead of descending along it.
    """

    def value_and_grad(point: Any) -> tuple[Any, Any]:
        value, gradient = fm.himmelblau_and_grad(point[..., :2])
        above = jnp.logical_not(value <= threshold)  # NaN is above
        return value, jnp.concatenate([gradient, above[..., None].astype(gradient.dtype)], axis=-1)

    return value_and_grad


def count_with(optimizer: optax.GradientTransformation) -> optax.GradientTransformation:
    """`optimizer` on the first two entries of points (..., 3); the third is increased by that of the gradient."""

    def init(point: Any) -> Any:
        return optimizer.init(point[..., :2])

    def update(gradient: Any, state: Any, point: Any = None) -> tuple[Any, Any]:
        updates, state = optimizer.update(gradient[..., :2], state, None if point is None else point[..., :2])
        return jnp.concatenate([updates, gradient[..., 2:]], axis=-1), state

    return optax.GradientTransformation(init, update)


def find_basins(grid: int, steps: int, optimizer: optax.GradientTransformation, dtype: Any) -> Basins:
    """Descends from `grid` x `grid` starts over `EXTENT` at once, keeping only where they end."""
    axis = _axis(grid)
    start = np.stack([*np.meshgrid(axis, axis), np.zeros((grid, grid))], axis=-1)
    threshold = arrived_at(dtype)
    begun = time.perf_counter()
    path = fm.descend(counting(threshold), jnp.asarray(start, dtype), count_with(optimizer), steps, record_every=steps)
    ends, values = np.asarray(path.points[-1], np.float64), np.asarray(path.values[-1], np.float64)
    seconds = time.perf_counter() - begun
    return Basins(nearest_minimum(ends[..., :2], values, threshold), ends[..., 2], seconds)


def _axis(count: int) -> np.ndarray:
    return np.linspace(*EXTENT, count, endpoint=False)


def describe_runs(starts: Sequence[Point], path: fm.Path, steps: int, threshold: float) -> list[dict[str, Any]]:
    """One entry of summary.json per start: start, point, value, value_before the last step, minimum or None, steps."""
    points, (before, values) = np.asarray(path.points[-1]), np.asarray(path.values[-2:])
    reached = nearest_minimum(points.astype(np.float64), values.astype(np.float64), threshold)
    return [
        {
            "start": start,
            "point": point,
            "value": value,
            "value_before": earlier,
            "minimum": reference.MINIMA[index] if index >= 0 else None,
            "steps": steps,
        }
        for start, point, value, earlier, index in zip(starts, points, values, before, reached, strict=True)
    ]


def print_table(path: fm.Path, runs: list[dict[str, Any]], learning_rate: float, steps: int) -> None:
    """Prints published, reference and functional_mlp side by side; the reference is plain descent in float32."""
    starts = [run["start"] for run in runs]
    with np.errstate(all="ignore"):
        theirs = [reference.descend(start, learning_rate=learning_rate, steps=steps) for start in starts]
    rows = []
    for run, other in zip(runs, theirs, strict=True):
        printed = reference.PUBLISHED_STARTS.get(run["start"])
        goal = run["minimum"]
        distance = "" if goal is None else f"{np.abs(np.float64(run['point']) - goal).max():.1e}"
        start, end, mine = (_pair(point) for point in (run["start"], other.points[-1], run["point"]))
        reached = "none" if goal is None else _pair(goal)
        rows.append(
            (
                start,
                "—" if printed is None else f"({', '.join(printed)})",
                end,
                mine,
                f"{float(run['value']):.1e}",
                reached,
                distance,
            )
        )
    header = ("start", "published", "reference", "functional_mlp", "f", "minimum reached", "distance")
    print(text_table(header, rows))
    x, y, f = reference.PUBLISHED_LINE
    if STARTS[0] not in starts:
        return
    at = starts.index(STARTS[0])
    print(f"\nstart (4, 0), last of {steps} steps: the point after it, f before it")
    ours = (_pair(np.asarray(path.points[-1, at])), float(path.values[-2, at]))
    reference_line = (_pair(theirs[at].points[-1]), float(theirs[at].values[-1]))
    print(
        text_table(
            ("", "point", "f"),
            [("published", f"({x}, {y})", f), ("reference", *reference_line), ("functional_mlp", *ours)],
        )
    )


def _pair(point: Any) -> str:
    # NumPy's floats as the shortest text that gives them back
    return f"({', '.join(str(c) if isinstance(c, np.floating) else f'{float(c):.8g}' for c in point)})"


def print_basins(basins: Basins, shares: dict[str, float], steps: int) -> None:
    """Prints where the grid of starts went, and names some of those that arrived nowhere."""
    grid = len(basins.minimum)
    print(f"\n{grid} x {grid} starts, {steps} steps each, in one program: {basins.seconds:.2f} s with compilation")
    print(text_table(("end", "share of starts"), [(name, f"{share:.4%}") for name, share in shares.items()]))
    axis = _axis(grid)
    for code, name in ((DIVERGED, "diverged"), (NOT_ARRIVED, "not arrived")):
        where = np.argwhere(basins.minimum == code)
        if len(where):
            some = ", ".join(
                _pair((float(axis[column]), float(axis[row]))) for row, column in where[:: max(1, len(where) // 4)][:4]
            )
            print(f"{name}: {len(where)} starts, among them {some}")


def basin_shares(basins: Basins) -> dict[str, float]:
    """The share of the starts that reach each minimum, that have not arrived, and that diverged."""
    names = [_pair(minimum) for minimum in reference.MINIMA]
    shares = {name: float(np.mean(basins.minimum == index)) for index, name in enumerate(names)}
    others = {"not arrived": NOT_ARRIVED, "diverged": DIVERGED}
    return shares | {name: float(np.mean(basins.minimum == code)) for name, code in others.items()}


def surface() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, y and f over `EXTENT` in steps of `SURFACE_STEP`, each (rows, columns)."""
    axis = _axis(round((EXTENT[1] - EXTENT[0]) / SURFACE_STEP))
    x, y = np.meshgrid(axis, axis)
    return x, y, np.asarray(fm.himmelblau(jnp.asarray(np.stack([x, y], axis=-1), jnp.float32)))


def parser() -> argparse.ArgumentParser:
    """The command line's options."""
    options = option_parser(
        "himmelblau",
        "Gradient descent on Himmelblau's function, and the basins of attraction of its four minima.",
        steps=reference.STEPS,
        learning_rate=reference.LEARNING_RATE,
        optimizer="sgd",
        dtype="float32",
    )
    options.add_argument(
        "--start",
        nargs=2,
        type=float,
        action="append",
        metavar=("X", "Y"),
        help="where to descend from, as often as wanted (default: the printed four)",
    )
    options.add_argument("--grid", type=positive, default=1024, help="starts per side of the basins (default: 1024)")
    return options


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Prints the tables, writes the results, and returns the summary."""
    steps, rate, dtype = arguments.steps, arguments.learning_rate, arguments.dtype
    starts = [(x, y) for x, y in arguments.start] if arguments.start else list(STARTS)
    if not np.isfinite(starts).all():
        raise ValueError(f"expected finite numbers for --start, got {' and '.join(map(_pair, starts))}")
    with results_in(arguments.out, arguments, "himmelblau") as results:
        optimizer = OPTIMIZERS[arguments.optimizer](rate)
        path = fm.descend(fm.himmelblau_and_grad, jnp.asarray(starts, dtype), optimizer, steps)
        runs = describe_runs(starts, path, steps, arrived_at(dtype))
        print_table(path, runs, rate, steps)
        basins = find_basins(arguments.grid, steps, optimizer, dtype)
        shares = basin_shares(basins)
        print_basins(basins, shares, steps)
        summary = {
            "runs": runs,
            "basins": {"grid": arguments.grid, "shares": shares, "seconds": basins.seconds},
            "optimizer": arguments.optimizer,
            "learning_rate": rate,
            "dtype": dtype,
        }
        points, values = np.asarray(path.points), np.asarray(path.values)
        columns: list[Sequence[Any]] = [
            [_pair(start) for start in starts for _ in range(steps + 1)],
            list(range(steps + 1)) * len(starts),
            list(points[..., 0].T.ravel()),
            list(points[..., 1].T.ravel()),
            list(values.T.ravel()),
        ]
        results.history(("start", "step", "x", "y", "value"), columns)
        results.summary(**summary)
        if results.plots:
            from functional_mlp.experiments.himmelblau_figures import (
                draw_basins,
                draw_directions,
                draw_paths,
                draw_surface,
            )

            how = f"{arguments.optimizer}, learning rate {rate:g}, {steps} steps, {dtype}"
            title = f"Basins of attraction of gradient descent\n({how})"
            area = surface()
            results.figure(draw_surface(area), "surface")
            results.figure(draw_paths(area, path, f"Descent paths, a dot per step\n({how})"), "paths")
            results.figure(draw_directions(area), "directions")
            results.figure(draw_basins(basins.minimum, basins.steps, shares, EXTENT, title), "basins")
    return summary
