"""docs/reference/mistakes.md is what the catalogue says."""

from functional_mlp.oracle.mistakes import MISTAKES
from tools.mistakes_page import PAGE, page


def test_the_page_is_up_to_date_and_has_every_mistake() -> None:
    text = page()
    assert PAGE.read_text(encoding="utf-8") == text
    assert [line[5:-1] for line in text.splitlines() if line.startswith("### ")] == list(MISTAKES)
