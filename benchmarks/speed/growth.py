"""How time and memory grow with width, depth, samples, networks and epochs: log-log figures and fitted exponents.

    python -m benchmarks.speed.growth --out DIR

Time is the median of several runs of a compiled program; the sizes of one growth are measured in turn, round after
round, so that what else the machine does falls on all alike. The memory of an update is what XLA says that the program
holds: arguments, results and temporaries. That of a sweep is the bytes of the initial parameters alone, which grow with
the networks by construction. The exponent is the slope of a line through the logarithms of the larger half of the
sizes, where the fixed cost of a call weighs least.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

import functional_mlp as fm
from benchmarks.speed.timing import in_turn
from functional_mlp.experiments import (
    BLACK,
    BLUE,
    VERMILION,
    new_figure,
    option_parser,
    positive,
    results_in,
    run_program,
    text_table,
)
from functional_mlp.parallel import device_per_core

MOONS = fm.Network((2, 25, 50, 25, 2), "sigmoid")
SQUARES = fm.Loss("squared_error", scale=0.5)
RATE = 0.01


class Size(NamedTuple):
    """One program of a growth.

    Attributes:
        size: what is varied.
        run: runs it and waits for the result.
        memory: bytes that the program holds, of a sweep those of its initial parameters; None where nothing but time is
            asked for.
    """

    size: int
    run: Callable[[], Any]
    memory: int | None


class Growth(NamedTuple):
    """One figure.

    Attributes:
        name: of what is varied.
        what: is timed.
        sizes: values of what is varied.
        prepare: a value -> its program, compiled.
    """

    name: str
    what: str
    sizes: tuple[int, ...]
    prepare: Callable[[int], Size]


class Measured(NamedTuple):
    """Of one growth: sizes, median seconds, bytes (or None), and the exponents of both."""

    name: str
    what: str
    sizes: tuple[int, ...]
    seconds: tuple[float, ...]
    memory: tuple[int, ...] | None
    exponent: float
    memory_exponent: float | None


def draw(network: fm.Network, samples: int) -> tuple[jax.Array, jax.Array]:
    """Inputs (samples, n_0) and one-hot targets (samples, n_L), float32."""
    generator = np.random.default_rng(0)
    classes = generator.integers(network.sizes[-1], size=samples)
    inputs = generator.normal(size=(samples, network.sizes[0])).astype(np.float32)
    return jax.device_put(inputs), jax.device_put(np.eye(network.sizes[-1], dtype=np.float32)[classes])


def one_update(network: fm.Network, samples: int, size: int) -> Size:
    """A full-batch update by SGD."""
    inputs, targets = draw(network, samples)
    optimizer = optax.sgd(RATE)
    state = fm.init_train_state(fm.init_params(network, jax.random.key(0)), optimizer)
    step = partial(fm.train_step, network, SQUARES, optimizer)
    compiled = jax.jit(step).lower(state, inputs, targets).compile()
    memory: Any = compiled.memory_analysis()
    held = memory.argument_size_in_bytes + memory.output_size_in_bytes + memory.temp_size_in_bytes
    return Size(size, lambda: jax.block_until_ready(compiled(state, inputs, targets)), held)


def one_sample_training(samples: int, epochs: int, size: int) -> Size:
    """Training of the moons network, one sample at a time."""
    inputs, targets = draw(MOONS, samples)
    params, optimizer = fm.init_params(MOONS, jax.random.key(0)), optax.sgd(RATE)
    train = partial(fm.train, MOONS, SQUARES, params, inputs, targets, optimizer=optimizer, batch_size=1, metrics=())
    return Size(size, lambda: jax.block_until_ready(train(epochs=epochs, chunk_epochs=256).params), None)


def sweep_of(networks: int) -> Size:
    """An epoch of as many moons networks at once, over all devices."""
    inputs, targets = draw(MOONS, 1400)
    keys = jax.random.split(jax.random.key(0), networks)
    params = jax.vmap(partial(fm.init_params, MOONS))(keys)
    train = partial(fm.sweep, MOONS, SQUARES, inputs, targets, keys=keys, params=params, batch_size=1, metrics=())
    parameters = sum(leaf.nbytes for leaf in jax.tree.leaves(params))
    return Size(networks, lambda: jax.block_until_ready(train(epochs=1).params), parameters)


def powers(first: int, last: int) -> tuple[int, ...]:
    """2^first to 2^last."""
    return tuple(2**power for power in range(first, last + 1))


def square(width: int, depth: int) -> fm.Network:
    """`depth` hidden tanh layers of one width between 64 inputs and 10 outputs."""
    return fm.Network((64, *[width] * depth, 10), ("tanh",) * depth + ("identity",))


GROWTHS = (
    Growth("width", "update of 64-w-w-10, 256 samples", powers(4, 10), lambda w: one_update(square(w, 2), 256, w)),
    Growth(
        "depth", "update of 64-128-…-128-10, 256 samples", powers(0, 6), lambda d: one_update(square(128, d), 256, d)
    ),
    Growth("samples", "full-batch update of moons", powers(6, 17), lambda n: one_update(MOONS, n, n)),
    Growth("samples of an epoch", "epoch, one sample at a time", powers(8, 16), lambda n: one_sample_training(n, 1, n)),
    Growth("epochs", "one-sample training of moons", powers(0, 8), lambda e: one_sample_training(1400, e, e)),
    Growth("networks", "epoch of a sweep of moons", powers(2, 10), sweep_of),
)


def exponent(sizes: Sequence[int], values: Sequence[float]) -> float:
    """The slope of the line of least squares through the logarithms of the larger half."""
    half = len(sizes) // 2
    return float(np.polyfit(np.log(sizes[half:]), np.log(values[half:]), 1)[0])


def measure(growth: Growth, repeats: int) -> Measured:
    """Compiles every size, then runs all of them in turn, `repeats` times."""
    programs = [growth.prepare(size) for size in growth.sizes]
    seconds = in_turn([program.run for program in programs], repeats)
    medians = tuple(float(median) for median in np.median(seconds, axis=0))
    held = [program.memory for program in programs if program.memory is not None]
    memory = tuple(held) or None
    return Measured(
        *(growth.name, growth.what, growth.sizes, medians, memory, exponent(growth.sizes, medians)),
        None if memory is None else exponent(growth.sizes, memory),
    )


def table(measured: Sequence[Measured]) -> str:
    """Exponents, and the smallest and the largest size."""
    head = ("growth with", "of", "sizes", "seconds", "exponent of time", "exponent of memory")
    rows = [
        (
            *(each.name, each.what, f"{each.sizes[0]} to {each.sizes[-1]}"),
            *(f"{each.seconds[0]:.2g} to {each.seconds[-1]:.2g}", f"{each.exponent:.2f}"),
            "" if each.memory_exponent is None else f"{each.memory_exponent:.2f}",
        )
        for each in measured
    ]
    return text_table(head, rows)


def figure(measured: Sequence[Measured]) -> Any:
    """One panel per growth: seconds, and megabytes where they were asked for, both axes logarithmic."""
    columns = 3
    drawn, panels = new_figure(-(-len(measured) // columns), columns, size=(11.5, 6.6))
    for axes, each in zip(panels.flat, measured, strict=False):
        sizes, half = np.array(each.sizes), len(each.sizes) // 2
        axes.loglog(sizes, each.seconds, "o-", color=BLUE, label=f"seconds, exponent {each.exponent:.2f}")
        fitted = each.seconds[-1] * (sizes[half:] / sizes[-1]) ** each.exponent
        axes.loglog(sizes[half:], fitted, "--", color=BLACK, linewidth=1)
        if each.memory is not None:
            megabytes = np.array(each.memory) / 1e6
            label = f"megabytes, exponent {each.memory_exponent:.2f}"
            axes.loglog(sizes, megabytes, "^-", color=VERMILION, label=label)
        axes.set(xlabel=each.name, ylabel="seconds" if each.memory is None else "seconds, megabytes", title=each.what)
        axes.legend(fontsize=8)
    for axes in panels.flat[len(measured) :]:
        axes.set_axis_off()
    return drawn


def run(arguments: argparse.Namespace) -> None:
    """Measures, prints the table, and writes figure and numbers."""
    device_per_core()
    with results_in(arguments.out, arguments, "growth") as results:
        measured = []
        for growth in GROWTHS:
            print(f"{growth.name}: {growth.what}", file=sys.stderr, flush=True)
            measured.append(measure(growth, arguments.repeats))
        results.json("growth.json", [each._asdict() for each in measured])
        if results.plots:
            results.figure(figure(measured), "growth")
    print(table(measured))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = option_parser("growth", (__doc__ or "").splitlines()[0])
    made.prog = "python -m benchmarks.speed.growth"
    made.add_argument("--repeats", type=positive, default=5, help="runs of each size (default: %(default)s)")
    return made


if __name__ == "__main__":
    sys.exit(run_program(parser(), run))
