"""The three-phase network: 2-4-4-1, trained layer by layer from the output until every step is small.

The text leaves open whether a phase sees the update of the phase before it. `gradients-first` is the plain backward
pass. `updated-weights-used` is the same pass with ONE stage replaced: each cotangent goes back through its layer's
weights as already updated. All initial values train in one program over all devices, each in a `while_loop` that ends
when its own steps are small; on a CPU one after another, so that any number of devices gives the same bits.

    functional-mlp experiment three_phase --reading both --seeds 20 --out DIR
"""

import argparse
import contextlib
import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

import functional_mlp as fm
from functional_mlp.backward_pass import Residuals, Stages, output_cotangent, previous_cotangent, pull_back
from functional_mlp.experiments.common import (
    Results,
    one_of,
    option_parser,
    positive_rate,
    results_in,
    text_table,
    with_dtype,
)
from functional_mlp.experiments.published import three_phase as reference
from functional_mlp.experiments.resuming import place_of, progress
from functional_mlp.experiments.runs import (
    diverged,
    jax_array,
    jax_params,
    over_runs,
    said_of_diverged,
)
from functional_mlp.parallel import devices_of_all, of_this_process, processes_of, vary_over, varying_axes
from functional_mlp.saving import Place, checkpoints_in, digest, fingerprint_of, program_digest

NETWORK = fm.Network(reference.SIZES, "sigmoid")
LOSS = fm.Loss("squared_error", over_samples="mean", over_outputs="sum", scale=0.5)
READINGS = ("gradients-first", "updated-weights-used")
RECORDS = 401  # rows of the history
CHUNKS = 20  # between two of which a training can be saved, and interrupted
RUNS_OF_A_BATCH = 64  # that an accelerator computes together


class Run(NamedTuple):
    """Where a training run stands.

    Attributes:
        params: the parameters.
        steps: updates made.
        small: whether the last step was smaller than the tolerance everywhere.
        rows: (records, 2): loss and accuracy before steps 0, record_every, …; the rest is not yet written.
    """

    params: fm.Params
    steps: jax.Array
    small: jax.Array
    rows: jax.Array


Ends = tuple[Run, Any, Any]  # of several runs, each leaf (R, …); loss and accuracy (R,) of their last parameters


def stages_of(reading: str, learning_rate: float) -> tuple[Stages, ...]:
    """The stages of the backward pass in this reading."""

    def through_updated_weights(layer: Residuals, ct_z: jax.Array) -> jax.Array:
        updated = layer.weights - learning_rate * Stages().weights_cotangent(layer, ct_z)
        return previous_cotangent(layer._replace(weights=updated), ct_z)

    stage = Stages() if reading == "gradients-first" else Stages(previous_cotangent=through_updated_weights)
    return (stage,) * (len(NETWORK.sizes) - 1)


def loss_and_slopes(
    reading: str, learning_rate: float, params: fm.Params, inputs: jax.Array, targets: jax.Array
) -> tuple[jax.Array, jax.Array, fm.Params]:
    """Loss, accuracy, and what `reading` takes for the slopes, shaped like the parameters."""
    outputs, tape = fm.forward(NETWORK, params, inputs)
    value, cotangent, _ = output_cotangent(NETWORK, LOSS, tape, targets)
    slopes = pull_back(NETWORK, params, tape, cotangent, stages_of(reading, learning_rate)).params
    accuracy = jnp.mean(((outputs > 0.5) == (targets > 0.5)).astype(outputs.dtype))
    return value, accuracy, slopes


def step(
    reading: str, learning_rate: float, tolerance: float, record_every: int, data: tuple[jax.Array, jax.Array], run: Run
) -> Run:
    """One update of all layers."""
    loss, accuracy, slopes = loss_and_slopes(reading, learning_rate, run.params, *data)
    changes = jax.tree.map(lambda slope: learning_rate * slope, slopes)
    largest = jnp.max(jnp.stack([jnp.max(jnp.abs(change)) for change in jax.tree.leaves(changes)]))
    # a step that is not recorded writes outside of the rows, which JAX drops
    row = jnp.where(run.steps % record_every == 0, run.steps // record_every, len(run.rows))
    rows = run.rows.at[row].set(jnp.stack([loss, accuracy]).astype(run.rows.dtype), mode="drop")
    params = jax.tree.map(jnp.subtract, run.params, changes)
    return Run(params, run.steps + 1, largest < tolerance, rows)


class Settings(NamedTuple):
    """What a training goes by."""

    reading: str
    learning_rate: float
    tolerance: float
    max_steps: int


def train(
    settings: Settings,
    params: fm.Params,
    inputs: jax.Array,
    targets: jax.Array,
    seen: Callable[[int], bool] = lambda steps: False,
    saving: Place | None = None,
) -> Ends:
    """Descends from every one of `params` (leading axis R) until all its steps are small, or for `max_steps` steps.

    The runs are spread over the devices that the program may use; how many these are changes no bit.

    Args:
        settings: how.
        params: where to start.
        inputs, targets: the data.
        seen: told the number of steps that were done, from time to time; says whether to end there.
        saving: where to save the runs as they go on.

    Returns:
        The runs, and loss (R,) and accuracy (R,) of their last parameters, as NumPy arrays.
    """
    devices = devices_of_all()
    processes = processes_of(devices)
    runs = len(jax.tree.leaves(params)[0])
    tile = 1 if devices[0].platform == "cpu" else RUNS_OF_A_BATCH  # small networks stay in the cache of a core
    filled = -(-runs // (tile * len(devices))) * tile * len(devices)
    which = np.minimum(np.arange(filled)[processes.share(filled)], runs - 1)  # what fills up is the last
    rows = np.full((runs, math.ceil(settings.max_steps / record_every(settings.max_steps)), 2), np.nan, inputs.dtype)
    start = Run(jax.tree.map(np.asarray, params), *(np.zeros(runs, kind) for kind in (np.int32, bool)), rows)  # type: ignore
    advance = partial(_spread, settings, Mesh(np.array(of_this_process(devices)), ("runs",)), tile)

    def of_all(ends: Any) -> Any:
        """What all processes have of their runs, without what fills up; a checkpoint has the arrays by number."""
        leaves, structure = jax.tree.flatten(ends)
        arrays = processes.gathered({str(number): np.asarray(leaf) for number, leaf in enumerate(leaves)})
        return jax.tree.unflatten(structure, [array[:runs] for array in arrays.values()])

    with contextlib.ExitStack() as stack:
        kept = saved = None
        if saving is not None or processes.count > 1:
            one = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), start)
            program = program_digest(lambda run: _descend(settings, run, settings.max_steps, inputs, targets), one)
            data = {"initial parameters": digest(params), "data": digest(inputs, targets)}
            known_by = fingerprint_of(settings._asdict() | data, program, devices[0], tile=str(tile))
            processes.require_same(known_by.in_every_process | {"tile": tile})
        if saving is not None:
            kept = stack.enter_context(checkpoints_in(saving, known_by, processes))
            saved = kept.latest()
        done = 0 if saved is None else saved.step
        if saved is not None:
            arrays = [saved.arrays[str(number)] for number in range(len(saved.arrays))]
            start = jax.tree.unflatten(jax.tree.structure(start), arrays)
        run, ending = jax.tree.map(lambda leaf: leaf[which], start), False
        while not ending:
            done = min(settings.max_steps, done + math.ceil(settings.max_steps / CHUNKS))
            run, *ends = advance(run, np.int32(done), inputs, targets)
            interrupted = seen(done)
            ending = interrupted or done == settings.max_steps or not processes.any(not np.all(run.small))
            if kept is not None and (interrupted or kept.due()):
                leaves = jax.tree.leaves(of_all(run))
                kept.save(done, {str(number): leaf for number, leaf in enumerate(leaves)})
    return of_all((run, *ends))


def _descend(settings: Settings, run: Run, until: Any, inputs: jax.Array, targets: jax.Array) -> Ends:
    """One run until its steps are small, or it has done `until`; and loss and accuracy there."""
    reading, learning_rate, tolerance, max_steps = settings
    end = jax.lax.while_loop(
        lambda run: ~run.small & (run.steps < until),
        partial(step, reading, learning_rate, tolerance, record_every(max_steps), (inputs, targets)),
        vary_over(varying_axes(run), run),
    )
    return end, *loss_and_slopes(reading, learning_rate, end.params, inputs, targets)[:2]


@partial(jax.jit, static_argnums=range(3))
def _spread(
    settings: Settings, mesh: Mesh, tile: int, run: Run, until: Any, inputs: jax.Array, targets: jax.Array
) -> Ends:
    """`_descend` for several runs, over the devices of `mesh`, `tile` runs at a time on each."""

    def share(run: Run, until: Any, inputs: jax.Array, targets: jax.Array) -> Ends:
        def one(run: Run) -> Ends:
            return _descend(settings, run, until, inputs, targets)

        return jax.lax.map(one, run, batch_size=None if tile == 1 else tile)

    each, common = PartitionSpec("runs"), PartitionSpec()
    specs = (each, common, common, common)
    return jax.shard_map(share, mesh=mesh, in_specs=specs, out_specs=each)(run, until, inputs, targets)


def record_every(max_steps: int) -> int:
    """Steps between two rows of the history."""
    return math.ceil(max_steps / RECORDS)


def table_of(reading: str, runs: Ends, max_steps: int) -> dict[str, np.ndarray]:
    """The history of one reading: `step` (rows,), loss and accuracy (R, rows); a stopped run keeps its last values."""
    end, loss, accuracy = runs
    last = np.stack([loss, accuracy], axis=-1)
    recorded = np.arange(end.rows.shape[1]) * record_every(max_steps)
    stopped = recorded[None, :] >= end.steps[:, None]
    rows = np.where(stopped[..., None], last[:, None, :], end.rows)
    used = recorded <= end.steps.max() + record_every(max_steps)
    return {"step": recorded[used], "loss": rows[:, used, 0], "accuracy": rows[:, used, 1]}


def summary_of(runs: Ends) -> dict[str, Any]:
    """Medians over the runs, and how many the stopping rule has ended."""
    end, loss, accuracy = runs
    return {
        "ended_by_the_stopping_rule": int(end.small.sum()),
        "steps": np.median(end.steps),
        "loss": over_runs(np.nanmedian, loss),
        "accuracy": over_runs(np.nanmedian, accuracy),
        "diverged": diverged(end.params, loss),
        "steps_of_seeds": end.steps,
        "loss_of_seeds": loss,
        "accuracy_of_seeds": accuracy,
    }


def distance(first: fm.Params, second: fm.Params) -> np.ndarray:
    """Euclidean distance (R,) of parameters with a leading axis R, relative to the norm of the first."""

    def norm(params: Any) -> np.ndarray:
        leaves = [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(params)]
        return np.sqrt(sum(np.square(leaf).reshape(len(leaf), -1).sum(axis=1) for leaf in leaves))

    with np.errstate(over="ignore", invalid="ignore"):  # of runs that diverged
        return norm(jax.tree.map(np.subtract, first, second)) / norm(first)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Trains in the readings asked for, writes the results, prints the comparison; returns the summary."""
    readings = READINGS if arguments.reading == "both" else (arguments.reading,)
    seeds = range(arguments.seed, arguments.seed + arguments.seeds)
    with results_in(arguments.out, arguments, "three_phase") as results, with_dtype(arguments.dtype):
        inputs, targets = reference.data()
        starts = [jax_params(reference.initial_params(seed), arguments.dtype) for seed in seeds]
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *starts)
        data = [jax_array(array, arguments.dtype) for array in (inputs, targets)]
        ends = {}
        for reading in readings:
            settings = Settings(reading, arguments.learning_rate, arguments.tolerance, arguments.steps)
            with progress(f"three_phase, {reading}", arguments.steps, "step") as seen:
                ends[reading] = train(settings, stacked, data[0], data[1], seen, place_of(arguments, reading))
        histories = {reading: table_of(reading, end, arguments.steps) for reading, end in ends.items()}
        summary: dict[str, Any] = {
            "seed": arguments.seed,
            "seeds": arguments.seeds,
            "learning_rate": arguments.learning_rate,
            "tolerance": arguments.tolerance,
            "max_steps": arguments.steps,
            "readings": {reading: summary_of(end) for reading, end in ends.items()},
        }
        if len(ends) == 2:
            apart = distance(*(end[0].params for end in ends.values()))
            summary["relative_distance_of_parameters"] = over_runs(np.nanmedian, apart)
            summary["relative_distance_of_parameters_of_seeds"] = apart
        write(results, seeds, histories, ends)
        results.summary(**summary)
        if results.plots:
            from functional_mlp.experiments.three_phase_figures import draw

            draw(results, arguments, NETWORK, histories, ends, inputs, targets[:, 0])
    print(report(summary, arguments.seeds))
    return summary


def write(
    results: Results,
    seeds: range,
    histories: dict[str, dict[str, np.ndarray]],
    ends: dict[str, Ends],
) -> None:
    """history.csv: medians over the runs, step by step; runs.csv: how every run ended."""
    rows, runs = [], []
    for reading, history in histories.items():
        medians = (over_runs(np.nanmedian, history[name]) for name in ("loss", "accuracy"))
        rows += [(reading, *row) for row in zip(history["step"], *medians, strict=True)]
        end, loss, accuracy = ends[reading]
        runs += [(reading, *row) for row in zip(seeds, end.steps, end.small, loss, accuracy, strict=True)]
    results.history(("reading", "step", "loss", "accuracy"), list(zip(*rows, strict=True)))
    header = ("reading", "seed", "steps", "ended_by_the_stopping_rule", "loss", "accuracy")
    results.history(header, list(zip(*runs, strict=True)), "runs.csv")


def report(summary: dict[str, Any], seeds: int) -> str:
    """The comparison of the readings, for a person."""
    rows = [
        (
            reading,
            f"{of['ended_by_the_stopping_rule']} of {seeds}",
            f"{of['steps']:g}",
            f"{of['loss']:.6f}",
            f"{of['accuracy']:.4f}",
        )
        for reading, of in summary["readings"].items()
    ]
    table = text_table(("three_phase, median over seeds", "ended by the rule", "steps", "loss", "accuracy"), rows)
    for reading, of in summary["readings"].items():
        table += said_of_diverged(of["diverged"], seeds, f"{reading}: ")
    if "relative_distance_of_parameters" not in summary:
        return table
    apart = summary["relative_distance_of_parameters"]
    return f"{table}\nparameters of the two readings, from one start: {apart:.2g} of their norm apart (median)"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = option_parser(
        "three_phase",
        "Trains a 2-4-4-1 network layer by layer from the output, in both readings of the published text.",
        resumable=True,
        seed=0,
        seeds=20,
        steps=reference.MAX_STEPS,
        learning_rate=reference.LEARNING_RATE,
        dtype="float64",
    )
    made.add_argument(
        "--reading", default="both", help="default: %(default)s", **one_of("reading", (*READINGS, "both"))
    )
    made.add_argument(
        "--tolerance",
        type=positive_rate,
        default=reference.TOLERANCE,
        help="stop when every |learning rate × slope| is below it (default: %(default)s)",
    )
    return made
