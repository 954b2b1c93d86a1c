"""Experiments over several processes, `--distributed`: they meet, the first one alone prints and writes results.

Everything else is the same in all of them: they make the same calls with the same numbers.
"""

import argparse
import contextlib
import io
from collections.abc import Iterator

from functional_mlp.parallel import Meeting, everyone, meet_if


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of an experiment that several processes can do together."""
    several = parser.add_argument_group(
        "several processes",
        "Start the same command in each, on one machine or many. On Slurm, Open MPI, Kubernetes and cloud TPUs"
        " --distributed is enough; elsewhere say where process 0 is, or set JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES"
        " and JAX_PROCESS_ID.",
    )
    several.add_argument("--distributed", action="store_true", help="work with the other processes of this run")
    several.add_argument("--coordinator", metavar="HOST:PORT", help="of process 0")
    several.add_argument("--process-count", type=int, metavar="N", help="how many there are")
    several.add_argument("--process-id", type=int, metavar="I", help="of this one, from 0")


def join(arguments: argparse.Namespace) -> None:
    """Meets the other processes, if `--distributed` asks for it; see `meet_if` for the errors.

    Raises:
        ValueError: if they were not given the same options, too.
    """
    if not hasattr(arguments, "distributed"):
        return
    own = ("coordinator", "process_count", "process_id")
    meet_if(arguments.distributed, Meeting(*(getattr(arguments, name) for name in own)))
    if arguments.distributed:
        everyone().require_same({f"--{name}": str(value) for name, value in vars(arguments).items() if name not in own})


@contextlib.contextmanager
def first_one_speaks() -> Iterator[None]:
    """Within, what processes but the first print goes nowhere; errors are told all the same."""
    if everyone().first:
        yield
        return
    with contextlib.redirect_stdout(io.StringIO()):
        yield
