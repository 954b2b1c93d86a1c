"""What the referee refuses, each in a sentence: what no precision decides, and what is no case."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from reference.exact import Case, UndecidedError, solve

DUPLICATE = [([[1.0, 1.0]], None), ([[1.0], [-1.0]], None), ([[1.0]], None)]


def test_undecidable_kinks_are_refused_by_name() -> None:
    case = Case((1, 2, 1, 1), ["tanh", "relu", "identity"], DUPLICATE, [[1.0]], None, ct_outputs=[[1.0]])
    with pytest.raises(UndecidedError, match="may be exactly 0") as caught:
        solve(case, max_bits=4096)
    assert (caught.value.entry, caught.value.bits) == ("deltas.1[0, 0]", 4096)
    assert "pre_activations.1[0, 0]" in str(caught.value)
    # the same zero matters to nothing where both sides agree, or where no cotangent arrives
    assert solve(case._replace(activations=["tanh", "identity", "identity"])).outputs.item() == 0.0
    assert solve(case._replace(ct_outputs=[[0.0]])).deltas[1].item() == 0.0
    one = {"name": "leaky_relu", "slope": 1.0}
    assert solve(case._replace(activations=["tanh", one, "identity"])).deltas[1].item() == 1.0


def test_undecidable_ties_are_refused_by_name() -> None:
    """With a duplicate unit, z = σ(u) − σ(u) + 1 + 2**-53."""
    case = Case((1, 2, 1), ["sigmoid", "identity"], DUPLICATE[:2], [[1.0]], None, ct_outputs=[[1.0]])
    params = [([[1.0, 1.0, 0.0]], None), ([[1.0], [-1.0], [2.0**-52]], [1.0])]
    with pytest.raises(UndecidedError, match=r"pre_activations\.1\[0, 0\] does not round"):
        solve(case._replace(sizes=(1, 3, 1), params=params), max_bits=1024)
    params[1] = ([[1.0], [-1.0], [2.0**-52]], [0.0])
    assert solve(case._replace(sizes=(1, 3, 1), params=params)).outputs.item() == 2.0**-53  # no tie


GOOD = Case((1, 1), "sigmoid", [([[1.0]], [0.0])], [[1.0]], {"kind": "squared_error"}, [[0.5]])


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"sizes": (1,)}, ValueError, "two sizes"),
        ({"sizes": (1.5, 1)}, TypeError, "integer"),
        ({"activations": "sine"}, ValueError, "'sine'"),
        ({"activations": {"name": "relu", "slope": 1.0}}, ValueError, "'slope'"),
        ({"activations": {"name": "elu", "alpha": math.nan}}, ValueError, "alpha of elu"),
        ({"activations": {"name": "elu", "alpha": "1"}}, TypeError, "alpha of elu"),
        ({"activations": ["relu", "relu"]}, ValueError, "1 activations"),
        ({"params": [([[1.0, 2.0]], None)]}, ValueError, "weights of shape"),
        ({"params": [([[1.0]], [[0.0]])]}, ValueError, "bias of shape"),
        ({"inputs": [[math.inf]]}, ValueError, "inputs to be finite"),
        ({"inputs": [["1"]]}, TypeError, "inputs to hold float64"),
        ({"inputs": [[2**53 + 1]]}, ValueError, "2**53"),
        ({"inputs": np.zeros((0, 1))}, ValueError, "at least one sample"),
        ({"targets": None}, ValueError, "expected targets"),
        ({"targets": [[1.0], [1.0, 2.0]]}, ValueError, "targets of shape"),
        ({"ct_outputs": [[1.0]]}, ValueError, "no ct_outputs"),
        ({"loss": None}, ValueError, "ct_outputs alone"),
        ({"loss": {"kind": "square"}}, ValueError, "'square'"),
        ({"loss": {"kind": "squared_error", "L2": 1.0}}, ValueError, "'L2'"),
        ({"loss": {"kind": "squared_error", "delta": 1.0}}, ValueError, "'delta'"),
        ({"loss": {"kind": "softmax_cross_entropy", "class_weights": [1.0] * 9}}, ValueError, "9 numbers"),
        ({"loss": {"kind": "softmax_kl_divergence"}, "targets": [[-1.0]]}, ValueError, "negative"),
        ({"loss": {"kind": "squared_error", "over_samples": "max"}}, ValueError, "'max'"),
        ({"loss": {"kind": "squared_error", "l2_on_bias": 1}}, TypeError, "l2_on_bias"),
        ({"loss": {"kind": "binary_cross_entropy"}, "activations": "tanh"}, ValueError, "probabilities, got tanh"),
        ({"loss": {"kind": "binary_cross_entropy"}, "activations": "softmax"}, ValueError, "one unit"),
        ({"sample_weights": [0.0]}, ValueError, "not all 0"),
        ({"sample_weights": [-1.0]}, ValueError, "not negative"),
    ],
)
def test_bad_cases_are_refused_in_a_sentence(change: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error) as caught:
        solve(GOOD._replace(**change))
    assert words in str(caught.value)
