"""The notebooks run from their first cell to their last, and everything that they show can be shown."""

import ast
import json

import jax
import matplotlib.pyplot as plt
import pytest

from tests.examples.consoles import EXAMPLES

NOTEBOOKS = sorted((EXAMPLES / "notebooks").glob("*.ipynb"))


def cells_of(path):
    document = json.loads(path.read_text(encoding="utf-8"))
    assert (document["nbformat"], document["metadata"]["kernelspec"]["name"]) == (4, "python3")
    return [("".join(cell["source"]), cell) for cell in document["cells"] if cell["cell_type"] == "code"]


def run(code, names):
    """Runs a cell as a notebook does; its last expression, or None."""
    tree = ast.parse(code)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    return None if last is None else eval(compile(ast.Expression(last.value), "cell", "eval"), names)


def test_there_are_notebooks_without_outputs_of_some_machine():
    assert [path.stem for path in NOTEBOOKS] == ["check_your_homework", "published_systems", "train_and_sweep"]
    assert not any(cell["outputs"] for path in NOTEBOOKS for _, cell in cells_of(path))


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_shows(path, as_a_person):
    names = {"__name__": "__main__"}
    try:
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            for code, _ in cells_of(path):
                shown = run(code, names)
                if shown is not None:
                    assert repr(shown)
                    assert "<" in getattr(shown, "_repr_html_", lambda: "<")()
    finally:
        plt.close("all")
