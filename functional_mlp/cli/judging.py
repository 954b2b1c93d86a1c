"""The commands that judge what somebody's program computed: `functional-mlp check` and `drive`."""

from pathlib import Path
from typing import Annotated, Any

import typer

import functional_mlp as fm
from functional_mlp.cli.console import conclude, ended_by_signals, progress_bar
from functional_mlp.cli.options import (
    L2,
    PLAIN,
    BatchSize,
    Bias,
    Digits,
    Epochs,
    Explain,
    Html,
    L2OnBias,
    Layout,
    LossOptions,
    MaxBytes,
    Only,
    OverOutputs,
    OverSamples,
    Rule,
    Scale,
    Targets,
    integers_of,
    layout_fields,
    loss_of,
    names_of,
    parts_of,
    require_new_name,
    require_text,
)
from functional_mlp.files import MAX_BYTES


def check_command(
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
    only: Only = None,
    digits: Digits = None,
    rule: Rule = None,
    epochs: Epochs = 1,
    batch_size: BatchSize = None,
    explain: Explain = False,
) -> None:
    """Judge gradients that your program computed.

    No tolerance is needed. Every entry is compared with the truth, by the rounding noise of the precision that your
    program computes in. The verdict is consistent, wrong or undecided, and is the exit code too.
    """
    from functional_mlp.files import FileError
    from functional_mlp.oracle import checking
    from functional_mlp.oracle import updates as updating
    from functional_mlp.oracle.documents import answers as reading
    from functional_mlp.oracle.documents import read_case, write_text
    from functional_mlp.oracle.noise import precision_named
    from functional_mlp.parallel import keep_compiled

    if [case, *answers].count(Path("-")) > 1:
        raise ValueError("expected - for one file at most: standard input can be read only once")
    if html is not None:
        require_new_name("--html", html, [case, *answers])
    require_text(explain, as_json)
    if precision is not None:
        precision_named(precision)
    asked = read_case(case, max_bytes)
    given = [reading.read_answer(answer, max_bytes, digits) for answer in answers]
    updates = [answer for answer in given if isinstance(answer, reading.Update)]
    if len(given) > 1 and len(updates) < len(given):
        raise ValueError("expected one file of gradients, or several files of updates, got several with gradients")
    keep_compiled()
    try:
        steps: Any = {"rule": rule or "descent", "epochs": epochs, "batch_size": batch_size}
        report = updating.check_update(asked, updates, precision=precision, **steps) if updates else None
        if report is None:
            report = checking.check(asked, given[0], precision=precision, only=parts_of(only))
    except (TypeError, ValueError) as error:  # of numbers that are none
        raise FileError(f"{', '.join(map(str, answers))}: {error}") from error
    if html is not None:
        write_text(html, report.html())
    conclude(report, as_json=as_json, explain=explain)


def drive_command(
    command: Annotated[list[str], typer.Argument(metavar="COMMAND", help="Your program and its arguments, after --.")],
    sizes: Annotated[str | None, typer.Option(help="Of the network, as in case new; default: chosen.")] = None,
    activations: Annotated[str | None, typer.Option(help="Of the network; default: several networks.")] = None,
    loss: Annotated[str | None, typer.Option(help="With --activations: as in case new.")] = None,
    over_samples: OverSamples = PLAIN[0],
    over_outputs: OverOutputs = PLAIN[1],
    scale: Scale = PLAIN[2],
    l2: L2 = PLAIN[3],
    l2_on_bias: L2OnBias = PLAIN[4],
    loss_option: LossOptions = None,
    cases: Annotated[int, typer.Option(min=1, help="How many.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Of the random numbers.")] = 0,
    precision: Annotated[str | None, typer.Option(help="As in check; default: float64.")] = None,
    timeout: Annotated[float, typer.Option(help="Seconds for one answer.")] = 10.0,
    jobs: Annotated[int, typer.Option(min=1, help="Cases computed side by side.")] = 1,
    stream: Annotated[bool, typer.Option("--stream", help="One process answers all cases, line by line.")] = False,
    targets: Targets = None,
    layout: Layout = None,
    bias: Bias = True,
    only: Only = None,
    update: Annotated[
        bool, typer.Option("--update", help="It writes the parameters after a step, and its learning rate.")
    ] = False,
    rule: Rule = None,
    epochs: Epochs = 1,
    batch_size: BatchSize = None,
    as_json: Annotated[bool, typer.Option("--json", help="The report as JSON, see report.schema.json.")] = False,
    html: Html = None,
    digits: Digits = None,
    explain: Explain = False,
) -> None:
    """Judge a program in any language.

    It is started once per case, reads the case on its standard input, and writes its gradients on its standard output.
    The cases are chosen so that they show the usual mistakes, and the mistake is named.
    """
    from functional_mlp import oracle
    from functional_mlp.oracle.documents import write_text
    from functional_mlp.parallel import keep_compiled

    require_text(explain, as_json)
    if html is not None:
        require_new_name("--html", html, [])
    network: Any = None
    chosen = None
    if activations is not None:
        network = names_of(activations)
        if sizes is not None:
            network = fm.Network(integers_of("--sizes", sizes), network)
        chosen = loss_of(loss or "squared_error", loss_option, over_samples, over_outputs, scale, l2, l2_on_bias)
    elif (sizes, loss, loss_option or None, over_samples, over_outputs, scale, l2, l2_on_bias) != (None,) * 3 + PLAIN:
        raise ValueError("expected --activations with --sizes or a loss; without them, both are chosen")
    keep_compiled()
    with ended_by_signals(), progress_bar(cases, "case") as bar:
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
            targets=targets,
            layout=layout_fields(layout),
            bias=bias,
            only=parts_of(only),
            digits=digits,
            update=(rule or "descent") if update or rule else None,
            epochs=epochs,
            batch_size=batch_size,
        )
    if html is not None:
        write_text(html, report.html())
    conclude(report, as_json=as_json, explain=explain)
