"""What a check costs, side by side with torch.autograd.gradcheck (full and fast mode) and jax.test_util.check_grads.

All check the gradient of the same network, loss and data in float64; the peers check a function, the oracle its
numbers. *Cold* counts everything that the first check of a shape costs, compilation included, but not the imports;
*warm* is the median of further checks of the same shapes, with other numbers. Each program runs in a process of its
own, one at a time. A peer that is not installed is left out.

    python -m benchmarks.speed.gradient_checkers            # the table
    python -m benchmarks.speed.gradient_checkers --large    # also 1,000,000 parameters x 256 samples, and the peak
"""

import argparse
import itertools
import json
import resource
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

import functional_mlp as fm
from benchmarks.accuracy.implementations.autodiff import has_torch
from benchmarks.speed.timing import in_turn, seconds_of
from functional_mlp import oracle
from functional_mlp.experiments import Parser, positive, text_table

SIZES, SAMPLES = (128, 128, 128, 4), 16  # 33,540 parameters
LARGE_SIZES, LARGE_SAMPLES = (784, 800, 460), 256  # 996,460 parameters
ACTIVATION, LOSS = "tanh", fm.Loss("squared_error")


def _params(case: oracle.Case) -> fm.Params:
    import jax

    return tuple(fm.Dense(*map(jax.numpy.asarray, layer)) for layer in case.params)


def _cold_and_warm(check: Callable[..., bool], questions: Sequence[tuple[Any, ...]]) -> dict[str, float]:
    """Seconds of the first check and the median of the others, and the share of the checks that pass."""
    verdicts: list[bool] = []
    times = [seconds_of(lambda given=given: verdicts.append(check(*given))) for given in questions]  # type: ignore[misc]
    return {"cold": times[0], "warm": float(np.median(times[1:])), "passes": float(np.mean(verdicts))}


def by_oracle(cases: Sequence[oracle.Case]) -> dict[str, float]:
    """Seconds of `oracle.check`, and of one forward and backward pass of the same network, compiled, in float64.

    The gradients to be checked are those of plain NumPy, which are not the oracle's own.
    """
    import jax

    from reference.plain import EXACT, gradients

    questions = [(case, gradients(case, EXACT, fused=True).grads) for case in cases]
    found = _cold_and_warm(lambda case, grads: oracle.check(case, grads).verdict == "consistent", questions)
    assert found["passes"] == 1.0
    with jax.enable_x64(True):
        network, params = cases[0].network, _params(cases[0])
        inputs, targets = jax.numpy.asarray(cases[0].inputs), jax.numpy.asarray(cases[0].targets)
        both = jax.jit(lambda p, x, t: fm.loss_and_grad(network, LOSS, p, x, t))
        [passes] = in_turn([lambda: jax.block_until_ready(both(params, inputs, targets))], 20).T
    return found | {"pass": float(np.median(passes))}


def by_check_grads(cases: Sequence[oracle.Case]) -> dict[str, float]:
    """Seconds of jax.test_util.check_grads of `fm.apply` under the loss, compiled."""
    import jax
    import jax.test_util

    network = cases[0].network
    value = jax.jit(lambda p, x, t: LOSS.value(fm.apply(network, p, x), t))

    def check(case: oracle.Case) -> bool:
        try:
            jax.test_util.check_grads(lambda p: value(p, case.inputs, case.targets), (_params(case),), 1, modes=["rev"])
        except AssertionError:
            return False
        return True

    with jax.enable_x64(True):
        return _cold_and_warm(check, [(case,) for case in cases])


def by_gradcheck(cases: Sequence[oracle.Case], fast: bool) -> dict[str, float]:
    """Seconds of torch.autograd.gradcheck of an nn.functional network."""
    import torch  # type: ignore[import-not-found]

    torch.manual_seed(0)  # fast mode draws

    def check(case: oracle.Case) -> bool:
        x, t = torch.from_numpy(np.array(case.inputs)), torch.from_numpy(np.array(case.targets))
        leaves = [torch.from_numpy(np.array(leaf)).requires_grad_() for layer in case.params for leaf in layer]

        def function(*leaves: Any) -> Any:
            a = x
            for i in range(0, len(leaves), 2):
                a = a @ leaves[i] + leaves[i + 1]
                a = torch.tanh(a) if i + 2 < len(leaves) else a
            return ((a - t) ** 2).sum()

        return bool(torch.autograd.gradcheck(function, leaves, fast_mode=fast, raise_exception=False))

    return _cold_and_warm(check, [(case,) for case in cases])


PROGRAMS: dict[str, Callable[[Sequence[oracle.Case]], dict[str, float]]] = {
    "oracle.check": by_oracle,
    "gradcheck": lambda cases: by_gradcheck(cases[:2], fast=False),
    "gradcheck fast": partial(by_gradcheck, fast=True),
    "check_grads": by_check_grads,
}


def measured(program: str, sizes: tuple[int, ...], samples: int, repeats: int) -> dict[str, float]:
    """One program in a process of its own: seconds, and the peak of its memory in MiB.

    Raises:
        RuntimeError: if it fails, with what it said.
    """
    numbers = ",".join(map(str, (*sizes, samples, repeats)))
    command = [sys.executable, "-m", "benchmarks.speed.gradient_checkers", "--program", program, "--numbers", numbers]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{program} failed: {done.stderr.strip()[-2000:]}")
    return json.loads(done.stdout)


def _run_alone(program: str, numbers: str) -> None:
    *sizes, samples, repeats = map(int, numbers.split(","))
    network = fm.Network(sizes, [*[ACTIVATION] * (len(sizes) - 2), "identity"])
    cases = [oracle.draw_case(network, LOSS, samples=samples, seed=seed) for seed in range(repeats + 1)]
    seconds = PROGRAMS[program](cases)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(seconds | {"peak": peak}))


def main() -> int:
    """Prints the table."""
    parser = Parser(prog="python -m benchmarks.speed.gradient_checkers", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=positive, default=5, help="warm checks of each program")
    parser.add_argument("--large", action="store_true", help="also a network of a million parameters")
    parser.add_argument("--program", choices=PROGRAMS, help=argparse.SUPPRESS)
    parser.add_argument("--numbers", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.program:
        _run_alone(arguments.program, arguments.numbers)
        return 0
    programs = [name for name in PROGRAMS if "gradcheck" not in name or has_torch()]
    figures = {name: measured(name, SIZES, SAMPLES, arguments.repeats) for name in programs}
    ours = figures["oracle.check"]
    rows = [
        [
            *(name, f"{its['cold']:.2f}", f"{its['warm']:.3f}", f"{its['cold'] / ours['cold']:.1f}"),
            *(f"{its['warm'] / ours['warm']:.1f}", f"{its['peak']:.0f}"),
        ]
        for name, its in figures.items()
    ]
    head = ("checker", "cold, s", "warm, s", "cold / oracle", "warm / oracle", "peak, MiB")
    print(f"{_parameters(SIZES)} parameters, {SAMPLES} samples, float64\n")
    print(text_table(head, rows))
    print(f"\na warm check costs {ours['warm'] / ours['pass']:.0f} forward and backward passes")
    if arguments.large:
        large = measured("oracle.check", LARGE_SIZES, LARGE_SAMPLES, 2)
        print(
            f"\n{_parameters(LARGE_SIZES)} parameters, {LARGE_SAMPLES} samples: cold {large['cold']:.1f} s, warm"
            f" {large['warm']:.1f} s, peak {large['peak']:.0f} MiB, {large['warm'] / large['pass']:.0f} passes"
        )
    return 0


def _parameters(sizes: tuple[int, ...]) -> int:
    return sum((fan_in + 1) * fan_out for fan_in, fan_out in itertools.pairwise(sizes))


if __name__ == "__main__":
    sys.exit(main())
