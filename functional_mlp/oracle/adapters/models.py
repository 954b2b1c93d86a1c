"""Asking the oracle about a model of another framework.

The framework is told from the names of the model's classes; nothing is imported to find out.
"""

import dataclasses
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from functional_mlp.activations import resolve
from functional_mlp.oracle.adapters.adapted import Adapted, check_adapted
from functional_mlp.oracle.checking import formerly_by_place
from functional_mlp.oracle.noise import precision_named
from functional_mlp.oracle.report import Report
from functional_mlp.oracle.traced import at_numbers

# by the package that a class of the model belongs to: module and function here; the first that applies, since a Keras
# model is a torch.nn.Module too where its backend is PyTorch
ADAPTERS = {
    "keras": ("keras_models", "adapt_keras"),
    "torch": ("torch_modules.modules", "adapt_torch"),
    "sklearn": ("scikit_learn", "adapt_sklearn"),
    "flax": ("jax_modules.flax_modules", "adapt_flax"),
    "equinox": ("jax_modules.equinox_modules", "adapt_equinox"),
}


def adapt(model: Any, loss: Any = None, activations: Any = None) -> Adapted:
    """A model of another framework as the oracle sees it: network, loss, parameters, and the model's own gradients.

    Args:
        model: a torch.nn.Module; an MLPClassifier or MLPRegressor of scikit-learn, fitted or not; a flax.nnx.Module; a
            flax.linen.Module bound to its variables, `module.bind(variables)`; an equinox.Module; a keras.Sequential.
        loss: a `functional_mlp.Loss`; or one of PyTorch's loss modules or functions, or of Keras's losses or their
            names, whose own gradient is then part of what is judged; None for a bare vector-Jacobian product. For
            scikit-learn it must be None: an estimator has its own.
        activations: what is meant where the model does not say what it computes, as with an autograd.Function of your
            own: one for all such layers, or a list with one per layer, None where the model says it.

    Raises:
        TypeError: for a model of no known framework, or of a known one, but not of these kinds.
        ValueError: for a model that is no plain multilayer perceptron; the sentence names the part, and the reason.

    Example:
        >>> from sklearn.neural_network import MLPRegressor
        >>> adapt(MLPRegressor(hidden_layer_sizes=(5,), activation="tanh")).network.sizes
        (4, 5, 2)
    """
    if isinstance(model, type):
        raise TypeError(f"expected a model, got the class {model.__name__}; make one of it")
    packages = {cls.__module__.partition(".")[0] for cls in type(model).__mro__}
    framework = next((name for name in ADAPTERS if name in packages), None)
    if framework is None:
        raise TypeError(
            f"expected a model of {', '.join(ADAPTERS)}, got {type(model).__name__}; for anything else write a function"
            " of (params, inputs, targets) and give it to check_function"
        )
    module, function = ADAPTERS[framework]
    return getattr(import_module(f"functional_mlp.oracle.adapters.{module}"), function)(model, loss, activations)


@formerly_by_place("precision", "seed")
def check_model(
    model: Any,
    loss: Any = None,
    *,
    precision: str | None = None,
    seed: int = 0,
    activations: Any = None,
    targets: str | None = None,
    only: Sequence[str] = (),
) -> Report:
    """Judges the gradients that a framework computes for a model, your own derivatives in it included.

    The model's passes are run with probe cases, as `check_function` has them: with other parameters than its own, and
    data of the oracle's. The model is as before afterwards.

    Args:
        model, loss, activations: as `adapt` takes them.
        precision: what the model is run in, as in `check`; None: its own dtype. Where the framework lets it, a float32
            model also runs in float64, which shows smaller errors.
        seed: of the probe cases.
        targets, only: as in `check_function`; a loss that takes class labels alone is asked with those, if nothing else
            is declared. Frozen parameters need not be judged: only=("weights",).

    Returns:
        A report, as `check_function` gives it. A model that raises is WRONG. The outputs are judged too: if they are
        wrong already, another activation was declared than the model computes.

    Raises:
        TypeError, ValueError: as `adapt`, and for an unknown precision or a negative seed; ValueError too for float64
            where the framework's own derivatives have no more digits than float32.

    Example:
        >>> from sklearn.neural_network import MLPRegressor
        >>> check_model(MLPRegressor(hidden_layer_sizes=(), alpha=0.0)).verdict
        <Verdict.CONSISTENT: 'consistent'>
    """
    return check_adapted(adapt(model, loss, activations), precision, seed, targets, only)


@formerly_by_place("precision", "seed")
def check_autograd_function(function: Any, meant: Any, *, precision: str = "float64", seed: int = 0) -> Report:
    """Judges the derivative of a torch.autograd.Function, in a small network that applies it in both layers.

    Args:
        function: a subclass of torch.autograd.Function, or something that calls its `apply` with further arguments.
        meant: the activation that apply(z) is meant to be, z (n, fan_out); or "linear" for apply(x, weight, bias), x
            (n, fan_in), weight (fan_out, fan_in), bias (fan_out,).
        precision, seed: as in `check_model`.

    Returns:
        A report, as `check_model` gives it; of an activation with its derivative at some numbers beside the right one.

    Raises:
        TypeError: for a function that cannot be called.
        ValueError: for an unknown activation.
    """
    from functional_mlp.oracle.adapters.torch_modules.modules import model_of_function
    from functional_mlp.oracle.adapters.torch_modules.operations import backward_by_torch

    model, activations = model_of_function(function, meant)
    report = check_model(model, None, precision=precision, seed=seed, activations=activations)
    if activations is None:
        return report
    backward = backward_by_torch(getattr(function, "apply", function))
    numbers = at_numbers(backward, resolve(meant).value, precision_named(precision).storage.name)
    return dataclasses.replace(report, at_numbers=numbers)
