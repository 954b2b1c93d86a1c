"""What the names in the lines of NumPy mean: said before the first of them, with the shapes that were handed over."""

from collections.abc import Iterator

from functional_mlp._dtypes import Array
from functional_mlp.oracle.case import declared_data, declared_layer, layer_path
from functional_mlp.oracle.report.notation import Notation

MOST_LAYERS = 4  # that are written out
AT_THE_END = "not divided by"  # in a fix: of a program that divides at the end


def legend_of(notation: Notation, fixes: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Sentences that say what the names stand for, and where the way back begins.

    Args:
        notation: of the case.
        fixes: the lines that are shown below.
    """
    whole = ("Names: " + "; ".join((*_layers(notation), *_data(notation))) + ".", _derivatives(notation))
    beginning = "" if any(AT_THE_END in fix for fix in fixes) else _beginning(notation)
    rate = "rate is the learning rate." if any("rate" in fix for fix in fixes) else ""
    return tuple(filter(None, (*whole, beginning, rate)))


def _layers(notation: Notation) -> Iterator[str]:
    """Each layer's parameters, with their shapes; of many the first and the last."""
    shown = range(notation.depth)
    if notation.depth > MOST_LAYERS:
        shown = range(0, notation.depth, notation.depth - 1)
    for layer in shown:
        if layer and notation.depth > MOST_LAYERS:
            yield "and so on"
        yield f"layer {layer + 1} is {layer_path(layer)}: {_parameters(notation, layer)}"


def _parameters(notation: Notation, layer: int) -> str:
    number = layer + 1
    if notation.case is None:
        return f"W{number} and b{number}"
    arrays = declared_layer(notation.case.params[layer], notation.layout)
    weights = f"W{number} {_shape(arrays['weights'])}"
    if notation.layout.in_weights and notation.has_bias(layer):
        end = "first" if notation.layout.bias == "first_row" else "last"
        return f"{weights} with the bias as {end} {'column' if notation.turned else 'row'}"
    return f"{weights}, b{number} {_shape(arrays['bias'])}" if "bias" in arrays else weights


def _shape(array: Array) -> str:
    """As NumPy writes it, without a space, so that no line breaks in it."""
    return str(array.shape).replace(" ", "")


def _data(notation: Notation) -> Iterator[str]:
    case = notation.case
    if case is None:
        yield "X are the inputs, T the targets, n is the number of samples"
        return
    data = declared_data(case)
    columns = "column" if notation.columns else "row"
    samples = "the one sample (n = 1)" if len(case.inputs) == 1 else f"each of the n = {len(case.inputs)} samples"
    yield f"X {_shape(data['inputs'])} are the inputs, a {columns} for {samples}"
    loss = case.loss
    if loss is None:
        yield "ct_outputs is dLoss/d outputs, as it was given"
        return
    outputs = f", K = {notation.outputs} is the number of outputs" if loss.over_outputs == "mean" else ""
    rows = ", as one-hot rows" if notation.layout.targets == "labels" else ""
    yield f"T are the targets{rows}{outputs}"
    if case.sample_weights is not None:
        yield "s are the samples' weights"


def _derivatives(notation: Notation) -> str:
    terms = notation.terms(0)
    return (
        f"{terms['Z']} = {terms['z']}, {terms['A']} = {terms['a']}; dA1, dZ1 (often called delta) and dW1 are"
        " dLoss/dA1, dLoss/dZ1 and dLoss/dW1; and so on."
    )


def _beginning(notation: Notation) -> str:
    """Where the right way back begins, and whether the 1/n of a mean is in it."""
    case = notation.case
    if case is None or case.loss is None:
        return ""
    name, line = notation.at_the_outputs()
    meant = ", the derivative of the loss with all that was declared of it" if line.startswith("dLoss(") else ""
    sentence = f"The right way back begins with {name} = {line}{meant}"
    if case.loss.over_samples == "sum":
        return f"{sentence}: nothing is divided by n, there or later."
    divisor = notation.terms(0)["divisor"]
    return f"{sentence}: every dZ has the 1/{divisor} from there, and no dW or db is divided again."
