"""The code of other frameworks runs under JAX's own rules of promotion, as it does for people."""

from collections.abc import Iterator

import jax
import pytest


@pytest.fixture(autouse=True)
def usual_promotion() -> Iterator[None]:
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield
