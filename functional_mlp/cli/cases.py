"""The commands that make and answer questions: `functional-mlp case …` and `solve`."""

from pathlib import Path
from typing import Annotated, Any

import typer

import functional_mlp as fm
from functional_mlp.cli.console import show
from functional_mlp.cli.options import (
    L2,
    PLAIN,
    Bias,
    L2OnBias,
    Layout,
    LossOptions,
    MaxBytes,
    Output,
    OverOutputs,
    OverSamples,
    Scale,
    Targets,
    integers_of,
    layout_fields,
    loss_of,
    names_of,
)
from functional_mlp.files import MAX_BYTES

case_app = typer.Typer(help="Write cases.", no_args_is_help=True, rich_markup_mode=None)


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
    loss_option: LossOptions = None,
    samples: Annotated[int, typer.Option(help="Rows of data.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Of the random numbers; the same seed gives the same case.")] = 0,
    precision: Annotated[
        str, typer.Option(help="float64, float32, bfloat16 or float16: what the numbers fit.")
    ] = "float64",
    name: Annotated[str, typer.Option(help="A name for the case.")] = "",
    targets: Targets = None,
    layout: Layout = None,
    bias: Bias = True,
) -> None:
    """Draw a random case and write it.

    A case is a network, a loss, parameters and data: everything that a gradient depends on. Feed it to your own
    program, and hand what that computes to `functional-mlp check`.
    """
    from functional_mlp.oracle import draw_case, write_case

    network = fm.Network(integers_of("--sizes", sizes), names_of(activations))
    chosen = loss_of(loss, loss_option, over_samples, over_outputs, scale, l2, l2_on_bias)
    drawn = draw_case(
        network,
        chosen,
        samples=samples,
        seed=seed,
        dtype=precision,
        name=name,
        targets=targets,
        bias=bias,
        layout=layout_fields(layout),
    )
    write_case(output, drawn)


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

    asked = oracle.read_case(case, max_bytes)
    found = oracle.check(asked, read_gradients(gradients, max_bytes), precision=precision).diagnosis
    if found is None:
        raise ValueError("expected wrong gradients: nothing is wrong with these")
    if not found.mistakes:
        raise ValueError("expected gradients that a known mistake explains: none explains these")
    separated = separate(asked, found.explanations)
    oracle.write_case(output, separated.case)
    if output != Path("-"):
        show(f"{output} tells these apart; compute its gradients too, and check them:\n")
        for explanations in separated.classes:
            show(f"  {' or '.join(' with '.join(named.id for named in explanation) for explanation in explanations)}\n")


def solve_command(
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

    read = oracle.read_case(case, max_bytes)
    solution = oracle.solve(read)
    if output is None:
        show(summary_of(read, solution) + "\n")
    else:
        oracle.write_solution(output, read, solution)


def summary_of(case: Any, solution: Any) -> str:
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
