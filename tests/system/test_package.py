"""What importing does and does not do, the order of imports between modules, and what the wheel holds."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import jax
import pytest

ROOT = Path(__file__).resolve().parents[2]
# a file imports only from its own folder and from those before it; of another folder, only what its face names
ORDER = [
    "_dtypes",
    "_jax_compat",
    "_checks",
    "_extras",
    "_markup",
    "_notebook",
    "parallel",
    "activations",
    "losses",
    "operations",
    "network",
    "forward_pass",
    "backward_pass",
    "per_sample",
    "second_order",
    "metrics",
    "objectives",
    "update_rules",
    "files",
    "saving",
    "training",
    "tables",
    "sweeps",
    "fitting",
    "oracle.case",
    "oracle.truth",
    "oracle.documents",
    "oracle.noise",
    "oracle.mistakes",
    "oracle.verdict",
    "oracle.diagnosis",
    "oracle.report",
    "oracle.checking",
    "oracle.updates",
    "oracle.probing",
    "oracle.traced",
    "oracle.programs",
    "oracle.adapters",
    "oracle.pytest_plugin",
    "exporting",
    "grading",
    "vectors",
    "experiments.published",
    "experiments",
    "cli",
    "__main__",
]
MODULES = sorted(
    ".".join(path.relative_to(ROOT / "functional_mlp").with_suffix("").parts)
    for path in (ROOT / "functional_mlp").rglob("*.py")
    if path.stem != "__init__"
)


def imported(path):
    """Names of the modules that a file imports anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module


def folder_of(module):
    """The entry of ORDER that a module belongs to."""
    return max((name for name in ORDER if module == name or module.startswith(f"{name}.")), key=len)


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_from_those_above_it(module):
    own = folder_of(module)
    for name in imported(ROOT / "functional_mlp" / f"{module.replace('.', '/')}.py"):
        if not name.startswith("functional_mlp.") or name == "functional_mlp.oracle":
            continue
        name = name.removeprefix("functional_mlp.")
        other = folder_of(name)
        assert ORDER.index(other) <= ORDER.index(own), f"{module} imports {name}"
        assert other in (own, name), f"{module} reaches into {other}: {name}"


@pytest.mark.parametrize("folder", ["benchmarks", "tools", "experiments", "examples"])
def test_from_outside_only_what_a_face_names_is_imported(folder):
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.ImportFrom) or not node.module.startswith("functional_mlp."):
                continue
            name = node.module.removeprefix("functional_mlp.")
            assert name in ("oracle", *ORDER), f"{path} reaches into {folder_of(name)}: {name}"
            face = ROOT / "functional_mlp" / name.replace(".", "/") / "__init__.pyi"
            if face.exists():
                named = {
                    alias.name for line in ast.parse(face.read_text()).body for alias in getattr(line, "names", ())
                }
                assert {alias.name for alias in node.names} <= named, path


@pytest.mark.parametrize(("folder", "forbidden"), [("functional_mlp", "reference"), ("reference", "functional_mlp")])
def test_package_and_reference_never_import_each_other(folder, forbidden):
    for path in (ROOT / folder).rglob("*.py"):
        assert not [m for m in imported(path) if m.split(".")[0] in (forbidden, "experiments", "tests")], path


def run_python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True).stdout


@pytest.mark.slow
def test_importing_is_lazy_and_quick():
    code = """
import sys, time
before = time.perf_counter()
import functional_mlp
seconds = time.perf_counter() - before
dir(functional_mlp)
print(seconds, sorted(name for name in ("jax", "numpy", "optax", "jaxtyping") if name in sys.modules))
"""
    # the quickest of three: the others may have waited for the disk or for another test
    seconds, modules = min(run_python(code).split(maxsplit=1) for _ in range(3))
    assert modules.strip() == "[]"
    assert float(seconds) < 0.1


@pytest.mark.slow
def test_using_every_name_changes_no_setting_and_starts_no_backend():
    code = """
import jax
before = dict(jax.config.values)
import functional_mlp as fm
for name in fm.__all__:
    getattr(fm, name)
from jax._src import xla_bridge
assert dict(jax.config.values) == before
print(len(fm.__all__), xla_bridge.backends_are_initialized())
"""
    count, started = run_python(code).split()
    assert int(count) > 25
    assert started == "False"


@pytest.mark.parametrize("name", [name for name in MODULES if name != "__main__"])
def test_examples_in_docstrings_are_true(name):
    import doctest
    import importlib

    module = importlib.import_module(f"functional_mlp.{name}")
    with jax.numpy_rank_promotion("allow"):
        assert doctest.testmod(module).failed == 0


def test_every_public_name_has_a_docstring():
    import functional_mlp as fm

    for name in fm.__all__:
        value = getattr(fm, name)
        if callable(value) and not name.startswith("_"):
            assert value.__doc__, name
            assert not value.__doc__.startswith(f"{name}("), name


def without_rounding(text):
    """Errors and floors near the roundoff of float64 differ in their digits from one NumPy to another."""
    return re.sub(r"\d\.\de[-+]1\d", "…", text)


@pytest.mark.slow
@pytest.mark.parametrize("page", ["README.md", "docs/guide/functions.md"])
def test_an_example_prints_what_its_page_says(page):
    blocks = re.findall(r"```(\w+)\n(.*?)```", (ROOT / page).read_text(), flags=re.DOTALL)
    places = [i for i, (language, _) in enumerate(blocks) if language == "python"]
    assert places
    sources, outputs = ("".join(blocks[place + after][1] for place in places) for after in (0, 1))  # in turn
    assert without_rounding(run_python(sources)) == without_rounding(outputs)


@pytest.mark.slow
def test_no_file_names_a_registry_host_or_a_path_of_some_machine():
    listed = subprocess.run(["git", "ls-files"], capture_output=True, text=True, cwd=ROOT, check=False).stdout.split()
    pattern = re.compile(r"https?://(pypi|files\.pythonhosted|registry)|/home/|/Users/|/root/")
    for name in listed:
        path = ROOT / name
        if path == Path(__file__).resolve() or not path.is_file() or path.suffix in {".png", ".npz", ".safetensors"}:
            continue
        assert not pattern.search(path.read_text(errors="replace")), name
