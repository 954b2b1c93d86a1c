"""Reports on a terminal are in colours, in pipes they are not; NO_COLOR and FORCE_COLOR are honoured."""

import io
import re
import sys

from functional_mlp.cli.colour import paint, wants_colour
from functional_mlp.cli.console import show

REPORT = """WRONG: The bias gradients are not divided by n.
1 of 2 arrays consistent.
MISTAKE bias-gradient-summed in layer 1
  fix:   db1 = dZ1.sum(axis=0) / n
array              verdict   shape
params[0].weights  ok        2x4
params[0].bias     WRONG     4
WRONG params[0].bias: off by 1.
"""


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


def on_terminal(monkeypatch, text, **environment):
    """What is written of a text to a terminal: pytest sets its own standard output between fixtures and tests."""
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm-256color", **environment}.items():
        monkeypatch.setenv(name, value)
    stream = Terminal()
    monkeypatch.setattr(sys, "stdout", stream)
    assert wants_colour()
    show(text, paint)
    return stream.getvalue()


def plain(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_verdicts_and_what_to_do_are_in_colours_and_the_words_are_the_same(monkeypatch):
    written = on_terminal(monkeypatch, REPORT)
    assert plain(written) == REPORT
    lines = written.splitlines()
    assert all("\x1b[" in lines[i] for i in (0, 2, 3, 5, 6, 7))
    assert all("\x1b[" not in lines[i] for i in (1, 4))
    assert "31m" in lines[0]
    assert "32m" in lines[5]


def test_no_color_leaves_no_colour(monkeypatch):
    written = on_terminal(monkeypatch, REPORT, NO_COLOR="1")
    assert plain(written) == REPORT
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", written)


def test_a_long_line_and_brackets_stay_as_they_are(monkeypatch):
    text = "WRONG: [bold]x[/bold] " + "y" * 300 + " params[0].weights\n"
    assert plain(on_terminal(monkeypatch, text)) == text


def test_a_pipe_has_none(monkeypatch):
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert not wants_colour()
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert wants_colour()
