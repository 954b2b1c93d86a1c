"""The machine's own matrix product rate: square float32 products by three libraries. A yardstick, no competitor."""

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.speed.competitors import Runner
from benchmarks.speed.suite.problems import Training

SIZE = 2048


def _factors() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.random((SIZE, SIZE), np.float32), rng.random((SIZE, SIZE), np.float32)


def _runner(product: Callable[[], Any]) -> Runner:
    def run(times: int) -> Any:
        for _ in range(times):
            result = product()
        return result

    facts = {"note": f"{SIZE} x {SIZE}", "products": 2 * SIZE**3}
    return Runner(run, lambda result: {}, 1, facts)


def jax(problem: Training) -> Runner:
    """`jnp.matmul`, compiled."""
    import jax
    import jax.numpy as jnp

    left, right = map(jnp.asarray, _factors())
    product = jax.jit(jnp.matmul)
    return _runner(lambda: jax.block_until_ready(product(left, right)))


def numpy(problem: Training) -> Runner:
    """`np.matmul`."""
    left, right = _factors()
    return _runner(lambda: left @ right)


def torch(problem: Training) -> Runner:
    """`torch.matmul`."""
    import torch

    left, right = map(torch.from_numpy, _factors())
    return _runner(lambda: left @ right)
