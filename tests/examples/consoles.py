"""What a page shows of a terminal: commands after `$`, and under each what it prints, `…` for what is left out."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"


class Shown(NamedTuple):
    """A command and what a page says that it prints."""

    command: str
    output: str


def section(page: Path, heading: str) -> str:
    """What stands below a heading of the second level."""
    [text] = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    return str(text)


def shown_in(text: str) -> list[Shown]:
    """The commands of all console blocks."""
    blocks = re.findall(r"```console\n(.*?)```", text, flags=re.DOTALL)
    return [Shown(*_parts(part)) for block in blocks for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]]


def _parts(part: str) -> tuple[str, str]:
    command, _, output = part.replace("\\\n", " ").partition("\n")
    return command, output


def code_in(page: Path, *languages: str) -> Iterator[str]:
    """The code blocks of a page."""
    for name, text in re.findall(r"```(\w+)\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL):
        if name in languages:
            yield text


def holds(text: str, shown: str) -> bool:
    """Whether what `shown` has between the lines `…` stands in `text`, in this order, each at the start of a line."""
    at = 0
    for part in re.split(r"^\s*…\n", shown, flags=re.MULTILINE):
        found = f"\n{text}".find(f"\n{part}", at)
        if found < 0:
            return False
        at = found + len(part)
    return True


def copied(example: str, folder: Path) -> Path:
    """The example in a folder of its own, without what was compiled beside it."""
    return Path(
        shutil.copytree(
            EXAMPLES / example, folder / example, ignore=shutil.ignore_patterns("mlp", "mistaken", "verify")
        )
    )


def needed(program: str) -> str:
    """Why a test is skipped that needs a program; "" if it is there."""
    return "" if shutil.which(program) else f"{program} is not installed"


def compile_c(output: Path, *flags: str) -> Path:
    """The C example, compiled with warnings as errors."""
    strict = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"]
    source = str(EXAMPLES / "c" / "main.c")
    subprocess.run(["gcc", *strict, *flags, source, "-o", str(output), "-lm"], check=True)
    return output
