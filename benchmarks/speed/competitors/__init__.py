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

from benchmarks.speed.suite.problems import Problem, Training
from benchmarks.speed.suite.references import Leaves

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


def _of(module: str, **functions: str) -> dict[str, str]:
    """Functions of one module by kind of problem."""
    return {kind.replace("_", " "): f"{module}:{function}" for kind, function in functions.items()}


OWN_KINDS = _of("in_jax.ours", training="training", sweep="sweep", gradient="gradient", basins="basins")
OWN_KINDS |= _of("in_jax.first_calls", first_call="fresh") | _of("programs", process="ours")
NUMPY_KINDS = _of("plain_numpy", training="training", basins="basins", sweep="sweep")
NUMPY_KINDS |= _of("programs", process="numpy_reference")
NUMBA_KINDS = _of("numba_loops", training="training", sweep="sweep", basins="basins")
IN_SCAN = {"training": "training_in_scan", "sweep": "sweep_in_scan"}
FLAX, EQUINOX, SKLEARN = "in_jax.flax_nnx", "in_jax.equinox_modules", "scikit_learn"

COMPETITORS = (
    Competitor(OURS, "functional_mlp", OWN_KINDS),
    Competitor("functional_mlp-cached", "functional_mlp, cached", _of("in_jax.first_calls", first_call="second")),
    Competitor(
        *("c", "C, gcc -O3 -ffast-math", _of("c_loops", training="single")),
        programs=("gcc",),
        only=("one-sample", "smoke"),
    ),
    Competitor("c-vectors", "C, networks in vectors", _of("c_loops", sweep="sweep"), programs=("gcc",)),
    Competitor("numba", "numba", NUMBA_KINDS, ("numba",)),
    Competitor("jax-grad", "jax.grad", _of("in_jax.gradients", gradient="by_autodiff")),
    Competitor("flax", "flax and optax", _of(FLAX, training="training", sweep="sweep"), ("flax",)),
    Competitor("flax-scan", "flax and optax, lax.scan", _of(FLAX, **IN_SCAN), ("flax",)),
    Competitor("equinox", "equinox and optax", _of(EQUINOX, training="training", sweep="sweep"), ("equinox",)),
    Competitor("equinox-scan", "equinox and optax, lax.scan", _of(EQUINOX, **IN_SCAN), ("equinox",)),
    Competitor("numpy", "NumPy", NUMPY_KINDS),
    Competitor("numpy-stacked", "NumPy, stacked networks", _of("plain_numpy", sweep="stacked")),
    Competitor(
        *("scikit-learn", "scikit-learn", _of(SKLEARN, training="training", sweep="sweep"), ("sklearn",)),
        losses={"half_squared_error": "binary_cross_entropy"},
    ),
    Competitor("torch", "PyTorch, eager", _of("pytorch", training="eager"), ("torch",)),
    Competitor(
        *("torch-compile", "PyTorch, torch.compile", _of("pytorch", training="compiled"), ("torch",)),
        programs=("g++",),
    ),
    Competitor("torch-vmap", "PyTorch, torch.func.vmap", _of("pytorch", sweep="vmapped"), ("torch",)),
    *(
        Competitor(
            *(f"product-{library}", f"matrix product ({library})", _of("matrix_products", training=library)),
            *((library,), (), ("wide",)),
            yardstick=True,
        )
        for library in ("jax", "numpy", "torch")
    ),
)
