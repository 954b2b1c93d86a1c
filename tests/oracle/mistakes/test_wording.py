"""Every mistake, and every variant of it, has words of its own for the person who made it."""

import re
import string

import pytest

from functional_mlp.oracle.mistakes import MISTAKES, WORDING, filled
from functional_mlp.oracle.mistakes.wording.wording import OTHERS, Wording
from functional_mlp.oracle.report.notation import Notation, mistaken_terms

MISTAKEN = mistaken_terms(Notation(None, 2), (0,), None, None, "{beginning}")
TERMS = {*Notation(None, 2).terms(0), *MISTAKEN, "where", "f", "value", "variant", "samples", "K"}


def templates(wording):
    for part in wording:
        yield from part.values() if isinstance(part, dict) else [part]


def test_every_mistake_and_every_variant_has_its_words():
    missing = [
        (name, variant)
        for name, mistake in MISTAKES.items()
        for variant in mistake.variants or (None,)
        if name not in WORDING or WORDING[name].of(variant) is None
    ]
    assert missing == []


def test_no_words_are_for_a_variant_that_is_not_there():
    unknown = [
        (name, variant)
        for name, wording in WORDING.items()
        for part in wording
        if isinstance(part, dict) and name in MISTAKES
        for variant in part
        if variant not in (*MISTAKES[name].variants, OTHERS)
    ]
    assert unknown == []


@pytest.mark.parametrize("name", WORDING)
def test_headlines_are_sentences_fixes_are_lines_and_terms_are_known(name):
    wording = WORDING[name]
    for template in templates(wording):
        named = {field for _, field, _, _ in string.Formatter().parse(re.sub(r"\[[^\[\]|]*\|", "", template)) if field}
        assert named <= TERMS, template
        for several in (False, True):
            text = filled(template, dict.fromkeys(TERMS, "x"), several=several)
            assert text.isascii()
            assert "|" not in text
    headlines = wording.headline.values() if isinstance(wording.headline, dict) else [wording.headline]
    assert all(headline.endswith(".") for headline in headlines)


def test_the_words_for_one_layer_and_for_several():
    template = "The bias gradient[|s] of {where} [is|are] not divided."
    assert filled(template, {"where": "the last layer"}, several=False) == (
        "The bias gradient of the last layer is not divided."
    )
    assert (
        filled(template, {"where": "both layers"}, several=True) == "The bias gradients of both layers are not divided."
    )


def test_a_variant_has_its_own_words_or_those_of_the_others_or_none():
    wording = Wording({"a": "an a.", OTHERS: "another."}, "fix")
    assert wording.of("a") == ("an a.", "fix", "")
    assert wording.of("b") == ("another.", "fix", "")
    assert wording.of(None) == ("another.", "fix", "")
    assert Wording({"a": "an a."}, "fix").of("b") is None
    mistaken = Wording("said.", "fix", {"a": "line"})
    assert [mistaken.of(variant)[2] for variant in ("a", "b")] == ["line", ""]
