"""The operations of the trial: plain JAX functions, as a person would write the reference, and their arguments."""

from importlib import import_module

from benchmarks.accuracy.anything.operations.registry import FIELDS, OPERATIONS, SIZES, Operation, Question, Setting

__all__ = ["FIELDS", "OPERATIONS", "SIZES", "Operation", "Question", "Setting"]

for field in FIELDS:  # each registers what it holds
    import_module(f"{__name__}.{field}")
