"""A report as one page of HTML that needs nothing else: no script, no network, no font.

What a person wants to know comes first: the verdict, the mistake, what to do; then where it is, in the network and in
the arrays; last the files, to be saved and judged again. Everything is there without a click on paper. A policy in the
page forbids it to load or to run anything, and all text is escaped (`markup.py`).
"""

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from importlib import resources
from urllib.parse import quote

import functional_mlp
from functional_mlp._markup import Markup, element, joined
from functional_mlp.oracle.diagnosis import EITHER, Diagnosis, Named
from functional_mlp.oracle.report import sentences
from functional_mlp.oracle.report.attachments import Bundle, File, bundles
from functional_mlp.oracle.report.explanation import explanation_of
from functional_mlp.oracle.report.headlines import headline_of, notation_of
from functional_mlp.oracle.report.html.heat_map import MARKS, MOST_BLOCKS, badge, error_map, legend, tally
from functional_mlp.oracle.report.html.mathml import set_formula
from functional_mlp.oracle.report.html.network_picture import drawn_network
from functional_mlp.oracle.report.legend import legend_of
from functional_mlp.oracle.report.notation import Notation, as_handed_over
from functional_mlp.oracle.report.reported import Explanation, Reported, network_diagnosis
from functional_mlp.oracle.report.sentences import short
from functional_mlp.oracle.report.spread import spread_of
from functional_mlp.oracle.verdict import Leaf, Verdict, worst_of

CELLS = 16_000  # that all heat maps together may have
LEAST_BLOCKS = 6  # rows and columns of one
MOST_MAPS = 300
UNFOLDED = 3  # groups that are not consistent, and open
IN_FORMULAS = "In the formulas of the catalogue: ct_x is dLoss/dx, a_prev what the layer is given"
READABLE_BYTES = 20_000  # of a file that can be read in the page, besides being saved


def page_of(report: Reported) -> str:
    """The page.

    Args:
        report: a report.

    Returns:
        HTML, to be stored as UTF-8.
    """
    parts = (
        _verdict(report),
        _found(report),
        _step_by_step(report),
        _remarks(report),
        _network(report),
        _arrays(report),
        _files(report),
    )
    name = report.name or report.network or report.function
    body = element("body", element("main", *parts), _footer())
    head = _head(f"{report.verdict.upper()}: {name}", report.verdict)
    return "<!DOCTYPE html>\n" + element("html", "\n", head, "\n", body, "\n", lang="en") + "\n"


@cache
def _style() -> str:
    return resources.files("functional_mlp.oracle.report.html").joinpath("page.css").read_text(encoding="utf-8")


def _head(title: str, verdict: Verdict) -> Markup:
    style = _style()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    colour = {Verdict.CONSISTENT: "#14633a", Verdict.UNDECIDED: "#744700", Verdict.WRONG: "#a3131f"}[verdict]
    icon = element(
        "svg",
        element("rect", width=16, height=16, rx=4, fill=colour),
        element("text", MARKS[verdict], x=8, y=12.5, text_anchor="middle", font_size=12, fill="#fff"),
        xmlns="http://www.w3.org/2000/svg",
        viewBox="0 0 16 16",
    )
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", f"{title} – functional-mlp"),
        element("link", rel="icon", href=f"data:image/svg+xml,{quote(icon)}"),
        element("style", Markup(style)),
    )


def _footer() -> Markup:
    sentence = (
        "Every number was compared with the true one by its noise floor: how far a correct program may stray in the"
        " precision that it computes in. No tolerance was chosen. functional-mlp"
    )
    return element("footer", element("p", f"{sentence} {functional_mlp.__version__}."))


def _section(heading: str, *parts: str, id_: str) -> Markup:
    return element("section", element("h2", heading, id=id_), *parts, aria_labelledby=id_)


# what is said first


def _verdict(report: Reported) -> Markup:
    mark = element("span", f"{MARKS[report.verdict]} ", aria_hidden="true")
    lead = _lead(report)
    return element(
        "header",
        element("p", element("bdi", report.name), class_="small soft") if report.name else "",
        element("h1", mark, report.verdict.upper()),
        *lead,
        element("p", sentences.counted_verdicts(report)),
        element("p", sentences.subject(report), class_="soft"),
        class_=f"verdict {report.verdict}",
    )


def _lead(report: Reported) -> list[Markup]:
    """The mistakes, in the person's words, a list of several; or what the calls showed."""
    first, *several = sentences.first_sentences(report, notation_of(report))
    if first == sentences.counted_verdicts(report):
        return []
    listed = [element("ol", *(element("li", sentence) for sentence in several), class_="lead")] if several else []
    return [element("p", first, class_="lead"), *listed]


def _found(report: Reported) -> Markup:
    """What the diagnosis says."""
    found = report.diagnosis
    if isinstance(found, Explanation):
        return _explained(found)
    return _mistake(report, notation_of(report))


def _explained(explanation: Explanation) -> Markup:
    """Of a function that is no network: the places, how well it fits, and what else would."""
    places = [element("li", element("code", sentences.place_in_words(place))) for place in explanation.places]
    ties = [element("li", sentences.full_sentence(other.sentence)) for other in explanation.ties[: sentences.MOST_TIES]]
    parts = [
        element("p", sentences.reproduced_by(explanation)),
        element("ul", *places) if places else "",
        joined(element("p", sentences.TIED), element("ul", *ties)) if ties else "",
    ]
    return _section("Where it departs", element("div", *parts, class_="card"), id_="mistake")


def _mistake(report: Reported, notation: Notation) -> Markup:
    diagnosis = network_diagnosis(report)
    if diagnosis is None:
        return Markup("")
    one_case = sentences.is_of_one_case(report)
    further = [element("p", sentence) for sentence in sentences.further_relations(diagnosis, notation)]
    if not diagnosis.mistakes:
        paragraph = element("p", sentences.not_explained(diagnosis, notation))
        return _section("Which mistake it is", element("div", paragraph, *further, class_="card"), id_="mistake")
    tied = sentences.tied(diagnosis, notation)
    fixes = tuple(headline_of(named, notation).fix for named in diagnosis.mistakes)
    parts = [
        element("p", " ".join(legend_of(notation, fixes)), class_="small soft"),
        *(
            _named(named, notation, f"{number}: " if len(fixes) > 1 else "")
            for number, named in enumerate(diagnosis.mistakes, 1)
        ),
        *(element("p", sentence) for sentence in spread_of(report, notation)),
        element("p", sentences.reproduced(diagnosis, update=sentences.is_of_update(report))),
        *further,
        _evidence(report, diagnosis, notation),
        joined(element("p", sentences.TIED), element("ul", *(element("li", one) for one in tied))) if tied else "",
        element("p", sentences.MAY_BE_EITHER) if tied and diagnosis.kind == EITHER else "",
        element("p", _with_command(sentences.SEPARATE)) if tied and one_case else "",
    ]
    heading = " and ".join(dict.fromkeys(sentences.kind_of(named).lower() for named in diagnosis.mistakes))
    plural = "s" if len(diagnosis.mistakes) > 1 and " and " not in heading else ""
    return _section(f"The {heading}{plural}", element("div", *parts, class_="card"), id_="mistake")


def _step_by_step(report: Reported) -> Markup:
    """How the worst entry comes about, folded."""
    if report.verdict is not Verdict.WRONG or not report.exhibits:
        return Markup("")
    text = element("pre", explanation_of(report, None), class_="command")
    inside = element("details", element("summary", "One entry, with all its numbers"), text, class_="quiet")
    return _section("Step by step", inside, id_="steps")


def _with_command(sentence: str) -> Markup:
    words, _, command = sentence.rstrip(".").partition(": ")
    return joined(words, ": ", element("code", command))


def _named(named: Named, notation: Notation, number: str) -> Markup:
    headline = headline_of(named, notation)
    lines = [("yours", "wrong", headline.yours), ("fix", "consistent", headline.fix)]
    code = [
        joined(element("dt", name, class_=colour), element("dd", element("code", line)))
        for name, colour, line in lines
        if line
    ]
    formulas = element(
        "dl",
        element("dt", "mistaken", class_="wrong"),
        element("dd", set_formula(named.formula)),
        element("dt", "right", class_="consistent"),
        element("dd", set_formula(named.fix)),
        class_="formulas",
    )
    folded = element("details", element("summary", IN_FORMULAS), formulas, class_="quiet")
    place = element("h3", number, element("code", sentences.place_of(named)))
    words = f"{headline.sentence.rstrip('.')}{sentences.fitted(named)}{sentences.right_for(named)}."
    return joined(place, element("p", words), element("dl", *code, class_="formulas") if code else "", folded)


def _evidence(report: Reported, diagnosis: Diagnosis, notation: Notation) -> Markup:
    """Each wrong array at its worst entry: as given, as the mistake makes it, as it is right."""
    if not diagnosis.evidence:
        return Markup("")
    rows = [
        [
            element("code", sentences.entry_of(shown, report, notation)),
            *(f"{x:.6g}" for x in (shown.given, shown.mistaken, shown.true)),
            str(shown.digits),
        ]
        for shown in diagnosis.evidence
    ]
    where = "" if sentences.is_of_one_case(report) else f" in the case {diagnosis.group!r}"
    names = ("worst entry", "yours", "of the mistake", "right", "digits that agree")
    caption = f"Your numbers beside those of the mistake, where each wrong array is furthest off{where}"
    return _list(names, rows, caption, "evidence")


def _list(names: Sequence[str], rows: Sequence[Sequence[str]], caption: str, style: str = "") -> Markup:
    """A table; its first column names the rows, and cells that are no markup are numbers.

    The roles are those of its elements anyway, but for narrow screens, where rows are laid out as grids.
    """
    body = []
    for first, *others in rows:
        cells = [
            cell if isinstance(cell, Markup) else element("td", cell, class_="n", data_name=name, role="cell")
            for name, cell in zip(names[1:], others, strict=True)
        ]
        body.append(element("tr", element("th", first, scope="row", role="rowheader"), *cells, role="row"))
    of_numbers = ["" if isinstance(cell, Markup) else "n" for cell in rows[0]]
    head = [
        element("th", name, scope="col", role="columnheader", class_=kind or None)
        for name, kind in zip(names, of_numbers, strict=True)
    ]
    return element(
        "table",
        element("caption", caption, class_="small soft"),
        element("thead", element("tr", *head, role="row"), role="rowgroup"),
        element("tbody", *body, role="rowgroup"),
        class_=f"list {style}".strip(),
        role="table",
    )


def _remarks(report: Reported) -> Markup:
    """Findings, what to do, notes; and what being consistent means."""
    said = sentences.first_finding(report)
    findings = [
        element("li", badge(finding.verdict), " ", finding.sentence)
        for finding in report.findings
        if finding is not said
    ]
    remedies = [element("li", f"{remedy[:1].upper()}{remedy[1:]}.") for remedy in sentences.remedies(report)]
    notes = [element("li", note) for note in report.notes]
    parts = []
    if findings:
        parts.append(_section("What the calls showed", element("ul", *findings, class_="card files"), id_="findings"))
    if remedies:
        parts.append(_section("What to do", element("ul", *remedies), id_="remedies"))
    if notes:
        parts.append(_section("Notes", element("ul", *notes), id_="notes"))
    if report.verdict is Verdict.CONSISTENT:
        parts.append(element("p", sentences.AGREES.replace("the last column", "the column “detects” below")))
    return joined(*parts)


# where it is


def _network(report: Reported) -> Markup:
    if not report.exhibits:
        return Markup("")
    diagnosis = network_diagnosis(report)
    mistaken = [layer for named in (diagnosis.mistakes if diagnosis else ()) for layer in named.layers]
    picture = drawn_network(report.exhibits[0].case.network, report.leaves, mistaken)
    scroll = _scrolling(picture, "The network, drawn")
    several = "" if sentences.is_of_one_case(report) else " Each array is shown as in its worst case."
    sentence = f"A line is an entry of the weights, a circle one of the bias; numbers flow from the inputs on.{several}"
    return _section(
        "The network", element("div", scroll, class_="card"), element("p", sentence, class_="small soft"), id_="network"
    )


def _arrays(report: Reported) -> Markup:
    notation = notation_of(report)
    groups = {
        group: [as_handed_over(leaf, notation) for leaf in leaves] for group, leaves in sentences.groups(report).items()
    }
    drawn = sum(leaf.entries is not None and leaf.entries.ndim > 0 for leaf in report.leaves)
    most = max(LEAST_BLOCKS, min(MOST_BLOCKS, int((CELLS / max(drawn, 1)) ** 0.5)))
    parts: list[str] = [
        element("p", "Colours are errors divided by the noise floor, entry by entry:"),
        legend(),
    ]
    opened = 0
    for group, leaves in groups.items():
        verdict = worst_of(leaf.verdict for leaf in leaves)
        inside = joined(_table(leaves, group), _maps(leaves, most, all_of_them=drawn <= MOST_MAPS))
        if not group:
            parts.append(element("div", inside, class_="card"))
            continue
        is_open = verdict is not Verdict.CONSISTENT and opened < UNFOLDED
        opened += is_open
        counted = sum(leaf.verdict is verdict for leaf in leaves)
        label = badge(verdict, f"{counted} of {len(leaves)} {verdict}")
        summary = element("summary", element("h3", element("bdi", group)), " ", label)
        parts.append(element("details", summary, inside, class_="group", open=is_open))
    return _section("Array by array", *parts, id_="arrays")


def _table(leaves: Sequence[Leaf], group: str) -> Markup:
    rows = [
        [
            element("code", leaf.path),
            element("td", badge(leaf.verdict), role="cell"),
            element("td", sentences.shape_of(leaf), role="cell", data_name="shape"),
            *map(short, (leaf.error, leaf.floor, sentences.detects(leaf))),
        ]
        for leaf in leaves
    ]
    names = ("array", "verdict", "shape", "worst error", "noise floor", "detects")
    caption = "Worst error and noise floor are of the entry that errs most by its own floor; an error of the size"
    caption += " “detects”, relative to the array, cannot have passed"
    return _list(names, rows, caption)


def _maps(leaves: Sequence[Leaf], most: int, *, all_of_them: bool) -> Markup:
    """A heat map for each array that has entries, and what is said of it; consistent ones folded, if others are not."""
    loud = [leaf for leaf in leaves if leaf.verdict is not Verdict.CONSISTENT]
    quiet = [leaf for leaf in leaves if leaf.verdict is Verdict.CONSISTENT and _has_map(leaf)] if all_of_them else []
    parts = [element("div", *(_figure(leaf, most) for leaf in loud), class_="maps")] if loud else []
    if quiet:
        label = f"{sentences.count(len(quiet), 'consistent array')}, drawn"
        drawn = element("div", *(_figure(leaf, most) for leaf in quiet), class_="maps")
        parts.append(element("details", element("summary", label), drawn, class_="quiet", open=not loud))
    return joined(*parts)


def _has_map(leaf: Leaf) -> bool:
    return leaf.entries is not None and leaf.entries.ndim > 0


def _figure(leaf: Leaf, most: int) -> Markup:
    paragraph = element("p", f"{leaf.sentence}.") if leaf.sentence else ""
    caption = element("figcaption", element("code", leaf.path), " ", badge(leaf.verdict, tally(leaf)), paragraph)
    drawn = _scrolling(error_map(leaf, most), f"Errors of {leaf.path}") if _has_map(leaf) else ""
    return element("figure", caption, drawn, class_="spoken" if paragraph else None)


def _scrolling(inside: str, label: str) -> Markup:
    """What may be wider than the screen; by the keyboard it can be moved only if it can have the focus."""
    return element("div", inside, class_="scroll", tabindex=0, role="group", aria_label=label)


# the files


def _files(report: Reported) -> Markup:
    if not report.exhibits:
        return Markup("")
    verdicts = {group: worst_of(leaf.verdict for leaf in leaves) for group, leaves in sentences.groups(report).items()}
    # what is wrong first: it is the last to be left out
    ordered = sorted(report.exhibits, key=lambda exhibit: verdicts.get(exhibit.group) is Verdict.CONSISTENT)
    parts = [_bundle(bundle, report.precision) for bundle in bundles(ordered)]
    sentence = "The case and what was given for it are in this page. Save them, and judge them again:"
    return _section("Check it again", element("p", sentence), *parts, id_="files")


def _bundle(bundle: Bundle, precision: str) -> Markup:
    command = bundle.command(precision)
    inside = joined(
        element("ul", *map(_file, (bundle.case, *bundle.answers)), class_="files"),
        element("pre", command, class_="command") if command else "",
    )
    names = [group for group in bundle.groups if group]
    if len(names) != 1:
        return element("div", inside, class_="card")
    return element("details", element("summary", element("h3", element("bdi", names[0]))), inside, class_="group")


def _file(file: File) -> Markup:
    if file.reason:
        return element("li", f"{file.reason[:1].upper()}{file.reason[1:]}.")
    is_text = file.name.endswith(".json")
    size = f" {len(file.content) / 1000:,.1f} kB"
    if is_text:
        text = file.content.decode()
        address = f"data:application/json;charset=utf-8,{quote(text, safe='')}"
    else:
        text = ""
        address = f"data:application/octet-stream;base64,{base64.b64encode(file.content).decode()}"
    link = element("a", f"Save {file.name}", href=address, download=file.name, class_="save")
    source = ""
    if is_text and len(file.content) <= READABLE_BYTES:
        shown = element("pre", text, class_="file", tabindex=0, aria_label=file.name)
        source = element("details", element("summary", f"Read {file.name}"), shown, class_="source")
    return element("li", link, element("span", size, class_="small soft"), source)
