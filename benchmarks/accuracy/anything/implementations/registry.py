"""Who computes the gradients of an operation, in which dtypes, and what is declared of each."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from benchmarks.accuracy.anything.implementations import by_hand, compiled, jax_functions, pytorch
from benchmarks.accuracy.anything.operations import Operation, Question
from benchmarks.accuracy.anything.operations.registry import DTYPES, rounded
from benchmarks.compiler import has_compiler

WIDE = ("float64", "float32")


class Given(NamedTuple):
    """Gradients, and the precision that their author would declare."""

    implementation: str
    gradients: list[Any]
    precision: str


class Implementation(NamedTuple):
    """One library or language.

    Attributes:
        name: as the tables have it.
        answers: all its gradients of a question in a dtype; none where it has no such operation.
        available: whether it is here.
    """

    name: str
    answers: Callable[[Operation, Question, str], Iterator[Given]]
    available: Callable[[], bool] = lambda: True


def _framework(name: str, gradients: Callable[[Operation, Question, str], list[Any] | None]) -> Implementation:
    def answers(operation: Operation, question: Question, dtype: str) -> Iterator[Given]:
        found = gradients(operation, question, dtype)
        if found is not None:
            yield Given(name, found, declared(name, operation.name, dtype))

    return Implementation(name, answers, pytorch.has_torch if name == "PyTorch" else lambda: True)


def declared(name: str, operation: str, dtype: str) -> str:
    """PyTorch stores 16 bits after every operation and sums in float32, but for `NARROW_SUMS`; JAX sums in 16 bits."""
    narrow = dtype in WIDE or name != "PyTorch" or (operation, dtype) in NARROW_SUMS
    return dtype if narrow else f"{dtype}/float32"


CONVOLUTIONS = ("conv1d", "causal_conv1d", "conv2d", "grouped_conv2d", "depthwise_conv2d", "conv_transpose2d")
LAYER_NORMS = ("layer_norm", "layer_norm_of_sequence", "transformer_block")
# of PyTorch on the CPU, sums that run in the format of their terms: weight and bias of a layer norm are added up row
# after row in 16 bits, to the last bit
NARROW_SUMS = {(name, "float16") for name in CONVOLUTIONS} | {
    (name, dtype) for name in LAYER_NORMS for dtype in ("bfloat16", "float16")
}


def _written(name: str, functions: Mapping[str, Mapping[str, Callable[..., Any]]]) -> Iterator[Implementation]:
    """Programs that compute in float64 or float32; 16-bit numbers are read and written, as a fused kernel does."""

    def answers(operation: Operation, question: Question, dtype: str) -> Iterator[Given]:
        inner = dtype if dtype in WIDE else "float32"
        floats = [x.astype(DTYPES[inner]) for x in question.floats]
        for variant, function in functions.get(operation.name, {}).items():
            with np.errstate(all="ignore"):
                found = function(*floats, *question.constants, question.ct.astype(DTYPES[inner]))
            yield Given(variant, [rounded(x, dtype) for x in found], fused(dtype))

    yield Implementation(name, answers, has_compiler if name == "C" else lambda: True)


def fused(dtype: str) -> str:
    """The precision of a kernel that computes in float32 between reading and writing 16 bits."""
    return dtype if dtype in WIDE else f"{dtype} in float32"


def _eager(operation: Operation, question: Question, dtype: str) -> list[Any]:
    return jax_functions.pulled_back(operation.function, question, dtype, compiled=False)


def _compiled(operation: Operation, question: Question, dtype: str) -> list[Any]:
    return jax_functions.pulled_back(operation.function, question, dtype, compiled=True)


KERNELS = {name: {flag: compiled.by_c(name, flags) for flag, flags in compiled.FLAGS.items()} for name in compiled.READ}
IMPLEMENTATIONS: dict[str, Implementation] = {
    implementation.name: implementation
    for implementation in (
        _framework("PyTorch", pytorch.gradients),
        _framework("JAX, compiled", _compiled),
        _framework("JAX, eager", _eager),
        _framework("jax.nn", jax_functions.by_jax_nn),
        *_written("NumPy by hand", by_hand.BY_HAND),
        *_written("C", KERNELS),
    )
}
