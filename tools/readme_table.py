"""Puts the table that the demonstration has written into README.md: `make readme`, after `make demo`.

python -m tools.readme_table results/table.txt
"""

import re
import sys
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"
BLOCK = re.compile(r"(?<=```text\n)system  .*?(?=```)", re.DOTALL)


def with_table(readme: str, table: str) -> str:
    """README with another table of the demonstration.

    Args:
        readme: the page.
        table: what table.txt holds: the table, an empty line, and notes.

    Raises:
        ValueError: if the page has no such table, or several.
    """
    made, count = BLOCK.subn(lambda _: table.partition("\n\n")[0] + "\n", readme)
    if count != 1:
        raise ValueError(f"expected one block of text in README.md that begins with 'system', found {count}")
    return made


def main() -> int:
    """Writes README.md anew."""
    table = Path(sys.argv[1]).read_text(encoding="utf-8")
    README.write_text(with_table(README.read_text(encoding="utf-8"), table), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
