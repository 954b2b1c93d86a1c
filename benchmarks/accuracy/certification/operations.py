"""How far from certified digits: the VJPs of `fm.operations` by hand, and jax.grad of the same definitions.

`python -m benchmarks.accuracy.certification.operations` draws cases of every operation whose VJP is written by hand,
asks both ways, compiled, in float64 and in float32, compares with reference/operations.py, and writes
docs/measured/operations.md. It exits with 1 if the hand-written one is worse anywhere (`worse` says what that means).

An error is norm-wise: |got - true| / (u |true|) of one array, u the roundoff of the format, |.| the Euclidean norm.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray

from benchmarks.markdown import table, write_page
from functional_mlp import operations
from reference.operations import certified_operation

Array = NDArray[np.float64]
Arguments = dict[str, Any]
COMMAND = "python -m benchmarks.accuracy.certification.operations"
ROWS, UNITS, HIDDEN = 6, 12, 8
FORMATS = {"float64": np.float64, "float32": np.float32}
MEDIAN_LUCK, LARGEST_LUCK = 1.5, 2.0  # how much larger an error may be by luck: the median, and the largest one
TINIEST = 0.5  # of an error: below half a unit is as good as exact


class Kind(NamedTuple):
    """A kind of rows: what is done to numbers of order 1, and which operations are asked."""

    change: Callable[[Array], Array]
    operations: tuple[str, ...]


NORMS, BLOCKS, OTHERS = ("layer_norm", "rms_norm"), ("swiglu", "geglu"), ("residual", "dropout")
KINDS: Mapping[str, Kind] = {
    "moderate": Kind(lambda x: x, (*NORMS, *BLOCKS, *OTHERS)),
    "large": Kind(lambda x: 30 * x, (*NORMS, *BLOCKS)),
    "small": Kind(lambda x: 1e-3 * x, (*NORMS, *BLOCKS)),
    "far from 0": Kind(lambda x: 100 + x, NORMS),
    "one outlier": Kind(lambda x: x + 1000 * (np.arange(x.shape[1]) == 3), NORMS),
    "squares overflow": Kind(lambda x: 1e30 * x, NORMS),
}


def drawn(operation: str, kind: Kind, rng: np.random.Generator, form: Any) -> tuple[Arguments, dict[str, float]]:
    """Arguments by name, of numbers of a format, and settings."""
    x = kind.change(rng.normal(size=(ROWS, UNITS))).astype(form)
    if operation in NORMS:
        vectors = {"weight": 1 + rng.normal(size=UNITS) / 2, "bias": rng.normal(size=UNITS)}
        chosen = vectors if operation == "layer_norm" else {"weight": vectors["weight"]}
        return {"x": x} | {name: vector.astype(form) for name, vector in chosen.items()}, {"epsilon": 2.0**-17}
    if operation in BLOCKS:
        shapes = {"gate": (UNITS, HIDDEN), "up": (UNITS, HIDDEN), "down": (HIDDEN, UNITS)}
        return {"x": x} | {
            name: (rng.normal(size=shape) / np.sqrt(shape[0])).astype(form) for name, shape in shapes.items()
        }, {}
    if operation == "residual":
        return {"x": x, "branch": rng.normal(size=x.shape).astype(form)}, {"scale": 0.5}
    return {"x": x, "mask": rng.uniform(size=x.shape) > 0.25}, {"rate": 0.25}


def by_hand(operation: str, arguments: Arguments, settings: Mapping[str, float], ct: Any) -> Arguments:
    """y and cotangents by name."""
    y, residuals = getattr(operations, f"{operation}_forward")(**arguments, **settings)
    cotangents = getattr(operations, f"{operation}_backward")(residuals, ct)
    named = cotangents._asdict() if hasattr(cotangents, "_asdict") else {"ct_x": cotangents}
    return {"y": y} | {name: array for name, array in named.items() if array is not None}


def by_autodiff(operation: str, arguments: Arguments, settings: Mapping[str, float], ct: Any) -> Arguments:
    """The same by JAX, of the definition."""
    floats = {name: array for name, array in arguments.items() if array.dtype != bool}
    y, pull = jax.vjp(lambda moving: getattr(operations, operation)(**(arguments | moving), **settings), floats)
    return {"y": y} | {f"ct_{name}": array for name, array in pull(ct)[0].items()}


WAYS: dict[str, Callable[..., Arguments]] = {"hand-written": by_hand, "autodiff": by_autodiff}
Errors = dict[tuple[str, str, str], dict[str, list[float]]]  # by operation, kind and format, then by way


def certify(cases: int, seed: int = 0, only: Sequence[str] | None = None) -> Errors:
    """The errors of every array of so many cases of each kind, operation and format."""
    errors: Errors = defaultdict(lambda: {way: [] for way in WAYS})
    for number, (kind_name, kind) in enumerate(KINDS.items()):
        for operation in kind.operations if only is None else [name for name in kind.operations if name in only]:
            for name, form in FORMATS.items():
                rng = np.random.default_rng([seed, number])
                with jax.enable_x64(True):
                    _, settings = drawn(operation, kind, rng, form)
                    programs = {
                        way: jax.jit(lambda given, ct, of=of, settings=settings: of(operation, given, settings, ct))  # noqa: B023
                        for way, of in WAYS.items()
                    }
                    for _ in range(cases):
                        arguments, _ = drawn(operation, kind, rng, form)
                        ct = rng.normal(size=(ROWS, UNITS)).astype(form)
                        true = certified_operation(operation, arguments, ct, settings)
                        for way, program in programs.items():
                            got = program(arguments, ct)
                            errors[operation, kind_name, name][way] += [
                                _error(got[result], true[result], form) for result in true
                            ]
    return dict(errors)


def _error(got: Any, true: Array, form: Any) -> float:
    off = np.linalg.norm(np.asarray(got, np.float64) - true)
    if off == 0:
        return 0.0
    size = np.linalg.norm(true)
    return float(off / (size * np.finfo(form).eps / 2)) if np.isfinite(off) and size else np.inf


def worse(errors: Errors) -> list[str]:
    """Where the hand-written way is farther off than autodiff by more than luck."""
    found = []
    for group, by_way in errors.items():
        hand, autodiff = (np.maximum(by_way[way], TINIEST) for way in WAYS)
        for what, measure, luck in (("median", np.median, MEDIAN_LUCK), ("largest", np.max, LARGEST_LUCK)):
            if not measure(hand) <= luck * measure(autodiff):
                found.append(
                    f"{', '.join(group)}: the {what} error is {measure(hand):.3g}, not {measure(autodiff):.3g}"
                )
    return found


def written(errors: Errors, command: str) -> str:
    """The page."""
    rows = []
    for (operation, kind, form), by_way in errors.items():
        hand, autodiff = (np.array(by_way[way]) for way in WAYS)
        cells = [f"`{operation}`", kind, form, str(len(hand)), _cell(hand), _cell(autodiff)]
        rows.append([*cells, f"{int((hand < autodiff).sum())} / {int((hand > autodiff).sum())}"])
    arrays = sum(len(by_way["autodiff"]) for by_way in errors.values())
    head = ("operation", "rows", "format", "arrays", "hand-written", "autodiff", "nearer / farther")
    found = worse(errors)
    verdict = "The hand-written VJP is worse than autodiff here:\n\n" + "\n".join(f"- {line}" for line in found)
    if not found:
        verdict = "The hand-written VJP is not worse than autodiff anywhere."
    return f"""# Operations

Generated by `{command}`; do not edit.
{arrays} arrays, outputs and gradients, of [`fm.operations`](../../functional_mlp/operations), computed by the VJP
[derived by hand](../reference/derivations.md#operations-of-transformer-blocks) and by `jax.grad` of the definition,
both compiled, beside the correctly rounded truth of `reference/operations.py`.

{verdict}

“Worse” is a median error of more than {MEDIAN_LUCK} times, or a largest one of more than {LARGEST_LUCK:g} times that of
autodiff.

An error is that of a whole array, relative to it, in units of the roundoff of the format: median / largest, and in
brackets how many arrays are not finite (left out of both). Rows have {UNITS} units of order 1, changed as the column
says: 1000 larger in one unit, 100 away from 0, 1e30 times as large, so that their squares overflow in float32.

{table(head, rows, texts=3)}"""


def _cell(errors: Array) -> str:
    finite = errors[np.isfinite(errors)]
    lost = f" ({len(errors) - len(finite)})" if len(finite) < len(errors) else ""
    return (f"{np.median(finite):.2f} / {finite.max():.2f}" if len(finite) else "none") + lost


def main(arguments: Sequence[str] | None = None) -> int:
    """Certifies, writes the page, prints it; 1 if the hand-written VJP is worse somewhere."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cases", type=int, default=40, help="of each kind, operation, format (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the cases (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("docs/measured/operations.md"), help="(default: %(default)s)")
    options = parser.parse_args(arguments)
    errors = certify(options.cases, options.seed)
    text = written(errors, f"{COMMAND} --cases {options.cases} --seed {options.seed}")
    write_page(text, options.out)
    print(text)
    return 1 if worse(errors) else 0


if __name__ == "__main__":
    sys.exit(main())
