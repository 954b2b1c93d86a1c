"""The lines of NumPy that a report shows are executed: yours makes the mistake's numbers, the fix the right ones."""

from dataclasses import replace
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest

import functional_mlp as fm
from functional_mlp import oracle
from functional_mlp.activations import FACTORIES, numpy_value, numpy_vjp
from functional_mlp.oracle.case import declared_data, declared_layer
from functional_mlp.oracle.diagnosis import Named
from functional_mlp.oracle.mistakes import MISTAKES, WORDING, Slip, inject, places, prepare, site_of
from functional_mlp.oracle.report.headlines import OF_ONE_LAYER, headline_of
from functional_mlp.oracle.report.legend import AT_THE_END
from functional_mlp.oracle.report.notation import Notation

CLOSE = 1e-8

LAYOUTS = {
    "rows": None,
    "torch": "torch",
    "columns": "columns",
    "rows of biases": {"bias": "row"},
    "columns of biases, rows": {"bias": "column", "weights": "out_in"},
    "columns, weights (in, out)": {"weights": "in_out", "bias": "row", "samples": "columns"},
    "a vector of biases, columns": {"weights": "out_in", "samples": "columns"},
    "biases in the last row": {"bias": "last_row"},
    "biases in the first column": {"bias": "first_column", "weights": "out_in", "samples": "columns"},
}
MEAN = {"over_samples": "mean"}
QUESTIONS = {  # sizes, samples, activations, loss
    "three layers": ((3, 3, 3, 2), 3, ("tanh", "relu", "sigmoid"), fm.Loss("binary_cross_entropy", **MEAN, l2=0.1)),
    "classes": ((3, 3, 3), 4, ("leaky_relu", "softmax"), fm.Loss("categorical_cross_entropy", l1=0.2)),
    "means of squares": ((2, 4, 3), 4, ("elu", "sigmoid"), fm.Loss("squared_error", over_outputs="mean", **MEAN)),
    "sum of squares": ((3, 2, 2), 2, ("softmax", "tanh"), fm.Loss("squared_error", scale=0.3, l2=0.1, l2_on_bias=True)),
    "logits": ((3, 4, 2), 5, ("sigmoid", "identity"), fm.Loss("softmax_cross_entropy", **MEAN)),
}
OF_PROBABILITIES = {  # where loss and activation are one on the way back, but a line may be in terms of dA
    "binary_cross_entropy": "{dA} = ({A} - T) / ({A} * (1 - {A})) / n",
    "categorical_cross_entropy": "{dA} = -T / {A}",
}
# no line in the place of another mends these
NOT_A_LINE = {"accumulated", "layers-in-reverse", "finite-difference", "float32-inside-float64"}
GENERIC = {"array-scaled", "loss-scaled", "scale-by-layer"}


class Made(NamedTuple):
    """A mistake in a case, and the gradients that it leads to."""

    id: str
    layers: tuple[int, ...]
    variant: str | None
    value: float | None
    grads: tuple

    def headlines(self, notation):
        """What is said of it; one for each layer, where a line is to be written in each."""
        mistake = MISTAKES[self.id]
        everywhere = not self.layers and OF_ONE_LAYER.search(WORDING[self.id].of(self.variant)[1])
        places = [(layer,) for layer in range(notation.depth)] if everywhere else [self.layers]
        words = (mistake.sentence, mistake.formula, mistake.fix)
        return [
            headline_of(Named(self.id, None, layers, self.variant, self.value, *words, 15), notation)
            for layers in places
        ]


@cache
def drawn(name):
    sizes, samples, activations, loss = QUESTIONS[name]
    return oracle.draw_case(fm.Network(sizes, activations), loss, samples=samples, seed=7)


@cache
def all_made(name):
    """Every mistake at every place of a case."""
    prepared, found = prepare(drawn(name)), []
    for id_, mistake in MISTAKES.items():
        if mistake.shows_in_updates or id_ in NOT_A_LINE:
            continue
        for layer, variant in places(prepared, id_):
            value = site_of(prepared, mistake, layer, variant).value if mistake.parameter is not None else None
            value = 0.75 if id_ in GENERIC else value
            grads = inject(prepared, [Slip(id_, layer, variant, value)]).grads
            found.append(Made(id_, () if layer is None else (layer,), variant, value, grads))
    return found


def code_of(line):
    return line.partition("  #")[0]


@cache
def compiled(line):
    return compile(line, "report", "exec")


def names_of(case, columns):
    """What a program is given: arrays in the layout of the case, and functions."""
    data = declared_data(case)
    names = {"np": np, "X": data["inputs"], "T": data["targets"], "n": len(case.inputs)}
    names["K"] = case.network.sizes[-1]
    for name, factory in FACTORIES.items():
        own = factory()
        names[name] = lambda z, own=own: numpy_value(own, z)
        names[f"{name}_prime"] = lambda z, own=own: numpy_vjp(own, z, numpy_value(own, z), np.ones_like(z))
    names["softmax"] = lambda z: np.exp(z) / np.exp(z).sum(axis=0 if columns else 1, keepdims=True)
    for layer, params in enumerate(case.params):
        arrays = declared_layer(params, case.layout)
        names |= {f"W{layer + 1}": arrays["weights"], f"b{layer + 1}": arrays.get("bias")}
    return names


class Program:
    """The lines of a right program in the layout of a case; a mean is divided by at the beginning, or at the end."""

    def __init__(self, case, at_the_end):
        self.case, self.notation = case, Notation(case, len(case.params))
        self.names, self.lines = names_of(case, self.notation.columns), {}
        layers = range(self.notation.depth)
        terms = [self.notation.terms(layer) for layer in layers]
        for own in terms:
            self.lines |= {own["Z"]: f"{own['Z']} = {own['z']}", own["A"]: f"{own['A']} = {own['a']}"}
        self.lines[terms[-1]["dA"]] = OF_PROBABILITIES.get(case.loss.kind, "pass").format(**terms[-1])
        loss = replace(case.loss, over_samples="sum") if at_the_end else case.loss
        name, line = self.notation.at_the_outputs(loss=loss)
        self.lines[name] = f"{name} = {line}"
        for layer in reversed(layers):
            own, over = terms[layer], f" / {terms[layer]['divisor']}" if at_the_end else ""
            self.lines.setdefault(own["dZ"], f"{own['dZ']} = {own['through']}")
            self.lines[own["dW"]] = f"{own['dW']} = {own['product']}{over}{own['penalty']}"
            self.lines[own["db"]] = f"{own['db']} = {own['sums']}{over}{own['bias_penalty']}"
            self.lines[own["dA_prev"]] = f"{own['dA_prev']} = {own['back']}"

    def gradients(self, lines):
        """What it computes with some lines in the place of those that make the same."""
        program = dict(self.lines)
        for line in lines:
            names = [statement.partition(" = ")[0] for statement in code_of(line).split("; ")]
            last = next((name for name in reversed(names) if name in self.lines or name == "T"), names[-1])
            program = {last: line, **program} if last == "T" else program | {last: line}
        assert len(program) <= len(self.lines) + ("T" in program), lines
        names = dict(self.names)
        for layer in range(self.notation.depth):
            names[f"dW{layer + 1}"] = np.empty_like(names[f"W{layer + 1}"])
        for line in program.values():
            exec(compiled(line), names)
        return [
            np.broadcast_to(names[f"d{'W' if field == 'weights' else 'b'}{layer + 1}"], leaf.shape)
            for layer, params in enumerate(self.case.params)
            for field, leaf in declared_layer(params, self.case.layout).items()
        ]

    def distance(self, lines, grads, weights_alone=False):
        """How far what it computes is from some gradients, relative to the largest of them."""
        fields = [declared_layer(layer, self.case.layout) for layer in grads]
        others = [(field, leaf) for layer in fields for field, leaf in layer.items()]
        off = [
            np.max(np.abs(own - other))
            for own, (field, other) in zip(self.gradients(lines), others, strict=True)
            if field == "weights" or not weights_alone
        ]
        return max(off) / max(1e-3, *(np.max(np.abs(other)) for _, other in others))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", QUESTIONS)
def test_the_fix_makes_the_right_numbers_and_yours_those_of_the_mistake(name, layout):
    case = drawn(name).laid_out(LAYOUTS[layout])
    programs = {at_the_end: Program(case, at_the_end) for at_the_end in (False, True)}
    true, mended = oracle.solve(drawn(name)).grads, set()
    for made in all_made(name):
        headlines = made.headlines(programs[False].notation)
        fixes, yours = ([getattr(headline, what) for headline in headlines] for what in ("fix", "yours"))
        program = programs[any(AT_THE_END in fix for fix in fixes)]
        if tuple(fixes) not in mended:
            assert program.distance(fixes, true) < CLOSE, (made[:3], fixes)
            mended.add(tuple(fixes))
        if all(yours):  # a penalty on the biases has the same lines once more, which are not written
            likewise = "# likewise d" in fixes[-1]
            if not (likewise and program.notation.layout.in_weights):
                assert program.distance(yours, made.grads, likewise) < CLOSE, (made[:3], yours)
