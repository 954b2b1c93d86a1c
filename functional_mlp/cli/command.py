"""The command line. JAX is imported only by the commands that compute; `--help` is quick and teaches.

Exit codes: 0 done (or consistent), 1 wrong, 2 bad input or usage, 3 undecided.
"""

import os
import sys
from typing import Annotated

import typer

import functional_mlp as fm
from functional_mlp.cli.cases import case_app, solve_command
from functional_mlp.cli.console import OneSentence, complain, show
from functional_mlp.cli.experiments import experiment_app
from functional_mlp.cli.functions import check_elementwise_command, check_vjp_command
from functional_mlp.cli.grading import grade_command
from functional_mlp.cli.help import ANSWERS, ASSIGNMENTS, DUMPS, EXAMPLES, KERNELS, PROGRAMS
from functional_mlp.cli.judging import check_command, drive_command
from functional_mlp.cli.mistakes import mistakes_app
from functional_mlp.cli.runs import export_command, info_command, sweep_command
from functional_mlp.cli.tables import fit_command, predict_command
from functional_mlp.cli.vectors import vectors_app

app = typer.Typer(
    name="functional-mlp",
    cls=OneSentence,
    help="Says whether your gradients of a multilayer perceptron are right, and what every intermediate is.",
    epilog=EXAMPLES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(case_app, name="case")
app.add_typer(mistakes_app, name="mistakes")
app.add_typer(vectors_app, name="vectors")
app.add_typer(experiment_app, name="experiment")
app.command("export")(export_command)
app.command("sweep")(sweep_command)
app.command("fit")(fit_command)
app.command("predict")(predict_command)
app.command("solve")(solve_command)
app.command("check", epilog=ANSWERS)(check_command)
app.command("check-vjp", epilog=DUMPS)(check_vjp_command)
app.command("check-elementwise", epilog=KERNELS)(check_elementwise_command)
app.command("drive", epilog=PROGRAMS, context_settings={"allow_interspersed_args": False})(drive_command)
app.command("grade", epilog=ASSIGNMENTS)(grade_command)
app.command("info")(info_command)


def version(wanted: bool) -> None:
    """Prints the version and ends, if it is wanted."""
    if wanted:
        print(fm.__version__)
        raise typer.Exit()


@app.callback()
def common(
    _: Annotated[bool, typer.Option("--version", callback=version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """Says whether your gradients of a multilayer perceptron are right, and what every intermediate is."""


def main() -> None:
    """The entry point of the command `functional-mlp`."""
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115  # until the program ends
    if sys.stdout is None:
        complain(OSError("expected a standard output to print to, got a closed one"))
        sys.exit(2)
    try:
        app()
    finally:
        _flush()


def _flush() -> None:
    try:
        show("")
    except OSError as error:
        complain(error)
        sys.exit(2)
