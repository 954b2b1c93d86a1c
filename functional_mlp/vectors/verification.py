"""What came of verifying a program by the vectors, as text and as a document."""

import json
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from functional_mlp.oracle.verdict import Verdict
from functional_mlp.vectors.comparing import Mismatch

RIGHT, WRONG, UNSUPPORTED = "right", "wrong", "unsupported"
HANGS = 3  # answers in a row that did not come in time, after which no more are asked for
SHOWN = 6  # hazards, and reasons, in a text
OF_STEPS = ("Update", "UpdateRule", "RuleState")  # hazards that gradients, which alone are asked for, do not show


class Outcome(NamedTuple):
    """What came of one vector.

    Attributes:
        id: of the vector.
        flags: of the vector.
        status: "right", "wrong" or "unsupported".
        sentence: what is wrong, or why it is not supported; "" if it is right.
        fault: what the program does instead of answering, such as "timeout", or None.
        mismatch: the entry that is wrong, if the program answered with a wrong one.
        mistakes: what the oracle calls it, in words, if it is the first wrong one of one of the first groups.
    """

    id: str
    flags: tuple[str, ...]
    status: str
    sentence: str = ""
    fault: str | None = None
    mismatch: Mismatch | None = None
    mistakes: tuple[str, ...] = ()


class Verification(NamedTuple):
    """What came of all vectors.

    Attributes:
        precision: that the program was said to compute in.
        release: of the vectors.
        outcomes: in the order of the vectors.
        notes: the hazard of each flag, in words.
        steps: how many vectors have the parameters after steps, too, which a program is not asked for.
        unasked: how many more there are, if the program hung and was not asked them.
    """

    precision: str
    release: str
    outcomes: tuple[Outcome, ...]
    notes: dict[str, str]
    steps: int
    unasked: int

    @property
    def verdict(self) -> Verdict:
        """WRONG if any vector is; else CONSISTENT; UNDECIDED if the program supports none."""
        found = Counter(outcome.status for outcome in self.outcomes)
        if found[WRONG]:
            return Verdict.WRONG
        return Verdict.CONSISTENT if found[RIGHT] else Verdict.UNDECIDED

    def text(self) -> str:
        """For the terminal: counts by group, named mistakes, a wrong vector of each group, and hazards."""
        lines = [f"{self._counted(self.outcomes)}; release {self.release}, as {self.precision}."]
        for name, outcomes in self._by_group().items():
            lines.append(f"  {name:<14} {self._counted(outcomes)}")
        wrong = [outcome for outcome in self.outcomes if outcome.status == WRONG]
        named = Counter(mistake for outcome in wrong for mistake in outcome.mistakes)
        lines += ["", *named] if named else []
        faults = [outcome for outcome in wrong if outcome.mismatch is None]
        lines += ["", *self._sentences_of(faults)] if faults else []
        misses = [outcome for outcome in wrong if outcome.mismatch is not None]
        if misses:
            lines += ["", "Wrong, the first of each group (--json lists all):"]
            firsts = {outcome.id.partition("/")[0]: outcome for outcome in reversed(misses)}
            lines += [f"  {miss.id}: {miss.sentence}" for miss in reversed(firsts.values())]
            lines += ["", "What it does not survive:", *self._hunted(misses)]
            lines += ["", f"One of them as a case file: functional-mlp vectors show --case {misses[0].id} > case.json"]
        if self._is_float32(misses):
            lines += [
                "",
                "Every wrong one is a float64 vector. If your program computes in float32: --precision float32.",
            ]
        if self.steps:
            lines += ["", f"{self.steps} vectors have the parameters after steps, too; only gradients were asked for."]
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
        return json.dumps(document | {"vectors": [_fields(outcome) for outcome in self.outcomes]}, indent=1) + "\n"

    def _sentences_of(self, faults: Sequence[Outcome]) -> list[str]:
        """What the program does instead of answering, each thing once."""
        firsts = {outcome.sentence: outcome.id for outcome in reversed(faults)}
        counts = Counter(outcome.sentence for outcome in faults)
        lines = [
            f"{count} times {sentence}; first: {firsts[sentence]}" for sentence, count in counts.most_common(SHOWN)
        ]
        return lines + (
            [f"{self.unasked} more were not asked for: it hung {HANGS} times in a row."] if self.unasked else []
        )

    def _is_float32(self, misses: Sequence[Outcome]) -> bool:
        """Whether every wrong vector is one of float64, and every one of another precision is right."""
        others = [outcome for outcome in self.outcomes if not outcome.id.endswith("/float64")]
        return bool(misses and others) and all(outcome.status != WRONG for outcome in others)

    def _by_group(self) -> dict[str, list[Outcome]]:
        groups: dict[str, list[Outcome]] = {}
        for outcome in self.outcomes:
            groups.setdefault(outcome.id.partition("/")[0], []).append(outcome)
        return groups

    @staticmethod
    def _counted(outcomes: Sequence[Outcome]) -> str:
        counts = Counter(outcome.status for outcome in outcomes)
        parts = [f"{counts[RIGHT]} right"]
        parts += [f"{counts[WRONG]} WRONG"] if counts[WRONG] else []
        parts += [f"{counts[UNSUPPORTED]} not supported"] if counts[UNSUPPORTED] else []
        return f"{len(outcomes)} vectors: {', '.join(parts)}"

    def _hunted(self, wrong: Sequence[Outcome]) -> list[str]:
        """The hazards of the wrong vectors: those first of which the largest part is wrong."""
        answered = [outcome for outcome in self.outcomes if outcome.status != UNSUPPORTED]
        every = Counter(flag for outcome in answered for flag in outcome.flags)
        failed = Counter(flag for outcome in wrong for flag in outcome.flags if flag not in OF_STEPS)
        worst = sorted(failed, key=lambda flag: (-failed[flag] / every[flag], -failed[flag]))
        return [f"  {flag}, {failed[flag]} of {every[flag]}: {self.notes[flag]}" for flag in worst[:SHOWN]]


def _fields(outcome: Outcome) -> dict[str, Any]:
    """An outcome for JSON, which has no NaN."""
    fields = {name: value for name, value in outcome._asdict().items() if name != "mismatch"}
    if outcome.mismatch is None or outcome.mismatch.at is None:
        return fields
    numbers = outcome.mismatch._asdict()
    shown = {name: x if not isinstance(x, float) or math.isfinite(x) else str(x) for name, x in numbers.items()}
    return fields | {name: shown[name] for name in ("path", "at", "got", "expected", "allowed")}
