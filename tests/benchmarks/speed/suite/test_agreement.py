"""The speed benchmark: its reference, the noise floor, and which competitors' numbers agree. No speed."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.speed.competitors import COMPETITORS, plain_numpy
from benchmarks.speed.suite.agreement import Float32, find_truth, worst
from benchmarks.speed.suite.problems import Basins, Gradient, moons_problem
from benchmarks.speed.suite.references import Exact, backward, forward, loss, named
from tests.benchmarks.speed.suite.drawn_problems import PROBLEMS, truth_of

pytestmark = pytest.mark.slow

each_problem = pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)


# the reference and its noise floor


@each_problem
def test_the_reference_descends_along_the_gradient_of_its_loss(problem):
    rng, exact = np.random.default_rng(1), Exact()
    params = [(w.astype(float), b + 0.1) for w, b in problem.params]
    inputs, targets = problem.inputs.astype(float), problem.targets.astype(float)
    direction = [(rng.normal(size=w.shape), rng.normal(size=b.shape)) for w, b in params]

    def value(step):
        moved = [(w + step * dw, b + step * db) for (w, b), (dw, db) in zip(params, direction, strict=True)]
        return loss(problem, forward(problem, moved, inputs, exact)[-1], targets, exact)[0]

    grads = backward(problem, params, forward(problem, params, inputs, exact), targets, exact)
    slope = sum(np.vdot(g, d) for pair in zip(grads, direction, strict=True) for g, d in zip(*pair, strict=True))
    assert slope == pytest.approx((value(1e-5) - value(-1e-5)) / 2e-5, rel=1e-6)


@given(st.floats(2.0**-100, 2.0**100), st.integers(0, 1000))
def test_rounding_gives_a_float32_next_to_the_number(value, seed):
    rounded = Float32(seed)(np.array([value, -value, np.inf, np.nan]))
    assert np.all(rounded[:2] == rounded[:2].astype(np.float32))
    assert np.all(np.abs(rounded[:2] - [value, -value]) < np.spacing(np.float32(value)) * 1.01)
    np.testing.assert_array_equal(rounded[2:], [np.inf, np.nan])


def test_rounding_is_right_in_the_mean():
    between = np.full(10_000, 1 + 0.25 * 2.0**-23)
    assert np.mean(Float32(0)(between) - between) == pytest.approx(0, abs=0.02 * 2.0**-23)


def test_sums_stray_as_far_as_sequential_ones_do():
    terms = np.random.default_rng(0).random((1000, 400)).astype(np.float32)
    exact = terms.astype(float).sum(axis=0)
    real = np.cumsum(terms, axis=0, dtype=np.float32)[-1] - exact
    drawn = Float32(0).total(terms.astype(float)) - exact
    assert 0.5 < np.std(drawn) / np.std(real) < 2


@each_problem
def test_a_float32_program_agrees(problem):
    answer = named(plain_numpy.batches(problem, 10))
    assert 0 < worst(answer, truth_of(problem, 10)) < 0.5


def test_a_hundred_updates_and_a_smaller_last_batch_are_checked():
    for problem in (*PROBLEMS.values(), moons_problem(), moons_problem(32)):
        short, epochs = problem.checked()
        assert 100 <= epochs * short.updates < 100 + short.updates
        assert short.updates == 100 or len(short.inputs) == len(problem.inputs)


def wrong_rate(problem):
    return replace(problem, learning_rate=problem.learning_rate * 1.01)


def wrong_reduction(problem):
    return replace(problem, over_samples={"mean": "sum", "sum": "mean"}[problem.over_samples])


def wrong_order(problem):
    return replace(problem, inputs=problem.inputs[::-1], targets=problem.targets[::-1])


def last_batch_dropped(problem):
    return problem.shortened(problem.updates - 1)


@each_problem
@pytest.mark.parametrize("planted", [wrong_rate, wrong_reduction, wrong_order, last_batch_dropped])
def test_a_planted_error_is_refused(problem, planted):
    answer = named(plain_numpy.batches(planted(problem), 10))
    assert worst(answer, truth_of(problem, 10)) > 10


def without_a_leaf(leaves):
    return dict(list(leaves.items())[1:])


def transposed(leaves):
    return {name: leaf.T if leaf.ndim == 2 else leaf for name, leaf in leaves.items()}


def with_nan(leaves):
    return {
        name: np.where(np.arange(leaf.size).reshape(leaf.shape) == 1, np.nan, leaf) for name, leaf in leaves.items()
    }


def under_another_name(leaves):
    return {f"network 7: {name}": leaf for name, leaf in leaves.items()}


@pytest.mark.parametrize("spoil", [without_a_leaf, transposed, with_nan, under_another_name, lambda leaves: {}])
def test_what_is_no_answer_never_agrees(spoil):
    truth = find_truth(PROBLEMS["softmax"], 1)
    assert worst(truth.leaves, truth) == 0
    assert worst(spoil(dict(truth.leaves)), truth) == float("inf")


def test_of_several_networks_some_may_be_answered_but_each_in_full():
    problem = moons_problem(networks=3).shortened(4)
    truth = find_truth(problem, 1)
    one = {name: leaf for name, leaf in truth.leaves.items() if name.startswith("network 2: ")}
    assert worst(one, truth) == 0
    assert worst(without_a_leaf(one), truth) == float("inf")


# the competitors that are installed here, in this process

KINDS = {
    "training": (moons_problem().shortened(30), 1),
    "mini-batch": (moons_problem(32).shortened(2), 1),
    "sweep": (moons_problem(networks=3).shortened(20), 1),
    "gradient": (Gradient(PROBLEMS["squared error"]), 1),
    "basins": (Basins(32), 1),
}
LEFT_OUT = {
    *(("torch-compile", "training"), ("torch-compile", "mini-batch")),  # half a minute of compilation
    ("numpy", "sweep"),  # starts processes
    *(("functional_mlp", "training"), ("functional_mlp", "mini-batch")),  # below, from end to end
    ("c", "mini-batch"),  # single samples alone
}
ASKED = [
    pytest.param(competitor, kind, id=f"{competitor.name}, {kind}")
    for competitor in COMPETITORS
    for kind, (problem, _) in KINDS.items()
    if problem.kind in competitor.functions and not competitor.yardstick and (competitor.name, kind) not in LEFT_OUT
]


@pytest.fixture
def as_users_have_it(standard_promotion):
    with jax.numpy_rank_promotion("allow"):
        yield


@pytest.mark.usefixtures("as_users_have_it")
@pytest.mark.parametrize(("competitor", "kind"), ASKED)
def test_a_competitor_gives_the_numbers_of_the_reference_and_starts_afresh_each_time(competitor, kind):
    if competitor.missing():
        pytest.skip(f"{competitor.missing()} not installed")
    problem, repetitions = KINDS[kind]
    problem = competitor.own(problem)
    runner = competitor.builder(problem.kind)(problem)
    answers = [dict(runner.leaves(runner.run(repetitions))) for _ in range(2)]
    truth = truth_of(problem, repetitions)
    assert [worst(answer, truth) < 1 for answer in answers] == [True, True]
    assert runner.units % getattr(problem, "updates", 1) == 0
