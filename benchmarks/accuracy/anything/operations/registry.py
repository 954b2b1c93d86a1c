"""One registry of operations: the reference, how its arguments are drawn, and the question that this makes.

An operation takes its floating-point arguments first and its constants (indices, masks) after them, and returns one
array. It adds no file of its own to the trial: implementations and mistakes are filed under its name.
"""

import zlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import ml_dtypes
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
SIZES = ("tiny", "small", "large")  # up to about 60, 2,000 and 100,000 entries
FIELDS = (  # modules of operations, and of mistakes in them
    *("attention", "blocks", "convolution", "elementwise", "losses"),
    *("matrices", "normalisation", "recurrent", "reductions"),
)
DTYPES: dict[str, Any] = {
    "float64": np.float64,
    "float32": np.float32,
    "bfloat16": ml_dtypes.bfloat16,
    "float16": np.float16,
}


class Setting(NamedTuple):
    """One way of drawing the arguments: `scale` and `offset` are those of the inputs, `seed` tells draws apart."""

    size: str
    dtype: str
    scale: float = 1.0
    offset: float = 0.0
    seed: int = 0


class Question(NamedTuple):
    """Arguments of an operation and a cotangent of its output, float64 numbers that the dtype can hold.

    Attributes:
        floats: the arguments that are differentiated.
        constants: integers and masks, the arguments after them.
        ct: the cotangent, of the output's shape.
    """

    floats: tuple[Array, ...]
    constants: tuple[Array, ...]
    ct: Array


class Draw:
    """What the functions that draw arguments draw from.

    Args:
        rng: where the numbers come from.
        size: one of `SIZES`.
    """

    def __init__(self, rng: np.random.Generator, size: str) -> None:
        self.rng, self.size = rng, size

    def pick(self, tiny: Any, small: Any, large: Any) -> Any:
        """The one of three dimensions (or tuples of them) that belongs to the size."""
        return {"tiny": tiny, "small": small, "large": large}[self.size]

    def normal(self, *shape: int) -> Array:
        """Standard normal numbers."""
        return self.rng.normal(size=shape)

    def weights(self, *shape: int, fan_in: int) -> Array:
        """Normal numbers of variance 1 / fan_in."""
        return self.rng.normal(size=shape) / np.sqrt(fan_in)

    def uniform(self, low: float, high: float, *shape: int) -> Array:
        """Evenly distributed numbers."""
        return self.rng.uniform(low, high, size=shape)

    def integers(self, high: int, *shape: int) -> Array:
        """Whole numbers from 0 to below `high`."""
        return self.rng.integers(high, size=shape).astype(np.int32)

    def chance(self, share: float, *shape: int) -> Array:
        """A mask that is true in about that share of its entries."""
        return self.rng.random(shape) < share


class Operation(NamedTuple):
    """A reference and its arguments.

    Attributes:
        name: the function's.
        family: the file that it stands in.
        function: of floats, then constants; differentiable by JAX.
        draw: the floats and the constants.
        scaled: which floats the setting's scale and offset apply to.
        offsets: whether an offset makes sense.
        narrow: whether frameworks have it in 16 bits.
    """

    name: str
    family: str
    function: Callable[..., Any]
    draw: Callable[[Draw], tuple[Sequence[Array], Sequence[Array]]]
    scaled: tuple[int, ...] = (0,)
    offsets: bool = True
    narrow: bool = True

    @property
    def dtypes(self) -> tuple[str, ...]:
        """The dtypes that it is asked in."""
        return tuple(DTYPES)[: None if self.narrow else 2]

    def question(self, setting: Setting) -> Question:
        """The arguments and the cotangent of a setting, the same each time."""
        rng = np.random.default_rng([setting.seed, zlib.crc32(f"{self.name} {setting.size}".encode())])
        floats, constants = self.draw(Draw(rng, setting.size))
        moved = [
            setting.scale * x + setting.offset if i in self.scaled else np.asarray(x) for i, x in enumerate(floats)
        ]
        with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
            shape = jax.eval_shape(self.function, *(x.astype(np.float32) for x in moved), *constants).shape
        # a scalar's cotangent is no 1, and not near 0
        ct = rng.normal(size=shape) if shape else rng.choice([-1, 1]) * rng.uniform(0.5, 2.0)
        return Question(
            tuple(rounded(x, setting.dtype) for x in moved), tuple(constants), rounded(np.asarray(ct), setting.dtype)
        )


OPERATIONS: dict[str, Operation] = {}


def rounded(x: Array, dtype: str) -> Array:
    """The nearest numbers that a dtype holds, as float64."""
    with np.errstate(over="ignore"):
        return np.asarray(x).astype(DTYPES[dtype]).astype(np.float64)


def operation(
    draw: Callable[[Draw], tuple[Sequence[Array], Sequence[Array]]],
    *,
    scaled: tuple[int, ...] = (0,),
    offsets: bool = True,
    narrow: bool = True,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Registers a function under its name, with how its arguments are drawn."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        name, family = function.__name__, function.__module__.rpartition(".")[2]
        if name in OPERATIONS:
            raise ValueError(f"expected a name of its own for each operation, got {name!r} twice")
        OPERATIONS[name] = Operation(name, family, function, draw, scaled, offsets, narrow)
        return function

    return register
