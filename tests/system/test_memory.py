"""Nothing keeps a case, or what was computed for it, once its report is dropped."""

import gc
import weakref

import pytest

import functional_mlp as fm
from functional_mlp import oracle

pytestmark = pytest.mark.slow

NETWORK, LOSS = fm.Network((3, 4, 2), ("tanh", "softmax")), fm.Loss("categorical_cross_entropy", over_samples="mean")


def asked(seed):
    """A case, its report on wrong gradients with the diagnosis, and what was given."""
    case = oracle.draw_case(NETWORK, LOSS, samples=6, seed=seed)
    given = [(weights * 1.0, bias / 6) for weights, bias in oracle.solve(case).grads]
    report = oracle.check(case, given)
    assert report.diagnosis.mistakes[0].id == "bias-divided-twice"
    return case, report, given


def test_no_case_is_alive_once_its_report_is_dropped():
    asked(0)
    dead = []
    for seed in range(1, 6):
        case, report, given = asked(seed)
        dead += [weakref.ref(case), weakref.ref(report), weakref.ref(case.inputs), weakref.ref(given[0][0])]
        report.text(), report.json(), report.html(), report.explain()
        del case, report, given
    gc.collect()
    assert not [reference for reference in dead if reference() is not None]


def test_a_function_that_was_asked_several_times_leaves_none_of_its_cases():
    alive = []

    def right(params, inputs, targets):
        alive.append(weakref.ref(inputs))
        case = oracle.Case(NETWORK, LOSS, params, inputs, targets)
        return [tuple(layer) for layer in oracle.solve(case).grads]

    report = oracle.check_function(right, NETWORK, LOSS)
    assert report.verdict is oracle.Verdict.CONSISTENT
    del report
    gc.collect()
    assert alive
    assert not [reference for reference in alive if reference() is not None]
