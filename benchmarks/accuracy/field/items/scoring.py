"""What an answer is worth: whether the verdict is right, and whether the diagnosis says what is wrong.

A right program is judged right if the verdict is CONSISTENT, or, where the item says so, WRONG with a convention that
is none of the code's. A wrong one is fully named if all ids of one accepted answer stand among the mistakes of the
diagnosis or its ties, in part if at least one does, or an id that the item counts as a part. A false name is an id of
the catalogue in the headline that no accepted answer and no remark of the item holds, or a trap of the item; among the
ties a trap counts only where the item is not fully named.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

from benchmarks.accuracy.field.items.item import Item
from benchmarks.accuracy.field.items.registry import family, items
from benchmarks.markdown import table
from functional_mlp import oracle

EXCEPTION = "exception"  # in place of a verdict, where the question was refused


class Answer(NamedTuple):
    """What the oracle said of an item.

    Attributes:
        id: of the item.
        verdict: "consistent", "undecided", "wrong", or `EXCEPTION`.
        headline: ids of the mistakes of the diagnosis.
        ties: ids of those that explain the numbers as well.
        kind: of the diagnosis: "convention" or "mistake"; empty without one.
        first_wrong: the first wrong quantity on the way back.
        seconds: that the question took, compilation included.
        error: the exception, if there was one.
    """

    id: str
    verdict: str
    headline: tuple[str, ...]
    ties: tuple[str, ...]
    kind: str
    first_wrong: str
    seconds: float
    error: str


class Mark:
    """What the answer to an item is worth.

    Args:
        item: that was asked.
        answer: that came.
        known: ids of the catalogue; others in the headline are no names of mistakes.

    Attributes:
        ok: whether the verdict is right.
        full: whether a wrong program is fully named.
        partly: whether it is named in part only.
        false_names: ids that were named although they are not true.
    """

    def __init__(self, item: Item, answer: Answer, known: Collection[str] = tuple(oracle.MISTAKES)) -> None:
        self.item, self.answer = item, answer
        headline, named = set(answer.headline), {*answer.headline, *answer.ties}
        self.full = self.partly = False
        self.false_names: list[str] = []
        if item.right:
            excused = answer.verdict == "wrong" and answer.kind == "convention" and bool(headline & item.excuse)
            self.ok = answer.verdict == "consistent" or excused
            return
        answers = frozenset().union(*item.want)
        self.ok = answer.verdict == "wrong"
        self.full = self.ok and any(want <= named for want in item.want)
        self.partly = self.ok and not self.full and bool(named & (answers | item.part))
        untrue = {name for name in headline if name in known} - answers - item.part - item.also
        self.false_names = sorted(untrue | (item.traps & (headline if self.full else named)))

    @property
    def result(self) -> str:
        """In a few words, capitals where the verdict is not right."""
        if self.item.right:
            return "right" if self.ok else self.answer.verdict.upper()
        if not self.ok:
            return "MISSED"
        return "named" if self.full else "in part" if self.partly else "not named"

    def line(self) -> str:
        """The item, its result, and what was said."""
        answer = self.answer
        said = " + ".join(answer.headline) or (f"- ({answer.first_wrong})" if answer.first_wrong else "-")
        if answer.ties:
            said += " | ties " + ", ".join(dict.fromkeys(answer.ties))
        if self.false_names:
            said += f"  FALSE {', '.join(self.false_names)}"
        if answer.error:
            said += f"  {answer.error}"
        head = f"{self.item.id} {self.item.kind:22} {self.result:10} {answer.verdict:10} {answer.seconds:5.1f} s"
        return f"{head}  {said}"


@dataclass(frozen=True)
class Figures:
    """The marks of all items that were asked."""

    marks: tuple[Mark, ...]

    @property
    def right(self) -> list[Mark]:
        """Those of right programs."""
        return [mark for mark in self.marks if mark.item.right]

    @property
    def wrong(self) -> list[Mark]:
        """Those of wrong programs."""
        return [mark for mark in self.marks if not mark.item.right]

    @property
    def counts(self) -> dict[str, int]:
        """How many, by what is counted."""
        return {
            "right programs": len(self.right),
            "judged right": sum(mark.ok for mark in self.right),
            "wrong programs": len(self.wrong),
            "judged wrong": sum(mark.ok for mark in self.wrong),
            "fully named": sum(mark.full for mark in self.wrong),
            "named in part": sum(mark.partly for mark in self.wrong),
            "with a false name": sum(bool(mark.false_names) for mark in self.wrong),
        }

    def sentence(self) -> str:
        """The figures in a line."""
        count = self.counts
        right, wrong = count["right programs"], count["wrong programs"]
        return (
            f"Of {right} right programs {count['judged right']} are judged right; of {wrong} wrong ones"
            f" {count['judged wrong']} are judged WRONG, {count['fully named']} fully named,"
            f" {count['named in part']} in part, {count['with a false name']} with a false name."
        )

    def table(self) -> str:
        """The wrong programs by family, as Markdown."""
        families = dict.fromkeys(family(item) for item in items().values() if not item.right)
        rows = []
        for name in families:
            marks = Figures(tuple(mark for mark in self.wrong if family(mark.item) == name)).counts
            rows.append([name.replace("_", " "), *list(marks.values())[2:]])
        rows.append(["all", *list(self.counts.values())[2:]])
        return table(["what is wrong in", "programs", "WRONG", "fully named", "in part", "false names"], rows)
