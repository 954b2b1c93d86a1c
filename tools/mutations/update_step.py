"""Mistakes of the update step: they show in updated parameters only."""

from __future__ import annotations

from tools.mutations.mutation import Mutation, Patch

STEP_OF_WEIGHTS = "new_w = w - learning_rate * ct_w"
STEP_OF_BIAS = "new_b = None if b is None or ct_b is None else b - learning_rate * ct_b"


def _stepped(mistake: str, weights: str, bias: str) -> Mutation:
    patches = (
        Patch(STEP_OF_WEIGHTS, f"new_w = {weights}"),
        Patch(STEP_OF_BIAS, f"new_b = None if b is None or ct_b is None else {bias}"),
    )
    return Mutation(mistake, "", patches)


MUTATIONS = (
    _stepped("ascends", "w + learning_rate * ct_w", "b + learning_rate * ct_b"),
    _stepped("bias-never-updated", "w - learning_rate * ct_w", "b"),
    _stepped("momentum-as-weights", "w + 0.9 * w - learning_rate * ct_w", "b + 0.9 * b - learning_rate * ct_b"),
    _stepped("learning-rate-twice", "w - learning_rate**2 * ct_w", "b - learning_rate**2 * ct_b"),
)
