"""Trials are run once, kept, and gone on with after an interruption."""

from typing import NamedTuple

import pytest

from benchmarks.accuracy import trials
from benchmarks.accuracy.trials import ForeignRowsError, Trials


class Counted(NamedTuple):
    what: str
    number: float


class Pool:
    """One process after all, which counts what it is asked to do."""

    def __init__(self):
        self.asked = []

    def imap_unordered(self, function, todo):
        for one in reversed(todo):
            self.asked.append(one[0])
            yield function(one)


def trial(number):
    return lambda: [Counted("a", number), Counted("b", float("inf"))]


def test_trials_are_kept_in_their_order_and_not_run_again(tmp_path):
    kept, first, again = tmp_path / "rows", Pool(), Pool()
    rows = Trials(first, (Counted,), kept).run({"one": trial(1.5), "two": trial(2.5)})
    assert list(rows) == ["one", "two"]
    assert rows["two"] == [Counted("a", 2.5), Counted("b", float("inf"))]
    assert (
        Trials(again, (Counted,), kept).run({"one": trial(0), "two": trial(0), "three": trial(3)})["two"] == rows["two"]
    )
    assert (first.asked, again.asked) == (["two", "one"], ["three"])


def test_a_line_that_was_cut_off_is_run_again(tmp_path):
    kept, pool = tmp_path / "rows", Pool()
    Trials(Pool(), (Counted,), kept).run({"one": trial(1), "two": trial(2)})
    kept.write_text(kept.read_text()[:-9])
    assert Trials(pool, (Counted,), kept).run({"one": trial(1), "two": trial(2)})["one"][0].number == 1
    assert pool.asked == ["one"]
    assert len(kept.read_text().splitlines()) == 3


def test_rows_of_other_code_are_refused(tmp_path, monkeypatch):
    kept = tmp_path / "rows"
    Trials(Pool(), (Counted,), kept)
    monkeypatch.setattr(trials, "_digest", lambda: "other")
    with pytest.raises(ForeignRowsError, match="very code"):
        Trials(Pool(), (Counted,), kept)
    kept.write_text("")
    with pytest.raises(ForeignRowsError):
        Trials(Pool(), (Counted,), kept)
