"""The one table of tolerances: norm-wise relative differences by dtype, never scaled by an array's size."""

import numpy as np

RELATIVE = {"float64": 1e-12, "float32": 1e-5, "bfloat16": 5e-2, "float16": 5e-3}


def relative_difference(got, expected) -> float:
    """Largest over the leaves of |got - expected| / (|expected| + 1e-3 |whole tree|), Euclidean norms; NaN is inf."""
    import jax

    pairs = list(zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True))
    arrays = [(np.asarray(g, np.float64), np.asarray(e, np.float64)) for g, e in pairs]
    whole = np.sqrt(sum(np.sum(e**2) for _, e in arrays))
    worst = 0.0
    for g, e in arrays:
        assert g.shape == e.shape
        difference = np.linalg.norm(g - e)
        if difference == 0:
            continue
        ratio = difference / (np.linalg.norm(e) + 1e-3 * whole) if whole else np.inf
        worst = max(worst, ratio if np.isfinite(ratio) else np.inf)
    return worst
