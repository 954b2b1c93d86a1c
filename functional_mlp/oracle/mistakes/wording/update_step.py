"""Words for mistakes of the update step and its rule."""

from collections.abc import Mapping

from functional_mlp.oracle.mistakes.wording.wording import Wording

STEP = "{W} = {W} - rate * {dW}"
VELOCITY = "v = mu * v + {dW}; {W} = {W} - rate * v"
ADAM = "{W} = {W} - rate * m_hat / (np.sqrt(v_hat) + eps)"
CORRECTED = "m_hat = m / (1 - beta1**t); v_hat = v / (1 - beta2**t)  # t = 1 in the first step"

UPDATE_STEP_WORDING: Mapping[str, Wording] = {
    "ascends": Wording(
        "The step goes uphill: the gradient is added to the parameters.", STEP, "{W} = {W} + rate * {dW}"
    ),
    "bias-never-updated": Wording("The biases are never updated.", "{b} = {b} - rate * {db}", "{b} = {b}"),
    "momentum-as-weights": Wording(
        "Momentum ({value}) is applied to the parameters, where the velocity is meant.",
        "v = mu * v - rate * {dW}; {W} = {W} + v",
    ),
    "learning-rate-twice": Wording(
        "The gradient is multiplied with the learning rate twice.", STEP, "{W} = {W} - rate**2 * {dW}"
    ),
    "momentum-missing": Wording("There is no momentum: every step is one of plain descent.", VELOCITY),
    "momentum-sign": Wording("The velocity of the step before is subtracted, not added.", VELOCITY),
    "nesterov-missing": Wording(
        "The momentum is the classical one, where Nesterov's is declared.",
        "v = mu * v + {dW}; {W} = {W} - rate * ({dW} + mu * v)",
    ),
    "nesterov-unexpected": Wording("The momentum is Nesterov's, where the classical one is declared.", VELOCITY),
    "velocity-averaged": Wording("The gradient goes into the velocity with a factor 1 - mu.", VELOCITY),
    "state-not-kept": Wording(
        "What the rule keeps is forgotten: every step is a first step.", "v = 0  # once, before the first step"
    ),
    "bias-correction-missing": Wording("The running averages are not corrected for their start at 0.", CORRECTED),
    "bias-correction-step-off-by-one": Wording(
        {
            "counts from 2": "The correction of the running averages counts the first step as 2.",
            "counts from 0": "The correction of the running averages counts the first step as 0.",
        },
        CORRECTED,
    ),
    "epsilon-inside-root": Wording("The epsilon stands inside of the root.", ADAM),
    "epsilon-outside-root": Wording(
        "The epsilon stands outside of the root.", "{W} = {W} - rate * {dW} / np.sqrt(v + eps)"
    ),
    "second-moment-not-squared": Wording(
        {
            "its magnitude": "The second running average is of the gradient's magnitude, not of its square.",
            "the gradient": "The second running average is of the gradient, not of its square.",
        },
        "v = beta2 * v + (1 - beta2) * {dW}**2",
    ),
    "first-moment-missing": Wording("The gradient itself is used where its running average is meant.", ADAM),
    "betas-swapped": Wording(
        "The two decay rates beta1 and beta2 are swapped.",
        "m = beta1 * m + (1 - beta1) * {dW}; v = beta2 * v + (1 - beta2) * {dW}**2",
    ),
    "decay-coupled": Wording(
        "The weight decay is added to the gradient, where AdamW subtracts it from the weights.",
        "{W} = {W} - rate * (m_hat / (np.sqrt(v_hat) + eps) + decay * {W})",
    ),
    "decay-decoupled": Wording(
        "The weight decay is subtracted from the weights, where it belongs to the gradient.",
        "{dW} = {dW} + decay * {W}",
    ),
    "weight-decay-missing": Wording("The weight decay is left out.", "{dW} = {dW} + decay * {W}"),
}
