"""Who passes the conformance vectors: this package, `jax.grad`, NumPy, PyTorch where it is installed, C and JavaScript.

    python -m benchmarks.accuracy.conformance                              # the table, some minutes
    python -m benchmarks.accuracy.conformance --output docs/measured/conformance.md
    python -m benchmarks.accuracy.conformance --device 5                   # on a GPU or TPU: one vector in five

Every implementation is asked the valid and acceptable vectors of its own precision (C and JavaScript also those of
narrower ones), and judged entry by entry by what the vectors allow. The oracle is asked about every invalid vector: it
must call it wrong, and name the mistake. Exit code 1 if an implementation that must pass does not, or a mistake is not
named. *Unfused* implementations, which go through a probability where a loss of logits would do, are asked as well, to
show what that costs; they need not pass.
"""

import argparse
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from textwrap import indent
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import functional_mlp as fm
from benchmarks.accuracy.implementations.registry import IMPLEMENTATIONS, Answer
from functional_mlp import oracle
from functional_mlp._dtypes import DTYPES
from functional_mlp.experiments import text_table
from functional_mlp.files import write_bytes
from functional_mlp.oracle.case import Case
from functional_mlp.oracle.truth import float64_on_cpu
from functional_mlp.vectors import Vector, group_names, judge, read_vectors

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "functional_mlp" / "vectors" / "data"
COUNTS = re.compile(r"(\d+) vectors of \d+ files: (\d+) right, (\d+) wrong")


class Row(NamedTuple):
    """What came of one implementation.

    Attributes:
        name: of the implementation.
        precision: of the vectors that it was asked.
        right: how many it passed.
        wrong: ids of the others (of C and JavaScript, what they print of them).
        required: whether it must pass all.
    """

    name: str
    precision: str
    right: int
    wrong: tuple[str, ...]
    required: bool


def by_hand(case: Case, where: Callable[[], AbstractContextManager[Any]] = float64_on_cpu) -> Answer:
    """The answer of this package in the case's dtype, as its users get it; on a CPU, unless `where` says otherwise."""
    dtype = DTYPES[case.dtype]

    def array(x: Any) -> Any:
        return None if x is None else jnp.asarray(x, dtype)

    with where():
        params: Any = tuple(fm.Dense(array(layer.weights), array(layer.bias)) for layer in case.params)
        outputs, tape = fm.forward(case.network, params, array(case.inputs))
        if case.loss is None:
            grads, ct_inputs = fm.backward(case.network, params, tape, array(case.ct_outputs))
            return Answer(_pairs(grads), None, np.asarray(outputs), ct_inputs=np.asarray(ct_inputs))
        data = (array(case.inputs), array(case.targets), array(case.sample_weights))
        value, grads = fm.loss_and_grad(case.network, case.loss, params, *data)
        return Answer(_pairs(grads), float(value), np.asarray(outputs))


def _pairs(grads: Any) -> Any:
    return tuple((np.asarray(w), None if b is None else np.asarray(b)) for w, b in grads)


def passes(vector: Vector, answer: Answer) -> bool:
    """Whether every array of an answer is right."""
    parts = (answer.loss, answer.outputs, answer.deltas, answer.ct_inputs)
    return judge(vector, oracle.Gradients(answer.grads, *parts)) is None


def asked(name: str, precision: str, run: Callable[[Case], Answer], vectors: Sequence[Vector], required: bool) -> Row:
    """One implementation and the vectors of one precision."""
    fitting = [vector for vector in vectors if vector.precision == precision]
    with np.errstate(all="ignore"):
        wrong = [vector.id for vector in fitting if not passes(vector, run(vector.case))]
    print(f"{name}, {precision}: {len(fitting) - len(wrong)} of {len(fitting)}", file=sys.stderr, flush=True)
    return Row(name, precision, len(fitting) - len(wrong), tuple(wrong), required)


def on_default_device(vectors: Sequence[Vector], every: int) -> Iterator[Row]:
    """This package on the device that JAX finds, on one vector in `every`: compiling for each takes a second there."""
    run = partial(by_hand, where=lambda: jax.enable_x64(True))
    for precision in DTYPES:
        yield asked(f"functional_mlp on {jax.devices()[0].device_kind}", precision, run, vectors[::every], True)


def in_python(vectors: Sequence[Vector]) -> Iterator[Row]:
    """This package, and the implementations that the oracle was measured on."""
    for precision in DTYPES:
        yield asked("functional_mlp", precision, by_hand, vectors, True)
    for name, implementation in IMPLEMENTATIONS.items():
        if implementation.available():
            # -ffast-math may put ln Σ eᶻ in another order, and the largest logit is then subtracted in vain
            run, required = implementation.run, implementation.fused and not name.startswith("c-fast")
            fitting = [vector for vector in vectors if implementation.fits(vector.case)]
            yield asked(name, implementation.storage, run, fitting, required)


def in_other_languages() -> Iterator[Row]:
    """The consumers that need no Python, on all files."""
    files = [str(FOLDER / f"{name}.json") for name in group_names()]
    with tempfile.TemporaryDirectory() as folder:
        for precision, options in (("float64", []), ("float32", ["-DREAL=float"])):
            if shutil.which("gcc"):
                program = str(Path(folder) / precision)
                source = str(ROOT / "examples" / "c" / "verify.c")
                subprocess.run(["gcc", "-std=c11", "-O2", *options, source, "-o", program, "-lm"], check=True)
                yield _consumed("C", precision, [program, *files])
            if shutil.which("node"):
                script = str(ROOT / "examples" / "javascript" / "verify.mjs")
                flags = ["--float32"] if precision == "float32" else []
                yield _consumed("JavaScript", precision, ["node", script, *flags, *files])


def _consumed(name: str, precision: str, command: Sequence[str]) -> Row:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    counts = COUNTS.search(done.stdout)
    if counts is None:
        raise RuntimeError(f"{name} printed no counts: {done.stdout[-300:]}{done.stderr[-300:]}")
    _, right, wrong = map(int, counts.groups())
    print(f"{name}, {precision}: {right} right, {wrong} wrong", file=sys.stderr, flush=True)
    lines = [line for line in done.stdout.splitlines() if "/" in line][:wrong]
    return Row(name, f"{precision} and narrower", right, tuple(lines), True)


class Checked(NamedTuple):
    """What the oracle says of an invalid vector.

    Attributes:
        id: of the vector.
        verdict: of the oracle.
        named: ids of the mistakes that it names; several where they give the same numbers.
        right: whether the planted one is among them; or any, where the catalogue says that another explains it better.
    """

    id: str
    verdict: str
    named: tuple[str, ...]
    right: bool


def by_oracle(vector: Vector) -> Checked:
    """The verdict on an invalid vector, and the mistakes that are named."""
    assert vector.wrong is not None
    assert vector.mistake is not None
    if isinstance(vector.wrong, oracle.Update):
        rule: Any = vector.rule
        report = oracle.check_update(vector.case, vector.wrong, rule=rule, epochs=vector.steps)
    else:
        report = oracle.check(vector.case, vector.wrong)
    found = report.diagnosis
    named = () if found is None else (mistake.id for explanation in found.explanations for mistake in explanation)
    ids = tuple(dict.fromkeys(named))
    unsearched = vector.mistake.variant in oracle.MISTAKES[vector.mistake.id].unsearched
    return Checked(vector.id, str(report.verdict), ids, vector.mistake.id in ids or (unsearched and bool(ids)))


PAGE = """# Who passes the conformance vectors

Written by `python -m benchmarks.accuracy.conformance` ({machine}); change nothing by hand.
What the vectors are: [vectors.md](../reference/vectors.md).

There are {valid} vectors to pass, {acceptable} of them with more than one right answer, and {invalid} to refuse.

## Implementations

Each is asked the vectors of its own precision and judged by what they allow. *Unfused* ones go through a probability
where a loss of logits would do; they need not pass, and show what that costs. Nor need what `-ffast-math` makes of C.

{implementations}

## The oracle, on wrong gradients

{refused} of {invalid} invalid vectors are called wrong, and in {named} the mistake is among those named, or the one
that explains it better; in {alone} it is the only one. In the others, other mistakes give the same numbers in this one
case:

{ties}

## Published examples

Numbers that others print, beside the certified ones: those whose digits are the true ones rounded, truncated, or not.

{published}

Where they are not:

{reasons}
"""


def _published(sources: Sequence[dict[str, Any]]) -> tuple[str, str]:
    """A table of what was printed, and a list of why it is wrong where it is."""
    lines, reasons = [], []
    for source in sources:
        counts = Counter(printed["agrees"] for printed in source["printed"])
        lines.append([source["title"], *(str(counts[how]) for how in ("rounded", "truncated", "no"))])
        wrong = [printed for printed in source["printed"] if printed["agrees"] == "no"]
        whys = Counter((printed["why"], (printed.get("mistake") or {}).get("id")) for printed in wrong)
        for (why, mistake), count in whys.items():
            ending = f" (`{mistake}`)." if mistake else "."
            reasons.append(f"- {source['title']}: {count} of them. {why[0].upper()}{why[1:]}{ending}")
        for other in source.get("other", ()):
            words = f"{other['what']} is printed as {other['text']}, and is {other['certified']}: {other['why']}."
            reasons.append(f"- {source['title']}: {words}")
    return indent(text_table(("source", "rounded", "truncated", "no"), lines), "    "), "\n".join(reasons)


def page(
    rows: Sequence[Row], checked: Sequence[Checked], counts: Counter[str], sources: Sequence[dict[str, Any]]
) -> str:
    """The page, or what of it can be said."""
    tied = [[answer.id, ", ".join(answer.named)] for answer in checked if len(answer.named) != 1]
    ties = text_table(("vector", "named"), tied) if tied else "none."
    published, reasons = _published(sources)
    return PAGE.format(
        machine=f"Python {platform.python_version()}, JAX {jax.__version__}, NumPy {np.__version__}",
        valid=counts["valid"] + counts["acceptable"],
        acceptable=counts["acceptable"],
        invalid=counts["invalid"],
        implementations=indent(_implementations(rows), "    "),
        refused=sum(answer.verdict == "wrong" for answer in checked),
        named=sum(answer.right for answer in checked),
        alone=sum(answer.right and len(answer.named) == 1 for answer in checked),
        ties=indent(ties, "    "),
        published=published,
        reasons=reasons,
    )


def _implementations(rows: Sequence[Row]) -> str:
    """Who was asked, and how many of which group of vectors were wrong."""
    lines = []
    for row in rows:
        groups = Counter(name.partition("/")[0] for name in row.wrong)
        listed = ", ".join(f"{count} {group}" for group, count in groups.items())
        lines.append([row.name, row.precision, row.right, f"{len(row.wrong)}{f' ({listed})' if listed else ''}"])
    return text_table(("implementation", "vectors of", "right", "wrong"), lines)


def main() -> int:
    """Prints or writes the page; 0, or 1 if something that must pass does not."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy.conformance", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--output", type=Path, help="write the page here too")
    help_ = "instead: this package on JAX's device, one vector in N"
    parser.add_argument("--device", type=int, metavar="N", help=help_)
    options = parser.parse_args()
    vectors = tuple(read_vectors())
    if options.device is not None:
        rows = list(on_default_device(vectors, options.device))
        print(_implementations(rows))
        return int(any(row.wrong for row in rows))
    invalid = tuple(read_vectors(results=("invalid",)))
    rows = [*in_python(vectors), *in_other_languages()]
    checked = []
    for vector in invalid:
        checked.append(by_oracle(vector))
        print(f"\r{len(checked)} of {len(invalid)} wrong answers", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    counts = Counter(vector.result for vector in (*vectors, *invalid))
    text = page(rows, checked, counts, [vector.source for vector in vectors if vector.source is not None])
    print(text)
    if options.output is not None:
        write_bytes(options.output, text.encode())
    missed = [answer for answer in checked if answer.verdict != "wrong" or not answer.right]
    failed = [row for row in rows if row.required and row.wrong]
    for row in failed:
        print(f"{row.name}, {row.precision}: {', '.join(row.wrong[:20])}", file=sys.stderr)
    for answer in missed:
        print(f"{answer.id}: {answer.verdict}, named {', '.join(answer.named) or 'nothing'}", file=sys.stderr)
    return int(bool(failed or missed))


if __name__ == "__main__":
    sys.exit(main())
