"""What counts as named, named in part, or named falsely; and the page."""

from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.accuracy.field import trials
from benchmarks.accuracy.field.generator import Program, program_of
from benchmarks.accuracy.field.items.scoring import Figures
from benchmarks.accuracy.field.tables import misses, page
from benchmarks.accuracy.field.trials import ProgramRow, ids_in, row_of, trials_of


def named(id: str) -> Any:  # noqa: A002
    return SimpleNamespace(id=id)


def program_with(count: int, outside: bool = False) -> Program:
    """A drawn program with so many faults."""
    for index in range(200):
        made = program_of(0, index)[1]
        if len(made.faults) == count and outside == any(not one.fault.id for one in made.faults):
            return made
    raise AssertionError


def judged(monkeypatch: pytest.MonkeyPatch, program: Program, mistakes: list[str], ties: Any = ()) -> ProgramRow:
    mistaken = [named(one) for one in mistakes]
    found = SimpleNamespace(mistakes=mistaken, ties=ties, explanations=[mistaken])
    report = SimpleNamespace(verdict="wrong", diagnosis=found if mistakes else None)
    monkeypatch.setattr(trials, "ask", lambda _: report)
    return row_of(0, program)


def test_all_faults_named_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    program = program_with(2)
    ids = [one.fault.id for one in program.faults]
    row = judged(monkeypatch, program, ids)
    assert (row.named, row.partly, row.false) == (True, False, "")
    row = judged(monkeypatch, program, ids[:1], [[named(ids[1])]])
    assert row.named


def test_one_of_two_is_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    program = program_with(2)
    row = judged(monkeypatch, program, [program.faults[0].fault.id])
    assert (row.named, row.partly, row.false) == (False, True, "")


def test_what_was_not_made_is_false_in_the_headline_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    program = program_with(1)
    own = program.faults[0].fault.id
    assert judged(monkeypatch, program, ["of-nobody"]).false == "of-nobody"
    row = judged(monkeypatch, program, [own], (named("of-nobody"),))
    assert row.named
    assert row.false == ""


def test_beside_a_fault_of_no_catalogue_the_others_are_in_part_at_least(monkeypatch: pytest.MonkeyPatch) -> None:
    alone, beside = program_with(1, outside=True), program_with(2, outside=True)
    assert judged(monkeypatch, alone, ["mean-missing"]).false == "mean-missing"
    assert not judged(monkeypatch, alone, []).named
    listed = [one.fault.id for one in beside.faults if one.fault.id]
    assert judged(monkeypatch, beside, listed).named


def test_ties_may_be_mistakes_or_several_together() -> None:
    assert ids_in([named("a"), (named("b"), named("c"))]) == ["a", "b", "c"]


def test_every_program_is_in_one_trial() -> None:
    found = trials_of(0, 40)
    numbers = [number for trial in found.values() for number in trial.args[1]]
    assert sorted(numbers) == list(range(40))


def test_the_page_counts_and_the_misses_are_listed() -> None:
    right = ProgramRow(
        0, 1, False, "mean-missing (x) in (0,)", "a", "float64", "wrong", True, False, "", "mean-missing", 1.0
    )
    missed = right._replace(number=1, named=False, partly=True, false="of-nobody", faults=2)
    text = page([right, missed], "the command")
    assert "| 1 | 1 | 100.00 % | 100.00 % | 0.00 % | 0 |" in text
    assert "| 2 | 1 | 100.00 % | 0.00 % | 100.00 % | 1 |" in text
    assert "Real programs" not in text
    both = page([right], "the command", Figures(()))
    assert both.index("Real programs") < both.index("Drawn programs")
    told = misses([right, missed], 5)
    assert "1 of    2  mean-missing" in told
    assert "FALSE of-nobody" in told
