"""The commands of a person's own table: `functional-mlp fit` and `predict`."""

import hashlib
import itertools
import json
import shutil
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from functional_mlp._extras import require_packages
from functional_mlp.cli.console import progress_bar, show
from functional_mlp.cli.options import MaxBytes, integers_of, numbers_of
from functional_mlp.files import MAX_BYTES_OF_A_TABLE

WORK, ASKED = "work", "asked.json"  # the folder of what is not finished, and what it was asked for
MAX_BYTES_OF_ASKED = 2**20
SHOWN = 12  # settings that are printed

Data = Annotated[Path, typer.Argument(metavar="DATA.csv", help="A table with a line of column names.")]


def fit_command(
    data: Data,
    target: Annotated[str, typer.Option(help="The column to be learnt; the others are inputs.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The folder for the results.")],
    hidden: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SIZES", help="Of the hidden layers, such as 16,8 (the default); several times for several."
        ),
    ] = None,
    widths: Annotated[
        str | None, typer.Option(help="With --depths: hidden layers of each width, such as 8,32.")
    ] = None,
    depths: Annotated[str | None, typer.Option(help="With --widths: how many of them, such as 1,2,3.")] = None,
    learning_rates: Annotated[str, typer.Option(help="One, or several such as 0.001,0.01.")] = "0.01",
    seeds: Annotated[int, typer.Option(min=1, help="Initial values for each setting.")] = 16,
    seed: Annotated[int, typer.Option(min=0, help="Of the first of them, and of the split.")] = 0,
    epochs: Annotated[int, typer.Option(min=1, help="Of each run.")] = 200,
    batch_size: Annotated[int, typer.Option(min=1, help="Rows per update.")] = 32,
    optimizer: Annotated[str, typer.Option(help="adam, sgd, rmsprop, …")] = "adam",
    activation: Annotated[str, typer.Option(help="Of the hidden layers.")] = "tanh",
    folds: Annotated[int, typer.Option(min=1, help="Of cross-validation; 1 is one split.")] = 1,
    test_share: Annotated[float, typer.Option(help="Of the rows, with one split.")] = 0.25,
    task: Annotated[
        str | None, typer.Option(help="classification or regression; default: as the target looks.")
    ] = None,
    drop: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="Leave it out; several times for several.")
    ] = None,
    missing: Annotated[str, typer.Option(help="Rows with empty cells: refuse, drop, or mean to fill them.")] = "refuse",
    dtype: Annotated[str, typer.Option(help="float32 or float64.")] = "float32",
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Write TensorBoard's event files too.")] = False,
    save_every: Annotated[float, typer.Option(metavar="SECONDS", help="Between two checkpoints.")] = 60.0,
    max_bytes: MaxBytes = MAX_BYTES_OF_A_TABLE,
) -> None:
    """Fit networks to a table, from many initial values, with several sizes and learning rates at once.

    Classes or a quantity are learnt from numbers and categories; the settings are compared on test rows, on a page
    (report.html) and in tables, and the network of the best is kept for `predict`. The same command goes on after an
    interruption.
    """
    from functional_mlp import fitting, tables
    from functional_mlp._dtypes import with_dtype
    from functional_mlp.parallel import keep_compiled

    settings = fitting.Settings(
        hidden=_architectures(hidden or [], widths, depths),
        learning_rates=numbers_of("--learning-rates", learning_rates),
        seeds=seeds,
        seed=seed,
        epochs=epochs,
        batch_size=batch_size,
        optimizer=optimizer,
        activation=activation,
        folds=folds,
        test_share=test_share,
        dtype=dtype,
        task=task,
    )
    require_packages("a fit", "sklearn", "matplotlib", "orbax", *(["tensorboardX"] if tensorboard else []))
    whole = tables.read_table(data, max_bytes)
    asked = {
        "settings": settings.described(),
        "target": target,
        "drop": sorted(drop or []),
        "missing": missing,
        "table": _digest_of(data),
    }
    if _is_finished(fitting, output, asked):
        show(f"finished already; {_told(output)}")
        return
    table = tables.usable(whole, target, drop or (), missing)
    left_out = len(whole.lines) - len(table.lines)
    if left_out:
        print(f"{left_out} of {len(whole.lines)} rows are left out: cells are missing in them", file=sys.stderr)
    fitting.checked(table, settings)
    keep_compiled()
    with with_dtype(dtype):
        fit = _fitted(fitting, table, settings, output, save_every, asked)
        fitting.save_fit(output, fit, asked, page=fitting.page(fit, table))
    if tensorboard:
        fitting.write_events(output / "tensorboard", fit)
    shutil.rmtree(output / WORK, ignore_errors=True)
    show("".join(f"{line}\n" for line in fitting.lines_of(fit, SHOWN)) + _told(output))


def predict_command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder that `fit` has written.")],
    data: Data,
    output: Annotated[Path, typer.Option("-o", "--output", help="A CSV file; - is the terminal.")] = Path("-"),
    max_bytes: MaxBytes = MAX_BYTES_OF_A_TABLE,
) -> None:
    """Predict the rows of a table by the network that `fit` has kept.

    The table needs the columns that were learnt from; where it has the target too, the score is printed.
    """
    from functional_mlp import fitting, tables
    from functional_mlp._dtypes import with_dtype
    from functional_mlp.files import write_bytes

    with with_dtype(fitting.dtype_of(run)):
        saved = fitting.load_fit(run)
        found = fitting.predict(saved, tables.read_table(data, max_bytes))
    content = found.csv(saved.encoding.target.classes)
    if output == Path("-"):
        show(content.decode())
    else:
        write_bytes(output, content)
    for name, (text, count) in found.unseen.items():
        rows = f"{count} rows have texts that were" if count > 1 else "1 row has a text that was"
        print(f"column {name!r}: {rows} not learnt, such as {text[:40]!r}", file=sys.stderr)
    if found.score is not None:
        of = f" of {found.scored} rows" if found.scored < len(found.values) else ""
        learnt = fitting.asked_in(run)
        same = learnt is not None and learnt["table"] == _digest_of(data)
        note = " (of the table that was learnt from: of other rows it will be less good)" if same else ""
        print(f"{fitting.SCORES[saved.encoding.target.task]}{of}: {found.score:.6g}{note}", file=sys.stderr)


def _digest_of(data: Path) -> str:
    """By which a fit knows the table that it learnt from."""
    return hashlib.sha256(data.read_bytes()).hexdigest()


def _architectures(hidden: list[str], widths: str | None, depths: str | None) -> tuple[tuple[int, ...], ...]:
    if (widths is None) is not (depths is None):
        raise ValueError("expected --widths and --depths together, got one of them")
    found = [tuple(integers_of("--hidden", text)) if text.strip() else () for text in hidden]
    if widths is not None and depths is not None:
        each = itertools.product(integers_of("--depths", depths), integers_of("--widths", widths))
        found += [(width,) * depth for depth, width in each]
    if any(size < 1 for sizes in found for size in sizes):
        raise ValueError(f"expected sizes of hidden layers of at least 1, got {found}")
    return tuple(dict.fromkeys(found)) or ((16, 8),)


def _is_finished(fitting: Any, output: Path, asked: dict[str, Any]) -> bool:
    """Whether this very fit is in the folder already.

    Raises:
        ValueError: if something else is.
    """
    if not output.exists():
        return False
    from functional_mlp.saving import is_new

    if not output.is_dir():
        raise ValueError(f"expected -o to be a folder, got the file {output}")
    own = json.loads(json.dumps(asked))
    before, unfinished = fitting.asked_in(output), output / WORK / ASKED
    if before is None and is_new(output):
        return False
    if before is None and unfinished.exists():
        begun = any(entry.is_dir() for entry in unfinished.parent.iterdir())
        if begun and _json_of(unfinished) != own:
            raise ValueError(
                f"expected -o to be a new folder, got {output}, which holds an unfinished fit that was asked for other"
                " things; ask for the same to go on with it, or remove it"
            )
        return False
    if before != own:
        other = "something else" if before is None else "a fit that was asked for other things"
        raise ValueError(f"expected -o to be a new folder, or that of this very fit, got {output}, which holds {other}")
    return True


def _json_of(path: Path) -> Any:
    """What a file of ours says; None if it says nothing."""
    from functional_mlp.files import FileError, read_bytes

    try:
        return json.loads(read_bytes(path, MAX_BYTES_OF_ASKED))
    except (FileError, ValueError, RecursionError):
        return None


def _told(output: Path) -> str:
    return f"{output}: report.html, settings.csv, runs.csv; functional-mlp predict {output} DATA.csv uses the best\n"


def _fitted(fitting: Any, table: Any, settings: Any, output: Path, save_every: float, asked_for: dict[str, Any]) -> Any:
    """The fit, with a bar that says what runs, of how many parts, and the loss so far."""
    from functional_mlp.files import write_bytes
    from functional_mlp.saving import asked_to_end, only_one
    from functional_mlp.sweeps import loss_so_far

    with only_one(output), asked_to_end() as asked, progress_bar(1, "epoch") as bar:

        def watch(work: Any, so_far: Any) -> bool:
            if not bar.disable:
                bar.total = work.of * work.epochs
                bar.set_description(
                    f"{work.number} of {work.of}: {work.name}, loss {loss_so_far(so_far):.3g}", refresh=False
                )
                bar.update((work.number - 1) * work.epochs + int(so_far.state.epoch) - bar.n)
            return bool(asked)

        (output / WORK).mkdir(exist_ok=True)
        write_bytes(output / WORK / ASKED, json.dumps(asked_for).encode())
        try:
            return fitting.fit(table, settings, directory=output / WORK, save_every=save_every, watch=watch)
        except fitting.DivergedError:
            shutil.rmtree(output / WORK, ignore_errors=True)
            raise
        except fitting.InterruptedFitError:
            print(f"functional-mlp: interrupted; saved in {output}; the same command goes on", file=sys.stderr)
            raise typer.Exit(128 + asked[0]) from None
