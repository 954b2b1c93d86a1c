"""What each choice of `training.compilation` gives: the same training compiled in several ways, side by side.

    python -m benchmarks.speed.choices

The programs are those of `fm.train`, compiled for a CPU with and without each choice. They run in turn, round after
round; times are medians over the rounds, ratios medians of those within a round. A second table has a sweep beside the
training of one of its networks, on one core and on all. An option that this version of XLA does not know is left out.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

import functional_mlp as fm
from benchmarks.speed.timing import in_turn
from functional_mlp.experiments import Parser, circles, jax_array, jax_params, moons, positive, text_table
from functional_mlp.experiments.published import circles as circles_data
from functional_mlp.experiments.published import moons as moons_data
from functional_mlp.parallel import device_per_core
from functional_mlp.training import Compiling, Data, Settings, compiled_chunk, compiling, make_plan

USUAL = Compiling(one_kernel=False, unroll=1, options=())
THREADS, YNN = "xla_cpu_multi_thread_eigen", "xla_cpu_experimental_ynn_fusion_type"


class Problem(NamedTuple):
    """A training."""

    name: str
    network: fm.Network
    loss: fm.Loss
    params: fm.Params
    data: tuple[Any, Any]
    batch_size: int
    learning_rate: float

    @property
    def ways(self) -> dict[str, Compiling]:
        """The ways to compile it, the one that is chosen for it on a CPU last."""
        chosen = compiling("cpu", self.batch_size, sum(fan_in * fan_out for fan_in, fan_out in self.network.shapes))
        return ways_of_samples(chosen) if chosen.one_kernel else ways_of_batches(chosen)


def ways_of_samples(chosen: Compiling) -> dict[str, Compiling]:
    """Of one sample at a time: one kernel, then with LLVM's level 2, then with several updates per iteration too."""
    return {
        "as XLA does by itself": USUAL,
        "4 updates per iteration": USUAL._replace(unroll=4),
        "one kernel": USUAL._replace(one_kernel=True),
        # the options for products come with it: they do nothing in one kernel, which hands no product on
        "and LLVM's level 2": chosen._replace(unroll=1),
        "and 4 updates per iteration": chosen._replace(unroll=4),
        "as chosen: and 2 updates per iteration": chosen,
    }


def ways_of_batches(chosen: Compiling) -> dict[str, Compiling]:
    """Of batches: each of the two options alone, and both."""

    def only(name: str) -> Compiling:
        return USUAL._replace(options=tuple(option for option in chosen.options if option[0] == name))

    return {
        "as XLA does by itself": USUAL,
        "no products by YNN": only(YNN),
        "one thread alone, YNN kept": only(THREADS),
        "as chosen: one thread, no YNN": chosen,
    }


def problems() -> list[Problem]:
    """One sample at a time, small batches, and all samples."""
    inputs, targets, _, _ = (jax_array(array, "float32") for array in moons_data.data())
    start = jax_params(moons_data.initial_params(0), "float32")
    sizes = {"one sample": 1, "batches of 4": 4, "batches of 32": 32}
    of_moons = [
        Problem(f"moons, {name}", moons.NETWORK, moons.LOSS, start, (inputs, targets), size, 0.01)
        for name, size in sizes.items()
    ]
    points, classes = (jax_array(array, "float32") for array in circles_data.data())
    start = jax_params(circles_data.initial_params(42), "float32")
    return [
        *of_moons,
        Problem("circles, all 1000", circles.NETWORK, circles.LOSS, start, (points, classes), 1000, 1e-4),
    ]


def begun(network: fm.Network, loss: fm.Loss, params: fm.Params, data: Data, rate: float, **settings: Any) -> Any:
    """Plan, optimiser, state and data of a training by plain gradient descent that evaluates nothing.

    Args:
        network, loss, params: as `fm.train` takes them.
        data: the samples, in their order.
        rate: of learning.
        settings: epochs, batch_size, and optionally devices.
    """
    quiet: dict[str, Any] = {
        "shuffle": False,
        "eval_every": 1,
        "evaluate": "after",
        "metrics": (),
        "precision": "highest",
    }
    devices = settings.pop("devices", None)
    plan = make_plan(network, loss, data, Settings(chunk_epochs=settings["epochs"], **quiet, **settings), devices or ())
    optimizer = optax.sgd(rate)
    return plan, optimizer, fm.init_train_state(params, optimizer), data


def prepared(problem: Problem, way: Compiling, epochs: int) -> tuple[Callable[[], Any], float]:
    """The compiled training: what runs it, and the seconds that compiling took."""
    data = Data(*problem.data, None, None, None)
    training = (problem.network, problem.loss, problem.params, data, problem.learning_rate)
    plan, optimizer, state, data = begun(*training, epochs=epochs, batch_size=problem.batch_size)
    plan, count = replace(plan, compiling=way), np.int32(epochs)
    start = time.perf_counter()
    compiled = compiled_chunk(way.options, None).lower(plan, optimizer, state, count, data).compile()
    seconds = time.perf_counter() - start
    return lambda: jax.block_until_ready(compiled(state, count, data)), seconds


def compare(problem: Problem, repeats: int) -> list[tuple[str, ...]]:
    """A row per way."""
    updates = -(-len(problem.data[0]) // problem.batch_size)
    epochs = max(1, 20_000 // (updates * problem.batch_size))
    ways = problem.ways
    programs = [prepared(problem, way, epochs) for way in ways.values()]
    seconds = in_turn([run for run, _ in programs], repeats) / (updates * epochs)
    ratios = np.median(seconds / seconds[:, :1], axis=0)
    return [
        (problem.name, way, f"{1e6 * each:.2f}", f"{ratio:.2f}", f"{compilation:.2f}")
        for way, each, ratio, (_, compilation) in zip(ways, np.median(seconds, axis=0), ratios, programs, strict=True)
    ]


def compare_sweeps(repeats: int, networks: int = 1024, epochs: int = 2) -> list[tuple[str, ...]]:
    """One network alone, and many of them: a row per number of devices."""
    problem = problems()[0]
    each: dict[str, Any] = {"batch_size": 1, "metrics": ()}
    optimizer = optax.sgd(problem.learning_rate)
    settings = each | {"keys": jax.random.split(jax.random.key(0), networks), "learning_rates": problem.learning_rate}
    params = jax.tree.map(lambda leaf: np.stack([leaf] * networks), problem.params)

    def alone() -> Any:
        run = fm.train(
            problem.network, problem.loss, problem.params, *problem.data, epochs=64, optimizer=optimizer, **each
        )
        return jax.block_until_ready(run.params)

    def many(devices: list[Any]) -> Any:
        runs = fm.sweep(
            problem.network, problem.loss, *problem.data, params=params, epochs=epochs, devices=devices, **settings
        )
        return jax.block_until_ready(runs.params)

    counts = sorted({1, jax.local_device_count()})
    runs = [partial(many, jax.local_devices()[:count]) for count in counts]
    samples = len(problem.data[0])
    updates = np.array([64 * samples, *[networks * epochs * samples] * len(counts)])
    seconds = in_turn([alone, *runs], repeats) / updates
    names = ["one network", *(f"{networks} networks on {count} of JAX's devices" for count in counts)]
    ratios = np.median(seconds / seconds[:, :1], axis=0)
    return [
        (name, f"{1e6 * time_of_each:.2f}", f"{ratio:.2f}")
        for name, time_of_each, ratio in zip(names, np.median(seconds, axis=0), ratios, strict=True)
    ]


def main() -> int:
    """Prints the tables."""
    parser = Parser(prog="python -m benchmarks.speed.choices", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=positive, default=7, help="rounds (default: %(default)s)")
    repeats = parser.parse_args().repeats
    device_per_core()
    rows = [row for problem in problems() for row in compare(problem, repeats)]
    print(text_table(("training", "compiled", "us per update", "of the first", "seconds to compile"), rows))
    print()
    print(text_table(("moons, one sample", "us per network and update", "of the first"), compare_sweeps(repeats)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
