"""The table of the demonstration in README.md: put there by a program, with every row that the demonstration has."""

import pytest

from tools import readme_table

TABLE = "system  published\n------  ---------\nmoons   97.67%\n\nmoons: a note"


def test_only_the_table_changes():
    page = readme_table.README.read_text(encoding="utf-8")
    before, after = page.split("```text\nsystem  ", 1)[0], page.split("```text\nsystem  ", 1)[1].split("```", 1)[1]
    made = readme_table.with_table(page, TABLE)
    assert made == f"{before}```text\nsystem  published\n------  ---------\nmoons   97.67%\n```{after}"
    assert readme_table.with_table(made, TABLE) == made


def test_a_page_without_the_table_is_refused():
    with pytest.raises(
        ValueError, match=r"expected one block of text in README\.md that begins with 'system', found 0"
    ):
        readme_table.with_table("# A page", TABLE)
