"""Long experiments: a progress bar, an interruption that loses nothing, and where a run is kept until it has ended.

Training goes on in chunks of epochs. On Ctrl-C, or when it is told to terminate, a program ends after the chunk that it
is at, saved; a second time it ends at once. `--resume` goes on from what was saved.
"""

import argparse
import contextlib
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

import functional_mlp as fm

SAVE_EVERY = 30.0
INDEXES = ("run.json", "sweep.json")  # what every folder of a saved run has
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(Exception):  # noqa: N818  # no error: it was asked for
    """The run was asked to end, and has ended, saved.

    Attributes:
        code: the exit code that tells by which signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.code = 128 + number


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of an experiment that can go on after an interruption."""
    parser.add_argument("--resume", action="store_true", help="go on with the run that was interrupted")
    parser.add_argument(
        "--save-every",
        type=float,
        default=SAVE_EVERY,
        metavar="SECONDS",
        help="between two checkpoints, in the directory OUT.unfinished (default: %(default)g)",
    )


def unfinished(out: Path) -> Path:
    """Where a run whose results will go to `out` is kept until then."""
    return out.with_name(f"{out.name}.unfinished")


def saving(arguments: argparse.Namespace, *part: str) -> dict[str, Any]:
    """What `train_runs` takes to save the run, or the named part of several trainings; nothing if it cannot resume."""
    if not hasattr(arguments, "resume"):
        return {}
    return {"directory": unfinished(arguments.out).joinpath(*part), "save_every": arguments.save_every}


def require_no_unfinished(out: Path, arguments: argparse.Namespace) -> None:
    """Removes an unfinished run if `--overwrite` asks for it.

    Raises:
        FileExistsError: if there is one, and neither it nor `--resume` was given.
    """
    folder = unfinished(out)
    if not hasattr(arguments, "resume") or arguments.resume or not folder.exists():
        return
    if not arguments.overwrite:
        raise FileExistsError(
            f"expected no unfinished run, got {folder}; add --resume to go on with it, or --overwrite to begin anew"
        )
    remove_unfinished(out)


def remove_unfinished(out: Path) -> None:
    """Removes what was kept of a run, and nothing that is none."""
    folder = unfinished(out)
    if any(any(folder.rglob(index)) for index in INDEXES):
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def progress(description: str, epochs: int) -> Iterator[Callable[[fm.TrainResult], bool]]:
    """A progress bar on a terminal (silent elsewhere), as the callback of `fm.train` and `fm.sweep`.

    A sweep that does not fit into the memory at once trains part by part; the bar then begins anew with each.

    Raises:
        Interrupted: at the end, if the callback has ended the training because a signal asked for it.
    """
    hidden = not sys.stderr.isatty()
    with tqdm(total=epochs, desc=description, unit="epoch", disable=hidden, leave=False) as bar, _asked() as asked:
        show, ended = _showing(bar, description), False

        def seen(so_far: fm.TrainResult) -> bool:
            nonlocal ended
            show(so_far)
            ended = bool(asked)
            return ended

        yield seen
        if ended:
            raise Interrupted(asked[0])


@contextlib.contextmanager
def _asked() -> Iterator[list[int]]:
    """Within, the first signal to end is only noted, in the list; the next one does what it did before."""
    asked: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number: int, _: Any) -> None:
        asked.append(number)
        restore()
        print("ending after this chunk of epochs; once more to end at once", file=sys.stderr)

    for number in SIGNALS:
        signal.signal(number, note)
    try:
        yield asked
    finally:
        restore()


def _showing(bar: Any, description: str) -> Callable[[fm.TrainResult], None]:
    """The callback that moves `bar`, a tqdm bar: where the epoch is no later than before, a further part has begun."""
    part, before = 1, 0

    def show(so_far: fm.TrainResult) -> None:
        nonlocal part, before
        epoch = int(so_far.state.epoch)
        if epoch <= before:
            part, before = part + 1, 0
            bar.reset()
            bar.set_description(f"{description}, part {part}")
        bar.update(epoch - before)
        before = epoch

    return show
