"""The report's page in headless Chromium: no console error, no request, toggles by the keyboard, files saved, axe-core.

`make test-browser` installs what this needs. Screenshots and the printed page are kept in the folder that
PAGE_SCREENSHOTS names, to be looked at.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from functional_mlp.oracle.checking import check
from tests.helpers.pages import REPORTS, Page
from tests.helpers.questions import question

ROOT = Path(__file__).resolve().parents[4]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
AXE = ROOT / "build/axe/node_modules/axe-core/axe.min.js"
WIDTHS = (1280, 390)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: make test-browser"),
    pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed"),
]


def visit(source, folder, name="page"):
    """What browser.mjs finds in a page."""
    page, saved = folder / f"{name}.html", folder / "saved"
    page.write_text(source)
    saved.mkdir()
    kept = os.environ.get("PAGE_SCREENSHOTS")
    shots = [
        (width, dark, f"{name}-{width}-{'dark' if dark else 'light'}.png") for width in WIDTHS for dark in (False, True)
    ]
    job = {
        "chromium": CHROMIUM,
        "page": page.as_uri(),
        "profile": str(folder / "profile"),
        "folder": str(saved),
        "axe": AXE.read_text() if AXE.exists() else None,
        "shots": [
            {"width": width, "dark": dark, "file": str(Path(kept, file)) if kept else None}
            for width, dark, file in shots
        ],
        "pdf": str(Path(kept, f"{name}.pdf")) if kept else None,
    }
    command = ["node", str(Path(__file__).with_name("browser.mjs"))]
    done = subprocess.run(command, input=json.dumps(job), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


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
