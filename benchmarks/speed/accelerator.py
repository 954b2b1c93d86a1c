"""What this project's workloads reach on the device that JAX finds: the same programs on a GPU, a TPU or a CPU.

    python -m benchmarks.speed.accelerator                      # the tables, under 8 minutes on an accelerator
    python -m benchmarks.speed.accelerator --device cpu         # the same elsewhere
    python -m benchmarks.speed.accelerator --json FILE          # also every figure, with the machine and the versions

Seconds are medians of several runs of a compiled program, the result waited for; compilation is told apart. The peak
that a rate is a fraction of is a large square matrix product, of the same precision, in the same process.
"""

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import functional_mlp as fm
from benchmarks.speed.suite.problems import product_operations
from functional_mlp.experiments import Parser, circles, himmelblau, moons, on_device, positive, text_table
from functional_mlp.experiments.published import circles as circles_data
from functional_mlp.experiments.published import moons as moons_data
from functional_mlp.forward_pass import matmul

WIDE = fm.Network((784, 1024, 1024, 10), ("relu", "relu", "identity"))
WIDE_LOSS = fm.Loss("softmax_cross_entropy", over_samples="mean")
# dtype, precision of the matrix products
PRECISIONS = {"float32, highest": (jnp.float32, "highest"), "float32, default": (jnp.float32, "default")}
PRECISIONS |= {"bfloat16": (jnp.bfloat16, "default")}


class Timed(NamedTuple):
    """Seconds of one program.

    Attributes:
        first: of the first call, tracing and compilation included.
        median: of later ones.
    """

    first: float
    median: float


class Scale(NamedTuple):
    """How much of everything: a CPU of two cores is not asked for what fills an accelerator."""

    product: int
    batches: tuple[int, ...]
    runs: tuple[int, ...]
    grid: int


ACCELERATOR = Scale(product=8192, batches=(256, 4096, 65536), runs=(1, 64, 1024, 16384), grid=1024)
CPU = Scale(product=2048, batches=(256, 1024), runs=(1, 64, 1024), grid=256)


def timed(function: Callable[[], Any], repeats: int) -> Timed:
    """The first call and the median of `repeats` further ones, each waited for."""
    seconds = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        jax.block_until_ready(function())
        seconds.append(time.perf_counter() - start)
    return Timed(seconds[0], float(np.median(seconds[1:])))


def peaks(scale: Scale, repeats: int) -> dict[str, float]:
    """Operations per second of a square matrix product, by precision."""
    found = {}
    for name, (dtype, precision) in PRECISIONS.items():
        key = jax.random.key(0)
        left, right = (jax.random.normal(key, (scale.product, scale.product), dtype) for key in jax.random.split(key))
        product = jax.jit(partial(matmul, precision=precision))
        found[name] = 2 * scale.product**3 / timed(lambda p=product, x=left, y=right: p(x, y), repeats).median  # type: ignore[misc]
    return found


class Gradient(NamedTuple):
    """One way to the gradient of the wide network: seconds, operations and temporary bytes as XLA counts them."""

    seconds: float
    operations: float
    temporary: int


def by_hand(params: Any, inputs: Any, targets: Any, precision: Any) -> Any:
    """Loss and gradient by the formulas of this package."""
    return fm.loss_and_grad(WIDE, WIDE_LOSS, params, inputs, targets, precision=precision)


def by_autodiff(params: Any, inputs: Any, targets: Any, precision: Any) -> Any:
    """The same by `jax.value_and_grad` of the forward pass."""

    def value(params: Any) -> Any:
        outputs, _ = fm.forward(WIDE, params, inputs, precision=precision)
        return WIDE_LOSS.value(outputs, targets)

    return jax.value_and_grad(value)(params)


def gradient(way: Callable[..., Any], dtype: Any, precision: Any, batch: int, repeats: int) -> Gradient:
    """Measures one way on random data."""
    keys = jax.random.split(jax.random.key(1), 3)
    params = fm.init_params(WIDE, keys[0], dtype=dtype)
    inputs = jax.random.normal(keys[1], (batch, WIDE.sizes[0]), dtype)
    targets = jax.nn.one_hot(jax.random.randint(keys[2], (batch,), 0, WIDE.sizes[-1]), WIDE.sizes[-1], dtype=dtype)
    compiled = jax.jit(partial(way, precision=precision)).lower(params, inputs, targets).compile()
    memory, cost = compiled.memory_analysis(), compiled.cost_analysis() or {}
    seconds = timed(lambda: compiled(params, inputs, targets), repeats).median
    return Gradient(seconds, cost.get("flops", float("nan")), getattr(memory, "temp_size_in_bytes", 0))


def gradients(scale: Scale, repeats: int) -> tuple[list[list[Any]], list[dict[str, Any]]]:
    """The table of the wide network, and its figures."""
    rows, figures = [], []
    peak = peaks(scale, repeats)
    for name, (dtype, precision) in PRECISIONS.items():
        for batch in scale.batches:
            hand, auto = (gradient(way, dtype, precision, batch, repeats) for way in (by_hand, by_autodiff))
            rate = product_operations(WIDE.sizes, batch) / hand.seconds
            operations, temporary = hand.operations / max(auto.operations, 1), hand.temporary / max(auto.temporary, 1)
            times = (f"{1e3 * hand.seconds:.3f}", f"{hand.seconds / auto.seconds:.2f}")
            rates = (f"{rate / 1e12:.2f}", f"{peak[name] / 1e12:.2f}", f"{rate / peak[name]:.2f}")
            rows.append([name, batch, *times, f"{operations:.3f}", f"{temporary:.2f}", *rates])
            measured = {"by_hand": hand._asdict(), "autodiff": auto._asdict()}
            figures.append({"precision": name, "batch": batch, "peak": peak[name]} | measured)
    return rows, figures


def _swept(network: fm.Network, loss: fm.Loss, data: Any, runs: int, epochs: int, **options: Any) -> Callable[[], Any]:
    """A sweep of the first two arrays of the data, ready to run."""
    inputs, targets = (jnp.asarray(array, jnp.float32) for array in data[:2])
    keys = jax.random.split(jax.random.key(0), runs)
    sweep = partial(fm.sweep, network, loss, inputs, targets, keys=keys, epochs=epochs, eval_every=epochs, **options)
    return lambda: sweep().params


class Training(NamedTuple):
    """Training runs side by side: what, how many at once, updates of each, and how to run them."""

    name: str
    runs: int
    updates: int
    run: Callable[[], Any]


def trainings(scale: Scale) -> list[Training]:
    """One-sample, mini-batch and full-batch training, each with growing numbers of networks at once."""
    data, parts = moons_data.data(), []
    for name, size, few, many in (("moons, one sample", 1, 4, 1), ("moons, batches of 32", 32, 40, 2)):
        for runs in scale.runs:
            epochs = few if runs <= 64 else many
            run = _swept(moons.NETWORK, moons.LOSS, data, runs, epochs, batch_size=size)
            parts.append(Training(name, runs, epochs * -(-len(data.train_inputs) // size), run))
    for runs in scale.runs:
        run = _swept(circles.NETWORK, circles.LOSS, circles_data.data(), runs, 100, learning_rates=1e-4)
        parts.append(Training("circles, full batch", runs, 100, run))
    return parts


def trained(scale: Scale, repeats: int) -> tuple[list[list[Any]], list[dict[str, Any]]]:
    """The table of training, and its figures."""
    rows, figures = [], []
    for part in trainings(scale):
        print(f"{part.name}, {part.runs} networks", file=sys.stderr, flush=True)
        measured = timed(part.run, min(repeats, 3))
        each = measured.median / part.updates
        rows.append(
            [part.name, part.runs, f"{measured.first:.2f}", f"{1e6 * each:.2f}", f"{1e9 * each / part.runs:.1f}"]
        )
        figures.append({"training": part.name, "networks": part.runs, "updates": part.updates} | measured._asdict())
    return rows, figures


def basins(grid: int, repeats: int) -> Timed:
    """Descents of Himmelblau's function from a grid of starts."""
    find = partial(himmelblau.find_basins, grid, 1000, optax.sgd(0.01), jnp.float32)
    return timed(lambda: find().seconds, min(repeats, 3))


def machine() -> dict[str, str]:
    """What this was measured on."""
    [device] = jnp.zeros(()).devices()
    versions = {"python": platform.python_version(), "jax": jax.__version__}
    return {"device": device.device_kind, "platform": device.platform, **versions}


def main() -> int:
    """Prints the tables."""
    parser = Parser(prog="python -m benchmarks.speed.accelerator", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", help="such as cpu or gpu:1 (default: the first that JAX finds)")
    parser.add_argument("--repeats", type=positive, default=5, help="timed calls (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="write every figure here too")
    arguments: argparse.Namespace = parser.parse_args()
    with on_device(arguments.device):
        where = machine()
        scale = CPU if where["platform"] == "cpu" else ACCELERATOR
        print(", ".join(f"{name} {value}" for name, value in where.items()), flush=True)
        gradient_rows, gradient_figures = gradients(scale, arguments.repeats)
        head: tuple[str, ...] = ("784-1024-1024-10", "batch", "ms", "time / autodiff", "FLOPs / autodiff")
        head += ("temporaries / autodiff", "TFLOP/s", "matrix product", "fraction")
        print(f"\nLoss and gradient, by hand:\n\n{text_table(head, gradient_rows)}", flush=True)
        training_rows, training_figures = trained(scale, arguments.repeats)
        head = ("training", "networks", "first call, s", "us per update", "ns per update and network")
        print(f"\n{text_table(head, training_rows)}", flush=True)
        found = basins(scale.grid, arguments.repeats)
    print(f"\nHimmelblau, 1000 steps from {scale.grid}² starts: {found.median:.3f} s (first call {found.first:.2f} s)")
    if arguments.json is not None:
        figures: dict[str, Any] = {"machine": where, "gradients": gradient_figures, "training": training_figures}
        figures["himmelblau"] = {"grid": scale.grid} | found._asdict()
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
