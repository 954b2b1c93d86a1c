"""The steps that lead from the loss back to one entry of a gradient, with the numbers of one sample."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from functional_mlp.oracle.case import Case, layer_path, parse_path
from functional_mlp.oracle.mistakes import Trace
from functional_mlp.oracle.report.notation import Notation

SHOWN = 3  # samples, or units, that are written out
CLOSE = 1e-9  # relative, of numbers that only rounding tells apart


class Entry(NamedTuple):
    """What is explained.

    Attributes:
        path: of the array.
        at: index of the entry, in the oracle's layout.
        given, mistaken, true: gradients, or parameters after a step; `given` is NaN where nothing fits, `mistaken` None
            where no mistake is known.
    """

    path: str
    at: tuple[int, ...]
    given: float
    mistaken: float | None
    true: float


@dataclass(frozen=True)
class Row:
    """One line of numbers.

    Attributes:
        name: of the number, or how it is made.
        right: the right number; None where there is none.
        mistaken: that of the mistaken program; None where there is none.
    """

    name: str
    right: float | None
    mistaken: float | None = None


@dataclass(frozen=True)
class Step:
    """One line of the program, and its numbers.

    Attributes:
        line: in NumPy.
        rows: the numbers.
        parts: whether the mistaken program's numbers are others from here on.
    """

    line: str
    rows: tuple[Row, ...]
    parts: bool = False


class Steps:
    """The steps that lead to an entry, and the numbers of the right and of the mistaken program.

    Args:
        case: the case.
        notation: its own.
        entry: what is explained.
        right, mistaken: what the two programs compute; `mistaken` is None where no mistake is known.

    Attributes:
        sample: whose numbers are shown.
        apart: whether the two programs have parted in one of the steps that were made.
    """

    def __init__(self, case: Case, notation: Notation, entry: Entry, right: Trace, mistaken: Trace | None) -> None:
        self.case, self.notation, self.right, self.mistaken = case, notation, right, mistaken
        self.entry = entry
        _, self.layer, self.field = parse_path(entry.path)
        self.unit = entry.at[-1]
        self.last = len(case.params) - 1
        self.sample = self._telling_sample()
        self.apart = False

    def all(self) -> Iterator[Step]:
        """From the outputs to the entry; before them, where the mistake changes the forward pass, how it does."""
        yield from self._parting_forward()
        yield self._outputs()
        yield from self._at_the_outputs()
        for layer in range(self.last - 1, self.layer - 1, -1):
            yield self._sent_back(layer)
            yield self._through(layer)
        yield from self._sum()

    # which numbers

    def _contributions(self, traced: Trace) -> np.ndarray:
        """What each sample adds to the entry (n,)."""
        delta = traced.ct_z[self.layer][:, self.unit]
        return delta if self.field == "bias" else traced.inputs[self.layer][:, self.entry.at[0]] * delta

    def _telling_sample(self) -> int:
        """The sample in which the two programs differ most, or which adds most to the entry."""
        own = self._contributions(self.right)
        if self.mistaken is not None:
            with np.errstate(all="ignore"):
                apart = np.abs(self._contributions(self.mistaken) - own)
            if np.nan_to_num(apart).any():
                return int(np.argmax(np.nan_to_num(apart, nan=np.inf)))
        return int(np.argmax(np.abs(own)))

    def _units(self, layer: int) -> list[int]:
        """Those of a layer that are written out: the entry's own, or the first."""
        return [self.unit] if layer == self.layer else list(range(min(SHOWN, self.case.network.sizes[layer + 1])))

    def _rows(self, name: str, layer: int, of: Callable[[Trace], Any]) -> tuple[Row, ...]:
        """The entries of an array (n, units) of a layer for one sample."""
        arrays = [None if traced is None else of(traced) for traced in (self.right, self.mistaken)]
        rows = []
        for unit in self._units(layer):
            numbers = [None if array is None else float(array[self.sample, unit]) for array in arrays]
            rows.append(Row(self.notation.of_sample(name, self.sample, unit), *numbers))
        left = self.case.network.sizes[layer + 1] - len(rows)
        return (*rows, *([Row(f"... and {left} more", None)] if left and layer != self.layer else []))

    def _step(self, line: str, rows: tuple[Row, ...], of: Callable[[Trace], Any]) -> Step:
        """A step, which says so if the two programs part in it."""
        if self.mistaken is None or self.apart:
            return Step(line, rows)
        own, other = of(self.right), of(self.mistaken)
        if own is None or other is None:
            return Step(line, rows)
        self.apart = not is_close(own, other)
        return Step(line, rows, self.apart)

    # the steps

    def _parting_forward(self) -> Iterator[Step]:
        """The first layer in which the two programs differ on the way forward, if it is below the outputs."""
        for layer in range(self.last + 1) if self.mistaken is not None else ():
            terms = self.notation.terms(layer)
            for name, line, field in (("Z", "z", "pre_activations"), ("A", "a", "activations")):
                of = partial(_of_layer, field, layer)
                if (layer, name) != (self.last, "A") and not is_close(of(self.right), of(self.mistaken)):
                    yield self._step(f"{terms[name]} = {terms[line]}", self._rows(terms[name], layer, of), of)
                    return

    def _outputs(self) -> Step:
        terms = self.notation.terms(self.last)
        rows = self._rows(terms["A"], self.last, lambda traced: traced.outputs)
        if self.case.targets is not None:
            targets = self.case.targets
            rows += tuple(
                Row(self.notation.of_sample("T", self.sample, unit), float(targets[self.sample, unit]))
                for unit in self._units(self.last)
            )
        return self._step(f"{terms['A']} = {terms['a']}", rows, lambda traced: traced.outputs)

    def _at_the_outputs(self) -> Iterator[Step]:
        name, line = self.notation.at_the_outputs()
        terms, last = self.notation.terms(self.last), self.last
        fused = self.right.ct_a[last] is None
        if not fused:
            rows = self._rows(terms["dA"], last, lambda traced: traced.ct_a[last])
            said = line if name == terms["dA"] else f"dLoss({terms['A']}, T)"
            yield self._step(f"{terms['dA']} = {said}", rows, lambda traced: traced.ct_a[last])
        rows = (*self._factor(last), *self._rows(terms["dZ"], last, lambda traced: traced.ct_z[last]))
        line = line if fused and name == terms["dZ"] else terms["through"]
        yield self._step(f"{terms['dZ']} = {line}", rows, lambda traced: traced.ct_z[last])

    def _sent_back(self, layer: int) -> Step:
        above = layer + 1
        back, name = self.notation.terms(above)["back"], self.notation.names(layer)["dA"]
        rows = self._rows(name, layer, lambda traced: traced.ct_a[layer])
        if layer == self.layer:
            rows = (*self._products(above), *rows)
        return self._step(f"{name} = {back}", rows, lambda traced: traced.ct_a[layer])

    def _products(self, above: int) -> Iterator[Row]:
        """What the first units of the layer above send back to the entry's own."""
        delta = self.notation.names(above)["dZ"]
        total = self.case.network.sizes[above + 1]
        for unit in range(min(SHOWN, total)):
            numbers = [
                None
                if traced is None
                else float(traced.ct_z[above][self.sample, unit] * traced.weights[above][self.unit, unit])
                for traced in (self.right, self.mistaken)
            ]
            weight = self.notation.entry(f"{layer_path(above)}.weights", (self.unit, unit)).removeprefix("d")
            yield Row(f"{self.notation.of_sample(delta, self.sample, unit)} * {weight}", *numbers)
        if total > SHOWN:
            yield Row(f"... and {total - SHOWN} more, in all:", None)

    def _through(self, layer: int) -> Step:
        terms = self.notation.terms(layer)
        rows = (*self._factor(layer), *self._rows(terms["dZ"], layer, lambda traced: traced.ct_z[layer]))
        return self._step(f"{terms['dZ']} = {terms['through']}", rows, lambda traced: traced.ct_z[layer])

    def _factor(self, layer: int) -> tuple[Row, ...]:
        """What the cotangent of the entry's unit is multiplied with, in its own layer, if that works unit by unit."""
        name = self.case.network.activations[layer].name
        if layer != self.layer or name in ("softmax", "identity") or self.right.ct_a[layer] is None:
            return ()

        def of(traced: Trace | None) -> float | None:
            ct_a = None if traced is None else traced.ct_a[layer]
            if traced is None or ct_a is None or ct_a[self.sample, self.unit] == 0:
                return None
            return float(traced.ct_z[layer][self.sample, self.unit] / ct_a[self.sample, self.unit])

        return (Row(f"the factor {self.notation.slope(layer)}", of(self.right), of(self.mistaken)),)

    def _sum(self) -> Iterator[Step]:
        """The sum over the samples, and what is added to it or done to it before it is handed back."""
        terms, layer, bias = self.notation.terms(self.layer), self.layer, self.field == "bias"
        line = f"{terms['db']} = {terms['sums']}" if bias else f"{terms['dW']} = {terms['product']}"
        name = self.notation.entry(self.entry.path, self.entry.at)
        samples = len(self.case.inputs)
        added = [None if traced is None else self._contributions(traced) for traced in (self.right, self.mistaken)]
        rows = [
            Row(self._addend(sample), *(None if own is None else float(own[sample]) for own in added))
            for sample in range(min(SHOWN, samples))
        ]
        rows += [Row(f"... and {samples - SHOWN} more, in all:", None)] if samples > SHOWN else []
        rows.append(Row(name, *(self._of_entry(traced, "sums") for traced in (self.right, self.mistaken))))
        yield self._step(line, tuple(rows), lambda traced: getattr(traced.sums[layer], self.field))
        penalty = terms["bias_penalty" if bias else "penalty"]
        returned = [self._of_entry(traced, "grads") for traced in (self.right, self.mistaken)]
        summed = [self._of_entry(traced, "sums") for traced in (self.right, self.mistaken)]
        if any(a is not None and b is not None and not is_close(a, b) for a, b in zip(returned, summed, strict=True)):
            changed = not is_close(returned[0], summed[0])
            done = f"{terms['db'] if bias else terms['dW']} = the same{penalty if changed else ''}"
            yield self._step(
                f"{done}, as handed back",
                (Row(name, *returned),),
                lambda traced: getattr(traced.grads[layer], self.field),
            )

    def _addend(self, sample: int) -> str:
        delta = self.notation.of_sample(self.notation.names(self.layer)["dZ"], sample, self.unit)
        if self.field == "bias":
            return delta
        below = self.notation.output_of(self.layer - 1)
        return f"{self.notation.of_sample(below, sample, self.entry.at[0])} * {delta}"

    def _of_entry(self, traced: Trace | None, which: str) -> float | None:
        return None if traced is None else float(getattr(getattr(traced, which)[self.layer], self.field)[self.entry.at])


def _of_layer(field: str, layer: int, traced: Any) -> Any:
    return getattr(traced, field)[layer]


def is_close(own: Any, other: Any) -> bool:
    """Whether only rounding tells them apart."""
    a, b = np.asarray(own), np.asarray(other)
    if a.shape != b.shape:
        return False
    with np.errstate(all="ignore"):
        return bool(np.all((a == b) | (np.abs(a - b) <= CLOSE * np.max(np.abs(a), initial=0.0))))
