"""A network for a person's own table of numbers: classification or regression, from many initial values at once.

Rows are split into training and test samples, columns scaled to mean 0 and variance 1 by what the training samples say.
What is reported is a distribution over initial values, not one lucky run.

    python -m experiments.own --data FILE.csv --target COLUMN --sizes 16,8 --seeds 64 --out DIR
"""

import argparse
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

import functional_mlp as fm
from experiments._common import (
    OPTIMIZERS,
    Results,
    number_between,
    one_of,
    option_parser,
    results_in,
    run_program,
)
from experiments._resuming import epochs_shown, saving
from experiments._runs import (
    diverged_of,
    jax_array,
    over_runs,
    random_keys,
    run_of,
    said_of_diverged,
    train_runs,
)
from experiments._table import TASKS, Table, Targets, read_table, targets_of
from functional_mlp.activations import FACTORIES

HIDDEN = tuple(name for name in FACTORIES if name != "softmax")
LOSSES = {
    "classification": fm.Loss("softmax_cross_entropy", over_samples="mean"),
    "regression": fm.Loss("squared_error", over_samples="mean", over_outputs="mean"),
}


class Data(NamedTuple):
    """Training and test samples, scaled.

    Attributes:
        train_inputs, test_inputs: (n, d).
        train_targets, test_targets: (n, K): one-hot, or the scaled quantity.
        inputs: what scaled the columns.
        target: what scaled the quantity, or None.
    """

    train_inputs: np.ndarray
    train_targets: np.ndarray
    test_inputs: np.ndarray
    test_targets: np.ndarray
    inputs: StandardScaler
    target: StandardScaler | None


def prepare(table: Table, targets: Targets, test_share: float, seed: int) -> Data:
    """Splits and scales.

    Raises:
        ValueError: if there are too few samples to split.
    """
    labels = targets.values if targets.classes else None
    counts = np.bincount(targets.values.astype(int)) if targets.classes else np.array([2])
    parts = train_test_split(
        table.inputs,
        targets.values,
        test_size=test_share,
        random_state=seed,
        stratify=labels if counts.min() >= 2 else None,
    )
    train_inputs, test_inputs, train_values, test_values = parts
    scale = StandardScaler().fit(train_inputs)
    if targets.classes:
        one_hot = np.eye(len(targets.classes))
        ends = [one_hot[values.astype(int)] for values in (train_values, test_values)]
        return Data(scale.transform(train_inputs), ends[0], scale.transform(test_inputs), ends[1], scale, None)
    quantity = StandardScaler().fit(train_values[:, None])
    ends = [quantity.transform(values[:, None]) for values in (train_values, test_values)]
    return Data(scale.transform(train_inputs), ends[0], scale.transform(test_inputs), ends[1], scale, quantity)


def train(arguments: argparse.Namespace, network: fm.Network, task: str, data: Data) -> fm.TrainResult:
    """Trains from `arguments.seeds` initial values; parameters and metrics get a leading axis of runs."""
    keys = random_keys(arguments.seed, arguments.seeds)
    starts = [fm.init_params(network, key, weights="lecun_normal", dtype=arguments.dtype) for key in keys]
    train_inputs, train_targets, test_inputs, test_targets = (jax_array(part, arguments.dtype) for part in data[:4])
    with epochs_shown("own", arguments.epochs) as bar:
        return train_runs(
            network,
            LOSSES[task],
            starts,
            train_inputs,
            train_targets,
            seed=arguments.seed,
            optimizer=OPTIMIZERS[arguments.optimizer],
            learning_rate=arguments.learning_rate,
            epochs=arguments.epochs,
            batch_size=min(arguments.batch_size, len(train_inputs)),
            shuffle=True,
            eval_inputs=test_inputs,
            eval_targets=test_targets,
            eval_every=max(1, arguments.epochs // 100),
            metrics=("loss", "accuracy") if task == "classification" else ("loss",),
            callback=bar,
            **saving(arguments),
        )


def scores(task: str, data: Data, result: fm.TrainResult) -> tuple[str, np.ndarray]:
    """What is told of every run, (R,), and its name: the test accuracy, or the root mean squared error in the unit of
    the quantity."""
    if task == "classification":
        return "test accuracy", result.history["eval_accuracy"][:, -1]
    assert data.target is not None
    return "test error (root mean square)", np.sqrt(result.history["eval_loss"][:, -1]) * data.target.scale_[0]


def draw(
    results: Results,
    arguments: argparse.Namespace,
    table: Table,
    targets: Targets,
    data: Data,
    network: fm.Network,
    result: fm.TrainResult,
    middle: int,
) -> None:
    """The figures: losses over the epochs, the last score of every run, and the regions of two inputs."""
    from experiments._figures import (
        BLUE,
        GREEN,
        VERMILION,
        curve_of_runs,
        decision_regions,
        histogram_of_runs,
        new_figure,
        spread_of,
    )

    runs, lost = len(result.history["train_loss"]), diverged_of(result)
    figure, axes = new_figure()
    for name, label, colour in (("train_loss", "training", BLUE), ("eval_loss", "test", VERMILION)):
        curve_of_runs(axes, result.history["epoch"], result.history[name], colour, label)
    axes.set(xlabel="epoch", ylabel=f"{LOSSES[targets.task].kind.replace('_', ' ')}, mean over samples", yscale="log")
    axes.set_title(f"{table.target}: course of the training{spread_of(runs, lost)}")
    axes.legend()
    results.figure(figure, "loss")

    label, last = scores(targets.task, data, result)
    figure, axes = new_figure()
    histogram_of_runs(axes, last, label, GREEN, lost)
    axes.set_title(f"{table.target}: after {arguments.epochs} epochs, {runs} initial values")
    results.figure(figure, "final")

    if targets.classes and len(table.names) == 2:
        params = run_of(result.params, middle)

        def predicted(points: np.ndarray) -> np.ndarray:
            scaled = jax_array(data.inputs.transform(points), arguments.dtype)
            return np.asarray(fm.forward(network, params, scaled)[0]).argmax(axis=1)

        figure, axes = new_figure(size=(6.4, 4.8))
        inputs, labels = data.inputs.inverse_transform(data.test_inputs), data.test_targets.argmax(axis=1)
        decision_regions(axes, predicted, inputs, labels, targets.classes)
        axes.set(xlabel=table.names[0], ylabel=table.names[1])
        axes.set_title(f"{table.target}: test samples, and what the median run says")
        results.figure(figure, "decision_regions")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Reads, trains, writes the results, prints the score; returns the summary."""
    table = read_table(arguments.data, arguments.target)
    targets = targets_of(table, arguments.task)
    outputs = len(targets.classes) or 1
    activations = (*(arguments.activation,) * len(arguments.sizes), "identity")
    network = fm.Network((len(table.names), *arguments.sizes, outputs), activations)
    with results_in(arguments.out, arguments, "own") as results:
        data = prepare(table, targets, arguments.test_share, arguments.seed)
        result = train(arguments, network, targets.task, data)
        label, last = scores(targets.task, data, result)
        middle = int(np.argsort(last)[np.isfinite(last).sum() // 2])  # what is not finite is sorted to the end
        lost = diverged_of(result)
        history = result.history
        columns = [name for name in history if name != "epoch"]
        medians = [over_runs(np.nanmedian, history[name]) for name in columns]
        results.history(("epoch", *columns), (history["epoch"], *medians))
        seeds = range(arguments.seed, arguments.seed + arguments.seeds)
        results.history(("seed", *columns), (seeds, *(history[name][:, -1] for name in columns)), "runs.csv")
        fm.save_params(results.directory / "params.safetensors", run_of(result.params, middle))
        summary = {
            "task": targets.task,
            "target": table.target,
            "columns": table.names,
            "classes": targets.classes,
            "sizes": network.sizes,
            "activations": activations,
            "train_samples": len(data.train_inputs),
            "test_samples": len(data.test_inputs),
            "score": label,
            "median": over_runs(np.nanmedian, last),
            "quantile_10": over_runs(np.nanquantile, last, 0.1),
            "quantile_90": over_runs(np.nanquantile, last, 0.9),
            "diverged": lost,
            "params_are_of_seed": arguments.seed + middle,
            "inputs_minus": data.inputs.mean_,
            "inputs_divided_by": data.inputs.scale_,
            "target_minus": None if data.target is None else data.target.mean_[0],
            "target_divided_by": None if data.target is None else data.target.scale_[0],
        }
        results.summary(**summary)
        if results.plots:
            draw(results, arguments, table, targets, data, network, result, middle)
    bands = f" (10–90 %: {summary['quantile_10']:.4g} to {summary['quantile_90']:.4g})" if len(last) > 1 else ""
    told = f"own, {targets.task} of {table.target}: median {label} {summary['median']:.4g}{bands}"
    print(told + said_of_diverged(lost, len(last)))
    return summary


def sizes(text: str) -> tuple[int, ...]:
    """Sizes of hidden layers, such as 16,8, for argparse."""
    try:
        found = tuple(int(part) for part in text.split(",")) if text.strip() else ()
    except ValueError:
        found = (0,)
    if any(size < 1 for size in found):
        raise argparse.ArgumentTypeError(f"expected sizes of hidden layers such as 16,8, got {text!r}")
    return found


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = option_parser(
        "own",
        "Trains a network on your own table of numbers, from many initial values at once.",
        resumable=True,
        seed=0,
        seeds=16,
        epochs=200,
        learning_rate=0.01,
        optimizer="adam",
        batch_size=32,
        dtype="float32",
    )
    made.add_argument("--data", type=Path, required=True, help="table: CSV with a line of column names")
    made.add_argument("--target", required=True, help="name of the column to be learnt; the others are inputs")
    made.add_argument("--sizes", type=sizes, default=(16, 8), help="of the hidden layers (default: 16,8)")
    made.add_argument("--activation", default="tanh", help="of the hidden layers", **one_of("activation", HIDDEN))
    made.add_argument("--task", default=None, help="default: what the target looks like", **one_of("task", TASKS))
    made.add_argument(
        "--test-share",
        type=number_between(0, 1, "a share between 0 and 1"),
        default=0.25,
        help="of the rows (default: %(default)s)",
    )
    return made


if __name__ == "__main__":
    sys.exit(run_program(parser(), run))
