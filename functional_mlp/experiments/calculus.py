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
from functional_mlp.experiments.worked import ALL, Point, Worked


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
            from functional_mlp.experiments import calculus_figures as figures

            results.figure(figures.draw_limit(), "limit")
            results.figure(figures.draw_rules(), "rules")
            results.figure(figures.draw_chain_rule(), "chain_rule")
            results.figure(figures.draw_networks(), "networks")
            results.figure(figures.draw_vanishing(), "vanishing")
    return summary
