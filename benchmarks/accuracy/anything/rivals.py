"""What people check gradients with today, asked the same questions: tolerances, the framework's own error, differences.

A tolerance compares with the float64 gradient, which its users seldom have. `check_grads` and `gradcheck` know no true
gradient: they compare with finite differences of the function, in float64 and float32 (`gradcheck` in float64 alone),
with the tolerances that they choose themselves.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import jax.test_util
import numpy as np

from benchmarks.accuracy.anything.implementations.pytorch import has_torch
from benchmarks.accuracy.anything.operations import Operation, Question
from benchmarks.accuracy.anything.operations.registry import DTYPES

Gradients = Sequence[Any]
# rtol and atol of torch.testing.assert_close, by dtype
DEFAULTS = {"float64": (1e-7, 1e-7), "float32": (1.3e-6, 1e-5), "bfloat16": (1.6e-2, 1e-5), "float16": (1e-3, 1e-5)}


def within(given: Gradients, true: Gradients, rtol: float, atol: float) -> bool:
    """Whether every entry is finite and within the tolerances."""
    with np.errstate(all="ignore"):
        return all(
            bool(np.all(np.isfinite(g)) and np.all(np.abs(g - t) <= atol + rtol * np.abs(t)))
            for g, t in zip(given, true, strict=True)
        )


def at_most_twice(given: Gradients, true: Gradients, framework: Gradients | None) -> bool | None:
    """Whether the largest error of each gradient is at most twice the framework's own in that dtype (plus 1e-5)."""
    if framework is None:
        return None
    with np.errstate(all="ignore"):
        return all(
            bool(np.max(np.abs(g - t), initial=0) <= 2 * np.max(np.abs(f - t), initial=0) + 1e-5)
            for g, t, f in zip(given, true, framework, strict=True)
        )


def tolerances(given: Gradients, true: Gradients, framework: Gradients | None, dtype: str) -> dict[str, bool]:
    """Who lets the gradients pass."""
    passed = {
        "assert_close": within(given, true, *DEFAULTS[dtype]),
        "1e-2": within(given, true, 1e-2, 1e-2),
        "at most twice": at_most_twice(given, true, framework),
    }
    return {name: answer for name, answer in passed.items() if answer is not None}


def differences(operation: Operation, question: Question, given: Gradients, dtype: str) -> dict[str, bool]:
    """Whether the two that know no true gradient let it pass; for few entries, in float64 and float32."""
    if dtype not in ("float64", "float32"):
        return {}
    passed = {"check_grads": check_grads(operation, question, given, dtype)}
    if dtype == "float64" and has_torch():
        passed["gradcheck"] = gradcheck(operation, question, given)
    return passed


def _projected(operation: Operation, question: Question, dtype: str) -> Callable[..., Any]:
    """The scalar that the gradients are of: the sum of cotangent times output."""
    ct = question.ct.astype(DTYPES[dtype])
    return jax.jit(lambda *floats: (operation.function(*floats, *question.constants) * ct).sum())


def check_grads(operation: Operation, question: Question, given: Gradients, dtype: str) -> bool:
    """jax.test_util.check_grads of the function, declared to have these gradients."""
    with jax.enable_x64(dtype == "float64"), jax.numpy_rank_promotion("allow"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        value = _projected(operation, question, dtype)
        floats = tuple(jnp.asarray(x.astype(DTYPES[dtype])) for x in question.floats)
        fixed = tuple(jnp.asarray(np.asarray(g).astype(DTYPES[dtype])) for g in given)
        function = jax.custom_vjp(value)
        function.defvjp(lambda *x: (value(*x), None), lambda _, ct: tuple(ct * g for g in fixed))
        try:
            jax.test_util.check_grads(function, floats, order=1, modes=["rev"])
        except (AssertionError, FloatingPointError):
            return False
    return True


def gradcheck(operation: Operation, question: Question, given: Gradients) -> bool:
    """torch.autograd.gradcheck, likewise, in float64."""
    import torch  # type: ignore[import-not-found]

    fixed = [torch.from_numpy(np.array(g, np.float64)) for g in given]
    with jax.enable_x64(True), jax.numpy_rank_promotion("allow"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        value = _projected(operation, question, "float64")

        class Function(torch.autograd.Function):
            @staticmethod
            def forward(ctx: Any, *floats: Any) -> Any:
                return torch.tensor(float(value(*(x.detach().numpy() for x in floats))), dtype=torch.float64)

            @staticmethod
            def backward(ctx: Any, ct: Any) -> Any:
                return tuple(ct * g for g in fixed)

        inputs = tuple(torch.from_numpy(np.array(x)).requires_grad_() for x in question.floats)
        return bool(torch.autograd.gradcheck(Function.apply, inputs, raise_exception=False))
