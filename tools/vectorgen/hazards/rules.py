"""Hazards of update rules: every one in its usual forms, after one step and after several."""

from collections.abc import Iterator

from functional_mlp.losses import Loss
from functional_mlp.network import Network
from functional_mlp.update_rules import Adam, Descent, Momentum, RMSprop, UpdateRule
from tools.vectorgen.hazards.batches import MEAN, SMALL
from tools.vectorgen.hazards.recipes import WIDE, Recipe

RATE, STEPS = 0.125, 3
# slug: what is special about a rule, and the rule
PLAIN: dict[str, tuple[str, UpdateRule]] = {
    "descent": ("Plain descent", Descent(RATE)),
    "momentum": ("Momentum", Momentum(RATE)),
    "nesterov": ("Nesterov's momentum", Momentum(RATE, nesterov=True)),
    "adam": ("Adam", Adam(RATE)),
    "adamw": ("AdamW: the decay is no part of the gradient", Adam(RATE, 0.25, decoupled=True)),
    "rmsprop": ("RMSprop", RMSprop(RATE)),
}
FORMS: dict[str, tuple[str, UpdateRule]] = {
    "descent-decay": ("Descent with a decay, added to the gradient", Descent(RATE, 0.25)),
    "momentum-decay": ("Momentum with a decay, added to the gradient", Momentum(RATE, 0.25)),
    "momentum-dampened": ("Momentum, dampened from the second step on", Momentum(RATE, dampening=0.5)),
    "momentum-average": (
        "Momentum as a running average: dampened from the first step on",
        Momentum(RATE, dampening=0.9, dampen_first=True),
    ),
    "momentum-inside": ("Momentum whose velocity has the rate in it", Momentum(RATE, rate_inside=True)),
    "nesterov-inside": (
        "Nesterov's momentum whose velocity has the rate in it",
        Momentum(RATE, nesterov=True, rate_inside=True),
    ),
    "nesterov-decay": ("Nesterov's momentum with a decay", Momentum(RATE, 0.25, nesterov=True)),
    "adam-decay": ("Adam with a decay, added to the gradient", Adam(RATE, 0.25)),
    "adam-epsilon": ("Adam with an ε that shows", Adam(RATE, epsilon=0.125)),
    "adam-inside": ("Adam with an ε inside of the root", Adam(RATE, epsilon=0.125, epsilon_inside=True)),
    "adam-uncorrected": (
        "Adam with an ε that is added before the root is corrected, as in Keras",
        Adam(RATE, epsilon=0.125, epsilon_uncorrected=True),
    ),
    "adam-no-correction": ("Adam without the correction of its averages", Adam(RATE, bias_correction=False)),
    "adam-betas": ("Adam with other averages", Adam(RATE, beta1=0.5, beta2=0.75)),
    "rmsprop-decay": ("RMSprop with a decay, added to the gradient", RMSprop(RATE, 0.25)),
    "rmsprop-epsilon": ("RMSprop with an ε that shows", RMSprop(RATE, epsilon=0.125)),
    "rmsprop-inside": ("RMSprop with an ε inside of the root", RMSprop(RATE, epsilon=0.125, epsilon_inside=True)),
    "rmsprop-centred": ("RMSprop, centred", RMSprop(RATE, epsilon=0.125, centred=True)),
    "rmsprop-momentum": ("RMSprop with momentum", RMSprop(RATE, momentum=0.5)),
}
CLASSIFIER, ENTROPY = Network((2, 3, 3), ("tanh", "softmax")), Loss("categorical_cross_entropy", "mean", l2=0.125)


def rules() -> Iterator[Recipe]:
    """Every rule after one step and after several, and a classifier with a penalty."""
    for slug, (comment, rule) in PLAIN.items():
        yield _of(slug, comment, rule, 1, WIDE)
        yield _of(slug, comment, rule, STEPS, WIDE)
        classifier = _of(slug, comment, rule, STEPS, ("float64",))
        words = f"{comment}: a classifier with a penalty, {STEPS} steps."
        yield classifier._replace(slug=f"{slug}-classifier", comment=words, network=CLASSIFIER, loss=ENTROPY)
    for slug, (comment, rule) in FORMS.items():
        yield _of(slug, comment, rule, STEPS, ("float64",))


def _of(slug: str, comment: str, rule: UpdateRule, steps: int, precisions: tuple[str, ...]) -> Recipe:
    words, flags = ("one step", ()) if steps == 1 else (f"{steps} steps", ("RuleState",))
    return Recipe(
        *("rules", f"{slug}-{steps}", f"{comment}: {words}.", ("UpdateRule", *flags), SMALL, MEAN),
        precisions=precisions,
        rule=rule,
        steps=steps,
    )
