"""The commands of the engine: `functional-mlp export`."""

from pathlib import Path
from typing import Annotated

import typer

from functional_mlp._console import fail, show

MAX_BYTES = 64 * 2**20  # as files.MAX_BYTES, which is not imported for --help; a test compares them
MaxBytes = Annotated[int, typer.Option(min=1, help="Refuse files that are larger, or unpack to more.")]


def export(
    case: Annotated[Path, typer.Argument(metavar="CASE", help="A case file: network, loss, parameters and data.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The file to write, such as network.zip.")],
    platforms: Annotated[str, typer.Option(help="Any of them, separated by commas.")] = "cpu,cuda,rocm,tpu",
    max_bytes: MaxBytes = MAX_BYTES,
) -> None:
    """Write a network's functions as StableHLO, with the vectors that they must reproduce.

    Forward pass, loss and gradient, and a step of gradient descent, for any number of samples, on devices that need
    not be here. `python network.zip` checks the file where there is no functional-mlp, but JAX.
    """
    from functional_mlp.exporting import export as write
    from functional_mlp.oracle.files import read_case

    try:
        write(output, read_case(case, max_bytes), [name.strip() for name in platforms.split(",")])
    except (TypeError, ValueError, ArithmeticError, OSError) as error:
        fail(error)
    show(f"{output}: check it with `python {output}`, here or on another machine\n")
