"""Formulas as MathML: well-formed, nothing lost, words left as text; every formula of the catalogue."""

import html
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functional_mlp.oracle.mistakes import MISTAKES
from functional_mlp.oracle.report.html.mathml import set_formula

LINES = sorted({line for mistake in MISTAKES.values() for line in (mistake.formula, mistake.fix)})
MATH = re.compile(r'<math alttext="([^"]*)"[^>]*>.*?</math>', re.DOTALL)
UNWRITTEN = str.maketrans("ᵀ²³'", "T23\u2032", "_()/ \u00a0")  # what is set and not written, and how it is


def as_text(markup):
    """The line that markup was made from."""
    return html.unescape(MATH.sub(lambda found: found[1], markup))


def words_of(markup):
    """What stands outside of formulas."""
    return html.unescape(MATH.sub(" ", markup)).split()


def formulas(markup):
    return [html.unescape(found[1]) for found in MATH.finditer(markup)]


def letters(tree):
    """What a reader sees of a formula, scripts in one line, without brackets, which a fraction needs not."""
    return "".join(tree.itertext()).translate(UNWRITTEN)


@pytest.mark.parametrize("line", LINES)
def test_every_formula_of_the_catalogue_is_well_formed_and_loses_nothing(line):
    markup = set_formula(line)
    assert as_text(markup) == line
    root = ElementTree.fromstring(f"<p>{markup}</p>")
    for tree, source in zip(root.iter("math"), formulas(markup), strict=True):
        assert letters(tree) == source.translate(UNWRITTEN)
        for fraction in tree.iter("mfrac"):
            assert len(fraction) == 2
        for script in (*tree.iter("msub"), *tree.iter("msup")):
            assert len(script) == 2
    assert not set("ᵀ²³∘η") & set("".join(words_of(markup)))
    assert not any(word.startswith(("ct_", "a_prev")) for word in words_of(markup))


@given(st.text(alphabet=st.sampled_from("ab ctxW_ᵀ²()[]/=−+·'\"<>&½λ019.,;:\u0000\u202e"), max_size=30))
def test_any_line_is_well_formed_and_loses_nothing_that_can_be_seen(line):
    markup = set_formula(line)
    ElementTree.fromstring(f"<p>{markup}</p>")
    assert "<b" not in markup
    assert as_text(markup) == line.replace("\u0000", r"\x00").replace("\u202e", r"\u202e")


@pytest.mark.parametrize(
    ("line", "expected", "words"),
    [
        ("ct_W = a_prevᵀ ct_z, row by row", ["ct_W = a_prevᵀ ct_z"], ", row by row"),
        ("a formula in terms of a", ["a"], "a formula in terms of"),
        ("ct_z = f'(z of a neighbour)", ["ct_z = f'(z of a neighbour)"], ""),
        ("ct_a where ct_a > 0 (and z > 0), else 0", ["ct_a", "ct_a > 0", "z > 0"], "where (and ), else 0"),
        ("the penalty's part with it", [], "the penalty's part with it"),
        ("p · (sum of t over the outputs) − t", ["p · (sum of t over the outputs) − t"], ""),
        ("no minus sign", [], "no minus sign"),
        ("", [], ""),
    ],
)
def test_what_is_a_formula_and_what_are_words(line, expected, words):
    markup = set_formula(line)
    assert formulas(markup) == expected
    assert words_of(markup) == words.split()


def test_fractions_scripts_and_transposes():
    assert "<mfrac><mrow><mn>1</mn></mrow><mrow><mi>n</mi></mrow></mfrac>" in set_formula("1/n")
    assert '<msubsup><mi>ct</mi><mi>W</mi><mi mathvariant="normal">T</mi></msubsup>' in set_formula("ct_Wᵀ")
    central = set_formula("(Loss(w + h) − Loss(w − h)) / 2h")
    [fraction] = ElementTree.fromstring(central).iter("mfrac")
    assert [letters(part) for part in fraction] == ["Lossw+h−Lossw−h", "2h"]
    assert set_formula("f'(z)").startswith('<math alttext="f&#x27;(z)"')
