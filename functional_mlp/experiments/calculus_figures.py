"""The figures of `experiments.calculus`: limits, rules, the chain rule, networks, and what depth does to gradients."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import functional_mlp as fm
from functional_mlp.backward_pass import pull_back
from functional_mlp.experiments.figures import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    VERMILION,
    network_sketch,
    new_figure,
)
from functional_mlp.experiments.worked import AFFINE_POINT, RULES, two_paths, two_paths_derivative

AT = 1.0  # where e^x is differentiated by differences: there value, slope and curvature are e
SECANTS = (1.0, 0.5, 0.1)
STEPS = 2.0 ** -np.arange(0, 50.5, 0.5)
DEPTH, WIDTH, SAMPLES, SEEDS = 20, 64, 32, 10

GLOROT, HE = (1 / WIDTH) ** 0.5, (2 / WIDTH) ** 0.5  # standard deviations; of as many inputs as outputs
DEEP = (  # activation, deviation of the weights and its name, colour, style
    ("sigmoid", 0.1, "0.1·randn", VERMILION, "--"),
    ("sigmoid", GLOROT, "Glorot", ORANGE, "-."),
    ("tanh", GLOROT, "Glorot", GREEN, ":"),
    ("relu", 0.1, "0.1·randn", PURPLE, "--"),
    ("relu", HE, "He", BLUE, "-"),
)


def differences(steps: np.ndarray, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
    """Errors of (f(x + h) − f(x))/h and of (f(x + h) − f(x − h))/(2h), f(x) = e^x at `AT`, computed in a dtype."""
    x, h, exact = np.asarray(AT, dtype), steps.astype(dtype), np.exp(AT)
    forward, central = (np.exp(x + h) - np.exp(x)) / h, (np.exp(x + h) - np.exp(x - h)) / (2 * h)
    return np.abs(forward.astype(float) - exact), np.abs(central.astype(float) - exact)


def draw_limit() -> Any:
    """Secants that become the tangent, and the two errors of a difference quotient: truncation and rounding."""
    figure, (left, right) = new_figure(1, 2, (11.0, 4.8))
    x, value = np.linspace(0, 2.2, 200), np.exp(AT)
    left.plot(x, np.exp(x), color=BLACK, label=r"$f(x) = e^x$")
    for h, colour in zip(SECANTS, (ORANGE, GREEN, BLUE), strict=True):
        slope = (np.exp(AT + h) - value) / h
        left.plot(x, value + slope * (x - AT), color=colour, label=f"secant, $h = {h:g}$: slope {slope:.3f}")
        left.plot(AT + h, np.exp(AT + h), "o", color=colour, markersize=4)
    left.plot(x, value + value * (x - AT), "--", color=VERMILION, label=f"tangent: slope {value:.3f}")
    left.plot(AT, value, "o", color=BLACK, markersize=5)
    left.set(title="The limit: secants become the tangent", xlabel="$x$", ylabel="$f(x)$", ylim=(-0.5, 9))
    left.legend(loc="upper left")

    for dtype, colour, marker in (("float32", VERMILION, "^"), ("float64", BLUE, "o")):
        for errors, name, face in zip(
            differences(STEPS, dtype), ("forward", "central"), ("white", colour), strict=True
        ):
            shown = {"color": colour, "markersize": 3.5, "markerfacecolor": face, "label": f"{name}, {dtype}"}
            right.plot(STEPS, np.where(errors > 0, errors, np.nan), marker, **shown)
        right.plot(STEPS, np.finfo(dtype).eps * value / STEPS, ":", color=colour, linewidth=1)
    right.plot(STEPS, value * STEPS / 2, color="0.4", linewidth=1, label="truncation, of orders $h$ and $h^2$")
    right.plot(STEPS, value * STEPS**2 / 6, color="0.4", linewidth=1)
    right.plot([], [], ":", color="0.4", label=r"rounding, $\varepsilon\,|f|/h$")
    right.set(xscale="log", yscale="log", ylim=(1e-13, 1e3), xlabel="step $h$", ylabel="error of the quotient")
    right.set_title("The two errors of a difference quotient")
    right.legend(loc="upper center", fontsize=8, ncols=2)
    return figure


def delta_norms(activation: str, deviation: float, seeds: int = SEEDS) -> np.ndarray:
    """‖ct_z‖ of every layer of a deep network, for a random cotangent of its outputs: (seeds, layers).

    Args:
        activation: of all layers.
        deviation: the standard deviation of the weights; biases are 0.
        seeds: how many initial values, with inputs and cotangents of their own.
    """
    network, rng = fm.Network((WIDTH,) * (DEPTH + 1), activation), np.random.default_rng(0)
    weights = (deviation * rng.normal(size=(DEPTH, seeds, WIDTH, WIDTH))).astype("float32")
    params = tuple(fm.Dense(jnp.asarray(layer), jnp.zeros((seeds, WIDTH))) for layer in weights)
    data = rng.normal(size=(2, seeds, SAMPLES, WIDTH)).astype("float32")

    @jax.jit
    @jax.vmap
    def norms(params: fm.Params, inputs: jax.Array, ct: jax.Array) -> jax.Array:
        _, tape = fm.forward(network, params, inputs)
        return jnp.stack([jnp.linalg.norm(delta) for delta in pull_back(network, params, tape, ct).deltas])

    return np.asarray(norms(params, *data), np.float64)


def draw_vanishing() -> Any:
    """How large δ = ct_z is in every layer of a deep network, relative to that of the output layer."""
    figure, axes = new_figure(size=(7.2, 4.8))
    layers = np.arange(1, DEPTH + 1)
    for activation, deviation, name, colour, style in DEEP:
        norms = delta_norms(activation, deviation)
        ratios = norms / norms[:, -1:]
        axes.plot(layers, np.median(ratios, axis=0), style, color=colour, label=f"{activation}, {name}")
        axes.fill_between(layers, ratios.min(axis=0), ratios.max(axis=0), color=colour, alpha=0.15, linewidth=0)
    axes.set(yscale="log", xlabel="layer, the outputs on the right", ylabel=r"$\|\delta_l\|\,/\,\|\delta_L\|$")
    axes.set_title(
        f"Gradients through depth: {DEPTH} layers of {WIDTH} units\n"
        f"(median and range of {SEEDS} initial values, a random cotangent of the outputs)"
    )
    axes.set_xticks(layers[1::2])
    axes.legend(loc="lower right")
    return figure


def draw_rules() -> Any:
    """The derivative rules: each function with its tangents at the points of the table, and its derivative."""
    figure, axes = new_figure(4, 3, (9.6, 11.2))
    x = np.linspace(0.2, 2.6, 200)
    for panel, rule in zip(axes.flat, RULES, strict=True):
        slope = rule.derivatives[0]
        y = np.asarray(rule.function(jnp.asarray(x)))
        panel.plot(x, y, color=BLUE, label="$f(x)$")
        panel.plot(x, slope.hand(x), color=VERMILION, linestyle="--", label="$f'(x)$")
        for point in rule.points:
            at = point["x"]
            value, tangent = float(rule.function(jnp.float32(at))), float(slope.hand(np.float64(at)))
            near = np.array([max(at - 0.45, 0.2), at + 0.45])
            label = "tangent" if point is rule.points[0] else None
            panel.plot(near, value + tangent * (near - at), color=GREEN, linewidth=2.5, alpha=0.7, label=label)
            panel.plot(at, value, "o", color=GREEN, markersize=5)
        panel.set(title=f"{rule.name}: $f(x) = {_math(rule.formula)}$\n$f'(x) = {_math(slope.formula)}$", xlabel="$x$")
        low, high = min(y.min(), slope.hand(x).min()), max(y.max(), slope.hand(x).max())
        margin = 0.08 * (high - low)
        panel.set_ylim(low - margin, high + margin)
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3)
    return figure


def _math(formula: str) -> str:
    replaced = {
        "ln ": r"\ln ",
        "ln(": r"\ln(",
        "log": r"\log",
        "tanh": r"\tanh",
        "σ": r"\sigma",
        "²": "^2",
        "³": "^3",
        "·": r"\,",
        "−": "-",
    }
    for old, new in replaced.items():
        formula = formula.replace(old, new)
    return formula


def draw_networks() -> Any:
    """The chapter's networks of sigmoid units: a neuron, a layer, and one with hidden layers."""
    figure, row = new_figure(1, 3, (11.0, 3.8), width_ratios=(1, 1, 2))
    for axes, sizes, title in zip(
        row, ((3, 1), (3, 2), (3, 4, 2, 2)), ("a neuron", "a dense layer", "two hidden layers"), strict=True
    ):
        network_sketch(axes, sizes)
        axes.set_title(title)
    return figure


def draw_chain_rule() -> Any:
    """The chain rule of two variables with its tangent, and the two affine maps as a computational graph."""
    figure, (left, right) = new_figure(1, 2, (9.6, 4.2), width_ratios=(1, 1.35))
    t = np.linspace(-0.5, 1.3, 200)
    left.plot(t, np.asarray(two_paths(jnp.asarray(t))), color=BLUE, label=r"$z = (2t+1)^2 + e^{t^2}$")
    for at, colour in ((0.5, GREEN), (1.0, ORANGE)):
        value, slope = float(two_paths(jnp.float32(at))), float(two_paths_derivative(np.float64(at)))
        near = at + np.array([-0.3, 0.3])
        label = f"tangent at $t = {at:g}$, slope {slope:.3f}"
        left.plot(near, value + slope * (near - at), color=colour, linewidth=2.5, alpha=0.8, label=label)
        left.plot(at, value, "o", color=colour, markersize=5)
    left.set(title="A function of $t$ by two paths", xlabel="$t$", ylabel="$z$")
    left.legend(loc="upper left")

    x, w1, b1, w2, b2 = AFFINE_POINT.values()
    y1 = x * w1 + b1
    places = {"x": (0, 1, x), "w_1": (0, 0, w1), "b_1": (0, -1, b1), "y_1": (1.2, 0, y1)}
    places |= {"w_2": (1.2, -1, w2), "b_2": (1.2, 1, b2), "y_2": (2.4, 0, y1 * w2 + b2)}
    edges = {("x", "y_1"): w1, ("w_1", "y_1"): x, ("b_1", "y_1"): 1.0}
    edges |= {("y_1", "y_2"): w2, ("w_2", "y_2"): y1, ("b_2", "y_2"): 1.0}
    on_path = {("w_1", "y_1"), ("y_1", "y_2")}
    for (start, end), slope in edges.items():
        (x0, y0, _), (x1, y1_, _) = places[start], places[end]
        colour = VERMILION if (start, end) in on_path else "0.55"
        arrow = {"arrowstyle": "-|>", "color": colour, "linewidth": 1.8, "shrinkA": 21, "shrinkB": 21}
        right.annotate("", (x1, y1_), (x0, y0), arrowprops=arrow)
        place = (0.55 * x0 + 0.45 * x1, 0.55 * y0 + 0.45 * y1_)
        box = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
        right.text(*place, f"{slope:g}", color=colour, ha="center", va="center", bbox=box, fontsize=11)
    for name, (x0, y0, value) in places.items():
        right.scatter(x0, y0, s=1500, c="white", edgecolors=BLUE, linewidths=1.5, zorder=2)
        right.text(x0, y0, f"${name}$\n{value:g}", ha="center", va="center", zorder=3)
    path = (
        rf"$\partial y_2/\partial w_1 = \partial y_2/\partial y_1 \cdot \partial y_1/\partial w_1 = {w2:g} \cdot {x:g}"
    )
    right.text(1.2, -1.62, rf"{path} = {w2 * x:.1f}$", color=VERMILION, ha="center", va="center")
    right.set_axis_off()
    right.set(
        title="Two affine maps: $y_1 = x w_1 + b_1$,  $y_2 = y_1 w_2 + b_2$\n"
        "(values in the nodes, derivatives on the arrows)",
        xlim=(-0.35, 2.75),
        ylim=(-1.8, 1.4),
    )
    return figure
