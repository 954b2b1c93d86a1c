import functools

import jax
import numpy as np
import pytest

from functional_mlp.oracle.traced.tracing import Evaluation, trace_vjp
from tests.oracle.traced.tracing.functions import FAMILIES

pytestmark = pytest.mark.filterwarnings("ignore:scatter inputs have incompatible types")


@functools.cache
def trace_of(family):
    function, arguments = FAMILIES[family]
    leaves, structure = jax.tree.flatten(arguments)
    moving = [i for i, leaf in enumerate(leaves) if leaf.dtype == np.float64]
    return trace_vjp(function, leaves, structure, moving)


def close(a, b):
    return np.allclose(a, b, rtol=1e-9, atol=1e-9, equal_nan=True)


@pytest.mark.parametrize("family", FAMILIES)
def test_an_evaluation_computes_what_jax_computes(family):
    trace = trace_of(family)
    function, arguments = FAMILIES[family]
    leaves, structure = jax.tree.flatten(arguments)
    moving = [i for i, leaf in enumerate(leaves) if leaf.dtype == np.float64]

    def of_floats(*floats):
        given = dict(zip(moving, floats, strict=True))
        return jax.tree.leaves(
            function(*jax.tree.unflatten(structure, [given.get(i, leaf) for i, leaf in enumerate(leaves)]))
        )

    def expected(*floats):
        outputs, pull = jax.vjp(lambda *xs: [y * 1.0 for y in of_floats(*xs)], *floats)
        return [*outputs, *pull([np.ones(y.shape) for y in outputs])]

    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        wanted = jax.jit(expected)(*trace.operands[: len(moving)])
    found = Evaluation()(trace.jaxpr, trace.operands)
    assert len(found) == len(wanted) == trace.outputs + len(moving)
    assert [np.shape(y) for y in found] == [y.shape for y in wanted]
    assert [i for i, (a, b) in enumerate(zip(found, wanted, strict=True)) if not close(a, b)] == []


@pytest.mark.parametrize("family", FAMILIES)
def test_passes_side_by_side_compute_what_single_ones_do(family):
    trace = trace_of(family)
    some = [np.stack([x * (1 + 1e-7 * i) for i in range(3)]) for x in trace.operands]
    for given in (some, [*some[:1], *trace.operands[1:]]):
        single = [
            Evaluation()(trace.jaxpr, [x[i] if x is not y else x for x, y in zip(given, trace.operands, strict=True)])
            for i in range(3)
        ]
        for result, alone in zip(Evaluation()(trace.jaxpr, given), zip(*single, strict=True), strict=True):
            assert close(np.broadcast_to(result, np.shape(alone)), np.stack(alone))
