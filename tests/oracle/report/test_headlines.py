"""What is said first: the mistake in the person's words, its fix in their layout; several, partial answers, ties."""

import dataclasses
import json

import numpy as np
import pytest

import functional_mlp as fm
from functional_mlp import oracle
from functional_mlp.oracle.case import declared_layer
from functional_mlp.oracle.diagnosis import Diagnosis, Evidence, Named
from functional_mlp.oracle.diagnosis.diagnosis import Relation
from functional_mlp.oracle.documents import validator
from functional_mlp.oracle.mistakes import MISTAKES, Slip, inject, prepare
from functional_mlp.oracle.report.headlines import headline_of, quantity_in_words, value_of
from functional_mlp.oracle.report.notation import Notation
from functional_mlp.oracle.report.sentences import MOST_TIES, fitted

NETWORK = fm.Network((3, 4, 2), ("tanh", "softmax"))
LOSS = fm.Loss("categorical_cross_entropy", over_samples="mean")
CASE = oracle.draw_case(NETWORK, LOSS, samples=5, seed=1)


def named(id_, *layers, variant=None, value=None):
    mistake = MISTAKES[id_]
    layer = layers[0] if len(layers) == 1 else None
    return Named(id_, layer, layers, variant, value, mistake.sentence, mistake.formula, mistake.fix, 15)


def reported(diagnosis):
    """A report on gradients that are all wrong, with a diagnosis of one's own."""
    given = [(2 * weights, 2 * bias) for weights, bias in oracle.solve(CASE).grads]
    return dataclasses.replace(oracle.check(CASE, given), finder=lambda: diagnosis)


def flat(text):
    return " ".join(text.split())


def shown(path):
    return Evidence(path, 15, (0, 0) if path.endswith("weights") else (0,), 1.0, 1.0, 2.0)


@pytest.mark.parametrize(
    ("layout", "id_", "layers", "variant", "sentence", "fix"),
    [
        (None, "bias-divided-twice", (1,), None, "of the last layer is divided", "db2 = dZ2.sum(axis=0)  # dZ2 is"),
        ("columns", "bias-divided-twice", (1,), None, "of the last layer is", "db2 = dZ2.sum(axis=1, keepdims=True)"),
        (
            "columns",
            "weights-divided-twice",
            (0, 1),
            None,
            "gradients of both layers are",
            "dW2 = dZ2 @ A1.T  # dZ2 is",
        ),
        (
            "torch",
            "tanh-derivative-wrong",
            (0,),
            "one-minus-tanh",
            "The derivative of tanh in the hidden layer is taken to be 1 - tanh",
            "dZ1 = dA1 * (1 - A1**2)",
        ),
        ("columns", "weights-not-transposed", (1,), None, "Going back from the last layer", "dA1 = W2.T @ dZ2"),
        (None, "mean-missing", (), None, "not divided by the number of samples", "dZ2 = (A2 - T) / n"),
    ],
)
def test_where_it_is_and_the_right_line_in_the_layout_of_the_case(layout, id_, layers, variant, sentence, fix):
    headline = headline_of(named(id_, *layers, variant=variant), Notation(CASE.laid_out(layout), 2))
    assert sentence in headline.sentence
    assert headline.fix.startswith(fix)


def test_the_text_begins_with_the_mistake_then_says_what_was_judged():
    given = inject(prepare(CASE), [Slip("bias-divided-twice", 1)]).grads
    lines = oracle.check(CASE, given).text().splitlines()
    assert flat(" ".join(lines[:2])) == (
        "WRONG: The bias gradient of the last layer is divided by the number of samples twice."
    )
    assert "5 samples, judged as float64. 3 of 4 arrays consistent, 1 of 4 arrays wrong." in flat(" ".join(lines))
    assert "  fix:   db2 = dZ2.sum(axis=0)  # dZ2 is divided by n already" in lines


def test_what_is_done_in_several_layers_is_written_for_the_last_and_likewise_in_the_others():
    assert headline_of(named("bias-divided-twice", 0, 1), Notation(CASE, 2)).fix.endswith(", likewise in layer 1")
    assert headline_of(named("l2-missing"), Notation(None, 3)).fix == "dW3 = A2.T @ dZ3  # likewise in layers 1, 2"


def test_several_mistakes_are_a_numbered_list():
    mistakes = (named("mean-missing"), named("hidden-derivative-missing", 0), named("bias-never-computed", 0, 1))
    report = reported(Diagnosis(mistakes, (), "mistake", "ct_z of layer 1", explanations=(mistakes,)))
    text = report.text()
    assert text.startswith("WRONG: three things at once:\n 1. The gradients are not divided")
    assert "\n 3. The bias gradients of both layers are never computed and stay 0.\n" in text
    assert "Your numbers are those of a program that does all three, to 15 digits." in flat(text)
    two = reported(Diagnosis(mistakes[1:], (), "mistake", "ct_z of layer 1", explanations=(mistakes[1:],)))
    assert two.text().startswith("WRONG: two mistakes at once:\n 1. ")
    assert "a program that does both, to" in flat(two.text())
    page = report.html()
    assert "<ol" in page
    assert "three things at once:" in page


def test_a_partial_answer_says_what_is_explained_and_what_is_not():
    relation = Relation("scaled", ("params[0].weights",), (2.0,), "params[0].weights is 2 times the right gradient")
    mistakes = (named("bias-divided-twice", 1),)
    report = reported(
        Diagnosis(
            mistakes,
            (),
            "mistake",
            "ct_z of layer 1",
            explanations=(mistakes,),
            evidence=(shown("params[1].bias"), shown("params[0].weights")),
            unexplained=("params[0].weights",),
            relations=(relation,),
        )
    )
    assert flat(report.text()).startswith(
        "WRONG: The bias gradient of the last layer is divided by the number of samples twice. That is a part of it."
    )
    for text in (flat(report.text()), report.html()):
        assert "Your db2 is that of a program that does this, to 15 digits." in text
        assert "What is wrong with dW1 is not explained by it." in text
        assert "dW1 (params[0].weights) is 2 times the right gradient." in text
    document = json.loads(report.json())
    validator("report").validate(document)
    assert document["diagnosis"]["unexplained"] == ["params[0].weights"]
    assert document["diagnosis"]["relations"] == [
        {
            "kind": "scaled",
            "paths": ["params[0].weights"],
            "numbers": [2.0],
            "sentence": "params[0].weights is 2 times the right gradient",
        }
    ]


def test_where_no_mistake_is_known_the_relations_come_first():
    relations = tuple(
        Relation("scaled", (f"params[{i}].bias",), (3.0,), f"params[{i}].bias is 3 times the right gradient.")
        for i in (1, 0)
    )
    report = reported(Diagnosis((), (), "", "ct_b of layer 1", relations=relations))
    text = flat(report.text())
    assert text.startswith("WRONG: db2 (params[1].bias) is 3 times the right gradient. 3-4-2")
    assert "db1 (params[0].bias) is 3 times the right gradient." in text
    assert "on the way back is db2 (the bias gradient of the last layer, params[1])." in text
    assert text.count("(params[1].bias) is 3 times") == 1
    validator("report").validate(report.document())


def test_what_is_not_partial_has_no_fields_of_it():
    given = inject(prepare(CASE), [Slip("bias-divided-twice", 1)]).grads
    diagnosis = oracle.check(CASE, given).document()["diagnosis"]
    assert not {"unexplained", "relations"} & diagnosis.keys()


def test_at_most_four_others_are_written_out_and_the_rest_counted():
    ids = ["mean-missing", "mean-added", "bias-divided-twice", "sign-flipped", "l2-sign", "ascends", "l2-missing"]
    explanations = tuple((named(id_),) for id_ in ids)
    ties = tuple(one for (one,) in explanations[1:])
    text = reported(Diagnosis(explanations[0], ties, "either", "ct_z of layer 1", explanations=explanations)).text()
    assert text.count("\n  - ") == MOST_TIES + 1
    assert "And 2 more, which --json lists." in text
    assert text.index("(mean-added)") < text.index("(bias-divided-twice)")


def test_numbers_that_were_fitted_are_said_one_or_one_for_each_sample():
    one = named("l2-unexpected", value=0.0123456789)
    assert value_of(one) == "0.0123457"
    assert fitted(one) == " (the coefficient λ = 0.0123457)"
    assert headline_of(one, Notation(CASE, 2)).sentence.startswith("A weight decay, 0.0123457 times the weights,")
    assert value_of(one._replace(value=(3.0, 2.0, 1.0))) == "3, 2, 1"
    assert value_of(named("mean-missing")) == ""


def test_what_a_number_may_stand_for_is_said_beside_it_and_in_the_document():
    scaled = named("array-scaled", 1, variant="bias", value=5.0)._replace(meanings=("n", "2", "1/2"))
    headline = headline_of(scaled, Notation(CASE, 2))
    assert headline.sentence == "The bias gradient of the last layer is 5 (n) times the right one."
    report = reported(Diagnosis((scaled,), (), "mistake", "ct_b of layer 1", explanations=((scaled,),)))
    validator("report").validate(report.document())
    assert report.document()["diagnosis"]["mistakes"][0]["meanings"] == ["n", "2", "1/2"]
    assert report.document() == json.loads(report.json())
    plain = reported(
        Diagnosis((named("mean-missing"),), (), "convention", "", explanations=((named("mean-missing"),),))
    )
    assert "meanings" not in plain.document()["diagnosis"]["mistakes"][0]


def test_another_explanation_that_shares_a_mistake_says_only_what_differs():
    mean, missing = named("mean-missing"), named("hidden-derivative-missing", 0)
    explanations = ((mean, missing), (mean, named("relu-mask-missing", 0)), (named("sign-flipped"),))
    text = flat(reported(Diagnosis((mean, missing), (), "mistake", "", explanations=explanations)).text())
    assert "- In place of 2: Going back through tanh in the hidden layer" in text
    assert "(relu-mask-missing in layer 1)." in text
    assert f"- {MISTAKES['sign-flipped'].sentence.rstrip('.')} (sign-flipped)." in text  # the catalogue's: no variant


def test_arrays_that_are_0_but_for_rounding_agree_to_no_digits_and_nothing_is_said_of_them():
    mistakes = (named("bias-summed-to-scalar", 1)._replace(digits=0),)
    text = flat(reported(Diagnosis(mistakes, (), "mistake", "", explanations=(mistakes,))).text())
    assert "Your numbers are those of a program that does this. " in text


def test_a_line_that_mends_two_mistakes_is_written_once():
    both = (named("samples-weighted-unevenly", value=(3.0, 2.0)), named("samples-weighted-unevenly", value=(1.0, 0.0)))
    text = reported(Diagnosis(both, (), "mistake", "", explanations=(both,))).text()
    assert text.count("fix:   dW2 = A1.T @ dZ2  # every sample once, likewise in layer 1\n") == 1
    assert text.count("fix:   as above\n") == 1


@pytest.mark.parametrize(
    ("quantity", "words"),
    [
        ("ct_z of layer 1", "dZ2 (dLoss/dZ of the last layer, params[1]; often called delta)"),
        ("ct_W of layer 0", "dW1 (the weight gradient of the hidden layer, params[0])"),
        ("ct_inputs", "dX (dLoss/dX of the inputs X)"),
        ("the outputs", "the outputs"),
    ],
)
def test_quantities_of_the_project_are_explained(quantity, words):
    assert quantity_in_words(quantity, Notation(CASE, 2)) == words


def test_words_of_tables_are_explained_once():
    text = reported(None).text()
    assert flat(text).count("how far rounding may take a right program") == 1


def test_a_report_without_its_cases_still_says_where():
    given = inject(prepare(CASE), [Slip("bias-divided-twice", 0)]).grads
    report = dataclasses.replace(oracle.check(CASE, given), exhibits=())
    text = report.text()
    assert text.startswith("WRONG: The bias gradient of the hidden layer is divided")
    assert "--explain" not in text


def test_arrays_as_they_were_handed_over_are_in_the_fix():
    case = CASE.laid_out({"bias": "last_row"})
    given = inject(prepare(CASE), [Slip("bias-divided-twice", 1)]).grads
    report = oracle.check(case, [declared_layer(layer, case.layout)["weights"] for layer in given])
    assert "dW2[-1] = dZ2.sum(axis=0)" in report.text()
    assert np.isfinite([leaf.error for leaf in report.leaves]).all()
