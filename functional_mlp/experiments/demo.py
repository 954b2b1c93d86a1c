"""All experiments in a row, and one table: published, NumPy reference, functional_mlp.

The NumPy reference of the moons takes most of a minute, so the references compute in processes of their own meanwhile.
Every experiment writes into a directory of its own, DIR/NAME or DIR/NAME/VARIANT, and the table goes to DIR/table.txt
and DIR/table.md. Moons and three_phase start from the same initial values on both sides.
"""

import argparse
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator, Sequence
from multiprocessing.pool import AsyncResult, Pool
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from functional_mlp.experiments import activations, calculus, circles, himmelblau, moons, three_phase
from functional_mlp.experiments.common import option_parser, require_writable, text_table, with_dtype
from functional_mlp.experiments.published import himmelblau as reference_himmelblau
from functional_mlp.experiments.published import moons as reference_moons
from functional_mlp.experiments.published import three_phase as reference_three_phase

NOTES = """\
circles: scheduled and corrected at their last iteration; tuned, the median over its initial seeds.
moons: the last evaluation, from initial seed 0 and from 20 seeds; the text prints neither seed nor learning rate.
himmelblau: the text cuts digits off, and its last value is one that no rounding to the nearest gives.
three_phase: medians over 20 initial seeds; the text prints no numbers."""
HEADER = ("system", "published", "reference (NumPy)", "functional_mlp (JAX)")
ABSENT = "—"
Row = tuple[str, ...]
Summaries = dict[str, dict[str, Any]]
Pending = dict[str, list[AsyncResult]]  # type: ignore[type-arg]


class Part(NamedTuple):
    """One experiment of the demonstration.

    Attributes:
        name: of the result directory below DIR, and the key of the summary.
        module: the experiment, with `parser` and `run`.
        options: of its command line.
        epochs: whether it takes the demonstration's `--epochs` too.
    """

    name: str
    module: Any
    options: tuple[str, ...] = ()
    epochs: bool = False


def run_parts(arguments: argparse.Namespace) -> Summaries:
    """Runs every experiment with its command line; returns their summaries by name of the part."""
    flags = {"--overwrite": arguments.overwrite, "--no-plots": arguments.no_plots}
    common = [flag for flag, given in flags.items() if given]
    summaries = {}
    for number, part in enumerate(PARTS, start=1):
        print(f"\n[{number}/{len(PARTS)}] {part.name}", flush=True)
        started = time.perf_counter()
        epochs = ["--epochs", str(arguments.epochs)] if part.epochs else []
        out = ["--out", str(arguments.out / part.name)]
        options = part.module.parser().parse_args([*part.options, *epochs, *common, *out])
        with with_dtype(getattr(options, "dtype", None)):
            summaries[part.name] = part.module.run(options)
        print(f"({time.perf_counter() - started:.1f} s)")
    return summaries


def start_references(pool: Pool, epochs: int) -> Pending:
    """Starts what the reference has to compute, the longest first: moons by part, three_phase by reading."""
    start, data = reference_moons.initial_params(0), reference_moons.data()
    pending: Pending = {
        f"moons/{variant}": [
            pool.apply_async(reference_moons.train, (start, data), {"variant": variant, "epochs": epochs})
        ]
        for variant in moons.VARIANTS
    }
    starts = [reference_three_phase.initial_params(seed) for seed in range(SEEDS)]
    for reading in three_phase.READINGS:
        pending[reading] = [
            pool.apply_async(reference_three_phase.train, (params, *reference_three_phase.data()), {"reading": reading})
            for params in starts
        ]
    return pending


def circles_rows(summaries: Summaries) -> Iterator[Row]:
    """The printed rows, then how the other variants end."""
    for row in summaries["circles/published"]["printed_rows"]:
        yield (
            f"circles, iteration {row['iteration']}: loss, accuracy",
            row["printed"],
            row["reference"],
            row["functional_mlp"],
        )
    for variant in ("scheduled", "corrected"):
        summary = summaries[f"circles/{variant}"]
        theirs, ours = (
            f"{summary[f'{prefix}final_loss']:.4f}, {summary[f'{prefix}final_accuracy']:.3f}"
            for prefix in ("reference_", "")
        )
        yield f"circles {variant}, {summary['iterations'] - 1}: loss, accuracy", ABSENT, theirs, ours
    summary = summaries["circles/tuned"]
    yield f"circles tuned, {summary['seeds']} seeds: accuracy", ABSENT, ABSENT, f"{summary['final_accuracy']:.3f}"


def moons_rows(summaries: Summaries, pending: Pending) -> Iterator[Row]:
    """Training error and test accuracy of the last row, then their spread; the text's biases are frozen."""
    _, printed_mse, printed_accuracy = reference_moons.PUBLISHED_LAST_ROW
    for variant in moons.VARIANTS:
        summary, history = summaries[f"moons/{variant}"], pending[f"moons/{variant}"][0].get().history
        title = f"moons {variant}, {summary['last_epoch']}: train MSE, test accuracy"
        printed = f"{printed_mse}, {printed_accuracy}" if variant == "published" else ABSENT
        theirs = f"{history.train_mse[-1]:.6f}, {history.test_accuracy[-1]:.2%}"
        mse, accuracies = summary["train_mse_of_seeds"], summary["test_accuracy_of_seeds"]
        yield title, printed, theirs, f"{mse[0]:.6f}, {accuracies[0]:.2%}"
        shown = sorted(f"{accuracy:.2%}" for accuracy in accuracies)
        spread = f"{shown[0]} to {shown[-1]}; {shown.count(printed_accuracy)} reach {printed_accuracy}"
        printed = printed_accuracy if variant == "published" else ABSENT
        yield f"moons {variant}, {len(shown)} seeds: test accuracy", printed, ABSENT, spread


def himmelblau_rows(summaries: Summaries) -> Iterator[Row]:
    """Where the descents from the printed starts end; the printed value, and the arithmetic that gives it."""
    for run in summaries["himmelblau"]["runs"]:
        start = (float(run["start"][0]), float(run["start"][1]))
        printed = reference_himmelblau.PUBLISHED_STARTS.get(start)
        end = reference_himmelblau.descend(start).points[-1]
        yield (
            f"himmelblau, descent from ({start[0]:g}, {start[1]:g})",
            ABSENT if printed is None else f"({', '.join(printed)})",
            *(f"({float(x):.6f}, {float(y):.6f})" for x, y in (end, run["point"])),
        )
    line, start = reference_himmelblau.PUBLISHED_LINE[2], himmelblau.STARTS[0]
    plain = reference_himmelblau.descend(start).values[-1]
    high = reference_himmelblau.descend(start, square_x=reference_himmelblau.square_one_ulp_high).values[-2]
    ours = summaries["himmelblau"]["runs"][0]["value_before"]
    yield "himmelblau, f before the last step", line, f"{float(plain)}", f"{float(ours)}"
    yield "himmelblau, the same by squares one ulp high", line, f"{float(high)}", ABSENT


def three_phase_rows(summaries: Summaries, pending: Pending) -> Iterator[Row]:
    """Medians over the initial seeds; nothing is printed of this system."""
    for reading in three_phase.READINGS:
        results, summary = [run.get() for run in pending[reading]], summaries["three_phase"]["readings"][reading]
        theirs = (np.median([result.steps for result in results]), np.median([result.accuracy for result in results]))
        ours = (summary["steps"], summary["accuracy"])
        yield (
            f"three_phase {reading}: steps, accuracy",
            ABSENT,
            *(f"{steps:g}, {accuracy:.4f}" for steps, accuracy in (theirs, ours)),
        )


def calculus_rows(summaries: Summaries) -> Iterator[Row]:
    """The chain of two affine maps, whose derivative is printed."""
    chain = summaries["calculus"]["two_affine_maps"]
    yield "calculus, two affine maps: dy2/dw1", "2.0", f"{chain['hand']}", f"{chain['jax_grad']}"


def markdown(rows: Sequence[Row]) -> str:
    """The table in Markdown."""
    return "\n".join(f"| {' | '.join(line)} |" for line in (HEADER, ("---",) * len(HEADER), *rows))


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Runs all experiments and prints the table; returns the summaries by name of the part.

    Raises:
        FileExistsError: if the directory holds something already and `--overwrite` was not given.
        OSError: if it cannot be written.
    """
    started = time.perf_counter()
    require_writable(arguments.out, arguments.overwrite)
    context = multiprocessing.get_context("spawn")
    # an interruption from the keyboard reaches every process: these leave it to this one, which then ends them
    with context.Pool(min(2, os.cpu_count() or 1), signal.signal, (signal.SIGINT, signal.SIG_IGN)) as pool:
        pending = start_references(pool, arguments.epochs)
        summaries = run_parts(arguments)
        print("\nwaiting for the NumPy reference …", flush=True)
        rows = [
            *calculus_rows(summaries),
            *circles_rows(summaries),
            *moons_rows(summaries, pending),
            *himmelblau_rows(summaries),
            *three_phase_rows(summaries, pending),
        ]
    table = text_table(HEADER, rows)
    (arguments.out / "table.txt").write_text(f"{table}\n\n{NOTES}\n", encoding="utf-8")
    (arguments.out / "table.md").write_text(f"{markdown(rows)}\n\n{NOTES}\n", encoding="utf-8")
    print(f"\n{table}\n\n{NOTES}\n\nresults in {arguments.out}, {time.perf_counter() - started:.0f} s in all")
    return summaries


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = option_parser("", "Runs all experiments with their printed settings.", epochs=reference_moons.EPOCHS)
    # None, as where an experiment chooses: some of them train several seeds, for which every core is a device
    made.set_defaults(out=Path("results"), seeds=None, cores=None)
    return made


SEEDS = 20
PARTS = (
    Part("calculus", calculus),
    Part("activations", activations),
    Part("himmelblau", himmelblau),
    *(Part(f"circles/{variant}", circles, ("--variant", variant)) for variant in circles.SETTINGS),
    *(
        Part(f"moons/{variant}", moons, ("--variant", variant, "--seeds", str(SEEDS)), epochs=True)
        for variant in moons.VARIANTS
    ),
    Part("three_phase", three_phase, ("--seeds", str(SEEDS))),
)
