"""Random cases for the oracle's error rates, from ordinary to extreme, each with tags that say what is special.

`draw` makes one from a NumPy generator: depth, widths and batch over their decades, all activations and admissible
losses, scales from 1e-6 to 1e3, and the data that break checkers: sorted classes, equal samples, one-hot inputs,
constant or zero weights, numbers that put pre-activations exactly on a kink. What is moderate comes most often. Tags
are found by computing the case in float64 and comparing with the format's limits; they decide nothing here.
"""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from benchmarks.accuracy.saturation import limits, rounding_probabilities
from functional_mlp._dtypes import DTYPES
from functional_mlp.activations import FACTORIES, Activation
from functional_mlp.losses import KINDS, Loss
from functional_mlp.network import Network
from functional_mlp.oracle import Case
from reference.plain import EXACT, Answer, Array, coefficients, forward, gradients

# rows of the tables that `families` names
DEPTHS = ((1, 2), (3, 5), (6, 10))
WIDTHS = ((1, 9), (10, 99), (100, 1024))
BATCHES = ((1, 9), (10, 99), (100, 999), (1000, 4096))
# of these the first that holds
SPECIAL = ("overflow", "underflow", "kinks", "saturated", "saturated-units", "near-kinks", "extreme")
MAX_DEPTH, MAX_WIDTH, MAX_BATCH = 10, 1024, 4096
MAX_WORK = 1e7
UNIT_WORK = 30  # what an activation, or an input, costs, in multiplications
HIDDEN = (
    *("relu", "tanh", "sigmoid", "leaky_relu", "elu", "softplus", "silu", "gelu", "softmax", "identity"),
    *("gelu_tanh", "quick_gelu", "mish", "selu", "celu", "prelu", "relu6", "hardtanh", "hard_sigmoid", "hard_swish"),
    *("scaled_tanh", "softsign", "sin", "cos", "gaussian"),
)
ENDS = (  # activation of the last layer and loss, with how often; None is drawn
    ("identity", "squared_error", 3),
    (None, "squared_error", 2),
    ("sigmoid", "binary_cross_entropy", 4),
    ("softmax", "categorical_cross_entropy", 4),
    ("identity", "sigmoid_cross_entropy", 2),
    ("identity", "softmax_cross_entropy", 2),
    (None, "sigmoid_cross_entropy", 1),
    (None, "softmax_cross_entropy", 1),
    ("softmax", "binary_cross_entropy", 1),
    ("sigmoid", "categorical_cross_entropy", 1),
    (None, None, 2),
    ("identity", "absolute_error", 1),
    ("identity", "huber", 1),
    (None, "huber", 1),
    ("identity", "log_cosh", 1),
    ("identity", "hinge", 1),
    ("identity", "multiclass_hinge", 1),
    ("softmax", "kl_divergence", 1),
    ("identity", "softmax_kl_divergence", 1),
    ("identity", "sigmoid_focal", 1),
    ("identity", "softmax_focal", 1),
)
INPUTS = {"normal": 10, "image": 2, "binary": 1, "one_hot": 1, "ones": 1}
PARAMS = {"random": 14, "constant": 1, "zero_layer": 1}
SCALES = {"moderate": 13, "inputs": 3, "one_layer": 2, "everything": 2}
HALVES = 0.06  # the share of cases that are made of halves
ORDERS = {"shuffled": 1, "sorted": 1}
DUPLICATES = {"": 8, "equal": 1, "few": 1}


class Recipe(NamedTuple):
    """What programs compiled for one case depend on: draw many cases from each, whatever their precision.

    Attributes:
        network, loss: the specifications; the loss is None for a bare cotangent.
        samples: rows of the batch.
        biased: whether the layers have biases.
        weighted: whether there are sample weights.
    """

    network: Network
    loss: Loss | None
    samples: int
    biased: bool
    weighted: bool


class Drawn(NamedTuple):
    """A case and what is special about it.

    Attributes:
        case: in the dtype that the precision stores.
        tags: of `TAGS`.
    """

    case: Case
    tags: frozenset[str]


TAGS = {
    "kinks": "made of halves, or some pre-activation is exactly 0 where the activation has a kink",
    "near-kinks": "some pre-activation of an activation with a kink is within its rounding error of 0",
    "overflow": "something exceeds the format in a straightforward implementation; sums are bounded by their terms",
    "underflow": "all of some array (a gradient, a delta, the factors of the loss) is below the smallest normal number",
    "subnormal": "some entry of one of these is",
    "saturated": "some probability that the loss takes rounds to 0 or 1, or nearly so",
    "saturated-units": "most of a sigmoid, tanh or softmax layer rounds to ±1, so that its derivative is lost",
    "sorted": "samples come class by class",
    "shuffled": "samples come in random order",
    "duplicates": "samples repeat",
    "constant": "all weights are equal",
    "zero-layer": "one layer's weights are 0",
    "weighted": "there are sample weights",
    "penalised": "there is an L2 penalty",
    "extreme": "some scale is outside 0.1 to 10",
}


def _pick(rng: np.random.Generator, weights: dict[Any, int]) -> Any:
    keys = list(weights)
    share = np.array(list(weights.values()), float)
    return keys[rng.choice(len(keys), p=share / share.sum())]


def _log_integer(rng: np.random.Generator, largest: int) -> int:
    """1..largest, each decade as likely as the next."""
    return int(np.exp(rng.uniform(0, np.log(largest + 1))))


def _shape(rng: np.random.Generator, max_work: float) -> tuple[tuple[int, ...], int]:
    """Layer sizes and batch; where they cost too much, the batch, the widths or the depth shrink until they do not."""
    depth, width = int(rng.integers(1, MAX_DEPTH + 1)), _log_integer(rng, MAX_WIDTH)
    if rng.uniform() < 0.1:
        width = int(rng.choice([256, 512, MAX_WIDTH]))
    batch = _log_integer(rng, MAX_BATCH)
    hidden = [width] * (depth - 1)
    if rng.integers(2):
        hidden = [max(1, int(width * 4 ** rng.uniform(-1, 0))) for _ in hidden]
    sizes = [_log_integer(rng, MAX_WIDTH), *hidden, width if depth == 1 else min(width, _log_integer(rng, 64))]
    way = rng.choice(["batch", "widths", "depth"])
    while _work(sizes, batch) > max_work:
        if way == "batch" and batch > 1:
            batch = batch * 3 // 4
        elif way == "depth" and len(sizes) > 2:
            sizes.pop(1)
        elif max(sizes) > 1:
            sizes = [max(1, size * 3 // 4) for size in sizes]
        else:
            way = "batch" if batch > 1 else "depth"
    return tuple(sizes), batch


def _work(sizes: list[int], batch: int) -> float:
    products = sum(k * m for k, m in itertools.pairwise(sizes))
    return (batch + UNIT_WORK) * products + batch * UNIT_WORK * sum(sizes)


def _activation(rng: np.random.Generator, name: str) -> Activation:
    parameters: dict[str, float] = {}
    if name == "leaky_relu":
        parameters["slope"] = float(rng.choice([0.01, 0.1, 0.25]))
    if name in ("elu", "celu"):
        parameters["alpha"] = float(rng.choice([1.0, 0.5, 2.0]))
    if name in ("relu", "leaky_relu", "elu") and rng.uniform() < 0.2:
        parameters["at_zero"] = float(rng.choice([0.0, 0.5, 1.0]))
    return FACTORIES[name](**parameters)


def _network(rng: np.random.Generator, sizes: tuple[int, ...]) -> tuple[Network, str | None]:
    """The network, and the kind of its loss."""
    last, kind, _ = ENDS[rng.choice(len(ENDS), p=np.array([w for *_, w in ENDS]) / sum(w for *_, w in ENDS))]
    if sizes[-1] == 1 and (last, kind) == ("softmax", "binary_cross_entropy"):
        last = "sigmoid"  # softmax of one unit is 1, whose cross-entropy is infinite
    depth = len(sizes) - 1
    if rng.integers(4):
        hidden = [_activation(rng, str(rng.choice(HIDDEN)))] * (depth - 1)
    else:
        hidden = [_activation(rng, str(rng.choice(HIDDEN))) for _ in range(depth - 1)]
    return Network(sizes, [*hidden, _activation(rng, last or str(rng.choice(HIDDEN)))]), kind


def _loss(rng: np.random.Generator, kind: str, outputs: int) -> Loss:
    return Loss(
        kind,
        over_samples=str(rng.choice(["sum", "mean", "batch_mean"], p=[0.45, 0.45, 0.1])),
        over_outputs=str(rng.choice(["sum", "mean"])),
        scale=1.0 if rng.uniform() < 0.75 else float(10 ** rng.uniform(-6, 3)),
        l2=0.0 if rng.uniform() < 0.75 else float(10 ** rng.uniform(-4, 0)),
        l2_on_bias=bool(rng.integers(2)),
        l1=0.0 if rng.uniform() < 0.9 else float(10 ** rng.uniform(-4, 0)),
        **_options(rng, kind, outputs),
    )


def _options(rng: np.random.Generator, kind: str, outputs: int) -> dict[str, Any]:
    """Some of the options that a kind of loss has, each at times."""
    drawn: dict[str, Any] = {
        "delta": float(rng.choice([0.25, 0.5, 2.0])),
        "gamma": float(rng.choice([0.5, 1.0, 3.0])),
        "alpha": 0.25,
        "pos_weight": float(rng.choice([0.5, 3.0])),
        "label_smoothing": 0.1,
        "class_weights": (rng.integers(1, 9, outputs) / 4.0).tolist(),
        "epsilon": float(10 ** rng.uniform(-9, -3)),
    }
    return {name: value for name, value in drawn.items() if name in KINDS[kind].options and rng.uniform() < 0.15}


def _targets(rng: np.random.Generator, kind: str, classes: Array, outputs: int) -> Array:
    """(n, outputs): of the samples' classes, or soft."""
    shape, way, targets = (len(classes), outputs), rng.uniform(), KINDS[kind].targets
    if targets == "real":
        return rng.normal(size=shape) if way < 0.7 else np.eye(outputs)[classes % outputs]
    if targets in ("bits", "signs"):
        bits = ((classes[:, None] + np.arange(outputs)) % 2).astype(float)
        bits = 2 * bits - 1 if targets == "signs" else bits
        return bits if way < 0.7 or targets == "signs" else rng.uniform(size=shape)
    if way < 0.7 and targets == "one_hot":
        return np.eye(outputs)[classes % outputs]
    soft = rng.uniform(size=shape)  # sums to anything
    return soft / soft.sum(axis=1, keepdims=True) if way < 0.85 else soft


INPUT_DRAWS: dict[str, Callable[[np.random.Generator, Array, int], Array]] = {
    "normal": lambda rng, classes, size: (
        rng.normal(size=(len(classes), size)) + rng.normal(size=(classes.max() + 1, size))[classes]
    ),
    "image": lambda rng, classes, size: np.maximum(rng.integers(-255, 256, (len(classes), size)), 0) / 255,
    "binary": lambda rng, classes, size: rng.integers(0, 2, (len(classes), size)).astype(float),
    "one_hot": lambda rng, classes, size: np.eye(size)[rng.integers(0, size, len(classes))],
    "ones": lambda rng, classes, size: np.ones((len(classes), size)),
}


def _multipliers(rng: np.random.Generator, layers: int, room: float) -> tuple[float, list[float], bool]:
    """Factors of the inputs and of each layer's weights, at most `room`; whether one is extreme."""
    way = _pick(rng, SCALES)
    inputs, weights = float(10 ** rng.uniform(-0.5, 0.5)), [float(rng.uniform(0.7, 2))] * layers
    extreme = float(10 ** rng.uniform(-6, 3))
    if way in ("inputs", "everything"):
        inputs = extreme
    if way == "one_layer":
        weights[rng.integers(layers)] = extreme
    if way == "everything":
        gain = float(10 ** (rng.uniform(-6, 3) / layers))
        weights = [w * gain for w in weights]
    factors = [min(factor, room) for factor in (inputs, *weights)]
    return factors[0], factors[1:], not all(0.1 <= factor <= 10 for factor in factors)


def _halves(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.integers(-1, 2, shape) / 2.0


def draw_recipe(rng: np.random.Generator, *, max_work: float = MAX_WORK) -> Recipe:
    """A random recipe.

    Args:
        rng: the generator, whose state decides everything.
        max_work: multiplications of the forward pass; an activation, an input or a weight counts as `UNIT_WORK`.
    """
    sizes, samples = _shape(rng, max_work)
    network, kind = _network(rng, sizes)
    loss = None if kind is None else _loss(rng, kind, sizes[-1])
    return Recipe(
        network, loss, samples, biased=rng.uniform() > 0.15, weighted=loss is not None and rng.uniform() < 0.2
    )


def draw(
    rng: np.random.Generator,
    *,
    precision: str = "float64",
    max_work: float = MAX_WORK,
    recipe: Recipe | None = None,
) -> Drawn:
    """One random case that has an answer in float64.

    Args:
        rng: the generator, whose state decides everything.
        precision: of the implementations that will be asked; a case holds numbers of the dtype that it stores.
        max_work: of a recipe not given.
        recipe: what compiled programs depend on; drawn if not given.

    Raises:
        RuntimeError: if a hundred draws of the recipe have no finite answer.
    """
    recipe = draw_recipe(rng, max_work=max_work) if recipe is None else recipe
    dtype = {"tf32": "float32"}.get(precision, precision.partition("/")[0])
    for _ in range(100):
        case, made = _numbers(rng, recipe, dtype)
        answer = gradients(case, EXACT, fused=True)
        if all(np.isfinite(x).all() for x in (*_held(case, answer), np.array(answer.loss or 0.0))):
            return Drawn(case, frozenset(made) | tags_of(case, answer))
    raise RuntimeError(f"expected a recipe whose cases have finite answers, got {recipe}")


def _numbers(rng: np.random.Generator, recipe: Recipe, dtype: str) -> tuple[Case, set[str]]:
    """A case of the recipe, and the tags of how it was made."""
    network, loss, samples, sizes = recipe.network, recipe.loss, recipe.samples, recipe.network.sizes
    inputs_by, weights_by, extreme = _multipliers(rng, len(network.shapes), limits(dtype)[2] / 64)
    classes = rng.integers(0, max(2, sizes[-1]), samples)
    order, repeated = _pick(rng, ORDERS), _pick(rng, DUPLICATES)
    halves = rng.uniform() < HALVES
    inputs = _halves(rng, (samples, sizes[0])) if halves else INPUT_DRAWS[_pick(rng, INPUTS)](rng, classes, sizes[0])
    if repeated:
        rows = rng.integers(0, 1 if repeated == "equal" else min(samples, 3), samples)
        inputs, classes = inputs[rows], classes[rows]
    if order == "sorted":
        in_order = np.argsort(classes, kind="stable")
        inputs, classes = inputs[in_order], classes[in_order]
    manner = "halves" if halves else _pick(rng, PARAMS)
    data = {"inputs": inputs if halves else inputs * inputs_by}
    if loss is None:
        data["ct_outputs"] = rng.normal(size=(samples, sizes[-1]))
    else:
        data["targets"] = _targets(rng, loss.kind, classes, sizes[-1])
    if recipe.weighted:
        weights = rng.uniform(0.1, 2, samples) * (rng.uniform(size=samples) > 0.1)
        weights[0] = 1  # not all 0
        data["sample_weights"] = weights

    def rounded(array: Array) -> Any:
        return array.astype(DTYPES[dtype]).astype(np.float64)

    params = [(rounded(w), rounded(b) if recipe.biased else None) for w, b in _params(rng, network, manner, weights_by)]
    case = Case(network, loss, params, **{name: rounded(x) for name, x in data.items()}, dtype=dtype)
    made = {order, {"constant": "constant", "zero_layer": "zero-layer", "halves": "kinks"}.get(manner, "")}
    made |= {"duplicates" if repeated else "", "extreme" if extreme and not halves else ""}
    return case, made - {""}


def _params(rng: np.random.Generator, network: Network, manner: str, factors: list[float]) -> list[tuple[Array, Array]]:
    params = []
    zero = int(rng.integers(len(network.shapes)))
    for layer, ((fan_in, fan_out), factor) in enumerate(zip(network.shapes, factors, strict=True)):
        w, b = rng.normal(size=(fan_in, fan_out)) / np.sqrt(fan_in) * factor, rng.normal(size=fan_out) * factor / 4
        if manner == "halves":
            w, b = _halves(rng, w.shape), _halves(rng, b.shape)
        elif manner == "constant":
            w, b = np.full_like(w, 0.1), np.full_like(b, 0.1)
        elif manner == "zero_layer" and layer == zero:
            w = np.zeros_like(w)
        params.append((w, b))
    return params


@np.errstate(all="ignore")
def tags_of(case: Case, answer: Answer) -> frozenset[str]:
    """The tags that the numbers of a case and its float64 answer decide; "kinks" only for exact zeros."""
    eps, tiny, largest = limits(case.dtype)
    zs, activations, params = forward(case, EXACT)
    sizes = [
        np.abs(a) @ np.abs(w) + (0 if b is None else np.abs(b)) for a, (w, b) in zip(activations, params, strict=False)
    ]
    kinked = [
        (np.abs(z - kink.position), size)
        for z, size, activation in zip(zs, sizes, case.network.activations, strict=True)
        for kink in activation.kinks
    ]
    held = _held(case, answer)
    bounds = [*held, *sizes, *_sums(answer, activations, params), np.array(answer.loss or 0.0)]
    tags = {
        "kinks": any((z == 0).any() for z, _ in kinked),
        "near-kinks": any(((z <= 2 * eps * size) & (z > 0)).any() for z, size in kinked),
        "overflow": not all((np.abs(x) < largest).all() for x in bounds),
        "underflow": any(x.any() and np.abs(x).max() < tiny for x in held),
        "subnormal": any(((np.abs(x) < tiny) & (x != 0)).any() for x in held),
        "saturated-units": any(
            np.mean(1 - np.abs(a) < 2 * eps) > 0.5
            for a, activation in zip(activations[1:], case.network.activations, strict=True)
            if activation.name in ("sigmoid", "tanh", "softmax")
        ),
        "weighted": case.sample_weights is not None,
        "penalised": case.loss is not None and case.loss.l2 > 0,
    }
    if case.loss is not None and KINDS[case.loss.kind].of_probabilities:
        tags["saturated"] = bool(rounding_probabilities(case, activations[-1]).any())
    return frozenset(tag for tag, holds in tags.items() if holds)


def _held(case: Case, answer: Answer) -> list[Array]:
    """What a straightforward implementation holds beside the forward pass's arrays."""
    assert answer.deltas is not None
    assert answer.ct_inputs is not None
    held = [*answer.deltas, answer.ct_inputs, *(leaf for layer in answer.grads for leaf in layer if leaf is not None)]
    return held if case.loss is None else [*held, coefficients(case, np.dtype(np.float64))]


def _sums(answer: Answer, activations: list[Array], params: Any) -> list[Array]:
    """Sums of the absolute values of the terms of every gradient and cotangent: bounds of their partial sums."""
    assert answer.deltas is not None
    bounds = []
    for a, (w, _), delta in zip(activations, params, answer.deltas, strict=False):
        size = np.abs(delta)
        bounds += [np.abs(a).T @ size, size.sum(axis=0), size @ np.abs(w).T]
    return bounds


def _range(number: int, ranges: tuple[tuple[int, int], ...]) -> str:
    return next(f"{low}–{high}" for low, high in ranges if low <= number <= high)


def families(drawn: Drawn) -> dict[str, str]:
    """The row of every table that a case belongs to, by the table's name: tables of the same cases, cut differently."""
    case, network = drawn.case, drawn.case.network
    hidden = {activation.name for activation in network.activations[:-1]}
    kind = "ct_outputs" if case.loss is None else case.loss.kind
    return {
        "dtype": case.dtype,
        "hidden activation": "none" if not hidden else "mixed" if len(hidden) > 1 else hidden.pop(),
        "end": f"{network.activations[-1].name} + {kind}",
        "depth": _range(len(network.shapes), DEPTHS),
        "width": _range(max(network.sizes), WIDTHS),
        "batch": _range(len(case.inputs), BATCHES),
        "order": "sorted" if "sorted" in drawn.tags else "shuffled",
        "special": next((tag for tag in SPECIAL if tag in drawn.tags), "none"),
    }
