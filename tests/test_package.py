"""What importing does and does not do, the order of imports between modules, and what the wheel holds."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import jax
import pytest

ROOT = Path(__file__).resolve().parents[1]
# from DESIGN: a module imports only from those before it
LAYERS = [
    "_atomic",
    "_checks",
    "_files",
    "_processes",
    "_starting",
    "_run_folder",
    "_sharding",
    "activations",
    "losses",
    "network",
    "forward",
    "backward",
    "objectives",
    "metrics",
    "_compiling",
    "_plan",
    "checkpoints",
    "_train_state",
    "_epochs",
    "training",
    "_sweep_parts",
    "_sweep_store",
    "sweeps",
    "_sweep_spec",
    "oracle.case",
    "oracle.drawing",
    "oracle.formats",
    "oracle.files",
    "oracle.printed",
    "oracle.answers",
    "oracle.solution",
    "oracle.interpreting",
    "oracle.program",
    "oracle.planting",
    "oracle.conditions",
    "oracle.differences",
    "oracle.catalogue.mistake",
    "oracle.catalogue.chain_rule",
    "oracle.catalogue.reductions",
    "oracle.catalogue.loss",
    "oracle.catalogue.forward_pass",
    "oracle.catalogue.regulariser",
    "oracle.catalogue.update_step",
    "oracle.catalogue.state",
    "oracle.mistakes",
    "oracle.precision",
    "oracle.rounding",
    "oracle.survey",
    "oracle.bounds",
    "oracle.noise",
    "oracle.leaves",
    "oracle.verdict",
    "oracle.candidates",
    "oracle.matching",
    "oracle.explaining",
    "oracle.diagnosis",
    "oracle.separating",
    "oracle.exhibits",
    "oracle.outcome",
    "oracle.wording",
    "oracle.markup",
    "oracle.formulas",
    "oracle.pictures",
    "oracle.network_picture",
    "oracle.page",
    "oracle.report",
    "oracle.checking",
    "oracle.telling",
    "oracle.calling",
    "oracle.watching",
    "oracle.functions",
    "oracle.external",
    "oracle.understanding",
    "oracle.putting",
    "oracle.driving",
    "_artifact",
    "exporting",
    "oracle.adapters.pairs",
    "oracle.adapters.layers",
    "oracle.adapters.adapted",
    "oracle.adapters.torch_graph",
    "oracle.adapters.pytorch",
    "oracle.adapters.jax_models",
    "oracle.adapters.flax_modules",
    "oracle.adapters.equinox_modules",
    "oracle.adapters.keras_models",
    "oracle.adapters.scikit_learn",
    "oracle.adapters.models",
    "oracle.pytest_plugin",
    "vectors.reading",
    "vectors.validating",
    "vectors.judging",
    "vectors.verifying",
    "_console",
    "_help",
    "vectors.commands",
    "_commands",
    "cli",
    "__main__",
]


def imported(path):
    """Names of the modules that a file imports anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def module_name(path):
    return ".".join(path.relative_to(ROOT / "functional_mlp").with_suffix("").parts)


def test_a_module_imports_only_from_those_above_it():
    paths = [path for path in (ROOT / "functional_mlp").rglob("*.py") if path.stem != "__init__"]
    files = {module_name(path): path for path in paths}
    assert set(files) == set(LAYERS)
    for place, name in enumerate(LAYERS):
        for module in imported(files[name]):
            package, _, rest = module.partition(".")
            known = [layer for layer in LAYERS if rest == layer or rest.startswith(f"{layer}.")]
            if package == "functional_mlp" and known:
                assert known[-1] in LAYERS[:place], f"{name} imports {module}"


@pytest.mark.parametrize(("folder", "forbidden"), [("functional_mlp", "reference"), ("reference", "functional_mlp")])
def test_package_and_reference_never_import_each_other(folder, forbidden):
    for path in (ROOT / folder).rglob("*.py"):
        assert not [m for m in imported(path) if m.split(".")[0] in (forbidden, "experiments", "tests")], path


def run_python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True).stdout


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


@pytest.mark.parametrize("first", ["train", "forward", "loss_and_grad", "apply"])
def test_forward_and_backward_are_the_functions_whatever_is_used_first(first):
    """Modules have these names too, and the import system binds a module to its name."""
    code = f"""
import functional_mlp as fm
fm.{first}
import functional_mlp.forward, functional_mlp.backward
from functional_mlp import backward, forward
print(fm.forward.__name__, fm.backward.__name__, forward.__name__, backward.__name__, type(forward).__name__)
"""
    assert run_python(code).split() == ["forward", "backward", "forward", "backward", "function"]


@pytest.mark.parametrize("name", LAYERS[:-1])
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


def test_the_examples_of_the_readme_print_what_the_readme_says():
    blocks = re.findall(r"```(\w+)\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    places = [i for i, (language, _) in enumerate(blocks) if language == "python"]
    assert len(places) == 2
    for place in places:
        assert without_rounding(run_python(blocks[place][1])) == without_rounding(blocks[place + 1][1])


def test_no_file_names_a_registry_host_or_a_path_of_some_machine():
    listed = subprocess.run(["git", "ls-files"], capture_output=True, text=True, cwd=ROOT, check=False).stdout.split()
    pattern = re.compile(r"https?://(pypi|files\.pythonhosted|registry)|/home/|/Users/|/root/")
    for name in listed:
        path = ROOT / name
        if path == Path(__file__).resolve() or not path.is_file() or path.suffix in {".png", ".npz", ".safetensors"}:
            continue
        assert not pattern.search(path.read_text(errors="replace")), name
