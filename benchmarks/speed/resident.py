"""Many small networks trained with their parameters kept on the chip: a Pallas kernel beside `fm.sweep`.

    python -m benchmarks.speed.resident                 # on a GPU: updates of both, and how near the results are
    python -m benchmarks.speed.resident --networks 1024

One program of the kernel holds one network, loads its parameters once, goes over all samples one at a time, and writes
them back; plain JAX reads and writes them for each update. The backward pass in the kernel is the hand-written one, in
indices: sigmoid layers, half squared error, gradient descent. Layers are padded to powers of two, and padded units
are switched off, so that what they are multiplied with stays 0.

It is kept out of the library until it has been measured to be three times as fast on a GPU. On a CPU it runs as Pallas
interprets it, which says whether it is right and nothing of its speed.
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton

import functional_mlp as fm
from benchmarks.speed.accelerator import machine, timed
from functional_mlp.experiments import Parser, moons, positive, text_table
from functional_mlp.experiments.published import moons as data_of

RATE = 0.01
Layers = tuple[tuple[jax.Array, jax.Array], ...]  # weights and bias of each


def padded_size(size: int) -> int:
    """The next power of two, at least 2."""
    return max(2, 1 << (size - 1).bit_length())


def padded_array(array: Any) -> jax.Array:
    """An array with zeros up to powers of two, but for its first axis, of networks or of samples."""
    return jnp.pad(array, [(0, 0), *((0, padded_size(size) - size) for size in array.shape[1:])])


def padded(params: fm.Params) -> Layers:
    """Parameters (networks, ...) with zeros up to powers of two."""
    return tuple((padded_array(layer.weights), padded_array(layer.bias)) for layer in params)


def unpadded(layers: Layers, sizes: Sequence[int]) -> fm.Params:
    """The parameters again."""
    pairs = zip(layers, sizes, sizes[1:], strict=False)
    return tuple(
        fm.Dense(weights[:, :fan_in, :fan_out], bias[:, :fan_out]) for (weights, bias), fan_in, fan_out in pairs
    )


def _update(layers: Layers, units: Sequence[jax.Array], rate: float, x: jax.Array, t: jax.Array) -> Layers:
    """The parameters after one sample: sigmoid layers, ½Σ(o − t)²; `units` is 1 for units, 0 for padding."""
    activations = [x]
    for (weights, bias), real in zip(layers, units, strict=True):
        z = jnp.sum(activations[-1][:, None] * weights, axis=0) + bias
        activations.append(real / (1 + jnp.exp(-z)))
    ct_a, updated = activations[-1] - t, []
    for (weights, bias), a_prev, a in reversed(list(zip(layers, activations, activations[1:], strict=False))):
        ct_z = ct_a * a * (1 - a)
        ct_a = jnp.sum(weights * ct_z[None, :], axis=1)
        updated.append((weights - rate * a_prev[:, None] * ct_z[None, :], bias - rate * ct_z))
    return tuple(reversed(updated))


def _kernel(
    sizes: Sequence[int], rate: float, samples: int, passes: int, inputs: Any, targets: Any, *refs: Any
) -> None:
    given, made = refs[: len(refs) // 2], refs[len(refs) // 2 :]
    units = [(jnp.arange(padded_size(size)) < size).astype(jnp.float32) for size in sizes[1:]]
    flat = [ref[0] for ref in given]
    layers = tuple(zip(flat[::2], flat[1::2], strict=True))

    def one(step: Any, layers: Layers) -> Layers:
        row = jax.lax.rem(step, samples)
        return _update(layers, units, rate, inputs[row], targets[row])

    for ref, leaf in zip(made, jax.tree.leaves(jax.lax.fori_loop(0, passes * samples, one, layers)), strict=True):
        ref[0] = leaf


@partial(jax.jit, static_argnames=("sizes", "rate", "passes", "interpret"))
def train_resident(
    params: fm.Params,
    inputs: jax.Array,
    targets: jax.Array,
    *,
    sizes: tuple[int, ...],
    rate: float = RATE,
    passes: int = 1,
    interpret: bool = False,
) -> fm.Params:
    """Gradient descent on networks of sigmoid layers, one sample at a time in order, the parameters kept on the chip.

    Args:
        params: of all networks, each leaf with a leading axis; float32.
        inputs, targets: (n, n_0) and (n, n_L), float32.
        sizes: of the layers.
        rate: the learning rate.
        passes: over the samples.
        interpret: whether Pallas interprets the kernel, as on a CPU.

    Returns:
        The parameters after `passes * n` updates.
    """
    leaves = jax.tree.leaves(padded(params))
    wide = [padded_array(inputs), padded_array(targets)]
    networks, samples = len(leaves[0]), len(inputs)

    def of_network(leaf: jax.Array) -> pl.BlockSpec:
        return pl.BlockSpec((1, *leaf.shape[1:]), lambda i: (i, *(0 for _ in leaf.shape[1:])))

    whole = [pl.BlockSpec(array.shape, lambda i: (0, 0)) for array in wide]
    made = pl.pallas_call(
        partial(_kernel, sizes, rate, samples, passes),
        out_shape=[jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in leaves],
        grid=(networks,),
        in_specs=[*whole, *map(of_network, leaves)],
        out_specs=list(map(of_network, leaves)),
        interpret=interpret,
        compiler_params=None if interpret else triton.CompilerParams(num_warps=4),
    )(*wide, *leaves)
    return unpadded(tuple(zip(made[::2], made[1::2], strict=True)), sizes)


def main() -> int:
    """Prints the table."""
    parser = Parser(prog="python -m benchmarks.speed.resident", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--networks", type=positive, default=16384, help="at once (default: %(default)s)")
    parser.add_argument("--passes", type=positive, default=1, help="over the 1400 samples (default: %(default)s)")
    parser.add_argument("--samples", type=positive, default=1400, help="of them (default: %(default)s)")
    arguments: argparse.Namespace = parser.parse_args()
    where, data = machine(), data_of.data()
    print(", ".join(f"{name} {value}" for name, value in where.items()), flush=True)
    inputs, targets = (
        jnp.asarray(array[: arguments.samples], jnp.float32) for array in (data.train_inputs, data.train_targets)
    )
    keys = jax.random.split(jax.random.key(0), arguments.networks)
    start = jax.vmap(lambda key: fm.init_params(moons.NETWORK, key, "fan_out_normal", "uniform_tenth"))(keys)
    passes = arguments.passes
    plain = partial(
        fm.sweep, moons.NETWORK, moons.LOSS, inputs, targets, keys=keys, params=start, epochs=passes, batch_size=1,
        optimizer=optax.sgd, learning_rates=RATE, eval_every=passes, metrics=(),
    )  # fmt: skip
    resident = partial(
        train_resident,
        start,
        inputs,
        targets,
        sizes=moons.NETWORK.sizes,
        passes=passes,
        interpret=where["platform"] == "cpu",
    )
    rows, updates = [], passes * len(inputs) * arguments.networks
    found = {}
    for name, run in (("fm.sweep", lambda: plain().params), ("resident", resident)):
        found[name] = run()
        measured = timed(run, 3)
        rows.append((name, f"{measured.median:.3f}", f"{1e9 * measured.median / updates:.2f}"))
    print(text_table(("way", "seconds", "ns per update and network"), rows))
    pairs = zip(*map(jax.tree.leaves, found.values()), strict=True)
    print(f"largest difference of the parameters: {max(float(np.abs(a - b).max()) for a, b in pairs):.1e}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
