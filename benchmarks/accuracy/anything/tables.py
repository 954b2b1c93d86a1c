"""The tables of the trial, as one page of Markdown, written from the rows."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import numpy as np

from benchmarks.accuracy.anything.reports import REPORTS
from benchmarks.accuracy.anything.trials import Refused, Reported, Right, Unstructured, Wrong
from benchmarks.accuracy.verdicts.tables import grouped, share
from benchmarks.markdown import table

Row = TypeVar("Row")
WRONG, UNDECIDED = "wrong", "undecided"
DTYPES = ("float64", "float32", "bfloat16", "float16")
OUTSIDE = ("overflow", "underflow", "kink", "branch")  # causes that excuse an undecided verdict
RIVALS = ("assert_close", "1e-2", "at most twice", "check_grads", "gradcheck")
TOLD = {
    "assert_close": "`torch.testing.assert_close`, its defaults",
    "1e-2": "rtol = atol = 1e-2",
    "at most twice": "at most twice the framework's own error",
    "check_grads": "`jax.test_util.check_grads`",
    "gradcheck": "`torch.autograd.gradcheck`",
}
INTRODUCTION = """# Any function: measured error rates

Written by `python -m benchmarks.accuracy.anything`; change nothing by hand. Operations, wrong backward passes and
reports are in `benchmarks/accuracy/anything`.
"""
RIGHT = """## Right backward passes

{operations} operations ({sizes}), by PyTorch on the CPU, JAX (compiled, operation by operation, and what `jax.nn` has
of its own), NumPy by hand and C; inputs scaled by 1e-3, 1 and 30, and offset by 100 (by 4 in 16 bits). One check is one
gradient. *Undecided, unexcused* leaves out ties and near ties, overflow and underflow. *Error / floor* is the largest
among consistent gradients: how near a false alarm was. *Detects* is the median of the smallest detectable change
relative to the gradient's norm. PyTorch on the CPU adds up weight and bias of a layer norm row after row in 16 bits,
bit by bit, and JAX the sums of a VJP: the verdicts found both, and they are declared so.
"""
WRONG_ONES = """## Wrong backward passes

{mistakes} mistakes of {operations} operations, {sourced} of them from public reports, each in inputs of scale 1.
*Above*: the mistake changes some gradient by more than the smallest change that the report states; *detects* is the
median of that change relative to the gradient's norm. Arrays of 16 bits are those of kernels that compute in float32
inside. *Named*: the diagnosis gives a name; *at its place*: that name points at a line of the reference which the
mistake is about.
"""
FALSE_NAMES = """## Errors without structure

Gradients with noise, other numbers, shuffled or single entries off. Whatever is named here is a false name.
"""
OTHERS = """## Others, on the same cases

Right backward passes that each calls wrong, and wrong ones (in float64 above 1e-9 of the norm) that each lets pass. The
tolerances are given the float64 gradient, which their users seldom have; `check_grads` and `gradcheck` were asked about
tiny inputs.
"""
REPORTED = """## Public reports

Their mathematics, written anew. *Mended* is the verdict on the gradients after the repair.
"""


def page(rows: Sequence[Any]) -> str:
    """Every table of the rows that there are."""
    of: dict[type, list[Any]] = {}
    for row in rows:
        of.setdefault(type(row), []).append(row)
    parts = [INTRODUCTION]
    for kind, make in ((Right, _right), (Wrong, _wrong), (Unstructured, _unstructured)):
        parts += make(of[kind]) if kind in of else []
    if Right in of and Wrong in of:
        parts += [OTHERS, _rivals(of[Right], of[Wrong])]
    parts += [REPORTED, _reports(of[Reported])] if Reported in of else []
    parts += ["## Refused\n", _refused(of[Refused])] if Refused in of else []
    return "\n".join(parts)


def _by_dtype(rows: Iterable[Row], line: Callable[[str, list[Row]], list[Any]]) -> list[list[Any]]:
    groups = grouped(rows, lambda row: row.dtype)  # type: ignore[attr-defined]
    return [line(dtype, groups[dtype]) for dtype in DTYPES if dtype in groups]


def _median(values: Iterable[float]) -> str:
    finite = [value for value in values if np.isfinite(value)]
    return f"{np.median(finite):.1e}" if finite else "–"


# right


def _right(rows: list[Right]) -> list[str]:
    operations, sizes = len({row.operation for row in rows}), ", ".join(dict.fromkeys(row.size for row in rows))
    made = [
        RIGHT.format(operations=operations, sizes=sizes),
        _right_table("dtype", rows, lambda row: row.dtype),
        "Undecided, by cause:\n",
        _causes(rows),
    ]
    for what, key in (
        ("declared", lambda row: row.precision),
        ("size", lambda row: row.size),
        ("implementation", _library),
        ("family", lambda row: row.family),
    ):
        made.append(_right_table(what, rows, key))
    made.append(_right_table("scale, offset", rows, lambda row: f"{row.scale:g}, {row.offset:g}"))
    alarms = [row for row in rows if row.verdict == WRONG]
    if alarms:
        made += ["Called wrong:\n", _alarms(alarms)]
    return made


def _library(row: Right) -> str:
    known = ("PyTorch", "JAX, compiled", "JAX, eager", "jax.nn", "C", "C, -ffast-math")
    return row.implementation if row.implementation in known else "NumPy by hand"


def _right_table(what: str, rows: list[Right], key: Callable[[Right], str]) -> str:
    def line(name: str, group: list[Right]) -> list[Any]:
        verdicts = Counter(row.verdict for row in group)
        unexcused = sum(row.verdict == UNDECIDED and row.cause not in OUTSIDE for row in group)
        ratio = max((row.ratio for row in group if row.verdict == "consistent"), default=0.0)
        detects = _median(row.detectable / row.norm for row in group if row.norm > 0)
        shares = (share(verdicts[UNDECIDED], len(group)), share(unexcused, len(group)))
        return [name, len(group), f"**{verdicts[WRONG]}**", *shares, f"{ratio:.2f}", detects]

    head = (what, "checks", "wrong", "undecided", "undecided, unexcused", "error / floor", "detects (median)")
    groups = grouped(rows, key)
    names = sorted(groups, key=lambda name: DTYPES.index(name) if name in DTYPES else len(DTYPES))
    return table(head, [*(line(name, groups[name]) for name in names), line("all", rows)])


def _causes(rows: list[Right]) -> str:
    undecided = [row for row in rows if row.verdict == UNDECIDED]
    of_dtype = Counter(row.dtype for row in rows)
    body = []
    for cause, group in sorted(grouped(undecided, lambda row: row.cause).items()):
        counts = Counter(row.dtype for row in group)
        body.append([cause, len(group), *(share(counts[dtype], of_dtype[dtype]) for dtype in DTYPES)])
    return table(("cause", "checks", *DTYPES), body)


def _alarms(rows: list[Right]) -> str:
    groups = grouped(rows, lambda row: (row.operation, row.dtype, f"{row.scale:g}, {row.offset:g}", row.cause))
    body = [
        [
            *key,
            ", ".join(sorted({row.implementation for row in group})),
            len(group),
            f"{max(r.ratio for r in group):.3g}",
        ]
        for key, group in sorted(groups.items())
    ]
    return table(("operation", "dtype", "scale, offset", "cause", "by", "checks", "error / floor"), body, texts=5)


# wrong


def _wrong(rows: list[Wrong]) -> list[str]:
    from benchmarks.accuracy.anything.mistakes import MISTAKES

    mistakes = {row.mistake for row in rows}
    numbers = {
        "mistakes": len(mistakes),
        "operations": len({mistake.partition("/")[0] for mistake in mistakes}),
        "sourced": sum(bool(MISTAKES[mistake].source) for mistake in mistakes),
    }
    return [
        WRONG_ONES.format(**numbers),
        _wrong_table("dtype", rows, lambda row: row.dtype),
        _wrong_table("family, float64 and float32", [r for r in rows if r.dtype in DTYPES[:2]], lambda row: row.family),
        "Overlooked above the stated change:\n",
        table(
            ("mistake", "dtype", "size", "verdict", "change"),
            [
                [row.mistake, row.dtype, row.size, row.verdict, f"{row.change:.1e}"]
                for row in rows
                if row.above and row.verdict != WRONG
            ],
            texts=4,
        ),
        "Not named in float64:\n",
        table(
            ("mistake", "what is wrong"),
            sorted(
                {
                    (row.mistake, _cell(MISTAKES[row.mistake].sentence))
                    for row in rows
                    if row.dtype == "float64" and row.verdict == WRONG and not row.sentence
                }
            ),
            texts=2,
        ),
        "Named elsewhere, in float64:\n",
        table(
            ("mistake", "what is wrong", "what was said"),
            sorted(
                {
                    (row.mistake, _cell(MISTAKES[row.mistake].sentence), _cell(row.sentence))
                    for row in rows
                    if row.dtype == "float64" and row.sentence and not row.at_place
                }
            ),
            texts=3,
        ),
    ]


def _wrong_table(what: str, rows: list[Wrong], key: Callable[[Wrong], str]) -> str:
    def line(name: str, group: list[Wrong]) -> list[Any]:
        above = [row for row in group if row.above]
        wrong = [row for row in group if row.verdict == WRONG]
        counts = (len(group), share(len(wrong), len(group)), len(above), sum(row.verdict == WRONG for row in above))
        named, placed = sum(bool(row.sentence) for row in wrong), sum(row.at_place for row in wrong)
        detects = _median(row.detectable for row in group)
        return [name, *counts, detects, share(named, len(group)), share(placed, len(group))]

    head = (what, "mistakes", "wrong", "above", "of these wrong", "detects (median)", "named", "named at its place")
    groups = grouped(rows, key)
    names = sorted(groups, key=lambda name: DTYPES.index(name) if name in DTYPES else len(DTYPES))
    return table(head, [*(line(name, groups[name]) for name in names), line("all", rows)])


def _unstructured(rows: list[Unstructured]) -> list[str]:
    def line(name: str, group: list[Unstructured]) -> list[Any]:
        false = sum(bool(row.sentence) for row in group)
        wrong = sum(row.verdict == WRONG for row in group)
        return [name, len(group), share(wrong, len(group)), false, share(false, len(group))]

    groups = grouped(rows, lambda row: row.how)
    lines = [*(line(*item) for item in sorted(groups.items())), *_by_dtype(rows, line), line("all", rows)]
    made = [FALSE_NAMES, table(("error", "gradients", "wrong", "named", "share"), lines)]
    false = [[row.operation, row.dtype, row.how, _cell(row.sentence)] for row in rows if row.sentence]
    return [*made, table(("operation", "dtype", "error", "what was said"), false, texts=4)] if false else made


# others


def _cell(text: str) -> str:
    """A text that may stand in a table."""
    return text.replace("|", "\\|")


def _rivals(right: list[Right], wrong: list[Wrong]) -> str:
    """Backward passes are counted here, not gradients."""
    passes = grouped(right, lambda r: (r.operation, r.implementation, r.size, r.scale, r.offset, r.seed, r.dtype))
    body = []
    for dtype in DTYPES:
        own = [group for key, group in passes.items() if key[-1] == dtype]
        mistaken = [row for row in wrong if row.dtype == dtype]
        if not own and not mistaken:
            continue
        alarms = sum(any(row.verdict == WRONG for row in group) for group in own)
        silent = sum(row.verdict == "consistent" for row in mistaken)
        body.append(
            ["the oracle", dtype, len(own), share(alarms, len(own)), len(mistaken), share(silent, len(mistaken))]
        )
    for rival in RIVALS:
        for dtype in DTYPES:
            asked = [row for row in right if row.dtype == dtype and rival in row.passes]
            given = [row for row in wrong if row.dtype == dtype and rival in row.passes]
            if asked or given:
                alarms, silent = (sum(not row.passes[rival] for row in asked), sum(row.passes[rival] for row in given))
                counts = (len(asked), share(alarms, len(asked)), len(given), share(silent, len(given)))
                body.append([TOLD[rival], dtype, *counts])
    return table(("who", "dtype", "right", "called wrong", "wrong", "let pass"), body, texts=2)


def _reports(rows: list[Reported]) -> str:
    def link(address: str) -> str:
        return f"[{address.removeprefix('https://github.com/')}]({address})"

    body = []
    for row in rows:
        report = REPORTS[row.report]
        rivals = ", ".join(TOLD[name].strip("`").split("`")[0] for name in ("assert_close", "1e-2") if row.passes[name])
        told = (report.field, link(report.address), report.what, report.precision)
        body.append([*told, row.verdict, row.mended, _cell(row.sentence) or "–", rivals or "–"])
    head = ("field", "report", "what was wrong", "precision", "verdict", "mended", "named", "passes with")
    return table(head, body, texts=8)


def _refused(rows: list[Refused]) -> str:
    groups = grouped(rows, lambda row: (row.what, row.message))
    body = [
        [_cell(what), _cell(message), ", ".join(sorted({r.dtype for r in group}))]
        for (what, message), group in groups.items()
    ]
    return table(("what", "why", "dtypes"), body, texts=3)
