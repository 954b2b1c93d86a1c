"""Correct implementations of the gradients, each with the precision that its author would declare to `oracle.check`.

What the oracle's false-alarm rate is measured on: NumPy in three dtypes and several orders of summation, `jax.grad`,
PyTorch where it is installed, and C. They share no code with the package, but for the description of a case. Most come
twice: *fused* (p - t where cross-entropy follows its own activation) and *unfused* (the loss's derivative, then the
activation's).

The declared precision is what holds on a CPU. In 16 bits NumPy forms matrix products, and sums along the last axis, in
float32 and rounds once, but sums over samples in 16 bits: that is float16, unless every sum is asked for in float32.
JAX and PyTorch add in float32 throughout. tests/benchmarks/accuracy/test_implementations.py asserts all of this.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks.accuracy.implementations import autodiff, compiled
from benchmarks.accuracy.saturation import degenerate
from benchmarks.compiler import has_compiler
from functional_mlp._dtypes import DTYPES
from functional_mlp.oracle import Case
from reference.plain import Answer, Arithmetic, gradients, is_fused, product_in_order, total_in_order, wide_total

__all__ = ["IMPLEMENTATIONS", "Answer", "Implementation"]

MAX_LOOPS = 5000  # rounds of a Python loop that an implementation with strictly sequential sums may take
MAX_PRODUCTS = 3e6  # multiplications that it may take


def _small(case: Case) -> bool:
    loops = sum(fan_in + fan_out + len(case.inputs) for fan_in, fan_out in case.network.shapes)
    products = len(case.inputs) * sum(fan_in * fan_out for fan_in, fan_out in case.network.shapes)
    return loops <= MAX_LOOPS and products <= MAX_PRODUCTS


@dataclass(frozen=True)
class Implementation:
    """One way to the gradients.

    Attributes:
        name: a key of `IMPLEMENTATIONS`.
        precision: what to declare to `oracle.check`; "a/b" is stored in a, accumulated in b.
        run: maps a case that it supports to the answer.
        fused: whether cross-entropy after its own activation is differentiated as p - t.
        available: whether it can run on this machine.
        fits: whether a case is small enough, and its activations are known.
    """

    name: str
    precision: str
    run: Callable[[Case], Answer]
    fused: bool = True
    available: Callable[[], bool] = lambda: True
    fits: Callable[[Case], bool] = lambda case: True

    @property
    def storage(self) -> str:
        """The dtype in which everything is stored, which a case's dtype must equal."""
        return self.precision.partition("/")[0]

    def supports(self, case: Case) -> bool:
        """Whether to ask it.

        The dtype is its own, the loss's derivative divides by nothing that rounds to 0, and an unfused implementation
        is asked only where the fused one does something else.
        """
        if case.dtype != self.storage or not self.fits(case) or not (self.fused or is_fused(case, True)):
            return False
        return not degenerate(case, self.fused)


def _numpy(name: str, precision: str, arithmetic: Arithmetic, **others: Callable[..., bool]) -> list[Implementation]:
    return [
        Implementation(
            name + suffix, precision, partial(gradients, arithmetic=arithmetic, fused=fused), fused, **others
        )
        for suffix, fused in (("", True), ("-unfused", False))
    ]


def _every() -> list[Implementation]:
    every: list[Implementation] = []
    for dtype in ("float64", "float32", "float16"):
        every += _numpy(f"numpy-{dtype}", dtype, Arithmetic(DTYPES[dtype]))
    wide = Arithmetic(DTYPES["float16"], total=wide_total)
    every += _numpy("numpy-float16-wide", "float16/float32", wide)
    for dtype in ("float32", "float16"):
        in_order = Arithmetic(DTYPES[dtype], product_in_order, total_in_order)
        every += _numpy(f"numpy-sequential-{dtype}", dtype, in_order, fits=_small)
    for dtype in DTYPES:
        precision = dtype if np.dtype(DTYPES[dtype]).itemsize > 2 else f"{dtype}/float32"
        for suffix, fused in (("", True), ("-unfused", False)):
            run = partial(autodiff.jax_gradients, fused=fused)
            every.append(Implementation(f"jax-{dtype}{suffix}", precision, run, fused))
        if precision != dtype:
            run = partial(autodiff.jax_gradients, fused=True, jit=False)
            every.append(Implementation(f"jax-{dtype}-eager", precision, run))
        every.append(
            Implementation(
                f"torch-{dtype}",
                precision,
                autodiff.torch_gradients,
                available=autodiff.has_torch,
                fits=autodiff.torch_has_loss,
            )
        )
    for dtype in compiled.C_TYPES:
        for name, flags in (("c", compiled.STRICT), ("c-fast", compiled.FAST)):
            for suffix, fused in (("", True), ("-unfused", False)):
                run = partial(compiled.c_gradients, flags=flags, fused=fused)
                available = has_compiler
                every.append(Implementation(f"{name}-{dtype}{suffix}", dtype, run, fused, available, compiled.knows))
    return every


IMPLEMENTATIONS: Mapping[str, Implementation] = {implementation.name: implementation for implementation in _every()}
