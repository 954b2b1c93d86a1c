"""docs/reference/oracle.md shows what the programs print; the figures that pages quote are those that were measured."""

from __future__ import annotations

import contextlib
import io
import json
import re
from pathlib import Path

from typer.testing import CliRunner

from functional_mlp import oracle
from functional_mlp.cli import app, summary_of

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
BLOCKS = re.findall(
    r"```(\w+)\n(.*?)```", (DOCS / "reference" / "oracle.md").read_text(encoding="utf-8"), flags=re.DOTALL
)


def blocks(language: str) -> list[str]:
    return [text for name, text in BLOCKS if name == language]


def rounded(text: str) -> str:
    """With 13 digits of every number: another processor's exponential may end in another one."""
    return re.sub(r"-?\d+\.\d{13,}", lambda number: f"{float(number.group()):.13g}", text.strip())


def test_python_example_prints_what_is_shown(as_a_person: None) -> None:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(blocks("python")[0], {})
    assert printed.getvalue() == blocks("text")[0]


def test_case_file_is_solved_as_shown(tmp_path: Path) -> None:
    path = tmp_path / "case.json"
    path.write_text(blocks("json")[0], encoding="utf-8")
    case = oracle.read_case(path)
    solution = oracle.solve(case)
    assert rounded(summary_of(case, solution)) == rounded(blocks("text")[1])
    oracle.write_solution(tmp_path / "solution.json", case, solution)
    written = json.loads((tmp_path / "solution.json").read_text(encoding="utf-8"))
    assert set(written) == set(re.findall(r'"(\w+)":', blocks("json")[1])) - {"weights", "bias"}


def test_gradients_file_is_judged_as_shown(tmp_path: Path, as_a_person: None) -> None:
    files = [tmp_path / "case.json", tmp_path / "gradients.json"]
    for path, text in zip(files, [blocks("json")[0], blocks("json")[2]], strict=True):
        path.write_text(text, encoding="utf-8")
    done = CliRunner().invoke(app, ["check", *map(str, files)])
    assert done.exit_code == 1
    assert done.stdout.strip() == blocks("text")[2].strip()


# figures that a page quotes of another one


def quotes(text: str, *figures: int | str) -> bool:
    """Whether these figures and words stand in a text one soon after the other."""
    shown = [f"{figure:,}" if isinstance(figure, int) else figure for figure in figures]
    whole = [rf"(?<![\d.,]){re.escape(figure)}(?![\d,.]*\d)" for figure in shown]  # no part of a longer number
    return re.search("[^|]{0,100}?".join(whole), " ".join(text.split())) is not None


def quoted(page: str, *figures: int | str) -> bool:
    """Whether a page quotes these figures."""
    return quotes((ROOT / page).read_text(encoding="utf-8"), *figures)


def test_a_figure_that_is_another_is_no_quotation() -> None:
    text = "Of 7,036 planted\nmistakes, 7,035 were named; a loop took 0.73 times as long."
    assert quotes(text, "Of", 7036, "planted mistakes", 7035, "loop", "0.73")
    for others in ((7035, 7036), (7036, 7034), (36, 7035), (7036, 703), (7036, "7"), (7035, "0.7"), (7035, "73")):
        assert not quotes(text, *others), others


def measured(name: str) -> str:
    return (DOCS / "measured" / name).read_text(encoding="utf-8")


def row(text: str, start: str) -> list[str]:
    """The other cells of the first row that begins with `start`; of what programs print, columns."""
    [line, *_] = [line.strip() for line in text.splitlines() if line.strip().startswith(start)]
    return re.split(r" *\| *|   *", line[len(start) :].strip(" |"))


def test_the_rates_in_the_readme_are_those_of_the_diagnosis() -> None:
    drawn = measured("diagnosis.md").partition("## Drawn programs")[2]
    named = [row(drawn, f"| {faults} |")[2] for faults in (1, 2, 3)]
    programs, falsely = (int(row(drawn, "| all |")[column]) for column in (0, 4))
    assert falsely <= 0.005 * programs
    one, two, three = named
    assert quoted("README.md", "Of", programs, "programs", one, "one fault", two, "two", three, "three", falsely)


def test_no_correct_program_of_the_corpus_is_called_wrong() -> None:
    page = measured("programs.md")
    said = r"(\d+) correct programs, (\d+) questions: \d+ consistent, (\d+) undecided, (\d+) wrong, (\d+) refused"
    [counts] = re.findall(said, page)
    programs, questions, undecided, *wrong = map(int, counts)
    assert programs >= 40
    assert undecided <= 0.03 * questions
    assert wrong == [0, 0]
    [(asked, answered)] = re.findall(r"with a mistake, (\d+) questions: (\d+) wrong", page)
    assert asked == answered


def test_the_rates_of_the_oracle_are_those_of_the_verdicts() -> None:
    page = measured("verdicts.md")
    [(reports, arrays, false)] = re.findall(r"^([\d,]+) reports on ([\d,]+) arrays .*; false alarms: (\d+)", page, re.M)
    assert quoted("docs/reference/oracle.md", reports, "reports on", arrays, "arrays of correct programs", false)
    counts = [row(page, f"| {precision}, all |")[2:4] for precision in ("float64", "float32")]
    assert all(above == wrong for above, wrong in counts)
    figures = [int(count) for pair in counts for count in pair]
    assert quoted("docs/reference/oracle.md", *figures)


def test_the_claim_about_autodiff_is_that_of_the_certification() -> None:
    page = measured("certification.md")
    claim, but = "The hand-written pass is not worse than autodiff in any group", "but one: of subnormal numbers"
    worse = page.partition("worse than autodiff here:**")[2].partition("“Not worse” means")[0]
    assert {line.split(":")[0] for line in worse.splitlines() if line.startswith("- ")} == {"- subnormal"}
    hand, autodiff = re.findall(r"the median error is (\S+) noise units, that of autodiff (\S+)", worse)[0]
    assert quoted("docs/reference/oracle.md", claim, but, "its median error is", hand, "that of autodiff", autodiff)


def test_the_times_of_the_functions_are_those_of_the_speed() -> None:
    page = measured("speed.md")
    one_sample = page[page.index("One-sample: moons") : page.index("Mini-batch: moons")]
    names = ("NumPy", "scikit-learn", "PyTorch, eager", "flax and optax, lax.scan", "equinox and optax, lax.scan")
    ratios = [float(row(one_sample, f"{name}  ")[1].replace(",", "")) for name in names]
    by_c = float(row(one_sample, "C, gcc")[2])
    numpy, sklearn, torch = (f"{ratio:.0f}" for ratio in ratios[:3])
    flax, equinox = (f"{ratio:.1f}" for ratio in ratios[3:])
    times = ("scikit-learn", sklearn, "PyTorch", torch, flax, "to", equinox, "C loop", f"{by_c:.2f}")
    assert quoted("docs/guide/functions.md", "NumPy", numpy, *times)
