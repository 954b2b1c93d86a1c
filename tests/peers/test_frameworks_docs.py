"""docs/guide/frameworks.md says what its programs print."""

import contextlib
import importlib.util
import io
import re
from pathlib import Path

import pytest

TEXT = (Path(__file__).parents[2] / "docs" / "guide" / "frameworks.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"## ([^\n]+)\n(?:(?!\n## ).)*?```python\n(.*?)```\s+```text\n(.*?)```", TEXT, flags=re.DOTALL)
FRAMEWORKS = {"PyTorch": "torch", "equinox and flax": "equinox", "Keras": "keras"}


def test_every_framework_has_an_example():
    assert [name for name, *_ in EXAMPLES] == ["PyTorch", "scikit-learn", "equinox and flax", "Keras", "A NumPy class"]


@pytest.mark.slow  # Keras starts a process as it is imported
@pytest.mark.parametrize(("name", "code", "shown"), EXAMPLES, ids=[name for name, *_ in EXAMPLES])
def test_an_example_prints_what_is_shown(name, code, shown, as_a_person):
    needed = FRAMEWORKS.get(name)
    if needed is not None and importlib.util.find_spec(needed) is None:
        pytest.skip(f"{needed} is not installed: make test-peers installs it")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, {"__name__": "example"})
    assert printed.getvalue() == shown
