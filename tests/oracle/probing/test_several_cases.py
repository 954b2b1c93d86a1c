"""What is named of a program must hold in cases of several sizes: what fits one size alone is not what it does."""

import numpy as np
import pytest

import functional_mlp as fm
from functional_mlp import oracle

NETWORK = fm.Network((4, 5, 3), ("tanh", "softmax"))
LOSS = fm.Loss("categorical_cross_entropy", over_samples="mean")


def gradients(params, inputs, targets, *, samples, divisor):
    (w1, b1), (w2, b2) = params
    a1 = np.tanh(inputs @ w1 + b1)
    z2 = a1 @ w2 + b2
    p = np.exp(z2 - z2.max(axis=1, keepdims=True))
    d2 = ((p / p.sum(axis=1, keepdims=True) - targets) / divisor)[:samples]
    d1 = d2 @ w2.T * (1 - a1[:samples] ** 2)
    return [(inputs[:samples].T @ d1, d1.sum(axis=0)), (a1[:samples].T @ d2, d2.sum(axis=0))]


def asked(samples, divisor):
    def program(params, inputs, targets):
        return gradients(params, inputs, targets, samples=samples(len(inputs)), divisor=divisor(inputs))

    return oracle.check_function(program, NETWORK, LOSS)


def test_the_number_of_features_for_that_of_samples(as_a_person):
    """In a batch of 7, n/4 is also K/2 times n/(n - 1): chance."""
    report = asked(lambda n: n, lambda inputs: inputs.shape[1])
    assert [(one.id, one.value) for one in report.diagnosis.mistakes] == [("nominal-batch-size", 4.0)]
    assert report.headline.startswith("The gradient is divided by 4")


@pytest.mark.parametrize("block", [2, 4])
def test_a_lost_remainder_is_not_a_gradient_that_is_never_computed(block, as_a_person):
    """Of one sample nothing is left: but of seven there is."""
    report = asked(lambda n: n - n % block, len)
    if block == 2:  # of seven, the last one
        assert report.headline == "The last sample is left out of the gradient."
    else:
        assert report.diagnosis.mistakes == ()
        assert "the sum over the first 4 of 7 samples: the rest are left out" in report.headline
    noted = any("are samples left over by blocks of 2 lost?" in note for note in report.notes)
    assert noted == (block == 2)  # of 4 no probe case has a multiple


def test_what_can_be_done_in_batches_of_one_size_alone_is_named(as_a_person):
    """Sums over units in place of samples fit biases where there are as many; of one sample they are one number."""
    network = fm.Network((4, 7, 3), ("tanh", "softmax"))

    def program(params, inputs, targets):
        (w1, _), (_, _) = params
        right = gradients(params, inputs, targets, samples=len(inputs), divisor=len(inputs))
        a1 = np.tanh(inputs @ w1 + params[0][1])
        p = np.exp(a1 @ params[1][0] + params[1][1])
        d1 = (p / p.sum(axis=1, keepdims=True) - targets) / len(inputs) @ params[1][0].T * (1 - a1**2)
        return [(right[0][0], d1.sum(axis=1)), right[1]]

    report = oracle.check_function(program, network, LOSS)
    assert "bias-summed-over-wrong-axis" in {one.id for told in report.diagnosis.explanations for one in told}
