"""Wrong backward passes of the operations, from public reports where there are any."""

from importlib import import_module

from benchmarks.accuracy.anything.mistakes.registry import MISTAKES, Mistake
from benchmarks.accuracy.anything.operations import FIELDS

__all__ = ["MISTAKES", "Mistake"]

for field in FIELDS:  # each registers what it holds
    import_module(f"{__name__}.{field}")
