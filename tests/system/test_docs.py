"""Every page refers to what exists, and no table stands in two pages."""

import re
from collections import defaultdict
from itertools import chain

import pytest

from tests.helpers.markdown import (
    ROOT,
    anchors,
    broken_links,
    mislabelled_links,
    missing_pages,
    missing_paths,
    rows,
    tracked,
    unknown_modules,
)

PAGES = tracked("*.md")
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
SOURCES = tracked("*.md", "*.py", "*.pyi", "*.c", "*.h", "*.mjs", "*.toml", "Makefile")


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_link_leads_to_what_it_says(page):
    assert [*broken_links(page), *mislabelled_links(page)] == []


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_file_and_module_named_in_code_exists(page):
    assert [*missing_paths(page), *unknown_modules(page)] == []


def test_every_page_named_in_a_file_exists():
    missing = {str(file): list(missing_pages(file)) for file in SOURCES if file.name != "test_docs.py"}
    assert {file: names for file, names in missing.items() if names} == {}


def test_no_row_of_a_table_stands_in_two_pages():
    pages = defaultdict(list)
    for page in PAGES:
        for row in rows(page):
            pages[row].append(page.name)
    assert len(pages) > 500
    assert {row: names for row, names in pages.items() if len(names) > 1} == {}


def test_a_page_of_tables_is_written_by_a_program_and_says_so():
    pages = [page for page in (ROOT / "docs").glob("*/*.md") if len(rows(page)) > 20]
    assert len(pages) >= 7
    for page in pages:
        text = " ".join(page.read_text(encoding="utf-8").split())
        assert re.search(r"(Written|Generated) [^;]*by `[^`]+`[^;]*; (change nothing|do not edit)", text), page.name


def test_the_index_has_every_page():
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    linked = set(re.findall(r"\]\(([^)#]+)", index))
    pages = {page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").glob("*/*.md")}
    assert pages
    assert pages <= linked


# the checker itself


@pytest.fixture
def write(tmp_path):
    """write(text): a page docs/page.md of a small repository."""
    for name in ("docs/other.md", "functional_mlp/oracle/noise/floors.py", "tools/mutate.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("# One heading\n\n## The `code` of it, again\n", encoding="utf-8")

    def written(text):
        (tmp_path / "docs" / "page.md").write_text(text, encoding="utf-8")
        return tmp_path / "docs" / "page.md"

    return written


@pytest.mark.parametrize(
    "target",
    ["gone.md", "#nowhere", "other.md#nowhere", "other.md#The-code-of-it-again", "../tools/mutate.py#L3"],
)
def test_a_broken_link_is_found(write, tmp_path, target):
    page = write(f"# Page\n\nSee [a table | `of`\nmany]({target}) and [other](other.md).\n")
    assert list(broken_links(page, tmp_path)) == [target]


def test_a_link_out_of_the_repository_is_broken(write, tmp_path):
    (tmp_path / "outside.md").write_text("", encoding="utf-8")
    assert list(broken_links(write("![a](../outside.md)"), tmp_path / "docs")) == ["../outside.md"]


@pytest.mark.parametrize("target", ["other.md#the-code-of-it-again", "#page", "#page-1", "../tools", "https://a.b/c"])
def test_a_sound_link_is_not_reported(write, tmp_path, target):
    assert not list(broken_links(write(f"# Page\n\n[a]({target})\n\n# Page\n"), tmp_path))


def test_what_stands_in_a_block_or_a_comment_is_no_link(write, tmp_path):
    assert not list(broken_links(write("```\n[a](gone.md)\n```\n<!-- [a](gone.md) -->\n"), tmp_path))


def test_anchors_are_those_of_github():
    text = "# What is guaranteed, and what not\n```\n# no heading\n```\n## `a_b` – [c](d.md) ½\n# Same\n# Same\n"
    assert anchors(text) == {"what-is-guaranteed-and-what-not", "a_b--c-½", "same", "same-1"}


@pytest.mark.parametrize(
    ("link", "wrong"),
    [("[`noise.py`](floors.py)", True), ("[`noise/floors.py`](floors.py)", False), ("[noise](floors.py)", False)],
)
def test_a_link_to_a_file_of_another_name_is_found(write, link, wrong):
    assert list(mislabelled_links(write(link))) == [link] * wrong


@pytest.mark.parametrize(
    ("code", "missing"),
    [
        ("functional_mlp/oracle/noise/floors.py", False),
        ("functional_mlp/oracle/noise/floors.py: floor", False),
        ("functional_mlp/oracle/*/*.py", False),
        ("functional_mlp/oracle/", False),
        ("floors.py", False),
        ("other.md", False),
        ("functional_mlp/oracle/noise.py", True),
        ("functional_mlp/oracle/*.json", True),
        ("tests/oracle/", True),
        ("noise.py", True),
        ("results/x", False),
        ("a / b", False),
    ],
)
def test_a_missing_file_is_found(write, tmp_path, code, missing):
    assert list(missing_paths(write(f"Read `{code}`.\n"), tmp_path)) == [code] * missing


def test_a_missing_page_is_found_in_any_file(write, tmp_path):
    page = write('"""See docs/other.md and docs/gone.md, not http://x/docs/y.md."""')
    assert list(missing_pages(page, tmp_path)) == ["docs/gone.md"]


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("    python -m experiments.moons --help\n", []),
        ("`python -m experiments --out x`", []),
        ("python -m experiments.NAME", []),
        ("    python -m benchmarks.gone\n", ["benchmarks.gone"]),
        ("python -m nowhere.at.all", ["nowhere.at.all"]),
        ("python -m functional_mlp.oracle", ["functional_mlp.oracle"]),  # a package that cannot be started
        ("`reference.exact` and `reference.exact.solve`", []),
        ("`reference.gone.solve`, `reference.exact.gone`", ["reference.gone.solve", "reference.exact.gone"]),
    ],
)
def test_an_unknown_module_is_found(write, text, unknown):
    assert list(unknown_modules(write(text))) == unknown


def test_rows_of_numbers_are_found_in_both_kinds_of_tables(write):
    markdown, printed = "| a | 1 | 2e-3 | 4 % |", "moons, 4 at once  0.5  7 s"
    others = ["| a | 1 | b |", "| --- | ---: | ---: | --- |", "Of 1, 2, 3 and 4, the 5th."]
    assert rows(write("\n".join(chain([markdown, f"    {printed}"], others)))) == {markdown, printed}
