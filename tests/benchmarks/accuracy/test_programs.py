"""The corpus of programs: its order, planting, a few of its questions, and what the page and the exit status say."""

import numpy as np
import pytest

from benchmarks.accuracy.programs import corpus
from benchmarks.accuracy.programs.registry import Planted, with_mistake
from benchmarks.accuracy.programs.tables import failures, page
from benchmarks.accuracy.programs.trials import REFUSED, Row, programs, questions, trial

PROGRAMS = corpus.programs()
MISTAKES = [(name, planted) for name, each in PROGRAMS.items() for planted in each.planted]


def test_there_are_at_least_forty_styles() -> None:
    assert len(PROGRAMS) >= 40
    assert len({each.style for each in PROGRAMS.values()}) == len(PROGRAMS)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_names_its_style_and_declares_one_thing_at_most(name: str) -> None:
    of = PROGRAMS[name]
    assert of.style
    assert len(of.declared) <= 1
    assert len(of.networks) >= 2
    assert len(of.planted) >= 2
    assert len({planted.what for planted in of.planted}) == len(of.planted)


@pytest.mark.parametrize(("name", "planted"), MISTAKES, ids=[f"{name}: {planted.what}" for name, planted in MISTAKES])
def test_every_mistake_can_be_planted(name: str, planted: Planted) -> None:
    assert with_mistake(PROGRAMS[name], planted).__code__ != PROGRAMS[name].make.__code__


@pytest.mark.parametrize("right", ["no such text", "d2"], ids=["absent", "several times"])
def test_a_text_that_does_not_stand_there_once_is_refused(right: str) -> None:
    with pytest.raises(ValueError, match="once in plain_function"):
        with_mistake(PROGRAMS["plain_function"], Planted("", right, "0"))


def test_a_mistake_changes_the_planted_place_alone() -> None:
    of = PROGRAMS["plain_function"]
    params = [(np.full((2, 3), 0.5), np.zeros(3)), (np.ones((3, 1)), np.zeros(1))]
    inputs, targets = np.array([[1.0, 2.0], [0.5, -1.0]]), np.zeros((2, 1))
    [(w1, b1), (w2, b2)] = of.make()(params, inputs, targets)
    averaged = next(planted for planted in of.planted if planted.what == "the bias averaged")
    [(v1, c1), (v2, c2)] = with_mistake(of, averaged)()(params, inputs, targets)
    np.testing.assert_array_equal(2 * c1, b1)
    for same, as_before in ((v1, w1), (v2, w2), (c2, b2)):
        np.testing.assert_array_equal(same, as_before)


def test_every_program_belongs_to_one_question() -> None:
    assert sorted(name for names in questions().values() for name in names) == sorted(programs())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["textbook_softmax", "course_of_one_hidden_layer", "without_biases", "c_g"])
def test_the_right_program_is_consistent_and_those_with_a_mistake_are_wrong(name: str) -> None:
    rows = trial([name], seeds=1)
    assert {row.verdict for row in rows if not row.mistake} == {"consistent"}
    assert {row.verdict for row in rows if row.mistake} == {"wrong"}
    assert failures(rows) == []


# what is made of the rows


def rows_of(verdict: str, count: int = 1, mistake: str = "") -> list[Row]:
    return [Row("plain_function", mistake, "3-5-2", seed, verdict, 0.5, "") for seed in range(count)]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (rows_of("consistent") + rows_of("wrong", mistake="the bias averaged"), []),
        (rows_of("wrong"), ["plain_function, right, 3-5-2, seed 0: wrong"]),
        (rows_of(REFUSED), ["plain_function, right, 3-5-2, seed 0: refused"]),
        (rows_of("consistent", mistake="m"), ["plain_function, m, 3-5-2, seed 0: consistent"]),
        (rows_of("undecided", mistake="m"), ["plain_function, m, 3-5-2, seed 0: undecided"]),
        (rows_of(REFUSED, mistake="m"), ["plain_function, m, 3-5-2, seed 0: refused"]),
        (rows_of("consistent", 97) + rows_of("undecided", 3), []),
        (
            rows_of("consistent", 96) + rows_of("undecided", 4),
            ["4 of 100 right programs are undecided: plain_function"],
        ),
    ],
)
def test_what_fails(rows: list[Row], expected: list[str]) -> None:
    assert failures(rows) == expected


def test_the_page_counts_verdicts_and_mistakes() -> None:
    whole = [row._replace(program=name) for name in programs() for row in rows_of("consistent", 2)]
    text = page([*whole, *rows_of("undecided"), *rows_of("wrong", 3, "the bias averaged")])
    count = 2 * len(programs())
    assert (
        f"{len(programs())} correct programs, {count + 1} questions: {count} consistent, 1 undecided, 0 wrong" in text
    )
    assert "1 programs with a mistake, 3 questions: 3 wrong." in text
    assert (
        "| `plain_function` | One function, two layers, written out | `check_function` | – | 3 | 2 | 1 | 0 | 0 |"
        in text
    )
    assert "| `plain_function` | the bias averaged | 3 | 3 |" in text
