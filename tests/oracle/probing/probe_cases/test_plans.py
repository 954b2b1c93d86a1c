"""Telling cases are what their names say, and the same for the same seed."""

import numpy as np

import functional_mlp as fm
from functional_mlp.oracle.probing import asking_of
from functional_mlp.oracle.probing.probe_cases import plans as probe_cases

NETWORK = fm.Network((4, 5, 6), ("relu", "tanh"))
MEAN = fm.Loss("squared_error", over_samples="mean", l2=0.125)


def pre_activations(case):
    """Of a network whose first activation is relu, and whose second comes last."""
    (w1, b1), (w2, b2) = case.params
    z1 = case.inputs @ w1 + b1
    return z1, np.maximum(z1, 0) @ w2 + b2


def test_the_cases_are_what_their_names_say():
    network, loss = fm.Network((3, 7, 5), ("relu", "softmax")), fm.Loss("categorical_cross_entropy", l2=0.5)
    for seed in range(3):
        cases = {case.name: case for case in probe_cases.draw_probe_cases(network, loss, "float64", seed)}
        assert set(cases) == set(probe_cases.PURPOSES)
        np.testing.assert_allclose(cases["soft targets"].targets.sum(axis=1), 1)
        assert {len(case.inputs) for case in cases.values()} == {9, 4, 1}  # other numbers than the sizes of layers
        assert all(case.loss == loss for case in cases.values())
        sums = cases["targets not summing to 1"].targets.sum(axis=1)
        assert (np.abs(sums - 1) > 0.4).all()
        z = {name: pre_activations(case) for name, case in cases.items()}
        for name in ("several samples", "small pre-activations", "near saturation"):
            for layer in z[name]:
                assert (layer > 0).any(axis=0).all()
                assert (layer < 0).any(axis=0).all()
                assert np.abs(layer).min() > 0.01
        assert all(np.abs(layer).max() < 1.1 for layer in z["small pre-activations"])
        assert all(np.ptp(layer, axis=0).min() > 10 for layer in z["near saturation"])
        assert (z["at the kink"][0][:, 0] == 0).all()
        assert (z["at the kink"][0][:, 1:] != 0).all()


def test_no_case_has_a_sample_of_the_class_that_is_ignored():
    loss = fm.Loss("softmax_cross_entropy", "mean", ignore_index=1)
    cases = probe_cases.draw_probe_cases(fm.Network((4, 3)), loss, asking=asking_of("labels"))
    assert all(case.layout.targets == "labels" for case in cases)
    assert {int(label) for case in cases for label in case.targets.argmax(axis=1)} == {0, 2}


def test_losses_of_probabilities_are_asked_with_those_that_are_declared():
    network, loss = fm.Network((4, 3)), fm.Loss("softmax_kl_divergence")
    soft = probe_cases.draw_probe_cases(network, loss, asking=asking_of("soft"))
    assert all(case.targets.min() > 0 and np.allclose(case.targets.sum(axis=1), 1) for case in soft)
    assert all(set(case.targets.ravel()) == {0.0, 1.0} for case in probe_cases.draw_probe_cases(network, loss))


def test_a_seed_gives_the_same_cases_and_another_seed_others():
    first, same, other = (probe_cases.draw_probe_cases(NETWORK, MEAN, "float16", seed) for seed in (3, 3, 4))
    for one, two, three in zip(first, same, other, strict=True):
        np.testing.assert_array_equal(one.params[0].weights, two.params[0].weights)
        np.testing.assert_array_equal(one.inputs, two.inputs)
        assert not np.array_equal(one.inputs, three.inputs)
    assert [case.name for case in first] == [name for name in probe_cases.PURPOSES if "targets" not in name]
