"""check, assert_gradients: what is judged, what is refused, whatever JAX's settings."""

import dataclasses
import functools
import gc
import pickle
import weakref

import jax
import jax.monitoring
import numpy as np
import pytest

import functional_mlp as fm
from functional_mlp import oracle
from functional_mlp.oracle import checking, updates
from functional_mlp.oracle.checking import assert_gradients, check
from functional_mlp.oracle.documents import Gradients, Update
from functional_mlp.oracle.noise import PRECISIONS, estimate_noise
from functional_mlp.oracle.probing import probe
from functional_mlp.oracle.updates import check_update
from functional_mlp.oracle.verdict import Cause, Verdict
from tests.helpers.questions import (
    LOSS,
    NETWORK,
    answer,
    answer_as,
    everything,
    leaf_of,
    question,
    steps,
    textbook,
    verdicts,
    with_kinks,
)
from tests.oracle.truth.test_solution import SETTINGS

PATHS = [f"params[{i}].{name}" for i in range(3) for name in ("weights", "bias")]
CONSISTENT, WRONG, UNDECIDED = "consistent", "wrong", "undecided"


# what is judged


@pytest.mark.parametrize("name", ["loss", "outputs", "deltas", "ct_inputs"])
def test_whatever_else_is_given_is_judged_too(name):
    right = everything(question())[name]
    spoilt = tuple(2 * delta for delta in right) if name == "deltas" else 2 * np.asarray(right)
    for value, verdict in ((right, CONSISTENT), (spoilt, WRONG)):
        report = check(question(), answer(question()), **{name: value})
        paths = [f"deltas[{i}]" for i in range(3)] if name == "deltas" else [name]
        assert verdicts(report) == dict.fromkeys(PATHS, CONSISTENT) | dict.fromkeys(paths, verdict)
        inside = check(question(), Gradients(answer(question()), **{name: value}))
        assert inside.json() == report.json()


def flat(pairs):
    return [leaf for pair in pairs for leaf in pair]


RETURNED = {
    "biases before weights": lambda pairs, loss: tuple(zip(*pairs, strict=True))[::-1],
    "a dict for each layer": lambda pairs, loss: [{"dW": w, "db": b} for w, b in pairs],
    "an iterator of pairs": lambda pairs, loss: zip(*zip(*pairs, strict=True), strict=True),
    "the loss before the arrays": lambda pairs, loss: (loss, *flat(pairs)),
    "the loss behind the arrays": lambda pairs, loss: (*flat(pairs), loss),
    "the loss beside gradients in a dict": lambda pairs, loss: {"loss": loss, "grads": [*pairs]},
}


@pytest.mark.parametrize("form", RETURNED)
def test_gradients_are_taken_in_the_forms_that_functions_return(form):
    loss = everything(question())["loss"]
    pairs = [tuple(layer) for layer in answer(question())]
    paths = [*PATHS, *(["loss"] if "loss" in form else [])]
    assert verdicts(check(question(), RETURNED[form](pairs, loss))) == dict.fromkeys(paths, CONSISTENT)
    spoilt = [(2 * w, b) if i == 1 else (w, b) for i, (w, b) in enumerate(pairs)]
    found = verdicts(check(question(), RETURNED[form](spoilt, loss)))
    assert {path for path, verdict in found.items() if verdict == WRONG} == {"params[1].weights"}


def test_two_lists_of_two_layers_are_told_apart_from_two_pairs():
    case = oracle.draw_case(fm.Network((3, 5, 2), "tanh"), LOSS, samples=4)
    pairs = [tuple(layer) for layer in answer(case)]
    weights, biases = map(list, zip(*pairs, strict=True))
    for form in (pairs, (weights, biases), (biases, weights)):
        assert check(case, form).verdict is Verdict.CONSISTENT


def test_the_number_behind_the_arrays_is_the_bias_of_one_output_where_it_completes_them():
    case = oracle.draw_case(fm.Network((3, 5, 1), "tanh"), LOSS, samples=4)
    (w1, b1), (w2, b2) = answer(case)
    assert verdicts(check(case, [w1, b1, w2, float(b2[0])]))["params[1].bias"] == CONSISTENT
    with_loss = verdicts(check(case, [w1, b1, w2, float(b2[0]), everything(case)["loss"]]))
    assert (with_loss["params[1].bias"], with_loss["loss"]) == (CONSISTENT, CONSISTENT)


@pytest.mark.parametrize("pair", [tuple, list])
@pytest.mark.parametrize("number", [float, np.float64, np.asarray])
def test_the_loss_and_the_gradients_may_come_as_a_pair(pair, number):
    loss = everything(question())["loss"]
    for value, verdict in ((number(loss), CONSISTENT), (number(2 * loss), WRONG)):
        report = check(question(), pair((value, answer(question()))))
        assert verdicts(report) == dict.fromkeys(PATHS, CONSISTENT) | {"loss": verdict}


def test_a_gradient_may_be_right_for_the_wrong_function():
    """A constant forgotten in the loss shows in no gradient; another scale shows in all but the outputs."""
    case, right = question(), everything(question())
    shifted = check(case, answer(case), **(right | {"loss": right["loss"] + 1.0}))
    assert [path for path, verdict in verdicts(shifted).items() if verdict == WRONG] == ["loss"]
    twice = question(loss=fm.Loss("squared_error", over_samples="mean", scale=2.0))
    scaled = check(case, answer(twice), **everything(twice))
    assert [path for path, verdict in verdicts(scaled).items() if verdict != WRONG] == ["outputs"]


@pytest.mark.parametrize(
    ("name", "value", "cause", "words"),
    [
        ("loss", [[1.0, 2.0]], Cause.SHAPE, "(), got (1, 2)"),
        ("loss", np.nan, Cause.NOT_FINITE, "nan, expected"),
        ("outputs", np.ones((2, 5)), Cause.SHAPE, "(5, 2), got (2, 5)"),
        ("ct_inputs", np.ones(3), Cause.SHAPE, "(5, 3), got (3,)"),
    ],
)
def test_what_does_not_fit_is_wrong(name, value, cause, words):
    leaf = leaf_of(check(question(), answer(question()), **{name: value}), name)
    assert (leaf.verdict, leaf.cause) == (Verdict.WRONG, cause)
    assert words in leaf.sentence


def test_deltas_of_too_few_and_too_many_layers_are_wrong():
    deltas = everything(question())["deltas"]
    few = verdicts(check(question(), answer(question()), deltas=deltas[:1]))
    assert [few[f"deltas[{i}]"] for i in range(3)] == [CONSISTENT, WRONG, WRONG]
    many = verdicts(check(question(), answer(question()), deltas=[*deltas, deltas[0]]))
    assert [many[f"deltas[{i}]"] for i in range(4)] == [CONSISTENT, CONSISTENT, CONSISTENT, WRONG]


def test_gradients_that_name_another_case_are_refused():
    case = question()
    assert check(case, Gradients(answer(case), case="a question")).verdict == CONSISTENT
    with pytest.raises(ValueError, match=r"expected the gradients of the case 'a question', got those of .* 'another'"):
        check(case, Gradients(answer(case), case="another"))


def test_a_loss_of_one_number_in_an_array_is_taken():
    loss = everything(question())["loss"]
    for form in (loss, np.float64(loss), np.array(loss), [loss], np.array([loss])):
        assert leaf_of(check(question(), answer(question()), loss=form), "loss").verdict is Verdict.CONSISTENT


def test_a_loss_of_a_bare_cotangent_is_wrong():
    case = question(loss=None, targets=None, ct_outputs=question().targets)
    report = check(case, answer(case), loss=0.0)
    assert verdicts(report) == dict.fromkeys(PATHS, CONSISTENT) | {"loss": WRONG}
    assert "no loss" in leaf_of(report, "loss").sentence


# errors


@pytest.mark.parametrize(
    ("error", "words", "ask"),
    [
        (ValueError, ["unknown precision", "did you mean 'float32'", "float16/float32"],
         lambda: check(question(), answer(question()), precision="flaot32")),
        (ValueError, ["unknown precision 'float32/float16'"],
         lambda: check_update(question(), question().params, 0.1, precision="float32/float16")),
        (ValueError, ["unknown precision 'fp32'", "did you mean 'float32'"],
         lambda: check(question(), answer(question()), precision="fp32")),
        (TypeError, ["oracle.Case", "got NoneType"], lambda: check(None, answer(question()))),
        (TypeError, ["oracle.Case", "got list"], lambda: check_update([], question(), 0.1)),
        (TypeError, ["deltas", "one array per layer", "got dict"],
         lambda: check(question(), answer(question()), deltas={"a": 1})),
        (TypeError, ["one set of parameters per learning rate", "NoneType"],
         lambda: check_update(question(), None, [0.1])),
        (TypeError, ["pair per layer", "got int"], lambda: check_update(question(), 5, 0.1)),
        (TypeError, ["learning_rate"], lambda: check_update(question(), [Update(question().params, 0.1), []])),
        (TypeError, ["precision", "32"], lambda: check(question(), answer(question()), precision=32)),
        (TypeError, ["list with one (weights, bias) pair per layer", "got str"], lambda: check(question(), "abc")),
        (TypeError, ["pair per layer", "got dict"], lambda: check(question(), {"history": [[1.0]]})),
        (TypeError, ["pair per layer", "got int"], lambda: check(question(), 5)),
        (TypeError, ["pair per layer", "got NoneType"], lambda: check(question(), None)),
        (TypeError, ["Update", "check_update"], lambda: check(question(), Update(question().params, 0.1))),
        (TypeError, ["Solution", "solution.grads"], lambda: check(question(), oracle.solve(question()))),
        (TypeError, ["got Gradients", "for check"],
         lambda: check_update(question(), Gradients(question().params), 0.1)),
        (TypeError, ["got Solution"], lambda: check_update(question(), oracle.solve(question()), 0.1)),
        (TypeError, ["oracle.Case", "got list", "gradients come second"],
         lambda: check(answer(question()), question())),
        (TypeError, ["pair per layer", "got ndarray"], lambda: check(question(), np.ones((3, 4)))),
        (TypeError, ["params[0].weights", "a number", "'x'"], lambda: check(question(), [([["x"]], [1.0])] * 3)),
        (TypeError, ["params[0].bias", "a number", "True"], lambda: check(question(), [(np.ones((3, 4)), [True])] * 3)),
        (TypeError, ["outputs", "'x'"], lambda: check(question(), answer(question()), outputs=[["x"]])),
        (TypeError, ["loss"], lambda: check(question(), answer(question()), loss="0.5")),
        (TypeError, ["deltas", "one array per layer"], lambda: check(question(), answer(question()), deltas=1.0)),
        (ValueError, ["learning_rate", "above 0", "0.0"], lambda: check_update(question(), question().params, 0)),
        (ValueError, ["learning_rate", "above 0", "-1"], lambda: check_update(question(), question().params, -1.0)),
        (ValueError, ["learning_rate", "finite"], lambda: check_update(question(), question().params, np.nan)),
        (TypeError, ["learning_rate", "a real number"], lambda: check_update(question(), question().params)),
        (TypeError, ["learning_rate", "a real number"], lambda: check_update(question(), question().params, True)),
        (TypeError, ["learning_rate", "a real number", "'x'"],
         lambda: check_update(question(), [question().params], ["x"])),
        (ValueError, ["3 for 2 rates"], lambda: check_update(question(), question().params, [0.1, 0.2])),
        (ValueError, ["one set of parameters per learning rate"], lambda: check_update(question(), [], [])),
        (ValueError, ["above 0"], lambda: check_update(question(), Update(question().params, 0.0))),
        (TypeError, ["pair per layer", "got str"], lambda: check_update(question(), "abc", 0.1)),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence(error, words, ask, says):
    says(error, words, ask)


def test_a_case_without_a_finite_answer_is_an_overflow():
    params = [(1e200 * weights, bias) for weights, bias in question().params[:1]]
    network = fm.Network((3, 4), "identity")
    case = oracle.Case(network, LOSS, params, question().inputs, np.ones((5, 4)))
    with pytest.raises(OverflowError, match="not finite"):
        check(case, question().params[:1])


def test_assert_gradients_passes_or_raises_the_text():
    case = question()
    assert assert_gradients(case, answer(case), outputs=everything(case)["outputs"]).verdict is Verdict.CONSISTENT
    assert assert_gradients(case, answer_as(np.float32), precision="float32").precision == "float32"
    spoilt = answer(case)
    spoilt[0][1] = -spoilt[0][1]
    with pytest.raises(AssertionError) as wrong:
        assert_gradients(case, spoilt)
    assert str(wrong.value) == "\n" + check(case, spoilt).text()
    with pytest.raises(AssertionError, match="UNDECIDED: "):
        assert_gradients(with_kinks(), answer(with_kinks(at_zero=1.0)))


# whatever JAX's settings


def spoken():
    """A consistent, a wrong and an undecided report, and one of updates: their texts and JSON."""
    case, wrong = question(), answer(question())
    wrong[1][0] = wrong[1][0].T
    reports = [
        check(case, answer(case), precision="float16", **everything(case)),
        check(case, wrong),
        check(with_kinks(), answer(with_kinks(at_zero=1.0))),
        check_update(case, steps(case, 0.1), 0.1, precision="float32"),
    ]
    assert [str(report.verdict) for report in reports] == [CONSISTENT, WRONG, UNDECIDED, CONSISTENT]
    return [form for report in reports for form in (report.text(), report.json())]


@functools.cache
def spoken_plainly():
    return spoken()


@pytest.mark.parametrize("setting", [*SETTINGS, "x64 off", "strict promotion", "standard rank promotion"])
def test_the_same_words_under_any_settings_which_are_left_as_they_were(setting):
    scope = {
        "x64 off": lambda: jax.enable_x64(False),
        "strict promotion": lambda: jax.numpy_dtype_promotion("strict"),
        "standard rank promotion": lambda: jax.numpy_rank_promotion("allow"),
    } | SETTINGS
    plain = spoken_plainly()
    with scope[setting]():
        before = dict(jax.config.values)
        inside = spoken()
        assert dict(jax.config.values) == before
    assert inside == plain


def test_numpys_error_settings_matter_no_more():
    plain = spoken_plainly()
    with np.errstate(all="raise"):
        assert spoken() == plain
        assert set(np.geterr().values()) == {"raise"}


def test_nothing_that_is_given_is_changed():
    case, given, more = question(), answer(question()), everything(question())
    copies = [[leaf.copy() for leaf in layer] for layer in given]
    check(case, given, **more)
    for layer, copy in zip(given, copies, strict=True):
        for leaf, other in zip(layer, copy, strict=True):
            np.testing.assert_array_equal(leaf, other)


def test_a_second_check_of_the_same_shapes_compiles_nothing():
    """Other numbers, other precisions, updates: as long as the case's dtype is no wider than the precision."""
    check(question(), answer(question()))
    compiled = []

    def listen(event, _, **__):
        if "compile" in event:
            compiled.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        other = oracle.draw_case(NETWORK, LOSS, samples=5, seed=2, dtype="bfloat16")
        for precision in ("float64", "float32", "bfloat16", "float16"):
            check(other, answer(other), precision=precision, **everything(other))
        check_update(other, steps(other, 0.1), 0.1)
        assert compiled == []
        jax.jit(lambda x: x + 1)(1.0)  # the listener does listen
        assert compiled
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


def test_every_precision_is_judged():
    for precision in PRECISIONS:
        report = check(question(), answer(question()), precision=precision)
        assert report.precision == precision
        assert report.verdict is not Verdict.WRONG


# what a report keeps


@pytest.mark.parametrize("ask", ["check", "check_update", "check_function"])
def test_once_the_diagnosis_was_asked_for_a_report_keeps_no_noise(ask, monkeypatch):
    """The noise is seen by its arrays: tuples have no weak references."""
    floors = []

    def remembered(*arguments):
        noise = estimate_noise(*arguments)
        floors.extend(weakref.ref(noise.floors[path].smooth) for path in noise.floors if path.startswith("params"))
        return noise

    for module in (checking, updates, probe):
        monkeypatch.setattr(module, "estimate_noise", remembered)
    half = [(0.5 * weights, bias) for weights, bias in answer(question())]
    report = {
        "check": lambda: check(question(), half),
        "check_update": lambda: check_update(question(), half, 0.1),
        "check_function": lambda: oracle.check_function(doubled, ("identity",), fm.Loss("squared_error")),
    }[ask]()
    gc.collect()
    assert any(floor() is not None for floor in floors)
    found = report.diagnosis
    assert found is not None
    gc.collect()
    assert [floor for floor in floors if floor() is not None] == []
    assert report.diagnose() is found
    copied = dataclasses.replace(report, name="another")
    assert copied.diagnosis is found
    assert len(report.exhibits) > 0
    assert pickle.loads(pickle.dumps(report)).text() == report.text()


def doubled(params, inputs, targets):
    return [(2 * weights, bias) for weights, bias in textbook(params, inputs, targets)]


def columns(samples=4):
    """A network with samples as columns, as courses write it, its data and its right gradients, in a dict."""
    network = fm.Network((4, 5, 3), ("tanh", "softmax"))
    loss = fm.Loss("categorical_cross_entropy", over_samples="mean")
    case = oracle.draw_case(network, loss, samples=samples, layout="columns")
    params = {f"{name}{i}": leaf for i, own in enumerate(case.params, 1) for name, leaf in columns_of(own).items()}
    grads = oracle.solve(case).grads
    right = {f"d{name}{i}": leaf for i, own in enumerate(grads, 1) for name, leaf in columns_of(own).items()}
    return network, loss, params, np.asarray(case.inputs).T, np.asarray(case.targets).T, right


def columns_of(layer):
    return {"W": np.asarray(layer.weights).T, "b": np.asarray(layer.bias)[:, None]}


@pytest.mark.parametrize("samples", [1, 3, 4, 6])
@pytest.mark.parametrize("labels", [False, True])
def test_samples_are_columns_where_biases_are(samples, labels, as_a_person):
    """As many samples as features, or as classes: shapes leave both readings."""
    network, loss, params, inputs, targets, right = columns(samples)
    targets = targets.argmax(axis=0) if labels else targets
    assert oracle.check(oracle.Case(network, loss, params, inputs, targets), right).verdict == "consistent"


def test_a_bias_gradient_of_a_shape_that_fits_nothing_is_judged(as_a_person):
    """As many numbers as units, and no vector, row or column."""
    case = oracle.draw_case(fm.Network((4, 6, 3), "identity"), fm.Loss("squared_error"), samples=5)
    grads = [[np.array(leaf) for leaf in layer] for layer in oracle.solve(case).grads]
    grads[0][1] = grads[0][1].reshape(2, 3)
    assert "expected shape (6,), got (2, 3)" in oracle.check(case, grads).headline


def test_a_bias_gradient_that_broadcasts_is_said(as_a_person):
    network, loss, params, inputs, targets, right = columns(6)
    case = oracle.Case(network, loss, params, inputs, targets)
    assert not any("reshape it" in note for note in oracle.check(case, right).notes)
    report = oracle.check(case, {**right, "db1": right["db1"].ravel()})
    assert report.verdict == "consistent"
    assert any("has shape (5,), the bias (5, 1)" in note and "(5, 5)" in note for note in report.notes)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"db2": None}, "db2 (params[1].bias) is missing."),
        ({"dW1": np.ones((5, 7))}, "dW1 (params[0].weights) cannot be compared: expected shape (5, 4), got (5, 7)."),
        ({"dW2": np.full((3, 5), np.nan)}, "dW2 (params[1].weights) is not finite: nan at [0, 0]"),
    ],
)
def test_what_cannot_be_compared_is_said_first(change, said, as_a_person):
    network, loss, params, inputs, targets, right = columns(6)
    report = oracle.check(oracle.Case(network, loss, params, inputs, targets), right | change)
    assert report.headline.startswith(said)


def test_entries_are_explained_by_the_names_of_reports(as_a_person):
    network, loss, params, inputs, targets, right = columns(6)
    report = oracle.check(oracle.Case(network, loss, params, inputs, targets), right | {"dW1": 2 * right["dW1"]})
    assert report.explain("dW1") == report.explain("W1") == report.explain("params[0].weights")
    with pytest.raises(ValueError, match="expected the path of a parameter"):
        report.explain("dW9")
