"""The commands of the engine: `functional-mlp sweep`, `export` and `info`."""

import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

import functional_mlp as fm
from functional_mlp.cli.console import complain, progress_bar, show
from functional_mlp.cli.options import MaxBytes
from functional_mlp.files import MAX_BYTES


def export_command(
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
    from functional_mlp.oracle.documents import read_case

    write(output, read_case(case, max_bytes), [name.strip() for name in platforms.split(",")])
    show(f"{output}: check it with `python {output}`, here or on another machine\n")


def sweep_command(
    spec: Annotated[Path, typer.Argument(metavar="SPEC.toml", help="Network, loss, data and settings.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The directory for the results.")],
    save_every: Annotated[float, typer.Option(metavar="SECONDS", help="Between two checkpoints.")] = 60.0,
    device: Annotated[str | None, typer.Option(help="cpu, gpu or tpu; all devices of it are used.")] = None,
    cores: Annotated[int | None, typer.Option(min=1, help="Of the CPU to use; all, if not said.")] = None,
    distributed: Annotated[bool, typer.Option("--distributed", help="Work with other processes.")] = False,
    coordinator: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Of process 0.")] = None,
    process_count: Annotated[int | None, typer.Option(help="How many processes there are.")] = None,
    process_id: Annotated[int | None, typer.Option(help="Of this one, from 0.")] = None,
    accept_other_bits: Annotated[
        bool, typer.Option("--accept-other-bits", help="Go on with what another JAX or kind of machine has begun.")
    ] = False,
    max_bytes: MaxBytes = MAX_BYTES,
) -> None:
    """Train a network from many initial values, and with several learning rates and other numbers.

    The same command goes on after an interruption, with any number of devices and processes. With --distributed, start
    it in every process; on Slurm, Open MPI, Kubernetes and cloud TPUs that is all, elsewhere say where process 0 is.
    """
    from functional_mlp.parallel import Meeting, device_per_core, keep_compiled, leave, meet_if
    from functional_mlp.saving import Place

    try:
        keep_compiled()
        device_per_core(cores)
        meet_if(distributed, Meeting(coordinator, process_count, process_id))
        place = Place(output, save_every, accept_other_bits=accept_other_bits)
        _sweep(spec, place, device, max_bytes)
    except typer.Exit:
        raise
    except Exception as error:
        complain(error)
        raise typer.Exit(leave(2)) from None  # whose process may have met others
    except KeyboardInterrupt:
        print(f"functional-mlp: interrupted; {output} has what was saved", file=sys.stderr)
        raise typer.Exit(leave(130)) from None


def _sweep(spec: Path, place: Any, device: str | None, max_bytes: int) -> None:
    import jax

    from functional_mlp._checks import positive_int
    from functional_mlp._dtypes import with_dtype
    from functional_mlp.files import write_bytes
    from functional_mlp.parallel import everyone
    from functional_mlp.saving import asked_to_end
    from functional_mlp.sweeps import (
        loss_so_far,
        medians_of,
        read_sweep_spec,
        run_sweep,
        runs_done,
        runs_of,
        table_of_runs,
    )

    asked_for = read_sweep_spec(spec, max_bytes)
    try:
        devices = jax.devices(device)
    except RuntimeError as error:
        raise ValueError(f"expected --device to be a platform that is here, got {device}: {error}") from error
    epochs = positive_int("epochs", asked_for.settings["epochs"])
    count = runs_of(asked_for)
    bar_of_all = progress_bar(count * epochs, "epoch", hidden=not everyone().first)
    with with_dtype(asked_for.dtype), asked_to_end() as asked, bar_of_all as bar:

        def watch(so_far: Any) -> bool:
            if not bar.disable:
                first, runs = runs_done(place.path), len(so_far.state.key)  # of the part that is trained
                which = f"runs {first + 1} to {first + runs} of {count}"
                bar.set_description(f"{which}, loss {loss_so_far(so_far):.3g}", refresh=False)
                bar.update(first * epochs + runs * int(so_far.state.epoch) - bar.n)
            return everyone().any(asked)

        options = {"directory": place.path, "save_every": place.every, "accept_other_bits": place.accept_other_bits}
        result = run_sweep(asked_for, **options, devices=devices, callback=watch)
    if everyone().any(asked):
        print(f"functional-mlp: interrupted; saved in {place.path}; the same command goes on", file=sys.stderr)
        raise typer.Exit(128 + (asked[0] if asked else signal.SIGTERM))  # which another process was told
    if everyone().first:
        write_bytes(place.path / "runs.csv", table_of_runs(asked_for, result).encode())
        show(
            "".join(f"{line}\n" for line in medians_of(result))
            + f"{place.path}: every run, in runs.csv and .npy files\n"
        )


def info_command() -> None:
    """Print versions and devices."""
    import platform
    from importlib import metadata

    import jax

    rows = [("functional-mlp", fm.__version__), ("Python", platform.python_version())]
    rows += [(package, metadata.version(package)) for package in ("jax", "jaxlib", "numpy", "optax", "safetensors")]
    devices = ", ".join(f"{device.platform}:{device.id} ({device.device_kind})" for device in jax.devices())
    for label, value in [*rows, ("devices", devices)]:
        print(f"{label:<15} {value}")
