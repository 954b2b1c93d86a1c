"""What checks leave in memory: the resident size of one process after many wrong gradients of as many shapes.

python -m benchmarks.speed.memory --checks 300
"""

import sys
from collections.abc import Sequence

import numpy as np
import psutil

import functional_mlp as fm
from functional_mlp import oracle
from functional_mlp.experiments import Parser, positive

FIRST = 20  # checks after which the memory is compared with that at the end


def checked(number: int) -> None:
    """One check of a shape of its own, wrong, with its diagnosis."""
    sizes = (2 + number % 5, 3 + number // 5 % 7, 2 + number // 35 % 9, 1 + number % 3)
    network = fm.Network(sizes, ("tanh", "relu", "identity"))
    case = oracle.draw_case(network, fm.Loss("squared_error"), samples=3 + number % 11, seed=number)
    averaged = [(weights, np.asarray(bias) / len(case.inputs)) for weights, bias in oracle.solve(case).grads]
    if "bias-gradient-averaged" not in oracle.check(case, averaged).text():
        raise AssertionError(f"expected the mistake of check {number} to be named")


def resident() -> float:
    """Of this process, in MB."""
    return float(psutil.Process().memory_info().rss) / 1e6


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs from the command line; the exit code is 0."""
    parser = Parser(prog="python -m benchmarks.speed.memory", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--checks", type=positive, default=300, help="as many shapes, more than 20 (300)")
    options = parser.parse_args(arguments)
    sizes = []
    for number in range(max(options.checks, FIRST)):
        checked(number)
        sizes.append(resident())
    print(f"{len(sizes)} checks: {sizes[-1]:.0f} MB, {sizes[-1] - sizes[FIRST - 1]:.0f} more than after {FIRST}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
