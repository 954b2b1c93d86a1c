"""Update rules, written by hand as pure functions: what one step makes of state, parameters and gradients.

Plain descent, momentum (classical and Nesterov's), Adam, AdamW and RMSprop, each a frozen specification; `init` makes
the state, `step` takes state, parameters and gradients and returns the next state and parameters. Training uses optax;
these are what the oracle judges other people's updates by, and what `reference.update_rules` certifies.

A rule acts on every number alone, by `of_array`. Below p is a parameter, g its gradient, η the learning rate, λ the
weight decay, t the number of the step, counted from 1. A coupled decay adds λ p to g before anything else.
"""

import dataclasses
from typing import Any, ClassVar, NamedTuple, TypeVar

import jax

from functional_mlp._checks import finite_float, known_name
from functional_mlp._dtypes import namespace

Number = TypeVar("Number", bound=Any)  # arrays of NumPy or JAX, or whatever else has the operators
Slots = tuple[Any, ...]


class RuleState(NamedTuple):
    """What a rule keeps between steps.

    Attributes:
        steps: how many were taken.
        slots: of each thing that is kept, a tree like the parameters, in the order of the rule's `slots`.
    """

    steps: int
    slots: Slots


@dataclasses.dataclass(frozen=True)
class UpdateRule:
    """What all rules share.

    Attributes:
        learning_rate: η, above 0.
        weight_decay: λ, at least 0.
    """

    learning_rate: float = 0.1
    weight_decay: float = 0.0

    BELOW_ONE: ClassVar[tuple[str, ...]] = ()  # fields that must be in [0, 1)

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(field.default, bool):
                if not isinstance(value, bool):
                    raise TypeError(f"expected {field.name} to be True or False, got {value!r}")
                continue
            number = finite_float(field.name, value)
            if number < 0 or (number == 0 and field.name == "learning_rate"):
                bound = "above 0" if field.name == "learning_rate" else "at least 0"
                raise ValueError(f"expected {field.name} to be {bound}, got {number}")
            if field.name in self.BELOW_ONE and number >= 1:
                raise ValueError(f"expected {field.name} to be at least 0 and below 1, got {number}")
            object.__setattr__(self, field.name, number)

    @property
    def slots(self) -> tuple[str, ...]:
        """The names of what is kept for every parameter."""
        return ()

    def init(self, params: Any) -> RuleState:
        """The state before the first step: zeros.

        Args:
            params: a tree of arrays, of NumPy or JAX.
        """
        return RuleState(0, tuple(jax.tree.map(_zeros, params) for _ in self.slots))

    def step(self, state: RuleState, params: Any, grads: Any) -> tuple[RuleState, Any]:
        """The next state and the next parameters.

        Args:
            state: what `init` or the step before returned.
            params, grads: trees of arrays of the same structure and shapes, float.

        Returns:
            Arrays of the dtypes of `params`.

        Raises:
            ValueError: if the trees differ, or the state is another rule's.

        Example:
            >>> import numpy as np
            >>> rule = Momentum(learning_rate=0.5, momentum=0.5)
            >>> state, params = rule.step(rule.init([np.ones(1)]), [np.ones(1)], [np.ones(1)])
            >>> state, params = rule.step(state, params, [np.ones(1)])
            >>> params  # 1 - 0.5 * 1 - 0.5 * (0.5 * 1 + 1)
            [array([-0.25])]
        """
        if len(state.slots) != len(self.slots):
            expected, got = len(self.slots), len(state.slots)
            raise ValueError(f"expected a state with {expected} slots, got {got}; make it with {self}.init(params)")
        leaves, tree = jax.tree.flatten(params)
        trees = {"grads": grads} | dict(zip(self.slots, state.slots, strict=True))
        for name, other in trees.items():
            found: Any = jax.tree.structure(other)
            if found != tree:
                raise ValueError(f"expected {name} to be a tree like params, {tree}, got {found}")
        columns = [jax.tree.leaves(other) for other in trees.values()]
        number = state.steps + 1
        stepped = [
            self.of_array(number, tuple(slots), parameter, gradient)
            for parameter, gradient, *slots in zip(leaves, *columns, strict=True)
        ]
        after = [
            [array.astype(parameter.dtype) for array in (*slots, moved)]
            for (slots, moved), parameter in zip(stepped, leaves, strict=True)
        ]
        *kept, moved = (jax.tree.unflatten(tree, list(column)) for column in zip(*after, strict=True))
        return RuleState(number, tuple(kept)), moved

    def of_array(self, number: Any, slots: Slots, parameter: Number, gradient: Number) -> tuple[Slots, Number]:
        """One step for one array: the slots and the parameter after step `number`, from 1."""
        raise NotImplementedError

    @property
    def name(self) -> str:
        """As in `RULES`."""
        return next(name for name, rule in RULES.items() if type(rule) is type(self) and _alike(rule, self))


def _zeros(array: Any) -> Any:
    return namespace(array).zeros_like(array)


def _coupled(rule: Any, parameter: Number, gradient: Number) -> Number:
    """g + λ p."""
    return gradient + rule.weight_decay * parameter if rule.weight_decay else gradient


def _average(decay: Any, before: Number, now: Number) -> Number:
    """The running average β m + (1 − β) x."""
    return decay * before + (1 - decay) * now


@dataclasses.dataclass(frozen=True)
class Descent(UpdateRule):
    """Plain gradient descent with coupled decay: p ← p − η (g + λ p).

    Source: Cauchy, Méthode générale pour la résolution des systèmes d'équations simultanées, 1847.
    """

    def of_array(self, number: Any, slots: Slots, parameter: Number, gradient: Number) -> tuple[Slots, Number]:
        """See the class."""
        return (), parameter - self.learning_rate * _coupled(self, parameter, gradient)


@dataclasses.dataclass(frozen=True)
class Momentum(UpdateRule):
    """Descent with momentum μ, classical or Nesterov's, with coupled decay.

    With the rate outside (PyTorch): v ← μ v + (1 − d) g, p ← p − η v; Nesterov's: p ← p − η (g + μ v).
    With the rate inside (Sutskever): v ← μ v − η (1 − d) g, p ← p + v; Nesterov's: p ← p + μ v − η g.
    The two are the same steps as long as η stays. Nesterov's gradient is taken at the parameters that are stored, which
    are those that the momentum leads to.

    Attributes:
        momentum: μ, in [0, 1).
        dampening: d, in [0, 1): from the second step on; the first velocity is g, as in PyTorch.
        dampen_first: whether the first step is dampened too: with d = μ the velocity is then a running average.
        nesterov: whether Nesterov's form is taken.
        rate_inside: whether the velocity includes the rate.

    Sources: Polyak, Some methods of speeding up the convergence of iteration methods, 1964. Nesterov, A method for
    solving the convex programming problem with convergence rate O(1/k²), 1983. Sutskever, Martens, Dahl and Hinton, On
    the importance of initialization and momentum in deep learning, 2013, equations 1 to 4.
    """

    momentum: float = 0.9
    dampening: float = 0.0
    dampen_first: bool = False
    nesterov: bool = False
    rate_inside: bool = False

    BELOW_ONE: ClassVar[tuple[str, ...]] = ("momentum", "dampening")

    @property
    def slots(self) -> tuple[str, ...]:
        """The velocity."""
        return ("velocity",)

    def of_array(self, number: Any, slots: Slots, parameter: Number, gradient: Number) -> tuple[Slots, Number]:
        """See the class."""
        [velocity] = slots
        gradient = _coupled(self, parameter, gradient)
        dampened = self.dampening and (number > 1 or self.dampen_first)
        pushed = (1 - self.dampening) * gradient if dampened else gradient
        if self.rate_inside:
            velocity = self.momentum * velocity - self.learning_rate * pushed
            moved = self.momentum * velocity - self.learning_rate * gradient if self.nesterov else velocity
            return (velocity,), parameter + moved
        velocity = self.momentum * velocity + pushed
        moved = gradient + self.momentum * velocity if self.nesterov else velocity
        return (velocity,), parameter - self.learning_rate * moved


@dataclasses.dataclass(frozen=True)
class Adam(UpdateRule):
    """Adam, and AdamW where the decay is decoupled.

    m ← β₁ m + (1 − β₁) g, v ← β₂ v + (1 − β₂) g², m̂ = m / (1 − β₁ᵗ), v̂ = v / (1 − β₂ᵗ), p ← p − η m̂ / (√v̂ + ε).
    AdamW subtracts η λ p besides, p being the parameter before the step, and leaves g alone.

    Attributes:
        beta1, beta2: β₁ and β₂, in [0, 1).
        epsilon: ε.
        epsilon_inside: whether ε stands inside of the root: √(v̂ + ε).
        epsilon_uncorrected: whether ε is added to √v before that is corrected, √v + ε, as where η is multiplied with
            √(1 − β₂ᵗ) / (1 − β₁ᵗ) instead (the paper's ε̂, after its algorithm 1; Keras).
        bias_correction: whether m and v are divided by 1 − βᵗ.
        decoupled: whether the decay is that of AdamW.

    Sources: Kingma and Ba, Adam: a method for stochastic optimization, 2015, algorithm 1. Loshchilov and Hutter,
    Decoupled weight decay regularization, 2019, algorithm 2.
    """

    learning_rate: float = 0.001
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    epsilon_inside: bool = False
    epsilon_uncorrected: bool = False
    bias_correction: bool = True
    decoupled: bool = False

    BELOW_ONE: ClassVar[tuple[str, ...]] = ("beta1", "beta2")

    @property
    def slots(self) -> tuple[str, ...]:
        """The averages of g and of g²."""
        return ("first_moment", "second_moment")

    def of_array(self, number: Any, slots: Slots, parameter: Number, gradient: Number) -> tuple[Slots, Number]:
        """See the class."""
        first, second = slots
        if not self.decoupled:
            gradient = _coupled(self, parameter, gradient)
        first = _average(self.beta1, first, gradient)
        second = _average(self.beta2, second, gradient * gradient)
        mean, square = first, second
        epsilon = self.epsilon
        if self.bias_correction:
            mean, square = first / (1 - self.beta1**number), second / (1 - self.beta2**number)
            if self.epsilon_uncorrected:
                epsilon = epsilon / (1 - self.beta2**number) ** 0.5
        root = (square + epsilon) ** 0.5 if self.epsilon_inside else square**0.5 + epsilon
        moved = parameter - self.learning_rate * (mean / root)
        if self.decoupled and self.weight_decay:
            moved = moved - self.learning_rate * self.weight_decay * parameter
        return (first, second), moved


@dataclasses.dataclass(frozen=True)
class RMSprop(UpdateRule):
    """RMSprop, with coupled decay: s ← ρ s + (1 − ρ) g², p ← p − η g / (√s + ε).

    Centred: m ← ρ m + (1 − ρ) g, and s − m² stands for s. With momentum: v ← μ v + g / (√s + ε), p ← p − η v.

    Attributes:
        decay: ρ, in [0, 1).
        epsilon: ε.
        epsilon_inside: whether ε stands inside of the root: √(s + ε).
        centred: whether the square of the mean is subtracted.
        momentum: μ, in [0, 1).

    Sources: Tieleman and Hinton, Neural networks for machine learning, lecture 6.5, 2012. Graves, Generating sequences
    with recurrent neural networks, 2013, equations 38 to 41 (centred, with momentum, ε inside).
    """

    learning_rate: float = 0.001
    decay: float = 0.9
    epsilon: float = 1e-8
    epsilon_inside: bool = False
    centred: bool = False
    momentum: float = 0.0

    BELOW_ONE: ClassVar[tuple[str, ...]] = ("decay", "momentum")

    @property
    def slots(self) -> tuple[str, ...]:
        """The average of g², and those of the mean and the velocity where they are kept."""
        mean, velocity = ("mean",) if self.centred else (), ("velocity",) if self.momentum else ()
        return ("second_moment", *mean, *velocity)

    def of_array(self, number: Any, slots: Slots, parameter: Number, gradient: Number) -> tuple[Slots, Number]:
        """See the class."""
        gradient = _coupled(self, parameter, gradient)
        second, *rest = slots
        second = _average(self.decay, second, gradient * gradient)
        kept, square = [second], second
        if self.centred:
            mean = _average(self.decay, rest.pop(0), gradient)
            kept.append(mean)
            square = second - mean * mean
        root = (square + self.epsilon) ** 0.5 if self.epsilon_inside else square**0.5 + self.epsilon
        moved = gradient / root
        if self.momentum:
            moved = self.momentum * rest.pop(0) + moved
            kept.append(moved)
        return tuple(kept), parameter - self.learning_rate * moved


RULES: dict[str, UpdateRule] = {
    "descent": Descent(),
    "momentum": Momentum(),
    "nesterov": Momentum(nesterov=True),
    "adam": Adam(),
    "adamw": Adam(weight_decay=0.01, decoupled=True),
    "rmsprop": RMSprop(),
}


def _alike(one: UpdateRule, other: UpdateRule) -> bool:
    """Whether two specifications of one class go by the same name."""
    return all(getattr(one, field, None) == getattr(other, field, None) for field in ("nesterov", "decoupled"))


def update_rule(rule: str | UpdateRule, learning_rate: float | None = None) -> UpdateRule:
    """A specification, from itself or from a name of `RULES`, with another rate if one is given.

    Raises:
        TypeError: for what is neither.
        ValueError: for an unknown name, or a rate that is not above 0.

    Example:
        >>> update_rule("nesterov", 0.5)
        Momentum(learning_rate=0.5, weight_decay=0.0, momentum=0.9, dampening=0.0, dampen_first=False, nesterov=True, \
rate_inside=False)
    """
    if isinstance(rule, str):
        rule = RULES[known_name("update rule", OTHER_NAMES.get(rule.lower(), rule), RULES)]
    if not isinstance(rule, UpdateRule):
        raise TypeError(
            f"expected rule to be one of {', '.join(RULES)}, or a functional_mlp.update_rules specification such as"
            f" Adam(beta2=0.99), got {type(rule).__name__}"
        )
    if learning_rate is None:
        return rule
    return dataclasses.replace(rule, learning_rate=learning_rate)


OTHER_NAMES = {"sgd": "descent", "gd": "descent", "gradient_descent": "descent", "rms_prop": "rmsprop"}
