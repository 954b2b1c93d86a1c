"""Himmelblau's function f(x, y) = (x²+y−11)² + (x+y²−7)² and gradient descent on it; NumPy float32.

Everything is computed in float32, because the printed digits are: a float64 argument is rounded, never kept.
There is no published mistake here, so there are no variants; there is a rounding instead.

The printed line of the start (4, 0) is one phase of a two-cycle, and no order of the float32 operations that
was tried reaches it: with squares rounded correctly the descent comes to rest one ulp beside it, at
f = 2**-42. Where the squares of x and of u = x²+y−11 err by one ulp upwards, as a float32 power function may
err, the descent prints exactly the published digits at every other step (196, 198, …): see `PUBLISHED_LINE`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Real = float | np.float32
Square = Callable[[np.float32], np.float32]

LEARNING_RATE = 0.01
STEPS = 200

# Four minima, all of value 0, to the digits known.
MINIMA = ((3.0, 2.0), (-2.805118, 3.131313), (-3.779310, -3.283186), (3.584428, -1.848127))

# Start (4, 0), step 199: the point after that step's update, the value before it, as printed. That f is one
# ulp above 5·2**-42; no float32 point near the minimum has it unless a square is wrong in its last place.
PUBLISHED_LINE = ("3.584428", "-1.8481264", "1.1368684856363775e-12")

# start: (x, y) of the end as printed, two decimals, digits cut off rather than rounded.
PUBLISHED_STARTS = {
    (4.0, 0.0): ("3.58", "-1.84"),
    (1.0, 0.0): ("3", "1.99"),
    (-4.0, 0.0): ("-3.77", "-3.28"),
    (-2.0, 2.0): ("-2.80", "3.13"),
}


class Path(NamedTuple):
    """`points` (steps + 1, 2), the start first; `values` (steps,), each before its update; float32."""

    points: NDArray[np.float32]
    values: NDArray[np.float32]


def square(v: np.float32) -> np.float32:
    """Return v², rounded correctly."""
    return v * v


def square_one_ulp_high(v: np.float32) -> np.float32:
    """Return v² one unit in the last place too high (0 stays 0), as a float32 power function may."""
    return np.nextafter(v * v, np.float32(np.inf)) if v else v


def _brackets(x: np.float32, y: np.float32, square_x: Square) -> tuple[np.float32, np.float32]:
    """Return u = x²+y−11 and v = x+y²−7, summed from the left."""
    return square_x(x) + y - np.float32(11), x + square(y) - np.float32(7)


def value(x: Real, y: Real, *, square_x: Square = square) -> np.float32:
    """Return f(x, y) as float32; `square_x` squares x and u = x²+y−11."""
    u, v = _brackets(np.float32(x), np.float32(y), square_x)
    return square_x(u) + square(v)


def gradient(x: Real, y: Real, *, square_x: Square = square) -> tuple[np.float32, np.float32]:
    """Return (df/dx, df/dy) = (4x·u + 2v, 2u + 4y·v) as float32, with u = x²+y−11 and v = x+y²−7."""
    x32, y32, two, four = np.float32(x), np.float32(y), np.float32(2), np.float32(4)
    u, v = _brackets(x32, y32, square_x)
    return four * x32 * u + two * v, two * u + four * y32 * v


def descend(
    start: tuple[float, float],
    *,
    learning_rate: float = LEARNING_RATE,
    steps: int = STEPS,
    square_x: Square = square,
) -> Path:
    """Descend from `start` and return every point and value, all computed in float32."""
    rate = np.float32(learning_rate)
    point = (np.float32(start[0]), np.float32(start[1]))
    points, values = [point], []
    for _ in range(steps):
        values.append(value(*point, square_x=square_x))
        slope = gradient(*point, square_x=square_x)
        point = (point[0] - rate * slope[0], point[1] - rate * slope[1])
        points.append(point)
    return Path(np.array(points, dtype=np.float32), np.array(values, dtype=np.float32))


def _line(name: str, *line: object) -> str:
    x, y, f = line
    return f"{name:<34} x = {x!s:<10} y = {y!s:<11} f = {f}"


def main() -> None:
    """Print the published line beside the computed ones, then the table of starts."""
    print(f"start (4, 0), step {STEPS - 1}: the point after the step's update, f before it")
    print(_line("printed", *PUBLISHED_LINE))
    path = descend((4.0, 0.0))
    print(_line("computed", *path.points[-1], float(path.values[-1])))
    high = descend((4.0, 0.0), square_x=square_one_ulp_high)
    for step in (STEPS - 2, STEPS - 1):
        name = f"squares one ulp high, step {step}"
        print(_line(name, *high.points[step + 1], float(high.values[step])))
    print("\nstart -> end printed (digits cut off), end computed")
    for start, printed in PUBLISHED_STARTS.items():
        x, y = descend(start).points[-1]
        print(f"({start[0]:g}, {start[1]:g}) -> ({', '.join(printed)}), ({x!s}, {y!s})")


if __name__ == "__main__":
    main()
