"""What losses round: programs of every textbook form are consistent in what they declare, wrong formulas are not."""

import numpy as np
import pytest

import functional_mlp as fm
from functional_mlp import oracle
from functional_mlp._dtypes import DTYPES
from functional_mlp.losses import KINDS
from functional_mlp.oracle.documents import Gradients
from functional_mlp.oracle.noise.floors import estimate_noise
from functional_mlp.oracle.noise.losses import NOISE
from functional_mlp.oracle.noise.precision import precision_named
from functional_mlp.oracle.verdict import Verdict, judge
from reference.plain import Arithmetic, gradients, product_in_order, wide_total

SIZES = (3, 5, 4)
WEIGHTS = (0.5, 2.0, 1.0, 1.25)
SETTINGS = [
    *((kind, {}) for kind in KINDS),
    ("huber", {"delta": 0.25}),
    ("sigmoid_focal", {"gamma": 0.5, "alpha": 0.25}),
    ("softmax_focal", {"gamma": 3.0, "class_weights": WEIGHTS}),
    ("binary_cross_entropy", {"epsilon": 1e-7, "pos_weight": WEIGHTS}),
    ("categorical_cross_entropy", {"epsilon": 1e-3}),
    ("categorical_cross_entropy", {"class_weights": WEIGHTS, "label_smoothing": 0.1, "over_samples": "mean"}),
    ("sigmoid_cross_entropy", {"pos_weight": 3.0, "label_smoothing": 0.1, "over_samples": "mean"}),
    ("softmax_cross_entropy", {"class_weights": WEIGHTS, "over_samples": "batch_mean", "l1": 0.02, "l2": 0.03}),
    ("softmax_cross_entropy", {"ignore_index": -1, "over_samples": "mean", "label_smoothing": 0.1}),
]
LAST = {"binary_cross_entropy": "sigmoid", "categorical_cross_entropy": "softmax", "kl_divergence": "softmax"}
IN_TURN = {dtype: (np.matmul, lambda x, axis: x.sum(axis=axis)) for dtype in ("float64", "float32")}
IN_TURN |= dict.fromkeys(("bfloat16", "float16"), (product_in_order, wide_total))


def case_of(kind, settings, dtype, seed=0, samples=6):
    network = fm.Network(SIZES, ("tanh", LAST.get(kind, "identity")))
    case = oracle.draw_case(network, fm.Loss(kind, **settings), samples=samples, seed=seed, dtype=dtype)
    if "ignore_index" not in settings:
        return case
    targets = case.targets.copy()
    targets[1] = 0.0
    return oracle.Case(network, case.loss, case.params, case.inputs, targets, dtype=dtype)


def judged(case, grads, precision, loss=None):
    solution = oracle.solve(case)
    noise = estimate_noise(case, solution, precision_named(precision))
    layers = [tuple(np.asarray(leaf, np.float64) for leaf in layer) for layer in grads]
    return judge(case, solution, noise, Gradients(layers, loss)), noise


def test_every_kind_has_its_entry():
    assert set(NOISE) == set(KINDS)
    assert {kind for kind, noise in NOISE.items() if noise.flips is not None} == {
        kind for kind, known in KINDS.items() if known.piecewise_linear
    }


@pytest.mark.parametrize("dtype", sorted(DTYPES))
@pytest.mark.parametrize("setting", range(len(SETTINGS)))
def test_textbook_programs_are_consistent(setting, dtype):
    kind, settings = SETTINGS[setting]
    for seed in range(2):
        case = case_of(kind, settings, dtype, seed)
        for fused in (False, True):
            answer = gradients(case, Arithmetic(DTYPES[dtype], *IN_TURN[dtype]), fused)
            leaves, _ = judged(case, answer.grads, dtype, answer.loss)
            assert {leaf.verdict for leaf in leaves} == {Verdict.CONSISTENT}, [leaf.sentence for leaf in leaves]


def through(case, ct_z):
    """The gradients of a network of one hidden tanh layer, from those of the outputs' pre-activations."""
    dtype = ct_z.dtype
    (w1, b1), (w2, _) = ((w.astype(dtype), b.astype(dtype)) for w, b in case.params)
    inputs = case.inputs.astype(dtype)
    hidden = np.tanh(inputs @ w1 + b1)
    delta = (ct_z @ w2.T) * (1 - hidden * hidden)
    return [(inputs.T @ delta, delta.sum(axis=0)), (hidden.T @ ct_z, ct_z.sum(axis=0))]


def outputs_of(case, dtype):
    (w1, b1), (w2, b2) = ((w.astype(dtype), b.astype(dtype)) for w, b in case.params)
    return np.tanh(case.inputs.astype(dtype) @ w1 + b1) @ w2 + b2, case.targets.astype(dtype)


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def focal_of_probabilities(z, t):
    """The focal loss as papers write it: of p_t, through dp/dz = p (1 - p)."""
    p = 1 / (1 + np.exp(-z))
    right = np.where(t == 1, p, 1 - p)
    of_right = -((1 - right) ** 2) / right + 2 * (1 - right) * np.log(right)
    return of_right * np.where(t == 1, 1, -1).astype(z.dtype) * p * (1 - p)


def focal_of_classes(z, t):
    p = softmax(z)
    ct_p = t * (2 * (1 - p) * np.log(p) - (1 - p) ** 2 / p)
    return p * (ct_p - (p * ct_p).sum(axis=1, keepdims=True))


OTHER_FORMS = {
    "log_cosh": lambda z, t: np.sinh(z - t) / np.cosh(z - t),
    "huber": lambda z, t: np.maximum(-1, np.minimum(1, z - t)),
    "absolute_error": lambda z, t: np.where(z > t, 1, -1).astype(z.dtype),
    "hinge": lambda z, t: -t * (t * z < 1),
    "sigmoid_focal": focal_of_probabilities,
    "softmax_focal": focal_of_classes,
    "softmax_kl_divergence": lambda z, t: softmax(z) - t,
}
WRONG_FORMS = {
    "log_cosh": lambda z, t: z - t,
    "huber": lambda z, t: z - t,
    "absolute_error": lambda z, t: z - t,
    "hinge": lambda z, t: -t * (t * z < 0),
    "sigmoid_focal": lambda z, t: 1 / (1 + np.exp(-z)) - t,
    "softmax_focal": lambda z, t: (1 - softmax(z)) ** 2 * (softmax(z) - t),
    "softmax_kl_divergence": lambda z, t: -t / softmax(z),
    "multiclass_hinge": lambda z, t: softmax(z) - t,
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("kind", OTHER_FORMS)
def test_other_textbook_forms_are_consistent(kind, dtype):
    for seed in range(3):
        case = case_of(kind, {}, dtype, seed)
        grads = through(case, OTHER_FORMS[kind](*outputs_of(case, DTYPES[dtype])))
        leaves, _ = judged(case, grads, dtype)
        assert {leaf.verdict for leaf in leaves} == {Verdict.CONSISTENT}, [leaf.sentence for leaf in leaves]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("kind", WRONG_FORMS)
def test_other_formulas_are_wrong(kind, dtype):
    case = case_of(kind, {}, dtype, samples=20)
    leaves, _ = judged(case, through(case, WRONG_FORMS[kind](*outputs_of(case, DTYPES[dtype]))), dtype)
    assert Verdict.WRONG in {leaf.verdict for leaf in leaves}


@pytest.mark.parametrize("kind", ["absolute_error", "hinge", "multiclass_hinge"])
def test_a_small_systematic_error_is_wrong(kind):
    case = case_of(kind, {}, "float32", samples=9)
    right = oracle.solve(case).grads
    leaves, _ = judged(case, [(1.0001 * w, 1.0001 * b) for w, b in right], "float32")
    assert Verdict.WRONG in {leaf.verdict for leaf in leaves}


def at_a_kink(kind, target):
    """One output of exactly 1."""
    network = fm.Network((1, 1), "identity")
    return oracle.Case(network, fm.Loss(kind), [([[0.5]], [0.5])], [[1.0]], [[target]])


@pytest.mark.parametrize(("kind", "sides"), [("absolute_error", (-1.0, 0.0, 1.0)), ("hinge", (-1.0, 0.0))])
def test_either_side_of_a_kink_is_not_wrong(kind, sides):
    case = at_a_kink(kind, 1.0)
    assert oracle.solve(case).grads[0].bias == 0
    for side in sides:
        report = oracle.check(case, [([[side]], [side])])
        expected = oracle.Verdict.CONSISTENT if side == 0 else oracle.Verdict.UNDECIDED
        assert report.verdict is expected
        assert side == 0 or "output 0 at the kink of the loss in sample 0" in report.leaves[0].sentence
    assert oracle.check(case, [([[-2.0]], [-2.0])]).verdict is oracle.Verdict.WRONG


def test_a_kink_farther_than_the_noise_is_no_excuse():
    case = at_a_kink("absolute_error", 1.0 + 1e-9)
    assert oracle.check(case, [([[1.0]], [1.0])]).verdict is oracle.Verdict.WRONG
    assert oracle.check(case, [([[-1.0]], [-1.0])]).verdict is oracle.Verdict.CONSISTENT
    assert oracle.check(case, [([[1.0]], [1.0])], precision="float32").verdict is oracle.Verdict.UNDECIDED


def test_a_parameter_of_0_is_at_the_kink_of_an_l1_penalty():
    network, loss = fm.Network((2, 1), "identity"), fm.Loss("squared_error", l1=0.25)
    case = oracle.Case(network, loss, [([[0.0], [1.0]], [0.0])], [[1.0, 2.0]], [[1.0]])
    (weights, bias), *_ = oracle.solve(case).grads
    np.testing.assert_array_equal(weights, [[2.0], [4.25]])
    for own, verdict in (
        (0.0, oracle.Verdict.CONSISTENT),
        (0.25, oracle.Verdict.UNDECIDED),
        (-0.25, oracle.Verdict.UNDECIDED),
        (0.5, oracle.Verdict.WRONG),
    ):
        report = oracle.check(case, [(weights + np.array([[own], [0.0]]), bias)])
        assert report.verdict is verdict
    assert oracle.check(case, [(weights, bias + 0.25)]).verdict is oracle.Verdict.WRONG  # biases are spared
