"""How many digits of the numbers of a text were printed: judged array by array, and from the whole text."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functional_mlp.oracle.documents import digits_of, parse_answer, printed_as, with_digits
from functional_mlp.oracle.documents.digits import Printed
from tests.helpers.printers import PRINTERS, as_json, document, draw, row

WEIGHTS = "params[0].weights"


def told(text, path=WEIGHTS):
    """The numbers of an array of a text, and how it was printed."""
    answer = parse_answer(text.encode(), "text")
    leaf = answer.loss if path == "loss" else answer.params[0][path.partition(".")[2]]
    return np.array(leaf, np.float64).ravel(), digits_of(answer, path)


def text_of(numbers, bias="null", **more):
    fields = "".join(f', "{name}": {value}' for name, value in more.items())
    head = f'{{"format": "functional-mlp/gradients", "version": 1{fields}'
    return f'{head}, "params": [{{"weights": [{numbers}], "bias": {bias}}}]}}'


@pytest.mark.parametrize(
    ("form", "style", "digits"),
    [
        ("%g", "significant", 6),
        ("%e", "significant", 7),
        ("%.3g", "significant", 3),
        ("%.2e", "significant", 3),
        ("%.9g", "significant", 9),
        ("%.17g", "significant", 17),
        ("%.18e", "significant", 19),
        ("%#.4g", "significant", 4),
        ("%f", "fixed", 6),
        ("%.3f", "fixed", 3),
        ("%.2f", "fixed", 2),
        ("%.10f", "fixed", 10),
        (repr, "significant", 17),
        (lambda value: repr(round(value, 6)), "fixed", 6),
        (lambda value: repr(round(value, 4)), "fixed", 4),
        (lambda value: repr(float(f"{value:.8g}")), "significant", 8),
        (lambda value: f"{value:.6f}".rstrip("0").rstrip("."), "fixed", 6),
    ],
)
@pytest.mark.parametrize("count", [10, 100])
@pytest.mark.parametrize("seed", range(5))
def test_usual_formats_are_recognised(form, style, digits, count, seed):
    values = draw(seed, count, -3, 3)
    read, printed = told(row(form, values))
    half = printed.half_unit(read)
    assert (np.abs(read - values) <= half).all()
    # of most numbers no more is allowed than was rounded away: repr writes 17 digits only where it needs them
    allowed = Printed(style, digits - (form is repr)).half_unit(read)
    assert np.median(half / allowed) < 1.01
    assert np.mean(half <= 1.01 * allowed) >= (0.8 if count > 10 else 0.5)
    assert (half == printed.widest(read)).all()


@pytest.mark.parametrize("form", ["%g", "%f", "%e", "%.9g", "%.17g", "%.3f", repr])
def test_zeros_and_what_is_not_finite_do_not_hide_the_format(form):
    values = draw(1, 30, -3, 3)
    mixed = np.concatenate([np.zeros(4), values, [math.nan, math.inf, -math.inf]])
    read, printed = told(row(form, mixed))
    half = printed.half_unit(read)
    assert (np.abs(read[4:-3] - values) <= half[4:-3]).all()
    assert (half[-3:] == 0.0).all()
    assert (half[:4] == ({"%f": 5e-7, "%.3f": 5e-4}.get(form, 0.0))).all()


@given(
    seed=st.integers(0, 2**32),
    count=st.integers(1, 60),
    low=st.integers(-300, 295),
    span=st.integers(1, 600),
    digits=st.integers(2, 17),  # "0.0" is taken for an exact zero
    kind=st.sampled_from(["g", "e", "f"]),
)
@settings(max_examples=150, deadline=None)
def test_no_number_is_further_off_than_its_last_place_says(seed, count, low, span, digits, kind):
    values = draw(seed, count, low, min(low + span, 300 if kind != "f" else low + 12))
    read, printed = told(row(f"%.{digits}{kind}", values))
    if printed is None:
        assert (read == np.round(read)).all()
        return
    assert (np.abs(read - values) <= printed.widest(read)).all()
    assert (printed.half_unit(read) <= printed.widest(read)).all()


@pytest.mark.parametrize("name", PRINTERS)
@pytest.mark.parametrize("seed", range(6))
def test_what_languages_print_is_within_the_digits_that_are_told(name, seed):
    rng = np.random.default_rng(seed)
    arrays = [rng.normal(size=shape) * 10.0 ** rng.integers(-6, 6) for shape in ((3, 4), (4,), (4, 1), (1,))]
    layers = [(arrays[0], arrays[1]), (arrays[2], arrays[3])]
    answer = parse_answer(document(layers, PRINTERS[name]).encode(), "text")
    for i, layer in enumerate(layers):
        for field, true in zip(("weights", "bias"), layer, strict=True):
            printed, read = digits_of(answer, f"params[{i}].{field}"), np.array(answer.params[i][field], float)
            true = true.astype(np.float32) if name == "JAX" else true
            if printed is not None:
                # float32's own rounding beside the digits, which a check adds for that precision; that of the factor
                more = {"JAX": 1e-7, "MATLAB long": 4e-16}.get(name, 0.0) * np.abs(true)
                assert (np.abs(read - true) <= printed.widest(read) + more).all(), (name, as_json(PRINTERS[name](true)))


@pytest.mark.parametrize(
    ("numbers", "half", "widest"),
    [
        # few numbers tell little: six digits are assumed, and the others are in doubt
        ("[0.5, 0.25]", [5e-7, 5e-7], [0.05, 0.005]),
        ("[0.123, 0.456, 1.789]", [5e-7, 5e-7, 5e-6], [5e-4] * 3),
        ("[1e-999999999999999999999, 0.5]", [0, 5e-7], [0, 0.05]),
        # sums of halves, however many; the same few numbers, however often
        ("[0.5, 1.5, 2.5, -3.5, 4.0, 5.5, 6.5, 7.5, 8.5, 9.5]", [5e-7] + [5e-6] * 9, [0.05] * 4 + [5e-6] + [0.05] * 5),
        ("[" + "0.1, 0.2, 0.3, " * 20 + "0]", [5e-7] * 60 + [0], [0.05] * 60 + [0]),
        # integers are no numbers of few digits
        ("[0.0, 0.0]", [0, 0], [0, 0]),
        ("[0, 1e3]", [0, 5e-3], [0, 500]),
        ("[2, 3.0, 0.123456]", [5e-6, 5e-6, 5e-7], [5e-6, 5e-6, 5e-7]),
        # trailing zeros show that all digits stand there
        ("[0.50]", [5e-3], [5e-3]),
        ("[0.000, 0.000]", [5e-4] * 2, [5e-4] * 2),
        ("[1.50e-03, 2.25e+00]", [5e-6, 5e-3], [5e-6, 5e-3]),
        ("[0.000000e+00]", [0], [0]),
        # four decimals everywhere, as PyTorch and MATLAB print them; a common factor
        ("[0.1234, -1.2341, 0.0312]", [5e-5] * 3, [5e-5] * 3),
        ("[0.1234e-3, -0.0341e-3, 0.0007e-3, 0]", [5e-8] * 3 + [0], [5e-8] * 3 + [0]),
        # a number with six digits is taken at its word
        ("[0.123456789, 0.12345678, 0.123456]", [5e-10, 5e-9, 5e-7], [5e-10, 5e-9, 5e-7]),
        ("[123456.79, 0.015625]", [5e-3, 5e-7], [5e-3, 5e-7]),
        # NumPy left out zeros
        ("[0.12345678, 0.8765432, 0.11223344, 0.5, 0.99887766]", [5e-9, 5e-8] + [5e-9] * 3, [5e-9, 5e-8] + [5e-9] * 3),
    ],
)  # fmt: skip
def test_what_is_told_from_few_numbers(numbers, half, widest):
    read, printed = told(text_of(numbers))
    np.testing.assert_allclose(printed.half_unit(read), half, rtol=1e-6, atol=1e-15)
    np.testing.assert_allclose(printed.widest(read), widest, rtol=1e-6, atol=1e-15)


@pytest.mark.parametrize("numbers", ["", "[1, -2, 30000000]", "[NaN, Infinity, -Infinity, 3]"])
def test_integers_are_exact(numbers):
    answer = parse_answer(text_of(numbers).encode(), "text")
    assert answer.printed is None


def test_arrays_are_told_apart():
    text = text_of("[0.14978071, 0.19956143], [0.24975114, 0.29950229]", "[3.4561e-01, 1.2340e-07]")
    for path, half in ((WEIGHTS, [5e-9] * 4), ("params[0].bias", [5e-6, 5e-12])):
        read, printed = told(text, path)
        np.testing.assert_allclose(printed.half_unit(read), half, rtol=1e-6)
    answer = parse_answer(text.encode(), "text")
    # of an array that was made of others, each number is found among all
    assert digits_of(answer, "params[7].weights").half_unit(0.34561) == pytest.approx(5e-6)


def test_a_few_digits_beside_many_are_in_doubt_unless_the_text_shows_the_shortest_format():
    short, doubtful = (text_of(", ".join(repr([float(form % x)]) for x in draw(0, 12, -3, 3)), "[0.5]")
                       for form in ("%.17g", "%.9g"))  # fmt: skip
    read, printed = told(short, "params[0].bias")
    assert printed.widest(read) < 1e-15
    read, printed = told(doubtful, "params[0].bias")
    assert printed.half_unit(read) == pytest.approx(5e-7)
    assert printed.widest(read) == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("arrays", "loss", "half", "widest"),
    [
        ("%.17g", "0.693147", 5e-7, 5e-7),
        ("%.17g", "0.69314718055994529", 0, 0),
        ("%.17g", "0.5", 5e-7, 0.05),
        ("%.17g", "0.6931", 5e-7, 5e-5),
        ("%.3f", "0.693", 5e-4, 5e-4),
        ("%.3f", "0.6931471805599453", 0, 0),
        ("%.4f", "0.6931", 5e-5, 5e-5),
        ("%.3g", "0.69", 5e-4, 5e-4),
        ("%d", "0.693147", 5e-7, 5e-7),
        ("%d", "6.931472e-01", 5e-8, 5e-8),
    ],
)
def test_the_loss_is_read_by_itself(arrays, loss, half, widest):
    text = row(arrays, draw(0, 30, -3, 3)).replace("0.6931471805599453", loss)
    read, printed = told(text, "loss")
    np.testing.assert_allclose(printed.half_unit(read), half, rtol=1e-6, atol=2e-16)
    np.testing.assert_allclose(printed.widest(read), widest, rtol=1e-6, atol=2e-16)


def test_an_integer_as_loss_is_exact():
    assert (
        parse_answer(row("%g", draw(0, 9, 0, 1)).replace("0.6931471805599453", "2").encode(), "x").printed_loss is None
    )


def test_numbers_are_written_as_they_stood_there():
    texts = ["0.50", "-1.2340e-07", "0.0012e-3", "3", "-0.0", "12.5"]
    _, printed = told(text_of(f"[{', '.join(texts)}]"))
    again = [printed.written(float(text)) for text in texts]
    assert [float(text) for text in again] == [float(text) for text in texts]
    assert told(text_of(f"[{', '.join(again)}]"))[1].widest(0.5) == printed.widest(0.5)
    assert again[0] == "0.50"
    assert printed.written(1 / 3) == repr(1 / 3)


def test_half_a_unit_is_exact_at_powers_of_ten_and_at_the_ends_of_the_range():
    values = np.array([1.0, -10.0, 1000.0, 999999.0, 1e22, 1e23, 0.1, 1e-5, 9.99999e-6, 1e300, 1.7e308])
    half = Printed("significant", 6).half_unit(values)
    expected = [5e-6, 5e-5, 5e-3, 0.5, 5e16, 5e17, 5e-7, 5e-11, 5e-12, 5e294, 5e302]
    np.testing.assert_allclose(half, expected, rtol=1e-9)
    ends = np.array([[5e-324, 1e-320, 2.2e-308], [0.0, math.nan, -math.inf]])
    for printed in (Printed("significant", 3), Printed("significant", 17), Printed("significant", 10**9)):
        half = printed.half_unit(ends)
        assert half.shape == ends.shape
        assert (half[1] == 0).all()
        assert (half >= 0).all()
        assert (half <= np.abs(np.nan_to_num(ends))).all()
    assert Printed("fixed", 2).half_unit(ends)[1].tolist() == [0.005, 0.0, 0.0]
    assert Printed("fixed", 6).half_unit(0.5).shape == ()
    assert Printed("fixed", 10**9).half_unit(0.0) == 0.0
    assert Printed("significant", 17).half_unit(1.0) < 2e-16


# what is declared


@pytest.mark.parametrize(
    ("digits", "printed"),
    [
        (6, Printed("significant", 6)),
        ("6", Printed("significant", 6)),
        ("%.4f", Printed("fixed", 4)),
        (".4f", Printed("fixed", 4)),
        ("%.0f", Printed("fixed", 0)),
        ("%.6g", Printed("significant", 6)),
        ("%.8e", Printed("significant", 9)),
    ],
)
def test_digits_are_declared_as_a_number_or_a_format(digits, printed):
    assert printed_as(digits) == printed
    assert printed_as(str(printed)) == printed


@pytest.mark.parametrize(
    ("digits", "error"),
    [(0, ValueError), (-1, ValueError), (True, TypeError), ([6], TypeError), (6.5, ValueError), ("six", ValueError)],
)
def test_what_declares_no_digits_is_refused(digits, error, says):
    says(error, ["expected digits to be", "%.4f"], printed_as, digits)


def test_declared_digits_are_those_of_all_numbers():
    answer = with_digits(parse_answer(text_of("[0.5, 0.25]", loss="0.125").encode(), "text"), "%.1f")
    assert digits_of(answer, WEIGHTS) == digits_of(answer, "loss") == Printed("fixed", 1)
    assert json.dumps(answer.params) == '[{"weights": [[0.5, 0.25]], "bias": null}]'
