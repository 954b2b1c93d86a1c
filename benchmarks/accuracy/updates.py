"""How often is a right update called wrong, and how often is a wrong one noticed and named?

    python -m benchmarks.accuracy.updates             # two minutes on 2 quiet cores
    python -m benchmarks.accuracy.updates --cases 2

Right programs: every update rule, in NumPy in each precision and with optax under JAX, on random small cases
(`small_cases.py`), for several steps and for epochs of small batches. Wrong ones: every mistake of a rule, planted.
Every number comes from seeds.
"""

import argparse
import dataclasses
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import functional_mlp as fm
from benchmarks.accuracy.small_cases import small_case
from functional_mlp import oracle
from functional_mlp.experiments import positive
from functional_mlp.oracle import MISTAKES, Case, plant_update
from functional_mlp.oracle.mistakes import places, prepare
from functional_mlp.update_rules import RULES, Adam, Momentum, RMSprop, UpdateRule

RATE = 0.0625
FORMS: dict[str, UpdateRule] = {name: dataclasses.replace(rule, learning_rate=RATE) for name, rule in RULES.items()} | {
    "momentum, rate inside, decay": Momentum(RATE, weight_decay=0.0625, rate_inside=True),
    "adam with L2": Adam(RATE, weight_decay=0.0625),
    "rmsprop, centred, momentum": RMSprop(RATE, centred=True, momentum=0.5, epsilon_inside=True),
}
SCHEDULES: tuple[dict[str, int], ...] = (
    {"epochs": 1},
    {"epochs": 3},
    {"batch_size": 1},
    {"batch_size": 3, "epochs": 2},
)
PRECISIONS = ("float64", "float32", "bfloat16", "float16")
OPTIMIZERS = {
    "descent": optax.sgd(RATE),
    "momentum": optax.sgd(RATE, 0.9),
    "nesterov": optax.sgd(RATE, 0.9, nesterov=True),
    "adam": optax.adam(RATE),
    "adamw": optax.adamw(RATE, weight_decay=0.01),
    "rmsprop": optax.rmsprop(RATE, eps_in_sqrt=False),
}
MOST_SAMPLES = 5  # of the cases: an epoch has as many steps


class Right(NamedTuple):
    """A right program, as it was judged."""

    rule: str
    precision: str
    verdict: str


class Wrong(NamedTuple):
    """A wrong program, as it was judged."""

    mistake: str
    precision: str
    verdict: str
    named: bool


def case_of(seed: int, dtype: str) -> Case:
    """A random case of few samples."""
    case = small_case(seed, dtype)
    few = slice(0, MOST_SAMPLES)
    names = ("inputs", "targets", "ct_outputs", "sample_weights")
    data: Any = [None if array is None else array[few] for array in (getattr(case, name) for name in names)]
    inputs, targets, ct_outputs, weights = data
    return Case(case.network, case.loss, list(case.params), inputs, targets, ct_outputs, weights, dtype=dtype)


def judged(case: Case, after: Any, rule: UpdateRule, precision: str, schedule: dict[str, int]) -> oracle.Report:
    """The report on parameters after a training."""
    return oracle.check_update(case, list(after), rule=rule, precision=precision, **schedule)  # type: ignore[arg-type]


def right_rows(seed: int) -> Iterator[Right]:
    """Every rule in every precision, on one case."""
    for precision in PRECISIONS:
        case = case_of(seed, precision)
        for number, (name, rule) in enumerate(FORMS.items()):
            schedule = SCHEDULES[(seed + number) % len(SCHEDULES)]
            try:
                after = plant_update(case, None, rule=rule, dtype=precision, **schedule)  # type: ignore[arg-type]
                report = judged(case, after, rule, precision, schedule)
            except (ArithmeticError, ValueError):  # it leaves what float64 holds, or a batch of samples without weight
                continue
            yield Right(name, precision, report.verdict.value)


def optax_rows(seed: int) -> Iterator[Right]:
    """optax under JAX, on one case with a loss, three steps."""
    for precision in ("float64", "float32"):
        case = case_of(seed, precision)
        if case.loss is None or case.sample_weights is not None:
            return
        for name, optimizer in OPTIMIZERS.items():
            with jax.enable_x64(precision == "float64"), jax.numpy_dtype_promotion("standard"):
                report = judged(case, _by_optax(case, optimizer, precision), FORMS[name], precision, {"epochs": 3})
            yield Right(f"{name} (optax)", precision, report.verdict.value)


def _by_optax(case: Case, optimizer: Any, dtype: str) -> Any:
    loss: Any = case.loss

    def cast(array: Any) -> Any:
        return None if array is None else jnp.asarray(array, dtype)

    params: Any = tuple(fm.Dense(*map(cast, layer)) for layer in case.params)

    @jax.jit
    def step(params: Any, state: Any) -> Any:
        _, grads = fm.loss_and_grad(case.network, loss, params, cast(case.inputs), cast(case.targets))
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    state = optimizer.init(params)
    for _ in range(3):
        params, state = step(params, state)
    return [tuple(None if leaf is None else np.asarray(leaf) for leaf in layer) for layer in params]


def wrong_rows(seed: int) -> Iterator[Wrong]:
    """Every mistake of every rule, on one case, three steps."""
    for precision in ("float64", "float32"):
        case = case_of(seed, precision)
        for rule in FORMS.values():
            prepared = prepare(case, rule=rule)
            for mistake in (mistake for mistake in MISTAKES.values() if mistake.scope == "rule"):
                for _, variant in places(prepared, mistake.id):
                    schedule = {"epochs": 3}
                    try:
                        after = plant_update(case, mistake.id, rule=rule, variant=variant, dtype=precision, epochs=3)
                        report = judged(case, after, rule, precision, schedule)
                    except ArithmeticError:
                        continue
                    found = report.diagnosis
                    names = set() if found is None else {one.id for one in (*found.mistakes, *found.ties)}
                    yield Wrong(mistake.id, precision, report.verdict.value, mistake.id in names)


def page(right: list[Right], wrong: list[Wrong]) -> str:
    """The tables, as Markdown."""
    lines = ["Right updates.", "", "| rule | precision | checks | wrong | undecided |", "|---|---|---|---|---|"]
    for rule, precision in dict.fromkeys((row.rule, row.precision) for row in right):
        counts = Counter(row.verdict for row in right if (row.rule, row.precision) == (rule, precision))
        lines.append(f"| {rule} | {precision} | {counts.total()} | {counts['wrong']} | {counts['undecided']} |")
    total = Counter(row.verdict for row in right)
    lines.append(f"| all | | {total.total()} | {total['wrong']} | {total['undecided']} |")
    lines += [
        "",
        "Wrong ones, after three steps.",
        "",
        "| mistake | checks | wrong | of these named |",
        "|---|---|---|---|",
    ]
    for mistake in (*dict.fromkeys(row.mistake for row in wrong), None):
        rows = [row for row in wrong if mistake in (None, row.mistake)]
        noticed = [row for row in rows if row.verdict == "wrong"]
        named = sum(row.named for row in noticed)
        lines.append(f"| {mistake or 'all'} | {len(rows)} | {len(noticed)} | {named} |")
    return "\n".join(lines)


def main() -> int:
    """Runs the trials and prints the tables."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy.updates", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--cases", type=positive, default=24, help="random cases")
    count = parser.parse_args().cases
    right = [row for seed in range(count) for row in right_rows(seed)]
    right += [row for seed in range(-(-count // 8)) for row in optax_rows(seed)]
    wrong = [row for seed in range(-(-count // 24)) for row in wrong_rows(seed)]
    print(page(right, wrong))
    return int(any(row.verdict == "wrong" for row in right))


if __name__ == "__main__":
    sys.exit(main())
