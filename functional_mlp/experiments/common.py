"""What every experiment shares: options, the place where results go, and how errors reach a person.

Results appear all at once: an experiment writes into a temporary directory beside `--out`, which takes its place when
the run has succeeded. An interrupted or failed run leaves nothing behind, and existing results are only replaced on
request (`--overwrite`).
"""

import argparse
import contextlib
import csv
import errno
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np
import optax

import functional_mlp as fm
from functional_mlp._checks import known_name
from functional_mlp._dtypes import DTYPES, with_dtype
from functional_mlp.experiments import distributed, resuming
from functional_mlp.parallel import device_per_core, everyone, keep_compiled, leave
from functional_mlp.saving import machine

OPTIMIZERS: Mapping[str, Callable[[Any], optax.GradientTransformation]] = {
    "sgd": optax.sgd,
    "momentum": lambda rate: optax.sgd(rate, momentum=0.9),
    "nesterov": lambda rate: optax.sgd(rate, momentum=0.9, nesterov=True),
    "rmsprop": optax.rmsprop,
    "adam": optax.adam,
    "adamw": optax.adamw,
}
MANIFEST = "manifest.json"
PACKAGES = ("functional-mlp", "jax", "jaxlib", "numpy", "optax", "scikit-learn", "matplotlib")


def positive(text: str) -> int:
    """An integer of at least 1, for argparse."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected an integer of at least 1, got {text!r}")
    return value


def number_between(low: float | int, high: float | int, wanted: str) -> Callable[[str], float]:
    """A number between two others, neither included, for argparse; `wanted` is what its sentence says is expected."""

    def check(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not low < value < high:
            raise argparse.ArgumentTypeError(f"expected {wanted}, got {text!r}")
        return value

    return check


positive_rate = number_between(0.0, float("inf"), "a finite number above 0")


def one_of(kind: str, names: Iterable[str]) -> Any:
    """The arguments of `add_argument` for a name out of `names`; an unknown one is answered with the nearest known."""
    known = tuple(names)

    def check(text: str) -> str:
        try:
            return known_name(kind, text, known)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return {"type": check, "metavar": f"{{{','.join(known)}}}"}


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one sentence; `--help` shows the usage."""

    def error(self, message: str) -> NoReturn:
        """Says what is wrong, and ends the program with exit code 2."""
        self.exit(2, f"{self.prog}: {message}\n")


def option_parser(name: str, description: str, *, resumable: bool = False, **defaults: Any) -> argparse.ArgumentParser:
    """A parser with the common options.

    Args:
        name: of the experiment; results go to results/NAME unless `--out` says otherwise.
        description: the first paragraph of the help.
        resumable: whether it can go on after an interruption, and be done by several processes.
        defaults: of the options that this experiment uses, by name: `seed`, `seeds`, `epochs` or `steps`,
            `learning_rate`, `optimizer`, `batch_size`, `dtype`. An option that is not named is not offered. None means
            that the experiment chooses.
    """
    parser = Parser(prog=f"functional-mlp experiment {name or 'all'}", description=description)
    options: dict[str, dict[str, Any]] = {
        "seed": {"type": int, "help": "seed of the initial values"},
        "seeds": {"type": positive, "help": "number of initial values, trained in one program"},
        "epochs": {"type": positive, "help": "passes over the training data"},
        "steps": {"type": positive, "help": "number of updates"},
        "learning_rate": {"type": positive_rate, "help": "learning rate"},
        "optimizer": one_of("optimiser", sorted(OPTIMIZERS)) | {"help": "optimiser"},
        "batch_size": {"type": positive, "help": "samples per update"},
        "dtype": one_of("dtype", reversed(DTYPES)) | {"help": "type of parameters and data"},
    }
    for key, default in defaults.items():
        option = options[key]
        shown = "" if default is None else f" (default: {default})"
        parser.add_argument(
            f"--{key.replace('_', '-')}", default=default, **(option | {"help": option["help"] + shown})
        )
    parser.add_argument("--device", default=None, help="all devices of cpu, gpu or tpu, or a single one: gpu:1")
    if "seeds" in defaults:
        parser.add_argument("--cores", type=positive, help="of the CPU, for several seeds (default: all there are)")
    parser.add_argument("--out", type=Path, default=Path("results", name), help="directory (default: %(default)s)")
    parser.add_argument("--overwrite", action="store_true", help="replace existing results")
    parser.add_argument("--no-plots", action="store_true", help="write no figures")
    if resumable:
        resuming.add_options(parser)
        distributed.add_options(parser)
    return parser


def run_program(
    parser: argparse.ArgumentParser, run: Callable[[argparse.Namespace], Any], given: Sequence[str] | None = None
) -> int:
    """Parses the command line (`given`, or that of this process) and runs; an error becomes one sentence.

    Returns:
        The exit code.
    """
    arguments = parser.parse_args(given)
    keep_compiled()
    seeds = getattr(arguments, "seeds", 1)  # None: the experiment chooses
    if seeds != 1:
        device_per_core(arguments.cores, at_most=seeds)
    try:
        distributed.join(arguments)
        if _is_finished(arguments):
            if everyone().first:
                print(f"{parser.prog}: finished already; the results are in {arguments.out}")
            return 0
        dtype = with_dtype(getattr(arguments, "dtype", None))
        with on_device(arguments.device), dtype, distributed.first_one_speaks():
            run(arguments)
    except (ValueError, TypeError, OSError, ImportError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return leave(2)
    except resuming.Interrupted as interrupted:
        folder = resuming.unfinished(arguments.out)
        print(f"{parser.prog}: interrupted; saved in {folder}; add --resume to go on", file=sys.stderr)
        return interrupted.code
    except KeyboardInterrupt:
        print(f"{parser.prog}: interrupted; unfinished results were discarded", file=sys.stderr)
        return leave(130)
    return 0


# options that change no result
HOW = {"out", "overwrite", "resume", "save_every", "accept_other_bits", "cores", "device", "no_plots"}
HOW |= {"distributed", "coordinator", "process_count", "process_id"}


def _is_finished(arguments: argparse.Namespace) -> bool:
    """Whether what `--resume` asks for has ended before, by the manifest of its results: a scheduler asks again."""
    if not getattr(arguments, "resume", False) or arguments.overwrite or resuming.unfinished(arguments.out).exists():
        return False
    try:
        before = json.loads((Path(arguments.out) / MANIFEST).read_text(encoding="utf-8"))["options"]
    except (OSError, ValueError, LookupError, TypeError):
        return False
    asked = json.loads(json.dumps(_options(arguments)))
    return isinstance(before, dict) and all(
        before.get(name) == asked.get(name) for name in {*before, *asked} if name not in HOW
    )


def on_device(spec: str | None) -> contextlib.AbstractContextManager[Any]:
    """The scope in which arrays live on the device that `spec` names ("gpu:1"), or on any of a platform ("cpu").

    Several runs are spread over all devices of a platform, but not beyond a single device.

    Raises:
        ValueError: if there is no such device; says which there are.
    """
    if spec is None:
        return contextlib.nullcontext()
    kind, _, number = spec.partition(":")
    try:
        devices = jax.devices(kind)
        return jax.default_device(devices[int(number)] if number else kind)
    except (RuntimeError, ValueError, IndexError) as error:
        known = ", ".join(f"{device.platform}:{device.id}" for device in jax.devices())
        raise ValueError(f"expected --device to be one of those here ({known}), got {spec!r}") from error


class Results:
    """The files of one run, gathered in a temporary directory until the run has succeeded."""

    def __init__(self, directory: Path, plots: bool) -> None:
        self.directory = directory
        self.plots = plots
        self.final: Path | None = None

    def summary(self, **values: Any) -> None:
        """Writes summary.json."""
        self.json("summary.json", values)

    def json(self, name: str, values: Any) -> None:
        """Writes a JSON file; NumPy and JAX numbers and arrays become plain ones, non-finite numbers null."""
        text = json.dumps(plain(values), indent=2, allow_nan=False)
        (self.directory / name).write_text(text + "\n")

    def history(self, header: Sequence[str], columns: Sequence[Iterable[Any]], name: str = "history.csv") -> None:
        """Writes a table, floats with all the digits of their own dtype."""
        with (self.directory / name).open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(header)
            writer.writerows(zip(*([_csv_cell(cell) for cell in column] for column in columns), strict=True))

    def figure(self, figure: Any, name: str) -> None:
        """Writes a matplotlib figure as NAME.png and NAME.svg."""
        for suffix in ("png", "svg"):
            # no date inside: the same run gives the same file
            figure.savefig(
                self.directory / f"{name}.{suffix}", dpi=150, metadata={"Date": None} if suffix == "svg" else None
            )


def _csv_cell(value: Any) -> Any:
    value = np.asarray(value)[()]
    return str(value) if isinstance(value, np.floating) else value


def plain(value: Any) -> Any:
    """`value` as what JSON knows; NaN and infinity as None."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic | jax.Array):
        array = np.asarray(value)
        if array.dtype in (np.float16, np.float32):
            array = array.astype(str).astype(np.float64)  # 0.97 stays 0.97, not 0.9700000286102295
        return plain(array.tolist())
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value


def require_writable(out: Path, overwrite: bool) -> None:
    """Makes the directory above `out`, or says why results cannot go there.

    Raises:
        FileExistsError: if `out` holds something already and `overwrite` is False.
        OSError: if it cannot be written.
    """
    try:
        if out.exists() and not (out.is_dir() and (overwrite or not any(out.iterdir()))):
            raise FileExistsError(
                f"expected --out to be a new or empty directory, got {out}; add --overwrite to replace it"
            )
        out.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(out if out.exists() else out.parent, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(f"expected --out to be a place that can be written, got {out}: {error.strerror}") from error


@contextlib.contextmanager
def results_in(out: Path, arguments: argparse.Namespace, name: str) -> Iterator[Results]:
    """The place for the results of experiment `name`, with its manifest.json; of several processes, the first one's.

    `--overwrite` replaces what an earlier run wrote here, by the list in its manifest; everything else stays.

    Raises:
        FileExistsError: if `out` holds something already and `--overwrite` was not given.
        OSError: if it cannot be written.
    """
    out = Path(out)
    if not everyone().first:
        with tempfile.TemporaryDirectory() as elsewhere:
            yield Results(Path(elsewhere), plots=False)
        return
    require_writable(out, arguments.overwrite)
    resuming.require_no_unfinished(out, arguments)
    temporary = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    try:
        temporary.chmod(0o777 & ~_umask())
        results = Results(temporary, plots=not arguments.no_plots)
        yield results
        files = sorted(file.name for file in temporary.iterdir())
        results.json(MANIFEST, manifest(name, arguments) | {"files": files})
        if out.exists():
            stale = _files_of_earlier_run(out)
            for file in temporary.iterdir():
                os.replace(file, out / file.name)
                stale.discard(file.name)
            for name in stale:
                (out / name).unlink(missing_ok=True)
        else:
            os.replace(temporary, out)
        if hasattr(arguments, "resume"):
            resuming.remove_unfinished(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _files_of_earlier_run(out: Path) -> set[str]:
    """The names in `out` that the manifest.json there lists as written by its run; folders are not among them."""
    try:
        listed = json.loads((out / MANIFEST).read_text(encoding="utf-8"))["files"]
        return {file.name for file in out.iterdir() if file.name in listed and not file.is_dir()}
    except (OSError, ValueError, LookupError, TypeError):  # no manifest, or none that this version knows
        return set()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def manifest(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """What is needed to run it again: versions, device, options, command, time."""
    device = jnp.zeros(()).devices().pop()
    return {
        "experiment": name,
        "command": [Path(sys.argv[0]).stem, *sys.argv[1:]],
        "options": _options(arguments),
        "seed": getattr(arguments, "seed", None),
        "device": {"platform": device.platform, "kind": device.device_kind},
        "machine": machine(),
        "python": platform.python_version(),
        "versions": {package: version_of(package) for package in PACKAGES},
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _options(arguments: argparse.Namespace) -> dict[str, Any]:
    return {key: str(value) if isinstance(value, Path) else value for key, value in vars(arguments).items()}


def version_of(package: str) -> str | None:
    """The version of a distribution, or None if it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # run from a checkout that is not installed
        return fm.__version__ if package == "functional-mlp" else None


def text_table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table for a terminal: columns aligned on the left, a rule under the header."""
    lines = [[str(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)
