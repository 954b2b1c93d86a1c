"""Numbers with a bound on what rounding has done to them: how far any program may be off, in whatever order it sums.

Every operation adds its own rounding, at most one unit of the format (of divisions and roots two, of activations what
the oracle's table says), to what its operands hand on: Wilkinson's running error analysis, to first order. Nothing is
drawn, so that allowed errors are the same for good. The programs at the end are textbook ones; where another usual
formula rounds more, that is added.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from functional_mlp.activations import Activation, gelu, numpy_value, numpy_vjp, silu
from functional_mlp.oracle.noise import FORMATS, elementary
from tools.vectorgen.hazards.recipes import Array

AMPLITUDE = 2.25  # the largest e1 + e2 + e3 / 4, each in (-1, 1): what the oracle lets an activation err by, at most
QUOTIENT = 2.0  # units that a division or a root may be off: not everywhere are they rounded correctly


@dataclass(frozen=True, eq=False)
class Bounded:
    """An array as a program of a format has it.

    Attributes:
        value: the true numbers, to the digits of float64.
        error: how far the program may be off.
        form: the name of its format.
    """

    value: Array
    error: Array
    form: str

    def _of(self, value: Any, inherited: Any, units: float = 1.0) -> Bounded:
        """The result of one operation."""
        form = FORMATS[self.form]
        own = units * form.unit * np.abs(value) + form.smallest * (value != 0)
        return Bounded(np.asarray(value), np.asarray(inherited + own), self.form)

    def widened(self, by: Array) -> Bounded:
        """With so many units more."""
        return replace(self, error=self.error + FORMATS[self.form].unit * by)

    def __add__(self, other: Bounded) -> Bounded:
        return self._of(self.value + other.value, self.error + other.error)

    def __sub__(self, other: Bounded) -> Bounded:
        return self._of(self.value - other.value, self.error + other.error)

    def __mul__(self, other: Bounded) -> Bounded:
        inherited = np.abs(self.value) * other.error + self.error * (np.abs(other.value) + other.error)
        return self._of(self.value * other.value, inherited)

    def __truediv__(self, other: Bounded) -> Bounded:
        value = self.value / other.value
        return self._of(
            value, (self.error + np.abs(value) * other.error) / (np.abs(other.value) - other.error), QUOTIENT
        )

    def sqrt(self) -> Bounded:
        """The root."""
        root = np.sqrt(self.value)
        return self._of(root, self.error / root, QUOTIENT)

    def sum(self, axis: int) -> Bounded:
        """The sum, in any order; the axis stays."""
        value, error, sizes = (
            array.sum(axis=axis, keepdims=True) for array in (self.value, self.error, np.abs(self.value))
        )
        return self._of(value, error).widened(self.value.shape[axis] * sizes)

    def mean(self) -> Bounded:
        """The mean of every row, (rows, 1)."""
        total = self.sum(-1)
        count = float(self.value.shape[-1])
        return total._of(total.value / count, total.error / count, QUOTIENT)

    def __matmul__(self, other: Bounded) -> Bounded:
        left, right = np.abs(self.value), np.abs(other.value)
        inherited = left @ other.error + self.error @ (right + other.error)
        return self._of(self.value @ other.value, inherited).widened(self.value.shape[-1] * (left @ right))

    @property
    def transposed(self) -> Bounded:
        """Columns as rows."""
        return replace(self, value=self.value.T, error=self.error.T)


Named = dict[str, Bounded]


def _norm(given: Named, ct: Bounded, epsilon: Bounded, *, centred: bool) -> Named:
    x = given["x"]
    deviations = x - x.mean() if centred else x
    mean_square = (deviations * deviations).mean()
    if centred:  # as E[x²] - E[x]²
        mean_square = mean_square.widened((x.value.shape[-1] + 2) * np.mean(x.value**2, axis=-1, keepdims=True))
    root = (mean_square + epsilon).sqrt()
    normalised = deviations / root
    weighted, y, pulled = given.get("weight"), normalised, ct
    if weighted is not None:
        y, pulled = y * weighted, pulled * weighted
    y = y + given["bias"] if "bias" in given else y
    inner = pulled - pulled.mean() if centred else pulled
    projected = (pulled * normalised).mean()
    ct_x = (inner - normalised * projected) / root
    results = {"y": y, "ct_x": ct_x, "ct_weight": (ct * normalised).sum(0), "ct_bias": ct.sum(0)}
    return {name: result for name, result in results.items() if name in ("y", "ct_x") or name[3:] in given}


def _gated(given: Named, ct: Bounded, activation: Activation) -> Named:
    x, gate, up, down = (given[name] for name in ("x", "gate", "up", "down"))
    z, u = x @ gate, x @ up
    a, slope = _activated(activation, z)
    hidden, ct_h = a * u, ct @ down.transposed
    ct_z, ct_u = ct_h * u * slope, ct_h * a
    return {
        "y": hidden @ down,
        "ct_x": ct_z @ gate.transposed + ct_u @ up.transposed,
        "ct_gate": x.transposed @ ct_z,
        "ct_up": x.transposed @ ct_u,
        "ct_down": hidden.transposed @ ct,
    }


def _activated(activation: Activation, z: Bounded) -> tuple[Bounded, Bounded]:
    """f(z) and f'(z): the amplitudes of the oracle's table, and what the error of z does."""
    rule, a = elementary(activation), numpy_value(activation, z.value)
    slope = numpy_vjp(activation, z.value, a, np.ones_like(a))
    steepest = np.abs(slope) + rule.curvature() * z.error
    value = z._of(a, steepest * z.error).widened(AMPLITUDE * rule.value(z.value, a))
    return value, z._of(slope, rule.curvature() * z.error).widened(AMPLITUDE * rule.derivative(z.value, a))


def _residual(given: Named, ct: Bounded, scale: Bounded) -> Named:
    return {"y": given["x"] + scale * given["branch"], "ct_x": ct, "ct_branch": scale * ct}


def _dropout(given: Named, ct: Bounded, kept: Bounded) -> Named:
    share = given["mask"] / kept
    return {"y": given["x"] * share, "ct_x": ct * share}


def _rounded_setting(number: float, form: str) -> Bounded:
    """A setting, which a program may round to its format."""
    return Bounded(np.array(number), np.array(FORMATS[form].unit * abs(number)), form)


PROGRAMS: dict[str, Callable[[Named, Bounded, Mapping[str, Bounded]], Named]] = {
    "layer_norm": lambda given, ct, settings: _norm(given, ct, settings["epsilon"], centred=True),
    "rms_norm": lambda given, ct, settings: _norm(given, ct, settings["epsilon"], centred=False),
    "swiglu": lambda given, ct, settings: _gated(given, ct, silu()),
    "geglu": lambda given, ct, settings: _gated(given, ct, gelu()),
    "residual": lambda given, ct, settings: _residual(given, ct, settings["scale"]),
    "dropout": lambda given, ct, settings: _dropout(
        given, ct, _rounded_setting(1 - float(settings["rate"].value), settings["rate"].form)
    ),
}


def allowed_errors(
    operation: str, arguments: Mapping[str, np.ndarray], ct_y: Array, settings: Mapping[str, float], precision: str
) -> dict[str, Array]:
    """How far y and every cotangent of a right program may be off, by name, of their shapes.

    Args:
        operation: a key of `PROGRAMS`.
        arguments, ct_y, settings: as the vector has them.
        precision: the format that the program computes in.
    """

    def exact(array: np.ndarray) -> Bounded:
        numbers = np.asarray(array, np.float64)
        return Bounded(numbers, np.zeros(numbers.shape), precision)

    given = {name: exact(array) for name, array in arguments.items()}
    numbers = {name: _rounded_setting(number, precision) for name, number in settings.items()}
    with np.errstate(all="ignore"):
        results = PROGRAMS[operation](given, exact(ct_y), numbers)
    # expected numbers are rounded to float64 themselves
    errors = {name: result.error + np.spacing(np.abs(result.value)) / 2 for name, result in results.items()}
    return {name: error.reshape(_shape(name, arguments, ct_y)) for name, error in errors.items()}


def _shape(name: str, arguments: Mapping[str, np.ndarray], ct_y: Array) -> tuple[int, ...]:
    return ct_y.shape if name == "y" else arguments[name.removeprefix("ct_")].shape
