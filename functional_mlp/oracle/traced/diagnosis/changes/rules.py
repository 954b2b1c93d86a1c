"""What people write on the way back instead of an operation's own rule.

Factors on an edge (left out, doubled, of the wrong sign, n, 1/n) are not here: they are fitted.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from functional_mlp.oracle.traced.diagnosis.changes.layouts import LAYOUTS, Alternative, Pulled, of_spread
from functional_mlp.oracle.traced.diagnosis.changes.slopes import PLAIN, WRONG_SLOPES
from functional_mlp.oracle.traced.diagnosis.replay import SLOPES, Stacked, Step, as_shaped
from functional_mlp.oracle.traced.tracing.primitives import is_float


def alternatives(step: Step, x: list[Any], y: list[Any]) -> Iterator[Alternative]:
    """All of one operation, to its floating operands."""
    for j, a in enumerate(x):
        if not is_float(a):
            continue
        if step.name in SLOPES:
            yield from _of_slope(step, j)
            spread = tuple(k for k, n in enumerate(y[0].shape) if n > 1 and (a.ndim == 0 or a.shape[k] == 1))
            yield from of_spread(a, y[0], spread, j)
        yield from LAYOUTS.get(step.name, _nothing)(step, x, y, j)


def _nothing(step: Step, x: list[Any], y: list[Any], j: int) -> Iterator[Alternative]:
    return iter(())


def _of_slope(step: Step, j: int) -> Iterator[Alternative]:
    true = SLOPES[step.name][j]
    if true is None:
        return
    if step.name not in PLAIN:
        known = {"mul": "the other factor", "div": "the divisor" if j == 0 else "the slope to the divisor"}
        left_out = f"{known.get(step.name, f'the derivative of {_spelled(step)}')} is left out"
        yield Alternative(j, left_out, _sloped(j, lambda p, y, *x: 1.0))
        twice = f"{known.get(step.name, f'the derivative of {_spelled(step)}')} is taken twice"
        yield Alternative(j, twice, _sloped(j, lambda p, y, *x: true(p, y, *x) ** 2))
    for words, slope in WRONG_SLOPES.get(step.name, ((),) * len(step.operands))[j]:
        yield Alternative(j, words, _sloped(j, slope))


def _spelled(step: Step) -> str:
    names = {"logistic": "the sigmoid", "integer_pow": f"the power {step.params.get('y')}"}
    return names.get(step.name, step.name)


def _sloped(j: int, slope: Callable[..., Any]) -> Pulled:
    def pulled(step: Step, x: list[Any], y: list[Any], cts: list[Stacked]) -> Any:
        return as_shaped(np.broadcast_to(cts[0] * slope(step.params, y[0], *x), (len(cts[0]), *y[0].shape)), x[j])

    return pulled
