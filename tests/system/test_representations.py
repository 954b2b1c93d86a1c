"""What a prompt, a failed assertion and a notebook show of the objects that people get."""

import re
from html.parser import HTMLParser

import jax
import numpy as np
import optax
import pytest

import functional_mlp as fm
from functional_mlp import oracle
from functional_mlp.training.plan import whole_words

NETWORK = fm.Network((2, 4, 1), ("tanh", "sigmoid"))
LOSS = fm.Loss("binary_cross_entropy", over_samples="mean")
CASE = oracle.draw_case(NETWORK, LOSS, samples=5, name="mine")
RIGHT = oracle.solve(CASE).grads
WRONG = [(weights, 5 * bias) for weights, bias in RIGHT]


def trained(epochs=3):
    x, t = np.float32(CASE.inputs), np.float32(CASE.targets)
    params = fm.init_params(NETWORK, jax.random.key(0))
    return fm.train(NETWORK, LOSS, params, x, t, optimizer=optax.sgd(0.1), epochs=epochs)


def swept():
    x, t = np.float32(CASE.inputs), np.float32(CASE.targets)
    keys = jax.random.split(jax.random.key(0), 3)
    return fm.sweep(NETWORK, LOSS, x, t, keys=keys, epochs=2, learning_rates=[0.1, 0.01])


class Closed(HTMLParser):
    """Whether every element is closed, and which there are."""

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.text = [], set(), ""

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.seen.add(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def read(markup):
    parser = Closed()
    parser.feed(markup)
    assert parser.open == []
    return parser


def test_a_report_is_true_where_the_verdict_is_consistent():
    assert oracle.check(CASE, RIGHT)
    assert not oracle.check(CASE, WRONG)


def test_an_assertion_on_a_wrong_gradient_fails_and_says_which_mistake_it_is():
    report = oracle.check(CASE, WRONG)
    with pytest.raises(AssertionError):
        assert report
    assert repr(report).startswith("<Report WRONG: ")
    assert "bias" in repr(report).lower()
    assert "\n" not in repr(report)
    assert repr(oracle.check(CASE, RIGHT)).startswith("<Report CONSISTENT: ")


@pytest.mark.parametrize(
    "network",
    [
        NETWORK,
        fm.Network((3, 2), "relu"),
        fm.Network((3, 2, 2), ({"name": "leaky_relu", "slope": 0.2}, "softmax")),
    ],
)
def test_a_network_is_written_as_it_is_made(network):
    assert eval(repr(network), {"Network": fm.Network}) == network
    assert len(repr(network)) < 90


def test_a_network_of_functions_of_ones_own_is_written_too():
    network = fm.Network((3, 2), ({"name": "cube", "expression": "z**3"},))
    assert "cube" in repr(network)
    assert "cube" in read(network._repr_html_()).text


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: CASE, ("mine", "binary_cross_entropy", "samples 5", "(2, 4, 1)")),
        (lambda: oracle.solve(CASE), ("loss", "(5, 1)", "(2, 4)")),
        (trained, ("train_loss", "epoch 2")),
        (swept, ("6 runs", "train_loss", "learning rates: 2")),
    ],
)
def test_objects_are_said_in_a_line_and_shown_as_a_table(made, said):
    shown = made()
    line = repr(shown)
    assert len(line) < 250
    assert "\n" not in line
    assert all(part in line for part in said), line
    table = read(shown._repr_html_())
    assert {"table", "caption", "td"} <= table.seen
    assert not {"style", "script", "link"} & table.seen  # nothing around it changes


def test_names_of_strangers_are_text():
    case = oracle.draw_case(NETWORK, LOSS, samples=2, name="<script>alert(1)</script>")
    assert "<script" not in case._repr_html_()
    assert "alert" in read(case._repr_html_()).text


def test_a_report_in_a_notebook_is_a_frame_of_its_own():
    shown = oracle.check(CASE, WRONG)._repr_html_()
    assert re.match(r'<iframe srcdoc="[^"]+" title="[^"]+" sandbox="allow-downloads"', shown)


def test_runs_that_were_interrupted_are_told_by_the_same_words_as_before():
    """The words of a network in the fingerprint of a run are not its short form: older runs go on."""
    words = "Network(sizes=(2, 1), activations=(Activation(name='sigmoid', parameters=(), probabilities=True),))"
    assert whole_words(fm.Network((2, 1), "sigmoid")) == words
