"""docs/guide/published.md: every row names something that is there, and a test or a figure that shows it."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/guide/published.md").read_text(encoding="utf-8")
EXPERIMENTS = ROOT / "functional_mlp/experiments"
TESTS = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in PAGE.splitlines()
    if line.startswith("| ") and not line.startswith(("| ---", "| in the text"))
]

MEMBER = re.compile(r"`((?:published\.)?(?:circles|moons|himmelblau|three_phase|worked))\.(\w+)`")


def drawn(experiment):
    """The names of the figures of an experiment, as its code has them."""
    code = "".join(path.read_text(encoding="utf-8") for path in EXPERIMENTS.glob(f"{experiment}*.py"))
    names = set(re.findall(r'results\.figure\(.*"(\w+)"\)', code))
    return names | ({"mean_squared_error", "accuracy"} if experiment == "moons" else set())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:50])
def test_a_row_is_shown_by_something_that_is_there(row):
    assert len(row) == 3
    _, here, shown = row
    assert here
    tests = re.findall(r"`(test_\w+)`", shown)
    figures = re.search(r"figures? (.*) of `(\w+)`", shown)
    assert tests or figures
    assert all(f"def {name}(" in TESTS for name in tests)
    if figures:
        assert set(re.findall(r"`(\w+)`", figures[1])) <= drawn(figures[2])


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:50])
def test_what_a_row_names_is_in_the_file_that_it_names(row):
    for module, member in re.findall(
        r"`((?:published\.)?(?:circles|moons|himmelblau|three_phase|worked))\.(\w+)`", row[1]
    ):
        code = (EXPERIMENTS / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")
        assert re.search(rf"\b{member}\b", code), (module, member)


def test_every_text_and_every_printed_number_has_a_row():
    assert len(ROWS) > 45
    assert [PAGE.count(f"\n## {text}. ") for text in "ABC"] == [1, 1, 1]
    for printed in (
        "693.62972747",
        "683.6170298",
        "0.466",
        "0.922",
        "2.0",
        "1.1368684856363775e-12",
        "97.67 %",
        "0.024335",
    ):
        assert printed in PAGE


def test_tests_that_the_prose_names_are_there():
    assert all(f"def {name}(" in TESTS for name in re.findall(r"`(test_\w+)`", PAGE))
