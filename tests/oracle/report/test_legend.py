"""What names mean is said before the first line that has them, with the shapes and the 1/n of the case."""

import pytest

import functional_mlp as fm
from functional_mlp import oracle
from functional_mlp.oracle.mistakes import plant
from functional_mlp.oracle.report.legend import legend_of
from functional_mlp.oracle.report.notation import Notation

NETWORK = fm.Network((3, 4, 2), ("tanh", "softmax"))


def legend(layout=None, network=NETWORK, fixes=(), samples=5, **loss):
    case = oracle.draw_case(network, fm.Loss("categorical_cross_entropy", **loss), samples=samples, seed=1)
    return " ".join(legend_of(Notation(case.laid_out(layout), len(case.params)), fixes))


@pytest.mark.parametrize(
    ("layout", "words"),
    [
        (None, "layer 1 is params[0]: W1 (3,4), b1 (4,); layer 2 is params[1]: W2 (4,2), b2 (2,); X (5,3) are"),
        ("torch", "W1 (4,3), b1 (4,); "),
        ("columns", "W1 (4,3), b1 (4,1); layer 2 is params[1]: W2 (2,4), b2 (2,1); X (3,5) are the inputs, a column"),
        ({"bias": "last_row"}, "W1 (4,4) with the bias as last row"),
        ({"bias": "first_column", "weights": "out_in"}, "W1 (4,4) with the bias as first column"),
    ],
)
def test_parameters_and_inputs_have_the_shapes_that_were_handed_over(layout, words):
    assert words in legend(layout)


def test_of_many_layers_the_first_and_the_last_are_shown():
    text = legend(network=fm.Network((3, 4, 4, 4, 4, 2), ("tanh",) * 4 + ("softmax",)))
    assert "W1 (3,4), b1 (4,); and so on; layer 5 is params[4]: W5 (4,2), b5 (2,);" in text
    assert "W3" not in text


def test_the_1_over_n_of_a_mean_is_said_once_and_where_it_is_not_it_is_not():
    assert "begins with dZ2 = (A2 - T) / n: every dZ has the 1/n from there" in legend(over_samples="mean")
    assert "begins with dZ2 = A2 - T: nothing is divided by n, there or later." in legend()
    assert "begins" not in legend(over_samples="mean", fixes=("db2 = dZ2.sum(axis=0) / n  # not divided by n yet",))


def test_a_loss_that_has_no_line_of_its_own_is_said_in_words():
    assert "dA2 = dLoss(A2, T), the derivative of the loss with all" in legend(label_smoothing=0.1)


def test_numbers_of_samples_and_outputs_are_said_where_lines_have_them():
    assert "a row for each of the n = 5 samples; T are" in legend()
    assert "a row for the one sample (n = 1); T are" in legend(samples=1)
    assert "K = 2 is the number of outputs" in legend(over_outputs="mean")
    assert "K" not in legend()
    assert "rate is the learning rate." in legend(fixes=("W2 = W2 - rate * dW2",))


def test_without_a_case_names_are_explained_without_shapes():
    text = " ".join(legend_of(Notation(None, 2)))
    assert "layer 2 is params[1]: W2 and b2; X are the inputs, T the targets, n is the number of samples" in text


def test_it_stands_before_the_lines_and_no_symbol_of_the_project_is_in_the_text():
    case = oracle.draw_case(NETWORK, fm.Loss("categorical_cross_entropy", over_samples="mean"), samples=5, seed=1)
    text = oracle.check(case, plant(case, "tanh-derivative-wrong", 0).grads).text()
    assert text.index("Names: ") < text.index("  yours: dZ1 = ") < text.index("  fix:   dZ1 = ")
    assert "ct_" not in text
