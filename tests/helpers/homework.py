"""An exercise, a submission that is right, and one whose biases are not divided."""

from pathlib import Path

import functional_mlp as fm
from functional_mlp import grading

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "course"
RIGHT = (EXAMPLE / "submissions" / "ada.py").read_text(encoding="utf-8")
NETWORK = fm.Network((2, 4, 3, 1), ("relu", "relu", "sigmoid"))
LOSS = fm.Loss("binary_cross_entropy", over_samples="mean")
WRONG_BIAS = RIGHT.replace("dZ.sum(axis=0)", "len(X) * dZ.sum(axis=0)")


def assignment(**fields):
    return grading.Assignment(NETWORK, LOSS, **{"cases": 4, "points": 14, "timeout": 5.0} | fields)
