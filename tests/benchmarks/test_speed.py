"""The speed benchmark: who agrees and who does not, the tables, and processes of which nothing is left. No speed."""

import ast
import functools
import importlib.util
import json
import time
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.speed import __main__ as command_line
from benchmarks.speed import measuring, tables
from benchmarks.speed.agreement import Float32, find_truth, worst
from benchmarks.speed.competitors import COMPETITORS, Competitor, plain_numpy
from benchmarks.speed.machine import describe
from benchmarks.speed.measuring import Outcome, Settings, measure
from benchmarks.speed.problems import Basins, Gradient, Training, he_normal, moons_problem
from benchmarks.speed.references import Exact, backward, forward, loss, named
from benchmarks.speed.workers import CompetitorError, Process
from benchmarks.speed.workloads import WORKLOADS, Workload, selected

ROOT = Path(__file__).parents[2]


def draw_problem(activations, loss, over_samples="mean", samples=11, batch_size=4):
    sizes = (3, 5, 4, 2)
    rng = np.random.default_rng(0)
    targets = np.eye(2)[rng.integers(2, size=samples)]
    inputs = rng.normal(size=(samples, 3))
    data = (inputs.astype(np.float32), targets.astype(np.float32))
    return Training(sizes, activations, loss, over_samples, 0.1, batch_size, *data, he_normal(sizes, seed=0))


PROBLEMS = {
    "squared error": draw_problem(("sigmoid",) * 3, "half_squared_error"),
    "sigmoid": draw_problem(("relu", "relu", "sigmoid"), "binary_cross_entropy", "sum"),
    "softmax": draw_problem(("relu", "relu", "softmax"), "categorical_cross_entropy"),
}
truth_of = functools.cache(find_truth)
each_problem = pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)


# the reference and its noise floor


@each_problem
def test_the_reference_descends_along_the_gradient_of_its_loss(problem):
    rng, exact = np.random.default_rng(1), Exact()
    params = [(w.astype(float), b + 0.1) for w, b in problem.params]
    inputs, targets = problem.inputs.astype(float), problem.targets.astype(float)
    direction = [(rng.normal(size=w.shape), rng.normal(size=b.shape)) for w, b in params]

    def value(step):
        moved = [(w + step * dw, b + step * db) for (w, b), (dw, db) in zip(params, direction, strict=True)]
        return loss(problem, forward(problem, moved, inputs, exact)[-1], targets, exact)[0]

    grads = backward(problem, params, forward(problem, params, inputs, exact), targets, exact)
    slope = sum(np.vdot(g, d) for pair in zip(grads, direction, strict=True) for g, d in zip(*pair, strict=True))
    assert slope == pytest.approx((value(1e-5) - value(-1e-5)) / 2e-5, rel=1e-6)


@given(st.floats(2.0**-100, 2.0**100), st.integers(0, 1000))
def test_rounding_gives_a_float32_next_to_the_number(value, seed):
    rounded = Float32(seed)(np.array([value, -value, np.inf, np.nan]))
    assert np.all(rounded[:2] == rounded[:2].astype(np.float32))
    assert np.all(np.abs(rounded[:2] - [value, -value]) < np.spacing(np.float32(value)) * 1.01)
    np.testing.assert_array_equal(rounded[2:], [np.inf, np.nan])


def test_rounding_is_right_in_the_mean():
    between = np.full(10_000, 1 + 0.25 * 2.0**-23)
    assert np.mean(Float32(0)(between) - between) == pytest.approx(0, abs=0.02 * 2.0**-23)


def test_sums_stray_as_far_as_sequential_ones_do():
    terms = np.random.default_rng(0).random((1000, 400)).astype(np.float32)
    exact = terms.astype(float).sum(axis=0)
    real = np.cumsum(terms, axis=0, dtype=np.float32)[-1] - exact
    drawn = Float32(0).total(terms.astype(float)) - exact
    assert 0.5 < np.std(drawn) / np.std(real) < 2


@each_problem
def test_a_float32_program_agrees(problem):
    answer = named(plain_numpy.batches(problem, 10))
    assert 0 < worst(answer, truth_of(problem, 10)) < 0.5


def test_a_hundred_updates_and_a_smaller_last_batch_are_checked():
    for problem in (*PROBLEMS.values(), moons_problem(), moons_problem(32)):
        short, epochs = problem.checked()
        assert 100 <= epochs * short.updates < 100 + short.updates
        assert short.updates == 100 or len(short.inputs) == len(problem.inputs)


def wrong_rate(problem):
    return replace(problem, learning_rate=problem.learning_rate * 1.01)


def wrong_reduction(problem):
    return replace(problem, over_samples={"mean": "sum", "sum": "mean"}[problem.over_samples])


def wrong_order(problem):
    return replace(problem, inputs=problem.inputs[::-1], targets=problem.targets[::-1])


def last_batch_dropped(problem):
    return problem.shortened(problem.updates - 1)


@each_problem
@pytest.mark.parametrize("planted", [wrong_rate, wrong_reduction, wrong_order, last_batch_dropped])
def test_a_planted_error_is_refused(problem, planted):
    answer = named(plain_numpy.batches(planted(problem), 10))
    assert worst(answer, truth_of(problem, 10)) > 10


def without_a_leaf(leaves):
    return dict(list(leaves.items())[1:])


def transposed(leaves):
    return {name: leaf.T if leaf.ndim == 2 else leaf for name, leaf in leaves.items()}


def with_nan(leaves):
    return {
        name: np.where(np.arange(leaf.size).reshape(leaf.shape) == 1, np.nan, leaf) for name, leaf in leaves.items()
    }


def under_another_name(leaves):
    return {f"network 7: {name}": leaf for name, leaf in leaves.items()}


@pytest.mark.parametrize("spoil", [without_a_leaf, transposed, with_nan, under_another_name, lambda leaves: {}])
def test_what_is_no_answer_never_agrees(spoil):
    truth = find_truth(PROBLEMS["softmax"], 1)
    assert worst(truth.leaves, truth) == 0
    assert worst(spoil(dict(truth.leaves)), truth) == float("inf")


def test_of_several_networks_some_may_be_answered_but_each_in_full():
    problem = moons_problem(networks=3).shortened(4)
    truth = find_truth(problem, 1)
    one = {name: leaf for name, leaf in truth.leaves.items() if name.startswith("network 2: ")}
    assert worst(one, truth) == 0
    assert worst(without_a_leaf(one), truth) == float("inf")


# the competitors that are installed here, in this process

KINDS = {
    "training": (moons_problem().shortened(30), 1),
    "mini-batch": (moons_problem(32).shortened(2), 1),
    "sweep": (moons_problem(networks=3).shortened(20), 1),
    "gradient": (Gradient(PROBLEMS["squared error"]), 1),
    "basins": (Basins(32), 1),
}
LEFT_OUT = {
    *(("torch-compile", "training"), ("torch-compile", "mini-batch")),  # half a minute of compilation
    ("numpy", "sweep"),  # starts processes
    *(("functional_mlp", "training"), ("functional_mlp", "mini-batch")),  # below, from end to end
    ("c", "mini-batch"),  # single samples alone
}
ASKED = [
    pytest.param(competitor, kind, id=f"{competitor.name}, {kind}")
    for competitor in COMPETITORS
    for kind, (problem, _) in KINDS.items()
    if problem.kind in competitor.functions and not competitor.yardstick and (competitor.name, kind) not in LEFT_OUT
]


@pytest.fixture
def as_users_have_it(standard_promotion):
    with jax.numpy_rank_promotion("allow"):
        yield


@pytest.mark.usefixtures("as_users_have_it")
@pytest.mark.parametrize(("competitor", "kind"), ASKED)
def test_a_competitor_gives_the_numbers_of_the_reference_and_starts_afresh_each_time(competitor, kind):
    if competitor.missing():
        pytest.skip(f"{competitor.missing()} not installed")
    problem, repetitions = KINDS[kind]
    problem = competitor.own(problem)
    runner = competitor.builder(problem.kind)(problem)
    answers = [dict(runner.leaves(runner.run(repetitions))) for _ in range(2)]
    truth = truth_of(problem, repetitions)
    assert [worst(answer, truth) < 1 for answer in answers] == [True, True]
    assert runner.units % getattr(problem, "updates", 1) == 0


# tables and JSON, from canned times

NAMES = ("functional_mlp", "numpy", "product-jax", "torch", "numba", "c")
FIRST, SECOND, YARDSTICK, MISSING, FAILED, WRONG = (
    next(competitor for competitor in COMPETITORS if competitor.name == name) for name in NAMES
)
CANNED = [
    # the machine is half as fast in the second round
    Outcome(FIRST, floors=0.1, set_up_checked=1.5, units=10, seconds=(1.0, 2.0, 1.0), facts={"flops": 12_000.0}),
    Outcome(SECOND, floors=0.2, set_up_checked=0.01, units=5, seconds=(2.0, 4.0, 2.5), facts={"note": "float64"}),
    Outcome(YARDSTICK, units=1, seconds=(1.0, 2.0, 1.0), facts={"products": 100.0}),
    Outcome(MISSING, "not installed", "torch not found"),
    Outcome(FAILED, "failed", "RuntimeError: no"),
    Outcome(WRONG, "disagrees", "12 times the floor", floors=float("inf")),
]
WORKLOAD = Workload("wide", "a canned one", moons_problem, scale="s")


def test_ratios_are_taken_within_a_round():
    rows = tables.rows_of(CANNED, operations=8.0)
    ours, theirs, yardstick = rows[:3]
    assert (ours.each, theirs.each) == (0.1, 0.5)
    assert (ours.ratio, theirs.ratio, yardstick.ratio) == (1, 4, None)
    assert theirs.ratios == (4, 4, 5)
    assert (ours.fraction, theirs.fraction, yardstick.fraction) == pytest.approx((0.8, 0.2, 1))
    assert all(row.each is row.ratio is row.fraction is None for row in rows[3:])


def test_the_table_shows_who_was_measured_and_why_others_were_not():
    text = tables.table(WORKLOAD, tables.rows_of(CANNED, operations=8.0))
    title, _, heads, _, *lines = text.splitlines()
    assert title == "wide: a canned one"
    assert heads.split("  ")[0] == "competitor"
    assert "s per update" in heads
    assert "times functional_mlp  from - to" in heads
    cells = [" ".join(line.split()) for line in lines]
    assert cells == [
        "functional_mlp 0.1 1 1.5 0.1 0.8 12,000",
        "NumPy 0.5 4 4 - 5 0.01 0.2 0.2 float64",
        "matrix product (jax) 1 1",
        "PyTorch, eager not installed: torch not found",
        "numba failed: RuntimeError: no",
        "C, gcc -O3 -ffast-math disagrees: 12 times the floor",
    ]


def test_without_functional_mlp_ratios_are_to_the_first():
    rows = tables.rows_of(CANNED[1:])
    assert rows[0].ratio == 1
    assert "times numpy" in tables.table(WORKLOAD, rows)


def test_nothing_measured_is_a_table_too():
    text = tables.table(WORKLOAD, tables.rows_of(CANNED[3:4]))
    assert "not installed" in text
    assert "from - to" not in text


def test_a_range_takes_several_rounds_and_another_competitor():
    one_round = [outcome._replace(seconds=outcome.seconds[:1]) for outcome in CANNED[:2]]
    for outcomes in (one_round, CANNED[:1]):
        assert "from - to" not in tables.table(WORKLOAD, tables.rows_of(outcomes))


def test_json_holds_every_time():
    written = json.loads(json.dumps(tables.as_json(WORKLOAD, tables.rows_of(CANNED, 8.0)), allow_nan=False))
    ours, *_, wrong = written["competitors"]
    assert ours["seconds"] == [1.0, 2.0, 1.0]
    assert (ours["ratio"], ours["units"], ours["facts"]) == (1, 10, {"flops": 12_000.0})
    assert (wrong["status"], wrong["seconds"], wrong["noise_floors"]) == ("disagrees", [], None)


def test_the_page_is_markdown_with_the_machine():
    machine = {"processor": "P", "cores": 2, "system": "S", "python": "3", "versions": {"jax": "1"}, "gcc": None}
    text = tables.page([tables.table(WORKLOAD, tables.rows_of(CANNED))], machine)
    assert text.startswith("# Speed, side by side\n\nWhat `make bench` printed.")
    assert "\n\nMeasured on P, 2 cores, S, Python 3 (jax 1).\n\nWide: a canned one\n\n    competitor" in text
    assert "Python 3 (jax 1); load average 0.25 at the start.\n" in tables.page([], machine | {"load": 0.25})


def test_the_load_is_told_where_the_system_tells_it(monkeypatch):
    monkeypatch.setattr("os.getloadavg", lambda: (0.25, 1.0, 2.0), raising=False)
    assert describe()["load"] == 0.25
    monkeypatch.delattr("os.getloadavg")
    assert describe()["load"] is None


# rounds, with competitors that are told what to answer


class Scripted:
    """Stands in for a process: answers the name it was started with, or fails at the request named in it."""

    closed: list[str]
    asked: list[tuple[str, str]]

    def __init__(self, command, timeout):
        self.name = command[-1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.closed.append(self.name)

    def ask(self, request, **arguments):
        self.asked.append((self.name, request))
        if self.name == f"fails at {request}":
            raise CompetitorError("out of order")
        if request == "check":
            rate = 2 if self.name == "wrong rate" else 1
            problem = replace(PROBLEMS["softmax"], learning_rate=0.1 * rate)
            np.savez(arguments["to"], **named(plain_numpy.batches(*problem.checked())))
        return {"set_up": 1.0, "units": 3, "facts": {}, "seconds": 0.5}


@pytest.fixture
def scripted(monkeypatch):
    monkeypatch.setattr(Scripted, "closed", [], raising=False)
    monkeypatch.setattr(Scripted, "asked", [], raising=False)
    monkeypatch.setattr(measuring, "Process", Scripted)
    monkeypatch.setattr(measuring, "find_truth", lambda _, epochs: truth_of(PROBLEMS["softmax"], epochs))
    return Scripted


def measured(names, say=lambda line: None, packages=()):
    competitors = [Competitor(name, name, {}, packages) for name in names]
    workload = Workload("canned", "canned", lambda: PROBLEMS["softmax"])
    return measure(workload, competitors, Settings(repeats=3, pause=0), say)


def test_who_computes_something_else_is_refused_and_not_timed(scripted):
    right, wrong = measured(["right", "wrong rate"])
    assert (right.status, right.seconds) == ("measured", (0.5, 0.5, 0.5))
    assert (wrong.status, wrong.seconds) == ("disagrees", ())
    assert wrong.reason.endswith("times the floor")
    assert ("wrong rate", "time") not in scripted.asked


@pytest.mark.parametrize("request_", ["check", "prepare", "time"])
def test_a_failure_ends_nobody_else(scripted, request_):
    failed, right = measured([f"fails at {request_}", "right"])
    assert (failed.status, failed.reason, failed.seconds) == ("failed", "out of order", ())
    assert right.seconds == (0.5, 0.5, 0.5)
    assert sorted(scripted.closed) == [f"fails at {request_}", "right"]


def test_who_is_not_installed_is_not_asked(scripted):
    (outcome,) = measured(["absent"], packages=("no_such_package",))
    assert (outcome.status, outcome.reason) == ("not installed", "no_such_package not found")
    assert scripted.asked == []


def test_they_are_asked_in_turn_back_and_forth(scripted):
    measured(["a", "b"])
    assert [name for name, request in scripted.asked if request == "time"] == list("abbaab")


def test_an_interruption_ends_all(scripted):
    def interrupt(line):
        if "round 2" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measured(["a", "b"], interrupt)
    assert sorted(scripted.closed) == ["a", "b"]


# processes

CHATTY = "import sys; print('some warning', file=sys.stderr); sys.exit(3)"
ENDLESS = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open(sys.argv[1], "w").write(str(child.pid))
time.sleep(600)
"""


def test_a_process_that_ends_says_how():
    with Process(["-c", CHATTY], timeout=60) as process, pytest.raises(CompetitorError, match=r"code 3: some warning$"):
        process.ask("check")


def test_a_process_that_does_not_answer_is_ended_with_what_it_started(tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.speed.workers.GRACE", 0.0)
    file = tmp_path / "pid"
    with Process(["-c", ENDLESS, str(file)], timeout=2) as process, pytest.raises(CompetitorError, match="within 2 s"):
        process.ask("check")
    child = int(file.read_text())
    for _ in range(100):
        if not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE:
            break
        time.sleep(0.05)
    else:
        pytest.fail("the child still runs")


def test_nothing_big_is_imported_before_it_is_needed():
    big = {"torch", "numba", "flax", "equinox"}
    files = {
        competitor.functions[kind].partition(":")[0] for competitor in COMPETITORS for kind in competitor.functions
    }
    for path in (ROOT / "benchmarks" / "speed").rglob("*.py"):
        if path.parent.name == "competitors" and path.stem in files:
            continue  # imported in a process of their own
        for node in ast.parse(path.read_text()).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            assert not big & {name.partition(".")[0] for name in names}, path
            assert not {name.rpartition(".")[2] for name in names if ".competitors." in name} & files, path


# the command line


def test_every_competitor_and_workload_has_a_name_of_its_own_and_a_file():
    names = [competitor.name for competitor in COMPETITORS]
    assert len(set(names)) == len(names)
    assert len({workload.name for workload in WORKLOADS}) == len(WORKLOADS)
    for competitor in COMPETITORS:
        for function in competitor.functions.values():
            module, _, _ = function.partition(":")
            assert importlib.util.find_spec(f"benchmarks.speed.competitors.{module}")


def test_workloads_are_found_by_name_and_by_what_they_begin_with():
    assert [workload.name for workload in selected(["sweep", "one-sample"])] == ["sweep-64", "sweep-1024", "one-sample"]
    with pytest.raises(ValueError, match=r"expected a workload \(one-sample, .*\), got 'swep'"):
        selected(["swep"])


def test_an_unknown_workload_is_one_sentence(capsys):
    assert command_line.main(["--workloads", "swep"]) == 2
    assert capsys.readouterr().err.startswith("python -m benchmarks.speed: expected a workload")


def test_from_end_to_end(tmp_path, capsys):
    files = tmp_path / "new" / "bench.json", tmp_path / "bench.md"
    options = [
        "--workloads",
        "smoke",
        "--competitors",
        "functional_mlp",
        "numpy",
        "--repeats",
        "2",
        "--seconds",
        "0.01",
    ]
    assert command_line.main([*options, "--json", str(files[0]), "--output", str(files[1])]) == 0
    written = json.loads(files[0].read_text())
    (smoke,) = written["workloads"]
    assert [competitor["status"] for competitor in smoke["competitors"]] == ["measured", "measured"]
    assert all(len(competitor["seconds"]) == 2 for competitor in smoke["competitors"])
    assert all(0 <= competitor["noise_floors"] < 1 for competitor in smoke["competitors"])
    assert written["machine"]["versions"].keys() >= {"numpy", "jax"}
    assert "us per update" in capsys.readouterr().out
    assert "    functional_mlp" in files[1].read_text()
