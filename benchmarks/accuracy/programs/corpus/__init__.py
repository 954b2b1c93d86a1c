"""The programs: each is one function that makes the program, written in the style that its docstring names."""

from benchmarks.accuracy.programs.corpus import (
    classes,
    columns,
    forms,
    graphs,
    loops,
    objects,
    optimizers,
    printed,
    rows,
    updates,
)
from benchmarks.accuracy.programs.registry import Program

MODULES = (rows, classes, columns, forms, objects, graphs, loops, updates, optimizers, printed)


def programs() -> dict[str, Program]:
    """Every program by its name, in the order of the modules."""
    found = [value for module in MODULES for value in vars(module).values() if isinstance(value, Program)]
    return {each.name: each for each in found}
