"""The command that runs experiments: `functional-mlp experiment NAME …`."""

from collections.abc import Callable

import typer

from functional_mlp.experiments import EXPERIMENTS

experiment_app = typer.Typer(
    help="Run a published system or a demonstration: figures, numbers and a manifest into a directory.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
# every experiment knows its own options, --help among them
PASSED_ON = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}


def _command(name: str) -> Callable[[typer.Context], None]:
    def command(context: typer.Context) -> None:
        from functional_mlp.experiments import run_experiment

        raise typer.Exit(run_experiment(name, context.args))

    return command


for _name, _sentence in EXPERIMENTS.items():
    experiment_app.command(_name, help=_sentence, context_settings=PASSED_ON)(_command(_name))
