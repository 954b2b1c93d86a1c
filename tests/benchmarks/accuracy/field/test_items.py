"""The field set: its items are what they say, their verdicts are right, and what an answer to one is worth."""

import numpy as np
import pytest

from benchmarks.accuracy.field.items.drawing import Draw
from benchmarks.accuracy.field.items.finite_differences import complaint
from benchmarks.accuracy.field.items.item import HALF, Ask, FunctionAsk, Item, alternatives, right, wrong
from benchmarks.accuracy.field.items.measuring import answer, figures_of, measure, trials
from benchmarks.accuracy.field.items.registry import family, items
from benchmarks.accuracy.field.items.scoring import EXCEPTION, Answer, Mark

ITEMS = items()
RIGHT = [name for name, item in ITEMS.items() if item.right]
WRONG = [name for name, item in ITEMS.items() if not item.right]
SAMPLE = WRONG[::6]
NAMED_AT_LEAST = 13  # of them: all

# the items


def test_there_are_27_right_programs_and_78_wrong_ones() -> None:
    assert (len(RIGHT), len(WRONG)) == (27, 78)
    assert all(name.startswith("c") for name in RIGHT)
    assert all(name.startswith("f") for name in WRONG)


@pytest.mark.parametrize("name", ITEMS)
def test_an_item_says_what_the_program_does_and_a_wrong_one_has_an_answer(name: str) -> None:
    item = ITEMS[name]
    assert item.says.endswith(".")
    assert bool(item.want) is not item.right
    assert not item.excuse or item.right


def test_no_two_items_say_the_same() -> None:
    assert len({item.says for item in ITEMS.values()}) == len(ITEMS)


@pytest.mark.parametrize("variation", [0, 1, 2])
@pytest.mark.parametrize("name", ITEMS)
def test_finite_differences_find_an_item_as_it_says(name: str, variation: int) -> None:
    assert complaint(ITEMS[name], seed=variation, variation=variation) == ""


def test_finite_differences_contradict_an_item_that_is_not_what_it_says() -> None:
    wrongly_right = right("x", "")(ITEMS["f130"].make)
    wrongly_wrong = wrong("x", "", "sign-flipped")(ITEMS["c01"].make)
    assert "said to be right" in complaint(wrongly_right, 0)
    assert "said to be wrong" in complaint(wrongly_wrong, 0)


def arrays(item: Item, seed: int, variation: int) -> list[np.ndarray]:
    ask = item.build(seed, variation)
    return [ask.inputs, ask.targets, *(weights for weights, _ in ask.params)]


def test_the_same_seed_and_variation_draw_the_same_numbers() -> None:
    for one, other in zip(arrays(ITEMS["f025"], 3, 1), arrays(ITEMS["f025"], 3, 1), strict=True):
        np.testing.assert_array_equal(one, other)


def test_another_seed_draws_other_numbers_and_two_items_never_share_them() -> None:
    first = arrays(ITEMS["f022"], 0, 0)[0].ravel()[:10]
    assert not np.any(np.isin(arrays(ITEMS["f022"], 1, 0)[0], first))
    assert not np.any(np.isin(arrays(ITEMS["f058"], 0, 0)[0], first))


@pytest.mark.parametrize("variation", range(1, 6))
def test_a_variation_changes_sizes_which_all_differ_from_each_other_and_the_number_of_samples(variation: int) -> None:
    for hidden in (1, 2):
        sizes, samples = Draw("x", 0, variation).shape(3, hidden)
        assert len({*sizes, samples}) == hidden + 3
    widths = {Draw("x", 0, each).shape(3, 1)[0] for each in range(6)}
    assert len(widths) > 3


def test_some_variation_changes_the_hidden_activation() -> None:
    declared = {ITEMS["f130"].build(0, variation).activations[0].declared for variation in range(6)}
    assert declared >= {"sigmoid", "tanh"}


# verdicts


@pytest.mark.slow
@pytest.mark.parametrize("name", RIGHT)
def test_a_right_program_is_judged_right(name: str) -> None:
    mark = Mark(ITEMS[name], answer(name, 0))
    assert mark.ok, mark.line()


@pytest.mark.slow
@pytest.mark.parametrize("name", WRONG[1::3])  # the benchmark asks them all
def test_a_wrong_program_is_wrong(name: str) -> None:
    with np.errstate(all="ignore"):
        assert ITEMS[name].build(0).report().verdict.value == "wrong"


@pytest.mark.slow
@pytest.mark.parametrize("name", [*RIGHT[::5], *WRONG[3::9]])
def test_verdicts_hold_for_other_sizes_and_activations(name: str) -> None:
    with np.errstate(all="ignore"):
        verdict = ITEMS[name].build(1, 1).report().verdict.value
    assert verdict == ("consistent" if ITEMS[name].right else "wrong")


@pytest.mark.slow
def test_programs_of_the_field_are_named() -> None:
    figures = measure(only=SAMPLE, jobs=1)
    said = "\n".join(mark.line() for mark in figures.marks)
    assert figures.counts["fully named"] >= NAMED_AT_LEAST, said
    assert figures.counts["judged wrong"] == len(SAMPLE), said


# what an answer is worth


def unanswered(draw: Draw) -> Ask:
    """An item that is never asked."""
    return FunctionAsk((), HALF, (1, 1), lambda params, inputs, targets: [])


KNOWN = ("a", "b", "c", "d", "trap")
ITEM = wrong("f1", "", "a + b/c | d", part="p", traps="trap", also="e")(unanswered)


def said(*headline: str, ties: tuple[str, ...] = (), verdict: str = "wrong", kind: str = "mistake") -> Answer:
    return Answer("f1", verdict, headline, ties, kind, "", 0.0, "")


@pytest.mark.parametrize(
    ("given", "result", "false_names"),
    [
        (said("a", "b"), "named", []),
        (said("a", "c"), "named", []),
        (said("d"), "named", []),
        (said("a", ties=("c",)), "named", []),
        (said("a"), "in part", []),
        (said("p"), "in part", []),
        (said("e"), "not named", []),
        (said(), "not named", []),
        (said("a", "b", verdict="undecided"), "MISSED", []),
        (said(verdict=EXCEPTION), "MISSED", []),
        (said("trap"), "not named", ["trap"]),
        (said("a", ties=("trap",)), "in part", ["trap"]),
        (said("d", ties=("trap",)), "named", []),
        (said("d", "trap"), "named", ["trap"]),
        (said("of no catalogue"), "not named", []),
    ],
)
def test_what_is_named(given: Answer, result: str, false_names: list[str]) -> None:
    mark = Mark(ITEM, given, KNOWN)
    assert (mark.result, mark.false_names) == (result, false_names)


def test_a_known_mistake_that_no_answer_holds_is_a_false_name() -> None:
    assert Mark(ITEM, said("f", "a", "b"), (*KNOWN, "f")).false_names == ["f"]
    assert Mark(ITEM, said("a", ties=("f",)), (*KNOWN, "f")).false_names == []


@pytest.mark.parametrize(
    ("given", "ok"),
    [
        (said(verdict="consistent"), True),
        (said(verdict="undecided"), False),
        (said("epsilon", kind="convention"), True),
        (said("epsilon", kind="mistake"), False),
        (said("a", kind="convention"), False),
        (said(), False),
    ],
)
def test_a_right_program_may_be_called_wrong_by_the_convention_that_it_has(given: Answer, ok: bool) -> None:
    assert Mark(right("c1", "", excuse="epsilon")(unanswered), given).ok is ok


def test_a_line_tells_what_was_said() -> None:
    line = Mark(ITEM, said("trap", ties=("a", "a", "b")), KNOWN).line()
    assert line.startswith("f1 ")
    assert "trap | ties a, b  FALSE trap" in line


def test_accepted_answers_are_written_in_a_small_language() -> None:
    assert set(alternatives("a + b/c | d")) == {frozenset("ab"), frozenset("ac"), frozenset("d")}
    assert alternatives("") == ()


def test_the_figures_count_programs() -> None:
    answers = [
        Answer("f001", "wrong", ("updated-weights-used",), (), "mistake", "", 0.1, ""),
        Answer("c01", "consistent", (), (), "", "", 0.1, ""),
        Answer("f130", "wrong", ("sign-flipped",), (), "mistake", "", 0.1, ""),
        Answer("f003", "consistent", (), (), "", "", 0.1, ""),
    ]
    figures = figures_of(answers)
    assert [mark.item.id for mark in figures.marks] == ["c01", "f001", "f003", "f130"]
    assert list(figures.counts.values()) == [1, 1, 3, 2, 1, 1, 0]
    assert "of 3 wrong ones 2 are judged WRONG, 1 fully named, 1 in part" in figures.sentence()
    assert "| updates | 2 | 1 | 0 | 1 | 0 |" in figures.table()
    assert figures.table().splitlines()[-1] == "| all | 3 | 2 | 1 | 1 | 0 |"


# the questions


def test_every_item_belongs_to_one_group_and_functions_to_their_own() -> None:
    asked = [name.split()[3:] for name in trials(0)]
    assert sorted(name for names in asked for name in names) == list(ITEMS)
    for names in asked:
        assert len({isinstance(ITEMS[name].build(0), FunctionAsk) for name in names}) == 1


def test_some_items_alone_are_asked() -> None:
    assert sorted(name for of in trials(0, only=("f00", "c1")) for name in of.split()[3:]) == [
        *(name for name in RIGHT if name.startswith("c1")),
        *(name for name in WRONG if name.startswith("f00")),
    ]


def test_an_exception_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(ask: Ask) -> None:
        raise ValueError("expected something else")

    monkeypatch.setattr(FunctionAsk, "report", refused)
    came = answer("f016", 0)
    assert (came.verdict, came.error) == (EXCEPTION, "ValueError: expected something else")
    assert Mark(ITEMS["f016"], came).result == "MISSED"


def test_families_are_modules() -> None:
    assert family(ITEMS["f001"]) == "updates"
    assert family(ITEMS["c01"]) == "columns"
