"""The speed benchmark: the tables, the rounds, and processes of which nothing is left. No speed."""

import ast
import importlib.util
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from benchmarks.speed import __main__ as command_line
from benchmarks.speed.competitors import COMPETITORS, Competitor, plain_numpy
from benchmarks.speed.machine import describe
from benchmarks.speed.suite import measuring, tables
from benchmarks.speed.suite.measuring import Outcome, Settings, measure
from benchmarks.speed.suite.problems import moons_problem
from benchmarks.speed.suite.references import named
from benchmarks.speed.suite.workers import CompetitorError, Process
from benchmarks.speed.suite.workloads import WORKLOADS, Workload, selected
from tests.benchmarks.speed.suite.drawn_problems import PROBLEMS, truth_of

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[4]


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
    assert text.startswith("# Speed, side by side\n\nWritten by `make bench`; change nothing by hand.")
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
    monkeypatch.setattr("benchmarks.speed.suite.workers.GRACE", 0.0)
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
    folder = ROOT / "benchmarks" / "speed" / "competitors"
    theirs = {folder.joinpath(*name.split(".")).with_suffix(".py") for name in files}
    assert all(path.is_file() for path in theirs)
    for path in {*(ROOT / "benchmarks" / "speed").rglob("*.py")} - theirs:  # imported in a process of their own
        for node in ast.parse(path.read_text()).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            assert not big & {name.partition(".")[0] for name in names}, path
            assert not {name.partition(".competitors.")[2] for name in names} & files, path


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
