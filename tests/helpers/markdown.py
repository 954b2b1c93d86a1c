"""What a page of Markdown refers to: its links, the files and modules that it names in code, the rows of its tables."""

import importlib.machinery
import importlib.util
import re
import subprocess
import unicodedata
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FENCED = re.compile(r"^ *```.*?^ *```", flags=re.DOTALL | re.MULTILINE)
COMMENT = re.compile(r"<!--.*?-->", flags=re.DOTALL)
LINK = re.compile(r"\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")
FOLDERS = "docs|examples|experiments|functional_mlp|reference|benchmarks|tools|tests"
FILE = r"[\w/-]+\.(?:py|c|h|mjs|md|toml|txt)"
NAMED_PATH = re.compile(rf"(?:{FOLDERS})/[\w./*-]*|{FILE}")  # of this repository; it may hold a wildcard
NAMED_PAGE = re.compile(r"(?<![\w/])docs/[\w/]+\.(?:md|txt|png)")
NAMED_MODULE = re.compile(r"(?:functional_mlp|experiments|reference|benchmarks|tools)(?:\.\w+)+")
STARTED = re.compile(r"python(?:3[.\d]*)? -m ([A-Za-z_]\w*(?:\.\w+)*)")


def tracked(*patterns: str) -> list[Path]:
    """The files that git has, or would take."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns]
    listed = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True).stdout.splitlines()
    return [ROOT / name for name in sorted(set(listed)) if (ROOT / name).is_file()]


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    found: set[str] = set()
    for heading in re.findall(r"^#{1,6} +(.+?) *#*$", FENCED.sub("", text), flags=re.MULTILINE):
        shown = LINK.sub(r"\1", heading).lower()
        kept = "".join(sign for sign in shown if sign in " -_" or unicodedata.category(sign)[0] in "LNM")
        anchor, number = kept.replace(" ", "-"), 0
        while (numbered := f"{anchor}-{number}" if number else anchor) in found:
            number += 1
        found.add(numbered)
    return found


def _links(page: Path) -> Iterator[tuple[str, str]]:
    """Text and target of the relative links."""
    text = COMMENT.sub("", FENCED.sub("", page.read_text(encoding="utf-8")))
    return ((shown, target) for shown, target in LINK.findall(text) if not re.match(r"\w+:", target))


def broken_links(page: Path, root: Path = ROOT) -> Iterator[str]:
    """The relative links that lead nowhere, out of the repository, or to an anchor that is not there."""
    for _, target in _links(page):
        name, _, anchor = target.partition("#")
        goal = (page.parent / name).resolve() if name else page
        exists = goal.exists() and goal.is_relative_to(root)
        if not exists or (anchor and not _has_anchor(goal, anchor)):
            yield target


def _has_anchor(page: Path, anchor: str) -> bool:
    return page.suffix == ".md" and anchor in anchors(page.read_text(encoding="utf-8"))


def mislabelled_links(page: Path) -> Iterator[str]:
    """The links whose text is the name of a file, and that lead to a file of another name."""
    for shown, target in _links(page):
        name = shown.strip("`")
        if re.fullmatch(FILE, name) and Path(name).name != Path(target.partition("#")[0]).name:
            yield f"[{shown}]({target})"


def missing_paths(page: Path, root: Path = ROOT) -> Iterator[str]:
    """The files and folders that a page names in code and that are not there."""
    for code in _inline_code(page):
        path, _, _ = code.partition(":")
        places = [page.parent.glob(path), root.glob(path)] if NAMED_PATH.fullmatch(path) else []
        if places and "/" not in path:
            places.append(root.glob(f"[!.]*/**/{path}"))
        if places and not any(map(any, places)):
            yield code


def _inline_code(page: Path) -> list[str]:
    return CODE.findall(FENCED.sub("", page.read_text(encoding="utf-8")))


def missing_pages(file: Path, root: Path = ROOT) -> Iterator[str]:
    """The pages `docs/…` that any file names and that are not there."""
    return (name for name in NAMED_PAGE.findall(file.read_text(encoding="utf-8")) if not (root / name).exists())


def unknown_modules(page: Path) -> Iterator[str]:
    """The modules that a page starts with `python -m`, or names in code, and that do not exist."""
    for name in STARTED.findall(page.read_text(encoding="utf-8")):
        if not (name.split(".")[-1].isupper() or _can_be_started(name)):
            yield name
    for code in _inline_code(page):
        if NAMED_MODULE.fullmatch(code) and not _names_something(code):
            yield code


def _spec(name: str) -> importlib.machinery.ModuleSpec | None:
    """Where a module is; it is not imported, but the packages that it lies in are."""
    try:
        return importlib.util.find_spec(name)
    except ModuleNotFoundError:
        return None


def _can_be_started(name: str) -> bool:
    spec = _spec(name)
    return spec is not None and (spec.submodule_search_locations is None or _spec(f"{name}.__main__") is not None)


def _names_something(name: str) -> bool:
    """Whether a dotted name is a module or a name that a module, looked for as text, holds."""
    if _spec(name) is not None:
        return True
    module, _, attribute = name.rpartition(".")
    spec = _spec(module)
    if spec is None or spec.origin is None:
        return False
    files = [Path(spec.origin), Path(spec.origin).with_suffix(".pyi")]
    return any(re.search(rf"\b{attribute}\b", file.read_text(encoding="utf-8")) for file in files if file.exists())


def rows(page: Path) -> set[str]:
    """The rows of a page's tables that hold three numbers or more: Markdown's, and those that programs print."""
    lines = [line.strip() for line in page.read_text(encoding="utf-8").splitlines()]
    cells = {line: re.split(r" *\| *|   *", line.strip("|")) for line in lines}
    return {line for line, parts in cells.items() if sum(any(map(str.isdigit, part)) for part in parts) >= 3}
