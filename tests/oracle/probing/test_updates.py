"""check_update_function: code that changes parameters, in every form that people have, right and wrong."""

import numpy as np
import pytest

import functional_mlp as fm
from functional_mlp import oracle
from functional_mlp.oracle import check_update_function
from functional_mlp.update_rules import Adam, Momentum, RMSprop

NETWORK = fm.Network((3, 5, 2), ("tanh", "identity"))
LOSS = fm.Loss("squared_error", scale=0.5)
RATE = 0.1


def gradients(params, x, t):
    (w1, b1), (w2, b2) = params
    h = np.tanh(x @ w1 + b1)
    d2 = h @ w2 + b2 - t
    d1 = d2 @ w2.T * (1 - h * h)
    return [(x.T @ d1, d1.sum(axis=0)), (h.T @ d2, d2.sum(axis=0))]


def returned(params, x, t):
    grads = gradients(params, x, t)
    return [(w - RATE * dw, b - RATE * db) for (w, b), (dw, db) in zip(params, grads, strict=True)]


def in_place(params, x, t):
    for pair, grads in zip(params, gradients(params, x, t), strict=True):
        for leaf, gradient in zip(pair, grads, strict=True):
            leaf -= RATE * gradient


def in_place_with_the_loss(params, x, t):
    in_place(params, x, t)
    return 0.5


def online(params, x, t):
    for i in range(len(x)):
        in_place(params, x[i : i + 1], t[i : i + 1])
    return params


class Holder:
    def __init__(self, params):
        self.params = [[w.copy(), b.copy()] for w, b in params]

    def step(self, x, t):
        in_place(self.params, x, t)


def columns(params, x, t):
    rows = returned([(params[f"W{i}"].T, params[f"b{i}"].ravel()) for i in (1, 2)], x.T, t.T)
    return {f"W{i}": w.T for i, (w, _) in enumerate(rows, 1)} | {
        f"b{i}": b[:, None] for i, (_, b) in enumerate(rows, 1)
    }


def with_momentum(params, x, t, state, momentum=0.9):
    state = [tuple(map(np.zeros_like, pair)) for pair in params] if state is None else state
    grads = gradients(params, x, t)
    pairs = zip(state, grads, strict=True)
    state = [tuple(momentum * v + g for v, g in zip(*pair, strict=True)) for pair in pairs]
    moved = zip(params, state, strict=True)
    return [tuple(p - RATE * v for p, v in zip(*pair, strict=True)) for pair in moved], state


class AdamByHand:
    """As people write it; what it corrects by may be spoilt."""

    first_step = 1

    def __init__(self):
        self.m, self.v, self.t = {}, {}, self.first_step - 1

    def step(self, params, x, t):
        self.t += 1
        for i, (pair, grads) in enumerate(zip(params, gradients(params, x, t), strict=True)):
            for j, (p, g) in enumerate(zip(pair, grads, strict=True)):
                self.m[i, j] = 0.9 * self.m.get((i, j), 0) + 0.1 * g
                self.v[i, j] = 0.999 * self.v.get((i, j), 0) + 0.001 * g**2
                m, v = self.m[i, j] / (1 - 0.9**self.t), self.v[i, j] / (1 - 0.999**self.t)
                p -= RATE * m / (np.sqrt(v) + 1e-8)


class MiscountedAdam(AdamByHand):
    first_step = 2


def keeping_a_velocity():
    state = [None]

    def step(params, x, t):
        params, state[0] = with_momentum(params, x, t, state[0])
        return params

    return step


DESCENTS = {
    "returned": returned,
    "in place": in_place,
    "in place, with the loss": in_place_with_the_loss,
    "a class of params": Holder,
    "columns, a dict": columns,
}


@pytest.mark.parametrize("name", DESCENTS)
def test_right_code_of_every_form_is_right(name):
    report = check_update_function(DESCENTS[name], NETWORK, LOSS)
    assert report.verdict == "consistent", report.text()


@pytest.mark.parametrize(
    ("step", "rule"),
    [(with_momentum, "momentum"), (keeping_a_velocity, "momentum"), (AdamByHand, "adam")],
    ids=["a state", "a closure", "an object"],
)
def test_right_code_that_keeps_a_state_is_right(step, rule):
    report = check_update_function(step, NETWORK, LOSS, rule=rule, learning_rate=RATE)
    assert report.verdict == "consistent", report.text()
    assert len(report.leaves) == 3 * 4 * len({leaf.group for leaf in report.leaves})  # three steps of four arrays


def test_several_steps_and_epochs_of_plain_descent():
    assert check_update_function(returned, NETWORK, LOSS, epochs=3).verdict == "consistent"
    assert check_update_function(online, NETWORK, LOSS, batch_size=1).verdict == "consistent"
    undeclared = check_update_function(online, NETWORK, LOSS)
    assert undeclared.verdict == "consistent"
    assert "after each sample" in undeclared.notes[-1]
    assert check_update_function(returned, NETWORK, LOSS, batch_size=1).verdict == "wrong"


def test_float32_code_is_judged_as_such():
    def step(params, x, t):
        narrow = [tuple(leaf.astype("float32") for leaf in pair) for pair in params]
        rate = np.float32(RATE)
        grads = gradients(narrow, x.astype("float32"), t.astype("float32"))
        return [(w - rate * dw, b - rate * db) for (w, b), (dw, db) in zip(narrow, grads, strict=True)]

    report = check_update_function(step, NETWORK, LOSS)
    assert (report.verdict, report.precision) == ("consistent", "float32")


@pytest.mark.parametrize(
    ("step", "declared", "mistake"),
    [
        (lambda p, x, t: [(2 * w - v, 2 * b - c) for (w, b), (v, c) in zip(p, returned(p, x, t), strict=True)],
         {}, "ascends"),
        (lambda p, x, t: [(v, b) for (_, b), (v, _) in zip(p, returned(p, x, t), strict=True)],
         {}, "bias-never-updated"),
        (lambda p, x, t, state: (returned(p, x, t), state),
         {"rule": "momentum", "learning_rate": RATE}, "momentum-missing"),
        (lambda p, x, t, state: with_momentum(p, x, t, state, -0.9),
         {"rule": "momentum", "learning_rate": RATE}, "momentum-sign"),
        (MiscountedAdam, {"rule": "adam", "learning_rate": RATE}, "bias-correction-step-off-by-one"),
        (AdamByHand, {"rule": Adam(RATE, weight_decay=0.01, decoupled=True)}, "weight-decay-missing"),
        (with_momentum, {"rule": Momentum(RATE, nesterov=True)}, "nesterov-missing"),
    ],
)  # fmt: skip
def test_wrong_code_is_wrong_and_its_mistake_named(step, declared, mistake):
    report = check_update_function(step, NETWORK, LOSS, **declared)
    assert report.verdict == "wrong"
    assert mistake in {one.id for one in (*report.diagnosis.mistakes, *report.diagnosis.ties)}
    assert mistake in report.text()
    assert report.json()
    assert report.html()


@pytest.mark.parametrize(
    ("step", "id_"),
    [
        (lambda p, x, t: None, "unchanged"),
        (lambda p, x, t: 1 / 0, "raises"),
        (lambda p, x, t: [("a", "b"), ("c", "d")], "returns"),
        (keeping_a_velocity(), "nondeterministic"),
    ],
)
def test_what_code_does_wrong_as_a_program_is_found(step, id_):
    report = check_update_function(step, NETWORK, LOSS)
    assert report.verdict == "wrong"
    assert id_ in {finding.id for finding in report.findings}


def test_only_some_arrays_may_be_trained():
    def step(params, x, t):
        return [(w, b) for (w, _), (_, b) in zip(returned(params, x, t), params, strict=True)]

    assert check_update_function(step, NETWORK, LOSS, only=("weights",)).verdict == "consistent"


@pytest.mark.parametrize(
    ("error", "words", "ask"),
    [
        (ValueError, ["begin anew", "state"], lambda: check_update_function(returned, NETWORK, LOSS, rule="adam")),
        (TypeError, ["expected step", "requires 2"], lambda: check_update_function(lambda a, b: a, NETWORK, LOSS)),
        (TypeError, ["expected step", "got int"], lambda: check_update_function(3, NETWORK, LOSS)),
        (ValueError, ["epochs", "at least 1"], lambda: check_update_function(returned, NETWORK, LOSS, epochs=0)),
        (ValueError, ["did you mean 'adam'"], lambda: check_update_function(returned, NETWORK, LOSS, rule="adm")),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(error, words, ask):
    with pytest.raises(error) as caught:
        ask()
    for word in words:
        assert word in str(caught.value)


def test_a_fixture_checks_updates_too(gradient_oracle):
    gradient_oracle.check_update_function(returned, NETWORK, LOSS)
    with pytest.raises(pytest.fail.Exception, match="bias-never-updated"):
        gradient_oracle.check_update_function(
            lambda p, x, t: [(v, b) for (_, b), (v, _) in zip(p, returned(p, x, t), strict=True)], NETWORK, LOSS
        )


def test_a_specification_may_be_asked_of_any_numbers():
    class Own:
        def __init__(self):
            self.kept = {}

        def step(self, params, x, t):
            for i, (pair, grads) in enumerate(zip(params, gradients(params, x, t), strict=True)):
                for j, (p, g) in enumerate(zip(pair, grads, strict=True)):
                    self.kept[i, j] = 0.99 * self.kept.get((i, j), 0) + 0.01 * g**2
                    p -= RATE * g / np.sqrt(self.kept[i, j] + 1e-6)

    right = RMSprop(RATE, decay=0.99, epsilon=1e-6, epsilon_inside=True)
    assert check_update_function(Own, NETWORK, LOSS, rule=right).verdict == "consistent"
    named = check_update_function(Own, NETWORK, LOSS, rule="rmsprop", learning_rate=RATE)
    assert named.verdict == "wrong"
    assert "decay=0.99, epsilon=1e-06, epsilon_inside=True" in " ".join(named.notes)
    assert named.verdict == oracle.Verdict.WRONG
