"""Mistakes in sums and means over samples and outputs."""

from __future__ import annotations

from tools.mutations.mutation import (
    BACK,
    BIAS,
    COTANGENT,
    DECAY,
    PREVIOUS,
    TERMS,
    WEIGHTS,
    Mutation,
    Patch,
    before,
    behind,
    cotangent_of,
    defined,
    returned,
)

SUMMED = "loss is None or loss.over_samples == 'sum'"
AVERAGED = "loss is not None and loss.over_samples == 'mean'"
FACTORS = "factors = coefficients(problem, loss)"
VALUE = "value = float((factors * terms).sum() + _penalty(problem, loss))"


def _divided(line: str, where: str) -> tuple[Patch]:
    """The gradient of an array divided by the number of samples."""
    name = line.partition(" ")[0]
    return (behind(line, f"if {where}:\n    {name} = {name} / len(ct_z)"),)


def _counted(variant: str, divisor: str) -> Mutation:
    factor = f"len(outputs) / ({divisor}) if loss.over_samples == 'mean' and len(outputs) > 1 else 1.0"
    patch = Patch(COTANGENT, f"return value, factors * ({factor}) * derivatives, fused")
    return Mutation("sample-count-off-by-one", variant, (patch,))


def _skipped(variant: str, row: int) -> Mutation:
    patch = before(BACK, f"if len(ct) > 1:\n    ct = ct.copy()\n    ct[{row}] = 0.0")
    return Mutation("sample-count-off-by-one", variant, (patch,))


MUTATIONS = (
    Mutation("bias-gradient-averaged", "", _divided(BIAS, SUMMED)),
    Mutation("weight-gradient-averaged", "", _divided(WEIGHTS, SUMMED)),
    Mutation("bias-divided-twice", "", _divided(BIAS, AVERAGED)),
    Mutation("weights-divided-twice", "", _divided(WEIGHTS, AVERAGED)),
    Mutation("everything-divided-twice", "", (returned("g / len(ct_z)", AVERAGED),)),
    Mutation("mean-missing", "", (cotangent_of("loss._replace(over_samples='sum')"),)),
    Mutation(
        "mean-added",
        "",
        (
            cotangent_of("loss._replace(over_samples='mean')"),
            before(BACK, "ct = ct / len(ct) if loss is None else ct"),
        ),
    ),
    Mutation("mean-per-layer", "", (Patch(PREVIOUS, "ct = ct_z @ w.T / len(ct_z)"),)),
    Mutation("bias-summed-to-scalar", "", (Patch(BIAS, "ct_b = np.full_like(ct_z[0], ct_z.sum())"),)),
    Mutation("bias-from-one-sample", "first", (Patch(BIAS, "ct_b = ct_z[0]"),)),
    Mutation("bias-from-one-sample", "last", (Patch(BIAS, "ct_b = ct_z[-1]"),)),
    Mutation("outputs-summed-not-averaged", "", (cotangent_of("loss._replace(over_outputs='sum')"),)),
    Mutation("outputs-averaged-not-summed", "", (cotangent_of("loss._replace(over_outputs='mean')"),)),
    Mutation(
        "nominal-batch-size",
        "",
        (
            Patch(
                COTANGENT,
                "n = len(outputs)\n"
                "nominal = 2 ** n.bit_length() if loss.over_samples == 'mean' else n\n"
                "return value, factors * (n / nominal) * derivatives, fused",
            ),
        ),
    ),
    Mutation("loss-scaled", "gradient", (before(BACK, "ct = 3.0 * ct"),)),
    Mutation(
        "loss-scaled",
        "loss-too",
        (
            before(BACK, "ct = ct if loss is None else 3.0 * ct"),
            Patch(DECAY, "decay = 0.0 if loss is None else 3.0 * _float(loss.l2)"),
            behind(VALUE, "value = 3.0 * value"),
        ),
    ),
    Mutation(
        "broadcast-column-row",
        "",
        (
            Patch(
                TERMS,
                "pairs = outputs.shape[1] == 1 and problem.sample_weights is None\n"
                "given = problem.given[:, 0] if pairs else problem.given\n"
                "terms, derivatives = _every_pair(loss.kind, outputs, given) if pairs else"
                " _terms(loss.kind, outputs, given)",
            ),
            Patch("derivatives = outputs * total - problem.given", "derivatives = outputs * total - given"),
            behind(
                FACTORS,
                "if pairs:\n"
                "    factors = factors / (len(outputs) if loss.over_samples == 'mean' else 1)\n"
                "    derivatives = derivatives.sum(axis=1, keepdims=True)",
            ),
            defined("""
def _every_pair(kind, outputs, targets):
    columns = [_terms(kind, outputs, np.full_like(outputs, target)) for target in targets]
    return tuple(np.hstack(column) for column in zip(*columns))
"""),
        ),
    ),
    _counted("one-less", "len(outputs) - 1"),
    _counted("one-more", "len(outputs) + 1"),
    _skipped("first-skipped", 0),
    _skipped("last-skipped", -1),
    Mutation(
        "sample-weights-ignored",
        "",
        (
            Patch(
                COTANGENT,
                "return value, coefficients(problem._replace(sample_weights=None), loss) * derivatives, fused",
            ),
        ),
    ),
)
