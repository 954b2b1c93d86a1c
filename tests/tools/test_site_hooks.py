"""The site: every page is in its navigation, and links that lead out of docs/ become text."""

import re
from types import SimpleNamespace

import pytest

from tools.distribution import ROOT
from tools.site_hooks import on_page_markdown

PAGES = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
PAGE = SimpleNamespace(file=SimpleNamespace(src_uri="guide/course.md"))
FILES = SimpleNamespace(get_file_from_path=lambda path: path if path in PAGES else None)


def test_every_page_is_in_the_navigation_once():
    listed = re.findall(r"^ +- (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.M)
    assert len(listed) == len(set(listed))
    assert set(listed) == PAGES


@pytest.mark.parametrize(
    ("link", "text"),
    [
        ("[the oracle](../reference/oracle.md#files)", "[the oracle](../reference/oracle.md#files)"),
        ("[here](#fair-grades)", "[here](#fair-grades)"),
        ("[there](https://example.org/a)", "[there](https://example.org/a)"),
        ("[`exact.py`](../../reference/exact.py)", "`exact.py`"),
        ("[the examples](../../examples)", "the examples (`examples`)"),
        ("[`a/b.py`](../../a/b.py)", "`a/b.py`"),
        ("a [b](course.md) c [d](../../d.py)", "a [b](course.md) c d (`d.py`)"),
    ],
)
def test_links_out_of_the_pages_become_text(link, text):
    assert on_page_markdown(link, PAGE, None, FILES) == text
