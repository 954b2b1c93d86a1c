"""The figures of the experiment three_phase: the course of both readings, and what the first run of each has learnt."""

import argparse
from typing import Any

import numpy as np

import functional_mlp as fm
from functional_mlp.experiments.common import Results
from functional_mlp.experiments.figures import (
    COLOURS,
    curve_of_runs,
    decision_boundary,
    histogram_of_runs,
    network_sketch,
    new_figure,
    share_of_diverged,
    spread_of,
)
from functional_mlp.experiments.runs import diverged, jax_array, run_of


def draw(
    results: Results,
    arguments: argparse.Namespace,
    network: fm.Network,
    histories: dict[str, dict[str, np.ndarray]],
    ends: dict[str, Any],
    inputs: np.ndarray,
    labels: np.ndarray,
) -> None:
    """The figures: the course of both readings, and what the first run of each has learnt."""
    figure, axes = new_figure(size=(5.6, 3.8))
    network_sketch(axes, network.sizes)
    axes.set_title("Three-phase network: sigmoid in every layer")
    results.figure(figure, "network")

    columns = len(ends)
    lost = {reading: diverged(end.params, loss) for reading, (end, loss, _) in ends.items()}
    figure, panels = new_figure(2, columns, size=(4.8 * columns, 5.6), squeeze=False, sharex=True, sharey="row")
    for (reading, history), colour, (upper, lower) in zip(histories.items(), COLOURS, panels.T, strict=False):
        curve_of_runs(upper, history["step"], history["loss"], colour)
        curve_of_runs(lower, history["step"], history["accuracy"], colour)
        upper.set(title=f"{reading}\n{share_of_diverged(lost[reading], arguments.seeds)}".rstrip(), yscale="log")
        lower.set(xlabel="step", ylim=(None, 1.02))
    panels[0, 0].set_ylabel("half squared error,\nmean over samples")
    panels[1, 0].set_ylabel("training accuracy\n(share of samples)")
    figure.suptitle(f"Three-phase network: course of the training{spread_of(arguments.seeds)}")
    results.figure(figure, "curves")

    figure, row = new_figure(1, columns, size=(4.8 * columns, 3.9), squeeze=False, sharex=True, sharey=True)
    for axes, (reading, (end, _, _)) in zip(row[0], ends.items(), strict=True):
        first = run_of(end.params, 0)

        def score(points: np.ndarray, params: fm.Params = first) -> np.ndarray:
            return np.asarray(fm.forward(network, params, jax_array(points, arguments.dtype))[0][:, 0])

        decision_boundary(axes, score, inputs, labels, (0.0, 1.0))
        axes.set_title(f"{reading}\nseed {arguments.seed}, stopped after {int(end.steps[0])} steps")
    results.figure(figure, "decision_boundary")

    if arguments.seeds > 1:
        figure, row = new_figure(1, columns, size=(4.8 * columns, 3.6), squeeze=False, sharex=True, sharey=True)
        for axes, (reading, history), colour in zip(row[0], histories.items(), COLOURS, strict=False):
            label = "training accuracy (share of samples)"
            histogram_of_runs(axes, history["accuracy"][:, -1], label, colour, lost[reading])
            axes.set_title(f"{reading}: {arguments.seeds} initial values")
        results.figure(figure, "final_accuracy")
