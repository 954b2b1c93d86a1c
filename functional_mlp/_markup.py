"""HTML, SVG and MathML as text that is escaped unless it is known to be markup.

Only this module writes a `<`: whatever is passed as a plain string becomes text, whoever wrote it.
"""

import html
import re

VOID = {"meta", "link", "br"}
# a document may not hold these; what shows nothing, or turns the direction of what follows, is written out as well
_UNSEEN = re.compile(r"[^\n\t]")


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


def shown(text: str) -> str:
    """`text` with every character that nobody can see, other than blanks and ends of lines, as Python escapes it."""
    return _UNSEEN.sub(lambda found: found[0] if found[0].isprintable() else repr(found[0])[1:-1], text)


def escaped(text: str) -> Markup:
    """`text` as markup, for content and for quoted attributes."""
    return text if isinstance(text, Markup) else Markup(html.escape(shown(text)))


def joined(*parts: str, between: str = "") -> Markup:
    """Parts one after the other."""
    return Markup(escaped(between).join(map(escaped, parts)))


def element(name: str, /, *children: str, **attributes: str | int | float | bool | None) -> Markup:
    """An element.

    Args:
        name: of the element.
        children: markup, or text.
        attributes: an underscore in a name stands for a hyphen, one at its end for nothing; None and False leave an
            attribute out, True gives it no value.

    Example:
        >>> element("p", "a < b", element("br"), class_="plain", hidden=True)
        '<p class="plain" hidden>a &lt; b<br></p>'
    """
    written = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in VOID:
        return Markup(f"<{name}{written}>")
    return Markup(f"<{name}{written}>{joined(*children)}</{name}>")


def document(title: str, style: str, *body: str, script: str = "") -> str:
    """A page of HTML that needs nothing else.

    Args:
        title: of the page.
        style: CSS, as it is.
        body: markup, or text.
        script: JavaScript, as it is.
    """
    head = joined(
        element("meta", charset="utf-8"),
        element("meta", name_="viewport", content="width=device-width"),
        element("title", title),
        element("style", Markup(style)),
    )
    scripts = [element("script", Markup(script))] if script else []
    page = element("html", element("head", head), element("body", *body, *scripts), lang="en")
    return f"<!doctype html>\n{page}\n"


def _attribute(key: str, value: str | int | float | bool | None) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escaped(str(value))}"'
