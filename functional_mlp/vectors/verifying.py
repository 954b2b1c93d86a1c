"""Verifying a program in any language by the vectors: their cases on its standard input, its gradients on its output.

The protocol is that of `oracle.drive`. Unlike there, the cases are fixed and published, every answer is right or wrong,
and what is reported is which hazards the program does not survive; the mistake behind a wrong answer is then named as
far as the oracle can.
"""

from collections.abc import Callable, Collection, Sequence

from functional_mlp._checks import known_name
from functional_mlp.oracle.checking import check
from functional_mlp.oracle.probing import Call, Fault, Skipped
from functional_mlp.oracle.programs import Invocation, Submitter, submitting
from functional_mlp.oracle.report import Notation, fitted, headline_of, kind_of, place_of
from functional_mlp.vectors.comparing import judge
from functional_mlp.vectors.reading import HELD, Group, Vector, group_names, read_group
from functional_mlp.vectors.verification import HANGS, RIGHT, UNSUPPORTED, WRONG, Outcome, Verification

NAMED = 3  # wrong vectors are diagnosed, each of another group


def verify(
    command: Sequence[str],
    groups: Collection[str] | None = None,
    precision: str = "float64",
    *,
    timeout: float | int = 10.0,
    jobs: int = 1,
    stream: bool = False,
    progress: Callable[[int, int], object] | None = None,
) -> Verification:
    """Asks a program every valid and acceptable vector whose numbers its precision holds.

    Args:
        command: the program and its arguments, started without a shell: once per vector, or once for all.
        groups: names of groups; None: all.
        precision: what it computes in: "float64", "float32", "bfloat16" or "float16".
        timeout: seconds for one answer.
        jobs: how many answers are computed side by side; 1 for a stream.
        stream: whether the program is started once, and answers a line with a line.
        progress: called after each vector with the number of those done and of all.

    Raises:
        CommandError: if the program cannot be started.
        TypeError, ValueError: for names that there are not, and numbers out of range.
    """
    held = HELD[known_name("precision", precision, HELD)]
    read = [read_group(name) for name in (group_names() if groups is None else dict.fromkeys(groups))]
    vectors = [each for group in read for each in group.vectors if each.result != "invalid" and each.precision in held]
    if not vectors:
        names = ", ".join(group.name for group in read)
        raise ValueError(f"expected a group with {precision} vectors to pass, got {names}, which has none")
    outcomes: list[Outcome] = []
    diagnosed: set[str] = set()
    with submitting(Invocation(command, timeout, None, jobs, stream)) as submitter:
        submitter.prepare([vector.case for vector in vectors])
        for i, vector in enumerate(vectors):
            group = vector.id.partition("/")[0]
            outcome = _outcome(vector, submitter, precision, group not in diagnosed and len(diagnosed) < NAMED)
            if outcome.mismatch is not None and len(diagnosed) < NAMED:
                diagnosed.add(group)
            outcomes.append(outcome)
            if progress is not None:
                progress(i + 1, len(vectors))
            if [recent.fault for recent in outcomes[-HANGS:]] == ["timeout"] * HANGS:
                break
    notes = {flag: hazard for group in read for flag, hazard in group.notes.items()}
    steps = sum(vector.rule is not None for vector in vectors)
    unasked = len(vectors) - len(outcomes)
    return Verification(precision, _release(read), tuple(outcomes), notes, steps, unasked)


def _release(groups: Sequence[Group]) -> str:
    return ", ".join(dict.fromkeys(group.release for group in groups))


def _outcome(vector: Vector, submitter: Submitter, precision: str, diagnosed: bool) -> Outcome:
    result = submitter.ask(vector.case)
    if isinstance(result, Skipped):
        return Outcome(vector.id, vector.flags, UNSUPPORTED, result.reason)
    if isinstance(result, Fault):
        details = f": {result.details}" if result.details else ""
        return Outcome(vector.id, vector.flags, WRONG, f"your program {result.sentence}{details}", result.id)
    mismatch = judge(vector, result.answer)
    if mismatch is None:
        return Outcome(vector.id, vector.flags, RIGHT)
    sentence = f"{mismatch.path}: {mismatch.sentence}"
    mistakes = _named(vector, result, precision) if diagnosed else ()
    return Outcome(vector.id, vector.flags, WRONG, sentence, None, mismatch, mistakes)


def _named(vector: Vector, call: Call, precision: str) -> tuple[str, ...]:
    """The mistakes that the oracle sees in an answer, in words."""
    found = check(vector.case, call.answer, precision=precision).diagnosis
    notation = Notation(vector.case, len(vector.case.params))
    return tuple(
        f"{kind_of(one)} {place_of(one)}{fitted(one)}: {headline_of(one, notation).sentence}"
        for one in (found.mistakes if found is not None else ())
    )
