"""How far from the truth: the hand-written backward pass, jax.grad and a NumPy textbook against the referee.

`python -m benchmarks.accuracy.certification` solves many random and adversarial cases in every way of `methods.py`,
compares every output, delta, gradient, input gradient and loss with reference/exact.py, and writes
docs/measured/certification.md. It exits with 1 if the hand-written pass is worse than autodiff in a group (`worse` says
what that means).

Units: an error in ulp is relative to the entry itself, and says how many digits of it are right. An entry that is a sum
of terms that cancel, or that depends on such sums, is far off in ulp however it is computed, so the error is also given
in noise units: see `noise_of`. Errors of at most the smallest normal number are no errors here: XLA's CPU code flushes
what is below it to 0.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.certification.cases import Recipe, recipes
from benchmarks.accuracy.certification.methods import METHODS, Leaves
from benchmarks.accuracy.certification.report import Certification, Errors, worse, written
from benchmarks.markdown import write_page
from reference import exact, plain

Array = NDArray[np.float64]
COMMAND = "python -m benchmarks.accuracy.certification"
TINY = float(np.finfo(np.float64).tiny)
EPS = float(np.finfo(np.float64).eps)
MOVES = 4
QUANTITIES = ("loss", "outputs", "deltas", "grads", "ct_inputs")


def sizes(question: Any, truth: Leaves) -> Leaves:
    """Per entry, the sum of the magnitudes of the terms that are last summed up for it; at least its own magnitude.

    For a gradient Σᵢ|aᵢ||deltaᵢ| + l2|w|; for a delta |f′| Σ|delta||w|; for outputs |f′| (Σ|a||w| + |b|) + |a|; at the
    output layer that of o and t; for the loss itself.

    Args:
        question: as `plain.question_of` makes it.
        truth: the referee's arrays by name.
    """
    units, params, loss = question.network.activations, question.params, question.loss
    layers, last = len(units), units[-1].name
    a = [np.abs(question.inputs), *(np.abs(truth[f"activations.{layer}"]) for layer in range(layers))]
    deltas = [np.abs(truth[f"deltas.{layer}"]) for layer in range(layers)]
    weights = [np.abs(w) for w, _ in params]
    biases = [0.0 if b is None else np.abs(b) for _, b in params]
    decay, signs = (0.0, 0.0) if loss is None else (loss.l2, loss.l1)
    of_bias = loss is not None and loss.l2_on_bias
    found: Leaves = {"ct_inputs": deltas[0] @ weights[0].T}

    def through(layer: int, flow: Array) -> Array:
        unit, z, value = units[layer], truth[f"pre_activations.{layer}"], truth[f"activations.{layer}"]
        if unit.name == "softmax":
            return a[layer + 1] * (flow + (a[layer + 1] * flow).sum(axis=1, keepdims=True))
        return flow * np.abs(plain.UNITS[unit.name].derivative(z, value, **unit.parameters))

    for layer in range(layers):
        found[f"grads.{layer}.weights"] = a[layer].T @ deltas[layer] + decay * weights[layer] + signs
        found[f"grads.{layer}.bias"] = deltas[layer].sum(axis=0) + of_bias * (decay * biases[layer] + signs)
        if layer < layers - 1:
            found[f"deltas.{layer}"] = through(layer, deltas[layer + 1] @ weights[layer + 1].T)
    found["outputs"] = through(layers - 1, a[-2] @ weights[-1] + biases[-1])
    if loss is not None:
        size = np.abs(truth["outputs"]) + np.abs(question.targets)
        if loss.kind in ("squared_error", "absolute_error", "huber", "log_cosh"):
            size = through(layers - 1, 2 * (size + found["outputs"]))
        elif last != "softmax":
            size = size * (1 + question.targets.shape[1] * (last != "identity"))
        found[f"deltas.{layers - 1}"] = np.abs(plain.coefficients(question, np.dtype(np.float64))) * size
    return {name: np.maximum(found.get(name, 0.0), np.abs(leaf)) for name, leaf in truth.items()}


def noise_of(case: exact.Case, truth: exact.Solution, rng: np.random.Generator | None) -> Leaves:
    """One noise unit per entry: eps times its `sizes`, plus what moving every number of the case by an ulp changes.

    Args:
        case: the case.
        truth: its solution.
        rng: for the directions of the moves; None for no moves, where they would destroy the zeros at kinks.
    """

    def move(array: Any) -> Any:
        assert rng is not None
        return None if array is None else np.asarray(array) * (1 + EPS * rng.choice([-1.0, 1.0], np.shape(array)))

    with np.errstate(all="ignore"):
        noise = {name: EPS * size for name, size in sizes(plain.question_of(case), truth.leaves).items()}
    if rng is None:
        return noise
    changed = {name: np.zeros_like(leaf) for name, leaf in truth.leaves.items()}
    for _ in range(MOVES):
        moved = case._replace(
            params=[(move(w), move(b)) for w, b in case.params],
            inputs=move(case.inputs),
            targets=move(case.targets),
            ct_outputs=move(case.ct_outputs),
            sample_weights=move(case.sample_weights),
        )
        others = exact.solve(moved).leaves
        changed = {name: np.maximum(changed[name], np.abs(others[name] - leaf)) for name, leaf in truth.leaves.items()}
    return {name: unit + changed[name] for name, unit in noise.items()}


def errors_of(answer: Leaves, truth: exact.Solution, noise: Leaves) -> tuple[dict[str, Errors], int]:
    """The errors of one answer by quantity, and how many entries were excepted as flushed to zero."""
    collected: dict[str, list[Errors]] = defaultdict(list)
    flushed = 0
    for name, balls in truth.balls.items():
        quantity = name.partition(".")[0]
        if quantity not in QUANTITIES:
            continue
        got, expected = answer[name], truth.leaves[name]
        with np.errstate(all="ignore"):
            error = np.abs(got - expected)
            below = error <= TINY
            flushed += int((below & (got != expected)).sum())
            in_noise = np.where(below, 0.0, error / np.maximum(noise[name], EPS * TINY))
        ulps = [
            0.0 if excepted else exact.ulp_distance(float(x), ball)
            for x, ball, excepted in zip(got.flat, balls.ravel().tolist(), below.flat, strict=True)
        ]
        collected[quantity].append(Errors(np.array(ulps), np.where(np.isfinite(got), in_noise, np.inf).ravel()))
    return {quantity: _joined(parts) for quantity, parts in collected.items()}, flushed


def _joined(parts: Sequence[Errors]) -> Errors:
    return Errors(*map(np.concatenate, zip(*parts, strict=True)))


def certify(entries: int, seed: int = 0, chosen: Sequence[Recipe] | None = None) -> Certification:
    """Compares at least `entries` entries: rounds over all recipes (or the `chosen` ones) until there are enough."""
    started, rounds, compared, cases = time.monotonic(), 0, 0, 0
    every = recipes() if chosen is None else list(chosen)
    collected: dict[tuple[str, str], dict[str, list[Errors]]] = defaultdict(lambda: defaultdict(list))
    refused: Counter[tuple[str, str]] = Counter()
    flushed: Counter[tuple[str, str]] = Counter()
    while compared < entries:
        for number, recipe in enumerate(every):
            case = recipe.draw(recipe, np.random.default_rng([seed, number, rounds]))
            try:
                truth = exact.solve(case)
            except exact.UndecidedError:
                refused[recipe.group, "referee"] += 1
                continue
            rng = np.random.default_rng([seed, number, rounds, 1])
            noise = noise_of(case, truth, None if recipe.group == "kinks" else rng)
            cases += 1
            for method, solve in METHODS.items():
                try:
                    answer = solve(case)
                except ArithmeticError:  # the oracle refuses what overflows
                    refused[recipe.group, method] += 1
                    answer = {name: np.full_like(leaf, np.nan) for name, leaf in truth.leaves.items()}
                by_quantity, excepted = errors_of(answer, truth, noise)
                flushed[recipe.group, method] += excepted
                for quantity, errors in by_quantity.items():
                    collected[recipe.group, quantity][method].append(errors)
            compared += sum(len(errors.ulp) for errors in by_quantity.values())
        rounds += 1
    joined = {
        key: {method: _joined(parts) for method, parts in by_method.items()} for key, by_method in collected.items()
    }
    return Certification(joined, compared, cases, refused, flushed, time.monotonic() - started)


def main(arguments: Sequence[str] | None = None) -> int:
    """Certifies, writes the report, prints it; 1 if the hand-written pass is worse than autodiff somewhere."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--entries", type=int, default=400_000, help="compare at least this many (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the cases (default: %(default)s)")
    parser.add_argument(
        "--out", type=Path, default=Path("docs/measured/certification.md"), help="(default: %(default)s)"
    )
    options = parser.parse_args(arguments)
    found = certify(options.entries, options.seed)
    text = written(found, f"{COMMAND} --entries {options.entries} --seed {options.seed}")
    write_page(text, options.out)
    print(text)
    print(f"written to {options.out} after {found.seconds:.0f} s")
    return 1 if worse(found) else 0


if __name__ == "__main__":
    sys.exit(main())
