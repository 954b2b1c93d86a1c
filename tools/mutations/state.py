"""Mistakes of bookkeeping and precision: what is never computed, overwritten, stale, or rounded too early."""

from __future__ import annotations

from tools.mutations.mutation import (
    BACK,
    BIAS,
    GRADS,
    PREVIOUS,
    PRODUCT,
    RESIDUALS,
    RETURN,
    WEIGHTS,
    Mutation,
    Patch,
    before,
    behind,
    defined,
    returned,
)

CANCELS = (
    "it is in the reference already: the textbook formula is a right program, so the error that a vector allows"
    " includes what its subtraction loses"
)


def _of_last(variant: str, size: str) -> Mutation:
    """The last samples alone."""
    start = f"start = (len(ct_z) - 1) // {size} * {size}\n"
    patches = (
        Patch(WEIGHTS, f"{start}ct_w = a_prev[start:].T @ ct_z[start:]"),
        Patch(BIAS, "ct_b = ct_z[start:].sum(axis=0)"),
    )
    return Mutation("overwritten", variant, patches)


def _narrow(variant: str, module: str) -> Mutation:
    code = f"""
def _added_up(left, right):
    import {module}

    total = np.zeros((len(left), right.shape[1]), {module}.{variant})
    for column, row in zip(left.T, right, strict=True):
        total = (total.astype(np.float64) + np.outer(column, row)).astype(total.dtype)
    return total.astype(np.float64)
"""
    patches = (
        Patch(WEIGHTS, "ct_w = _added_up(a_prev.T, ct_z)"),
        Patch(BIAS, "ct_b = _added_up(np.ones((1, len(ct_z))), ct_z)[0]"),
        Patch(PREVIOUS, "ct = _added_up(ct_z, w.T)"),
        defined(code),
    )
    return Mutation("accumulator-too-narrow", variant, patches)


def _other_samples(variant: str, a_prev: str) -> Mutation:
    return Mutation("wrong-sample-index", variant, (Patch(WEIGHTS, f"ct_w = {a_prev}.T @ ct_z"),))


def _dead(variant: str, derivative: str) -> Mutation:
    patch = before(PRODUCT, f'if unit.name == "relu":\n    derivative = {derivative}')
    return Mutation("dead-unit-columns", variant, (patch,))


def _never_written(variant: str, size: str, entry: str) -> Mutation:
    """An entry of a gradient, or a row or column, that stays 0 where there are several."""
    array = entry.partition("[")[0]
    patch = behind(GRADS, f"ct_w, ct_b = grads[-1]\nif {array} is not None and {size} > 1:\n    {entry} = 0.0")
    return Mutation("off-by-one-loop", variant, (patch,))


def _differences(variant: str, step: str, slope: str) -> Mutation:
    """The gradient by differences; of small networks only, for time."""
    code = f"""
def _by_differences(problem):
    def value_at(params):
        there = _solved(problem._replace(params=params))
        return (there.outputs * problem.given).sum() if there.loss is None else there.loss

    def gradient(layer, part):
        found = np.zeros_like(problem.params[layer][part])
        for index in np.ndindex(found.shape):
            def moved(step):
                params = [[w.copy(), None if b is None else b.copy()] for w, b in problem.params]
                params[layer][part][index] += step
                return value_at(params)

            found[index] = {slope}
        return found

    right, h, here = _solved(problem), {step}, value_at(problem.params)
    if sum(w.size for w, _ in problem.params) > 100:
        return right
    grads = [
        tuple(None if problem.params[layer][part] is None else gradient(layer, part) for part in (0, 1))
        for layer in range(len(problem.params))
    ]
    return right._replace(grads=tuple(grads))
"""
    patches = (Patch("return _solved(checked(case))", "return _by_differences(checked(case))"), defined(code))
    return Mutation("finite-difference", variant, patches)


MUTATIONS = (
    Mutation(
        "bias-never-computed",
        "",
        (behind(GRADS, "grads[-1] = (grads[-1][0], None if b is None else np.zeros_like(b))"),),
    ),
    Mutation("layer-never-computed", "", (returned("np.zeros_like(g)", "layer == 0"),)),
    Mutation(
        "accumulated",
        "",
        (
            defined("BUFFERS = []  # as many as the network of the call before has arrays"),
            before(
                RETURN,
                "shapes = [[None if g is None else g.shape for g in layer] for layer in grads]\n"
                "if shapes == [[None if g is None else g.shape for g in layer] for layer in BUFFERS]:\n"
                "    grads = [\n"
                "        tuple(None if g is None else g + before for g, before in zip(*pair, strict=True))\n"
                "        for pair in zip(grads, BUFFERS, strict=True)\n"
                "    ]\n"
                "BUFFERS[:] = grads",
            ),
        ),
    ),
    _of_last("last-sample", "1"),
    _of_last("last-chunk", "max(1, len(ct_z) // 2)"),
    Mutation(
        "cotangent-ignored",
        "",
        (
            Patch(
                "(None, problem.given, False) if loss is None", "(None, np.ones_like(outputs), False) if loss is None"
            ),
        ),
    ),
    _narrow("float16", "numpy"),
    _narrow("bfloat16", "ml_dtypes"),
    Mutation(
        "float32-inside-float64",
        "",
        (
            behind(
                RESIDUALS,
                "if layer == 0:\n    w, a_prev, z, a, ct = (x.astype(np.float32) for x in (w, a_prev, z, a, ct))",
            ),
        ),
    ),
    Mutation("tanh-cancellation", "", (), CANCELS),
    Mutation("sigmoid-cancellation", "", (), CANCELS),
    _other_samples("next-sample", "np.roll(a_prev, -1, axis=0)"),
    _other_samples("previous-sample", "np.roll(a_prev, 1, axis=0)"),
    _other_samples("reversed", "a_prev[::-1]"),
    _other_samples("first-sample", "np.broadcast_to(a_prev[:1], a_prev.shape)"),
    _other_samples("last-sample", "np.broadcast_to(a_prev[-1:], a_prev.shape)"),
    Mutation(
        "wrong-sample-index",
        "unit-index",
        (
            Patch(
                WEIGHTS,
                "units_as_samples = a_prev[: ct_z.shape[1]].T\n"
                "fits = ct_z.shape[1] <= len(ct_z)\n"
                "ct_w = units_as_samples * ct_z.sum(axis=0) if fits else a_prev.T @ ct_z",
            ),
        ),
    ),
    _dead("not-zero", "np.where((z <= 0).all(axis=0), 1.0, derivative)"),
    _dead("zeroed", "np.where((z > 0).all(axis=0), 1.0, 0.0 * z)"),
    Mutation(
        "stale-activations",
        "",
        (
            defined("SEEN = []  # the activations of the call before"),
            before(BACK, "stale, SEEN[:] = SEEN[:], activations"),
            Patch(
                WEIGHTS,
                "fits = layer < len(stale) and stale[layer].shape == a_prev.shape\n"
                "ct_w = (stale[layer] if fits else a_prev).T @ ct_z",
            ),
        ),
    ),
    _never_written("first-row", "len(ct_w)", "ct_w[0]"),
    _never_written("last-row", "len(ct_w)", "ct_w[-1]"),
    _never_written("first-column", "ct_w.shape[1]", "ct_w[:, 0]"),
    _never_written("last-column", "ct_w.shape[1]", "ct_w[:, -1]"),
    _never_written("first-bias", "ct_w.shape[1]", "ct_b[0]"),
    _never_written("last-bias", "ct_w.shape[1]", "ct_b[-1]"),
    _differences("forward", "1e-5", "(moved(h) - here) / h"),
    _differences("central", "1e-3", "(moved(h) - moved(-h)) / (2 * h)"),
)
