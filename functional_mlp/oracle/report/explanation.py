"""One entry of a gradient, step by step back from the loss: the right numbers, those of the mistake, and the given one.

Nothing is kept for it: the passes of the right and of the mistaken program are computed anew from the case.
"""

import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from functional_mlp.oracle.case import Case, layer_of, layer_path, parameter_of, params_by_path, parse_path
from functional_mlp.oracle.diagnosis import Diagnosis, Named
from functional_mlp.oracle.documents import Update
from functional_mlp.oracle.mistakes import Slip, Trace, prepare, trace
from functional_mlp.oracle.report.attachments import Exhibit
from functional_mlp.oracle.report.headlines import headline_of, legend_of
from functional_mlp.oracle.report.notation import Notation
from functional_mlp.oracle.report.reported import Reported
from functional_mlp.oracle.verdict import Cause, Leaf, Verdict
from functional_mlp.update_rules import Descent

WIDTH = 80
SHOWN = 3  # samples, or units, that are written out
CLOSE = 1e-9  # relative, of numbers that only rounding tells apart
PART = "   ^ here the two part"
NO_CASE = "This report kept no case, so that nothing can be explained step by step.\n"
SEVERAL_STEPS = (
    "These parameters are not those of one step of plain descent: no single gradient leads to them. What follows is the"
    " gradient of the first step."
)


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


def explanation_of(report: Reported, path: str | None = None) -> str:
    """The text of `Report.explain`.

    Raises:
        ValueError: for a path that is none of a parameter.
    """
    if not report.exhibits:
        return NO_CASE
    exhibit = _exhibit(report, path)
    case = exhibit.case
    notation = Notation(case, len(case.params))
    if path is not None and path not in params_by_path(case.params):
        known = ", ".join(params_by_path(case.params))
        raise ValueError(f"expected the path of a parameter ({known}), got {path!r}")
    rate = exhibit.answer.learning_rate if isinstance(exhibit.answer, Update) else None
    diagnosis = report.diagnosis if report.diagnosis is None or report.diagnosis.group == exhibit.group else None
    leaves = [leaf for leaf in report.leaves if leaf.group == exhibit.group]
    prepared = prepare(case) if rate is None else prepare(case, rule=Descent(rate))
    right = trace(prepared)
    entry = _entry(case, leaves, diagnosis, right, path)
    mistaken = None
    if diagnosis is not None and diagnosis.mistakes:
        try:
            mistaken = trace(prepared, _slips(diagnosis.mistakes, leaves))
        except (ValueError, TypeError, LookupError):  # of mistakes that show in several steps only
            mistaken = None
    return _text(report, notation, entry, _Steps(case, notation, entry, right, mistaken), rate)


def _exhibit(report: Reported, path: str | None) -> Exhibit:
    """The case that is explained: that of the evidence, or the first that is wrong, or undecided, or the first."""
    by_group = {exhibit.group: exhibit for exhibit in report.exhibits}
    diagnosis = report.diagnosis
    if diagnosis is not None and diagnosis.mistakes and diagnosis.group in by_group:
        return by_group[diagnosis.group]
    for verdict in (Verdict.WRONG, Verdict.UNDECIDED):
        for leaf in report.leaves:
            if leaf.verdict is verdict and leaf.group in by_group and path in (None, leaf.path):
                return by_group[leaf.group]
    return report.exhibits[0]


def _slips(mistakes: Iterable[Named], leaves: Sequence[Leaf]) -> tuple[Slip, ...]:
    """The mistakes as they are made; weights in the other layout are as they were turned to be compared."""
    turned = any(leaf.cause is Cause.SHAPE for leaf in leaves)
    made = (one for one in mistakes if not (turned and one.id == "weight-gradient-transposed"))
    return tuple(Slip(one.id, layer, one.variant, one.value) for one in made for layer in (one.layers or (None,)))


def _entry(case: Case, leaves: Sequence[Leaf], diagnosis: Diagnosis | None, right: Trace, path: str | None) -> Entry:
    """The entry of a path, or the one that is wrong nearest to the outputs; of the evidence, if there is some."""
    parameters = params_by_path(case.params)
    turned = any(leaf.cause is Cause.SHAPE for leaf in leaves)
    for shown in () if diagnosis is None else diagnosis.evidence:
        if path in (None, shown.path) and shown.path in parameters:
            at = shown.at[::-1] if turned and shown.path.endswith("weights") else shown.at
            return Entry(shown.path, at, shown.given, shown.mistaken, shown.true)
    compared = [
        leaf for leaf in leaves if leaf.path in parameters and leaf.index is not None and path in (None, leaf.path)
    ]
    wrong = sorted((leaf for leaf in compared if leaf.verdict is not Verdict.CONSISTENT), key=_from_the_outputs)
    for leaf in wrong or sorted(compared, key=_farthest, reverse=True):
        return Entry(leaf.path, leaf.index or (), leaf.got, None, leaf.expected)
    chosen = path or max(parameters, key=lambda own: (layer_of(own), own))
    at = (0,) * parameters[chosen].ndim
    return Entry(chosen, at, np.nan, None, float(params_by_path(right.grads)[chosen][at]))


def _from_the_outputs(leaf: Leaf) -> tuple[bool, int, str]:
    return leaf.verdict is not Verdict.WRONG, -layer_of(leaf.path), leaf.path


def _farthest(leaf: Leaf) -> float:
    return leaf.error / leaf.floor if leaf.floor > 0 else 0.0


class _Steps:
    """The steps that lead to an entry, and the numbers of the right and of the mistaken program."""

    def __init__(self, case: Case, notation: Notation, entry: Entry, right: Trace, mistaken: Trace | None) -> None:
        self.case, self.notation, self.right, self.mistaken = case, notation, right, mistaken
        self.entry = entry
        _, self.layer, self.field = parse_path(entry.path)
        self.unit = entry.at[-1]
        self.last = len(case.params) - 1
        self.sample = self._telling_sample()
        self.apart = False  # whether the two programs have parted already

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
        self.apart = not _close(own, other)
        return Step(line, rows, self.apart)

    # the steps

    def _parting_forward(self) -> Iterator[Step]:
        """The first layer in which the two programs differ on the way forward, if it is below the outputs."""
        for layer in range(self.last + 1) if self.mistaken is not None else ():
            terms = self.notation.terms(layer)
            for name, line, field in (("Z", "z", "pre_activations"), ("A", "a", "activations")):
                of = partial(_of_layer, field, layer)
                if (layer, name) != (self.last, "A") and not _close(of(self.right), of(self.mistaken)):
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
        if any(a is not None and b is not None and not _close(a, b) for a, b in zip(returned, summed, strict=True)):
            changed = not _close(returned[0], summed[0])
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


def _close(own: Any, other: Any) -> bool:
    """Whether only rounding tells them apart."""
    a, b = np.asarray(own), np.asarray(other)
    if a.shape != b.shape:
        return False
    with np.errstate(all="ignore"):
        return bool(np.all((a == b) | (np.abs(a - b) <= CLOSE * np.max(np.abs(a), initial=0.0))))


# text


def _text(report: Reported, notation: Notation, entry: Entry, steps: _Steps, rate: float | None) -> str:
    compared = steps.mistaken is not None
    layer = layer_of(entry.path)
    name = notation.entry(entry.path, entry.at)
    where = ", ".join(map(str, entry.at))
    what = f"{name}, {entry.path}[{where}]" if name.removeprefix("d") != entry.path else name
    lines = _wrapped(f"{what}, in {notation.place((layer,))}, step by step back from the loss.")
    diagnosis = report.diagnosis
    if compared and diagnosis is not None:
        for named in diagnosis.mistakes:
            lines += _wrapped(f"The mistake: {headline_of(named, notation).sentence}", 2)
    lines += _wrapped(legend_of(notation))
    samples = f"{steps.sample} of {len(steps.case.inputs)}"
    lines += _wrapped(f"Indices count from 0. Numbers of single samples are those of sample {samples}.")
    plain = rate is None or _is_plain(entry, steps, rate)
    if not plain:
        lines += _wrapped(SEVERAL_STEPS)
    lines += ["", _numbers("", "mistake" if compared else "", "right")]
    for number, step in enumerate(steps.all(), 1):
        lines += _wrapped(f"{number}. {step.line}", 3)
        for row in step.rows:
            lines.append(_row(row, compared=compared))
        if step.parts:
            lines.append(PART)
    if rate is not None and plain:
        terms = notation.terms(layer)
        kind = "b" if entry.path.endswith("bias") else "W"
        lines += _wrapped(f"{number + 1}. {terms[kind]} = {terms[kind]} - {rate:g} * {terms[f'd{kind}']}", 3)
        lines.append(_row(Row(name.removeprefix("d"), entry.true, entry.mistaken), compared=compared))
        if compared and not steps.apart:
            lines.append(PART)
    given = "nothing that could be compared" if np.isnan(entry.given) else f"{entry.given:.9g}"
    lines += ["", f"yours: {given}; right: {entry.true:.9g}"]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _is_plain(entry: Entry, steps: _Steps, rate: float) -> bool:
    """Whether the true parameter is that after one step of plain descent."""
    before = float(parameter_of(steps.case, entry.path)[entry.at])
    step = rate * float(params_by_path(steps.right.grads)[entry.path][entry.at])
    return abs(before - step - entry.true) <= CLOSE * (abs(before) + abs(step))


def _row(row: Row, *, compared: bool) -> str:
    mistaken, right = ("" if number is None else f"{number:.9g}" for number in (row.mistaken, row.right))
    return _numbers(f"   {row.name}", mistaken if compared else "", right)


def _numbers(name: str, mistaken: str, right: str) -> str:
    return f"{name:<47} {mistaken:>15} {right:>15}"


def _wrapped(text: str, hang: int = 0) -> list[str]:
    return textwrap.wrap(text, WIDTH, subsequent_indent=" " * hang, break_on_hyphens=False)
