"""The command line. JAX is imported only by the commands that compute; `--help` is quick and teaches.

Exit codes: 0 done (or consistent), 1 wrong, 2 bad input or usage, 3 undecided.
"""

import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

import functional_mlp as fm

MAX_BYTES = 64 * 2**20  # as files.MAX_BYTES, which is not imported for --help; a test compares them
EXAMPLES = """
A first look, in three commands:

\b
functional-mlp case new --sizes 2,4,3,1 --activations relu,relu,sigmoid \\
    --loss binary_cross_entropy --samples 5 -o case.json
functional-mlp solve case.json -o solution.json
functional-mlp info
"""

app = typer.Typer(
    name="functional-mlp",
    help="What every intermediate and every gradient of a multilayer perceptron is.",
    epilog=EXAMPLES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
case_app = typer.Typer(help="Write cases.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(case_app, name="case")

MaxBytes = Annotated[int, typer.Option(min=1, help="Refuse files that are larger, or unpack to more.")]
Output = Annotated[
    Path, typer.Option("-o", "--output", help="A name in .json, .npz or .safetensors; - is the terminal.")
]


def fail(message: object) -> NoReturn:
    """Ends the program with one sentence on standard error and exit code 2."""
    print(f"functional-mlp: {message}", file=sys.stderr)
    raise typer.Exit(2)


def version(wanted: bool) -> None:
    """Prints the version and ends, if it is wanted."""
    if wanted:
        print(fm.__version__)
        raise typer.Exit()


@app.callback()
def common(
    _: Annotated[bool, typer.Option("--version", callback=version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """What every intermediate and every gradient of a multilayer perceptron is."""


@case_app.command("new")
def case_new(
    output: Output,
    sizes: Annotated[str, typer.Option(help="Inputs, hidden layers, outputs: 2,4,3,1.")],
    activations: Annotated[str, typer.Option(help="One name for all layers, or one per layer: relu,relu,sigmoid.")],
    loss: Annotated[str, typer.Option(help="A loss, or `none`: a bare output cotangent.")] = "squared_error",
    over_samples: Annotated[str, typer.Option(help="sum or mean.")] = "sum",
    over_outputs: Annotated[str, typer.Option(help="sum or mean.")] = "sum",
    scale: Annotated[float, typer.Option(help="Factor of the loss.")] = 1.0,
    l2: Annotated[float, typer.Option(help="Coefficient of the penalty l2/2 sum(w^2).")] = 0.0,
    l2_on_bias: Annotated[bool, typer.Option(help="The penalty covers the biases too.")] = False,
    samples: Annotated[int, typer.Option(help="Rows of data.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Of the random numbers; the same seed gives the same case.")] = 0,
    precision: Annotated[
        str, typer.Option(help="float64, float32, bfloat16 or float16: what the numbers fit.")
    ] = "float64",
    name: Annotated[str, typer.Option(help="A name for the case.")] = "",
) -> None:
    """Draw a random case and write it.

    A case is a network, a loss, parameters and data: everything that a gradient depends on. Feed it to your own
    program, and compare what that computes with `functional-mlp solve`.
    """
    from functional_mlp.oracle import draw_case, write_case

    try:
        network = fm.Network(_integers("--sizes", sizes), _names(activations))
        chosen = None
        if loss != "none":
            chosen = fm.Loss(loss, over_samples, over_outputs, scale, l2, l2_on_bias)
        write_case(output, draw_case(network, chosen, samples=samples, seed=seed, dtype=precision, name=name))
    except (TypeError, ValueError) as error:
        fail(error)


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
            print(summary(read, solution))
        else:
            oracle.write_solution(output, read, solution)
    except (ValueError, TypeError, ArithmeticError, RuntimeError) as error:
        fail(error)


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
    app()
