"""The circles classifier: the published trajectory digit by digit, its remedy, and what the true gradient does.

`published` and `scheduled` take the published step: weights move by 2η times the true gradient, biases by 2η/n.
With one optax rate per leaf that is the true gradient of functional_mlp, so the trajectory can be followed in float64.
`corrected` is the true gradient at the published settings, which does not learn; `tuned` is the true gradient with
settings that do. A row of the history is measured before the update of its iteration, as printed.

    functional-mlp experiment circles --variant published --out DIR
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
    text_table,
    with_dtype,
)
from functional_mlp.experiments.published import circles as reference
from functional_mlp.experiments.resuming import epochs_shown, saving
from functional_mlp.experiments.runs import (
    diverged_of,
    jax_array,
    jax_params,
    over_runs,
    per_leaf,
    random_keys,
    run_of,
    said_of_diverged,
    train_runs,
)

NETWORK = fm.Network(reference.SIZES, ("relu", "relu", "sigmoid"))
LOSS = fm.Loss("binary_cross_entropy")  # summed over the samples, as coded in the text


@dataclass(frozen=True)
class Settings:
    """What a variant does unless told otherwise.

    Attributes:
        gradient: of the NumPy reference to compare with; None means that there is none.
        scheduled: whether the rate falls to 0 along half a cosine.
    """

    optimizer: str
    learning_rate: float
    iterations: int
    seeds: int
    dtype: str
    gradient: reference.Variant | None
    scheduled: bool = False


def published_step(rate: Any) -> optax.GradientTransformation:
    """The published step from the true gradient, over all samples: twice the rate, and 1/n of that for the biases."""
    samples = len(reference.data()[0])
    return optax.chain(optax.sgd(rate), per_leaf(weights=optax.scale(2.0), bias=optax.scale(2.0 / samples)))


def agreeing_digits(value: float, expected: float) -> int:
    """How many leading digits of `value` are those of `expected`: -log10 of the relative difference, 16 at most."""
    difference = abs(float(value) - expected)
    return 16 if difference == 0 else max(0, int(-np.log10(difference / abs(expected))))


def initial_params(variant: str, seed: int, seeds: int, dtype: Any) -> list[fm.Params]:
    """The initial values of seed, seed + 1, …: published ones from NumPy's legacy generator; `tuned` draws its own."""
    if variant == "tuned":
        keys = random_keys(seed, seeds)
        return [fm.init_params(NETWORK, key, weights="he_normal", dtype=dtype) for key in keys]
    return [jax_params(reference.initial_params(number), dtype) for number in range(seed, seed + seeds)]


def optimizer_factory(settings: Settings, name: str, iterations: int) -> Callable[[Any], optax.GradientTransformation]:
    """The optimiser as a function of the learning rate."""
    if settings.scheduled:
        return lambda rate: published_step(optax.cosine_decay_schedule(rate, iterations))
    return published_step if name == "published" else OPTIMIZERS[name]


def compare_with_print(history: dict[str, np.ndarray]) -> tuple[str, dict[str, Any]]:
    """The printed rows beside those of the NumPy reference and of `history`: a table, and what the summary says."""
    computed = reference.train(reference.initial_params(), *reference.data())
    loss, accuracy = history["train_loss"][0], history["train_accuracy"][0]
    rows, reproduced = [], True
    for i, *printed in reference.PUBLISHED_TRAJECTORY:
        ours = [str(round(float(value), 8)) for value in (loss[i], accuracy[i])]
        theirs = [str(round(float(value), 8)) for value in (computed.loss[i], computed.accuracy[i])]
        reproduced = reproduced and ours == printed
        digits = agreeing_digits(loss[i], computed.loss[i])
        rows.append((i, *(", ".join(pair) for pair in (printed, theirs, ours)), digits))
    names = ("iteration", "printed", "reference", "functional_mlp", "digits_in_common")
    header = ("iteration", "printed loss, accuracy", "reference (NumPy)", "functional_mlp (JAX)", "digits in common")
    agreement = {str(i): agreeing_digits(loss[i], computed.loss[i]) for i in (3, 149)}
    return text_table(header, rows), {
        "printed_digits_reproduced": reproduced,
        "digits_in_common_with_reference": agreement,
        "printed_rows": [dict(zip(names, row, strict=True)) for row in rows],
    }


def compare_with_reference(
    settings: Settings, seed: int, learning_rate: float, history: dict[str, np.ndarray]
) -> dict[str, Any]:
    """What the NumPy reference reaches from the same initial values, for the summary."""
    if settings.gradient is None:
        return {}
    iterations = len(history["epoch"])
    rate = reference.cosine_schedule(learning_rate, iterations) if settings.scheduled else learning_rate
    with np.errstate(all="ignore"):  # it may diverge too, and says so by what it returns
        result = reference.train(
            reference.initial_params(seed),
            *reference.data(),
            variant=settings.gradient,
            learning_rate=rate,
            iterations=iterations,
        )
        difference = np.abs(history["train_loss"][0] - result.loss)
    return {
        "reference_final_loss": result.loss[-1],
        "reference_final_accuracy": result.accuracy[-1],
        "largest_loss_difference": difference.max(),
    }


def draw(results: Results, title: str, seed: int, result: fm.TrainResult, inputs: Any, targets: Any) -> None:
    """The figures: what the first run has learnt, and the course of loss and accuracy."""
    from functional_mlp.experiments.figures import (
        BLUE,
        GREEN,
        VERMILION,
        curve_of_runs,
        decision_boundary,
        histogram_of_runs,
        network_sketch,
        new_figure,
        spread_of,
    )

    figure, axes = new_figure(size=(5.6, 3.8))
    network_sketch(axes, NETWORK.sizes)
    axes.set_title("Circles: the network, relu, relu, sigmoid")
    results.figure(figure, "network")

    first = run_of(result.params, 0)
    figure, axes = new_figure(size=(5.2, 5.0))

    def score(points: np.ndarray) -> np.ndarray:
        return np.asarray(fm.forward(NETWORK, first, jax_array(points, inputs.dtype))[0][:, 0])

    decision_boundary(axes, score, np.asarray(inputs), np.asarray(targets)[:, 0], (0.0, 1.0))
    iterations = len(result.history["epoch"])
    axes.set_title(f"Circles, {title}: decision boundary\nafter {iterations} iterations from initial seed {seed}")
    results.figure(figure, "decision_boundary")

    figure, (upper, lower) = new_figure(2, 1, size=(6.4, 5.6), sharex=True)
    samples = len(inputs)
    for axes, name, colour in ((upper, "loss", BLUE), (lower, "accuracy", VERMILION)):
        curve_of_runs(axes, result.history["epoch"], result.history[f"train_{name}"], colour)
    upper.axhline(samples * np.log(2), color="black", linestyle=":", linewidth=1, label="all outputs ½: $n\\,\\ln 2$")
    upper.set(ylabel="cross-entropy, summed\nover samples (nats)")
    if title == "published":
        for axes, column in ((upper, 1), (lower, 2)):
            printed = np.array([(row[0], float(row[column])) for row in reference.PUBLISHED_TRAJECTORY])
            axes.plot(*printed.T, "o", markersize=4, markerfacecolor="none", color="black", label="printed")
        lower.legend(loc="best")
    upper.legend(loc="best")
    lower.set(xlabel="iteration", ylabel="accuracy (share of samples)", ylim=(None, 1.02))
    runs, lost = result.history["train_loss"].shape[0], diverged_of(result)
    upper.set_title(f"Circles, {title}: course of the training{spread_of(runs, lost)}")
    results.figure(figure, "curves")

    if runs > 1:
        figure, axes = new_figure()
        last = result.history["train_accuracy"][:, -1]
        histogram_of_runs(axes, last, "accuracy (share of samples)", GREEN, lost)
        axes.set_title(f"Circles, {title}: {runs} initial values after {iterations} iterations")
        results.figure(figure, "final_accuracy")


def train_variant(
    variant: str, arguments: argparse.Namespace, settings: Settings
) -> tuple[fm.TrainResult, Any, Any, dict[str, Any]]:
    """Trains; returns the result (leading axis of runs), the data, and what was chosen, for the summary."""
    iterations = arguments.epochs or settings.iterations
    seeds = arguments.seeds or settings.seeds
    learning_rate = arguments.learning_rate or settings.learning_rate
    name = arguments.optimizer or settings.optimizer
    dtype = arguments.dtype or settings.dtype
    with with_dtype(dtype):
        inputs, targets = (jax_array(array, dtype) for array in reference.data())
        with epochs_shown(f"circles, {variant}", iterations) as bar:
            result = train_runs(
                NETWORK,
                LOSS,
                initial_params(variant, arguments.seed, seeds, dtype),
                inputs,
                targets,
                seed=arguments.seed,
                optimizer=optimizer_factory(settings, name, iterations),
                learning_rate=learning_rate,
                epochs=iterations,
                batch_size=arguments.batch_size,
                evaluate="before",
                metrics=("loss", "accuracy"),
                callback=bar,
                **saving(arguments, variant),
            )
    chosen = {"seed": arguments.seed, "seeds": seeds, "learning_rate": learning_rate, "optimizer": name, "dtype": dtype}
    return result, inputs, targets, chosen


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Trains the chosen variant, writes the results, prints them; returns the summary."""
    variant, settings = arguments.variant, SETTINGS[arguments.variant]
    own_step = settings.optimizer == "published"
    if own_step and (arguments.optimizer is not None or arguments.batch_size is not None):
        raise ValueError(
            f"expected neither --optimizer nor --batch-size with --variant {variant}, whose step is the published one,"
            " over all samples; use --variant corrected or tuned"
        )
    with results_in(arguments.out, arguments, "circles") as results:
        result, inputs, targets, chosen = train_variant(variant, arguments, settings)
        history = result.history
        loss, accuracy = (over_runs(np.nanmedian, history[f"train_{name}"]) for name in ("loss", "accuracy"))
        summary = {
            "variant": variant,
            "iterations": len(loss),
            "final_loss": loss[-1],
            "final_accuracy": accuracy[-1],
            **chosen,
            "diverged": diverged_of(result),
        }
        comparable = arguments.optimizer is None and arguments.batch_size is None and chosen["dtype"] == "float64"
        if comparable and chosen["seeds"] == 1:
            summary |= compare_with_reference(settings, chosen["seed"], chosen["learning_rate"], history)
        if variant == "published" and comparable and as_printed(chosen, len(loss)):
            table, agreement = compare_with_print(history)
            summary |= agreement
            print(table)
        results.history(("iteration", "loss", "accuracy"), (history["epoch"], loss, accuracy))
        if chosen["seeds"] > 1:
            write_runs(results, chosen, history)
        results.summary(**summary)
        if results.plots:
            with with_dtype(chosen["dtype"]):
                draw(results, variant, chosen["seed"], result, inputs, targets)
    told = f"circles, {variant}: loss {loss[-1]:.8g}, accuracy {accuracy[-1]:.4g} at iteration {len(loss) - 1}"
    print(told + said_of_diverged(summary["diverged"], chosen["seeds"]))
    return summary


def as_printed(chosen: dict[str, Any], iterations: int) -> bool:
    """Whether the run is the printed one: its settings and all its iterations."""
    expected = {"seed": 42, "seeds": 1, "learning_rate": reference.LEARNING_RATE}
    return iterations >= reference.ITERATIONS and all(chosen[key] == value for key, value in expected.items())


def write_runs(results: Results, chosen: dict[str, Any], history: dict[str, np.ndarray]) -> None:
    """runs.csv: one row per initial value."""
    columns: Sequence[Any] = (
        range(chosen["seed"], chosen["seed"] + chosen["seeds"]),
        history["train_loss"][:, -1],
        history["train_accuracy"][:, -1],
    )
    results.history(("seed", "final_loss", "final_accuracy"), columns, name="runs.csv")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = option_parser(
        "circles",
        "Classifies two noisy circles with a 2-4-3-1 network: the published step, and the true gradient.",
        resumable=True,
        seed=42,
        seeds=None,
        epochs=None,
        learning_rate=None,
        optimizer=None,
        batch_size=None,
        dtype=None,
    )
    made.add_argument("--variant", default="published", help="default: %(default)s", **one_of("variant", SETTINGS))
    return made


SETTINGS = {
    "published": Settings("published", reference.LEARNING_RATE, reference.ITERATIONS, 1, "float64", "published"),
    "scheduled": Settings("published", 1e-3, 2000, 1, "float64", "published", scheduled=True),
    "corrected": Settings("sgd", reference.LEARNING_RATE, reference.ITERATIONS, 1, "float64", "corrected"),
    "tuned": Settings("adam", 0.05, 500, 64, "float32", None),
}
