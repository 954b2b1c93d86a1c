"""Mistakes at the outputs: factors of the loss, its pairing with the output activation, probabilities and logits."""

from __future__ import annotations

from tools.mutations.mutation import (
    COTANGENT,
    PREVIOUS,
    TERMS,
    THROUGH,
    Mutation,
    Patch,
    before,
    behind,
    cotangent_of,
    defined,
)

# lines of `_terms`, and of what is fused, in reference/plain.py
SQUARED = "return (o - t) ** 2, 2 * (o - t)"
OF_SIGMOID = "return np.logaddexp(0, o) - t * o, _sigmoid(o) - t"
OF_SOFTMAX = "return _times(t, log_total - o), _softmax(o) * t.sum(axis=1, keepdims=True) - t"
BINARY = "_times(1 - t, 1 / (1 - o)) - _times(t, 1 / o)"
TOTAL = 'total = problem.given.sum(axis=1, keepdims=True) if last == "softmax" else 1.0'
FUSED = "derivatives = outputs * total - problem.given"
JACOBIAN = "return a * (ct_a - (ct_a * a).sum(axis=1, keepdims=True))"


def _of_sigmoid(derivatives: str) -> Patch:
    """Another derivative of sigmoid_cross_entropy."""
    return Patch(OF_SIGMOID, f"return np.logaddexp(0, o) - t * o, {derivatives}")


def _of_softmax(derivatives: str) -> Patch:
    """Another derivative of softmax_cross_entropy."""
    return Patch(OF_SOFTMAX, f"return _times(t, log_total - o), {derivatives}")


def _clipped(variant: str, gradient: str) -> Mutation:
    """The gradient of clipped probabilities, in the samples where any is clipped."""
    code = f"""
def _clipped(problem, loss, outputs, derivatives, fused):
    of_logits = loss.kind in ("sigmoid_cross_entropy", "softmax_cross_entropy")
    binary = loss.kind in ("binary_cross_entropy", "sigmoid_cross_entropy")
    by_softmax = loss.kind == "softmax_cross_entropy" if of_logits else problem.units[-1].name == "softmax"
    p = (_softmax if by_softmax else _sigmoid)(outputs) if of_logits else outputs
    inside = np.clip(p, 1e-7, 1 - 1e-7)
    ct_p = _terms("binary_cross_entropy" if binary else "categorical_cross_entropy", inside, problem.given)[1]
    ct_p = {gradient}
    ct_z = p * (ct_p - (ct_p * p).sum(axis=1, keepdims=True)) if by_softmax else ct_p * p * (1 - p)
    changed = (inside != p).any(axis=1, keepdims=True)
    return np.where(changed, ct_z if of_logits or fused else ct_p, derivatives)
"""
    patch = before(
        COTANGENT,
        'if loss.kind != "squared_error":\n    derivatives = _clipped(problem, loss, outputs, derivatives, fused)',
    )
    return Mutation("saturated-gradient-clipped", variant, (patch, defined(code)))


def _mismatched(variant: str) -> Mutation:
    """The derivative of another loss, where it fits the output layer."""
    kind = variant.removeprefix("half_")
    factor = "0.5 * " if variant != kind else ""
    fits = "True" if kind == "squared_error" else f'("{kind}" in PROBABILITY_LOSSES) == of_probabilities'
    return Mutation(
        "loss-mismatch",
        variant,
        (
            behind(
                TERMS,
                'of_probabilities = problem.units[-1].name in ("sigmoid", "softmax")\n'
                f'if loss.kind != "{kind}" and {fits}:\n'
                f'    loss = loss._replace(kind="{kind}")\n'
                f"    derivatives = {factor}_terms(loss.kind, outputs, problem.given)[1]",
            ),
        ),
    )


MUTATIONS = (
    Mutation("squared-error-factor", "doubled", (Patch(SQUARED, "return (o - t) ** 2, 4 * (o - t)"),)),
    Mutation("squared-error-factor", "halved", (Patch(SQUARED, "return (o - t) ** 2, o - t"),)),
    Mutation("loss-scale-missing", "", (cotangent_of("loss._replace(scale=fmpq(1))"),)),
    Mutation("softmax-jacobian-diagonal", "layer", (Patch(JACOBIAN, "return ct_a * (a * (1 - a))"),)),
    Mutation("softmax-jacobian-diagonal", "in-the-loss", (_of_softmax("-t * (1 - _softmax(o))"),)),
    Mutation(
        "softmax-jacobian-twice",
        "",
        (
            Patch(
                THROUGH,
                'past = fused and is_last and unit.name != "softmax"\n'
                "ct_z = ct if past else _through_activation(unit, z, a, ct)",
            ),
            Patch(
                OF_SOFTMAX,
                "p = _softmax(o)\n"
                "ct = p * t.sum(axis=1, keepdims=True) - t\n"
                "return _times(t, log_total - o), p * (ct - (ct * p).sum(axis=1, keepdims=True))",
            ),
        ),
    ),
    Mutation(
        "sigmoid-derivative-twice",
        "",
        (
            Patch(
                THROUGH,
                'past = fused and is_last and unit.name != "sigmoid"\n'
                "ct_z = ct if past else _through_activation(unit, z, a, ct)",
            ),
            _of_sigmoid("(_sigmoid(o) - t) * _sigmoid(o) * (1 - _sigmoid(o))"),
        ),
    ),
    Mutation("targets-assumed-normalised", "", (Patch(TOTAL, "total = 1.0"), _of_softmax("_softmax(o) - t"))),
    _clipped("zero", "np.where(inside == p, ct_p, 0.0)"),
    _clipped("clipped", "ct_p"),
    Mutation(
        "cross-entropy-half",
        "",
        (
            Patch(BINARY, "-_times(t, 1 / o)"),
            behind(FUSED, 'if last == "sigmoid":\n    derivatives = -problem.given * (1 - outputs)'),
            _of_sigmoid("-t * (1 - _sigmoid(o))"),
        ),
    ),
    Mutation("logits-as-probabilities", "difference", (_of_sigmoid("o - t"), _of_softmax("o - t"))),
    Mutation(
        "logits-as-probabilities",
        "quotient",
        (
            _of_sigmoid('_terms("binary_cross_entropy", o, t)[1]'),
            _of_softmax('_terms("categorical_cross_entropy", o, t)[1]'),
        ),
    ),
    Mutation(
        "probabilities-as-logits",
        "",
        (
            before(
                TERMS,
                'of_logits = {"binary": "sigmoid_cross_entropy", "categorical": "softmax_cross_entropy"}\n'
                'loss = loss._replace(kind=of_logits.get(loss.kind.partition("_")[0], loss.kind))',
            ),
        ),
    ),
    *map(
        _mismatched,
        (
            "squared_error",
            "binary_cross_entropy",
            "categorical_cross_entropy",
            "sigmoid_cross_entropy",
            "softmax_cross_entropy",
            "half_squared_error",
        ),
    ),
    Mutation("scale-by-layer", "", (Patch(PREVIOUS, "ct = 2.0 * (ct_z @ w.T)"),)),
)
