"""Writes docs/reference/mistakes.md, or another file, from the catalogue.

python -m tools.mistakes_page
python -m tools.mistakes_page --output FILE
"""

import argparse
from pathlib import Path

from functional_mlp.oracle.mistakes import FAMILIES, described

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "mistakes.md"
INTRODUCTION = """# Mistakes that the oracle knows

Written by `python -m tools.mistakes_page`; change nothing by hand. `functional-mlp mistakes show ID` prints one.

ct_x is dLoss/dx, a_prev what a layer was given, z = a_prev W + b, a = f(z), n the number of samples, η the learning
rate. *Needs* says in which cases a mistake can be made and shows.
"""


def page() -> str:
    """The page."""
    parts = [INTRODUCTION]
    for title, family in FAMILIES.items():
        parts.append(f"## {title}\n")
        for mistake in family:
            fields = described(mistake)
            lines = [f"- *{label}*: {text}" for label, text in fields.items() if label not in ("mistake", "what")]
            parts.append("\n".join([f"### `{mistake.id}`\n", f"{fields['what']}\n", *lines]) + "\n")
    return "\n".join(parts)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tools.mistakes_page", description="The catalogue as a page.")
    parser.add_argument("--output", type=Path, default=PAGE, help="(default: docs/reference/mistakes.md)")
    parser.parse_args().output.write_text(page(), encoding="utf-8")
