"""What people check gradients with today, asked the same questions as the oracle.

`fixed tolerances` compare with the true gradient, which their users seldom have: np.allclose with the rtol named and
its default atol 1e-8. `check_grads` and `gradcheck` compare a function's reverse-mode gradient with finite differences
of the function: the gradient to be checked is registered as that of a correct function, and both run with the
tolerances that they choose themselves.
"""

import dataclasses
import warnings
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import jax.test_util
import numpy as np

from benchmarks.accuracy.implementations.autodiff import has_torch
from functional_mlp._dtypes import DTYPES
from functional_mlp.forward_pass import forward
from functional_mlp.network import Dense
from functional_mlp.oracle import Case, Solution
from functional_mlp.oracle.truth import float64_on_cpu
from reference.plain import Arithmetic, gradients

Grads = Sequence[tuple[Any, Any]]
RTOLS = (1e-3, 1e-5, 1e-7)
MOST_PARAMETERS = 200  # of a case for the peers that evaluate the function as often


def _pairs(grads: Grads, truth: Grads) -> list[tuple[np.ndarray, np.ndarray]]:
    return [
        (np.asarray(got, np.float64), np.asarray(true, np.float64))
        for layer, true_layer in zip(grads, truth, strict=True)
        for got, true in zip(layer, true_layer, strict=True)
        if true is not None
    ]


def within(rtol: float) -> Callable[[Case, Solution, Grads], bool]:
    """np.allclose of every leaf with the true one."""

    def passes(case: Case, solution: Solution, grads: Grads) -> bool:
        with np.errstate(all="ignore"):
            return all(np.allclose(got, true, rtol=rtol) for got, true in _pairs(grads, solution.grads))

    return passes


def check_grads(case: Case, solution: Solution, grads: Grads) -> bool:
    """jax.test_util.check_grads of a correct function, in the dtype of the gradients, declared to have these."""
    dtype = jnp.dtype(np.asarray(grads[0][0]).dtype)

    def cast(array: Any) -> Any:
        return None if array is None else jnp.asarray(np.asarray(array, np.float64), dtype)

    with float64_on_cpu(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        params = tuple(Dense(*map(cast, layer)) for layer in case.params)
        given = tuple(Dense(*map(cast, layer)) for layer in grads)
        inputs, targets, weights = cast(case.inputs), cast(case.targets), cast(case.sample_weights)

        @jax.jit
        def value(params: Any) -> Any:
            assert case.loss is not None
            outputs, _ = forward(case.network, params, inputs)
            return (case.loss.value(outputs, targets, weights) + case.loss.penalty(params)).astype(dtype)

        function = jax.custom_vjp(value)
        function.defvjp(lambda p: (value(p), None), lambda _, ct: (jax.tree.map(lambda g: ct * g, given),))
        try:
            jax.test_util.check_grads(function, (params,), order=1, modes=["rev"])
        except (AssertionError, FloatingPointError):
            return False
        return True


def gradcheck(case: Case, solution: Solution, grads: Grads) -> bool:
    """torch.autograd.gradcheck, likewise, with NumPy computing the function."""
    import torch  # type: ignore[import-not-found]

    dtype = np.asarray(grads[0][0]).dtype
    arithmetic = Arithmetic(DTYPES[str(dtype)])
    fields = {field.name: getattr(case, field.name) for field in dataclasses.fields(case)}
    leaves = [np.asarray(leaf, dtype) for layer in case.params for leaf in layer if leaf is not None]
    given = [torch.from_numpy(np.array(leaf, dtype)) for layer in grads for leaf in layer if leaf is not None]

    class Function(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *params: Any) -> Any:
            arrays = iter(param.detach().numpy() for param in params)
            pairs = [(next(arrays), None if bias is None else next(arrays)) for _, bias in case.params]
            moved = SimpleNamespace(**fields | {"params": pairs})  # unchecked: they may be off the grid of the dtype
            loss = gradients(moved, arithmetic, fused=True).loss
            return torch.tensor(float(loss or 0.0), dtype=params[0].dtype)

        @staticmethod
        def backward(ctx: Any, ct: Any) -> Any:
            return tuple(ct * leaf for leaf in given)

    inputs = tuple(torch.from_numpy(leaf).requires_grad_() for leaf in leaves)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return bool(torch.autograd.gradcheck(Function.apply, inputs, raise_exception=False))


ALWAYS: Mapping[str, Callable[[Case, Solution, Grads], bool]] = {f"rtol {rtol:.0e}": within(rtol) for rtol in RTOLS}


def costly() -> dict[str, Callable[[Case, Solution, Grads], bool]]:
    """The peers that evaluate the function, of those that are installed."""
    return {"check_grads": check_grads} | ({"gradcheck": gradcheck} if has_torch() else {})


def may_be_asked(case: Case, dtype: str) -> bool:
    """Whether the costly peers can be asked: they need a loss, few parameters, and a dtype that they know."""
    parameters = sum(leaf.size for layer in case.params for leaf in layer if leaf is not None)
    return case.loss is not None and parameters <= MOST_PARAMETERS and dtype in ("float64", "float32")
