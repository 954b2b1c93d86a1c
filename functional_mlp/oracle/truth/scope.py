"""The scope in which the oracle computes, whatever the caller's JAX settings are."""

import contextlib
from collections.abc import Iterator

import jax
import numpy as np

from functional_mlp.activations import is_of_this_package
from functional_mlp.network import Network


@contextlib.contextmanager
def float64_on_cpu() -> Iterator[None]:
    """The scope in which the oracle computes: float64, on the CPU, with every setting that could matter pinned.

    Raises:
        RuntimeError: if JAX has no CPU backend, as with JAX_PLATFORMS=cuda.
    """
    try:
        cpu = jax.devices("cpu")[0]
    except RuntimeError as error:
        raise RuntimeError(
            "the oracle computes on the CPU, which JAX was told not to use; set JAX_PLATFORMS=cuda,cpu (yours first)"
        ) from error
    with contextlib.ExitStack() as stack:
        for setting in (
            jax.enable_x64(True),
            jax.default_device(cpu),
            jax.default_matmul_precision("highest"),
            jax.numpy_dtype_promotion("standard"),
            jax.numpy_rank_promotion("allow"),
            jax.debug_nans(False),
            jax.debug_infs(False),
            jax.disable_jit(False),
            jax.transfer_guard("allow"),
        ):
            stack.enter_context(setting)
        yield


@contextlib.contextmanager
def computing(network: Network) -> Iterator[None]:
    """The scope for NumPy's formulas: overflow and 0/0 are silent; JAX's float64 for activations of one's own."""
    with np.errstate(all="ignore"):
        if all(map(is_of_this_package, network.activations)):
            yield
        else:
            with float64_on_cpu():
                yield
