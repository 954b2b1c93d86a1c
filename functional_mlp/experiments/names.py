"""The experiments by name. JAX is imported only when one is run."""

from collections.abc import Sequence

from functional_mlp._extras import require_packages

EXPERIMENTS = {
    "all": "Every one; what is printed, beside what was computed.",
    "activations": "Activations, their derivatives, and rounding.",
    "calculus": "Rules of differentiation, by hand and by jax.grad.",
    "circles": "Circles: as published, corrected, scheduled, tuned.",
    "himmelblau": "Gradient descent on Himmelblau's function.",
    "moons": "Moons, from one initial value or thousands.",
    "three_phase": "A network that is trained layer by layer.",
}
MODULES = {"all": "demo"}  # where it is not called as the experiment


def run_experiment(name: str, arguments: Sequence[str] | None = None) -> int:
    """Runs an experiment.

    Args:
        name: one of `EXPERIMENTS`.
        arguments: its command line; None means that of this process.

    Returns:
        The exit code.

    Raises:
        ImportError: if a library is missing; says which extra brings it.
    """
    import importlib

    require_packages("an experiment", "matplotlib", "sklearn", "orbax")
    common = importlib.import_module("functional_mlp.experiments.common")
    module = importlib.import_module(f"functional_mlp.experiments.{MODULES.get(name, name)}")
    return common.run_program(module.parser(), module.run, arguments)
