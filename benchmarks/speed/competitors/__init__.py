"""Who computes the problems, each written as its users would write it: one small file per library.

A competitor gives, for each kind of problem that it solves, a function from the problem to a `Runner`. Which functions
those are is data here; the files are imported, and with them the libraries, in the competitor's own process alone.
"""

import importlib
import importlib.util
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, NamedTuple

from benchmarks.speed.problems import Problem, Training
from benchmarks.speed.references import Leaves

OURS = "functional_mlp"


class Runner(NamedTuple):
    """One competitor at one problem, ready to run.

    Attributes:
        run: does the work so many times (epochs of a training), from the initial values each call, and waits for it; a
            whole process is run once.
        leaves: what `run` returned, as NumPy arrays by name; see references.py.
        units: updates, or updates of all networks, or evaluations, or whatever is counted, of one repetition.
        facts: about how it was run, for the JSON file; `note` is shown in the table.
        seconds: of what `run` returned, where it measures itself; None means that the call is timed.
    """

    run: Callable[[int], Any]
    leaves: Callable[[Any], Leaves]
    units: int
    facts: Mapping[str, Any] = MappingProxyType({})
    seconds: Callable[[Any], float] | None = None


class Competitor(NamedTuple):
    """Somebody to be timed.

    Attributes:
        name: on the command line and in the JSON file.
        title: in the table.
        functions: "module:function" in this package, by kind of problem.
        packages: import names, without which it is not installed.
        programs: commands, likewise.
        only: the workloads that it takes part in; None means all with a problem of its kinds.
        losses: what it trains with instead of the loss of a problem, where it has no other.
        yardstick: computes something else that the others are measured by; no numbers of its are checked.
    """

    name: str
    title: str
    functions: Mapping[str, str]
    packages: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    only: tuple[str, ...] | None = None
    losses: Mapping[str, str] = MappingProxyType({})
    yardstick: bool = False

    def missing(self) -> list[str]:
        """What of it is not installed."""
        packages = [package for package in self.packages if importlib.util.find_spec(package) is None]
        return packages + [program for program in self.programs if shutil.which(program) is None]

    def competes_in(self, workload: str, kind: str) -> bool:
        """Whether it takes part in a workload."""
        return kind in self.functions and (self.only is None or workload in self.only)

    def own(self, problem: Problem) -> Problem:
        """The problem as it solves it, with a loss that it has."""
        if isinstance(problem, Training) and problem.loss in self.losses:
            return replace(problem, loss=self.losses[problem.loss])
        return problem

    def builder(self, kind: str) -> Callable[[Problem], Runner]:
        """What makes its runner of a problem; imports the competitor's file, and with it its libraries."""
        module, _, function = self.functions[kind].partition(":")
        build: Callable[[Problem], Runner] = getattr(importlib.import_module(f"{__name__}.{module}"), function)
        return build


ALL_KINDS = {"training": "ours:training", "sweep": "ours:sweep", "gradient": "ours:gradient", "basins": "ours:basins"}
NUMPY_KINDS = {
    "training": "plain_numpy:training",
    "basins": "plain_numpy:basins",
    "process": "programs:numpy_reference",
}
MATRIX_PRODUCT = {library: {"training": f"matrix_products:{library}"} for library in ("jax", "numpy", "torch")}

COMPETITORS = (
    Competitor(OURS, "functional_mlp", ALL_KINDS | {"process": "programs:ours", "first call": "first_calls:fresh"}),
    Competitor("functional_mlp-cached", "functional_mlp, cached", {"first call": "first_calls:second"}),
    Competitor(
        "c", "C, gcc -O3 -ffast-math", {"training": "c_loops:single"}, programs=("gcc",), only=("one-sample", "smoke")
    ),
    Competitor("c-vectors", "C, networks in vectors", {"sweep": "c_loops:sweep"}, programs=("gcc",)),
    Competitor(
        "numba",
        "numba",
        {"training": "numba_loops:training", "sweep": "numba_loops:sweep", "basins": "numba_loops:basins"},
        ("numba",),
    ),
    Competitor("jax-grad", "jax.grad", {"gradient": "autodiff:gradient"}),
    Competitor("flax", "flax and optax", {"training": "flax_nnx:training", "sweep": "flax_nnx:sweep"}, ("flax",)),
    Competitor(
        "flax-scan",
        "flax and optax, lax.scan",
        {"training": "flax_nnx:training_in_scan", "sweep": "flax_nnx:sweep_in_scan"},
        ("flax",),
    ),
    Competitor(
        "equinox",
        "equinox and optax",
        {"training": "equinox_modules:training", "sweep": "equinox_modules:sweep"},
        ("equinox",),
    ),
    Competitor(
        "equinox-scan",
        "equinox and optax, lax.scan",
        {"training": "equinox_modules:training_in_scan", "sweep": "equinox_modules:sweep_in_scan"},
        ("equinox",),
    ),
    Competitor("numpy", "NumPy", NUMPY_KINDS | {"sweep": "plain_numpy:sweep"}),
    Competitor("numpy-stacked", "NumPy, stacked networks", {"sweep": "plain_numpy:stacked"}),
    Competitor(
        "scikit-learn",
        "scikit-learn",
        {"training": "scikit_learn:training", "sweep": "scikit_learn:sweep"},
        ("sklearn",),
        losses={"half_squared_error": "binary_cross_entropy"},
    ),
    Competitor("torch", "PyTorch, eager", {"training": "pytorch:eager"}, ("torch",)),
    Competitor(
        "torch-compile", "PyTorch, torch.compile", {"training": "pytorch:compiled"}, ("torch",), programs=("g++",)
    ),
    Competitor("torch-vmap", "PyTorch, torch.func.vmap", {"sweep": "pytorch:vmapped"}, ("torch",)),
    *(
        Competitor(
            f"product-{library}", f"matrix product ({library})", functions, (library,), only=("wide",), yardstick=True
        )
        for library, functions in MATRIX_PRODUCT.items()
    ),
)
