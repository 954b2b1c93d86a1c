"""The page that leads through the oracle: every file that it links to is there, and every function that it names."""

import re
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "functional_mlp" / "oracle"
PAGE = (FOLDER / "README.md").read_text()


def test_links_lead_to_files_and_folders():
    links = re.findall(r"\]\(([^)]+)\)", PAGE)
    assert len(links) > 30
    assert [link for link in links if not (FOLDER / link).exists()] == []


def test_every_folder_is_on_the_page():
    folders = {path.parent.name for path in FOLDER.glob("*/__init__.py")}
    assert {folder for folder in folders if f"]({folder})" not in PAGE} == set()


def test_functions_that_are_named_are_defined():
    definition = re.compile(r"^\s*(?:def|class) (\w+)|^(\w+)(?::[^=\n]*)? = ", re.MULTILINE)
    found = [definition.findall(path.read_text()) for path in FOLDER.rglob("*.py")]
    defined = {name for of_file in found for names in of_file for name in names if name}
    named = {name for name in re.findall(r"`(?:\w+\.)?(\w+)(?:\([^`]*\))?`", PAGE) if name not in ("py", "pyi")}
    elsewhere = {"gradient_oracle", "grad"}  # a fixture, and JAX's function
    assert named - defined - elsewhere == set()
