"""The ten activation functions, each with its derivative from the hand-written vector-Jacobian product.

Draws every function beside its derivative (a jump where there is a kink), sets the derivative beside `jax.grad` at
chosen points, and measures both against 50-digit decimal arithmetic where sigmoid and tanh saturate. Softmax is shown
as a function of one of three logits.

    functional-mlp experiment activations --dtype float64
"""

import argparse
from collections.abc import Iterator
from decimal import Decimal, localcontext
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import functional_mlp as fm
from functional_mlp.experiments.common import option_parser, results_in

POINTS = (-10.0, -1.0, 0.0, 1.0, 10.0)
OTHER_LOGITS = (0.0, 1.0)  # softmax is shown as a function of the first of three logits; these are the others
SLOPE_DRAWN = 0.1  # of leaky relu: the usual 0.01 cannot be seen
DRAWN_RANGE = (-4.0, 4.0)
SATURATING = {"sigmoid": jax.nn.sigmoid, "tanh": jnp.tanh}  # JAX's own, for jax.grad
SATURATION = np.arange(0, 44.25, 0.25)  # where the accuracy is measured; beyond, tanh' is subnormal in float32
SHOWN_LOGITS, TEMPERATURES = (2.0, 1.0, 0.0, -1.0), (0.5, 1.0, 2.0)
SATURATION_SHOWN = (
    ("tanh", "float32", 8.0),
    ("tanh", "float32", 15.0),
    ("tanh", "float64", 15.0),
    ("sigmoid", "float32", 15.0),
    ("sigmoid", "float32", 40.0),
    ("sigmoid", "float64", 40.0),
)
FORMULAS = {
    "identity": ("a=z", "a'=1"),
    "sigmoid": (r"a=1/(1+e^{-z})", r"a'=a\,(1-a)"),
    "tanh": (r"a=\tanh z", "a'=1-a^2"),
    "relu": (r"a=\max(z, 0)", r"a'=1\ (z>0),\ 0\ (z\leq 0)"),
    "leaky_relu": (r"a=z\ (z>0),\ pz\ (z\leq 0)", r"a'=1\ (z>0),\ p\ (z\leq 0)"),
    "elu": (r"a=z\ (z>0),\ e^z-1\ (z\leq 0)", r"a'=1\ (z>0),\ e^z\ (z\leq 0)"),
    "softplus": (r"a=\ln(1+e^z)", r"a'=1/(1+e^{-z})"),
    "silu": (r"a=z\,s,\ s=1/(1+e^{-z})", r"a'=s\,(1+z(1-s))"),
    "gelu": (r"a=z\,\Phi(z)", r"a'=\Phi(z)+z\,\varphi(z)"),
    "gelu_tanh": (r"a=z\,s(2u),\ u=c\,(z+0.0447z^3)", r"a'=s(2u)\,(1+2u'z\,s(-2u))"),
    "quick_gelu": (r"a=z\,s(1.702z)", r"a'=s\,(1+1.702z(1-s))"),
    "mish": (r"a=z\tanh p,\ p=\ln(1+e^z)", r"a'=\tanh p+z\,s(z)\,(1-\tanh^2 p)"),
    "selu": (r"a=1.05z\ (z>0),\ 1.76(e^z-1)\ (z\leq 0)", r"a'=1.05\ (z>0),\ 1.76e^z\ (z\leq 0)"),
    "celu": (r"a=z\ (z>0),\ e^z-1\ (z\leq 0)", r"a'=1\ (z>0),\ e^z\ (z\leq 0)"),
    "prelu": (r"a=z\ (z>0),\ pz\ (z\leq 0)", r"a'=1\ (z>0),\ p\ (z\leq 0)"),
    "relu6": (r"a=\min(\max(z,0),6)", r"a'=1\ (0<z<6)"),
    "hardtanh": (r"a=\min(\max(z,-1),1)", r"a'=1\ (|z|<1)"),
    "hard_sigmoid": (r"a=\min(\max(z/6+1/2,0),1)", r"a'=1/6\ (|z|<3)"),
    "hard_swish": (r"a=z\,h(z)", r"a'=(2z+3)/6\ (|z|<3)"),
    "scaled_tanh": (r"a=1.7159\tanh(2z/3)", r"a'=1.1439\,(1-\tanh^2(2z/3))"),
    "softsign": (r"a=z/(1+|z|)", r"a'=1/(1+|z|)^2"),
    "sin": (r"a=\sin z", r"a'=\cos z"),
    "cos": (r"a=\cos z", r"a'=-\sin z"),
    "gaussian": (r"a=e^{-z^2}", r"a'=-2z\,e^{-z^2}"),
    "softmax": (r"a_i=e^{z_i}/\Sigma_k\,e^{z_k}", r"\partial a_i/\partial z_1=a_i(\delta_{i1}-a_1)"),
}


class Row(NamedTuple):
    """An activation at one point, the fields the columns of history.csv; `derivative` is the hand-written one."""

    activation: str
    z: Any
    value: Any
    derivative: Any
    jax_grad: Any


class Error(NamedTuple):
    """Relative errors of a derivative, of the exact value as rounded to the dtype."""

    activation: str
    dtype: str
    z: float
    exact: float
    hand_written: float
    jax_grad: float


@jax.jit
def values_and_derivatives(activation: fm.Activation, z: jax.Array) -> tuple[jax.Array, jax.Array]:
    """a and da/dz, hand-written, of points z (m,): each (m, 1), and (m, 3) for softmax, the units it mixes."""
    units = _units(activation, z)
    a = activation.value(units)
    ct = jnp.eye(a.shape[-1], dtype=a.dtype)
    by_unit = [activation.vjp(units, a, jnp.broadcast_to(row, a.shape))[:, 0] for row in ct]
    return a, jnp.stack(by_unit, axis=-1)


@jax.jit
def autodiff(activation: fm.Activation, z: jax.Array) -> jax.Array:
    """da_1/dz by `jax.grad` of the value, of points z (m,): (m,)."""
    return jax.vmap(jax.grad(lambda one: activation.value(_units(activation, one[None]))[0, 0]))(z)


def _units(activation: fm.Activation, z: jax.Array) -> jax.Array:
    others = OTHER_LOGITS if activation.name == "softmax" else ()
    return jnp.stack([z, *(jnp.full_like(z, other) for other in others)], axis=-1)


def table(dtype: Any) -> Iterator[Row]:
    """Every activation at `POINTS`."""
    z = jnp.asarray(POINTS, dtype)
    for name, factory in fm.activations.FACTORIES.items():
        a, derivative = values_and_derivatives(factory(), z)
        columns = (np.asarray(column) for column in (z, a[:, 0], derivative[:, 0], autodiff(factory(), z)))
        yield from (Row(name, *cells) for cells in zip(*columns, strict=True))


def exact_derivative(name: str, z: float) -> Decimal:
    """The derivative of sigmoid or tanh to 50 digits, in decimal arithmetic."""
    with localcontext() as context:
        context.prec = 50
        h = (-abs(Decimal(z))).exp()
        return h / (1 + h) ** 2 if name == "sigmoid" else 4 * h**2 / (1 + h**2) ** 2


def saturation_errors() -> list[Error]:
    """Errors of the hand-written derivative, and of jax.grad of JAX's own function, over `SATURATION`."""
    errors = []
    with jax.enable_x64(True):
        for name in SATURATING:
            activation = fm.activations.resolve(name)
            for dtype in ("float32", "float64"):
                z = jnp.asarray(SATURATION, dtype)
                by_autodiff = jax.vmap(jax.grad(SATURATING[name]))(z)
                both = values_and_derivatives(activation, z)[1][:, 0], by_autodiff
                for point, by_hand, by_jax in zip(SATURATION, *map(np.asarray, both), strict=True):
                    exact = exact_derivative(name, float(point))
                    relative = (float(abs(Decimal(float(got)) / exact - 1)) for got in (by_hand, by_jax))
                    errors.append(Error(name, dtype, float(point), float(exact), *relative))
    return errors


def print_tables(rows: list[Row], shown: list[Error]) -> None:
    """Prints derivatives at the points, and the errors in saturation."""
    print(f"{'activation':<12}{'z':>5}{'value':>16}{'derivative':>16}{'jax.grad':>16}")
    for row in rows:
        first = row.activation if row.z == POINTS[0] else ""
        print(f"{first:<12}{row.z:>5g}{row.value:>16.8g}{row.derivative:>16.8g}{row.jax_grad:>16.8g}")
    print("\nRelative error of the derivative in saturation")
    print(f"{'derivative of':<15}{'at z':>5}  {'dtype':<9}{'exact':>14}{'hand-written':>14}{'jax.grad':>12}")
    for e in shown:
        print(f"{e.activation:<15}{e.z:>5g}  {e.dtype:<9}{e.exact:>14.6e}{e.hand_written:>14.1e}{e.jax_grad:>12.1e}")


def draw(activation: fm.Activation, function: Any, derivative: Any, dashed: bool) -> None:
    """Draws an activation into the axes `function`, and its derivative into `derivative`; they may be the same.

    The derivative is cut in two at a kink: a filled marker shows the value that the library takes there, an open one
    the limit from the other side.
    """
    from functional_mlp.experiments.figures import BLACK, BLUE, GREEN, VERMILION

    z = np.linspace(*DRAWN_RANGE, 802).astype(np.float32)  # an even number: 0 is not among them
    a, slope = (np.asarray(array) for array in values_and_derivatives(activation, jnp.asarray(z)))
    one = a.shape[1] == 1
    colours = ((BLUE,), (VERMILION,)) if one or dashed else ((BLUE, GREEN, BLACK), (BLUE, GREEN, BLACK))
    for unit in range(len(colours[0])):  # the overview shows the first unit alone
        of_unit = "" if one else f"_{unit + 1}"
        style = "--" if dashed else ("-", "--", "-.")[unit]
        label = rf"$a{of_unit}$"
        function.plot(z, a[:, unit], "-" if dashed else style, color=colours[0][unit], label=label)
        label = r"$\mathrm{d}a/\mathrm{d}z$" if one else rf"$\partial a{of_unit}/\partial z_1$"
        middle = len(z) // 2
        for part in (slice(None, middle), slice(middle, None)):
            colour = colours[1][unit]
            derivative.plot(z[part], slope[part, unit], style, color=colour, label=label if part.stop else None)
    for kink in activation.kinks:
        if abs(kink.left - kink.right) > 1e-3 and DRAWN_RANGE[0] < kink.position < DRAWN_RANGE[1]:
            for limit in (kink.left, kink.right):
                face = VERMILION if limit == activation.derivative_at(kink) else "white"
                derivative.plot(kink.position, limit, "o", color=VERMILION, markerfacecolor=face, markersize=5)
    if not dashed:  # the scale of a derivative starts at 0
        derivative.set_ylim(min(1.1 * float(slope.min()), -0.02), 1.1 * float(slope.max()))


def draw_overview(activations: list[fm.Activation]) -> Any:
    """All functions and derivatives in one figure of small panels."""
    from functional_mlp.experiments.figures import new_figure

    figure, axes = new_figure(5, 5, (12.5, 13.0), sharex=True)
    for panel, activation in zip(axes.flat, activations, strict=True):
        draw(activation, panel, panel, dashed=True)
        note = {"leaky_relu": f", $p={SLOPE_DRAWN}$", "softmax": " ($i=1$ of 3)"}.get(activation.name, "")
        panel.set_title(f"{activation.name}{note}\n${FORMULAS[activation.name][0]}$", fontsize=10)
    for panel in axes[-1]:
        panel.set_xlabel("$z$ ($z_1$ for softmax)" if panel is axes[-1, -1] else "$z$")
    handles, _ = axes[0, 0].get_legend_handles_labels()
    figure.legend(
        handles, ["activation $a$", r"derivative $\mathrm{d}a/\mathrm{d}z$"], loc="outside upper center", ncols=2
    )
    return figure


def draw_one(activation: fm.Activation) -> Any:
    """One function beside its derivative."""
    from functional_mlp.experiments.figures import new_figure

    figure, (left, right) = new_figure(1, 2, (8.4, 3.6), sharex=True)
    draw(activation, left, right, dashed=False)
    value, derivative = FORMULAS[activation.name]
    softmax = activation.name == "softmax"
    note = f", $p={SLOPE_DRAWN}$" if activation.name == "leaky_relu" else ""
    left.set(title=f"{activation.name}{note}:  ${value}$", ylabel="$a_i$" if softmax else "$a$")
    right.set(title=f"derivative:  ${derivative}$")
    right.set_ylabel(r"$\partial a_i/\partial z_1$" if softmax else "$a'=$ d$a$/d$z$")
    for panel in (left, right):
        others = ", ".join(f"z_{i + 2}={value:g}" for i, value in enumerate(OTHER_LOGITS))
        panel.set_xlabel(f"$z_1$   (${others}$)" if softmax else "$z$")
        if softmax:
            panel.legend()
    return figure


def draw_softmax() -> Any:
    """Logits and the probabilities that softmax makes of them, at several temperatures."""
    from functional_mlp.experiments.figures import BLUE, GREEN, ORANGE, SKY, new_figure

    figure, (left, right) = new_figure(1, 2, (9.6, 3.8), width_ratios=(1, 2))
    logits, places = np.array(SHOWN_LOGITS), np.arange(len(SHOWN_LOGITS))
    left.bar(places, logits, color=SKY)
    left.axhline(0, color="0.4", linewidth=0.8)
    left.set(title="logits $z_i$", xlabel="class $i$", xticks=places)
    width = 0.8 / len(TEMPERATURES)
    for number, (temperature, colour) in enumerate(zip(TEMPERATURES, (BLUE, GREEN, ORANGE), strict=True)):
        p = np.asarray(fm.activations.softmax().value(jnp.asarray(logits / temperature, jnp.float32)))
        bars = right.bar(places + (number - 1) * width, p, width, color=colour, label=f"$T = {temperature:g}$")
        right.bar_label(bars, [f"{one:.2f}" for one in p], fontsize=7)
    right.set(
        title="probabilities $a_i = e^{z_i/T} / \\Sigma_k\\,e^{z_k/T}$", xlabel="class $i$", xticks=places, ylim=(0, 1)
    )
    right.legend(title="temperature")
    return figure


def draw_saturation(errors: list[Error]) -> Any:
    """Relative error of the hand-written derivative, and of jax.grad of JAX's own function, where they saturate."""
    from functional_mlp.experiments.figures import BLUE, VERMILION, new_figure

    figure, axes = new_figure(1, 2, (9.6, 4.2), sharey=True)
    for panel, dtype in zip(axes, ("float32", "float64"), strict=True):
        for name, colour, style in zip(SATURATING, (BLUE, VERMILION), ("-", "--"), strict=True):
            chosen = [e for e in errors if (e.activation, e.dtype) == (name, dtype)]
            z = [e.z for e in chosen]
            panel.plot(z, [e.jax_grad or np.nan for e in chosen], style, color=colour, label=f"{name}, jax.grad")
            by_hand = [e.hand_written or np.nan for e in chosen]
            marker = "o" if name == "sigmoid" else "^"
            panel.plot(z, by_hand, marker, color=colour, markersize=2.5, label=f"{name}, hand-written")
        unit = float(np.finfo(dtype).eps)
        panel.axhline(unit, color="0.4", linewidth=1, linestyle=":", label="machine epsilon")
        panel.set(title=f"saturation in {dtype}", xlabel="$z$", yscale="log", ylim=(1e-18, 100))
    axes[0].set_ylabel("relative error of the derivative")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=5, fontsize=9)
    return figure


def parser() -> argparse.ArgumentParser:
    """The command line's options."""
    return option_parser("activations", "Activation functions with their hand-derived derivatives.", dtype="float32")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Prints the tables, writes the results, and returns the summary."""
    with results_in(arguments.out, arguments, "activations") as results:
        rows, errors = list(table(arguments.dtype)), saturation_errors()
        shown = [error for error in errors if (error.activation, error.dtype, error.z) in SATURATION_SHOWN]
        print_tables(rows, shown)
        summary: dict[str, Any] = {
            "dtype": arguments.dtype,
            "derivatives": [row._asdict() for row in rows],
            "largest_difference": max(abs(float(row.derivative) - float(row.jax_grad)) for row in rows),
            "saturation": [error._asdict() for error in shown],
        }
        results.history(Row._fields, list(zip(*rows, strict=True)))
        results.history(Error._fields, list(zip(*errors, strict=True)), "saturation.csv")
        results.summary(**summary)
        if results.plots:
            drawn = {name: factory() for name, factory in fm.activations.FACTORIES.items()}
            drawn["leaky_relu"] = fm.activations.leaky_relu(SLOPE_DRAWN)
            results.figure(draw_overview(list(drawn.values())), "overview")
            for name, activation in drawn.items():
                results.figure(draw_one(activation), name)
            results.figure(draw_softmax(), "probabilities")
            results.figure(draw_saturation(errors), "saturation")
    return summary
