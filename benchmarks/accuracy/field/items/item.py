"""What is known of an item: what it does, how it is asked, and which answers are right.

An item is made of a function that draws a problem, computes what a program would hand over, and returns the question;
its docstring says what the program does. Three questions can be asked, as their authors would: about gradients
(`GradientsAsk`), about the parameters after a step (`UpdateAsk`, `PrintedUpdateAsk`), and about a function
(`FunctionAsk`).
"""

import itertools
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import functional_mlp as fm
from benchmarks.accuracy.field.items.backprop import Activation, Array, Layers
from benchmarks.accuracy.field.items.drawing import Draw
from functional_mlp import oracle

HALF = fm.Loss("squared_error", scale=0.5)
SQUARED = fm.Loss("squared_error")
MEAN_SQUARED = fm.Loss("squared_error", over_samples="mean")
MEAN_OF_ALL = fm.Loss("squared_error", over_samples="mean", over_outputs="mean")
CROSS_ENTROPY = fm.Loss("categorical_cross_entropy")
MEAN_CROSS_ENTROPY = fm.Loss("categorical_cross_entropy", over_samples="mean")
MEAN_BINARY = fm.Loss("binary_cross_entropy", over_samples="mean")
MEAN_OF_LOGITS = fm.Loss("softmax_cross_entropy", over_samples="mean")

ALWAYS_OPEN = "relu-mask-missing/hidden-derivative-missing"  # names of a relu whose derivative is 1 everywhere


@dataclass(frozen=True)
class Ask:
    """One question.

    Attributes:
        activations: of the declared network.
        loss: that is declared; None where a function is given the cotangent of its outputs.
    """

    activations: tuple[Activation, ...]
    loss: fm.Loss | None

    def network(self, sizes: tuple[int, ...]) -> fm.Network:
        """The declared network."""
        return fm.Network(sizes, tuple(each.declared for each in self.activations))

    def shapes(self) -> str:
        """What the oracle compiles for: questions with the same text can use each other's compiled code."""
        raise NotImplementedError

    def report(self) -> oracle.Report:
        """What the oracle answers."""
        raise NotImplementedError


@dataclass(frozen=True)
class FunctionAsk(Ask):
    """About `function(params, inputs, targets)`, which returns gradients, or the loss and gradients.

    Attributes:
        sizes: of the network.
        function: the program.
        precision: that it computes in; None for that of its results.
        biases: whether the program has any.
    """

    sizes: tuple[int, ...]
    function: Callable[[Any, Any, Any], Any]
    precision: str | None = None
    biases: bool = True

    def shapes(self) -> str:
        """As of `Ask`."""
        return repr(("function", self.network(self.sizes)))

    def report(self) -> oracle.Report:
        """As of `Ask`."""
        network = self.network(self.sizes)
        return oracle.check_function(self.function, network, self.loss, precision=self.precision)


@dataclass(frozen=True)
class CaseAsk(Ask):
    """About one case. All layers are (weights, bias), weights (fan_in, fan_out), unless `as_is`.

    Attributes:
        params: before the step.
        inputs: (n, fan_in).
        targets: (n, fan_out).
        layout: of the weights that the case is declared with.
        bias: where it is declared that the bias stands.
        dtype: of the case.
        as_is: whether what is given is handed over as it stands, in the declared layout or in some other form.
    """

    params: Layers
    inputs: Array
    targets: Array
    layout: str = "in_out"
    bias: str = "separate"
    dtype: str = "float64"
    as_is: bool = False

    @property
    def case(self) -> oracle.Case:
        """The case."""
        sizes = (self.params[0][0].shape[0], *(weights.shape[1] for weights, _ in self.params))
        return oracle.Case(
            self.network(sizes),
            self.loss,
            self.declared(self.params),
            self.inputs,
            targets=self.targets,
            dtype=self.dtype,
            weights_layout=self.layout,
            bias_layout=self.bias,
        )

    def shapes(self) -> str:
        """As of `Ask`."""
        sizes = [weights.shape for weights, _ in self.params]
        return repr(("case", [each.declared for each in self.activations], sizes, len(self.inputs)))

    def declared(self, layers: Layers) -> list[Any]:
        """Layers in the declared layout."""
        turned = []
        for weights, bias in layers:
            if self.bias == "last_row":
                weights, bias = np.vstack([weights, np.reshape(bias, (1, -1))]), None
            weights = weights.T if self.layout == "out_in" else weights
            turned.append(weights if bias is None else (weights, bias))
        return turned

    def handed_over(self, layers: Any) -> Any:
        """What is given, as it is handed over."""
        return layers if self.as_is else self.declared(layers)


@dataclass(frozen=True, kw_only=True)
class GradientsAsk(CaseAsk):
    """About gradients, with the loss and the outputs where the program has them.

    Attributes:
        given: the gradients.
        value: of the loss.
        outputs: of the network.
    """

    given: Any
    value: float | None = None
    outputs: Array | None = None

    def report(self) -> oracle.Report:
        """As of `Ask`."""
        return oracle.check(self.case, self.handed_over(self.given), loss=self.value, outputs=self.outputs)


@dataclass(frozen=True, kw_only=True)
class UpdateAsk(CaseAsk):
    """About the parameters after one step.

    Attributes:
        step: the parameters after a step with a rate.
        rates: the learning rates, one or several; each step starts at `params`.
    """

    step: Callable[[float], Any]
    rates: tuple[float, ...]

    def report(self) -> oracle.Report:
        """As of `Ask`."""
        after = [self.handed_over(self.step(rate)) for rate in self.rates]
        if len(after) == 1:
            return oracle.check_update(self.case, after[0], self.rates[0])
        return oracle.check_update(self.case, after, list(self.rates))


@dataclass(frozen=True, kw_only=True)
class PrintedUpdateAsk(CaseAsk):
    """About a document with the parameters after one step.

    Attributes:
        text: of the document, as JSON.
    """

    text: str

    def report(self) -> oracle.Report:
        """As of `Ask`."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "update.json"
            path.write_text(self.text, encoding="utf-8")
            return oracle.check_update(self.case, oracle.read_update(path))


@dataclass(frozen=True)
class Item:
    """A program, and the right answers.

    Attributes:
        id: fixed: f and a number for wrong programs, c for right ones.
        kind: a few words.
        make: makes the question of a draw.
        right: whether the program is right.
        want: the accepted answers: sets of ids of mistakes that must all be named.
        part: ids that are part of an answer, but in none of the sets.
        traps: ids that are false names although a remark or an answer holds them.
        also: ids that are true as well, but no answer.
        excuse: ids of conventions as which the program may be called wrong although it is right.
    """

    id: str
    kind: str
    make: Callable[[Draw], Ask]
    right: bool = False
    want: tuple[frozenset[str], ...] = ()
    part: frozenset[str] = frozenset()
    traps: frozenset[str] = frozenset()
    also: frozenset[str] = frozenset()
    excuse: frozenset[str] = frozenset()

    @property
    def says(self) -> str:
        """What the program does."""
        return " ".join((self.make.__doc__ or "").split())

    def build(self, seed: int, variation: int = 0) -> Ask:
        """The question, of these numbers."""
        return self.make(Draw(self.id, seed, variation))


def alternatives(text: str) -> tuple[frozenset[str], ...]:
    """The accepted answers of a text: alternatives after "|", what must all be named joined by "+", synonyms by "/".

    >>> [sorted(ids) for ids in alternatives("a + b/c | d")]
    [['a', 'b'], ['a', 'c'], ['d']]
    """
    answers: list[frozenset[str]] = []
    for answer in filter(None, map(str.strip, text.split("|"))):
        answers += map(frozenset, itertools.product(*(word.strip().split("/") for word in answer.split("+"))))
    return tuple(answers)


def wrong(
    name: str, kind: str, want: str, *, part: str = "", traps: str = "", also: str = ""
) -> Callable[[Callable[[Draw], Ask]], Item]:
    """Makes an item of the function that follows: a wrong program; what is accepted is written as in `alternatives`."""

    def made(make: Callable[[Draw], Ask]) -> Item:
        sets = [frozenset(text.split()) for text in (part, traps, also)]
        return Item(name, kind, make, False, alternatives(want), *sets)

    return made


def right(name: str, kind: str, *, excuse: str = "") -> Callable[[Callable[[Draw], Ask]], Item]:
    """Makes an item of the function that follows: a right program."""

    def made(make: Callable[[Draw], Ask]) -> Item:
        return Item(name, kind, make, True, excuse=frozenset(excuse.split()))

    return made
