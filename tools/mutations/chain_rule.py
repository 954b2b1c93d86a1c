"""Mistakes in the chain rule: the derivative of the activation, the way back through the weights, the pairing."""

from __future__ import annotations

from tools.mutations.mutation import (
    BACK,
    BIAS,
    GRADS,
    PREVIOUS,
    PRODUCT,
    WEIGHTS,
    Mutation,
    Patch,
    before,
    behind,
    defined,
    returned,
    through,
)

# activations by the source of a `Unit` with their defaults; 0.01 and 1 are slope and alpha, and the left side of a kink
PARAMETERS = {"leaky_relu": "fmpq(1, 100)", "elu": "fmpq(1)"}
UNITS = {
    name: f'Unit("{name}", {PARAMETERS.get(name, "fmpq(0)")}, {PARAMETERS.get(name, "fmpq(0)")})'
    for name in ("sigmoid", "tanh", "relu", "leaky_relu", "elu", "softplus", "silu", "gelu", "softmax")
}
VALUE = "VALUES[unit.name]({}, _float(unit.parameter))"
KINKED = 'if unit.name in ("relu", "leaky_relu", "elu"):'
DERIVATIVE = "derivative = DERIVATIVES[unit.name](z, a, _float(unit.parameter))"
RELU = '"relu": lambda z, a, p: (z > 0).astype(np.float64),'
LEAKY = '"leaky_relu": lambda z, a, p: np.where(z > 0, 1.0, p),'
TANH = '"tanh": lambda z, a, p: 1 - a**2,'


def _other_derivative(name: str) -> Mutation:
    call = "_through_activation(other, z, VALUES[other.name](z, _float(other.parameter)), ct)"
    return Mutation("derivative-of-other-activation", name, (through(call, f"other = {UNITS[name]}\n"),))


def _at_neighbour(variant: str, of: str, there: str, values: str) -> Mutation:
    """The derivative at the z or a of another layer, where it has the same shape."""
    fits = f"({there}) and {of}.shape == z.shape"
    if values == "z":
        preparation = f"z_there = {of} if {fits} else z\n"
        call = f"_through_activation(unit, z_there, {VALUE.format('z_there')}, ct)"
    else:
        preparation = f"a_there = {of} if {fits} else a\n"
        call = "_through_activation(unit, z, a_there, ct)"
    return Mutation("derivative-of-neighbour-layer", variant, (through(call, preparation),))


def _paired(variant: str, delta: str, there: str) -> Mutation:
    """The inputs of a layer with the delta of another one, where it has the same shape."""
    preparation = f"paired = {delta} if {there} else ct_z\n"
    patches = (Patch(WEIGHTS, f"{preparation}ct_w = a_prev.T @ paired"), Patch(BIAS, "ct_b = paired.sum(axis=0)"))
    return Mutation("layer-index-shifted", variant, patches)


MUTATIONS = (
    Mutation(
        "updated-weights-used",
        "",
        (
            defined("RATE = 0.1  # until a step says otherwise"),
            Patch(PREVIOUS, "ct = ct_z @ (w - RATE * grads[-1][0]).T"),
            before(
                "after: list[tuple[Array, Array | None]] = []",
                "global RATE\nRATE = learning_rate\nsolution = solve(case)",
            ),
        ),
    ),
    Mutation("output-derivative-missing", "", (through("ct if is_last else _through_activation(unit, z, a, ct)"),)),
    Mutation("hidden-derivative-missing", "", (through("_through_activation(unit, z, a, ct) if is_last else ct"),)),
    Mutation("derivative-of-wrong-variable", "z-for-a", (through("_through_activation(unit, z, z, ct)"),)),
    Mutation(
        "derivative-of-wrong-variable", "a-for-z", (through(f"_through_activation(unit, a, {VALUE.format('a')}, ct)"),)
    ),
    _at_neighbour("next", "pre_activations[layer + 1]", "not is_last", "z"),
    _at_neighbour("previous", "pre_activations[layer - 1]", "layer > 0", "z"),
    _at_neighbour("next-output", "activations[layer + 2]", "not is_last", "a"),
    _at_neighbour("previous-output", "a_prev", "True", "a"),
    *map(_other_derivative, UNITS),
    Mutation("derivative-of-other-activation", "sigmoid-of-output", (through("ct * (a * (1 - a))"),)),
    Mutation("derivative-of-other-activation", "tanh-of-output", (through("ct * (1 - a * a)"),)),
    Mutation("tanh-derivative-wrong", "tanh", (Patch(TANH, '"tanh": lambda z, a, p: a,'),)),
    Mutation("tanh-derivative-wrong", "one-minus-tanh", (Patch(TANH, '"tanh": lambda z, a, p: 1 - a,'),)),
    Mutation(
        "tanh-derivative-wrong", "one-minus-tanh-squared", (Patch(TANH, '"tanh": lambda z, a, p: (1 - a) ** 2,'),)
    ),
    Mutation(
        "sigmoid-derivative-doubled",
        "",
        (Patch('"sigmoid": lambda z, a, p: a * (1 - a),', '"sigmoid": lambda z, a, p: 2 * a * (1 - a),'),),
    ),
    Mutation("relu-drops-cotangent", "", (before(PRODUCT, f"{KINKED}\n    return derivative"),)),
    Mutation(
        "relu-mask-missing",
        "",
        (
            Patch(RELU, '"relu": lambda z, a, p: np.ones_like(z),'),
            Patch(KINKED, 'if unit.name in ("leaky_relu", "elu"):'),
        ),
    ),
    Mutation(
        "relu-mask-on-cotangent",
        "instead",
        (
            behind(
                DERIVATIVE,
                'if unit.name in ("relu", "leaky_relu"):\n'
                "    derivative = DERIVATIVES[unit.name](ct_a, a, _float(unit.parameter))",
            ),
            Patch(KINKED, 'if unit.name == "elu":'),
        ),
    ),
    Mutation(
        "relu-mask-on-cotangent",
        "as-well",
        (
            before(
                PRODUCT,
                'if unit.name in ("relu", "leaky_relu"):\n'
                "    derivative = derivative * DERIVATIVES[unit.name](ct_a, a, _float(unit.parameter))",
            ),
        ),
    ),
    Mutation("leaky-slope-wrong-side", "", (Patch(LEAKY, '"leaky_relu": lambda z, a, p: np.where(z > 0, p, 1.0),'),)),
    Mutation("leaky-slope-missing", "", (Patch(LEAKY, '"leaky_relu": lambda z, a, p: np.where(z > 0, 1.0, 0.0),'),)),
    Mutation(
        "kink-other-side",
        "",
        (
            behind(
                DERIVATIVE,
                'if unit.name == "relu":\n    return ct_a * _at_kink(z, derivative, 1 - _float(unit.at_zero))',
            ),
        ),
    ),
    Mutation(
        "elementwise-for-matmul",
        "every-entry",
        (Patch(PREVIOUS, "ct = ct_z * w.T if len(ct_z) == w.shape[0] == w.shape[1] else ct_z @ w.T"),),
    ),
    Mutation(
        "elementwise-for-matmul",
        "diagonal",
        (Patch(PREVIOUS, "ct = ct_z * np.diagonal(w) if w.shape[0] == w.shape[1] else ct_z @ w.T"),),
    ),
    Mutation("sum-not-accumulated", "", (Patch(PREVIOUS, "ct = ct_z[:, -1:] * w[:, -1]"),)),
    Mutation("weights-not-transposed", "", (Patch(PREVIOUS, "ct = ct_z @ (w if w.shape[0] == w.shape[1] else w.T)"),)),
    Mutation("gradient-used-as-weights", "", (Patch(PREVIOUS, "ct = ct_z @ ct_w.T"),)),
    Mutation(
        "weight-gradient-transposed",
        "",
        (behind(GRADS, "grads[-1] = (grads[-1][0].T.reshape(w.shape), grads[-1][1])"),),
    ),
    Mutation(
        "layer-index-shifted",
        "inputs-of-previous",
        (
            Patch(
                WEIGHTS,
                "fits = layer > 0 and activations[layer - 1].shape == a_prev.shape\n"
                "ct_w = activations[layer - 1 if fits else layer].T @ ct_z",
            ),
        ),
    ),
    _paired("delta-of-next", "deltas[-1]", "deltas and deltas[-1].shape == ct_z.shape"),
    _paired(
        "delta-of-previous",
        "_through_activation(units[layer - 1], pre_activations[layer - 1], a_prev, ct_z @ w.T)",
        "layer > 0 and a_prev.shape == ct_z.shape",
    ),
    Mutation("sign-flipped", "at-the-outputs", (before(BACK, "ct = -ct"),)),
    Mutation("sign-flipped", "at-the-end", (returned("-g"),)),
    Mutation("layer-sign-flipped", "gradient", (returned("-g", "layer == 0 and not is_last"),)),
    Mutation(
        "layer-sign-flipped",
        "cotangent",
        (through("_through_activation(unit, z, a, ct if is_last else -ct)"),),
    ),
    Mutation(
        "activated-output-used-as-input",
        "",
        (Patch(WEIGHTS, "ct_w = (a if a.shape == a_prev.shape else a_prev).T @ ct_z"),),
    ),
)
