"""The report's page: one file that asks for nothing, says everything, escapes everything, and gives the case back."""

import base64
import dataclasses
import hashlib
import json
import re
from itertools import pairwise

import jax
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from functional_mlp import oracle
from functional_mlp._dtypes import DTYPES
from functional_mlp._markup import shown
from functional_mlp.cli import app
from functional_mlp.oracle.case import weights_and_bias
from functional_mlp.oracle.documents import Gradients, Update, digits_of, read_answer
from functional_mlp.oracle.report.attachments import MAX_PAGE_BYTES, Exhibit, bundles
from functional_mlp.oracle.report.headlines import headline_of, notation_of
from functional_mlp.oracle.report.html.heat_map import LEGEND, error_map, times, tone
from functional_mlp.oracle.report.html.network_picture import drawn_network
from functional_mlp.oracle.report.html.page import page_of
from functional_mlp.oracle.report.report import Finding, Report
from functional_mlp.oracle.updates import check_update
from functional_mlp.oracle.verdict import Cause, Leaf, Verdict, coarsest
from tests.helpers.pages import REPORTS, Page, halved_bias, undiagnosed
from tests.helpers.questions import question, steps

MARKS = {"consistent": "✓", "undecided": "?", "wrong": "✗"}
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'><svg onload=alert(1)>",
    "]]></script></style></title></pre><!-- -->",
    "<!--",
    "&lt;b&gt; &amp; &#60;",
    "\x00\x07\x1b[31m\x7f\x85",
    "\ud800 \u202e\u2066 right to left",
    "javascript:alert(1)",
    "{}%s${x}`",
]


@pytest.fixture(scope="module")
def reports():
    return {name: make() for name, make in REPORTS.items()}


@pytest.fixture(scope="module")
def pages(reports):
    return {name: Page(report.html()) for name, report in reports.items()}


@pytest.fixture(params=REPORTS)
def name(request):
    return request.param


# what it says


def test_it_says_all_that_the_text_says(name, reports, pages):
    report, text = reports[name], " ".join(pages[name].text.split())
    verdict = str(report.verdict)
    assert f"{MARKS[verdict]} {verdict.upper()}" in text
    for leaf in report.leaves:
        assert leaf.path in text
        assert leaf.sentence in text
        assert leaf.remedy[1:] in text
    for sentence in report.notes:
        assert sentence in text
    if report.diagnosis is not None and report.diagnosis.mistakes:
        [named] = report.diagnosis.mistakes
        headline = headline_of(named, notation_of(report))
        for said in (
            named.id,
            headline.sentence.rstrip("."),
            " ".join(headline.fix.split()),
            f"to {named.digits} digits",
        ):
            assert said in text
        for one in report.diagnosis.evidence:
            assert f"{one.given:.6g}" in text
            assert f"{one.true:.6g}" in text
    assert ("Every entry agrees" in text) == (verdict == "consistent")


def test_no_verdict_is_said_by_colour_alone(name, reports, pages):
    leaves = reports[name].leaves
    marks = pages[name].text.count("✗"), pages[name].text.count("?")
    assert marks[0] >= sum(leaf.verdict is Verdict.WRONG for leaf in leaves)
    assert marks[1] >= sum(leaf.verdict is Verdict.UNDECIDED for leaf in leaves)


def test_the_formulas_are_set(reports):
    page = reports["wrong"].html()
    assert re.search(r"<dt[^>]*>mistaken</dt><dd><math", page)
    assert re.search(r"<dt[^>]*>right</dt><dd><math", page)


# that it is sound, and can be read by everybody


def test_it_asks_for_nothing_and_runs_nothing(name, reports, pages):
    page = pages[name]
    policy = page.all("meta")[1]
    assert policy["http-equiv"] == "Content-Security-Policy"
    assert policy["content"].startswith("default-src 'none'; ")
    [style] = page.styles
    assert base64.b64encode(hashlib.sha256(style.encode()).digest()).decode() in policy["content"]
    assert "unsafe" not in policy["content"]
    assert "script" not in policy["content"]
    assert not re.search(r"url\(|@import|expression", style)
    forbidden = {"script", "img", "iframe", "object", "embed", "base", "form", "audio", "video"}
    for element, attributes in page.elements:
        assert element not in forbidden
        for key, value in attributes.items():
            assert not key.startswith("on")
            assert key not in ("style", "src", "srcset", "action")
            if key == "href":
                assert value.startswith("data:")


def test_it_is_built_as_accessible_pages_are(name, pages):
    page = pages[name]
    assert page.all("html") == [{"lang": "en"}]
    assert len(page.all("main")) == len(page.all("h1")) == len(page.all("title")) == 1
    levels = [int(element[1]) for element, _ in page.elements if re.fullmatch(r"h[1-6]", element)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    for head in page.all("th"):
        assert head["scope"] in ("row", "col")
    for picture in page.all("svg"):
        assert picture.get("aria-hidden") == "true" or (picture["role"] == "img" and picture["aria-label"])
    for region in (attributes for _, attributes in page.elements if "tabindex" in attributes):
        assert region["aria-label"]
    identifiers = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    assert all(section["aria-labelledby"] in identifiers for section in page.all("section"))


def test_groups_are_told_apart_and_consistent_ones_are_folded():
    case = question()
    given = [steps(case, 0.1, halved_bias(case)), steps(case, 0.01)]
    page = Page(undiagnosed(check_update(case, given, [0.1, 0.01])).html())
    groups = [details for details in page.all("details") if details.get("class") == "group"]
    assert ["open" in details for details in groups] == [True, False]
    assert "learning rate 0.1" in page.text


def test_the_same_input_gives_the_same_page(reports):
    assert REPORTS["not finite"]().html() == reports["not finite"].html()


# strangers' text


def structure(page):
    return [(element, sorted(attributes)) for element, attributes in page.elements]


def spoken(text):
    """A report in which a stranger's text stands wherever one may."""
    leaf = Leaf(text, Verdict.WRONG, Cause.SHAPE, text, text, group=text)
    finding = Finding("raises", Verdict.WRONG, text)
    return Report(text, text, 1, text, (leaf,), findings=(finding,), notes=(text,))


@settings(max_examples=25)
@given(st.text(min_size=1, max_size=40))
@example("".join(HOSTILE))
def test_whatever_a_stranger_writes_stays_text(text):
    source = page_of(spoken(text))
    source.encode()  # no lone surrogates
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", source)
    page = Page(source)
    assert structure(page) == structure(Page(page_of(spoken("plain"))))
    assert page.text.count(shown(text)) >= 6


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_name_of_a_case_stays_text_in_the_page_and_in_the_file(text, reports, pages):
    name = "".join(filter(str.isprintable, text))
    [exhibit] = reports["right"].exhibits
    renamed = dataclasses.replace(exhibit, case=question(name=name))
    page = Page(dataclasses.replace(reports["right"], name=name, exhibits=(renamed,)).html())
    assert name in page.text
    assert structure(page) == structure(pages["right"])
    assert json.loads(page.files()["case.json"])["name"] == name


# large reports


def large(shape, place):
    entries = np.zeros(shape, np.int8)
    ratios = np.full(shape, 0.5)
    entries[place], ratios[place] = 2, 3e5
    counts = {"wrong": 1, "size": entries.size, "index": place}
    return Leaf("params[0].weights", Verdict.WRONG, Cause.VALUE, "wrong", entries=entries, ratios=ratios, **counts)


@pytest.mark.parametrize(("shape", "place"), [((1000, 777), (999, 776)), ((7, 500), (0, 13)), ((33,), (32,))])
def test_large_arrays_are_drawn_by_the_worst_of_their_blocks(shape, place):
    picture = error_map(large(shape, place))
    assert len(picture) < 40_000
    [title] = re.findall(r"<title>\[(.*?)\]: (\S+) times the floor, wrong</title>", picture)
    assert title[1] == "3·10⁵"
    ranges = [list(map(int, part.split("–"))) for part in title[0].split(", ")]
    for found, index in zip(ranges, place, strict=True):
        assert found[0] <= index <= found[-1]
    assert picture.count("<path") == 3  # the consistent blocks, the wrong one and its cross


def test_the_more_arrays_the_coarser_they_are_drawn():
    few, many = (
        tuple(dataclasses.replace(large((40, 40), (3, 3)), path=f"params[{i}].weights") for i in range(count))
        for count in (1, 200)
    )
    sizes = [len(page_of(Report("", "40-40", 1, "float64", leaves))) for leaves in (few, many)]
    assert (sizes[1] - sizes[0]) / 199 < 6_000


def test_a_network_is_drawn_in_part_where_it_is_large():
    network = oracle.draw_case(question().network, question().loss).network
    wide = type(network)((500,) * 60, "tanh")
    wrong = Leaf("params[30].weights", Verdict.WRONG)
    picture = drawn_network(wide, [wrong])
    assert len(picture) < 60_000
    assert picture.count("params[30].weights</text>") == 2  # along, and upright
    assert "⋯" in picture


def test_what_is_too_large_is_left_out_and_said(reports):
    [exhibit] = reports["right"].exhibits
    [kept] = bundles([exhibit])
    sizes = [len(file.content) for file in (kept.case, *kept.answers)]
    assert sum(sizes) < MAX_PAGE_BYTES
    [bundle] = bundles([exhibit], max_bytes=sizes[0])
    assert not bundle.case.reason
    assert bundle.answers[0].reason == "the gradients is too large to be kept in this page: keep your own file"
    assert bundle.command("float64") == ""


# the numbers


@pytest.mark.parametrize(
    ("ratio", "said"),
    [
        (0.0, "0"),
        (1e-9, "<.01"),
        (0.25, "0.25"),
        (2.0, "2"),
        (999.0, "999"),
        (1e15, "10¹⁵"),
        (4.4e7, "4·10⁷"),
        (np.inf, "∞"),
    ],
)
def test_ratios_are_short(ratio, said):
    assert times(ratio) == said


def test_every_colour_is_in_the_legend():
    verdicts = {"c": 0, "u": 1, "w": 2}
    seen = {tone(ratio, entry) for entry in (0, 1, 2) for ratio in (0.0, 0.01, 0.5, 2.0, 50.0, 1e4, 1e8, 1e13, np.inf)}
    assert seen == {name for name, _, _ in LEGEND}
    assert all(verdicts[name[0]] == entry for name, entry, _ in LEGEND)


# judged again


def same(first, second):
    """Whether two answers hold the same numbers, in the same dtype."""
    (left, one), (right, other) = map(flat, (first, second))
    return one == other and len(left) == len(right) and np.array_equal(left, right, equal_nan=True)


def flat(answer):
    """All numbers of an answer, and the narrowest dtype of its arrays."""
    layers = [weights_and_bias("params", layer) for layer in answer.params]
    more = [getattr(answer, name, None) for name in ("loss", "outputs", "deltas", "ct_inputs", "learning_rate")]
    leaves = jax.tree.leaves((layers, more))
    return np.concatenate([np.ravel(np.asarray(leaf, np.float64)) for leaf in leaves]), coarsest(leaves)


def saved(answers, folder, case=None):
    """What the reader makes of the files in which some answers are kept."""
    [bundle] = bundles([Exhibit("", question() if case is None else case, answers)])
    assert not bundle.answers[0].reason
    path = folder / bundle.answers[0].name
    path.write_bytes(bundle.answers[0].content)
    return read_answer(path)


def printed(form):
    """A gradients file as a C program prints it."""

    def text(value):
        return f"[{', '.join(map(text, value))}]" if np.ndim(value) else form % value

    layers = [f'{{"weights": {text(w)}, "bias": {text(b)}}}' for w, b in halved_bias(question())]
    return f'{{"format": "functional-mlp/gradients", "version": 1, "loss": 1.25, "params": [{", ".join(layers)}]}}'


@pytest.mark.parametrize("form", ["%g", "%f", "%.3f", "%.9f", "%.17g", "%.2e", "%.16e"])
def test_what_was_printed_is_kept_as_it_was_printed(form, tmp_path):
    (tmp_path / "printed.json").write_text(printed(form))
    original = read_answer(tmp_path / "printed.json")
    again = saved(original, tmp_path)
    assert same(original, again)
    for path in ("params[0].weights", "params[0].bias", "params[1].weights", "params[1].bias", "loss"):
        first, second = digits_of(original, path), digits_of(again, path)
        assert np.array_equal(first.half_unit(first.values), second.half_unit(first.values))
        assert np.array_equal(first.widest(first.values), second.widest(first.values))


def test_exact_numbers_stay_exact_however_short_they_are(tmp_path):
    params = [([[0.5, 0.25]], [1.0]), ([[0.0, -1e-3]], [2.0])]
    again = saved(Gradients(params, loss=0.5), tmp_path)
    assert same(Gradients(params, loss=0.5), again)
    for path, values in (("params[0].weights", [0.5, 0.25]), ("params[1].weights", [0.0, -1e-3]), ("loss", 0.5)):
        assert (digits_of(again, path).widest(values) <= np.spacing(np.abs(values))).all()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_arrays_keep_their_dtype_and_whatever_they_hold(dtype, tmp_path):
    leaf = np.array([[0.1, np.nan], [-np.inf, 1e-3]], DTYPES[dtype])
    given = Gradients([(leaf, leaf[0])], loss=0.25)
    again = saved(given, tmp_path)
    assert same(given, again)
    assert {leaf.dtype.name for leaf in jax.tree.leaves(again.params)} == {dtype}
    assert same(given, saved(Update([(leaf, leaf[0])], 0.1), tmp_path)._replace(learning_rate=0.25))


def test_whatever_the_judge_took_is_kept(reports, tmp_path):
    for report in reports.values():
        for exhibit in report.exhibits:
            assert same(exhibit.answer, saved(exhibit.answer, tmp_path, exhibit.case))


@pytest.mark.parametrize("name", ["wrong", "updates"])
def test_what_the_page_saves_gets_the_same_verdict_again(name, reports, tmp_path, as_a_person):
    source = reports[name].html()
    for file, content in Page(source).files().items():
        (tmp_path / file).write_bytes(content)
    [command] = re.findall(r'<pre class="command">functional-mlp (check .*?)</pre>', source)
    arguments = [str(tmp_path / word) if "." in word else word for word in command.split()]
    again = CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False)
    assert again.exit_code == 1
    known = json.loads(reports[name].json())
    for mine, theirs in zip(json.loads(again.output)["leaves"], known["leaves"], strict=True):
        # a text adds half a unit in its last digit to the floor
        for field in ("path", "group", "verdict", "cause", "index", "got", "expected", "error", "wrong"):
            assert mine[field] == theirs[field], (mine, theirs)


def test_activations_of_your_own_are_shown_and_not_saved(reports):
    activation = dataclasses.replace(question().network.activations[0], name="mine")
    network = type(question().network)(question().network.sizes, [activation, "tanh", "identity"])
    [exhibit] = reports["right"].exhibits
    own = dataclasses.replace(exhibit, case=question(network=network))
    page = Page(dataclasses.replace(reports["right"], exhibits=(own,)).html())
    assert set(page.files()) == {"gradients.json"}
    assert "The case cannot be written to a file" in page.text
    assert "functional-mlp check" not in page.text


# the command


def run(folder, *options):
    files = [str(folder / name) for name in ("case.json", "gradients.json")]
    return CliRunner().invoke(app, ["check", *files, *options], catch_exceptions=False)


@pytest.fixture
def folder(tmp_path, reports, as_a_person):
    for file, content in Page(reports["wrong"].html()).files().items():
        (tmp_path / file).write_bytes(content)
    return tmp_path


def test_the_command_writes_the_page_beside_text_or_json(folder):
    text = run(folder, "--html", str(folder / "report.html"))
    assert text.exit_code == 1
    assert text.output.startswith("WRONG: ")
    first = (folder / "report.html").read_text()
    assert "WRONG" in Page(first).text
    both = run(folder, "--json", "--html", str(folder / "report.html"))
    assert both.exit_code == 1
    assert json.loads(both.output)["verdict"] == "wrong"
    assert (folder / "report.html").read_text() == first


@pytest.mark.parametrize("place", ["no/such/folder.html", "-", "case.json", "./gradients.json"])
def test_the_command_refuses_places_that_cannot_or_should_not_be_written(folder, place):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    result = run(folder, "--html", place if place == "-" else str(folder / place))
    assert result.exit_code == 2
    assert result.output.startswith("functional-mlp: ")
    assert result.output.count("\n") == 1
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
