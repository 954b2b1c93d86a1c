"""Verifying a program in any language by the vectors: their cases on its standard input, its gradients on its output.

The protocol is that of `oracle.drive`. Unlike there, the cases are fixed and published, every answer is right or wrong,
and what is reported is which hazards the program does not survive; the mistake behind a wrong answer is then named as
far as the oracle can.
"""

import json
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from functional_mlp.oracle.calling import Call, Fault, Skipped
from functional_mlp.oracle.checking import check
from functional_mlp.oracle.putting import Put, putting
from functional_mlp.oracle.verdict import Verdict
from functional_mlp.oracle.wording import fitted, kind_of, place_of
from functional_mlp.vectors.judging import judge
from functional_mlp.vectors.reading import Group, Vector, group_names, read_group, read_vectors

RIGHT, WRONG, UNSUPPORTED = "right", "wrong", "unsupported"
SHOWN = 10  # wrong vectors, in a text
NAMED = 3  # of them are diagnosed


class Outcome(NamedTuple):
    """What came of one vector.

    Attributes:
        id: of the vector.
        flags: of the vector.
        status: "right", "wrong" or "unsupported".
        sentence: what is wrong, or why it is not supported; "" if it is right.
        mistakes: what the oracle calls it, if it is wrong and one of the first; in words.
    """

    id: str
    flags: tuple[str, ...]
    status: str
    sentence: str = ""
    mistakes: tuple[str, ...] = ()


class Verification(NamedTuple):
    """What came of all vectors.

    Attributes:
        precision: that the program was said to compute in.
        release: of the vectors.
        outcomes: in the order of the vectors.
        notes: the hazard of each flag, in words.
    """

    precision: str
    release: str
    outcomes: tuple[Outcome, ...]
    notes: dict[str, str]

    @property
    def verdict(self) -> Verdict:
        """WRONG if any vector is; else CONSISTENT; UNDECIDED if the program supports none."""
        found = Counter(outcome.status for outcome in self.outcomes)
        if found[WRONG]:
            return Verdict.WRONG
        return Verdict.CONSISTENT if found[RIGHT] else Verdict.UNDECIDED

    def text(self) -> str:
        """For the terminal: counts by group, the first wrong vectors, the hazards that they have in common."""
        lines = [f"{self._counted(self.outcomes)}; release {self.release}, as {self.precision}."]
        for name, own in self._by_group().items():
            lines.append(f"  {name:<14} {self._counted(own)}")
        wrong = [outcome for outcome in self.outcomes if outcome.status == WRONG]
        for outcome in wrong[:SHOWN]:
            lines += ["", f"WRONG {outcome.id} ({', '.join(outcome.flags)})", f"  {outcome.sentence}"]
            lines += [f"  {mistake}" for mistake in outcome.mistakes]
        if len(wrong) > SHOWN:
            lines += ["", f"and {len(wrong) - SHOWN} more: --json lists them all."]
        if wrong:
            lines += ["", "What they hunt:", *self._hunted(wrong)]
            lines += ["", f"One of them as a case file: functional-mlp vectors show --case {wrong[0].id} > case.json"]
        reasons = Counter(outcome.sentence for outcome in self.outcomes if outcome.status == UNSUPPORTED)
        if reasons:
            lines += ["", "Not supported, in the program's own words:"]
            lines += [f"  {count} times {reason or 'no reason given'}" for reason, count in reasons.most_common(SHOWN)]
        return "\n".join(lines) + "\n"

    def json(self) -> str:
        """Everything, as a document of the format functional-mlp/verification."""
        document = {"format": "functional-mlp/verification", "version": 1, "release": self.release}
        document |= {"precision": self.precision, "verdict": str(self.verdict)}  # type: ignore[dict-item]
        counts = Counter(outcome.status for outcome in self.outcomes)
        document |= {status: counts[status] for status in (RIGHT, WRONG, UNSUPPORTED)}  # type: ignore[dict-item]
        return json.dumps(document | {"vectors": [outcome._asdict() for outcome in self.outcomes]}, indent=1) + "\n"

    def _by_group(self) -> dict[str, list[Outcome]]:
        groups: dict[str, list[Outcome]] = {}
        for outcome in self.outcomes:
            groups.setdefault(outcome.id.partition("/")[0], []).append(outcome)
        return groups

    @staticmethod
    def _counted(outcomes: Sequence[Outcome]) -> str:
        counts = Counter(outcome.status for outcome in outcomes)
        said = [f"{counts[RIGHT]} right"]
        said += [f"{counts[WRONG]} WRONG"] if counts[WRONG] else []
        said += [f"{counts[UNSUPPORTED]} not supported"] if counts[UNSUPPORTED] else []
        return f"{len(outcomes)} vectors: {', '.join(said)}"

    def _hunted(self, wrong: Sequence[Outcome]) -> list[str]:
        every = Counter(flag for outcome in self.outcomes for flag in outcome.flags)
        failed = Counter(flag for outcome in wrong for flag in outcome.flags)
        return [
            f"  {flag} ({count} of {every[flag]} wrong): {self.notes[flag]}" for flag, count in failed.most_common()
        ]


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
    read = [read_group(name) for name in (group_names() if groups is None else dict.fromkeys(groups))]
    vectors = tuple(read_vectors([group.name for group in read], precision))
    outcomes = []
    with putting(command, timeout, None, jobs, stream) as put:
        put.prepare([vector.case for vector in vectors])
        left = NAMED
        for i, vector in enumerate(vectors):
            outcome = _outcome(vector, put, precision, diagnosed=left > 0)
            left -= outcome.status == WRONG
            outcomes.append(outcome)
            if progress is not None:
                progress(i + 1, len(vectors))
    return Verification(
        precision, _release(read), tuple(outcomes), {k: v for group in read for k, v in group.notes.items()}
    )


def _release(groups: Sequence[Group]) -> str:
    return ", ".join(dict.fromkeys(group.release for group in groups))


def _outcome(vector: Vector, put: Put, precision: str, diagnosed: bool) -> Outcome:
    result = put.one(vector.case)
    if isinstance(result, Skipped):
        return Outcome(vector.id, vector.flags, UNSUPPORTED, result.reason)
    if isinstance(result, Fault):
        details = f": {result.details}" if result.details else ""
        return Outcome(vector.id, vector.flags, WRONG, f"your program {result.sentence}{details}")
    mismatch = judge(vector, result.answer)
    if mismatch is None:
        return Outcome(vector.id, vector.flags, RIGHT)
    sentence = f"{mismatch.path}: {mismatch.sentence}"
    return Outcome(vector.id, vector.flags, WRONG, sentence, _named(vector, result, precision) if diagnosed else ())


def _named(vector: Vector, call: Call, precision: str) -> tuple[str, ...]:
    """The mistakes that the oracle sees in an answer, in words."""
    found = check(vector.case, call.answer, precision).diagnosis
    return (
        ()
        if found is None
        else tuple(f"{kind_of(one)} {place_of(one)}{fitted(one)}: {one.sentence}" for one in found.mistakes)
    )
