"""Each example is right, and its mistake is named, in float64 and float32; five_minutes.md shows what they print.

The page shows one precision; the other is tested here. Cases take time to compile, so the oracle asks about the first
that it chooses only, and what the page says of numbers of cases is left out of the comparison. EXAMPLES_IN_FULL=1 asks
about all, and compares everything.
"""

import contextlib
import io
import itertools
import os
import re
import runpy
import shlex
import subprocess
import sys
from functools import partial

import pytest
from typer.testing import CliRunner

import functional_mlp as fm
from functional_mlp import grading, oracle
from functional_mlp.cli import app
from functional_mlp.oracle.probing import draw_probe_cases
from functional_mlp.oracle.pytest_plugin import GradientOracle
from tests.examples.consoles import EXAMPLES, ROOT, code_in, copied, holds, needed, section, shown_in

NETWORK = fm.Network((2, 4, 3, 1), ("relu", "relu", "sigmoid"))
LOSS = fm.Loss("binary_cross_entropy")
FIVE_MINUTES = ROOT / "docs" / "guide" / "five_minutes.md"
HEADINGS = {"numpy": "NumPy", "pytorch": "PyTorch", "c": "C", "javascript": "JavaScript"}
MISTAKES = {
    "numpy": "bias-gradient-averaged",
    "pytorch": "relu-drops-cotangent",
    "c": "sum-not-accumulated",
    "javascript": "hidden-derivative-missing",
}
CALLS = {"numpy": "check_function", "pytorch": "check_model"}  # of the oracle, in their scripts
MODULES = ("mlp", "model")  # beside the scripts
IN_FULL = os.environ.get("EXAMPLES_IN_FULL", "") == "1"
FEW = 1  # probe cases
SHOWN = {"numpy": "float64", "pytorch": "float32", "c": "float64", "javascript": "float64"}  # on the page
SUFFIXES = (".py", ".c", ".h", ".mjs")

pytestmark = [pytest.mark.usefixtures("as_a_person", "few_cases"), pytest.mark.slow]


@pytest.fixture
def few_cases(monkeypatch):
    """What is chosen by `check_function` and `check_model`; `drive` is told."""
    if not IN_FULL:
        for module in ("probing.functions", "adapters.adapted"):
            monkeypatch.setattr(
                f"functional_mlp.oracle.{module}.draw_probe_cases", lambda *args: draw_probe_cases(*args)[:FEW]
            )


def without_counts(text):
    """Without the numbers of cases, samples and arrays, if few cases were asked about; they change its lines, too."""
    if IN_FULL:
        return text
    head = r"^\d+ telling cases?: .*?judged as\s\w+\."
    text = re.sub(head, lambda found: " ".join(found[0].split()), text, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"\d+ of \d+(?= arrays)|\d+ telling cases?|\d+(?= samples)", "#", text)


def require(language):
    """Skips the test where the language is not installed."""
    if language == "pytorch":
        pytest.importorskip("torch", reason="PyTorch is not installed")
    elif language != "numpy" and (missing := needed({"c": "gcc", "javascript": "node"}[language])):
        pytest.skip(missing)


@pytest.fixture
def script(monkeypatch):
    """script(folder, name): what a Python script prints, and its names, in this process."""

    def run(folder, name):
        for module in MODULES:
            monkeypatch.delitem(sys.modules, module, raising=False)
        printed = io.StringIO()
        with monkeypatch.context() as inside, contextlib.redirect_stdout(printed):
            inside.syspath_prepend(str(folder))
            names = runpy.run_path(str(folder / name), run_name="__main__")
        return printed.getvalue(), names

    return run


@pytest.fixture
def report(command, script, monkeypatch):
    """report(language, precision, mistaken): what the oracle says of an example."""

    def ask(language, precision, mistaken):
        require(language)
        if language not in CALLS:
            program = command(language, precision, mistaken)
            return oracle.drive(program, NETWORK, LOSS, precision=precision, cases=7 if IN_FULL else FEW, stream=True)
        call = getattr(oracle, CALLS[language])
        monkeypatch.setattr(oracle, CALLS[language], partial(call, precision=precision))
        return script(EXAMPLES / language, "check_mistaken.py" if mistaken else "check.py")[1]["report"]

    return ask


def other(precision):
    return {"float64": "float32", "float32": "float64"}[precision]


@pytest.mark.parametrize("language", MISTAKES)
def test_right_variant_is_consistent_in_the_other_precision(report, language):
    found = report(language, other(SHOWN[language]), mistaken=False)
    assert found.verdict is oracle.Verdict.CONSISTENT
    assert found.precision == other(SHOWN[language])


@pytest.mark.parametrize("language", MISTAKES)
def test_wrong_variant_is_wrong_in_the_other_precision(report, language):
    found = report(language, other(SHOWN[language]), mistaken=True)
    assert found.verdict is oracle.Verdict.WRONG
    if IN_FULL:  # to look for the mistake takes seconds
        assert [mistake.id for mistake in found.diagnosis.mistakes] == [MISTAKES[language]]


@pytest.mark.parametrize("language", MISTAKES)
def test_five_minutes_shows_what_the_commands_print(language, script, tmp_path, monkeypatch):
    require(language)
    folder = copied(language, tmp_path)
    monkeypatch.chdir(folder)
    shown = shown_in(section(FIVE_MINUTES, HEADINGS[language]))
    right, wrong = [output for _, output in shown if output]
    assert right.startswith("CONSISTENT: ")
    assert wrong.startswith("WRONG: ")
    assert f"MISTAKE {MISTAKES[language]} in layer" in wrong
    assert all(f"judged as {SHOWN[language]}." in " ".join(output.split()) for output in (right, wrong))
    for line, output in shown:
        program, *arguments = shlex.split(line)
        if program == "functional-mlp":
            few = [] if IN_FULL else ["--cases", str(FEW)]
            printed = CliRunner().invoke(app, [arguments[0], *few, *arguments[1:]], catch_exceptions=False).stdout
        elif program == "python":
            printed, _ = script(folder, *arguments)
        else:
            printed = subprocess.run([program, *arguments], check=True, capture_output=True, text=True).stdout
        assert holds(without_counts(printed), without_counts(output)), f"{line} prints\n{printed}"


def sources():
    return [path.read_text(encoding="utf-8") for path in EXAMPLES.glob("*/*") if path.suffix in SUFFIXES]


def test_code_on_the_pages_is_that_of_the_files():
    blocks = [
        list(code_in(page, "python", "c", "javascript")) for page in (FIVE_MINUTES, *EXAMPLES.glob("*/README.md"))
    ]
    assert len(blocks[0]) == 4
    for block in itertools.chain(*blocks):
        assert any(holds(source, block) for source in sources()), block


# the course


COURSE, COURSE_PAGE = EXAMPLES / "course", ROOT / "docs" / "guide" / "course.md"


def test_submissions_are_graded_as_the_course_shows(monkeypatch):
    chosen = ("ada", "ben", "cleo", "dan", "eve") if IN_FULL else ("ben", "cleo")
    homework = grading.read_assignment(COURSE / "homework.toml")
    shown, said = code_in(COURSE_PAGE, "text")
    rows = grading.table(
        grading.grade_submission(COURSE / "submissions" / f"{name}.py", homework) for name in chosen
    ).splitlines()
    assert rows == [line for line in shown.splitlines() if line.partition(",")[0] in ("name", *chosen)]
    monkeypatch.chdir(ROOT)
    *_, code = code_in(COURSE_PAGE, "python")
    written = io.StringIO()
    with contextlib.redirect_stdout(written):
        exec(code, {})
    assert written.getvalue() == said


def test_code_of_the_course_is_that_of_its_files(tmp_path, monkeypatch):
    [assignment] = code_in(COURSE_PAGE, "toml")
    assert assignment == (COURSE / "homework.toml").read_text(encoding="utf-8")
    first, _ = code_in(COURSE_PAGE, "python")
    (tmp_path / "homework.py").write_text((COURSE / "submissions" / "ada.py").read_text(encoding="utf-8"))
    monkeypatch.syspath_prepend(str(tmp_path))
    names = {}
    exec(first, names)
    names["test_gradients"](GradientOracle("test", None, None))


def test_check_of_the_numpy_class_is_five_lines():
    text = (EXAMPLES / "numpy" / "check.py").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith('"""')]
    assert len(lines) <= 5
