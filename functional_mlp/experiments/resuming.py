"""Long experiments: a progress bar, an interruption that loses nothing, and where a run is kept until it has ended.

Training goes on in chunks of epochs. On Ctrl-C, or when it is told to terminate, a program ends after the chunk that it
is at, saved; a second time it ends at once. `--resume` goes on from what was saved.
"""

import argparse
import contextlib
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import functional_mlp as fm
from functional_mlp.parallel import everyone
from functional_mlp.saving import Place, asked_to_end

SAVE_EVERY = 30.0
INDEXES = ("run.json", "sweep.json")  # what every folder of a saved run has


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
    parser.add_argument(
        "--accept-other-bits",
        action="store_true",
        help="go on, too, with what another JAX or another kind of machine has begun",
    )


def unfinished(out: Path) -> Path:
    """Where a run whose results will go to `out` is kept until then."""
    return out.with_name(f"{out.name}.unfinished")


def place_of(arguments: argparse.Namespace, *part: str) -> Place | None:
    """Where the run, or the named part of several trainings, is saved as it goes on; None if it cannot resume."""
    if not hasattr(arguments, "resume"):
        return None
    folder = unfinished(arguments.out).joinpath(*part)
    return Place(folder, arguments.save_every, accept_other_bits=arguments.accept_other_bits)


def saving(arguments: argparse.Namespace, *part: str) -> dict[str, Any]:
    """What `train_runs` takes to save it there."""
    place = place_of(arguments, *part)
    if place is None:
        return {}
    return {"directory": place.path, "save_every": place.every, "accept_other_bits": place.accept_other_bits}


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
def progress(description: str, total: int, unit: str = "epoch") -> Iterator[Callable[[int], bool]]:
    """A progress bar on a terminal (silent elsewhere): a function of how much is done, which says whether to end.

    It is to be called after each chunk, by all processes alike, and asks all of them to end if one was told to.

    Raises:
        Interrupted: at the end, if it has said so.
    """
    ended = False
    with fm.ProgressBar(total, description, unit=unit, leave=False) as bar, asked_to_end() as asked:

        def seen(done: int) -> bool:
            nonlocal ended
            bar.show(done)
            ended = everyone().any(asked)
            return ended

        yield seen
        if ended:
            raise Interrupted(asked[0] if asked else signal.SIGTERM)


@contextlib.contextmanager
def epochs_shown(description: str, epochs: int) -> Iterator[Callable[[fm.TrainResult], bool]]:
    """`progress` as the callback of `fm.train` and `fm.sweep`.

    A sweep that does not fit into the memory at once trains part by part; the bar then begins anew with each.
    """
    with progress(description, epochs) as seen:
        yield lambda so_far: seen(int(so_far.state.epoch))
