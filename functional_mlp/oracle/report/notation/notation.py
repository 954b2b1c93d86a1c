"""A person's own notation: names such as dW2, and lines of NumPy in the layout in which arrays were handed over.

Layers are numbered from 1, as people write them: W1 is the weights of params[0]. What is unknown (a report that kept no
case) is taken to be as in the oracle's own layout, with activations that are called f.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from functional_mlp.activations import Activation
from functional_mlp.losses import Loss
from functional_mlp.oracle.case import Case, Layout, parse_path
from functional_mlp.oracle.report.notation.at_the_outputs import beginning
from functional_mlp.oracle.report.notation.spelling import in_brackets, slope_of, value_of

ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth")


def listed(words: Sequence[str]) -> str:
    """Words in a row: a, b and c."""
    return " and ".join((", ".join(words[:-1]), words[-1])) if len(words) > 1 else "".join(words)


@dataclass(frozen=True)
class Notation:
    """Names and lines for one case, or for none.

    Attributes:
        case: the case, or None.
        depth: the number of layers.
    """

    case: Case | None
    depth: int

    @property
    def layout(self) -> Layout:
        """In which arrays were handed over."""
        return Layout().settled() if self.case is None else self.case.layout

    @property
    def columns(self) -> bool:
        """Whether samples are columns."""
        return self.layout.samples == "columns"

    @property
    def turned(self) -> bool:
        """Whether weights are (fan_out, fan_in)."""
        return self.layout.weights == "out_in"

    @property
    def samples(self) -> int:
        """The number of samples; 0 if it is unknown."""
        return 0 if self.case is None else len(self.case.inputs)

    @property
    def outputs(self) -> int:
        """The number of outputs; 0 if it is unknown."""
        return 0 if self.case is None else self.case.network.sizes[-1]

    def has_bias(self, layer: int) -> bool:
        """Whether a layer has one, as far as is known."""
        return self.case is None or self.case.params[layer].bias is not None

    # words

    def place(self, layers: tuple[int, ...]) -> str:
        """Where some layers are, in words: "the last layer", "layer 1 (the first hidden layer)", "both layers"."""
        last = self.depth - 1
        chosen = sorted(set(layers)) or [last]
        if len(chosen) == self.depth > 1:
            return "both layers" if self.depth == 2 else f"all {self.depth} layers"
        if len(chosen) > 1 and chosen == list(range(last)):
            return "both hidden layers" if last == 2 else f"all {last} hidden layers"
        if len(chosen) > 1:
            return f"layers {listed([str(layer + 1) for layer in chosen])}"
        [layer] = chosen
        role = self.role(layer)
        return role if layer == last or self.depth == 2 else f"layer {layer + 1} ({role})"

    def role(self, layer: int) -> str:
        """Which layer it is, without its number: "the last layer", "the first hidden layer"."""
        if layer == self.depth - 1:
            return "the last layer" if layer else "the only layer"
        if self.depth == 2:
            return "the hidden layer"
        return f"the {ORDINALS[layer]} hidden layer" if layer < len(ORDINALS) else "a hidden layer"

    def activation(self, layer: int) -> Activation | None:
        """Of a layer, if it is known."""
        return None if self.case is None else self.case.network.activations[layer]

    def activations_in(self, layers: tuple[int, ...]) -> str:
        """The names of the activations of some layers; "activation" where nothing is known."""
        known = (self.activation(layer) for layer in (layers or (self.depth - 1,)))
        names = list(dict.fromkeys(activation.name for activation in known if activation is not None))
        return listed(names) or "activation"

    # names

    def output_of(self, layer: int) -> str:
        """What a layer puts out, such as A1; X for the inputs, -1."""
        return f"A{layer + 1}" if layer >= 0 else "X"

    def names(self, layer: int) -> dict[str, str]:
        """The names of a layer's arrays, by terms of `mistakes.wording`."""
        l, below = layer + 1, self.output_of(layer - 1)  # noqa: E741
        weights, bias = "", f"b{l}"
        gradient_of_bias = f"db{l}"
        if self.layout.in_weights:
            turned, first = self.turned, self.layout.bias == "first_row"
            rows, row = ("1:", "0") if first else (":-1", "-1")
            weights, of_bias = (f"[:, {rows}]", f"[:, {row}]") if turned else (f"[{rows}]", f"[{row}]")
            bias, gradient_of_bias = f"W{l}{of_bias}", f"dW{l}{of_bias}"
        return {
            "W": f"W{l}{weights}",
            "b": bias,
            "Z": f"Z{l}",
            "A": self.output_of(layer),
            "A_prev": below,
            "dW": f"dW{l}{weights}",
            "db": gradient_of_bias,
            "dZ": f"dZ{l}",
            "dA": f"dA{l}",
            "dA_prev": f"d{below}",
        }

    def index(self, path: str, at: tuple[int, ...]) -> tuple[int, ...]:
        """Where the entry `at` of a parameter of the oracle stands in the array that was handed over."""
        _, _, field = parse_path(path)
        if field == "bias" and not self.layout.in_weights:
            [unit] = at
            return {"row": (0, unit), "column": (unit, 0)}.get(str(self.layout.bias), (unit,))
        first = self.layout.bias == "first_row"
        row = at[0] + first if field == "weights" else 0 if first else -1
        index = (row, at[-1])
        return index[::-1] if self.turned else index

    def entry(self, path: str, at: tuple[int, ...]) -> str:
        """The name of an entry of a gradient of a parameter, such as dW1[2, 0]; `at` is its index in the oracle's."""
        _, layer, field = parse_path(path)
        kind = "b" if field == "bias" and not self.layout.in_weights else "W"
        return f"d{kind}{layer + 1}{list(self.index(path, at))}"

    def of_sample(self, name: str, sample: int | str, unit: int | str) -> str:
        """The name of an entry of A, Z, T or a cotangent of one of these."""
        index = (unit, sample) if self.columns else (sample, unit)
        return f"{name}[{', '.join(map(str, index))}]"

    # lines

    def terms(self, layer: int) -> dict[str, str]:
        """The terms of `mistakes.wording` that are spelled as in a program, for a layer."""
        names = self.names(layer)
        penalty, bias_penalty = self._penalty(names["W"]), ""
        if self._penalises_biases():
            bias_penalty = self._penalty(names["b"])
        return names | {
            "z": self._forward(names, has_bias=self.has_bias(layer)),
            "a": value_of(self.activation(layer), names["Z"]),
            "through": self.through(layer, names["dA"], names["A"], self.slope(layer)),
            "product": self.product(names),
            "sums": self.sums(names),
            "back": self.back(names),
            "penalty": penalty,
            "bias_penalty": bias_penalty,
            "whole_product": in_brackets(f"{self.product(names)}{penalty}"),
            "whole_sums": in_brackets(f"{self.sums(names)}{bias_penalty}"),
            "l2": "" if self.case is None or self.case.loss is None else f"{self.case.loss.l2:.12g}",
            "biases_too": f"  # likewise {names['db']}" if self._penalises_biases() and self.has_bias(layer) else "",
            "loss": " = ".join(self.at_the_outputs()),
            "divisor": "n" if self.case is None or self.case.sample_weights is None else "s.sum()",
            "outputs": self.output_of(self.depth - 1),
        }

    def _forward(self, names: Mapping[str, str], *, has_bias: bool) -> str:
        below, weights = names["A_prev"], names["W"]
        turned, bias = self.turned, f" + {names['b']}{self._beside_samples()}" if has_bias else ""
        if self.columns:
            return f"{weights if turned else f'{weights}.T'} @ {below}{bias}"
        return f"{below} @ {f'{weights}.T' if turned else weights}{bias}"

    def _beside_samples(self) -> str:
        """What makes a bias fit a sum with arrays of samples."""
        shape = "vector" if self.layout.in_weights else str(self.layout.bias)
        if shape == "vector":
            return "[:, None]" if self.columns else ""
        return "" if shape == ("column" if self.columns else "row") else ".T"

    def product(self, names: Mapping[str, str]) -> str:
        """dW from `A_prev` and `dZ` of these names."""
        below, delta = names["A_prev"], names["dZ"]
        if self.columns:
            return f"{delta} @ {below}.T" if self.turned else f"{below} @ {delta}.T"
        return f"{delta}.T @ {below}" if self.turned else f"{below}.T @ {delta}"

    def sums(self, names: Mapping[str, str]) -> str:
        """The db from `dZ` of these names."""
        axis, kept = (1, "column") if self.columns else (0, "row")
        shape = "vector" if self.layout.in_weights else str(self.layout.bias)
        if shape == kept:
            return f"{names['dZ']}.sum(axis={axis}, keepdims=True)"
        return self.as_bias(f"{names['dZ']}.sum(axis={axis})")

    def as_bias(self, vector: str) -> str:
        """A line that makes a vector (fan_out,), brought into the shape of biases."""
        shape = "vector" if self.layout.in_weights else str(self.layout.bias)
        return vector + {"row": "[None, :]", "column": "[:, None]"}.get(shape, "")

    def back(self, names: Mapping[str, str], *, turned: bool | None = None) -> str:
        """The dA_prev from `dZ` and `W` of these names; `turned` as for weights (fan_out, fan_in), or as they lie."""
        delta, weights = names["dZ"], names["W"]
        turned = self.turned if turned is None else turned
        if self.columns:
            return f"{f'{weights}.T' if turned else weights} @ {delta}"
        return f"{delta} @ {weights if turned else f'{weights}.T'}"

    def slope(self, layer: int) -> str:
        """dA/dZ of a layer whose activation works unit by unit."""
        names = self.names(layer)
        return slope_of(self.activation(layer), names["Z"], names["A"])

    def through(self, layer: int, ct_a: str, a: str, slope: str) -> str:
        """What dZ of a layer is, from a cotangent `ct_a`: times a slope, or of a softmax by its outputs `a`."""
        activation = self.activation(layer)
        if activation is not None and activation.name == "identity":
            return ct_a
        if activation is not None and activation.name == "softmax":
            axis = 0 if self.columns else 1
            return f"{a} * ({ct_a} - ({ct_a} * {a}).sum(axis={axis}, keepdims=True))"
        return f"{ct_a} * {slope}"

    def _penalises_biases(self) -> bool:
        return self.case is not None and self.case.loss is not None and self.case.loss.l2_on_bias

    def _penalty(self, name: str) -> str:
        loss = None if self.case is None else self.case.loss
        if loss is None:
            return ""
        decay = f" + {loss.l2:.12g} * {name}" if loss.l2 else ""
        return decay + (f" + {loss.l1:.12g} * np.sign({name})" if loss.l1 else "")

    def at_the_outputs(self, n: str = "n", loss: Loss | None = None) -> tuple[str, str]:
        """What the way back begins with, and what it is: ("dZ2", "(A2 - T) / n") where loss and activation are one.

        Args:
            n: what a mean over the samples divides by.
            loss: another one than that of the case.
        """
        names = self.names(self.depth - 1)
        if self.case is None:
            return names["dA"], f"dLoss({names['A']}, T)"
        if self.case.loss is None:
            return names["dA"], "ct_outputs"
        return beginning(self.case, loss or self.case.loss, names, n)
