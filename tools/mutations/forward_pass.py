"""Mistakes of the forward pass: the gradient is right, for another function."""

from __future__ import annotations

from tools.mutations.chain_rule import UNITS
from tools.mutations.mutation import BACK, BIAS, FIRST, Mutation, Patch, before, behind, defined

ADDED = "z = z + b"
SIGMOID = '"sigmoid": lambda z, p: _sigmoid(z),'
TANH = '"tanh": lambda z, p: np.tanh(z),'
GELU = '"gelu": lambda z, p: z * _normal_distribution(z),'
GELU_DERIVATIVE = '"gelu": lambda z, a, p: _normal_distribution(z) + z * _normal_density(z),'
IDENTITY = 'Unit("identity", fmpq(0), fmpq(0))'


def _without(condition: str) -> tuple[Patch]:
    """Layers without activation; a loss that was fused with it goes on with output − target."""
    return (behind(FIRST, f"units = [{IDENTITY} if {condition} else unit for unit in units]"),)


def _swapped(name: str) -> Mutation:
    """Another activation in every layer that it fits."""
    code = f"""
def _swapped(problem):
    other = {UNITS[name]}

    def fits(layer, unit):
        needs_probabilities = layer == len(problem.units) - 1 and problem.loss is not None
        needs_probabilities = needs_probabilities and problem.loss.kind in PROBABILITY_LOSSES
        several = other.name != "softmax" or problem.params[layer][0].shape[1] > 1
        right = not needs_probabilities or other.name in ("sigmoid", "softmax")
        return other.name != unit.name and several and right

    return problem._replace(units=[other if fits(*layer) else layer[1] for layer in enumerate(problem.units)])
"""
    return Mutation("activation-swapped", name, (before(FIRST, "problem = _swapped(problem)"), defined(code)))


OTHER_SLOPE = """
def _other_slope(unit):
    slope = fmpq(1, 100) if _float(unit.parameter) == 0.2 else fmpq(1, 5)
    kinked = {"relu": "leaky_relu", "leaky_relu": "leaky_relu", "elu": "elu"}
    return Unit(kinked[unit.name], slope, slope) if unit.name in kinked else unit
"""
SHORT_SOFTMAX = """
def _short_softmax(z):
    e = 2.718 ** (z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)
"""
TABLE = "np.clip(np.round(z * 128) / 128, -8, 8)"
TANH_INSIDE = "np.tanh(0.7978845608028654 * (z + 0.044715 * z**3))"

MUTATIONS = (
    Mutation("activation-missing", "", _without('unit.name != "softmax"')),
    *map(_swapped, UNITS),
    Mutation(
        "slope-different",
        "",
        (
            before(FIRST, "problem = problem._replace(units=list(map(_other_slope, problem.units)))"),
            defined(OTHER_SLOPE),
        ),
    ),
    Mutation("softmax-missing", "", _without('unit.name == "softmax"')),
    Mutation(
        "softmax-extra",
        "",
        (
            Patch("outputs = activations[-1]", "outputs = _softmax(activations[-1])"),
            Patch(
                "fused = loss.kind in PROBABILITY_LOSSES and",
                "fused = outputs.shape[1] == 1 and loss.kind in PROBABILITY_LOSSES and",
            ),
            before(BACK, "ct = outputs * (ct - (ct * outputs).sum(axis=1, keepdims=True))"),
        ),
    ),
    Mutation("bias-missing", "", (Patch(ADDED, "z = z + 0 * b"),)),
    Mutation("bias-subtracted", "consistent", (Patch(ADDED, "z = z - b"), Patch(BIAS, "ct_b = -ct_z.sum(axis=0)"))),
    Mutation("bias-subtracted", "forward-only", (Patch(ADDED, "z = z - b"),)),
    Mutation(
        "activation-approximated",
        "short-e",
        (
            Patch(SIGMOID, '"sigmoid": lambda z, p: 1 / (1 + 2.718**-z),'),
            Patch(TANH, '"tanh": lambda z, p: 1 - 2 / (2.718 ** (2 * z) + 1),'),
            Patch('"softmax": lambda z, p: _softmax(z),', '"softmax": lambda z, p: _short_softmax(z),'),
            defined(SHORT_SOFTMAX),
        ),
    ),
    Mutation(
        "activation-approximated",
        "rational",
        (Patch(TANH, '"tanh": lambda z, p: z * (27 + z * z) / (27 + 9 * z * z),'),),
    ),
    Mutation(
        "activation-approximated",
        "table",
        (
            Patch(SIGMOID, f'"sigmoid": lambda z, p: _sigmoid({TABLE}),'),
            Patch(TANH, f'"tanh": lambda z, p: np.tanh({TABLE}),'),
        ),
    ),
    Mutation(
        "activation-approximated",
        "gelu-tanh",
        (
            Patch(GELU, f'"gelu": lambda z, p: 0.5 * z * (1 + {TANH_INSIDE}),'),
            Patch(
                GELU_DERIVATIVE,
                f'"gelu": lambda z, a, p: 0.5 * (1 + {TANH_INSIDE}) + 0.5 * z * (1 - {TANH_INSIDE} ** 2)'
                " * 0.7978845608028654 * (1 + 3 * 0.044715 * z * z),",
            ),
        ),
    ),
    Mutation(
        "activation-approximated",
        "gelu-sigmoid",
        (
            Patch(GELU, '"gelu": lambda z, p: z * _sigmoid(1.702 * z),'),
            Patch(
                GELU_DERIVATIVE,
                '"gelu": lambda z, a, p: _sigmoid(1.702 * z)'
                " + 1.702 * z * _sigmoid(1.702 * z) * (1 - _sigmoid(1.702 * z)),",
            ),
        ),
    ),
)
