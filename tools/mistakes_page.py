"""Writes docs/reference/mistakes.md from the catalogue.

python -m tools.mistakes_page
"""

import sys
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
            said = described(mistake)
            lines = [f"- *{label}*: {text}" for label, text in said.items() if label not in ("mistake", "what")]
            parts.append("\n".join([f"### `{mistake.id}`\n", f"{said['what']}\n", *lines]) + "\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.exit(0)
