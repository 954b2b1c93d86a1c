"""Writes the conformance vectors: functional_mlp/vectors/data/*.json.

    python -m tools.vectorgen                 # all groups, some minutes
    python -m tools.vectorgen --group kinks   # one
    python -m tools.vectorgen --check         # nothing is written: exit code 1 if a file would change

Two runs give the same bytes, on any machine: numbers are drawn without a mathematical library (`recipes.py`), expected
values are correctly rounded by the referee, and allowed errors are rounded up to a coarse grid; one that was written
before stays where the new one is its neighbour on the grid, to which a last bit may move it. Every file is validated
by its schema before it is written.
"""

import argparse
import json
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from functional_mlp.files import write_bytes
from tools.vectorgen import mistaken
from tools.vectorgen.certified import vector as certified_vector
from tools.vectorgen.documents import plain_json
from tools.vectorgen.hazards import batches, criteria, magnitudes, networks, published, rules, units
from tools.vectorgen.hazards.flags import FLAGS
from tools.vectorgen.hazards.recipes import Recipe, UnfitError
from tools.vectorgen.validating import validate

FOLDER = Path(__file__).resolve().parents[2] / "functional_mlp" / "vectors" / "data"
RELEASE = "1.1.0"
NEIGHBOUR = 2.1  # so many times one number of the grid at most is the next
GENERATOR = "functional-mlp, python -m tools.vectorgen"


class GroupOf(NamedTuple):
    """A group: what its vectors have in common, and their recipes."""

    comment: str
    recipes: Callable[[], Iterator[Recipe]]


GROUPS = {
    "shapes": GroupOf("Sizes, numbers of samples, depth, width, layers without bias.", networks.shapes),
    "activations": GroupOf("Every activation, in a hidden layer and at the output.", networks.activations),
    "losses": GroupOf("Every loss, reduction and scale, and targets of all kinds.", networks.losses),
    "saturation": GroupOf("Units and outputs that are far out.", magnitudes.saturation),
    "logits": GroupOf("Logits that overflow, vanish, or nearly equal each other.", magnitudes.logit_vectors),
    "kinks": GroupOf("Pre-activations of exactly 0, and dead units.", magnitudes.kinks),
    "cancellation": GroupOf("Differences of nearly equal numbers.", magnitudes.cancellation),
    "magnitudes": GroupOf("Numbers near the ends of the format.", magnitudes.magnitudes),
    "batches": GroupOf("Sample weights, left-over batches, many and equal samples.", batches.batches),
    "regulariser": GroupOf("L2 penalties.", batches.regulariser),
    "vjp": GroupOf("Bare cotangents, without a loss.", batches.bare),
    "updates": GroupOf("The parameters after one step of gradient descent.", batches.updates),
    "published": GroupOf("Published systems and worked examples, with what their sources print.", published.published),
    "smooth": GroupOf("Further smooth activations, far out as well.", units.smooth),
    "piecewise": GroupOf("Further activations that are put together of pieces, at their kinks too.", units.piecewise),
    "regression": GroupOf("Losses of differences: absolute error, huber, log cosh.", criteria.regression),
    "classification": GroupOf("Margins, divergences and focal losses.", criteria.classification),
    "options": GroupOf("Options of losses, batch means, and penalties on |w|.", criteria.options),
    "rules": GroupOf("The parameters after one and several steps of every update rule.", rules.rules),
}
MISTAKES = {
    "mistakes": "Wrong gradients, each by one mistake of the catalogue: what a checker must refuse.",
    mistaken.LATER: "Wrong gradients and updates by the mistakes that joined the catalogue later.",
}


class Task(NamedTuple):
    """One vector to be made: its place in its group's recipes, and its precision."""

    group: str
    place: int
    precision: str


def tasks(groups: Sequence[str]) -> list[Task]:
    """Every vector of some groups."""
    found: list[Task] = []
    for name in groups:
        if name in MISTAKES:
            found += [Task(name, place, "float64") for place, _ in enumerate(_makings(name))]
        else:
            for place, recipe in enumerate(_recipes(name)):
                found += [Task(name, place, precision) for precision in recipe.precisions]
    return found


@cache
def _recipes(group: str) -> tuple[Recipe, ...]:
    """Published systems come with data that take a moment."""
    return tuple(GROUPS[group].recipes())


@cache
def _makings(group: str) -> tuple[mistaken.Making, ...]:
    """Asking the catalogue where mistakes show takes seconds."""
    return tuple(mistaken.makings(group))


def attempted(task: Task) -> dict[str, Any] | str:
    """One vector, or why its recipe gives none."""
    try:
        return made(task)
    except UnfitError as error:
        return str(error)


def made(task: Task) -> dict[str, Any]:
    """One vector, as plain JSON.

    Raises:
        UnfitError: if its recipe gives none.
    """
    if task.group in MISTAKES:
        fields = mistaken.vector(_makings(task.group)[task.place])
    else:
        fields = certified_vector(_recipes(task.group)[task.place], task.precision)
        if "source" in fields:
            fields["source"] = published.compared(fields["source"], fields["expected"])
    plain = plain_json(fields)
    return steady(plain, _written(task.group).get(plain["id"], {}))


@cache
def _written(group: str) -> dict[str, dict[str, Any]]:
    """The vectors of a group as they were written, by id."""
    path = FOLDER / f"{group}.json"
    return {vector["id"]: vector for vector in json.loads(path.read_text())["vectors"]} if path.exists() else {}


def steady(made: Any, written: Any, *, allowed: bool = False) -> Any:
    """A vector, or a part of one, with the allowed errors that were written before where they are next to these."""
    if isinstance(made, dict) and isinstance(written, dict):
        return {
            name: steady(part, written.get(name), allowed=allowed or name == "allowed") for name, part in made.items()
        }
    if isinstance(made, list) and isinstance(written, list) and len(made) == len(written):
        return [steady(*parts, allowed=allowed) for parts in zip(made, written, strict=True)]
    if allowed and isinstance(made, float) and isinstance(written, float) and made > 0:
        return written if 1 / NEIGHBOUR < written / made < NEIGHBOUR else made
    return made


def document(group: str, vectors: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The file of a group."""
    used = [name for name in FLAGS if any(name in vector["flags"] for vector in vectors)]
    notes = {name: {"hazard": FLAGS[name].hazard, "mistakes": list(FLAGS[name].mistakes)} for name in used}
    head = {"format": "functional-mlp/vectors", "version": 1, "release": RELEASE, "generator": GENERATOR}
    comment = MISTAKES[group] if group in MISTAKES else GROUPS[group].comment
    body = {"group": group, "comment": comment, "notes": notes, "count": len(vectors)}
    return head | body | {"vectors": list(vectors)}


def text_of(group: dict[str, Any]) -> str:
    """A group's file: the fields of a vector have a line each, so that a change shows where it is."""
    head = [f" {json.dumps(name)}: {json.dumps(value)}" for name, value in group.items() if name != "vectors"]
    vectors = [
        ",\n".join(
            f"   {json.dumps(name)}: {json.dumps(value, separators=(',', ':'), allow_nan=False)}"
            for name, value in vector.items()
        )
        for vector in group["vectors"]
    ]
    listed = ",\n".join(f"  {{\n{vector}\n  }}" for vector in vectors)
    return "{\n" + ",\n".join(head) + f',\n "vectors": [\n{listed}\n ]\n}}\n'


def make(groups: Sequence[str], jobs: int) -> Iterator[tuple[str, str]]:
    """Name and text of each group's file, each vector made in one of `jobs` processes.

    Raises:
        UnfitError: if recipes give no vector: their names, and why.
    """
    work = tasks(groups)
    made_: dict[str, list[dict[str, Any]]] = {name: [] for name in groups}
    unfit: list[str] = []
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        for i, (task, vector) in enumerate(zip(work, pool.imap(attempted, work, chunksize=4), strict=True)):
            if isinstance(vector, str):
                unfit.append(vector)
            else:
                made_[task.group].append(vector)
            print(f"\r{i + 1} of {len(work)} vectors", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    if unfit:
        raise UnfitError("\n".join(unfit))
    for name, vectors in made_.items():
        file = document(name, vectors)
        validate(file)
        yield name, text_of(file)


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes or compares the files; 0, or 1 if one differs."""
    every = [*GROUPS, *MISTAKES]
    parser = argparse.ArgumentParser(prog="python -m tools.vectorgen", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--group", action="append", choices=every, help="only this one; may be repeated")
    parser.add_argument("--check", action="store_true", help="write nothing; say whether a file would change")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: %(default)s)")
    options = parser.parse_args(arguments)
    changed = []
    try:
        for name, text in make(options.group or every, options.jobs):
            path = FOLDER / f"{name}.json"
            if not path.exists() or path.read_bytes() != text.encode("ascii"):
                changed.append(name)
                if not options.check:
                    write_bytes(path, text.encode("ascii"))
    except UnfitError as error:
        print(f"no vector: {error}", file=sys.stderr)
        return 1
    print(f"{'would change' if options.check else 'written'}: {', '.join(changed) or 'nothing'}")
    return int(bool(changed) and options.check)
