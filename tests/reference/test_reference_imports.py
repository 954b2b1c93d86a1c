"""The reference stands alone: what it imports, read from its source without running it."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

import reference
from functional_mlp.experiments import published

PUBLISHED = Path(published.__file__).parent
FILES = sorted((*Path(reference.__file__).parent.rglob("*.py"), *PUBLISHED.rglob("*.py")))
REFUSED = {"functional_mlp", "jax", "jaxlib", "jaxtyping", "optax"}


def imported_names(source: str) -> set[str]:
    """Return the top-level names of every import, wherever it stands, and import_module() call."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add("reference" if node.level else str(node.module).partition(".")[0])
        elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in (
            "import_module",
            "__import__",
        ):
            names |= {
                str(argument.value).partition(".")[0]
                for argument in node.args[:1]
                if isinstance(argument, ast.Constant)
            }
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_reference_never_imports_what_it_judges(path: Path) -> None:
    assert not imported_names(path.read_text(encoding="utf-8")) & REFUSED


@pytest.mark.parametrize("name", ["circles", "himmelblau", "moons", "three_phase"])
def test_the_systems_need_only_numpy_and_scikit_learn(name: str) -> None:
    source = (PUBLISHED / f"{name}.py").read_text(encoding="utf-8")
    assert imported_names(source) <= {"numpy", "sklearn", *sys.stdlib_module_names}


@pytest.mark.parametrize(
    "source",
    [
        "import jax.numpy as jnp",
        "from functional_mlp.oracle import case",
        "def f():\n    from jax import grad",
        "import importlib\nimportlib.import_module('functional_mlp.losses')",
    ],
)
def test_the_check_sees_planted_imports(source: str) -> None:
    assert imported_names(source) & REFUSED
