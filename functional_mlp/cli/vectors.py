"""The commands `functional-mlp vectors …`."""

import json
import sys
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from functional_mlp.cli.console import VERDICT_CODES, ended_by_signals, progress_bar, show
from functional_mlp.cli.help import CONSUMERS

vectors_app = typer.Typer(help="Conformance vectors.", no_args_is_help=True, rich_markup_mode=None)
Groups = Annotated[list[str] | None, typer.Option("--group", help="Only of this group; may be repeated.")]


@vectors_app.command("list")
def vectors_list(
    group: Groups = None,
    flag: Annotated[str | None, typer.Option(help="Only those of this hazard.")] = None,
    result: Annotated[str | None, typer.Option(help="valid, acceptable or invalid.")] = None,
    precision: Annotated[str | None, typer.Option(help="float64, float32, bfloat16 or float16.")] = None,
) -> None:
    """List vectors: name, result, hazards, and what is special."""
    from functional_mlp._checks import known_name
    from functional_mlp.vectors import HELD, RESULTS, group_names, read_document

    documents = [read_document(name) for name in group or group_names()]
    if result is not None:
        known_name("result", result, RESULTS)
    if precision is not None:
        known_name("precision", precision, HELD)
    if flag is not None:
        known_name("flag", flag, dict.fromkeys(name for document in documents for name in document["notes"]))
    wanted = [
        vector
        for document in documents
        for vector in document["vectors"]
        if result in (None, vector["result"]) and precision in (None, vector["precision"])
        if flag is None or flag in vector["flags"]
    ]
    for vector in wanted:
        show(f"{vector['id']:<58} {vector['result']:<11} {','.join(vector['flags']):<40} {vector['comment']}\n")
    print(f"{len(wanted)} vectors", file=sys.stderr)


@vectors_app.command("show")
def vectors_show(
    vector: Annotated[str, typer.Argument(metavar="ID", help="A name that the list shows.")],
    case: Annotated[bool, typer.Option("--case", help="Its case alone, as a case file.")] = False,
) -> None:
    """Print one vector: the case, and what is expected and allowed."""
    from functional_mlp.vectors import find_document

    document = find_document(vector)
    show("".join(_lines(document["case"] if case else document)) + "\n")


def _lines(value: Any, indent: str = "") -> Iterator[str]:
    """JSON with one matrix row or short list per line."""
    if not isinstance(value, dict | list) or not any(isinstance(item, dict | list) for item in _items(value)):
        yield json.dumps(value)
        return
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    yield opening + "\n"
    names = [f"{json.dumps(name)}: " for name in value] if isinstance(value, dict) else [""] * len(value)
    for i, (name, item) in enumerate(zip(names, _items(value), strict=True)):
        yield f"{indent} {name}"
        yield from _lines(item, indent + " ")
        yield ",\n" if i + 1 < len(names) else "\n"
    yield indent + closing


def _items(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value


@vectors_app.command("verify", epilog=CONSUMERS, context_settings={"allow_interspersed_args": False})
def vectors_verify(
    command: Annotated[list[str], typer.Argument(metavar="COMMAND", help="Your program and its arguments, after --.")],
    group: Groups = None,
    precision: Annotated[
        str, typer.Option(help="What your program computes in: float64, float32, bfloat16 or float16.")
    ] = "float64",
    timeout: Annotated[float, typer.Option(help="Seconds for one answer.")] = 10.0,
    jobs: Annotated[int, typer.Option(min=1, help="Answers computed side by side.")] = 1,
    stream: Annotated[bool, typer.Option("--stream", help="One process answers all cases, line by line.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Every outcome, as JSON.")] = False,
) -> None:
    """Verify a program in any language by the vectors, each of which says what it hunts."""
    from functional_mlp.vectors import verify

    with ended_by_signals(), progress_bar(1, "vector") as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(1)

        found = verify(command, group or None, precision, timeout=timeout, jobs=jobs, stream=stream, progress=progress)
    show(found.json() if as_json else found.text())
    raise typer.Exit(VERDICT_CODES[found.verdict])
