"""Every item, of every family."""

from benchmarks.accuracy.field.items.item import Item
from benchmarks.accuracy.field.items.right import columns, numbers, rows, steps
from benchmarks.accuracy.field.items.wrong import (
    derivatives,
    forward_passes,
    losses,
    masks,
    operands,
    penalties,
    reductions,
    updates,
)

FAMILIES = (
    updates,
    reductions,
    derivatives,
    masks,
    losses,
    penalties,
    forward_passes,
    operands,
    columns,
    rows,
    steps,
    numbers,
)


def items() -> dict[str, Item]:
    """Every item by its id, wrong programs (f) after right ones (c).

    Raises:
        ValueError: if two items have the same id.
    """
    found = [value for family in FAMILIES for value in vars(family).values() if isinstance(value, Item)]
    by_id = {item.id: item for item in sorted(found, key=lambda item: item.id)}
    if len(by_id) < len(found):
        raise ValueError(f"expected every id once, got {len(found)} items of {len(by_id)} ids")
    return by_id


def family(item: Item) -> str:
    """The name of the module that holds the item."""
    return item.make.__module__.rpartition(".")[2]
