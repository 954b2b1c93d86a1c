"""Right backward passes of the operations: PyTorch, JAX, NumPy by hand, and C."""

from benchmarks.accuracy.anything.implementations.registry import IMPLEMENTATIONS, Given, Implementation

__all__ = ["IMPLEMENTATIONS", "Given", "Implementation"]
