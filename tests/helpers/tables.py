"""Tables of a test, read as people's are."""

from functional_mlp import tables


def table_of(written, text, target="y", **how):
    """The usable columns and rows of a text, which the fixture `written` puts into a file."""
    return tables.usable(tables.read_table(written(text)), target, **how)
