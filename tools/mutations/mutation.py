"""A mistake as a change of source text: of reference/plain.py and of one step of gradient descent.

`program_of` makes the program of a mutation: the text with its fragments replaced, run as a module of its own. It makes
its mistake in every case that it meets, where shapes allow it, and is right elsewhere, as a program on somebody's disk
would be. It remembers its earlier calls if the mistake is one of memory.

Refused: a fragment that does not occur exactly once, so that no mutation silently becomes another one when the
reference changes.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

from reference import plain
from reference._problem import Array, checked
from reference.plain import Case, Solution

Steps = tuple[tuple[Array, Array | None], ...]

# lines of reference/plain.py that several mutations change; those behind the first are of its loop over the layers
FIRST = "units, params, loss = problem.units, problem.params, problem.loss"
DECAY = "decay = 0.0 if loss is None else _float(loss.l2)"
BIAS_DECAY = "bias_decay = decay if loss is not None and loss.l2_on_bias else 0.0"
BACK = "for layer in reversed(range(len(params))):"
RESIDUALS = "a_prev, z, a = activations[layer], pre_activations[layer], activations[layer + 1]"
THROUGH = "ct_z = ct if fused and is_last else _through_activation(unit, z, a, ct)"
WEIGHTS = "ct_w = a_prev.T @ ct_z"
BIAS = "ct_b = ct_z.sum(axis=0)"
GRADS = "grads.append((ct_w + decay * w, None if b is None else ct_b + bias_decay * b))"
PREVIOUS = "ct = ct_z @ w.T"
RETURN = "return Solution(value, outputs, tuple(deltas[::-1]), tuple(grads[::-1]), ct)"
PRODUCT = "return ct_a * derivative"  # of `_through_activation`
TERMS = "terms, derivatives = _terms(loss.kind, outputs, problem.given)"
COTANGENT = "return value, factors * derivatives, fused"
SOLVE = "def solve(case: Case) -> Solution:"


class Patch(NamedTuple):
    """A fragment of the source, and what takes its place; further lines are indented as the one where it begins."""

    old: str
    new: str


class Mutation(NamedTuple):
    """A mistake of the catalogue in the reference.

    Attributes:
        mistake: its id.
        variant: of it, or "".
        patches: what changes; none where the reference makes the mistake itself.
        reason: why no vector can catch it; "" if one can.
    """

    mistake: str
    variant: str
    patches: tuple[Patch, ...]
    reason: str = ""

    @property
    def name(self) -> str:
        """The id, and the variant if there is one."""
        return f"{self.mistake}, {self.variant}" if self.variant else self.mistake


class Program(NamedTuple):
    """What a mutation computes.

    Attributes:
        solve: as reference.plain.solve.
        step: as `step`.
    """

    solve: Callable[[Case], Solution]
    step: Callable[[Case, Solution, float], Steps]


def step(case: Case, solution: Solution, learning_rate: float) -> Steps:
    """The parameters (weights, bias or None) per layer after one step of gradient descent."""
    after: list[tuple[Array, Array | None]] = []
    for (w, b), (ct_w, ct_b) in zip(checked(case).params, solution.grads, strict=True):
        new_w = w - learning_rate * ct_w
        new_b = None if b is None or ct_b is None else b - learning_rate * ct_b
        after.append((new_w, new_b))
    return tuple(after)


@lru_cache
def source() -> str:
    """What is mutated: reference/plain.py, and `step` behind it."""
    return f"{inspect.getsource(plain)}\n\n{inspect.getsource(step)}"


def patched(text: str, patches: Sequence[Patch]) -> str:
    """`text` with every fragment replaced.

    Raises:
        ValueError: for a fragment that does not occur exactly once.
    """
    for old, new in patches:
        if (count := text.count(old)) != 1:
            raise ValueError(f"expected exactly one occurrence of {old!r} in the reference, got {count}")
        start = text.index(old)
        line = text[text.rfind("\n", 0, start) + 1 : start]
        indent = line[: len(line) - len(line.lstrip())]
        text = text.replace(old, new.replace("\n", f"\n{indent}"))
    return text


def program_of(mutation: Mutation) -> Program:
    """The program that makes the mistake; a new one each time, with nothing to remember.

    Raises:
        ValueError: for a fragment that does not occur exactly once.
    """
    module = types.ModuleType(f"mutated {mutation.name}")
    exec(compile(patched(source(), mutation.patches), f"<{mutation.name}>", "exec"), module.__dict__)
    return Program(module.solve, module.step)


def before(line: str, new: str) -> Patch:
    """Lines put before one of the reference."""
    return Patch(line, f"{new}\n{line}")


def behind(line: str, new: str) -> Patch:
    """Lines put behind one of the reference."""
    return Patch(line, f"{line}\n{new}")


def defined(code: str) -> Patch:
    """Functions or variables of the module."""
    return Patch(SOLVE, f"{code.strip()}\n\n\n{SOLVE}")


def through(ct_z: str, preparation: str = "") -> Patch:
    """Another ct_z than the right one, where the output layer is not fused with the loss."""
    return Patch(THROUGH, f"{preparation}ct_z = ct if fused and is_last else {ct_z}")


def returned(gradient: str, where: str = "True") -> Patch:
    """Another gradient than g in the end, the penalty included, for both arrays of a layer `where` it is so."""
    return behind(GRADS, f"if {where}:\n    grads[-1] = tuple(None if g is None else {gradient} for g in grads[-1])")


def cotangent_of(loss: str) -> Patch:
    """The cotangent at the outputs with the coefficients of another loss than `loss`."""
    return Patch(COTANGENT, f"return value, coefficients(problem, {loss}) * derivatives, fused")
