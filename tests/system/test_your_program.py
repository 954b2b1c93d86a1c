"""docs/guide/your_program.md: its example prints what the page says."""

import re
import sys
import types

import pytest

from tests.helpers.markdown import ROOT


@pytest.mark.slow
def test_the_example_prints_what_the_page_says(monkeypatch, capsys):
    page = (ROOT / "docs" / "guide" / "your_program.md").read_text(encoding="utf-8")
    asking, notebook = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    [printed] = re.findall(r"```text\n(.*?)```", page, re.DOTALL)
    assert asking.count("\n") <= 6
    module = types.ModuleType("notebook")
    exec(notebook, module.__dict__)
    monkeypatch.setitem(sys.modules, "notebook", module)
    exec(asking, {})
    assert without_rounding(capsys.readouterr().out) == without_rounding(printed)


def without_rounding(text):
    """A report without its last bits: how far rounding goes depends on the machine."""
    return re.sub(r"\d\.\de-\d\d", "…", text.rstrip())
