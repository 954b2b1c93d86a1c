"""What an activation is: a value with its VJP, its parameters and its kinks.

`Activation` refuses nothing about the functions it is given but that they are functions; `Activation.of` tries one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from functional_mlp._checks import floating_array
from functional_mlp._dtypes import working_dtype


class Kink(NamedTuple):
    """A place where the derivative of an activation jumps.

    Attributes:
        position: the pre-activation z at which it lies.
        left, right: the derivative on either side.
        parameter: the name of the parameter that says which derivative is taken there.
    """

    position: float
    left: float
    right: float
    parameter: str


@dataclass(frozen=True)
class Mapped:
    """A function of one number, mapped over the units of a layer; equal to another one of the same function."""

    fn: Callable[[Any], Any]

    def __call__(self, z: Array) -> Array:
        """The values, of the shape of z."""
        return jnp.vectorize(self.fn)(z)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class MappedVjp:
    """The VJP of such a function, by JAX's derivative."""

    mapped: Mapped

    def __call__(self, z: Array, a: Array, ct_a: Array) -> Array:
        """The cotangent of z."""
        return jax.vjp(self.mapped, z)[1](ct_a)[0]  # type: ignore[no-any-return]


@jax.tree_util.register_static
@dataclass(frozen=True)
class Activation:
    """An activation function with its VJP: a frozen value, equal to another one with equal fields.

    Made by the factories (`sigmoid()`, `leaky_relu(0.02)`), by `Activation.of` from a function of your own, or directly
    from two: `Activation("cube", lambda z: z**3, lambda z, a, ct_a: 3 * z**2 * ct_a)`. Registered static, so it passes
    through `jit`, `vmap` and `custom_vjp` as part of the tree structure. Define your functions once: another lambda
    with the same text is another function, and compiles again.

    Attributes:
        name: the name it is known by in files and messages.
        value_fn: maps pre-activations z (..., fan_out), and the parameters by name, to activations a of the same shape.
        vjp_fn: maps z, a, ct_a and the parameters to ct_z, all of one shape.
        parameters: (name, value) pairs, or a mapping, handed to both functions as keyword arguments.
        probabilities: whether the outputs are probabilities, so that losses of probabilities may follow.
        kinks: where its derivative jumps; () for smooth ones, and for your own, of which nobody knows.
        second_fn: maps z, a, ct_a, the tangent of z and the parameters to ct_a f''(z) t_z, the tangent of ct_z where
            ct_a stays, all of one shape; None: by JAX's derivative of `vjp_fn`.
    """

    name: str
    value_fn: Callable[..., Any] = field(repr=False)
    vjp_fn: Callable[..., Any] = field(repr=False)
    parameters: tuple[tuple[str, float], ...] = ()
    probabilities: bool = False
    kinks: tuple[Kink, ...] = field(default=(), repr=False)
    second_fn: Callable[..., Any] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not callable(self.value_fn) or not callable(self.vjp_fn):
            raise TypeError(f"expected two functions for activation {self.name!r}: its value and its VJP")
        pairs = self.parameters.items() if isinstance(self.parameters, Mapping) else self.parameters
        object.__setattr__(self, "parameters", tuple((str(name), value) for name, value in pairs))

    @classmethod
    def of(
        cls, fn: Callable[[Any], Any], vjp: Callable[[Any, Any, Any], Any] | None = None, name: str | None = None
    ) -> "Activation":
        """An activation of your own: any function of one number that JAX can trace.

        Args:
            fn: maps one pre-activation z, a float of shape (), to a, likewise; it is mapped over the units. Define it
                once, as another function with the same text is another activation.
            vjp: maps arrays z, a, ct_a to ct_z, all of one shape; None: by JAX's derivative of `fn`.
            name: what messages call it; None: the name of `fn`.

        Raises:
            TypeError: if `fn` is no function, JAX cannot trace it, or it gives something else than one real number.

        Example:
            >>> import jax.numpy as jnp
            >>> cube = Activation.of(lambda z: z**3, name="cube")
            >>> cube.vjp(jnp.ones(1) * 2, jnp.ones(1) * 8, jnp.ones(1)).tolist()
            [12.0]
        """
        if not callable(fn) or isinstance(fn, cls):
            raise TypeError(f"expected a function of one number z, got {fn!r}; as in Activation.of(lambda z: z**3)")
        called = str(name or getattr(fn, "__name__", type(fn).__name__))
        number = jax.ShapeDtypeStruct((), np.float32)
        try:
            result = jax.eval_shape(fn, number)
        except Exception as error:  # whatever a stranger's function raises
            raise TypeError(
                f"expected activation {called!r} to be a function of one number that JAX can trace (jax.numpy, no if on"
                f" z, nothing of a whole layer), got {type(error).__name__}: {str(error).splitlines()[0][:200]}"
            ) from error
        if getattr(result, "shape", None) != () or not jnp.issubdtype(result.dtype, jnp.floating):
            raise TypeError(f"expected activation {called!r} to give one real number for one number, got {result}")
        mapped = Mapped(fn)
        return cls("own" if called == "<lambda>" else called, mapped, MappedVjp(mapped) if vjp is None else vjp)

    def derivative_at(self, kink: Kink) -> float:
        """The derivative that is taken exactly at a kink: what its parameter says."""
        return float(dict(self.parameters)[kink.parameter])

    def value(self, z: Array) -> Array:
        """Activations a = f(z), shape and dtype of z.

        Raises:
            TypeError: if z does not hold floats.
        """
        z = floating_array("pre-activations", z)
        work = working_dtype(z.dtype)
        return self.value_fn(z.astype(work), **dict(self.parameters)).astype(z.dtype)

    def vjp(self, z: Array, a: Array, ct_a: Array) -> Array:
        """The cotangent ct_z, shape and dtype of z.

        Args:
            z: pre-activations.
            a: activations, `self.value(z)`.
            ct_a: cotangent of the activations, shape of z.

        Raises:
            TypeError: if one of them does not hold floats.
            ValueError: if their shapes differ.
        """
        z, a, ct_a = (floating_array(*pair) for pair in (("pre-activations", z), ("activations", a), ("ct_a", ct_a)))
        if not z.shape == a.shape == ct_a.shape:
            raise ValueError(f"expected z, a and ct_a of one shape, got {z.shape}, {a.shape} and {ct_a.shape}")
        work = working_dtype(z.dtype)
        return self.vjp_fn(z.astype(work), a.astype(work), ct_a.astype(work), **dict(self.parameters)).astype(z.dtype)

    def second(self, z: Array, a: Array, ct_a: Array, tangent_z: Array) -> Array:
        """How ct_z moves with z where ct_a stays, shape and dtype of z: ct_a f''(z) tangent_z where f is elementwise.

        Args:
            z, a, ct_a: as in `vjp`.
            tangent_z: of the pre-activations, shape of z.

        Raises:
            TypeError: if one of them does not hold floats.
            ValueError: if their shapes differ.
        """
        named = (("pre-activations", z), ("activations", a), ("ct_a", ct_a), ("tangent_z", tangent_z))
        given = [floating_array(*pair) for pair in named]
        shapes = [array.shape for array in given]
        if len(set(shapes)) > 1:
            raise ValueError(f"expected z, a, ct_a and tangent_z of one shape, got {', '.join(map(str, shapes))}")
        if self.second_fn is None:
            z, _, ct_a, tangent_z = given
            pulled = jax.jvp(lambda moved: self.vjp(moved, self.value(moved), ct_a), (z,), (tangent_z,))
            return pulled[1]
        work = working_dtype(given[0].dtype)
        computed = self.second_fn(*(array.astype(work) for array in given), **dict(self.parameters))
        return computed.astype(given[0].dtype)  # type: ignore[no-any-return]
