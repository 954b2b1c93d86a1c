"""How cost grows, and what the choices of compilation give: what is counted, not how long it takes."""

import jax
import numpy as np
import pytest

from benchmarks.speed import choices, growth


def test_the_exponent_is_that_of_the_larger_half() -> None:
    sizes = growth.powers(0, 9)
    assert growth.exponent(sizes, [size**1.5 if size > 16 else 99.0 for size in sizes]) == pytest.approx(1.5)
    assert growth.exponent(sizes, [3.0 * size**2 for size in sizes]) == pytest.approx(2.0)


def test_memory_of_a_full_batch_grows_with_the_samples() -> None:
    few, many = (growth.one_update(growth.MOONS, samples, samples) for samples in (256, 1024))
    assert few.memory is not None
    assert many.memory is not None
    assert 3 < many.memory / few.memory < 4.5
    assert jax.tree.leaves(many.run())


def test_a_growth_is_measured_drawn_and_told() -> None:
    made = growth.Growth("epochs", "nothing", (1, 2, 4), lambda size: growth.Size(size, lambda: None, 100 * size))
    measured = growth.measure(made, repeats=2)
    assert measured.memory == (100, 200, 400)
    assert measured.memory_exponent == pytest.approx(1)
    assert "1 to 4" in growth.table([measured])
    [axes, *hidden] = growth.figure([measured]).axes
    assert axes.get_xscale() == axes.get_yscale() == "log"
    assert not any(panel.axison for panel in hidden)


def test_every_way_to_compile_gives_the_same_training() -> None:
    problem = choices.problems()[0]
    short = problem._replace(data=tuple(array[:40] for array in problem.data))
    results = []
    for way in (next(iter(short.ways)), list(short.ways)[-1]):
        run, _ = choices.prepared(short, short.ways[way], epochs=1)
        results.append(run()[0].params)
    for one, other in zip(*map(jax.tree.leaves, results), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_the_last_way_is_the_one_of_training_and_each_option_is_measured_alone() -> None:
    one_sample, *batches = choices.problems()
    assert list(one_sample.ways.values())[-1].one_kernel
    for problem in batches:
        first, *alone, chosen = problem.ways.values()
        assert first == choices.USUAL
        assert sorted(option for way in alone for option in way.options) == sorted(chosen.options)
        assert all(len(way.options) <= 1 for way in alone)
        assert len(set(problem.ways)) == len(problem.ways)
