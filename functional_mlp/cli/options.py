"""Options that several commands have, and what is made of their texts."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

import functional_mlp as fm

PLAIN = ("sum", "sum", 1.0, 0.0, False)  # a loss that says nothing else: see `losses.Loss`

MaxBytes = Annotated[int, typer.Option(min=1, help="Refuse files that are larger, or unpack to more.")]
Output = Annotated[
    Path, typer.Option("-o", "--output", help="A name in .json, .npz or .safetensors; - is the terminal.")
]
OverSamples = Annotated[str, typer.Option(help="sum or mean.")]
OverOutputs = Annotated[str, typer.Option(help="sum or mean.")]
Scale = Annotated[float, typer.Option(help="Factor of the loss.")]
L2 = Annotated[float, typer.Option(help="Coefficient of the penalty l2/2 sum(w^2).")]
Explain = Annotated[
    bool, typer.Option("--explain", help="Also how one entry comes about, step by step back from the loss.")
]
Digits = Annotated[
    str | None,
    typer.Option(
        help="To how many digits the numbers were printed: significant ones, such as 6, or a format such as %.4f."
        " Default: as they stand there."
    ),
]
Html = Annotated[
    Path | None, typer.Option("--html", help="Write the report as a page too, for a browser; it needs nothing else.")
]
Targets = Annotated[
    str | None,
    typer.Option(
        help="Where outputs are classes: one_hot (the default), labels (integers), soft rows, or any numbers."
    ),
]
Layout = Annotated[
    str | None,
    typer.Option(
        help="Of the arrays: columns (W (out, in), b (n, 1), samples as columns), or such as weights=out_in,bias=row."
    ),
]
Bias = Annotated[bool, typer.Option("--bias/--no-bias", help="Whether layers have biases.")]
Only = Annotated[
    str | None, typer.Option(help="What is computed of the parameters, if not all: weights, or such as params[1].bias.")
]
Rule = Annotated[
    str | None,
    typer.Option(help="Of updates: descent (the default), momentum, nesterov, adam, adamw, rmsprop."),
]
Epochs = Annotated[int, typer.Option(min=1, help="Of updates: how often all samples are gone through.")]
BatchSize = Annotated[int | None, typer.Option(min=1, help="Of updates: samples per step, in order; default: all.")]
L2OnBias = Annotated[bool, typer.Option(help="The penalties cover the biases too.")]
LossOptions = Annotated[
    list[str] | None,
    typer.Option("--loss-option", metavar="NAME=VALUE", help="Of the loss, such as delta=0.5 or class_weights=1,2,1."),
]


def loss_of(kind: str, options: list[str] | None, *settings: Any) -> "fm.Loss | None":  # quoted: it would import JAX
    """The loss that the options name; None for `none`."""
    more = loss_options_of(options or [])
    if kind == "none":
        if more:
            raise ValueError(f"expected no --loss-option without a loss, got {', '.join(more)}")
        return None
    return fm.Loss(kind, *settings, **more)


def loss_options_of(texts: list[str]) -> dict[str, Any]:
    """Options of a loss by their names, from texts such as `delta=0.5`; several numbers are separated by commas."""
    from functional_mlp._checks import known_name

    options: dict[str, Any] = {}
    for text in texts:
        name, _, value = text.partition("=")
        known_name("option of a loss", name, ("l1", *fm.losses.OPTIONS))
        try:
            numbers = [int(part) if name == "ignore_index" else float(part) for part in value.split(",")]
        except ValueError as error:
            raise ValueError(f"expected --loss-option {name}=NUMBER, got {text!r}") from error
        options[name] = numbers if len(numbers) > 1 or name == "class_weights" else numbers[0]
    return options


def require_new_name(option: str, path: Path, inputs: list[Path]) -> None:
    """Raises ValueError if a file to be written is one that is read, or the terminal."""
    if path == Path("-"):
        raise ValueError(f"expected {option} to be the name of a file: standard output has the text")
    if any(path.resolve() == read.resolve() for read in inputs):
        raise ValueError(f"expected {option} to be another file than those that are read, got {path}")
    if not os.access(path.resolve().parent, os.W_OK):  # said before, not after, the work
        raise ValueError(f"expected {option} to be in a folder that exists and can be written, got {path}")


def require_text(explain: bool, as_json: bool) -> None:
    """Raises ValueError if an explanation is asked for beside JSON."""
    if explain and as_json:
        raise ValueError("expected --explain or --json, got both: the explanation is text")


def names_of(text: str) -> str | list[str]:
    """Names separated by commas; one alone as such."""
    names = [name.strip() for name in text.split(",")]
    return names[0] if len(names) == 1 else names


def layout_fields(text: str | None) -> str | dict[str, str] | None:
    """A layout by its name, or as field=value pairs separated by commas."""
    if text is None or "=" not in text:
        return text
    pairs = [part.partition("=") for part in text.split(",")]
    return {name.strip(): value.strip() for name, _, value in pairs}


def parts_of(text: str | None) -> list[str]:
    """Names separated by commas; none for None."""
    return [] if text is None else [name.strip() for name in text.split(",")]


def numbers_of(option: str, text: str) -> tuple[float, ...]:
    """Numbers separated by commas."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise ValueError(f"expected {option} to be numbers such as 0.001,0.01, got {text!r}") from error


def integers_of(option: str, text: str) -> list[int]:
    """Integers separated by commas."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise ValueError(f"expected {option} to be integers such as 2,4,1, got {text!r}") from error
