"""Random small cases: narrow ones have what they are named for, the others are as they were."""

import numpy as np
import pytest

from benchmarks.accuracy.small_cases import NARROW, small_case


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("kind", NARROW)
def test_a_narrow_case_is_narrow(kind: str, seed: int) -> None:
    case = small_case(seed, "float64", NARROW[kind])
    samples, outputs = NARROW[kind].samples, NARROW[kind].outputs
    assert samples in (None, len(case.inputs))
    assert outputs in (None, case.network.sizes[-1])
    if kind == "two classes":
        assert "softmax" in f"{case.network.activations[-1].name} {case.loss and case.loss.kind}"


def test_the_network_is_the_same_for_every_dtype() -> None:
    of = [small_case(3, dtype, NARROW["one sample"]) for dtype in ("float64", "float32")]
    assert of[0].network == of[1].network
    np.testing.assert_allclose(of[0].inputs, of[1].inputs, rtol=1e-6)
