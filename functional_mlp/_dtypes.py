"""Formats of floating-point numbers, and the one in which the oracle holds its own."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]  # what the oracle computes with
