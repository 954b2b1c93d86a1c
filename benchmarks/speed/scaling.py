"""How sweeps and trainings grow over devices, and what a checkpoint costs: beside the model in docs/guide/scale.md.

    python -m benchmarks.speed.scaling --output docs/measured/scaling.md

Sweeps on one core and on all run in turn, the same networks (strong scaling) and as many per core (weak scaling); what
the machine gives at most is what processes that share nothing take, one alone and one per core at once. Each is one
chunk of epochs of some seconds, as the chunks of long sweeps are, but for one in chunks as by default. Rounds are short
and many, since a machine's clock may vary. A data-parallel training is compiled for 1 to 8 devices of the CPU, in a
process of its own, so that the sweeps have a device per core, as in this package's programs; what each device computes,
holds and sends is read from the compiled program and set beside the model's prediction. Checkpoints: the same sweep
with one after each chunk, and with none; both keep their results on disk.
"""

import contextlib
import itertools
import math
import multiprocessing
import re
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

import functional_mlp as fm
from benchmarks.markdown import table
from benchmarks.speed.choices import begun
from benchmarks.speed.machine import describe
from benchmarks.speed.timing import in_turn
from functional_mlp.experiments import Parser, jax_array, jax_params, moons, positive
from functional_mlp.experiments.published import moons as moons_data
from functional_mlp.parallel import device_per_core
from functional_mlp.saving import EVERY
from functional_mlp.sweeps import RUNS_TO_DISK
from functional_mlp.training import SAMPLES, Data, compiled_chunk

DEVICES = (1, 2, 4, 8)
WIDE = fm.Network((784, 1024, 1024, 10), ("relu", "relu", "softmax"))
WIDE_LOSS = fm.Loss("categorical_cross_entropy", over_samples="mean")
BATCH = 1024
WEIGHTS = sum((fan_in + 1) * fan_out for fan_in, fan_out in moons.NETWORK.shapes)  # and biases, of a sweep's network
SAVES, EPOCHS_SAVED = 8, 24  # of a sweep that is saved
PLANNED = (1, 8, 64, 1024)
# a chip that computes float32 at 40 TFLOP/s and sends 25 GB/s to the next host: assumptions, not measurements
CHIP_FLOPS, CHIP_BYTES = 40e12, 25e9
BEGIN, END = "<!-- measured -->", "<!-- end of what was measured -->"


# sweeps


def swept(networks: int, devices: int, epochs: int, **others: Any) -> Any:
    """A sweep of moons networks, one sample at a time, on as many devices."""
    inputs, targets, _, _ = (jax_array(array, "float32") for array in moons_data.data())
    start = jax_params(moons_data.initial_params(0), "float32")
    params = jax.tree.map(lambda leaf: np.stack([leaf] * networks), start)
    keys = jax.random.split(jax.random.key(0), networks)
    options: dict[str, Any] = {
        "epochs": epochs,
        "batch_size": 1,
        "metrics": (),
        "devices": jax.devices()[:devices],
    } | others
    runs = fm.sweep(moons.NETWORK, moons.LOSS, inputs, targets, keys=keys, params=params, **options)
    return jax.block_until_ready(runs.params)


class Measured(NamedTuple):
    """A sweep, or several at once, to be timed.

    Attributes:
        name: for the table.
        run: the program.
        work: as a multiple of the work of one device alone.
        alone: the number of the program of that, or None if it is one.
    """

    name: str
    run: Callable[[], Any]
    work: int
    alone: int | None


def scaling_of_sweeps(repeats: int, cores: int, networks: int, epochs: int) -> tuple[list[tuple[str, ...]], str, float]:
    """A row per program; a comparison of devices with processes; seconds of an update where all cores compute."""
    whole = {"chunk_epochs": epochs}
    with contextlib.ExitStack() as stack:
        pools = [stack.enter_context(process_with(1)) for _ in range(cores)]

        def at_once(count: int) -> None:
            for future in [pool.submit(_swept_elsewhere, networks, epochs) for pool in pools[:count]]:
                future.result()

        more, all_cores = networks * cores, f"{cores} devices"
        programs = [
            Measured(f"{networks} networks on one device", partial(swept, networks, 1, epochs, **whole), 1, None),
            Measured(f"{networks} networks on {all_cores}", partial(swept, networks, cores, epochs, **whole), 1, 0),
            Measured(f"{more} networks on {all_cores}", partial(swept, more, cores, epochs, **whole), cores, 0),
            Measured(f"{more} on {all_cores}, short chunks", partial(swept, more, cores, epochs), cores, 0),
            Measured(f"{networks} networks in another process", partial(at_once, 1), 1, None),
            Measured(f"{networks} networks in each of {cores} processes", partial(at_once, cores), cores, 4),
        ]
        seconds = in_turn([program.run for program in programs], repeats)
    rows: list[tuple[str, ...]] = []
    for program, times in zip(programs, seconds.T, strict=True):
        shares = ("", "")
        if program.alone is not None:
            speedups = program.work * seconds[:, program.alone] / times
            shares = (of_rounds(speedups), f"{np.median(speedups) / cores:.0%}")
        rows.append((program.name, f"{np.median(times):.3f}", *shares))
    against = of_rounds(seconds[:, 2] / seconds[:, 5])
    compared = (
        f"{more} networks take {against} times as long on {all_cores} as in {cores} processes that share nothing."
    )
    updates = more * epochs * len(moons_data.data().train_inputs)
    return rows, compared, cores * float(np.median(seconds[:, 2])) / updates


def of_rounds(ratios: np.ndarray) -> str:
    """The median of what was found in each round, and the quartiles."""
    low, middle, high = np.quantile(ratios, (0.25, 0.5, 0.75))
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def process_with(devices: int) -> ProcessPoolExecutor:
    """A pool of one process where JAX has as many devices."""
    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), device_per_core, (devices,))


def _swept_elsewhere(networks: int, epochs: int) -> None:
    """In another process, which the results do not leave."""
    swept(networks, 1, epochs, chunk_epochs=epochs)


# data-parallel trainings


class Costs(NamedTuple):
    """Of one update on each device: multiplications and additions, bytes that are summed over devices, bytes held."""

    flops: float
    reduced: float
    held: float


def predicted(devices: int, batch: int = BATCH) -> Costs:
    """The cost model of docs/guide/scale.md: each device has its share of the samples, and all parameters."""
    products = sum(fan_in * fan_out for fan_in, fan_out in WIDE.shapes)
    first = WIDE.sizes[0] * WIDE.sizes[1]  # whose inputs need no cotangent
    weights = products + sum(WIDE.sizes[1:])
    share = -(-batch // devices)
    # forward, cotangents of the weights, cotangents of the inputs; two floating-point operations per multiplication
    flops = 2 * share * (3 * products - first)
    data = share * (WIDE.sizes[0] + WIDE.sizes[-1])
    activations = share * (sum(WIDE.sizes[1:]) + max(WIDE.sizes[1:]))  # and the cotangent of one layer
    gradient = max(weights + activations, 2 * weights if devices > 1 else 0)  # the sum is a second array
    return Costs(flops, 4 * weights if devices > 1 else 0, 4 * (2 * weights + data + gradient))


def problem(devices: int, batch: int = BATCH) -> tuple[Any, ...]:
    """Plan, optimiser, state and data of a training of one epoch, an update from all samples."""
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(batch, WIDE.sizes[0])).astype(np.float32)
    targets = np.eye(WIDE.sizes[-1], dtype=np.float32)[rng.integers(WIDE.sizes[-1], size=batch)]
    data = Data(jax.numpy.asarray(inputs), jax.numpy.asarray(targets), None, None, None)
    params = fm.init_params(WIDE, jax.random.key(0))
    some = tuple(jax.devices()[:devices])
    plan: tuple[Any, ...] = begun(WIDE, WIDE_LOSS, params, data, 0.01, epochs=1, batch_size=batch, devices=some)
    return plan


def measured(devices: int) -> tuple[Costs, Callable[[], Any]]:
    """What the compiled program of an update says of itself, and the program."""
    plan, optimizer, state, data = problem(devices)
    if plan.mesh is not None:
        whole, shares = (NamedSharding(plan.mesh, spec) for spec in (PartitionSpec(), PartitionSpec(SAMPLES)))
        state, data = jax.device_put(state, whole), jax.device_put(data, shares)
    chunk = compiled_chunk(plan.compiling.options, plan.mesh)
    program = chunk.lower(plan, optimizer, state, np.int32(1), data).compile()
    memory, cost = program.memory_analysis(), program.cost_analysis()
    held = memory.argument_size_in_bytes + memory.output_size_in_bytes + memory.temp_size_in_bytes
    found = Costs(cost["flops"], bytes_reduced(program.as_text()), held)
    return found, lambda: jax.block_until_ready(program(state, np.int32(1), data))


def bytes_reduced(text: str) -> float:
    """Bytes of the float32 arrays that the all-reduces of a compiled program, as text, sum over devices."""
    total = 0
    for shapes in re.findall(r"= (.*?) all-reduce(?:-start)?\(", text):
        for lengths in re.findall(r"f32\[(.*?)\]", shapes):
            total += 4 * math.prod(int(length) for length in lengths.split(",") if length)
    return float(total)


def scaling_of_trainings(repeats: int) -> list[tuple[str, ...]]:
    """A row per number of devices: predicted and measured, in another process, which has as many."""
    with process_with(max(DEVICES)) as pool:
        return pool.submit(_scaling_of_trainings, repeats).result()


def _scaling_of_trainings(repeats: int) -> list[tuple[str, ...]]:
    found = [measured(devices) for devices in DEVICES]
    seconds = in_turn([run for _, run in found], repeats)
    rows = []
    for devices, (costs, _), median in zip(DEVICES, found, np.median(seconds, axis=0), strict=True):
        model = predicted(devices)
        pairs = zip(model, costs, (1e9, 2**20, 2**20), strict=True)
        both = [f"{expected / unit:.2f} / {got / unit:.2f}" for expected, got, unit in pairs]
        rows.append((str(devices), *both, f"{median:.3f}"))
    return rows


# what is too large to measure here


def plan_of_sweeps(networks: int, epochs: int, seconds_per_update: float) -> list[tuple[str, ...]]:
    """A row per number of devices, each as fast as a core here when all compute: networks, MiB and hours on each."""
    updates = epochs * len(moons_data.data().train_inputs)
    rows: list[tuple[str, ...]] = []
    for devices in PLANNED:
        on_each = -(-networks // devices)
        hours = on_each * updates * seconds_per_update / 3600
        rows.append((f"{devices:,}", f"{on_each:,}", f"{3 * 4 * WEIGHTS * on_each / 2**20:,.0f}", f"{hours:,.1f}"))
    return rows


def plan_of_trainings(samples_of_each: int) -> list[tuple[str, ...]]:
    """A row per number of chips: what an update costs each, and the share of the time that is not spent on summing."""
    rows: list[tuple[str, ...]] = []
    for chips in PLANNED:
        costs = predicted(chips, chips * samples_of_each)
        computing = costs.flops / CHIP_FLOPS
        summing = 2 * costs.reduced * (chips - 1) / chips / CHIP_BYTES  # around a ring
        share = computing / (computing + summing)
        times = (f"{1e3 * computing:.2f}", f"{1e3 * summing:.2f}", f"{share:.0%}")
        rows.append((f"{chips:,}", f"{chips * samples_of_each:,}", f"{costs.held / 2**20:,.0f}", *times))
    return rows


# checkpoints


def cost_of_checkpoints(repeats: int, cores: int) -> list[tuple[str, ...]]:
    """A row: what it takes to save a sweep after each of its chunks, and the share of the time if it is so by default.

    What a directory takes but once, such as for the results, is in both.
    """
    chunk = EPOCHS_SAVED // SAVES
    with tempfile.TemporaryDirectory() as folder:
        places = (Path(folder, str(count)) for count in itertools.count())

        def saved(save_every: float) -> None:
            options = {"chunk_epochs": chunk, "directory": next(places), "save_every": save_every}
            swept(RUNS_TO_DISK, cores, EPOCHS_SAVED, **options)

        seconds = in_turn([partial(saved, math.inf), partial(saved, 0.0)], repeats)
    without, within = np.median(seconds, axis=0)
    each = (seconds[:, 1] - seconds[:, 0]) / SAVES
    held = f"{4 * WEIGHTS * RUNS_TO_DISK / 2**20:.1f}"
    return [
        (str(RUNS_TO_DISK), held, str(SAVES), f"{without:.2f}", f"{within:.2f}", of_rounds(1000 * each),
         f"{np.median(each) / EVERY:.2%}")
    ]  # fmt: skip


# the page


def tables(arguments: Any) -> str:
    """All of them, as Markdown."""
    machine = describe()
    cores, repeats = len(jax.devices()), arguments.repeats
    shape, chip = "-".join(map(str, WIDE.sizes)), f"{CHIP_FLOPS / 1e12:g} TFLOP/s and {CHIP_BYTES / 1e9:g} GB/s"
    rows, compared, each = scaling_of_sweeps(repeats, cores, arguments.networks, arguments.epochs)
    checkpoint = ("networks", "MiB", "checkpoints", "seconds without", "with", "milliseconds each (quartiles)")
    measured_by = ("devices", "GFLOP", "MiB summed", "MiB held", "seconds (all devices share the cores)")
    planned = ("chips", "batch", "MiB held", "ms to compute", "ms to sum", "of the time computing")
    parts = [
        f"Measured on {machine['processor']}, {cores} cores, with JAX {jax.__version__}, medians of {repeats} rounds.",
        "Sweeps of moons networks, an update per sample; work per second is the median of its ratios in each round:",
        _table(("sweep", "seconds", "work per second, one device 1 (quartiles)", "of the ideal"), rows),
        compared,
        f"A training of {shape} in batches of {BATCH}, on each device, predicted / measured:",
        _table(measured_by, scaling_of_trainings(repeats)),
        "What checkpoints cost:",
        _table((*checkpoint, f"of the time, one every {EVERY:g} s"), cost_of_checkpoints(max(3, repeats // 3), cores)),
        f"Predicted: 1,000,000 moons networks for 1000 epochs, on devices that need {1e6 * each:.2f} us per update:",
        _table(("devices", "networks on each", "MiB on each", "hours"), plan_of_sweeps(10**6, 1000, each)),
        f"Predicted: {shape}, {BATCH} samples per chip and update, on chips of {chip} (assumed):",
        _table(planned, plan_of_trainings(BATCH)),
        f"The same, {16 * BATCH} samples per chip:",
        _table(planned, plan_of_trainings(16 * BATCH)),
    ]
    return "\n\n".join(parts)


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    return table(head, rows, texts=len(head)).rstrip("\n")


def put(page: Path, text: str) -> None:
    """Puts `text` between the two marks of a page.

    Raises:
        ValueError: if it has none.
    """
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"expected {BEGIN} and {END} in {page}, got no such marks")
    page.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", encoding="utf-8")


def main() -> int:
    """Prints the tables, and puts them into a page."""
    parser = Parser(prog="python -m benchmarks.speed.scaling", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=positive, default=31, help="rounds (default: %(default)s)")
    parser.add_argument("--networks", type=positive, default=128, help="of a sweep (default: %(default)s)")
    parser.add_argument("--epochs", type=positive, default=24, help="of a sweep (default: %(default)s)")
    parser.add_argument("--output", type=Path, metavar="FILE", help="a page with marks to put the tables between")
    arguments = parser.parse_args()
    device_per_core()
    if len(jax.devices()) < 2:
        parser.error("expected two cores or more to compute on, got one")
    text = tables(arguments)
    print(text)
    if arguments.output is not None:
        put(arguments.output, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
