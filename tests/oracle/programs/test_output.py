"""What programs print instead of answering is named, and quickly, whatever it is."""

import json
import math
import time

import pytest

import functional_mlp as fm
from functional_mlp import oracle
from functional_mlp.oracle.probing import Call, Fault, Skipped
from functional_mlp.oracle.programs.output import parse_output
from functional_mlp.oracle.programs.process import AnswerLimits, Ending, Ran

CASE = oracle.draw_case(fm.Network((2, 2), "identity"), fm.Loss("squared_error"), samples=3, name="a name")
LIMITS = AnswerLimits(5.0, 2**21)
HEAD = '{"format": "functional-mlp/gradients", "version": 1, "params": [{"weights": '
RIGHT = HEAD + '[[1.5, 2.5], [-3.5, 4.5]], "bias": [0.5, 0.25]}]}'


def said(output, status=0, errors=b"", end=Ending.EXITED, **more):
    output = output.encode() if isinstance(output, str) else output
    return parse_output(Ran(end, output, errors, status, **more), CASE, LIMITS)


def test_gradients_are_read():
    call = said(RIGHT)
    assert isinstance(call, Call)
    assert call.leaves["params[0].weights"].tolist() == [[1.5, 2.5], [-3.5, 4.5]]
    assert (call.faults, call.notes) == ((), ())


def test_an_unsupported_case_is_no_fault():
    assert said('{"unsupported": true, "reason": "no\\u001b identity"}') == Skipped("no? identity")


@pytest.mark.parametrize(
    ("spelled", "value"),
    [("nan", math.nan), ("-nan(ind)", math.nan), ("NaN", math.nan), ("inf", math.inf), ("-INF", -math.inf)],
)
def test_numbers_that_are_none_are_read_as_c_spells_them(spelled, value):
    call = said(RIGHT.replace("1.5", spelled))
    read = call.leaves["params[0].weights"][0, 0]
    assert read == value or (math.isnan(read) and math.isnan(value))
    assert bool(call.notes) == (spelled != "NaN")


def test_words_in_texts_are_not_mended():
    assert (
        said(RIGHT.replace('"version"', '"case": "inf, 0,5 nan", "version"').replace("1.5", "nan")).id == "wrong-case"
    )


@pytest.mark.parametrize(
    "numbers",
    [
        '[[1,5, 2,5], [-3,5, 4,5]], "bias": [0,5, 0,25]}]}',  # JSON, but of more numbers
        '[[1,05, 2,5], [-3,05e-1, 4,5]], "bias": [0,05, 0,25]}]}',  # no JSON: leading zeros
    ],
)
def test_decimal_commas_are_named(numbers):
    assert said(HEAD + numbers).id == "decimal-commas"


def test_too_many_numbers_are_not_taken_for_decimal_commas():
    call = said(HEAD + '[[1, 5, 2, 5], [-3, 5, 4, 5]], "bias": [0.5, 0.25]}]}')
    assert isinstance(call, Call)
    assert "shape" in str(call.leaves["params[0].weights"])


@pytest.mark.parametrize(
    ("ran", "fault", "words"),
    [
        (said("", errors=RIGHT.encode()), "wrong-stream", "standard error"),
        (said("done", errors=RIGHT.encode() + b"x" * 100), "wrong-stream", "standard error"),
        (said(""), "silent", "prints nothing"),
        (said("", answered=1), "ends", "must go on until its input ends"),
        (said("", status=3, errors=b"why"), "exits", "exit status 3"),
        (said("", status=-11), "exits", "SIGSEGV"),
        (said("hello\n" + RIGHT), "garbage", "something beside its gradients"),
        (said("hello"), "garbage", "no document of gradients"),
        (said(RIGHT[:40]), "garbage", "no document of gradients"),
        (said(RIGHT, end=Ending.TIMEOUT), "timeout", "answers, but does not exit within 5 s"),
        (said(RIGHT[:40], end=Ending.TIMEOUT), "timeout", "does not end its answer within 5 s"),
        (said("", end=Ending.TIMEOUT), "timeout", "gives no answer within 5 s"),
        (said(RIGHT, end=Ending.TIMEOUT, kept_back=True), "kept-back", "read line by line"),
        (said(RIGHT, early=b"again"), "early", "more than one line"),
        (said("x", end=Ending.FLOOD), "flood", "2097152 bytes"),
        (said(RIGHT.replace('"version"', '"case": "another", "version"')), "wrong-case", "another case"),
        (said(HEAD + '[["x"]]}]}'), "garbage", "prints no gradients"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(ran, fault, words):
    assert isinstance(ran, Fault)
    assert ran.id == fault
    assert words in f"{ran.sentence} {ran.details}"
    assert len(ran.sentence) + len(ran.details) < 700
    assert f"{ran.sentence}{ran.details}".isprintable()


def test_of_a_panic_the_message_is_shown_and_not_the_end_of_its_backtrace():
    trace = "".join(f"  {i}: core::panicking::panic_fmt\n" for i in range(40))
    panic = f"warming up\nthread 'main' panicked at main.rs:4:5:\nindex out of bounds: 7\n{trace}"
    shown = said("", status=101, errors=panic.encode()).details
    assert "says \"thread 'main' panicked at main.rs:4:5: index out of bounds: 7" in shown
    assert "warming up" not in shown
    python = "Traceback (most recent call last):\n" + "  File 'a.py', line 1\n" * 40 + "KeyError: 'w'\n"
    assert "KeyError: 'w'" in said("", status=1, errors=python.encode()).details


def test_an_answer_with_another_exit_status_is_judged_and_said():
    call = said(RIGHT, status=2)
    assert [fault.id for fault in call.faults] == ["exits"]
    assert said(RIGHT, left=2).notes == ("your program leaves processes behind when it ends; they were killed",)


HOSTILE = (
    "1",
    '"\\"',
    '"',
    "\\",
    "\n",
    "nan(",
    "0,",
    "1,1",
    "-",
    "[",
    "{",
    '{"a": "functional-mlp/gradients"}\n',
    "[1,",
)


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize("first", ["", '{"a": "'])
def test_whatever_is_printed_is_understood_quickly(first, hostile):
    output = first + hostile * (2**18 // len(hostile))  # what takes a square of that takes hours
    start = time.process_time()
    assert isinstance(said(output), Fault)
    assert said(json.dumps(output)).id == "garbage"
    assert time.process_time() - start < 10
