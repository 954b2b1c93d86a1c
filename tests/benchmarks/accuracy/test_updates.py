"""The trials of update rules: right ones are not called wrong, wrong ones are, and the tables count them."""

import itertools

import pytest

from benchmarks.accuracy import updates


@pytest.mark.slow
def test_the_first_trials_and_their_tables():
    right = list(itertools.islice(updates.right_rows(1), 12))
    right += list(itertools.islice(updates.optax_rows(0), 2))
    wrong = list(itertools.islice(updates.wrong_rows(1), 3))
    assert {row.verdict for row in right} <= {"consistent", "undecided"}
    assert {row.verdict for row in wrong} == {"wrong"}
    page = updates.page(right, wrong)
    assert f"| all | | {len(right)} | 0 |" in page
    assert f"| all | 3 | 3 | {sum(row.named for row in wrong)} |" in page
