"""Wrong backward passes of the operations, from public reports where there are any."""

from benchmarks.accuracy.anything.mistakes import (
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
from benchmarks.accuracy.anything.mistakes.registry import MISTAKES, Mistake

__all__ = [
    "MISTAKES",
    "Mistake",
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
