"""The report's page in headless Chromium: no error, no request, toggles by the keyboard, files saved, axe-core."""

import pytest

from functional_mlp.oracle.checking import check
from tests.helpers.browser import AXE, IN_BROWSER, visit
from tests.helpers.pages import REPORTS, Page
from tests.helpers.questions import question

pytestmark = IN_BROWSER


def bad_for_somebody(found):
    """What axe-core finds serious or critical, in words."""
    return [
        f"{one['id']}: {one['help']}, {one['first']}, {one['why']}"
        for view in found["views"]
        for one in view["violations"]
        if one["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("name", ["wrong", "right", "undecided", "updates", "misfit"])
def test_a_person_with_a_browser_meets_no_obstacle(name, tmp_path):
    source = REPORTS[name]().html()
    found = visit(source, tmp_path, name)
    assert found["errors"] == []
    assert found["requests"] == [(tmp_path / f"{name}.html").as_uri()]
    assert found["missed"] == 0
    assert found["toggles"]
    for toggle in found["toggles"]:
        assert toggle["before"] != toggle["after"]
    for view in found["views"]:
        assert view["overflow"] <= 0
    files = Page(source).files()
    assert found["saved"] == sorted(files)
    for file, content in files.items():
        assert (tmp_path / "saved" / file).read_bytes() == content
    assert bad_for_somebody(found) == []


def test_a_hostile_name_runs_nothing(tmp_path):
    name = "<script>alert(1)</script>\"><img src=x onerror=alert(2)>'><svg onload=alert(3)>"
    found = visit(check(question(name=name), [([[1.0]], [2.0])]).html(), tmp_path)
    assert found["dialogs"] == 0
    assert found["errors"] == []
    assert len(found["requests"]) == 1


def test_obstacles_are_found(tmp_path):
    """The checker, checked."""
    policy = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'"
    found = visit(
        f"""<!DOCTYPE html><html lang="en"><title>-</title>
        <meta http-equiv="Content-Security-Policy" content="{policy}">
        <main><h1>-</h1><p style="color: #aaa; background: #bbb; width: 2000px">pale and wide</p><img src="data:,">
        <details onclick="event.preventDefault()"><summary>stuck</summary></details></main>
        <script>console.error("said"); alert(1); missing()</script></html>""",
        tmp_path,
    )
    assert found["dialogs"] == 1
    assert any("said" in error for error in found["errors"])
    assert any("Uncaught" in error for error in found["errors"])
    assert any("violates" in error for error in found["errors"])
    assert [toggle["before"] == toggle["after"] for toggle in found["toggles"]] == [True]
    assert all(view["overflow"] > 0 for view in found["views"])
    if AXE.exists():
        words = " ".join(bad_for_somebody(found))
        assert "color-contrast" in words
        assert "image-alt" in words
