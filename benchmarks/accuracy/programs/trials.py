"""The programs of the corpus, asked: right ones with every network and seed, mistaken ones with every network."""

import shutil
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from benchmarks.accuracy.programs import corpus
from benchmarks.accuracy.programs.asking import ask
from benchmarks.accuracy.programs.registry import Make, Program, with_mistake
from functional_mlp import Network

REFUSED = "refused"  # in place of a verdict, where the question was refused with an exception
NEEDED = {"javascript": "node", "c_with_pointers": "gcc"}  # tools without which a program is not asked


class Row(NamedTuple):
    """One question and its answer.

    Attributes:
        program: its name.
        mistake: what was planted; empty for the right program.
        sizes: of the network, joined by hyphens.
        seed: of the question.
        verdict: "consistent", "undecided", "wrong", or `REFUSED`.
        seconds: that the question took, compilation included.
        remark: the message of an exception, or the report's first notes.
    """

    program: str
    mistake: str
    sizes: str
    seed: int
    verdict: str
    seconds: float
    remark: str


def programs() -> dict[str, Program]:
    """Every program that can be asked here, by its name, in the order of the corpus."""
    return {name: each for name, each in corpus.programs().items() if shutil.which(NEEDED.get(name, "true"))}


def missing() -> Mapping[str, str]:
    """The programs that cannot be asked here, and the tool that each needs."""
    return {name: tool for name, tool in NEEDED.items() if not shutil.which(tool)}


def questions() -> dict[str, tuple[str, ...]]:
    """The names of the programs by what they compute: what the oracle compiles for one serves all of a question."""
    found: dict[str, tuple[str, ...]] = {}
    for name, each in programs().items():
        question = f"{each.networks[0].activations} {each.loss}"
        found[question] = (*found.get(question, ()), name)
    return found


def trial(names: Sequence[str], seeds: int) -> list[Row]:
    """All that is asked about some programs."""
    return [row for name in names for row in _rows(programs()[name], seeds)]


def _rows(of: Program, seeds: int) -> list[Row]:
    """All questions about a program: `seeds` for each network, and one for each mistake and network."""
    rows = [_asked(of, of.make, "", network, seed) for network in of.networks for seed in range(seeds)]
    for planted in of.planted:
        wrong = with_mistake(of, planted)
        rows += [_asked(of, wrong, planted.what, network, seed) for seed, network in enumerate(of.networks)]
    return rows


def _asked(of: Program, make: Make, mistake: str, network: Network, seed: int) -> Row:
    """One question; the program is made anew for it."""
    start = time.perf_counter()
    try:
        report = ask(of.way, make(), network, of.loss, seed, of.declared)
        verdict, remark = report.verdict.value, "; ".join(report.notes[:2])
    except (TypeError, ValueError) as error:
        verdict, remark = REFUSED, str(error)
    seconds = time.perf_counter() - start
    return Row(of.name, mistake, "-".join(map(str, network.sizes)), seed, verdict, seconds, remark)
