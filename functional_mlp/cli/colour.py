"""Colours of a report on a terminal: verdicts, and the lines that say what to do; by rich, and as NO_COLOR says."""

import os
import sys

# what is painted in the text of a report, and how
STYLES = (
    (r"(?m)^CONSISTENT\b.*$", "bold green"),
    (r"(?m)^WRONG:.*$", "bold red"),
    (r"(?m)^UNDECIDED:.*$", "bold yellow"),
    (r"(?m)^(?:WRONG|UNDECIDED)(?= \S)", "bold"),
    (r"(?m)(?<=  )ok(?=  )", "green"),
    (r"(?m)(?<=  )(?:WRONG|wrong)(?=  )", "red"),
    (r"(?m)(?<=  )(?:UNDECIDED|undecided)(?=  )", "yellow"),
    (r"(?m)^(?:MISTAKE|CONVENTION|EITHER)\b.*$", "bold"),
    (r"(?m)^  fix: .*$", "bold"),
    (r"(?m)^(?:Note|To do): ", "bold"),
)


def wants_colour() -> bool:
    """Whether standard output is a terminal, or FORCE_COLOR says that it is to be taken for one."""
    return sys.stdout.isatty() or bool(os.environ.get("FORCE_COLOR"))


def paint(text: str) -> None:
    """Prints the text of a report in colours; without them where the terminal has none, or NO_COLOR is set."""
    from rich.console import Console
    from rich.text import Text

    painted = Text(text)
    for pattern, style in STYLES:
        painted.highlight_regex(pattern, style)
    console = Console(highlight=False, soft_wrap=True)
    with console.capture() as written:  # it would end the program where a reader has gone
        console.print(painted, end="")
    sys.stdout.write(written.get())
