"""Backward passes in NumPy, derived by hand from the mathematics, many by another formula than the reference.

Each takes the floats, the constants and the cotangent, all in one dtype, and returns a gradient for each float.
"""

from benchmarks.accuracy.anything.implementations.by_hand import blocks, elementwise, normalisation
from benchmarks.accuracy.anything.implementations.by_hand.registry import BY_HAND

__all__ = ["BY_HAND", "blocks", "elementwise", "normalisation"]
