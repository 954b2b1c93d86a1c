"""The page of a fit: distributions, curves, regions, and a table of all settings; one file that needs nothing else."""

import base64
import io
from typing import Any

import numpy as np

from functional_mlp._dtypes import Array
from functional_mlp._extras import require_packages
from functional_mlp._markup import Markup, document, element
from functional_mlp.fitting.fit import SCORES, Fit, Tried, architecture
from functional_mlp.forward_pass import forward
from functional_mlp.tables import Quantity, Table, number_of

MOST_CURVES, MOST_BOXES = 6, 40  # settings that are drawn
GRID = 160  # points along each axis of the regions
# Okabe and Ito's palette, told apart with every common colour vision
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9", "#000000", "#F0E442")
MARKERS = ("o", "^", "s", "D", "v", "P", "X", "*")
STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --line: #d0d7de; --best: #e6f2ea; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --paper: #0d1117; --line: #30363d; --best: #12261a; }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem auto;
  max-width: 60rem; padding: 0 1rem; }
figure { margin: 1rem 0 2rem; }
figure img { max-width: 100%; height: auto; background: #fff; border-radius: 4px; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0 2rem; }
th, td { text-align: right; padding: .3rem .6rem; border-bottom: 1px solid var(--line);
  font-variant-numeric: tabular-nums; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
th button { all: unset; cursor: pointer; font-weight: bold; }
th button:focus-visible { outline: 2px solid currentColor; }
tr.best td { background: var(--best); font-weight: bold; }
"""
SORTING = """
for (const button of document.querySelectorAll("th button")) button.onclick = () => {
  const at = [...button.closest("tr").children].indexOf(button.closest("th"));
  const body = button.closest("table").tBodies[0];
  const down = button.dataset.down = button.dataset.down === "1" ? "0" : "1";
  const value = row => { const cell = row.children[at].dataset.value; return isNaN(cell) ? cell : Number(cell); };
  const order = (a, b) => (value(a) > value(b) ? 1 : value(a) < value(b) ? -1 : 0) * (down === "1" ? 1 : -1);
  body.append(...[...body.rows].sort(order));
};
"""


def page(fit: Fit, table: Table) -> str:
    """A page of HTML.

    Args:
        fit: what came of a table.
        table: that it was made of.

    Raises:
        ImportError: without matplotlib.
    """
    best, target = fit.tried[0], fit.encoding.target
    title = f"{target.name}: {fit.task}"
    figures = [_boxes(fit), _curves(fit)]
    if target.classes and len(fit.encoding.columns) == 2 and all(isinstance(c, Quantity) for c in fit.encoding.columns):
        figures.append(_regions(fit, table))
    low, middle, high = best.quantiles()
    return document(
        title,
        STYLE,
        element("h1", title),
        element(
            "p",
            f"The best of {len(fit.tried)} settings is {best.name}: median test {SCORES[fit.task]} {middle:.4g}"
            f" (10–90 %: {low:.4g} to {high:.4g}) over {best.scores.size} runs. {_split(fit)}",
        ),
        *figures,
        element("h2", "All settings"),
        element("div", _table(fit), class_="wide"),
        script=SORTING,
    )


def _split(fit: Fit) -> str:
    training, test = map(len, fit.rows)
    if fit.settings.folds > 1:
        return f"Each of {fit.settings.folds} folds was the test once; the network was then trained on all rows."
    return f"{training} rows were trained on, {test} tested; the network kept is that of the median run."


def _table(fit: Fit) -> Markup:
    names = ("hidden layers", "learning rate", "parameters", "runs", "diverged", "10 %", "median", "90 %")
    head = element("tr", *(element("th", element("button", name, type="button")) for name in names))
    return element(
        "table", element("thead", head), element("tbody", *(_row(one, one is fit.tried[0]) for one in fit.tried))
    )


def _row(one: Tried, best: bool) -> Markup:
    numbers = (one.learning_rate, one.parameters, one.scores.size, one.diverged, *one.quantiles())
    cells = [element("td", architecture(one.hidden), data_value=architecture(one.hidden))]
    cells += [element("td", f"{number:.6g}", data_value=f"{number:.9g}") for number in numbers]
    return element("tr", *cells, class_="best" if best else None)


# figures


def _figure(width: float, height: float) -> Any:
    require_packages("a fit", "matplotlib")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)
    axes.set_axisbelow(True)
    return figure, axes


def _shown(figure: Any, caption: str) -> Markup:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=144)
    source = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    return element("figure", element("img", src=source, alt=caption), element("figcaption", caption))


def _boxes(fit: Fit) -> Markup:
    drawn = fit.tried[:MOST_BOXES]
    finite = [one.scores[np.isfinite(one.scores)] for one in drawn]
    figure, axes = _figure(7.5, 1.2 + 0.32 * len(drawn))
    boxes = axes.boxplot(
        finite, orientation="horizontal", whis=(10, 90), patch_artist=True, medianprops={"color": "black"}, widths=0.6
    )
    for at, box in enumerate(boxes["boxes"]):
        box.set_facecolor(COLOURS[2] if at == 0 else COLOURS[5])
    axes.set_yticks(range(1, len(drawn) + 1), [one.name for one in drawn])
    axes.invert_yaxis()
    axes.set_xlabel(f"test {SCORES[fit.task]} at the end of a run")
    caption = "Every setting, the best first (green): boxes hold half of the runs, whiskers 80 %, dots are the others."
    return _shown(figure, caption)


def _curves(fit: Fit) -> Markup:
    figure, axes = _figure(7.5, 4.2)
    for one, colour in zip(fit.tried[:MOST_CURVES], COLOURS, strict=False):
        low, middle, high = one.curves["test"]
        axes.plot(one.epochs, middle, color=colour, label=one.name)
        axes.fill_between(one.epochs, low, high, color=colour, alpha=0.15, linewidth=0)
        axes.plot(one.epochs, one.curves["train"][1], color=colour, linestyle=":")
    axes.set(xlabel="epoch", ylabel="loss", yscale="log")
    axes.legend(frameon=False, loc="upper right")
    caption = "Loss: test (median, and the band of 80 % of the runs), and training (dotted, median)."
    if len(fit.tried) > MOST_CURVES:
        caption += f" The best {MOST_CURVES} settings."
    return _shown(figure, caption)


def _regions(fit: Fit, table: Table) -> Markup:
    columns, classes = fit.encoding.columns, fit.encoding.target.classes
    points = np.array([[number_of(cell) for cell in table.column(column.name)] for column in columns]).T
    known = np.isfinite(points).all(axis=1)
    low, high = points[known].min(axis=0), points[known].max(axis=0)
    margin = 0.05 * np.where(high > low, high - low, 1.0)
    axes_of = [np.linspace(a - m, b + m, GRID) for a, b, m in zip(low, high, margin, strict=True)]
    grid = np.stack(np.meshgrid(*axes_of), axis=-1).reshape(-1, 2)
    chosen = _scaled(fit, grid).argmax(axis=1).reshape(GRID, GRID)
    figure, axes = _figure(6.4, 4.8)
    from matplotlib.colors import ListedColormap

    colours = [COLOURS[i % len(COLOURS)] for i in range(len(classes))]
    limits = {"vmin": -0.5, "vmax": len(classes) - 0.5}
    axes.pcolormesh(*axes_of, chosen, cmap=ListedColormap(colours), alpha=0.25, shading="nearest", **limits)
    test = np.zeros(len(points), bool)
    test[fit.rows[1]] = True
    for at, name in enumerate(classes):
        of_class = np.array([cell == name for cell in table.columns[-1]]) & known & test
        style = {"color": colours[at], "marker": MARKERS[at % len(MARKERS)], "edgecolor": "white", "linewidth": 0.5}
        axes.scatter(*points[of_class].T, label=name, s=28, **style)
    axes.set(xlabel=columns[0].name, ylabel=columns[1].name)
    axes.legend(frameon=False, loc="upper right")
    return _shown(
        figure,
        "What the network says everywhere, and the test rows"
        + (" of the first fold." * (fit.settings.folds > 1) or "."),
    )


def _scaled(fit: Fit, points: Array) -> Array:
    minus, divided_by = (
        np.array([getattr(c, field) for c in fit.encoding.columns]) for field in ("minus", "divided_by")
    )
    inputs = ((points - minus) / divided_by).astype(np.asarray(fit.params[0].weights).dtype)
    return np.asarray(forward(fit.network, fit.params, inputs)[0], np.float64)
