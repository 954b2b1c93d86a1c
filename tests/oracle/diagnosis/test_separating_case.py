"""The case that tells mistakes apart: it does, and says where none can."""

import pytest

import functional_mlp as fm
from functional_mlp import oracle
from functional_mlp.oracle.diagnosis.separating_case import separate
from functional_mlp.oracle.mistakes import Slip, plant_together
from tests.helpers.mistaken import case_of


def names(classes):
    return [[tuple(one.id for one in explanation) for explanation in own] for own in classes]


def diagnosed(case, *slips):
    return oracle.check(case, list(plant_together(case, slips).grads)).diagnosis


@pytest.fixture(scope="module")
def one_sigmoid():
    """The kind of network whose published program doubled the derivative of its only sigmoid."""
    network = fm.Network((2, 4, 1), ("relu", "sigmoid"))
    return oracle.draw_case(network, fm.Loss("binary_cross_entropy"), samples=6, seed=3, name="one sigmoid")


DOUBLED = Slip("sigmoid-derivative-doubled")


def test_a_second_sigmoid_layer_tells_a_doubled_derivative_from_a_doubled_gradient(one_sigmoid):
    found = diagnosed(one_sigmoid, DOUBLED)
    twice = {"accumulated", "loss-scaled"}
    assert {one.id for one in (*found.mistakes, *found.ties)} == {"sigmoid-derivative-doubled", *twice}
    case, classes = separate(one_sigmoid, found.explanations)
    assert sorted(names(classes)) == [[("accumulated",), ("loss-scaled",)], [("sigmoid-derivative-doubled",)]]
    assert (case.network.sizes, case.loss) == ((2, 4, 4, 1), one_sigmoid.loss)
    assert [activation.name for activation in case.network.activations] == ["relu", "sigmoid", "sigmoid"]
    there = diagnosed(case, DOUBLED)
    assert ([one.id for one in there.mistakes], there.ties) == (["sigmoid-derivative-doubled"], ())


def test_the_same_question_gives_the_same_case(one_sigmoid):
    found = diagnosed(one_sigmoid, DOUBLED)
    first, second = (separate(one_sigmoid, found.explanations).case for _ in range(2))
    assert (first.inputs == second.inputs).all()


def test_where_there_is_no_tie_there_is_nothing_to_tell_apart():
    case = case_of("softmax")
    found = diagnosed(case, Slip("bias-gradient-averaged", 1))
    with pytest.raises(ValueError, match="nothing to tell apart"):
        separate(case, found.explanations)


def test_what_no_case_tells_apart_is_named():
    """Twice the loss, and the gradients of two calls: only a second call knows."""
    case = oracle.draw_case(fm.Network((3, 2), "identity"), fm.Loss("squared_error"), samples=4)
    found = diagnosed(case, Slip("squared-error-factor", None, "doubled"))
    assert found.kind == "either"
    with pytest.raises(ValueError, match=r"no case of this kind tells these apart: .*accumulated"):
        separate(case, found.explanations)
