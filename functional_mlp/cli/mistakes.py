"""The commands `functional-mlp mistakes …`."""

from typing import Annotated

import typer

from functional_mlp.cli.console import show

mistakes_app = typer.Typer(help="Mistakes that check knows by name.", no_args_is_help=True, rich_markup_mode=None)


@mistakes_app.command("list")
def mistakes_list() -> None:
    """List every mistake: its name, and what was done."""
    from functional_mlp.oracle.mistakes import MISTAKES

    show("".join(f"{mistake.id:<32} {mistake.sentence}\n" for mistake in MISTAKES.values()))


@mistakes_app.command("show")
def mistakes_show(mistake: Annotated[str, typer.Argument(metavar="ID", help="A name that the list shows.")]) -> None:
    """Describe one mistake: the wrong formula, the right one, and where it may occur."""
    from functional_mlp._checks import known_name
    from functional_mlp.oracle.mistakes import MISTAKES, described

    known = MISTAKES[known_name("mistake", mistake, MISTAKES)]
    show("".join(f"{label}: {text}\n" for label, text in described(known).items()))
