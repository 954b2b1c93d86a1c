"""A page in headless Chromium, for tests: `make test-browser` installs what this needs."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
AXE = ROOT / "build/axe/node_modules/axe-core/axe.min.js"
WIDTHS = (1280, 390)

IN_BROWSER = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: make test-browser"),
    pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed"),
]


def visit(source, folder, name="page"):
    """What browser.mjs finds in a page.

    Screenshots and the printed page are kept in the folder that PAGE_SCREENSHOTS names, to be looked at.
    """
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
