"""The Himmelblau reference: derivative, minima, the table of starts, what the printed digits need."""

from __future__ import annotations

import math

import numpy as np
import pytest

from functional_mlp.experiments.published import himmelblau


@pytest.mark.parametrize("point", himmelblau.MINIMA)
def test_minima_have_value_and_slope_zero(point: tuple[float, float]) -> None:
    assert himmelblau.value(*point) < 1e-9
    assert np.abs(himmelblau.gradient(*point)).max() < 1e-3


@pytest.mark.parametrize("point", [(4.0, 0.0), (-1.5, 2.25), (0.0, 0.0), (-3.0, -5.0)])
def test_gradient_agrees_with_central_differences(point: tuple[float, float]) -> None:
    x, y = point

    def f(x: float, y: float) -> float:  # in float64: float32 differences would leave two digits
        return (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2

    assert himmelblau.value(x, y) == pytest.approx(f(x, y), rel=1e-6)
    h = 1e-5
    expected = ((f(x + h, y) - f(x - h, y)) / (2 * h), (f(x, y + h) - f(x, y - h)) / (2 * h))
    assert himmelblau.gradient(x, y) == pytest.approx(expected, rel=1e-5)


def _cut(value: float) -> float:
    return math.trunc(value * 100) / 100


@pytest.mark.parametrize(("start", "printed"), himmelblau.PUBLISHED_STARTS.items())
def test_starts_reach_the_printed_minima(start: tuple[float, float], printed: tuple[str, str]) -> None:
    end = himmelblau.descend(start).points[-1]
    assert [_cut(float(value)) for value in end] == [float(digits) for digits in printed]


def test_everything_is_float32() -> None:
    path = himmelblau.descend((4.0, 0.0), steps=3)
    assert (path.points.dtype, path.points.shape) == (np.float32, (4, 2))
    assert (path.values.dtype, path.values.shape) == (np.float32, (3,))
    assert isinstance(himmelblau.value(4.0, 0.0), np.float32)
    assert himmelblau.descend((4.0, 0.0), steps=0).points.tolist() == [[4, 0]]


def test_correct_rounding_rests_one_ulp_beside_the_printed_point() -> None:
    path = himmelblau.descend((4.0, 0.0))
    x, y = (np.float32(digits) for digits in himmelblau.PUBLISHED_LINE[:2])
    assert path.points[-1].tolist() == [float(np.nextafter(x, np.float32(4))), float(y)]
    assert path.values[-1] == 2.0**-42


def test_squares_one_ulp_high_give_the_printed_line_exactly_at_every_other_step() -> None:
    path = himmelblau.descend((4.0, 0.0), square_x=himmelblau.square_one_ulp_high)
    for step in (196, 198):
        line = (*map(str, path.points[step + 1]), repr(float(path.values[step])))
        assert line == himmelblau.PUBLISHED_LINE
    np.testing.assert_array_equal(path.points[197:199], path.points[199:201])


def test_module_prints_line_and_table(capsys: pytest.CaptureFixture[str]) -> None:
    himmelblau.main()
    printed = capsys.readouterr().out
    assert printed.count(himmelblau.PUBLISHED_LINE[2]) == 2
    assert "(-2, 2) -> (-2.80, 3.13)" in printed
