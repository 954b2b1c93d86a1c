"""Inside `jax.shard_map`: arrays that meet in one computation must vary over the same mesh axes.

JAX inserts the conversions by itself in ordinary code, but not between a function and its custom derivative, nor
between the branches of a conditional. Outside of shard_map nothing here does anything.
"""

from typing import TypeVar

import jax

from functional_mlp._jax_compat import vary, varying_axes_of

Tree = TypeVar("Tree")


def varying_axes(*trees: object) -> frozenset[str]:
    """The mesh axes over which any array in `trees` varies."""
    axes: set[str] = set()
    for leaf in jax.tree.leaves(trees):
        axes |= varying_axes_of(leaf)
    return frozenset(axes)


def vary_over(axes: frozenset[str], tree: Tree) -> Tree:
    """`tree` with every array marked as varying over `axes`; the transpose sums over the axes that are new to it."""
    if not axes:
        return tree

    def convert(leaf: jax.Array) -> jax.Array:
        missing = axes - varying_axes(leaf)
        return vary(leaf, tuple(sorted(missing))) if missing else leaf

    return jax.tree.map(convert, tree)
