"""The numbers that an elementwise function is asked about: all of a 16-bit format, a dense sample of the wider ones."""

import numpy as np

from functional_mlp._dtypes import DTYPES, Array

SPREAD = 1 << 16  # numbers over all binades of a wide format, and as many where activations bend
BEND = 16.0
STREAM = 0x5EED
NEIGHBOURS = 64  # numbers on either side of a place that is looked at closely
SPECIALS = (np.nan, np.inf, -np.inf, 0.0, -0.0)


def finite_numbers(dtype: str, places: tuple[float, ...] = ()) -> Array:
    """Finite numbers of a format, in ascending order, each once, as float64.

    Args:
        dtype: a key of `DTYPES`.
        places: whose neighbourhood is looked at closely, where not all numbers are taken anyway.
    """
    form = DTYPES[dtype]
    patterns = np.arange(1 << 16, dtype=np.uint16) if form.itemsize == 2 else _sampled(form, places)
    with np.errstate(invalid="ignore"):
        wide = patterns.view(form).astype(np.float64)
    return np.unique(wide[np.isfinite(wide)])


def _sampled(form: np.dtype, places: tuple[float, ...]) -> np.ndarray:
    """Bit patterns: one at random of each of SPREAD equal parts, and what lies where activations bend or jump."""
    bits = 8 * form.itemsize
    random = np.random.Generator(np.random.PCG64(STREAM))
    unsigned = np.dtype(f"u{form.itemsize}")
    step = 1 << (bits - SPREAD.bit_length() + 1)
    spread = (np.arange(SPREAD, dtype=unsigned) * unsigned.type(step)) + random.integers(
        step, size=SPREAD, dtype=unsigned
    )
    bend = random.uniform(-BEND, BEND, SPREAD).astype(form).view(unsigned)
    close = [spread, bend]
    for place in (0.0, *places):
        for side in (np.inf, -np.inf):
            near = [form.type(place)]
            for _ in range(NEIGHBOURS):
                near.append(np.nextafter(near[-1], form.type(side)))
            close.append(np.array(near, form).view(unsigned))
    return np.concatenate(close)
