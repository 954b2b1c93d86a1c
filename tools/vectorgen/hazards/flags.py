"""The hazards that vectors hunt, each with the mistakes of the catalogue that it shows."""

from collections.abc import Mapping
from typing import NamedTuple


class Note(NamedTuple):
    """What a flag means.

    Attributes:
        hazard: what goes wrong in an implementation that did not think of it.
        mistakes: ids of the catalogue.
    """

    hazard: str
    mistakes: tuple[str, ...] = ()


FLAGS: Mapping[str, Note] = {
    # shapes
    "Ordinary": Note("Nothing special: what any implementation gets right first."),
    "SingleSample": Note("One sample: a sum and a single row look alike, and dimensions may be squeezed away."),
    "SingleUnit": Note("A layer of one unit: (n, 1) and (n,) broadcast to (n, n).", ("broadcast-column-row",)),
    "SingleLayer": Note("No hidden layer: the loop over hidden layers must not run at all."),
    "NonSquare": Note(
        "Neighbouring layers of different sizes: a transposed matrix does not fit.",
        ("weights-not-transposed", "weight-gradient-transposed"),
    ),
    "Square": Note(
        "Equal sizes everywhere, also the number of samples in some: a transposed matrix, another layer's inputs, an"
        " elementwise product all fit, and only numbers tell.",
        (
            *("weights-not-transposed", "weight-gradient-transposed", "elementwise-for-matmul"),
            *("layer-index-shifted", "activated-output-used-as-input", "gradient-used-as-weights"),
            *("derivative-of-neighbour-layer", "wrong-sample-index"),
        ),
    ),
    "Deep": Note("Many layers: a factor that creeps in at each one compounds.", ("scale-by-layer", "mean-per-layer")),
    "Wide": Note("A hundred units: long sums, with every unit in them.", ("sum-not-accumulated", "off-by-one-loop")),
    "NoBias": Note("Layers without a bias: none may be added, and no gradient of one is due."),
    # activations
    "HiddenActivation": Note(
        "The derivative of an activation between layers.",
        (
            *("hidden-derivative-missing", "derivative-of-wrong-variable", "derivative-of-other-activation"),
            *("activation-swapped", "activation-missing", "activation-approximated"),
            *("tanh-derivative-wrong", "sigmoid-derivative-doubled", "relu-mask-missing", "relu-drops-cotangent"),
            *("relu-mask-on-cotangent", "leaky-slope-missing", "leaky-slope-wrong-side", "slope-different"),
        ),
    ),
    "OutputActivation": Note(
        "The derivative of the last activation, which a squared error does not cancel.",
        ("output-derivative-missing", "derivative-of-wrong-variable"),
    ),
    "SoftmaxHidden": Note(
        "A softmax that no cross-entropy cancels: the whole Jacobian is due, not its diagonal.",
        ("softmax-jacobian-diagonal", "softmax-missing"),
    ),
    # losses
    "LossAndReduction": Note(
        "Every loss with sums and means over samples and outputs, and a scale: each factor is due once.",
        (
            *("mean-missing", "mean-added", "everything-divided-twice", "bias-divided-twice", "weights-divided-twice"),
            *("bias-gradient-averaged", "weight-gradient-averaged", "outputs-summed-not-averaged"),
            *("outputs-averaged-not-summed", "squared-error-factor", "loss-scale-missing", "loss-scaled"),
            *("loss-mismatch", "sample-count-off-by-one"),
        ),
    ),
    "UnusualPair": Note(
        "Binary cross-entropy after a softmax, or categorical after a sigmoid: p − t is not its gradient.",
        ("cross-entropy-half", "targets-assumed-normalised"),
    ),
    "SoftTargets": Note("Targets between 0 and 1: both parts of a cross-entropy count.", ("cross-entropy-half",)),
    "TargetsNotNormalised": Note(
        "Targets of a softmax that do not sum to 1: its gradient is p Σt − t.", ("targets-assumed-normalised",)
    ),
    "AnyTargets": Note("Negative targets and targets above 1: the formulas hold for them as well."),
    "PerfectFit": Note("Outputs that are the targets: a gradient of 0, no NaN from 0 / 0."),
    # numbers
    "Saturation": Note(
        "Units far out on either side, where 1 − a², a (1 − a) and eᶻ cancel, underflow or overflow.",
        ("tanh-cancellation", "sigmoid-cancellation", "saturated-gradient-clipped"),
    ),
    "WrongSideSaturation": Note(
        "An output that is sure and wrong: its gradient is t − 1 or so, not 0, not clipped, not infinite.",
        ("saturated-gradient-clipped", "sigmoid-derivative-twice", "softmax-jacobian-twice"),
    ),
    "HugeLogits": Note("Logits whose exponentials overflow: the largest must be subtracted first."),
    "TinyLogits": Note("Logits near 0, or nearly equal: nothing may be lost to log(1 + tiny)."),
    "Kink": Note(
        "A pre-activation of exactly 0 at a relu, leaky relu or elu: either one-sided derivative is right, and the mean"
        " of both, as long as it is the same everywhere.",
        ("kink-other-side",),
    ),
    "NegativeZero": Note("Inputs of −0.0: as 0.0, whatever the sign says.", ("kink-other-side",)),
    "DeadUnits": Note("Units that are inactive for every sample: gradients of exactly 0.", ("dead-unit-columns",)),
    "Cancellation": Note("Sums whose terms nearly cancel: what is left must not be lost by an early rounding."),
    "SumOrder": Note("Sums of numbers of very different sizes: their order shows in the last digits, and may."),
    "Underflow": Note("Numbers near and below the smallest normal one: they may be flushed to 0, nothing else."),
    "Overflow": Note("Numbers whose squares come near the largest one."),
    # batches
    "SampleWeights": Note(
        "Samples of different weights: they belong into the gradient, and a mean divides by their sum.",
        ("sample-weights-ignored",),
    ),
    "PartialBatch": Note(
        "The samples that are left over after full batches: a mean divides by how many there are.",
        ("nominal-batch-size", "mean-missing"),
    ),
    "RepeatedSamples": Note("Equal samples: each counts.", ("overwritten", "bias-from-one-sample")),
    "ManySamples": Note(
        "Long sums over samples: narrow accumulators stagnate.", ("accumulator-too-narrow", "overwritten")
    ),
    "Regulariser": Note(
        "An L2 penalty: its gradient is l2 · w, once, with or without biases, untouched by reductions and scale.",
        (
            *("l2-sign", "l2-factor", "l2-missing", "l2-unexpected", "l2-on-bias", "l2-not-on-bias"),
            *("l2-not-averaged", "l2-on-gradient"),
        ),
    ),
    "BareCotangent": Note(
        "No loss, but a cotangent that comes in from elsewhere.", ("cotangent-ignored", "sign-flipped")
    ),
    "Update": Note(
        "The parameters after one step of gradient descent.",
        ("updated-weights-used", "ascends", "bias-never-updated", "momentum-as-weights", "learning-rate-twice"),
    ),
    # since release 1.1.0
    "EveryPiece": Note(
        "An activation put together of pieces, with units in each: none may be left out or have another slope.",
        ("derivative-of-other-activation", "slope-different", "relu-mask-missing"),
    ),
    "OneOfSeveralForms": Note(
        "A function that goes by the name of another one: the exact gelu, that of tanh, that of a sigmoid.",
        ("gelu-form-other", "gelu-forms-mixed", "activation-approximated"),
    ),
    "OwnConstants": Note(
        "An activation with constants of its own, as a slope, an end, a rate: they belong into the derivative as well.",
        ("slope-different", "derivative-of-other-activation"),
    ),
    "EveryBranch": Note(
        "A loss put together of pieces, with outputs in each of them: the bend of huber, either side of a margin.",
        ("loss-mismatch",),
    ),
    "LossOption": Note(
        "Label smoothing, weights of classes, a weight of the positive class, the exponent of a focal loss, an ε in the"
        " logarithm: each changes the loss and the gradient alike.",
        ("loss-option-missing", "epsilon-in-log"),
    ),
    "ClassWeightMean": Note("With weights of classes a mean divides by the sum of those of its samples' classes."),
    "IgnoredSamples": Note("Samples of an ignored label: they add nothing, and a mean does not count them."),
    "BatchMean": Note("A mean over the number of samples, whatever they weigh; those of weight 0 do not count."),
    "L1": Note("A penalty on |w|: its gradient is l1 · sign(w).", ("l1-missing", "l1-penalty")),
    "UpdateRule": Note(
        "The parameters after a step of momentum, Nesterov's, Adam, AdamW, RMSprop, or of descent with a decay.",
        (
            *("bias-correction-missing", "bias-correction-step-off-by-one", "epsilon-inside-root"),
            *("epsilon-outside-root", "second-moment-not-squared", "decay-coupled", "decay-decoupled"),
            *("weight-decay-missing", "nesterov-missing", "nesterov-unexpected"),
        ),
    ),
    "RuleState": Note(
        "Several steps: what a rule keeps from one to the next shows only now.",
        (
            *("state-not-kept", "momentum-missing", "momentum-sign", "velocity-averaged", "first-moment-missing"),
            *("betas-swapped", "bias-correction-step-off-by-one"),
        ),
    ),
    "Published": Note("A system or a worked example that others have printed numbers of."),
    "PlantedMistake": Note("Gradients that a program with a known mistake computed: a checker must call them wrong."),
}
