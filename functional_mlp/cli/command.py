"""The command line. JAX is imported only by the commands that compute; `--help` is quick and teaches.

Exit codes: 0 done (or consistent), 1 wrong, 2 bad input or usage, 3 undecided.
"""

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

import functional_mlp as fm
from functional_mlp.cli import runs as _commands
from functional_mlp.cli.console import VERDICT_CODES, drop_output, ended_by_signals, fail, show
from functional_mlp.cli.help import ANSWERS, EXAMPLES, PROGRAMS
from functional_mlp.cli.runs import MAX_BYTES, MaxBytes
from functional_mlp.cli.vectors import vectors_app

PLAIN = ("sum", "sum", 1.0, 0.0, False)  # a loss that says nothing else: see `losses.Loss`

app = typer.Typer(
    name="functional-mlp",
    help="Says whether your gradients of a multilayer perceptron are right, and what every intermediate is.",
    epilog=EXAMPLES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
case_app = typer.Typer(help="Write cases.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(case_app, name="case")
mistakes_app = typer.Typer(help="Mistakes that check knows by name.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(mistakes_app, name="mistakes")
app.add_typer(vectors_app, name="vectors")
app.command()(_commands.export)
app.command()(_commands.sweep)

Output = Annotated[
    Path, typer.Option("-o", "--output", help="A name in .json, .npz or .safetensors; - is the terminal.")
]
OverSamples = Annotated[str, typer.Option(help="sum or mean.")]
OverOutputs = Annotated[str, typer.Option(help="sum or mean.")]
Scale = Annotated[float, typer.Option(help="Factor of the loss.")]
L2 = Annotated[float, typer.Option(help="Coefficient of the penalty l2/2 sum(w^2).")]
Html = Annotated[
    Path | None, typer.Option("--html", help="Write the report as a page too, for a browser; it needs nothing else.")
]
L2OnBias = Annotated[bool, typer.Option(help="The penalty covers the biases too.")]


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


@case_app.command("new")
def case_new(
    output: Output,
    sizes: Annotated[str, typer.Option(help="Inputs, hidden layers, outputs: 2,4,3,1.")],
    activations: Annotated[str, typer.Option(help="One name for all layers, or one per layer: relu,relu,sigmoid.")],
    loss: Annotated[str, typer.Option(help="A loss, or `none`: a bare output cotangent.")] = "squared_error",
    over_samples: OverSamples = PLAIN[0],
    over_outputs: OverOutputs = PLAIN[1],
    scale: Scale = PLAIN[2],
    l2: L2 = PLAIN[3],
    l2_on_bias: L2OnBias = PLAIN[4],
    samples: Annotated[int, typer.Option(help="Rows of data.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Of the random numbers; the same seed gives the same case.")] = 0,
    precision: Annotated[
        str, typer.Option(help="float64, float32, bfloat16 or float16: what the numbers fit.")
    ] = "float64",
    name: Annotated[str, typer.Option(help="A name for the case.")] = "",
) -> None:
    """Draw a random case and write it.

    A case is a network, a loss, parameters and data: everything that a gradient depends on. Feed it to your own
    program, and hand what that computes to `functional-mlp check`.
    """
    from functional_mlp.oracle import draw_case, write_case

    try:
        network = fm.Network(_integers("--sizes", sizes), _names(activations))
        chosen = _loss(loss, over_samples, over_outputs, scale, l2, l2_on_bias)
        write_case(output, draw_case(network, chosen, samples=samples, seed=seed, dtype=precision, name=name))
    except BrokenPipeError:
        drop_output()
    except (TypeError, ValueError) as error:
        fail(error)


@case_app.command("separate")
def case_separate(
    case: Annotated[Path, typer.Argument(metavar="CASE", help="The case.")],
    gradients: Annotated[Path, typer.Argument(metavar="GRADIENTS", help="Wrong gradients of it.")],
    output: Output,
    precision: Annotated[str | None, typer.Option(help="As in check.")] = None,
    max_bytes: MaxBytes = MAX_BYTES,
) -> None:
    """Write a case that tells apart the mistakes that gave the same numbers in another.

    Where `check` says that several mistakes give your numbers, compute the gradients of this case too, and check them.
    """
    from functional_mlp import oracle
    from functional_mlp.oracle.diagnosis import separate
    from functional_mlp.oracle.documents import read_gradients

    try:
        asked = oracle.read_case(case, max_bytes)
        found = oracle.check(asked, read_gradients(gradients, max_bytes), precision=precision).diagnosis
        if found is None:
            raise ValueError("expected wrong gradients: nothing is wrong with these")
        if not found.mistakes:
            raise ValueError("expected gradients that a known mistake explains: none explains these")
        separated = separate(asked, found.explanations)
        oracle.write_case(output, separated.case)
    except BrokenPipeError:
        drop_output()
        return
    except (TypeError, ValueError, ArithmeticError, RuntimeError) as error:
        fail(error)
    if output != Path("-"):
        show(f"{output} tells these apart; compute its gradients too, and check them:\n")
        for own in separated.classes:
            show(f"  {' or '.join(' with '.join(named.id for named in explanation) for explanation in own)}\n")


@app.command()
def solve(
    case: Annotated[Path, typer.Argument(help="A case file; - reads JSON from standard input.")],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Where to, in .json, .npz or .safetensors; default: a summary."),
    ] = None,
    max_bytes: MaxBytes = MAX_BYTES,
) -> None:
    """Say what every intermediate and every gradient of a case is, in float64.

    Two independent derivations are computed and must agree: the hand-written backward pass, and jax.grad.
    """
    from functional_mlp import oracle

    try:
        read = oracle.read_case(case, max_bytes)
        solution = oracle.solve(read)
        if output is None:
            show(summary(read, solution) + "\n")
        else:
            oracle.write_solution(output, read, solution)
    except BrokenPipeError:
        drop_output()
    except (ValueError, TypeError, ArithmeticError, RuntimeError) as error:
        fail(error)


@app.command(epilog=ANSWERS)
def check(
    case: Annotated[Path, typer.Argument(metavar="CASE", help="A case file.")],
    answers: Annotated[
        list[Path],
        typer.Argument(metavar="ANSWER", help="Gradients, or the parameters after a step; - is standard input."),
    ],
    precision: Annotated[
        str | None,
        typer.Option(
            help="What your program computed in: float64, float32, tf32, bfloat16, float16, or stored/accumulated such"
            " as float16/float32. Default: the dtype of the arrays, and float64 for JSON."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The report as JSON, see report.schema.json.")] = False,
    html: Html = None,
    max_bytes: MaxBytes = MAX_BYTES,
) -> None:
    """Judge gradients that your program computed.

    No tolerance is needed. Every entry is compared with the truth, by the rounding noise of the precision that your
    program computes in. The verdict is consistent, wrong or undecided, and is the exit code too.
    """
    from functional_mlp.files import FileError
    from functional_mlp.oracle import checking
    from functional_mlp.oracle.documents import answers as reading
    from functional_mlp.oracle.documents import read_case, write_text
    from functional_mlp.oracle.noise import precision_named

    try:
        if [case, *answers].count(Path("-")) > 1:
            raise ValueError("expected - for one file at most: standard input can be read only once")
        if html is not None:
            _require_new_name("--html", html, [case, *answers])
        if precision is not None:
            precision_named(precision)
        asked = read_case(case, max_bytes)
        given = [reading.read_answer(answer, max_bytes) for answer in answers]
        updates = [answer for answer in given if isinstance(answer, reading.Update)]
        if len(given) > 1 and len(updates) < len(given):
            raise ValueError("expected one file of gradients, or several files of updates, got several with gradients")
        try:
            report = checking.check_update(asked, updates, None, precision=precision) if updates else None
            report = report or checking.check(asked, given[0], precision=precision)
        except (TypeError, ValueError) as error:  # of numbers that are none
            raise FileError(f"{', '.join(map(str, answers))}: {error}") from error
        if html is not None:
            write_text(html, report.html())
    except (ValueError, TypeError, ArithmeticError, RuntimeError) as error:
        fail(error)
    show(report.json() if as_json else report.text())
    raise typer.Exit(VERDICT_CODES[report.verdict])


@app.command(epilog=PROGRAMS, context_settings={"allow_interspersed_args": False})
def drive(
    command: Annotated[list[str], typer.Argument(metavar="COMMAND", help="Your program and its arguments, after --.")],
    sizes: Annotated[str | None, typer.Option(help="Of the network, as in case new; default: chosen.")] = None,
    activations: Annotated[str | None, typer.Option(help="Of the network; default: several networks.")] = None,
    loss: Annotated[str | None, typer.Option(help="With --activations: as in case new.")] = None,
    over_samples: OverSamples = PLAIN[0],
    over_outputs: OverOutputs = PLAIN[1],
    scale: Scale = PLAIN[2],
    l2: L2 = PLAIN[3],
    l2_on_bias: L2OnBias = PLAIN[4],
    cases: Annotated[int, typer.Option(min=1, help="How many.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Of the random numbers.")] = 0,
    precision: Annotated[str | None, typer.Option(help="As in check; default: float64.")] = None,
    timeout: Annotated[float, typer.Option(help="Seconds for one answer.")] = 10.0,
    jobs: Annotated[int, typer.Option(min=1, help="Cases computed side by side.")] = 1,
    stream: Annotated[bool, typer.Option("--stream", help="One process answers all cases, line by line.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The report as JSON, see report.schema.json.")] = False,
    html: Html = None,
) -> None:
    """Judge a program in any language.

    It is started once per case, reads the case on its standard input, and writes its gradients on its standard output.
    The cases are chosen so that they show the usual mistakes, and the mistake is named.
    """
    from functional_mlp import oracle
    from functional_mlp.oracle.documents import write_text

    try:
        if html is not None:
            _require_new_name("--html", html, [])
        network: Any = None
        chosen = None
        if activations is not None:
            network = _names(activations)
            if sizes is not None:
                network = fm.Network(_integers("--sizes", sizes), network)
            chosen = _loss(loss or "squared_error", over_samples, over_outputs, scale, l2, l2_on_bias)
        elif (sizes, loss, over_samples, over_outputs, scale, l2, l2_on_bias) != (None, None, *PLAIN):
            raise ValueError("expected --activations with --sizes or a loss; without them, both are chosen")
        hidden = not sys.stderr.isatty()
        with ended_by_signals(), typer.progressbar(length=cases, file=sys.stderr, hidden=hidden) as bar:
            report = oracle.drive(
                command,
                network,
                chosen,
                precision=precision,
                seed=seed,
                cases=cases,
                timeout=timeout,
                jobs=jobs,
                stream=stream,
                progress=lambda: bar.update(1),
            )
        if html is not None:
            write_text(html, report.html())
    except (ValueError, TypeError, ArithmeticError, RuntimeError) as error:
        fail(error)
    show(report.json() if as_json else report.text())
    raise typer.Exit(VERDICT_CODES[report.verdict])


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

    try:
        known = MISTAKES[known_name("mistake", mistake, MISTAKES)]
    except ValueError as error:
        fail(error)
    show("".join(f"{label}: {text}\n" for label, text in described(known).items()))


@app.command()
def info() -> None:
    """Print versions and devices."""
    import platform
    from importlib import metadata

    import jax

    rows = [("functional-mlp", fm.__version__), ("Python", platform.python_version())]
    rows += [(package, metadata.version(package)) for package in ("jax", "jaxlib", "numpy", "optax", "safetensors")]
    devices = ", ".join(f"{device.platform}:{device.id} ({device.device_kind})" for device in jax.devices())
    for label, value in [*rows, ("devices", devices)]:
        print(f"{label:<15} {value}")


def summary(case: Any, solution: Any) -> str:
    """A solution for the terminal: the loss, and the size of every gradient."""
    import numpy as np

    lines = [
        f"case {case.name or 'without a name'}: sizes {case.network.sizes}, {len(case.inputs)} samples, {case.dtype}"
    ]
    if solution.loss is not None:
        lines.append(f"loss {solution.loss!r}")
    leaves = [
        (f"grads[{i}].{field}", leaf)
        for i, layer in enumerate(solution.grads)
        for field, leaf in zip(layer._fields, layer, strict=True)
        if leaf is not None
    ]
    lines.append(f"{'gradient':<20}{'shape':<14}{'norm':<26}largest entry")
    for label, leaf in [*leaves, ("ct_inputs", solution.ct_inputs)]:
        largest = leaf.flat[np.abs(leaf).argmax()]
        lines.append(f"{label:<20}{leaf.shape!s:<14}{float(np.linalg.norm(leaf))!r:<26}{float(largest)!r}")
    return "\n".join(lines)


def _loss(kind: str, *settings: Any) -> "fm.Loss | None":  # quoted: naming it would import JAX
    return None if kind == "none" else fm.Loss(kind, *settings)


def _require_new_name(option: str, path: Path, inputs: list[Path]) -> None:
    """Raises ValueError if a file to be written is one that is read, or the terminal."""
    if path == Path("-"):
        raise ValueError(f"expected {option} to be the name of a file: standard output has the text")
    if any(path.resolve() == read.resolve() for read in inputs):
        raise ValueError(f"expected {option} to be another file than those that are read, got {path}")
    if not os.access(path.resolve().parent, os.W_OK):  # said before, not after, the work
        raise ValueError(f"expected {option} to be in a folder that exists and can be written, got {path}")


def _names(text: str) -> str | list[str]:
    names = [name.strip() for name in text.split(",")]
    return names[0] if len(names) == 1 else names


def _integers(option: str, text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise ValueError(f"expected {option} to be integers such as 2,4,1, got {text!r}") from error


def main() -> None:
    """The entry point of the command `functional-mlp`."""
    try:
        app()
    finally:
        show("")
