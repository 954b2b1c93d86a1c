"""Gradients as the defaults of eight languages print them, copied into a document.

Each program computes the same right gradients, and prints them in its own way. A mistake is planted where it shows in
the few digits that some print.
"""

import json
import re

import numpy as np

from benchmarks.accuracy.programs.registry import program
from functional_mlp import Loss

HALF = Loss("squared_error", scale=0.5)
SIZES = ((3, 5, 2), (4, 6, 3))
ACTIVATIONS = ("tanh", "identity")
UNUSED = "the derivative of tanh left out"


def gradients_of(case, slope=lambda h: 1 - h * h, dtype=np.float64):
    """The gradients of a case in a precision; `slope` is what they take for the derivative of tanh."""
    w1, b1, w2, b2 = [np.asarray(a, dtype) for layer in case.params for a in layer]
    x, t = np.asarray(case.inputs, dtype), np.asarray(case.targets, dtype)
    h = np.tanh(x @ w1 + b1)
    d2 = h @ w2 + b2 - t
    d1 = d2 @ w2.T * slope(h)
    return [(x.T @ d1, d1.sum(0)), (h.T @ d2, d2.sum(0))]


def document(grads, printed):
    """A gradients document whose arrays are what `printed` makes of them."""
    layers = ", ".join(f'{{"weights": {printed(w)}, "bias": {printed(b)}}}' for w, b in grads)
    return f'{{"format": "functional-mlp/gradients", "version": 1, "params": [{layers}]}}'


def brackets(array, number):
    """An array in brackets, its numbers by a function of one of them."""
    if array.ndim == 0:
        return number(float(array))
    return "[" + ", ".join(brackets(part, number) for part in array) + "]"


def mistaken(function):
    """A program of this module: asked by its text, with the same two mistakes planted as in most others."""
    planted = [
        (UNUSED, "gradients_of(case)", "gradients_of(case, np.ones_like)"),
        ("everything halved", "(grads,", "([[g / 2 for g in pair] for pair in grads],"),
    ]
    return program(SIZES, ACTIVATIONS, HALF, planted, way="read_gradients")(function)


@mistaken
def python_json():
    """Python: json.dumps of lists, the shortest digits."""

    def printed(case):
        grads = gradients_of(case)
        return document(grads, lambda a: json.dumps(a.tolist()))

    return printed


@mistaken
def numpy_print():
    """NumPy: print, eight decimals, or scientific where the sizes differ much."""

    def one(a):
        text = np.array2string(a, separator=", ", max_line_width=10**6, threshold=10**6)
        return re.sub(r"(\d)\.(?=[,\]e])", r"\1.0", text)

    def printed(case):
        grads = gradients_of(case)
        return document(grads, one)

    return printed


@program(
    SIZES,
    ACTIVATIONS,
    HALF,
    [
        (UNUSED, "dtype=np.float32", "slope=np.ones_like, dtype=np.float32"),
        ("the sign of the weights' gradients", "(grads, one)", "([(-w, b) for w, b in grads], one)"),
    ],
    way="read_gradients",
    precision="float32",
)
def jax_print():
    """JAX: print of float32 arrays, eight digits; float32 declared."""

    def one(a):
        text = np.array2string(a, separator=", ", max_line_width=10**6, threshold=10**6)
        return re.sub(r"(\d)\.(?=[,\]e])", r"\1.0", text)

    def printed(case):
        grads = gradients_of(case, dtype=np.float32)
        return document(grads, one)

    return printed


@mistaken
def pytorch_print():
    """PyTorch: print of a tensor, four decimals, or scientific for a tensor whose sizes differ much."""

    def one(a):
        sizes = np.abs(a[a != 0])
        scientific = sizes.size and (sizes.max() / sizes.min() > 1000 or sizes.max() > 1e8 or sizes.min() < 1e-4)
        return brackets(a, "{:.4e}".format if scientific else "{:.4f}".format)

    def printed(case):
        grads = gradients_of(case)
        return document(grads, one)

    return printed


@mistaken
def c_f():
    """C: printf with %f, six decimals."""

    def printed(case):
        grads = gradients_of(case)
        return document(grads, lambda a: brackets(a, "{:f}".format))

    return printed


@mistaken
def c_g():
    """C: printf with %g, or C++'s cout: six significant digits, zeros at the end left out."""

    def printed(case):
        grads = gradients_of(case)
        return document(grads, lambda a: brackets(a, "{:g}".format))

    return printed


@mistaken
def r_print():
    """R: print, seven significant digits for the number that needs most, the same decimals in a vector or column."""

    def decimals(v):
        mantissa, exponent = f"{v:.6e}".split("e")
        digits = len(mantissa.lstrip("-").replace(".", "").rstrip("0"))
        return max(0, digits - 1 - int(exponent))

    def one(a):
        columns = np.atleast_2d(a.T).tolist()
        texts = [[f"{v:.{max(map(decimals, column))}f}" for v in column] for column in columns]
        if a.ndim == 1:
            return "[" + ", ".join(texts[0]) + "]"
        return "[" + ", ".join("[" + ", ".join(row) + "]" for row in zip(*texts)) + "]"

    def printed(case):
        grads = gradients_of(case)
        return document(grads, one)

    return printed


@mistaken
def julia_show():
    """Julia: show, the shortest digits, 1.0e-5 for small ones."""

    def one(v):
        text = repr(v)
        if v == 0 or ("e" not in text and abs(v) >= 1e-4):
            return text
        mantissa, exponent = text.split("e") if "e" in text else f"{v:.16e}".split("e")
        mantissa = mantissa if "." in mantissa else f"{mantissa}.0"
        return f"{mantissa}e{int(exponent)}"

    def printed(case):
        grads = gradients_of(case)
        return document(grads, lambda a: brackets(a, one))

    return printed


@mistaken
def matlab_format_short():
    """MATLAB: format short, five significant digits by a scale factor that the reader multiplies out."""

    def one(a):
        top = np.abs(a).max()
        scale = 10.0 ** np.floor(np.log10(top)) if top >= 1000 or top < 1 else 1.0
        exponent = round(np.log10(scale))
        return brackets(a / scale, (lambda v: f"{v:.4f}e{exponent}") if exponent else "{:.4f}".format)

    def printed(case):
        grads = gradients_of(case)
        return document(grads, one)

    return printed


@mistaken
def matlab_mat2str():
    """MATLAB: mat2str and jsonencode, fifteen significant digits."""

    def printed(case):
        grads = gradients_of(case)
        return document(grads, lambda a: brackets(a, "{:.15g}".format))

    return printed


@mistaken
def javascript_to_fixed():
    """JavaScript: toFixed(6) for the weights, JSON.stringify for the biases, in one text."""

    def printed(case):
        grads = gradients_of(case)
        return document(grads, lambda a: brackets(a, "{:.6f}".format if a.ndim == 2 else repr))

    return printed


@mistaken
def java_to_string():
    """Java: Double.toString, the shortest digits, 1.0E-4 for small ones."""

    def one(v):
        if v == 0 or 1e-3 <= abs(v) < 1e7:
            return repr(v)
        digits = next(f"{v:.{n}e}" for n in range(1, 18) if float(f"{v:.{n}e}") == v)
        mantissa, exponent = digits.split("e")
        return f"{mantissa}E{int(exponent)}"

    def printed(case):
        grads = gradients_of(case)
        return document(grads, lambda a: brackets(a, one))

    return printed
