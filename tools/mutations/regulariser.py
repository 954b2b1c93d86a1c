"""Mistakes in the L2 penalty."""

from __future__ import annotations

from tools.mutations.mutation import BIAS_DECAY, DECAY, GRADS, Mutation, Patch, behind


def _decay(coefficient: str) -> tuple[Patch]:
    return (Patch(DECAY, f"decay = 0.0 if loss is None else {coefficient}"),)


MUTATIONS = (
    Mutation("l2-sign", "", _decay("-_float(loss.l2)")),
    Mutation("l2-factor", "doubled", _decay("2 * _float(loss.l2)")),
    Mutation("l2-factor", "halved", _decay("_float(loss.l2) / 2")),
    Mutation("l2-missing", "", _decay("0.0")),
    Mutation("l2-unexpected", "", (behind(BIAS_DECAY, "decay = decay or 0.01"),)),
    Mutation("l2-on-bias", "", (Patch(BIAS_DECAY, "bias_decay = decay"),)),
    Mutation("l2-not-on-bias", "", (Patch(BIAS_DECAY, "bias_decay = 0.0"),)),
    Mutation("l2-not-averaged", "times-n", _decay("_float(loss.l2) * len(outputs)")),
    Mutation("l2-not-averaged", "divided-by-n", _decay("_float(loss.l2) / len(outputs)")),
    Mutation(
        "l2-on-gradient",
        "",
        (Patch(GRADS, "grads.append((ct_w + decay * ct_w, None if b is None else ct_b + bias_decay * ct_b))"),),
    ),
)
