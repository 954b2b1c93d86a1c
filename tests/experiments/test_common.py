"""What the experiments share: devices, results that replace others, the progress bar, and runs that diverge."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import pytest

import functional_mlp as fm
from functional_mlp.experiments import common, demo
from functional_mlp.experiments.common import on_device, results_in
from functional_mlp.experiments.figures import curve_of_runs, histogram_of_runs, new_figure, spread_of
from functional_mlp.experiments.runs import diverged, over_runs
from functional_mlp.parallel import devices_of_all

pytestmark = pytest.mark.slow

Run = Callable[..., int]

# devices


def test_a_platform_is_all_its_devices_and_a_number_is_one() -> None:
    everything = jax.local_devices(backend="cpu")
    with on_device("cpu"):
        assert jax.config.jax_default_device == "cpu"  # type: ignore[attr-defined]
        assert list(devices_of_all()) == everything
    with on_device("cpu:0"):
        assert list(devices_of_all()) == everything[:1]
    with on_device(None):
        assert list(devices_of_all()) == jax.local_devices()


@pytest.mark.parametrize("spec", ["abacus", "abacus:0", "cpu:99", "cpu:x", ":"])
def test_a_device_that_is_not_here_is_one_sentence(spec: str) -> None:
    with pytest.raises(ValueError, match=r"^expected --device to be one of those here \(.*\), got ") as caught:
        on_device(spec)
    assert "\n" not in str(caught.value)


ON_DEVICES = """
import jax, numpy as np
from functional_mlp.experiments import three_phase
from functional_mlp.parallel.startup import device_per_core
from functional_mlp.experiments.runs import jax_params
device_per_core(2)
params = [jax_params(three_phase.reference.initial_params(seed), "float32") for seed in range(3)]
stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *params)
data = [np.asarray(x, np.float32) for x in three_phase.reference.data()]
both = jax.devices()
kinds = set()
for devices in (both[:1], both):
    three_phase.devices_of_all = lambda: devices
    ends = three_phase.train(three_phase.Settings("gradients-first", 5.0, 1e-2, 30), stacked, *data)
    assert {len(leaf) for leaf in jax.tree.leaves(ends)} == {3}
    kinds.add(b"".join(leaf.tobytes() for leaf in jax.tree.leaves(ends)))
print(len(both), len(kinds))
"""


def test_three_phase_is_the_same_on_any_number_of_devices() -> None:
    done = subprocess.run([sys.executable, "-c", ON_DEVICES], capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout) == (0, "2 1\n"), done.stderr


def test_the_demonstration_takes_every_core(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(common, "device_per_core", lambda *given, **named: asked.append((given, named)))
    monkeypatch.setattr(sys, "argv", ["experiments"])
    assert common.run_program(demo.parser(), lambda arguments: None) == 0
    assert asked == [((None,), {"at_most": None})]


# results


def write(out: Path, *names: str) -> None:
    with results_in(out, argparse.Namespace(overwrite=True, no_plots=True), "test") as results:
        for name in names:
            (results.directory / name).write_text("new")


def test_overwriting_removes_what_the_earlier_run_wrote_and_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write(out, "summary.json", "runs.csv", "final.png", "final.svg")
    (out / "mine.csv").write_text("mine")
    (out / "moons").mkdir()
    (out / "moons" / "runs.csv").write_text("mine")
    (out / "final.svg").unlink()
    (out / "final.svg").mkdir()  # a folder of a name that was a file's
    write(out, "summary.json", "loss.png")
    kept = {"summary.json", "loss.png", "manifest.json", "mine.csv", "moons", "final.svg"}
    assert {file.name for file in out.iterdir()} == kept
    assert (out / "moons" / "runs.csv").read_text() == "mine"
    assert json.loads((out / "manifest.json").read_text())["files"] == ["loss.png", "summary.json"]


@pytest.mark.parametrize("manifest", [None, "{", "[]", '{"files": 3}', '{"files": ["../mine.csv"]}'])
def test_without_a_list_of_files_nothing_is_removed(tmp_path: Path, manifest: str | None) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for file in (tmp_path / "mine.csv", out / "mine.csv"):
        file.write_text("mine")
    if manifest is not None:
        (out / "manifest.json").write_text(manifest)
    write(out, "summary.json")
    assert {file.name for file in out.iterdir()} == {"summary.json", "manifest.json", "mine.csv"}
    assert (tmp_path / "mine.csv").exists()


def test_a_failed_run_leaves_the_earlier_one_as_it_was(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write(out, "runs.csv")
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    with (
        pytest.raises(ValueError, match="fails"),
        results_in(out, argparse.Namespace(overwrite=True, no_plots=True), "test"),
    ):
        raise ValueError("it fails")
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before


# runs that diverge


def test_runs_that_diverged_are_counted() -> None:
    params = (fm.Dense(np.ones((4, 2, 3), np.float32), np.array([[0.0], [np.inf], [0.0], [0.0]])),)
    assert diverged(params) == 1
    assert diverged(params, np.array([np.nan, np.nan, 0.0, 0.0])) == 2


def test_statistics_leave_out_what_is_not_finite() -> None:
    values = np.float32([[1, np.nan], [np.inf, np.nan], [3, np.inf]])
    median = over_runs(np.nanmedian, values)
    assert median.dtype == np.float32
    np.testing.assert_array_equal(median, [2, np.nan])
    np.testing.assert_array_equal(over_runs(np.nanquantile, values, (0.0, 1.0))[:, 0], [1, 3])


@pytest.mark.parametrize(
    ("values", "bars"),
    [
        ([0.5, np.nan, 0.75, np.inf], 2),
        ([1e30, 1e30, 1e30, np.nan], 3),
        ([np.nan, np.inf, np.nan, np.nan], 0),
        ([1e150], 1),
    ],
    ids=["some", "one huge value", "all", "a single run"],
)
def test_a_histogram_shows_what_is_finite_and_says_how_many_diverged(values: list[float], bars: int) -> None:
    figure, axes = new_figure()
    lost = len(values) - bars
    histogram_of_runs(axes, values, "error", "black", lost)
    figure.canvas.draw()
    assert sum(patch.get_height() for patch in axes.patches) == bars
    said = axes.get_legend().get_title().get_text()
    assert said == (f"{lost} of {len(values)} runs diverged" if lost else "")


@pytest.mark.parametrize("finite", [3, 0])
def test_curves_are_drawn_where_runs_are_finite(finite: int) -> None:
    runs = np.full((4, 3), np.nan)
    runs[:finite] = [1, 10, 100]
    runs[3] = [1, np.inf, np.nan]
    figure, axes = new_figure()
    curve_of_runs(axes, [0, 1, 2], runs, "black")
    axes.set_yscale("log")
    figure.canvas.draw()
    np.testing.assert_array_equal(axes.get_lines()[0].get_ydata(), [1, 10, 100] if finite else [1, np.nan, np.nan])


def test_titles_say_how_many_diverged() -> None:
    assert spread_of(1) == ""
    assert spread_of(1, 1) == "\n1 of 1 runs diverged"
    assert spread_of(4).endswith("bands")
    assert spread_of(4, 3).endswith("bands; 3 of 4 runs diverged")
