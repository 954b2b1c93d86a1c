"""Drawn programs, put to the oracle as their authors would, and what is said of each beside what was made."""

import time
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from benchmarks.accuracy.field.equivalences import remarks
from benchmarks.accuracy.field.faults import formulas_with
from benchmarks.accuracy.field.formulas import Gradients
from benchmarks.accuracy.field.generator import Program, draw_programs, program_of
from benchmarks.accuracy.field.problems import Problem
from benchmarks.accuracy.field.programs import gradients
from benchmarks.accuracy.field.substitutes import every_answer
from benchmarks.accuracy.trials import Trial, Trials
from functional_mlp import oracle

AT_ONCE = 10  # programs in a trial, of one family


class ProgramRow(NamedTuple):
    """One program.

    Attributes:
        number: of the program among those drawn.
        faults: how many were made in it.
        outside: whether one of them is in no catalogue.
        made: what they are, with their layers.
        asked: the network, loss, samples, style and way.
        dtype: of the program.
        verdict: of the report; an exception's sentence if there is none.
        named: whether all mistakes of a right answer are among the headline and the ties.
        partly: whether some are, where not all.
        false: ids in the headline that are in no right answer, joined by blanks; none where a right answer, or a part
            of one and nothing else, is among the explanations that the report says make the same numbers.
        said: the headline, and after a stroke the ties.
        seconds: that it took.
    """

    number: int
    faults: int
    outside: bool
    made: str
    asked: str
    dtype: str
    verdict: str
    named: bool
    partly: bool
    false: str
    said: str
    seconds: float


def trials_of(seed: int, count: int) -> Mapping[str, partial[list[ProgramRow]]]:
    """All programs in trials, each of programs that share what the oracle compiles."""
    by_family: dict[int, list[int]] = {}
    for index, (family, _) in enumerate(draw_programs(seed, count)):
        by_family.setdefault(family, []).append(index)
    chunks = [own[i : i + AT_ONCE] for own in by_family.values() for i in range(0, len(own), AT_ONCE)]
    return {f"programs {seed} {' '.join(map(str, own))}": partial(trial, seed, own) for own in chunks}


def rows_of(trials: Trials, todo: Mapping[str, Trial]) -> list[ProgramRow]:
    """The rows of some trials, by the numbers of the programs."""
    return sorted((row for rows in trials.run(todo).values() for row in rows), key=lambda row: row.number)


def trial(seed: int, indices: Sequence[int]) -> list[ProgramRow]:
    """The rows of some programs."""
    return [row_of(index, program_of(seed, index)[1]) for index in indices]


def row_of(index: int, program: Program) -> ProgramRow:
    """A program, put to the oracle."""
    family, faults = program.problem.family, program.faults
    start = time.perf_counter()
    headline: list[str] = []
    ties: list[str] = []
    explanations: list[frozenset[str]] = []
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            report = ask(program)
            verdict, found = str(report.verdict), report.diagnosis
        if found is not None:
            headline, ties = [mistake.id for mistake in found.mistakes], ids_in(found.ties)
            explanations = [frozenset(mistake.id for mistake in one) for one in found.explanations]
    except Exception as error:  # a question that is refused is a row too
        verdict = f"{type(error).__name__}: {error}"[:200]
    seconds = time.perf_counter() - start
    accepted = every_answer(program)
    listed = frozenset[str]().union(*accepted)
    said = {*headline, *ties}
    named = verdict == "wrong" and any(answer and answer <= said for answer in accepted)
    # of explanations that make the very same numbers one is right, of all arrays or of some
    tied = any(answer and ids and (answer <= ids or ids <= answer) for answer in accepted for ids in explanations)
    false = [] if tied else sorted(set(headline) - listed - remarks(family, faults))
    return ProgramRow(
        number=index,
        faults=len(faults),
        outside=any(not one.fault.id for one in faults),
        made=" + ".join(sorted(f"{one.fault.id or 'OUTSIDE'} ({one.fault.name}) in {one.layers}" for one in faults)),
        asked=_described(program),
        dtype=family.dtype,
        verdict=verdict,
        named=named,
        partly=verdict == "wrong" and not named and bool(listed & said),
        false=" ".join(false),
        said=" + ".join(headline) + (f" | {', '.join(dict.fromkeys(ties))}" if ties else ""),
        seconds=seconds,
    )


def _described(program: Program) -> str:
    """The question, in short."""
    family, style = program.problem.family, program.style
    layers = " ".join(f"{name}:{size}" for name, size in zip(family.activations, family.sizes[1:], strict=True))
    penalty = f" l2={family.l2}{' on biases too' if family.l2_on_bias else ''}" if family.l2 else ""
    loss = f"{family.loss} {family.over_samples}/{family.over_outputs} x{family.scale}{penalty}"
    rates = f" {program.rates}" if program.way == "update" else ""
    unbiased = "" if family.biased else " no bias"
    data = f"{loss}, n={family.samples}"
    return f"{family.sizes[0]} {layers}{unbiased}, {data}; {'; '.join(map(str, style))}; {program.way}{rates}"


def ids_in(ties: Any) -> list[str]:
    """The ids of ties, each of which is a mistake or several together."""
    return [name for tie in ties for name in ([tie.id] if hasattr(tie, "id") else ids_in(tie))]


def ask(program: Program) -> oracle.Report:
    """The question, as the program's author would ask it."""
    problem, family = program.problem, program.problem.family
    if program.way == "function":
        return oracle.check_function(
            partial(_function, program),
            family.network,
            family.declared_loss,
            precision=family.dtype,
            bias=family.biased,
            targets="any" if family.targets == "soft" else None,
        )
    given = [_handed_over(program, pairs) for pairs in program.numbers()]
    end = "ct_outputs" if family.loss is None else "targets"
    parameters = _handed_over(program, list(zip(problem.weights, problem.biases, strict=True)))
    case = oracle.Case(
        family.network,
        family.declared_loss,
        parameters,
        problem.inputs,
        dtype=family.dtype,
        **{end: problem.targets},
        **_layouts(program),
    )
    if program.way == "gradients":
        return oracle.check(case, given[0])
    one = len(given) == 1
    return oracle.check_update(case, given[0] if one else given, program.rates[0] if one else program.rates)


def _function(program: Program, params: Any, inputs: Any, end: Any) -> Any:
    family = program.problem.family
    pairs = [
        (np.asarray(W, family.dtype), None if b is None else np.asarray(b, family.dtype)) for W, b in map(_pair, params)
    ]
    weights, biases = zip(*pairs, strict=True)
    data = (np.asarray(inputs, family.dtype), np.asarray(end, family.dtype))
    problem = Problem(family, weights, biases, *data)
    made = gradients(problem, program.style, formulas_with(program.style, program.faults))
    return [weights if bias is None else (weights, bias) for weights, bias in made]


def _pair(layer: Any) -> tuple[Any, Any]:
    return tuple(layer) if isinstance(layer, tuple | list) else (layer, None)


def _layouts(program: Program) -> dict[str, Any]:
    """What the author of a program declares: that of columns has weights (fan_out, fan_in)."""
    turned, row = program.style.layout == "columns", program.style.layout == "bias row"
    declared = {"weights_layout": "out_in"} if turned else {}
    return declared | ({"bias_layout": "last_row"} if row and program.problem.family.biased else {})


def _handed_over(program: Program, pairs: Gradients) -> list[Any]:
    """Arrays in the program's own layout."""
    layouts = _layouts(program)
    made: list[Any] = []
    for weights, bias in pairs:
        if "bias_layout" in layouts and bias is not None:
            made.append(np.vstack([weights, bias]))
            continue
        own = weights.T if "weights_layout" in layouts else weights
        made.append(own if bias is None else (own, bias))
    return made
