"""The worked derivatives of the textbook chapter, by hand and by `jax.grad`.

Derivative rules, scalar losses, the chain rule of two variables and of two affine maps, the softmax Jacobian and
cross-entropy, and the networks of sigmoid units: the formula derived by hand (NumPy float64) beside automatic
differentiation, and beside functional_mlp where it has the same derivative.

    functional-mlp experiment calculus --dtype float64
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from functional_mlp.experiments.common import option_parser, results_in
from functional_mlp.experiments.worked import AFFINE_POINT, ALL, RULES, Point, Worked, two_paths, two_paths_derivative


class Row(NamedTuple):
    """One derivative at one point; the fields are the columns of history.csv, and the last three are NumPy numbers.

    functional_mlp is None, and empty in the file, where the library has no part in the example.
    """

    section: str
    name: str
    function: str
    derivative: str
    formula: str
    point: str
    hand: Any
    jax_grad: Any
    functional_mlp: Any

    @property
    def difference(self) -> float:
        """Between jax.grad and the hand-derived value, relative to the latter, absolute where that is below 1."""
        return abs(float(self.jax_grad) - float(self.hand)) / max(1.0, abs(float(self.hand)))


def rows_of(worked: Worked, dtype: Any) -> Iterator[Row]:
    """Every derivative of one example at every point, one row per entry of an array."""
    for point in worked.points:
        exact = {name: np.asarray(value, np.float64) for name, value in point.items()}
        rounded = {name: jnp.asarray(value, dtype) for name, value in point.items()}
        for variable, formula, hand, library in worked.derivatives:
            by_hand = np.asarray(hand(**exact))
            by_jax = np.asarray(_derivative(worked.function, variable, rounded))
            by_library = None if library is None else np.asarray(library(**rounded))
            for index in np.ndindex(by_jax.shape):
                yield Row(
                    worked.section,
                    worked.name,
                    f"{worked.symbol} = {worked.formula}",
                    _symbol(worked.symbol, variable, index, by_jax.ndim - exact[variable].ndim),
                    formula,
                    _text(point),
                    by_hand[index],
                    by_jax[index],
                    None if by_library is None else by_library[index],
                )


def _derivative(function: Callable[..., Any], variable: str, point: dict[str, jax.Array]) -> jax.Array:
    def of_one(value: jax.Array) -> jax.Array:
        return function(**point | {variable: value})

    # jax.grad for scalars; of a vector-valued function (softmax) once per output
    differentiate = jax.grad if function(**point).ndim == 0 else jax.jacrev
    return differentiate(of_one)(point[variable])


def _symbol(symbol: str, variable: str, index: tuple[int, ...], output_axes: int) -> str:
    def entry(name: str, numbers: Sequence[int]) -> str:
        return f"{name}[{','.join(str(number + 1) for number in numbers)}]" if numbers else name

    return f"∂{entry(symbol, index[:output_axes])}/∂{entry(variable, index[output_axes:])}"


def _text(point: Point) -> str:
    def number(value: Any) -> str:
        return f"{value:g}" if np.ndim(value) == 0 else f"[{' '.join(number(item) for item in value)}]"

    return ", ".join(f"{name} = {number(value)}" for name, value in point.items())


def print_table(rows: Sequence[Row]) -> None:
    """Prints the rows under their functions."""
    columns = f"{'hand':>14}{'jax.grad':>14}{'difference':>12}{'functional_mlp':>16}"
    for section, in_section in groupby(rows, key=lambda row: row.section):
        print(f"\n{section:<62}{columns}")
        for (name, function, point), group in groupby(in_section, key=lambda row: (row.name, row.function, row.point)):
            print(f"  {name}: {function}   at {point}")
            for row in group:
                library = "" if row.functional_mlp is None else f"{row.functional_mlp:>16.8g}"
                formula = f"    {row.derivative} = {row.formula}"
                print(f"{formula:<62}{row.hand:>14.8g}{row.jax_grad:>14.8g}{row.difference:>12.1e}{library}")


def draw_rules() -> Any:
    """The derivative rules: each function with its tangents at the points of the table, and its derivative."""
    from functional_mlp.experiments.figures import BLUE, GREEN, VERMILION, new_figure

    figure, axes = new_figure(3, 3, (9.6, 8.4))
    x = np.linspace(0.2, 2.6, 200)
    for panel, rule in zip(axes.flat, RULES, strict=True):
        slope = rule.derivatives[0]
        y = np.asarray(rule.function(jnp.asarray(x)))
        panel.plot(x, y, color=BLUE, label="$f(x)$")
        panel.plot(x, slope.hand(x), color=VERMILION, linestyle="--", label="$f'(x)$")
        for point in rule.points:
            at = point["x"]
            value, tangent = float(rule.function(jnp.float32(at))), float(slope.hand(np.float64(at)))
            near = np.array([max(at - 0.45, 0.2), at + 0.45])
            label = "tangent" if point is rule.points[0] else None
            panel.plot(near, value + tangent * (near - at), color=GREEN, linewidth=2.5, alpha=0.7, label=label)
            panel.plot(at, value, "o", color=GREEN, markersize=5)
        panel.set(title=f"{rule.name}: $f(x) = {_math(rule.formula)}$\n$f'(x) = {_math(slope.formula)}$", xlabel="$x$")
        low, high = min(y.min(), slope.hand(x).min()), max(y.max(), slope.hand(x).max())
        margin = 0.08 * (high - low)
        panel.set_ylim(low - margin, high + margin)
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3)
    return figure


def _math(formula: str) -> str:
    replaced = {"ln ": r"\ln ", "ln(": r"\ln(", "²": "^2", "³": "^3", "·": r"\,", "−": "-"}
    for old, new in replaced.items():
        formula = formula.replace(old, new)
    return formula


def draw_networks() -> Any:
    """The chapter's networks of sigmoid units: a neuron, a layer, and one with hidden layers."""
    from functional_mlp.experiments.figures import network_sketch, new_figure

    figure, row = new_figure(1, 3, (11.0, 3.8), width_ratios=(1, 1, 2))
    for axes, sizes, title in zip(
        row, ((3, 1), (3, 2), (3, 4, 2, 2)), ("a neuron", "a dense layer", "two hidden layers"), strict=True
    ):
        network_sketch(axes, sizes)
        axes.set_title(title)
    return figure


def draw_chain_rule() -> Any:
    """The chain rule of two variables with its tangent, and the two affine maps as a computational graph."""
    from functional_mlp.experiments.figures import BLUE, GREEN, ORANGE, VERMILION, new_figure

    figure, (left, right) = new_figure(1, 2, (9.6, 4.2), width_ratios=(1, 1.35))
    t = np.linspace(-0.5, 1.3, 200)
    left.plot(t, np.asarray(two_paths(jnp.asarray(t))), color=BLUE, label=r"$z = (2t+1)^2 + e^{t^2}$")
    for at, colour in ((0.5, GREEN), (1.0, ORANGE)):
        value, slope = float(two_paths(jnp.float32(at))), float(two_paths_derivative(np.float64(at)))
        near = at + np.array([-0.3, 0.3])
        label = f"tangent at $t = {at:g}$, slope {slope:.3f}"
        left.plot(near, value + slope * (near - at), color=colour, linewidth=2.5, alpha=0.8, label=label)
        left.plot(at, value, "o", color=colour, markersize=5)
    left.set(title="A function of $t$ by two paths", xlabel="$t$", ylabel="$z$")
    left.legend(loc="upper left")

    x, w1, b1, w2, b2 = AFFINE_POINT.values()
    y1 = x * w1 + b1
    places = {"x": (0, 1, x), "w_1": (0, 0, w1), "b_1": (0, -1, b1), "y_1": (1.2, 0, y1)}
    places |= {"w_2": (1.2, -1, w2), "b_2": (1.2, 1, b2), "y_2": (2.4, 0, y1 * w2 + b2)}
    edges = {("x", "y_1"): w1, ("w_1", "y_1"): x, ("b_1", "y_1"): 1.0}
    edges |= {("y_1", "y_2"): w2, ("w_2", "y_2"): y1, ("b_2", "y_2"): 1.0}
    on_path = {("w_1", "y_1"), ("y_1", "y_2")}
    for (start, end), slope in edges.items():
        (x0, y0, _), (x1, y1_, _) = places[start], places[end]
        colour = VERMILION if (start, end) in on_path else "0.55"
        arrow = {"arrowstyle": "-|>", "color": colour, "linewidth": 1.8, "shrinkA": 21, "shrinkB": 21}
        right.annotate("", (x1, y1_), (x0, y0), arrowprops=arrow)
        place = (0.55 * x0 + 0.45 * x1, 0.55 * y0 + 0.45 * y1_)
        box = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
        right.text(*place, f"{slope:g}", color=colour, ha="center", va="center", bbox=box, fontsize=11)
    for name, (x0, y0, value) in places.items():
        right.scatter(x0, y0, s=1500, c="white", edgecolors=BLUE, linewidths=1.5, zorder=2)
        right.text(x0, y0, f"${name}$\n{value:g}", ha="center", va="center", zorder=3)
    path = (
        rf"$\partial y_2/\partial w_1 = \partial y_2/\partial y_1 \cdot \partial y_1/\partial w_1 = {w2:g} \cdot {x:g}"
    )
    right.text(1.2, -1.62, rf"{path} = {w2 * x:.1f}$", color=VERMILION, ha="center", va="center")
    right.set_axis_off()
    right.set(
        title="Two affine maps: $y_1 = x w_1 + b_1$,  $y_2 = y_1 w_2 + b_2$\n"
        "(values in the nodes, derivatives on the arrows)",
        xlim=(-0.35, 2.75),
        ylim=(-1.8, 1.4),
    )
    return figure


def parser() -> argparse.ArgumentParser:
    """The command line's options."""
    return option_parser("calculus", "Worked derivatives: by hand, by jax.grad, by functional_mlp.", dtype="float32")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Prints the table, writes the results, and returns the summary."""
    with results_in(arguments.out, arguments, "calculus") as results:
        rows = [row for worked in ALL for row in rows_of(worked, arguments.dtype)]
        print_table(rows)
        affine_chain = next(row for row in rows if row.section == "Two affine maps" and row.name == "both")
        summary = {
            "dtype": arguments.dtype,
            "derivatives": len(rows),
            "largest_difference": max(row.difference for row in rows),
            "two_affine_maps": {"hand": affine_chain.hand, "jax_grad": affine_chain.jax_grad},
        }
        print(f"\n{len(rows)} derivatives, largest difference {summary['largest_difference']:.1e} ({arguments.dtype})")
        columns = [["" if cell is None else cell for cell in column] for column in zip(*rows, strict=True)]
        results.history(Row._fields, columns)
        results.summary(**summary)
        if results.plots:
            results.figure(draw_rules(), "rules")
            results.figure(draw_chain_rule(), "chain_rule")
            results.figure(draw_networks(), "networks")
    return summary
