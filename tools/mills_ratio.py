"""Prints the Chebyshev coefficients of the scaled Mills ratio that `functional_mlp.activations` evaluates for GELU.

M(x) = Phi(-x) / phi(x), x >= 0, is the Mills ratio of the normal distribution. (1 + x) M(x) is smooth and bounded on
[0, inf), and in t = (x - K) / (x + K) its Chebyshev series converges fast (the substitution of Shepherd and
Laframboise, Mathematics of Computation 36, 1981). Run `python -m tools.mills_ratio` (needs mpmath) and paste what it
prints.
"""

import mpmath

CENTRE = 3.0  # K above: the x that t = 0 stands for
TERMS = 29
POINTS = 200


def scaled_mills_ratio(x: mpmath.mpf) -> mpmath.mpf:
    """(1 + x) Phi(-x) / phi(x)."""
    return (1 + x) * mpmath.sqrt(mpmath.pi / 2) * mpmath.erfc(x / mpmath.sqrt(2)) * mpmath.exp(x * x / 2)


def at_t(t: mpmath.mpf) -> mpmath.mpf:
    """The scaled ratio at x = K (1 + t) / (1 - t); by its asymptotic series where x is large."""
    x = CENTRE * (1 + t) / (1 - t)
    if x < 60:
        return scaled_mills_ratio(x)
    series = mpmath.mpf(0)  # M(x) ~ 1/x - 1/x^3 + 3/x^5 - ...: below 1e-40 after 30 terms at x >= 60
    term = 1 / x
    for k in range(30):
        series += term
        term *= -(2 * k + 1) / x**2
    return (1 + x) * series


def chebyshev_coefficients(terms: int, points: int) -> list[mpmath.mpf]:
    """The first `terms` coefficients, by the discrete cosine sum over `points` Chebyshev nodes."""
    angles = [mpmath.pi * (2 * k + 1) / (2 * points) for k in range(points)]
    values = [at_t(mpmath.cos(angle)) for angle in angles]
    sums = [2 * sum(v * mpmath.cos(j * a) for v, a in zip(values, angles, strict=True)) / points for j in range(terms)]
    return [sums[0] / 2, *sums[1:]]


if __name__ == "__main__":
    mpmath.mp.dps = 40
    for coefficient in chebyshev_coefficients(TERMS, POINTS):
        print(f"    {mpmath.nstr(coefficient, 20)},")
