"""The experiments calculus, activations and himmelblau, each through its command line."""

from __future__ import annotations

import csv
import doctest
import json
import re
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from matplotlib.figure import Figure

import functional_mlp as fm
from functional_mlp.experiments import activations, calculus, calculus_figures, himmelblau, worked
from functional_mlp.experiments.published import himmelblau as reference

pytestmark = pytest.mark.slow

QUICK = {"calculus": [], "activations": [], "himmelblau": ["--steps", "3", "--grid", "4"]}
TOLERANCE = {"float32": 2e-6, "float64": 1e-14}

Run = Callable[..., int]


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


def summary_of(out: Path) -> dict[str, Any]:
    return json.loads((out / "summary.json").read_text())


# calculus


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_every_derivative_by_hand_is_that_of_jax_and_of_the_library(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], dtype: str
) -> None:
    plots = [] if dtype == "float32" else ["--no-plots"]
    assert run("calculus", "--dtype", dtype, *plots, out=tmp_path / "out") == 0
    rows = rows_of(tmp_path / "out" / "history.csv")
    assert tuple(rows[0]) == calculus.Row._fields
    assert {"constant", "quotient", "chain", "softmax", "dense layer", "two hidden layers"} <= {r["name"] for r in rows}
    for row in rows:
        hand, tolerance = float(row["hand"]), TOLERANCE[dtype]
        assert float(row["jax_grad"]) == pytest.approx(hand, rel=tolerance, abs=tolerance), row
        if row["section"] in ("Losses", "Networks of sigmoid units"):
            assert float(row["functional_mlp"]) == pytest.approx(hand, rel=tolerance, abs=tolerance), row
    summary = summary_of(tmp_path / "out")
    assert summary["two_affine_maps"] == {"hand": 2.0, "jax_grad": 2.0}
    assert summary["derivatives"] == len(rows)
    files = {file.name for file in (tmp_path / "out").iterdir()}
    figures = (
        set()
        if plots
        else {
            f"{name}.{kind}"
            for name in ("limit", "rules", "chain_rule", "networks", "vanishing")
            for kind in ("png", "svg")
        }
    )
    assert files == {"history.csv", "manifest.json", "summary.json"} | figures
    line = next(line for line in capsys.readouterr().out.splitlines() if "∂L/∂b = 2b" in line)
    assert line.split()[3:5] == ["2", "2"]


def test_a_wrong_derivative_by_hand_shows() -> None:
    rule = worked.RULES[2]
    wrong = rule._replace(derivatives=(rule.derivatives[0]._replace(hand=lambda x: 3 * x),))
    assert max(row.difference for row in calculus.rows_of(wrong, "float32")) > 0.1


def test_a_difference_quotient_is_best_where_its_two_errors_meet() -> None:
    steps = calculus_figures.STEPS
    for dtype in ("float32", "float64"):
        eps = np.finfo(dtype).eps
        for errors, best in zip(calculus_figures.differences(steps, dtype), (eps**0.5, eps ** (1 / 3)), strict=True):
            near = errors[(steps > best / 4) & (steps < best * 4)].min()
            assert near <= 2 * errors[errors > 0].min() or near < 100 * eps / best


def test_gradients_vanish_through_sigmoids_and_not_through_relus_of_good_initial_values() -> None:
    chosen = ("sigmoid", calculus_figures.GLOROT), ("relu", calculus_figures.HE)
    [sigmoid], [relu] = (calculus_figures.delta_norms(*of, seeds=1) for of in chosen)
    assert sigmoid[0] < 1e-8 * sigmoid[-1]
    assert 0.1 < relu[0] / relu[-1] < 10


# activations


def test_every_activation_is_drawn_with_its_derivative_beside_jax(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_one, drawn_ones = activations.draw_one, []

    def drawn_but_rarely_written(activation: fm.Activation) -> Figure:
        """Every figure is drawn, text laid out; few are written in full, which takes longer."""
        figure = draw_one(activation)
        drawn_ones.append(activation.name)
        if activation.name in ("leaky_relu", "softmax"):
            return figure
        figure.set_layout_engine("none")
        figure.draw_without_rendering()
        return Figure()

    monkeypatch.setattr(activations, "draw_one", drawn_but_rarely_written)
    assert run("activations", "--dtype", "float64", out=tmp_path / "out") == 0
    rows = rows_of(tmp_path / "out" / "history.csv")
    assert tuple(rows[0]) == activations.Row._fields
    assert {row["activation"] for row in rows} == set(fm.activations.FACTORIES)
    for row in rows:  # at |z| = 10 automatic differentiation has lost digits
        assert float(row["derivative"]) == pytest.approx(float(row["jax_grad"]), rel=1e-12, abs=1e-14), row
    at_zero = {row["activation"]: float(row["derivative"]) for row in rows if float(row["z"]) == 0}
    assert (at_zero["relu"], at_zero["leaky_relu"], at_zero["sigmoid"]) == (0.0, 0.01, 0.25)
    errors = rows_of(tmp_path / "out" / "saturation.csv")
    for error in errors:
        assert float(error["hand_written"]) <= 4 * np.finfo(error["dtype"]).eps, error
    lost = {(e["activation"], e["dtype"], float(e["z"])): float(e["jax_grad"]) for e in errors}
    assert lost["sigmoid", "float64", 40.0] == 1.0
    assert lost["tanh", "float64", 15.0] > 1e-5
    files = {file.name for file in (tmp_path / "out").iterdir()}
    assert sorted(drawn_ones) == sorted(fm.activations.FACTORIES)
    drawn = ("overview", "probabilities", "saturation", *fm.activations.FACTORIES)
    assert {f"{name}.{suffix}" for name in drawn for suffix in ("png", "svg")} <= files


def test_kinks_are_drawn_as_jumps() -> None:
    _, derivative = activations.draw_one(fm.activations.relu()).axes
    for line in derivative.get_lines():
        z, slope = line.get_data()
        assert np.ptp(slope) == 0, "the two sides of the kink are joined"
        assert (z <= 0).all() or (z > 0).all() or len(z) == 1
    assert len(derivative.get_lines()) == 4  # two sides, a filled and an open marker


# himmelblau


def test_starts_of_ones_own_are_descended_from(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    starts = [(1.5, -3.0), (-4.0, 0.0), *((x, 1.0) for x in range(4))]
    given = [text for start in starts for text in ("--start", *map(str, start))]
    assert run("himmelblau", "--grid", "4", "--steps", "100", "--no-plots", *given, out=tmp_path / "out") == 0
    assert [tuple(one["start"]) for one in summary_of(tmp_path / "out")["runs"]] == starts
    printed = capsys.readouterr().out
    assert re.search(r"^\(-4, 0\) +\(-3\.77, -3\.28\) ", printed, re.MULTILINE)
    assert "last of 100 steps" not in printed  # of the printed start alone
    assert run("himmelblau", "--start", "nan", "0", out=tmp_path / "other") == 2
    assert "expected finite numbers for --start, got (nan, 0)" in capsys.readouterr().err


def test_the_four_starts_reach_the_four_printed_minima(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("himmelblau", "--grid", "48", out=tmp_path / "out") == 0
    summary = summary_of(tmp_path / "out")
    minima = {(4, 0): (3.584428, -1.848127), (1, 0): (3, 2), (-4, 0): (-3.779310, -3.283186)}
    minima[-2, 2] = (-2.805118, 3.131313)
    assert summary["dtype"] == "float32"
    assert [tuple(one["start"]) for one in summary["runs"]] == list(minima)
    for one in summary["runs"]:
        assert set(one) == {"start", "point", "value", "value_before", "minimum", "steps"}
        assert tuple(one["minimum"]) == minima[tuple(one["start"])]
        assert np.abs(np.subtract(one["point"], one["minimum"])).max() <= 1e-5
        assert one["value"] <= 1e-10
        assert one["steps"] == 200
    shares = summary["basins"]["shares"]
    assert sum(shares.values()) == pytest.approx(1)
    assert min(list(shares.values())[:4]) > 0.2
    rows = rows_of(tmp_path / "out" / "history.csv")
    assert list(rows[0]) == ["start", "step", "x", "y", "value"]
    assert len(rows) == 4 * 201
    assert (rows[201]["start"], rows[201]["step"], float(rows[201]["x"])) == ("(1, 0)", "0", 1.0)
    figures = {file.name for file in (tmp_path / "out").iterdir()} - {"summary.json", "history.csv", "manifest.json"}
    assert figures == {
        f"{name}.{suffix}" for name in ("surface", "paths", "directions", "basins") for suffix in ("png", "svg")
    }
    printed = capsys.readouterr().out
    assert "published" in printed
    assert reference.PUBLISHED_LINE[2] in printed


@pytest.mark.parametrize(
    "options",
    [("--learning-rate", "0.02"), ("--learning-rate", "1e30", "--no-plots"), ("--dtype", "float16", "--no-plots")],
)
def test_starts_that_diverge_are_counted_and_named(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...]
) -> None:
    assert run("himmelblau", "--grid", "24", *options, out=tmp_path / "out") == 0
    shares = summary_of(tmp_path / "out")["basins"]["shares"]
    assert (shares["diverged"] > 0) == ("--learning-rate" in options)
    assert ("diverged: " in capsys.readouterr().out) == ("--learning-rate" in options)


@pytest.mark.parametrize("make", [optax.sgd, partial(optax.sgd, momentum=0.5)], ids=["sgd", "momentum"])
def test_basins_are_those_of_the_single_descents(make: Callable[[float], optax.GradientTransformation]) -> None:
    grid, steps = 6, 60
    basins = himmelblau.find_basins(grid, steps, make(0.01), jnp.float32)
    axis = np.linspace(-6, 6, grid, endpoint=False)
    starts = jnp.asarray([(x, y) for y in axis for x in axis], jnp.float32)
    path = fm.descend(fm.himmelblau_and_grad, starts, make(0.01), steps)
    values = np.asarray(path.values)
    ends = himmelblau.nearest_minimum(np.asarray(path.points[-1]), values[-1], himmelblau.ARRIVED)
    np.testing.assert_array_equal(basins.minimum, ends.reshape(grid, grid))
    counts = (~(values[:-1] <= himmelblau.ARRIVED)).sum(axis=0).reshape(grid, grid)
    assert (ends >= 0).any()
    np.testing.assert_allclose(basins.steps, counts, atol=1)  # the two programs may round differently


def test_points_that_are_not_finite_reach_no_minimum() -> None:
    points = np.array([[3.0, 2.0], [np.nan, 2.0], [np.inf, 0.0], [3.0, 2.0], [3.0, 2.0]])
    values = np.array([0.0, 0.0, np.inf, 1.0, np.nan])
    expected = [0, himmelblau.DIVERGED, himmelblau.DIVERGED, himmelblau.NOT_ARRIVED, himmelblau.DIVERGED]
    assert himmelblau.nearest_minimum(points, values, 1e-6).tolist() == expected


# bad input


@pytest.mark.parametrize("name", QUICK)
def test_existing_results_are_left_alone(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "summary.json").write_text("mine")
    assert run(name, *QUICK[name], "--no-plots", out=out) == 2
    assert [file.name for file in tmp_path.rglob("*")] == ["out", "summary.json"]
    assert (out / "summary.json").read_text() == "mine"
    message = capsys.readouterr().err
    assert "--overwrite" in message
    assert message.count("\n") == 1


@pytest.mark.parametrize("name", QUICK)
def test_a_place_that_cannot_be_written_is_one_sentence(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / "file").write_text("")
    assert run(name, *QUICK[name], "--no-plots", out=tmp_path / "file" / "below") == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("himmelblau", ("--steps", "0")),
        ("himmelblau", ("--steps", "-3")),
        ("himmelblau", ("--grid", "0")),
        ("himmelblau", ("--optimizer", "sdg")),
        ("himmelblau", ("--learning-rate", "nan")),
        ("himmelblau", ("--device", "abacus")),
        ("calculus", ("--dtype", "int8")),
        ("activations", ("--device", "cpu:99")),
    ],
)
def test_bad_options_write_nothing(run: Run, tmp_path: Path, name: str, options: tuple[str, ...]) -> None:
    try:
        code: Any = run(name, *options, out=tmp_path / "out")
    except SystemExit as stop:  # argparse
        code = stop.code
    assert code == 2
    assert not any(tmp_path.iterdir())


def test_without_plots_matplotlib_is_not_imported(tmp_path: Path) -> None:
    code = (
        "import sys; from functional_mlp.experiments import calculus as c;"
        "from functional_mlp.experiments.common import run_program;"
        f"sys.argv = ['calculus', '--no-plots', '--out', {str(tmp_path / 'out')!r}];"
        "sys.exit(run_program(c.parser(), c.run) or 10 * ('matplotlib' in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_the_worked_example_of_the_derivations_is_what_the_library_computes() -> None:
    file = Path(__file__).parents[2] / "docs" / "reference" / "derivations.md"
    results = doctest.testfile(str(file), module_relative=False)
    assert results.failed == 0
    assert results.attempted > 25
