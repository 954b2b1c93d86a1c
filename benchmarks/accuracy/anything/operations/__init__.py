"""The operations of the trial: plain JAX functions, as a person would write the reference, and their arguments."""

from benchmarks.accuracy.anything.operations import (
    attention,
    blocks,
    convolution,
    elementwise,
    losses,
    matrices,
    normalisation,
    recurrent,
    reductions,
)
from benchmarks.accuracy.anything.operations.registry import OPERATIONS, SIZES, Operation, Question, Setting

__all__ = [
    "OPERATIONS",
    "SIZES",
    "Operation",
    "Question",
    "Setting",
    "attention",
    "blocks",
    "convolution",
    "elementwise",
    "losses",
    "matrices",
    "normalisation",
    "recurrent",
    "reductions",
]
