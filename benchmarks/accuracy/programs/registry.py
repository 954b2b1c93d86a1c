"""What is known of a program of the corpus: its style, what it computes, how it is asked, and mistakes to plant in it.

A program is made by a function without arguments, which holds all of its code and returns what the question needs
(`asking.py`). A mistake is planted in its source: one place is written otherwise, and the function is compiled anew.
So a wrong program is as it would have been written, and differs from the right one by the mistake alone.
"""

import inspect
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import functional_mlp as fm

Make = Callable[[], Any]


class Planted(NamedTuple):
    """A mistake: what is done wrong, the text of the right program that occurs once, and what is written instead."""

    what: str
    right: str
    wrong: str


@dataclass(frozen=True)
class Program:
    """A correct program.

    Attributes:
        make: makes the program; its docstring names the style.
        networks: what it is asked for, each with every seed.
        loss: which it differentiates.
        way: a key of `asking.WAYS`: how it is asked.
        declared: the keywords of the question that say something about the program, one at most.
        planted: mistakes.
    """

    make: Make
    networks: tuple[fm.Network, ...]
    loss: fm.Loss
    way: str
    declared: Mapping[str, Any]
    planted: tuple[Planted, ...]

    @property
    def name(self) -> str:
        """That of the function."""
        return self.make.__name__

    @property
    def style(self) -> str:
        """The first sentence of the docstring, without its full stop."""
        return " ".join((self.make.__doc__ or "").split("\n\n")[0].split()).rstrip(".")


def program(
    sizes: Sequence[Sequence[int]],
    activations: str | Sequence[Any],
    loss: fm.Loss,
    planted: Sequence[tuple[str, str, str]],
    way: str = "check_function",
    **declared: Any,
) -> Callable[[Make], Program]:
    """Makes a program of the corpus of the function that follows.

    Args:
        sizes: of the networks that it is asked for.
        activations: of each of these; one name alone for all layers.
        loss: which it differentiates.
        planted: mistakes, as `Planted`.
        way: how it is asked.
        **declared: what is declared about it.
    """
    networks = tuple(fm.Network(tuple(each), activations) for each in sizes)

    def made(make: Make) -> Program:
        return Program(make, networks, loss, way, declared, tuple(Planted(*each) for each in planted))

    return made


def with_mistake(of: Program, planted: Planted) -> Make:
    """The function that makes a program with a mistake.

    Raises:
        ValueError: unless the right text occurs exactly once.
    """
    text = textwrap.dedent(inspect.getsource(of.make))
    text = text[text.index(f"def {of.name}(") :]  # without its decorator, which holds the mistakes
    head, docstring, body = text.split('"""', 2)
    if body.count(planted.right) != 1:
        raise ValueError(f"expected {planted.right!r} once in {of.name}, got it {body.count(planted.right)} times")
    text = '"""'.join((head, docstring, body.replace(planted.right, planted.wrong)))
    code = compile(text, f"<{of.name}, {planted.what}>", "exec")
    names: dict[str, Any] = dict(of.make.__globals__)
    exec(code, names)
    make: Make = names[of.name]
    return make
