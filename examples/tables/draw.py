"""Draws the table of this folder: two moons with a colour that says nothing, and some empty cells.

python examples/tables/draw.py > examples/tables/moons.csv
"""

import numpy as np


def rows(samples=300, seed=0):
    """Its lines."""
    rng = np.random.default_rng(seed)
    yield "x,y,colour,moon"
    for _ in range(samples):
        upper, angle = rng.random() < 0.5, rng.uniform(0, np.pi)
        point = (np.cos(angle), np.sin(angle)) if upper else (1 - np.cos(angle), 0.5 - np.sin(angle))
        cells = [f"{number:.3f}" for number in np.add(point, 0.15 * rng.normal(size=2))]
        colour = rng.choice(["red", "green", "blue"])
        if rng.random() < 0.03:
            cells[rng.integers(2)] = ""
        yield f"{cells[0]},{cells[1]},{colour},{'upper' if upper else 'lower'}"


if __name__ == "__main__":
    print("\n".join(rows()))
