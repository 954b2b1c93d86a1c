"""A person's own notation: names such as dW2, and lines of NumPy in the layout in which arrays were handed over.

Layers are numbered from 1, as people write them: W1 is the weights of params[0]. What is unknown (a report that kept no
case) is taken to be as in the oracle's own layout, with activations that are called f.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from functional_mlp.activations import Activation
from functional_mlp.oracle.case import Case, Layout, parse_path
from functional_mlp.oracle.mistakes import OF_PROBABILITIES

ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth")
SUM_TO_ONE = 1e-9  # how far targets may be from it


@dataclass(frozen=True)
class Spelled:
    """How programs write an activation; `{A}` and `{Z}` are its arrays, parameters go by their names.

    Attributes:
        value: A from Z.
        slope: dA/dZ.
    """

    value: str
    slope: str


SPELLED: Mapping[str, Spelled] = {
    "sigmoid": Spelled("1 / (1 + np.exp(-{Z}))", "{A} * (1 - {A})"),
    "tanh": Spelled("np.tanh({Z})", "(1 - {A}**2)"),
    "relu": Spelled("np.maximum({Z}, 0)", "({Z} > 0)"),
    "leaky_relu": Spelled("np.where({Z} > 0, {Z}, {slope:g} * {Z})", "np.where({Z} > 0, 1, {slope:g})"),
    "elu": Spelled("np.where({Z} > 0, {Z}, {alpha:g} * np.expm1({Z}))", "np.where({Z} > 0, 1, {A} + {alpha:g})"),
    "softplus": Spelled("np.log1p(np.exp({Z}))", "1 / (1 + np.exp(-{Z}))"),
    "silu": Spelled("{Z} * sigmoid({Z})", "(sigmoid({Z}) + {A} * (1 - sigmoid({Z})))"),
    "softmax": Spelled("softmax({Z})", ""),
    "sin": Spelled("np.sin({Z})", "np.cos({Z})"),
    "cos": Spelled("np.cos({Z})", "-np.sin({Z})"),
}
# dLoss/dA of the terms alone, by the kind of the loss
COTANGENTS: Mapping[str, str] = {
    "squared_error": "2 * ({A} - T)",
    "absolute_error": "np.sign({A} - T)",
    "huber": "np.clip({A} - T, -{delta:g}, {delta:g})",
    "log_cosh": "np.tanh({A} - T)",
    "hinge": "np.where(T * {A} < 1, -T, 0)",
    "binary_cross_entropy": "({A} - T) / ({A} * (1 - {A}))",
    "categorical_cross_entropy": "-T / {A}",
    "kl_divergence": "-T / {A}",
}
CHANGING = {"pos_weight", "label_smoothing", "class_weights", "ignore_index", "epsilon"}  # what these lines leave out
DIFFERENCE = re.compile(r"\([^/]*\)")
PROBABILITIES_OF = {kind: activation.name for kind, (_, activation) in OF_PROBABILITIES.items()}


def _listed(words: Sequence[str]) -> str:
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
    def samples(self) -> int:
        """The number of samples; 0 if it is unknown."""
        return 0 if self.case is None else len(self.case.inputs)

    @property
    def outputs(self) -> int:
        """The number of outputs; 0 if it is unknown."""
        return 0 if self.case is None else self.case.network.sizes[-1]

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
            return f"layers {_listed([str(layer + 1) for layer in chosen])}"
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
        return _listed(names) or "activation"

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
            turned, first = self.layout.weights == "out_in", self.layout.bias == "first_row"
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

    def entry(self, path: str, at: tuple[int, ...]) -> str:
        """The name of an entry of a gradient of a parameter, such as dW1[2, 0]; `at` is its index in the oracle's."""
        _, layer, field = parse_path(path)
        if field == "bias" and not self.layout.in_weights:
            [unit] = at
            index = {"row": (0, unit), "column": (unit, 0)}.get(str(self.layout.bias), (unit,))
            return f"db{layer + 1}{list(index)}"
        first = self.layout.bias == "first_row"
        row = at[0] + first if field == "weights" else 0 if first else -1
        index = (row, at[-1])
        return f"dW{layer + 1}{list(index[::-1] if self.layout.weights == 'out_in' else index)}"

    def of_sample(self, name: str, sample: int | str, unit: int | str) -> str:
        """The name of an entry of A, Z, T or a cotangent of one of these."""
        index = (unit, sample) if self.columns else (sample, unit)
        return f"{name}[{', '.join(map(str, index))}]"

    # lines

    def terms(self, layer: int) -> dict[str, str]:
        """The terms of `mistakes.wording` that are spelled as in a program, for a layer."""
        names = self.names(layer)
        return names | {
            "z": self._forward(names, has_bias=self.case is None or self.case.params[layer].bias is not None),
            "a": self._value(layer, names),
            "through": self._through(layer, names),
            "product": self._product(names),
            "sums": self._sums(names),
            "back": self._back(names),
            "penalty": self._penalty(names["W"]),
            "bias_penalty": self._penalty(names["b"]),
            "loss": " = ".join(self.at_the_outputs()),
            "outputs": self.output_of(self.depth - 1),
        }

    def _forward(self, names: Mapping[str, str], *, has_bias: bool) -> str:
        below, weights = names["A_prev"], names["W"]
        turned, bias = self.layout.weights == "out_in", f" + {names['b']}{self._beside_samples()}" if has_bias else ""
        if self.columns:
            return f"{weights if turned else f'{weights}.T'} @ {below}{bias}"
        return f"{below} @ {f'{weights}.T' if turned else weights}{bias}"

    def _beside_samples(self) -> str:
        """What makes a bias fit a sum with arrays of samples."""
        shape = "vector" if self.layout.in_weights else str(self.layout.bias)
        if shape == "vector":
            return "[:, None]" if self.columns else ""
        return "" if shape == ("column" if self.columns else "row") else ".T"

    def _product(self, names: Mapping[str, str]) -> str:
        below, delta = names["A_prev"], names["dZ"]
        turned = self.layout.weights == "out_in"
        if self.columns:
            return f"{delta} @ {below}.T" if turned else f"{below} @ {delta}.T"
        return f"{delta}.T @ {below}" if turned else f"{below}.T @ {delta}"

    def _sums(self, names: Mapping[str, str]) -> str:
        axis, kept = (1, "column") if self.columns else (0, "row")
        shape = "vector" if self.layout.in_weights else str(self.layout.bias)
        if shape == kept:
            return f"{names['dZ']}.sum(axis={axis}, keepdims=True)"
        turned = {"row": "[None, :]", "column": "[:, None]"}.get(shape, "")
        return f"{names['dZ']}.sum(axis={axis}){turned}"

    def _back(self, names: Mapping[str, str]) -> str:
        delta, weights = names["dZ"], names["W"]
        turned = self.layout.weights == "out_in"
        if self.columns:
            return f"{f'{weights}.T' if turned else weights} @ {delta}"
        return f"{delta} @ {weights if turned else f'{weights}.T'}"

    def _value(self, layer: int, names: Mapping[str, str]) -> str:
        activation = self.activation(layer)
        if activation is None:
            return f"f({names['Z']})"
        if activation.name == "identity":
            return names["Z"]
        if activation.name not in SPELLED:
            return f"{activation.name}({names['Z']})"
        return SPELLED[activation.name].value.format(**names, **dict(activation.parameters))

    def slope(self, layer: int) -> str:
        """dA/dZ of a layer whose activation works unit by unit."""
        names, activation = self.names(layer), self.activation(layer)
        if activation is None:
            return f"f_prime({names['Z']})"
        parameters = dict(activation.parameters)
        if parameters.get("at_zero", 0.0) == 1.0 and activation.name == "relu":
            return f"({names['Z']} >= 0)"
        if activation.name not in SPELLED:
            return f"{activation.name}_prime({names['Z']})"
        return SPELLED[activation.name].slope.format(**names, **parameters)

    def _through(self, layer: int, names: Mapping[str, str]) -> str:
        activation = self.activation(layer)
        if activation is not None and activation.name == "identity":
            return names["dA"]
        if activation is not None and activation.name == "softmax":
            axis = 0 if self.columns else 1
            return f"{names['A']} * ({names['dA']} - ({names['dA']} * {names['A']}).sum(axis={axis}, keepdims=True))"
        return f"{names['dA']} * {self.slope(layer)}"

    def _penalty(self, name: str) -> str:
        loss = None if self.case is None else self.case.loss
        if loss is None:
            return ""
        decay = f" + {loss.l2:g} * {name}" if loss.l2 else ""
        return decay + (f" + {loss.l1:g} * np.sign({name})" if loss.l1 else "")

    # at the outputs

    def at_the_outputs(self) -> tuple[str, str]:
        """What the way back begins with, and what it is: ("dZ2", "(A2 - T) / n") where loss and activation are one."""
        last = self.depth - 1
        names, loss = self.names(last), None if self.case is None else self.case.loss
        if self.case is None:
            return names["dA"], f"dLoss({names['A']}, T)"
        if loss is None:
            return names["dA"], "ct_outputs"
        if loss.as_fields().keys() & CHANGING:
            return names["dA"], f"dLoss({names['A']}, T)"
        within = loss.on_logits(self.case.network.activations[last]) is not None
        inside = PROBABILITIES_OF.get(loss.kind)
        if within or inside:
            probabilities = names["A"] if within else f"{inside}({names['A']})"
            difference = self._difference(probabilities, softmax="softmax" in (inside, *self._last_name()))
            return (names["dZ"] if within else names["dA"]), self._reduced(difference, loss.scale)
        template = COTANGENTS.get(loss.kind)
        if template is None:
            return names["dA"], f"dLoss({names['A']}, T)"
        factor, doubled = loss.scale, template.startswith("2 * ")
        if doubled:
            factor, template = 2 * factor, template.removeprefix("2 * ")
        return names["dA"], self._reduced(template.format(A=names["A"], delta=loss.delta), factor)

    def _last_name(self) -> tuple[str, ...]:
        activation = self.activation(self.depth - 1)
        return () if activation is None else (activation.name,)

    def _difference(self, probabilities: str, *, softmax: bool) -> str:
        """p - t, or what it is where the targets of a sample do not sum to 1."""
        targets = None if self.case is None or self.case.loss is None else self.case.targets
        if softmax and targets is not None and bool((np.abs(targets.sum(axis=1) - 1) > SUM_TO_ONE).any()):
            axis = 0 if self.columns else 1
            return f"({probabilities} * T.sum(axis={axis}, keepdims=True) - T)"
        return f"({probabilities} - T)"

    def _reduced(self, terms: str, factor: float) -> str:
        """The terms times the factor of the loss, over what it divides by, times the weights of the samples."""
        case = self.case
        loss = None if case is None else case.loss
        if case is None or loss is None:
            return terms
        weighted = case.sample_weights is not None
        divisors = [] if loss.over_samples == "sum" else ["s.sum()" if weighted else "n"]
        divisors += ["K"] if loss.over_outputs == "mean" else []
        weights = "" if not weighted else " * s" if self.columns else " * s[:, None]"
        times = "" if factor == 1 else "-" if factor == -1 else f"{factor:g} * "
        over = "" if not divisors else f" / {divisors[0]}" if len(divisors) == 1 else f" / ({' * '.join(divisors)})"
        text = f"{times}{terms}{weights}{over}"
        return text[1:-1] if text == terms and DIFFERENCE.fullmatch(terms) else text
