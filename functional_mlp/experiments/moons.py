"""The moons classifier: 2-25-50-25-2, all sigmoid, one sample at a time in order, from one initial value or many.

`published` leaves the biases at their initial values, `corrected` trains them too. Row e of the history is measured
after e + 1 passes over the data, as printed; initial values and data are those of the NumPy reference of the same seed,
so that `python -m functional_mlp.experiments.published.moons` does the same work.

    functional-mlp experiment moons --seeds 20 --out DIR
"""

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
import optax

import functional_mlp as fm
from functional_mlp.experiments.common import (
    OPTIMIZERS,
    Results,
    one_of,
    option_parser,
    results_in,
    with_dtype,
)
from functional_mlp.experiments.published import moons as reference
from functional_mlp.experiments.resuming import epochs_shown, saving
from functional_mlp.experiments.runs import (
    diverged_of,
    jax_array,
    jax_params,
    over_runs,
    per_leaf,
    run_of,
    said_of_diverged,
    train_runs,
)

NETWORK = fm.Network(reference.SIZES, "sigmoid")
LOSS = fm.Loss("squared_error", over_outputs="sum", scale=0.5)
EVAL_EVERY = 10
VARIANTS = ("published", "corrected")
Optimizer = Callable[[Any], optax.GradientTransformation]


def optimizer_factory(variant: str, name: str) -> Optimizer:
    """The optimiser as a function of the learning rate; `published` freezes the biases."""
    make = OPTIMIZERS[name]
    if variant == "corrected":
        return make
    return lambda rate: per_leaf(weights=make(rate), bias=optax.set_to_zero())


def train(arguments: argparse.Namespace, data: reference.Data) -> fm.TrainResult:
    """Trains from `arguments.seeds` initial values; parameters and metrics get a leading axis of runs."""
    seeds = range(arguments.seed, arguments.seed + arguments.seeds)
    train_inputs, train_targets, test_inputs, test_targets = (jax_array(array, arguments.dtype) for array in data)
    with epochs_shown(f"moons, {arguments.variant}", arguments.epochs) as bar:
        return train_runs(
            NETWORK,
            LOSS,
            [jax_params(reference.initial_params(seed), arguments.dtype) for seed in seeds],
            train_inputs,
            train_targets,
            seed=arguments.seed,
            optimizer=optimizer_factory(arguments.variant, arguments.optimizer),
            learning_rate=arguments.learning_rate,
            epochs=arguments.epochs,
            batch_size=arguments.batch_size,
            eval_inputs=test_inputs,
            eval_targets=test_targets,
            eval_every=EVAL_EVERY,
            metrics=("mean_squared_error", "accuracy"),
            callback=bar,
            **saving(arguments),
        )


def draw(results: Results, arguments: argparse.Namespace, result: fm.TrainResult, data: reference.Data) -> None:
    """The figures: data, network, the two curves, and what the first run has learnt."""
    from functional_mlp.experiments.figures import (
        BLUE,
        GREEN,
        VERMILION,
        decision_boundary,
        histogram_of_runs,
        network_sketch,
        new_figure,
        scatter_classes,
    )

    train_labels, test_labels = (targets.argmax(axis=1) for targets in (data.train_targets, data.test_targets))
    figure, both = new_figure(1, 2, size=(9.6, 3.6), sharex=True, sharey=True)
    for axes, inputs, labels, name in zip(
        both, (data.train_inputs, data.test_inputs), (train_labels, test_labels), ("training", "test"), strict=True
    ):
        scatter_classes(axes, inputs, labels)
        axes.set_title(f"Moons: {len(inputs)} {name} samples")
    results.figure(figure, "data")

    figure, axes = new_figure(size=(6.8, 4.4))
    network_sketch(axes, NETWORK.sizes)
    axes.set_title("Moons: the network, sigmoid in every layer")
    results.figure(figure, "network")

    draw_curve(results, arguments, result, "train_mean_squared_error", "training error (mean squared)", BLUE)
    draw_curve(results, arguments, result, "eval_accuracy", "test accuracy (share of samples)", VERMILION)

    if arguments.seeds > 1:
        figure, axes = new_figure()
        last, lost = result.history["eval_accuracy"][:, -1], diverged_of(result)
        histogram_of_runs(axes, last, "test accuracy (share of samples)", GREEN, lost)
        axes.set_title(f"Moons, {arguments.variant}: {arguments.seeds} initial values after {arguments.epochs} epochs")
        results.figure(figure, "final_accuracy")

    first = run_of(result.params, 0)
    figure, axes = new_figure(size=(6.4, 4.6))

    def score(points: np.ndarray) -> np.ndarray:
        outputs, _ = fm.forward(NETWORK, first, jax_array(points, arguments.dtype))
        return np.asarray(outputs[:, 1] - outputs[:, 0])

    decision_boundary(axes, score, data.test_inputs, test_labels, (-1.0, 1.0))
    axes.set_title(
        f"Moons, {arguments.variant}: test samples and decision boundary\n"
        f"after {arguments.epochs} epochs from initial seed {arguments.seed}"
    )
    results.figure(figure, "decision_boundary")


PRINTED = {
    "train_mean_squared_error": float(reference.PUBLISHED_LAST_ROW[1]),
    "eval_accuracy": float(reference.PUBLISHED_LAST_ROW[2].rstrip("%")) / 100,
}


def draw_curve(
    results: Results, arguments: argparse.Namespace, result: fm.TrainResult, metric: str, label: str, colour: str
) -> None:
    """One metric over the epochs beside the printed value of the last row."""
    from functional_mlp.experiments.figures import BLACK, curve_of_runs, new_figure, spread_of

    figure, axes = new_figure()
    runs = result.history[metric]
    curve_of_runs(axes, result.history["epoch"], runs, colour, "functional_mlp")
    last, value = reference.PUBLISHED_LAST_ROW[0], PRINTED[metric]
    axes.plot([last], [value], "o", color=BLACK, markerfacecolor="none", label=f"printed, epoch {last}")
    axes.set(xlabel="epoch", ylabel=label)
    axes.set_title(f"Moons, {arguments.variant}: {label.partition(' (')[0]}{spread_of(len(runs), diverged_of(result))}")
    axes.legend(loc="center right")
    results.figure(figure, metric.removeprefix("eval_").removeprefix("train_"))


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Trains, writes the results, prints the last row; returns the summary."""
    with results_in(arguments.out, arguments, "moons") as results:
        data = reference.data()
        with with_dtype(arguments.dtype):
            result = train(arguments, data)
            if results.plots:
                draw(results, arguments, result, data)
        history = result.history
        mse, accuracy = history["train_mean_squared_error"], history["eval_accuracy"]
        results.history(
            ("epoch", "train_mse", "test_accuracy"),
            (history["epoch"], over_runs(np.nanmedian, mse), over_runs(np.nanmedian, accuracy)),
        )
        summary: dict[str, Any] = {
            "variant": arguments.variant,
            "epochs": arguments.epochs,
            "train_mse": over_runs(np.nanmedian, mse[:, -1]),
            "test_accuracy": over_runs(np.nanmedian, accuracy[:, -1]),
            "learning_rate": arguments.learning_rate,
            "seed": arguments.seed,
            "last_epoch": int(history["epoch"][-1]),
            "diverged": diverged_of(result),
        }
        if arguments.seeds > 1:
            seeds = range(arguments.seed, arguments.seed + arguments.seeds)
            summary |= {
                "seeds": list(seeds),
                "train_mse_of_seeds": mse[:, -1],
                "test_accuracy_of_seeds": accuracy[:, -1],
            }
            results.history(("seed", "train_mse", "test_accuracy"), (seeds, mse[:, -1], accuracy[:, -1]), "runs.csv")
        results.summary(**summary)
    median = "median " if arguments.seeds > 1 else ""
    print(
        f"moons, {arguments.variant}, epoch {summary['last_epoch']}: {median}training MSE {summary['train_mse']:.6f},"
        f" {median}test accuracy {summary['test_accuracy']:.2%}"
        + said_of_diverged(summary["diverged"], arguments.seeds)
    )
    return summary


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = option_parser(
        "moons",
        "Classifies two moons with a 2-25-50-25-2 sigmoid network, one sample at a time.",
        resumable=True,
        seed=0,
        seeds=1,
        epochs=reference.EPOCHS,
        learning_rate=reference.LEARNING_RATE,
        optimizer="sgd",
        batch_size=1,
        dtype="float32",
    )
    made.add_argument("--variant", default="corrected", help="default: %(default)s", **one_of("variant", VARIANTS))
    return made
