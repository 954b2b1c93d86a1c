"""How often people make each mistake, as far as it has been counted.

Counted in the field set (`benchmarks/accuracy/field`): 78 programs with mistakes, taken from real hand-written
backpropagation, each with the answers that are right for it. A program counts 1 for each mistake that was made in it;
where several answers are right, the share of them in which the mistake stands. A bias gradient that alone is not
divided by the number of samples stands in no program of this half of the set, and is the commonest of all in the other:
it counts as much as the commonest reduction here. Mistakes that were met elsewhere, and in none of these, count a half.

The numbers order what a case cannot tell apart, the likelier first, and are those by which programs are drawn to
measure the diagnosis. They are of a small sample: only their order and rough size mean something.
"""

from collections.abc import Mapping

UNSEEN = 0.5  # of a mistake that was met, though in no program of the field set

_COUNTED = {
    "updated-weights-used": 15.0,
    "bias-gradient-summed": 7.0,
    "mean-missing": 6.92,
    "derivative-of-wrong-variable": 6.5,
    "loss-mismatch": 4.83,
    "softmax-jacobian-diagonal": 3.5,
    "hidden-derivative-missing": 3.0,
    "squared-error-factor": 2.83,
    "outputs-summed-not-averaged": 2.75,
    "relu-mask-missing": 2.5,
    "loss-scaled": 2.33,
    "bias-gradient-averaged": 2.25,
    "output-derivative-missing": 2.25,
    "activation-missing": 2.0,
    "l2-sign": 2.0,
    "raw-error-sent-back": 2.0,
    "relu-mask-on-cotangent": 2.0,
    "slope-different-backward": 2.0,
    "value-for-derivative": 2.0,
    "derivative-of-other-activation": 1.5,
    "scalar-broadcast": 1.5,
    "array-scaled": 1.25,
    "bias-divided-twice": 1.25,
    "bias-from-weight-gradient": 1.0,
    "bias-never-computed": 1.0,
    "bias-never-updated": 1.0,
    "bias-subtracted": 1.0,
    "derivative-of-error": 1.0,
    "finite-difference": 1.0,
    "l1-penalty": 1.0,
    "l2-on-bias": 1.0,
    "l2-unexpected": 1.0,
    "last-sample-activations": 1.0,
    "layer-never-computed": 1.0,
    "leaky-forward-slip": 1.0,
    "leaky-slope-missing": 1.0,
    "mask-overwrites": 1.0,
    "mean-added": 1.0,
    "penalty-in-delta": 1.0,
    "relu-threshold": 1.0,
    "sample-count-off-by-one": 1.0,
    "samples-weighted-unevenly": 1.0,
    "scale-by-layer": 1.0,
    "sigmoid-derivative-slip": 1.0,
    "sign-flipped": 1.0,
    "softmax-over-samples": 1.0,
    "sum-product-swapped": 1.0,
    "weight-gradient-transposed": 1.0,
    "weights-times-activations": 1.0,
    "wrong-unit-dropped": 1.0,
    "activation-approximated": 0.5,
    "bias-summed-to-scalar": 0.5,
    "l2-not-averaged": 0.5,
    "l2-on-gradient": 0.5,
    "l2-on-summed-gradient": 0.5,
    "outputs-averaged-not-summed": 0.5,
    "short-constant": 0.5,
    "softmax-jacobian-twice": 0.5,
    "weight-gradient-summed": 0.25,
}
_MET_ELSEWHERE = """
accumulated accumulator-too-narrow activated-output-used-as-input activation-swapped ascends bias-correction-missing
bias-correction-step-off-by-one bias-from-one-sample bias-missing bias-summed-over-wrong-axis broadcast-column-row
cotangent-ignored cross-entropy-half dead-unit-columns decay-coupled derivative-of-neighbour-layer
elementwise-for-matmul epsilon-in-log epsilon-inside-root everything-divided-twice float32-inside-float64
gelu-forms-mixed gradient-clipped gradient-normalised gradient-used-as-weights l2-factor l2-missing
layer-index-shifted layer-sign-flipped layers-in-reverse leaky-slope-wrong-side learning-rate-twice
logits-as-probabilities mean-per-layer momentum-as-weights momentum-missing momentum-sign
network-input-used-as-input nominal-batch-size off-by-one-loop output-derivative-missing-in-weights overwritten
pre-activation-used-as-input probabilities-as-logits product-term-missing relu-drops-cotangent
saturated-gradient-clipped second-moment-not-squared sigmoid-derivative-doubled sigmoid-derivative-twice
slope-different softmax-derivative-without-sum softmax-extra softmax-missing stale-activations tanh-cancellation
tanh-derivative-wrong targets-assumed-normalised weight-gradient-averaged weights-not-transposed wrong-sample-index
"""
FREQUENCIES: Mapping[str, float] = dict(
    sorted((_COUNTED | dict.fromkeys(_MET_ELSEWHERE.split(), UNSEEN)).items(), key=lambda pair: -pair[1])
)


def frequency_of(name: str) -> float:
    """How often a mistake is made, relative to others; `UNSEEN` for one that was not met in any real program.

    Example:
        >>> frequency_of("updated-weights-used") > frequency_of("sign-flipped") > frequency_of("of-no-program")
        True
    """
    return FREQUENCIES.get(name, UNSEEN)
