"""Reports for the tests of their pages, and a reader of pages that is stricter than a browser."""

import dataclasses
from base64 import b64decode
from html.parser import HTMLParser
from urllib.parse import unquote_to_bytes

import numpy as np

from functional_mlp.oracle.checking import check
from functional_mlp.oracle.updates import check_update
from tests.helpers.questions import answer, everything, question, steps

VOID = {"meta", "link", "br"}


def halved_bias(case, factor=0.2):
    """Gradients whose first bias is averaged over the five samples."""
    given = answer(case)
    given[0][1] = factor * given[0][1]
    return given


def undiagnosed(report):
    """The report without its diagnosis, which takes the most time."""
    return dataclasses.replace(report, finder=None)


def not_finite(case):
    given = answer(case)
    given[1][0][2, 3], given[0][1][0] = np.nan, -np.inf
    return given


REPORTS = {
    "right": lambda: check(question(), answer(question()), **everything(question())),
    "wrong": lambda: check(question(), halved_bias(question())),
    "undecided": lambda: check_update(question(), list(question().params), 1e-300),
    "not finite": lambda: undiagnosed(check(question(), not_finite(question()), loss=np.nan)),
    "misfit": lambda: check(question(), [[np.ones((2, 2)), [1.0]], [[[1.0, 2.0], [3.0]], [0.5] * 4]], outputs=[[1.0]]),
    "updates": lambda: check_update(
        question(), [steps(question(), rate, halved_bias(question())) for rate in (0.1, 0.01)], [0.1, 0.01]
    ),
}


class Page(HTMLParser):
    """What a page holds.

    Attributes:
        elements: (name, attributes) of every element.
        text: all of the text that is no style, blanks as they are.
        styles: of every style element.
    """

    def __init__(self, source):
        super().__init__(convert_charrefs=True)
        self.elements, self.open, self.texts, self.styles = [], [], [], []
        self.feed(source)
        self.close()
        assert not self.open, self.open
        self.text = "".join(self.texts)

    def handle_starttag(self, tag, attrs):
        assert len(dict(attrs)) == len(attrs), f"{tag} has an attribute twice: {attrs}"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        (self.styles if self.open and self.open[-1] == "style" else self.texts).append(data)

    def handle_comment(self, data):
        raise AssertionError(f"a comment: {data}")

    handle_pi = unknown_decl = handle_comment

    def all(self, name):
        return [attributes for own, attributes in self.elements if own == name]

    def files(self):
        """What the links save: content by name."""
        return {link["download"]: content_of(link["href"]) for link in self.all("a") if "download" in link}


def content_of(address):
    """What a data: address stands for."""
    kind, _, content = address.partition(",")
    assert kind.startswith("data:application/")
    return b64decode(content, validate=True) if kind.endswith(";base64") else unquote_to_bytes(content)
