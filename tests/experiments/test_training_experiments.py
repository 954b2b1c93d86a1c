"""The experiments circles, moons and three_phase, each through its command line, and beside the NumPy reference."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import functional_mlp as fm
from functional_mlp.experiments import circles, moons, three_phase
from functional_mlp.experiments.published import circles as reference_circles
from functional_mlp.experiments.published import moons as reference_moons
from functional_mlp.experiments.published import three_phase as reference_three_phase
from functional_mlp.experiments.runs import jax_array, jax_params, per_leaf, train_runs

pytestmark = pytest.mark.slow

Run = Callable[..., int]
# circles with the true gradient: initial seeds, drawn ten times as large as published, and whether they learn at RATE;
# smooth descents, which do not amplify rounding
STARTS = {4: True, 5: True, 0: False}
RATE = 0.001


def table_of(file: Path) -> tuple[list[str], dict[str, list[str]]]:
    with file.open(newline="") as lines:
        header, *rows = csv.reader(lines)
    return header, dict(zip(header, map(list, zip(*rows, strict=True)), strict=True))


def summary_of(out: Path) -> dict[str, Any]:
    return json.loads((out / "summary.json").read_text())


def relative(got: Any, expected: Any) -> float:
    """The largest norm-wise relative difference over the leaves; a leaf of zeros must be met exactly."""
    worst = 0.0
    for g, e in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        difference, norm = np.linalg.norm(np.asarray(g) - np.asarray(e)), np.linalg.norm(e)
        worst = max(worst, float(difference / norm) if norm else float("inf" if difference else 0))
    return worst


# circles


def test_published_circles_follow_the_print_digit_by_digit(run: Run, tmp_path: Path) -> None:
    assert run("circles", "--variant", "published", "--no-plots", out=tmp_path / "out") == 0
    header, columns = table_of(tmp_path / "out" / "history.csv")
    assert header == ["iteration", "loss", "accuracy"]
    assert columns["iteration"] == [str(i) for i in range(150)]
    for i, loss, accuracy in reference_circles.PUBLISHED_TRAJECTORY:
        assert str(round(float(columns["loss"][i]), 8)) == loss
        assert columns["accuracy"][i] == accuracy
    computed = reference_circles.train(reference_circles.initial_params(), *reference_circles.data())
    digits = {i: circles.agreeing_digits(float(columns["loss"][i]), computed.loss[i]) for i in (3, 149)}
    assert digits[3] >= 11
    assert digits[149] >= 5
    summary = summary_of(tmp_path / "out")
    assert list(summary)[:4] == ["variant", "iterations", "final_loss", "final_accuracy"]
    assert (summary["variant"], summary["iterations"], summary["final_accuracy"]) == ("published", 150, 0.614)
    assert summary["printed_digits_reproduced"] is True
    assert summary["digits_in_common_with_reference"] == {str(i): count for i, count in digits.items()}


@pytest.mark.usefixtures("standard_promotion")
def test_scheduled_circles_learn(run: Run, tmp_path: Path) -> None:
    assert run("circles", "--variant", "scheduled", "--no-plots", out=tmp_path / "out") == 0
    summary = summary_of(tmp_path / "out")
    assert summary["iterations"] == 2000
    assert summary["final_accuracy"] == summary["reference_final_accuracy"] >= 0.98


@pytest.mark.usefixtures("standard_promotion")
def test_tuned_circles_learn_from_most_initial_values(run: Run, tmp_path: Path) -> None:
    options = ("--variant", "tuned", "--seeds", "6", "--epochs", "200", "--no-plots")
    assert run("circles", *options, out=tmp_path / "out") == 0
    summary = summary_of(tmp_path / "out")
    assert (summary["seeds"], summary["dtype"]) == (6, "float32")
    assert summary["final_accuracy"] >= 0.98
    header, columns = table_of(tmp_path / "out" / "runs.csv")
    assert header == ["seed", "final_loss", "final_accuracy"]
    assert columns["seed"] == [str(seed) for seed in range(42, 48)]
    assert np.median([float(value) for value in columns["final_accuracy"]]) == summary["final_accuracy"]


@pytest.mark.parametrize(("seed", "learns"), STARTS.items())
def test_corrected_reference_and_functional_mlp_agree_step_by_step(seed: int, learns: bool, x64: None) -> None:
    inputs, targets = reference_circles.data()
    start = [(10 * weights, 10 * bias) for weights, bias in reference_circles.initial_params(seed)]
    optimizer = optax.sgd(RATE)
    data = (jnp.asarray(inputs), jnp.asarray(targets))

    @jax.jit
    def update(state: fm.TrainState) -> tuple[fm.TrainState, fm.Params]:
        after, _ = fm.train_step(circles.NETWORK, circles.LOSS, optimizer, state, *data)
        return after, fm.loss_and_grad(circles.NETWORK, circles.LOSS, state.params, *data)[1]

    state = fm.init_train_state(jax_params(start, "float64"), optimizer, jax.random.key(0))
    for step in reference_circles.steps(start, inputs, targets, variant="corrected", learning_rate=RATE):
        params = state.params
        state, gradients = update(state)
        assert relative(params, step.params) <= 1e-9, step.iteration
        assert relative(gradients, step.gradients) <= 1e-9, step.iteration
    assert (step.accuracy >= 0.9) is learns


def test_circles_that_are_not_as_printed_are_not_compared_with_the_print(run: Run, tmp_path: Path) -> None:
    assert run("circles", "--learning-rate", "0.01", "--no-plots", out=tmp_path / "out") == 0
    summary = summary_of(tmp_path / "out")
    assert "printed_rows" not in summary
    assert summary["reference_final_loss"] == pytest.approx(summary["final_loss"], rel=1e-2)


@pytest.mark.parametrize("option", [("--optimizer", "adam"), ("--batch-size", "10")])
def test_the_published_step_takes_no_other_optimiser_and_no_batches(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], option: tuple[str, str]
) -> None:
    assert run("circles", *option, out=tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "--variant corrected" in error
    assert not any(tmp_path.iterdir())


# moons


@pytest.mark.parametrize("variant", moons.VARIANTS)
def test_moons_follow_the_reference_from_the_same_initial_values(run: Run, tmp_path: Path, variant: str) -> None:
    options = ("--variant", variant, "--epochs", "21", "--dtype", "float64", "--learning-rate", "0.1", "--no-plots")
    assert run("moons", *options, out=tmp_path / "out") == 0
    header, columns = table_of(tmp_path / "out" / "history.csv")
    assert header == ["epoch", "train_mse", "test_accuracy"]
    assert columns["epoch"] == ["0", "10", "20"]
    start, data = reference_moons.initial_params(0), reference_moons.data()
    settings: Any = {"variant": variant, "epochs": 21, "learning_rate": 0.1}
    expected = reference_moons.train(start, data, **settings).history
    assert [float(value) for value in columns["train_mse"]] == pytest.approx(expected.train_mse.tolist(), rel=1e-9)
    assert [float(value) for value in columns["test_accuracy"]] == expected.test_accuracy.tolist()
    summary = summary_of(tmp_path / "out")
    assert list(summary)[:6] == ["variant", "epochs", "train_mse", "test_accuracy", "learning_rate", "seed"]
    assert (summary["variant"], summary["epochs"], summary["seed"]) == (variant, 21, 0)
    assert summary["train_mse"] == float(columns["train_mse"][-1])


def test_moons_of_many_seeds_are_those_of_one_each(run: Run, tmp_path: Path) -> None:
    assert run("moons", "--seeds", "2", "--epochs", "11", "--no-plots", out=tmp_path / "both") == 0
    header, columns = table_of(tmp_path / "both" / "runs.csv")
    assert header == ["seed", "train_mse", "test_accuracy"]
    assert run("moons", "--seed", "1", "--epochs", "11", "--no-plots", out=tmp_path / "one") == 0
    assert summary_of(tmp_path / "one")["train_mse"] == pytest.approx(float(columns["train_mse"][1]), rel=1e-4)
    summary = summary_of(tmp_path / "both")
    assert summary["seeds"] == [0, 1]
    assert summary["train_mse"] == pytest.approx(np.median(summary["train_mse_of_seeds"]), rel=1e-6)


def test_moons_process_draws_nothing_and_imports_no_matplotlib(tmp_path: Path) -> None:
    code = (
        "import sys; from functional_mlp.experiments import moons;"
        "from functional_mlp.experiments.common import run_program;"
        " code = run_program(moons.parser(), moons.run); assert 'matplotlib' not in sys.modules; sys.exit(code)"
    )
    options = ["--no-plots", "--epochs", "1", "--out", str(tmp_path / "out")]
    done = subprocess.run([sys.executable, "-c", code, *options], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert {file.name for file in (tmp_path / "out").iterdir()} == {"history.csv", "summary.json", "manifest.json"}


# three_phase


@pytest.mark.parametrize("reading", three_phase.READINGS)
def test_each_reading_follows_the_reference_step_by_step(reading: reference_three_phase.Reading, x64: None) -> None:
    inputs, targets = reference_three_phase.data()
    rate = reference_three_phase.LEARNING_RATE
    params = reference_three_phase.initial_params(1)
    ours = jax_params(params, "float64")
    slopes_of = jax.jit(three_phase.loss_and_slopes, static_argnums=(0, 1))
    for _ in range(50):
        value, accuracy, ours_slopes = slopes_of(reading, rate, ours, jnp.asarray(inputs), jnp.asarray(targets))
        outputs = reference_three_phase.forward(params, inputs)
        slopes = reference_three_phase.gradients(params, inputs, targets, reading=reading)
        assert float(value) == pytest.approx(reference_three_phase.loss(outputs, targets), rel=1e-10)
        assert float(accuracy) == pytest.approx(reference_three_phase.accuracy(outputs, targets))
        assert relative(ours_slopes, slopes) <= 1e-9
        ours = jax.tree.map(lambda p, slope: p - rate * slope, ours, ours_slopes)
        params = [(w - rate * dw, b - rate * db) for (w, b), (dw, db) in zip(params, slopes, strict=True)]
    assert relative(ours, params) <= 1e-10


def test_the_stopping_rule_ends_both_readings_as_in_the_reference(run: Run, tmp_path: Path) -> None:
    assert run("three_phase", "--seeds", "2", "--tolerance", "0.01", "--no-plots", out=tmp_path / "out") == 0
    summary = summary_of(tmp_path / "out")
    data = reference_three_phase.data()
    for reading in three_phase.READINGS:
        results = [
            reference_three_phase.train(
                reference_three_phase.initial_params(seed), *data, reading=reading, tolerance=0.01
            )
            for seed in range(2)
        ]
        ours = summary["readings"][reading]
        assert ours["ended_by_the_stopping_rule"] == 2
        assert ours["steps_of_seeds"] == [result.steps for result in results]
        assert ours["loss_of_seeds"] == pytest.approx([result.loss for result in results], rel=1e-9)
        assert ours["accuracy_of_seeds"] == pytest.approx([result.accuracy for result in results])
    assert 0 < summary["relative_distance_of_parameters"] < 0.1
    header, columns = table_of(tmp_path / "out" / "history.csv")
    assert header == ["reading", "step", "loss", "accuracy"]
    assert columns["step"][0] == "0"
    _, runs = table_of(tmp_path / "out" / "runs.csv")
    assert runs["ended_by_the_stopping_rule"] == ["True"] * 4


def test_three_phase_stops_at_the_maximum_too(run: Run, tmp_path: Path) -> None:
    reading = "updated-weights-used"
    options = ("--steps", "7", "--seeds", "1", "--reading", reading, "--no-plots")
    assert run("three_phase", *options, out=tmp_path / "out") == 0
    summary = summary_of(tmp_path / "out")
    assert list(summary["readings"]) == [reading]
    assert summary["readings"][reading]["steps_of_seeds"] == [7]
    assert summary["readings"][reading]["ended_by_the_stopping_rule"] == 0


# what they are built of


def test_per_leaf_treats_weights_and_biases_apart() -> None:
    params = (fm.Dense(jnp.ones((2, 3)), jnp.ones(3)), fm.Dense(jnp.ones((3, 1)), None))
    optimizer = per_leaf(weights=optax.scale(2.0), bias=optax.set_to_zero())
    updates, _ = optimizer.update(params, optimizer.init(params), params)
    expected = (fm.Dense(2 * jnp.ones((2, 3)), jnp.zeros(3)), fm.Dense(2 * jnp.ones((3, 1)), None))
    assert relative(updates, expected) == 0


def test_one_run_and_many_have_the_same_axes() -> None:
    network, loss = fm.Network((2, 2, 1), "sigmoid"), fm.Loss("squared_error")
    inputs, targets = jnp.ones((4, 2)), jnp.zeros((4, 1))
    starts = [fm.init_params(network, jax.random.key(seed)) for seed in range(3)]
    for count in (1, 3):
        result = train_runs(
            network,
            loss,
            starts[:count],
            inputs,
            targets,
            seed=0,
            optimizer=optax.sgd,
            learning_rate=0.1,
            epochs=2,
            metrics=("loss", "accuracy"),
        )
        assert [leaf.shape[0] for leaf in jax.tree.leaves(result.params)] == [count] * 4
        assert {name: values.shape for name, values in result.history.items()} == {
            "epoch": (2,),
            "train_loss": (count, 2),
            "train_accuracy": (count, 2),
        }


def test_arrays_are_converted_to_any_dtype() -> None:
    for dtype in ("float16", "bfloat16", "float32"):
        assert jax_array(np.ones(3), dtype).dtype == dtype
