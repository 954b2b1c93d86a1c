"""The formulas of the catalogue, one line each with words between them, as MathML.

What is no formula stays text, as it was written. So does a formula, for who copies it: each `math` has its own source
as `alttext`, and with the text between them these give the line back.

The notation: names such as ct_W, a_prev and fan_in have subscripts; ᵀ ² ³ stand above what they follow; what stands
together without a blank binds together (2h, f'(z), z[j]); a / makes a fraction of what stands on both sides of it.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from functional_mlp._markup import Markup, element, joined

FUNCTIONS = {"sigmoid", "softmax", "tanh", "cosh", "diag", "clip", "loss", "term", "round16", "Loss"}
FACTORS = {"slope", "scale"}  # words, but for what multiplies
HEADS = {"ct", "fan"}  # besides single letters: what may have a subscript
RAISED = {"²": "2", "³": "3"}
CLOSING = {"(": ")", "[": "]"}
AFTER_AN_A = {
    "of",
    "for",
    "in",
    "is",
    "at",
    "with",
    "where",
    "and",
    "or",
    "only",
}  # "a of" is the activation, "a sum" is none

_TOKEN = re.compile(
    r"""
    (?P<name>   [A-Za-z]+(?:_[A-Za-z]+)+ )             # ct_a_prev
  | (?P<word>   [A-Za-z]{2,}[A-Za-z0-9]*(?:'s)? | [A-Za-z]'s )
  | (?P<letter> [A-Za-zα-ωΑ-Ω]'? )
  | (?P<number> \d+(?:\.\d+)?(?!\.\d) | \d+ | [½¼] )
  | (?P<raised> [ᵀ²³] )
  | (?P<open>   [(\[] )
  | (?P<close>  [)\]] )
  | (?P<slash>  / )
  | (?P<sign>   \+= | \.\. | [-=+−·∘<>≤≥∈×±] )
  | (?P<comma>  , )
  | (?P<blank>  \s+ )
  | (?P<other>  . )
    """,
    re.VERBOSE | re.DOTALL,
)


class _Token(NamedTuple):
    """A piece of a line.

    Attributes:
        kind: a group of `_TOKEN`, or "symbol".
        text: the piece.
        start, end: where it stands.
        close: of an opening bracket, the index of the token that closes it.
    """

    kind: str
    text: str
    start: int
    end: int
    close: int = -1


class _Item(NamedTuple):
    """A piece of a formula, set; `glued` if no blank is before it."""

    kind: str  # "operand", "sign", "slash" or "words"
    set: Markup
    glued: bool
    bare: Markup | None = None  # without its brackets, if these are all there is


def set_formula(line: str) -> Markup:
    """A line of the catalogue as HTML, its formulas as MathML.

    Args:
        line: words and formulas, such as "ct_W = a_prevᵀ ct_z, row by row".
    """
    tokens = _tokens(line)
    parts: list[str] = []
    i = 0
    while i < len(tokens):
        end = _end_of_formula(tokens, i)
        if _says_something(tokens[i:end]):
            parts.append(_math(line, tokens, i, end))
            i = end
        else:
            end = max(end, i + 1)
            parts.append(line[tokens[i].start : tokens[end - 1].end])
            i = end
    return joined(*parts)


def _says_something(tokens: Sequence[_Token]) -> bool:
    """Whether it is more than signs and a number."""
    kinds = [token.kind for token in tokens if token.kind != "blank"]
    return "symbol" in kinds or kinds.count("number") > 1


def _math(line: str, tokens: Sequence[_Token], start: int, end: int) -> Markup:
    items = _items(tokens, start, end)
    source = line[tokens[start].start : tokens[end - 1].end]
    return element("math", _row(items), alttext=source, displaystyle="true")


# what is a formula


def _tokens(line: str) -> list[_Token]:
    found = [_Token(match.lastgroup or "other", match[0], *match.span()) for match in _TOKEN.finditer(line)]
    found = [token._replace(kind=_kind(found, i)) for i, token in enumerate(found)]
    return _with_brackets(found)


def _kind(tokens: Sequence[_Token], i: int) -> str:
    """What a token is; "symbol" if it stands for a number, an array or a function."""
    kind, text = tokens[i].kind, tokens[i].text
    before, after = _neighbour(tokens, i, -1), _neighbour(tokens, i, 1)
    if kind == "name":
        head = text.partition("_")[0]
        return "symbol" if head in HEADS or len(head) == 1 else "word"
    if kind == "letter":
        is_article = text == "a" and after.kind == "word" and after.text not in AFTER_AN_A
        return "word" if is_article else "symbol"
    if kind == "word":
        called = text in FUNCTIONS and i + 1 < len(tokens) and tokens[i + 1].kind in ("open", "raised")
        multiplies = text in FACTORS and ("·" in (before.text, after.text) or after.text.startswith("ct_"))
        return "symbol" if called or multiplies or text == "ct" else "word"
    return kind


_NOTHING = _Token("blank", "", 0, 0)


def _neighbour(tokens: Sequence[_Token], i: int, step: int) -> _Token:
    i += step
    while 0 <= i < len(tokens) and tokens[i].kind == "blank":
        i += step
    return tokens[i] if 0 <= i < len(tokens) else _NOTHING


def _with_brackets(tokens: list[_Token]) -> list[_Token]:
    """The tokens, with each bracket of a formula knowing its partner; other brackets are text."""
    open_: list[int] = []
    partners: dict[int, int] = {}
    for i, token in enumerate(tokens):
        if token.kind == "open":
            open_.append(i)
        elif token.kind == "close" and open_ and CLOSING[tokens[open_[-1]].text] == token.text:
            partners[open_.pop()] = i
    formulas = {i: end for i, end in partners.items() if _is_of_formula(tokens, i, end)}
    ends = set(formulas.values())
    marked = []
    for i, token in enumerate(tokens):
        is_text = (token.kind == "open" and i not in formulas) or (token.kind == "close" and i not in ends)
        marked.append(token._replace(kind="other") if is_text else token._replace(close=formulas.get(i, -1)))
    return marked


def _is_of_formula(tokens: Sequence[_Token], start: int, end: int) -> bool:
    """Whether brackets are of a formula: by what they touch, or by what they begin with."""
    touched = {tokens[start - 1].kind if start else "", tokens[end + 1].kind if end + 1 < len(tokens) else ""}
    if touched & {"symbol", "raised", "slash"}:
        return True
    if _neighbour(tokens, start, -1).kind in ("sign", "slash"):
        return True
    first = _neighbour(tokens, start, 1).kind
    has_words = any(token.kind == "word" for token in tokens[start:end])
    return first in ("symbol", "sign", "open") or (first == "number" and not has_words)


def _end_of_formula(tokens: Sequence[_Token], start: int) -> int:
    """The end of the formula that starts here: `start` if none does."""
    i = end = start
    while i < len(tokens):
        token = tokens[i]
        if token.kind == "open":
            i = token.close + 1
        elif token.kind in ("symbol", "number", "raised", "slash", "sign"):
            i += 1
        elif token.kind == "blank" and i > start:
            i += 1
            continue  # a blank at its end is not part of it
        else:
            break
        end = i
    return end


# how it is set


def _items(tokens: Sequence[_Token], start: int, end: int) -> list[_Item]:
    """The pieces of a formula, scripts and brackets set; words only occur inside of brackets."""
    items: list[_Item] = []
    words: list[_Token] = []

    def end_words() -> None:
        if words:
            text = "".join(token.text for token in words).strip()
            before, after = "\u00a0" if items else "", "\u00a0" if i < end else ""
            items.append(_Item("words", element("mtext", joined(Markup(before), text, Markup(after))), glued=False))
            words.clear()

    i = start
    while i < end:
        token = tokens[i]
        glued = i > start and tokens[i - 1].kind != "blank"
        if token.kind in ("word", "other") or (token.kind == "blank" and words):
            words.append(token)
            i += 1
            continue
        end_words()
        if token.kind == "open":
            inner = _row(_items(tokens, i + 1, token.close))
            brackets = (_sign(token.text), inner, _sign(tokens[token.close].text))
            whole = inner if _is_fraction(inner) else element("mrow", *brackets)
            items.append(_Item("operand", whole, glued, inner))
            i = token.close
        elif token.kind == "symbol":
            items.append(_Item("operand", _symbol(token.text), glued))
        elif token.kind == "number":
            items.append(_Item("operand", element("mn", token.text), glued))
        elif token.kind == "raised":
            below = items.pop() if items else _Item("operand", element("mrow"), glued)
            items.append(_Item("operand", _raised(tokens[i - 1], below.set, token.text), below.glued))
        elif token.kind in ("sign", "comma"):
            items.append(_Item("sign", _sign(token.text), glued))
        elif token.kind == "slash":
            items.append(_Item("slash", _sign("/"), glued))
        i += 1
    end_words()
    return items


def _is_fraction(inner: Markup) -> bool:
    return inner.startswith("<mrow><mfrac>") and inner.endswith("</mfrac></mrow>") and inner.count("<mfrac>") == 1


def _raised(under: _Token, below: Markup, sign: str) -> Markup:
    """With a power, or transposed; a subscript stays beside it."""
    above = element("mi", "T", mathvariant="normal") if sign == "ᵀ" else element("mn", RAISED[sign])
    head, _, subscript = under.text.partition("_")
    if under.kind == "symbol" and subscript:
        return element("msubsup", element("mi", head), _symbol(subscript), above)
    return element("msup", below, above)


def _symbol(name: str) -> Markup:
    """A name with its subscripts, none smaller than the first: ct_a_prev is ct with the subscript a_prev."""
    head, _, below = name.partition("_")
    if below:
        inner = _symbol(below) if "_" in below else element("mi", below, scriptlevel="1")
        return element("msub", element("mi", head), inner)
    if head.endswith("'"):
        return element("msup", element("mi", head[:-1]), element("mo", "\u2032"))
    return element("mi", head)


def _sign(text: str) -> Markup:
    return element("mo", text, stretchy="false" if text in "()[]" else None)


def _row(items: Sequence[_Item]) -> Markup:
    """Pieces in a row: fractions made, and a thin space where two are multiplied."""
    runs: list[_Item] = []
    i = 0
    while i < len(items):
        if items[i].kind == "slash" and 0 < i < len(items) - 1:
            above, below = _operand_before(items, i), _operand_after(items, i)
            if above and below:
                del runs[len(runs) - len(above) :]
                fraction = element("mfrac", _unbracketed(above), _unbracketed(below))
                runs.append(_Item("operand", fraction, above[0].glued))
                i += 1 + len(below)
                continue
        runs.append(items[i])
        i += 1
    parts: list[str] = []
    for last, item in zip([None, *runs], runs, strict=False):
        if last is not None and last.kind == item.kind == "operand" and not item.glued:
            parts.append(element("mspace", width="0.25em"))
        parts.append(item.set)
    return element("mrow", *parts)


def _operand_before(items: Sequence[_Item], i: int) -> Sequence[_Item]:
    """The operands without a blank between them that end before item i."""
    start = i
    while start > 0 and items[start - 1].kind == "operand" and (start == i or items[start].glued):
        start -= 1
    return items[start:i]


def _operand_after(items: Sequence[_Item], i: int) -> Sequence[_Item]:
    end = i + 1
    while end < len(items) and items[end].kind == "operand" and (end == i + 1 or items[end].glued):
        end += 1
    return items[i + 1 : end]


def _unbracketed(items: Sequence[_Item]) -> Markup:
    if len(items) == 1 and items[0].bare is not None:
        return items[0].bare
    return element("mrow", *(item.set for item in items))
