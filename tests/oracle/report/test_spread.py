"""Which arrays are wrong only because of one mistake, and which only because it is sent back to them."""

import dataclasses

import pytest

import functional_mlp as fm
from functional_mlp import oracle
from functional_mlp.oracle.diagnosis import Diagnosis, Named
from functional_mlp.oracle.mistakes import MISTAKES, Slip, inject, inject_update, prepare
from functional_mlp.oracle.report.headlines import notation_of
from functional_mlp.oracle.report.spread import spread_of

NETWORK = fm.Network((3, 4, 2), ("tanh", "sigmoid"))
CASE = oracle.draw_case(NETWORK, fm.Loss("squared_error"), samples=5, seed=1)


def sentences(*slips, rate=None):
    """Of a report on a program that makes these mistakes, and a diagnosis that names them."""
    mistakes = tuple(
        Named(
            slip.id,
            slip.layer,
            () if slip.layer is None else (slip.layer,),
            slip.variant,
            slip.value,
            *(getattr(MISTAKES[slip.id], field) for field in ("sentence", "formula", "fix")),
            15,
        )
        for slip in slips
    )
    if rate is None:
        report = oracle.check(CASE, inject(prepare(CASE), slips).grads)
    else:
        report = oracle.check_update(CASE, inject_update(prepare(CASE), slips, rate), rate)
    report = dataclasses.replace(report, finder=lambda: Diagnosis(mistakes, (), "mistake", ""))
    return spread_of(report, notation_of(report))


@pytest.mark.parametrize(
    ("slip", "said"),
    [
        (
            Slip("output-derivative-missing", 1),
            ("dW1 and db1 are wrong only because of it: what is wrong in the last layer is sent back to them.",),
        ),
        (Slip("bias-from-one-sample", 1, "last"), ()),
        (Slip("tanh-derivative-wrong", 0, "one-minus-tanh"), ()),
        (
            Slip("activation-missing", 0),
            ("dW2 and db2 are wrong only because of it: what is wrong in the hidden layer reaches them.",),
        ),
        (Slip("mean-added"), ()),
    ],
)
def test_of_one_mistake_arrays_that_it_is_carried_to(slip, said):
    assert sentences(slip) == said


def test_of_several_what_each_makes_wrong():
    assert sentences(Slip("output-derivative-missing", 1), Slip("bias-from-one-sample", 0, "last")) == (
        "dW2 and db2 are wrong only because of mistake 1.",
        "dW1 is wrong only because of mistake 1: what is wrong in the last layer is sent back to it.",
    )
    assert sentences(Slip("mean-added"), Slip("bias-never-computed", 1)) == (
        "dW2, dW1 and db1 are wrong only because of mistake 1.",
        "db2 is wrong only because of mistake 2.",
    )


def test_of_a_step_the_parameters():
    assert sentences(Slip("updated-weights-used", 1), Slip("bias-never-updated"), rate=0.5) == (
        "W1 is wrong only because of mistake 1: what is wrong in the last layer is sent back to it.",
        "b2 and b1 are wrong only because of mistake 2.",
    )


def test_mistakes_that_cannot_be_made_apart_are_not_told_apart():
    report = oracle.check(CASE, inject(prepare(CASE), [Slip("mean-added")]).grads)
    impossible = Named("relu-mask-missing", 0, (0,), None, None, "", "", "", 15)
    diagnosis = Diagnosis((impossible, impossible), (), "mistake", "")
    report = dataclasses.replace(report, finder=lambda: diagnosis)
    assert spread_of(report, notation_of(report)) == ()
    assert spread_of(dataclasses.replace(report, exhibits=()), notation_of(report)) == ()
