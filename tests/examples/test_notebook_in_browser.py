"""What a notebook shows of our objects, in headless Chromium: nothing around it looks otherwise than before."""

import jax
import numpy as np
import optax
import pytest

import functional_mlp as fm
from functional_mlp import oracle
from tests.helpers.browser import IN_BROWSER, visit

pytestmark = IN_BROWSER

# the elements, classes and rules of a notebook's page that a careless style would change
NOTEBOOK = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>notebook</title><style>
:root {{ --ink: #222; color-scheme: light dark; overflow-y: scroll }}
body {{ margin: 13px; font: 14px/1.5 "Helvetica Neue", sans-serif; color: var(--ink); background: #fefefe }}
.cell {{ padding: 5px; border: 1px solid #ccc }} pre {{ font: 13px monospace; background: #f5f5f5 }}
.output table {{ border-collapse: collapse; font-size: 12px }} .output td {{ text-align: right; padding: 4px }}
a {{ color: #0366d6 }} h1 {{ font-size: 21px }} summary {{ color: #555 }}
</style></head><body><main class="notebook"><h1>Homework</h1><p>with <a href="#x">a link</a> and <code>code</code></p>
<div class="cell"><pre>report</pre><div class="output"><div data-shown>{}</div></div></div>
<div class="cell"><div class="output"><table><caption>of mine</caption><thead><tr><th>a</th></tr></thead>
<tbody><tr><td>1</td></tr></tbody></table></div></div>
<details><summary>more</summary><p>text</p></details><button>Run</button><input><select><option>one</option></select>
<blockquote>said</blockquote><ul><li>one</li></ul><svg width="9" height="9"><text y="9">t</text></svg>
</main></body></html>"""


def everything_shown():
    network, loss = fm.Network((2, 3, 1), ("tanh", "sigmoid")), fm.Loss("binary_cross_entropy", over_samples="mean")
    case = oracle.draw_case(network, loss, samples=5)
    wrong = [(2 * leaf.weights, leaf.bias) for leaf in oracle.solve(case).grads]
    inputs, targets = np.float32([[0, 1], [1, 0]]), np.float32([[1], [0]])
    params = fm.init_params(network, jax.random.key(0))
    keys = jax.random.split(jax.random.key(0), 3)
    return {
        "case": case,
        "solution": oracle.solve(case),
        "report": oracle.check(case, wrong),
        "network": network,
        "result": fm.train(network, loss, params, inputs, targets, optimizer=optax.sgd(0.1), epochs=2),
        "sweep": fm.sweep(network, loss, inputs, targets, keys=keys, epochs=2),
    }


def styles_around(shown, folder, name):
    folder.mkdir()
    found = visit(NOTEBOOK.format(shown), folder, name)
    assert found["errors"] == []
    return found["styles"]


def test_nothing_of_the_notebook_changes(tmp_path):
    before = styles_around("", tmp_path / "before", "notebook-before")
    shown = everything_shown()
    after = styles_around("<hr>".join(own._repr_html_() for own in shown.values()), tmp_path / "after", "notebook")
    assert len(before) == len(after) > 25
    assert after == before


@pytest.mark.parametrize("careless", ["<style>td { color: red }</style>", "<style>:root { --ink: #fff }</style>"])
def test_a_style_that_leaks_is_found(careless, tmp_path):
    before = styles_around("", tmp_path / "before", "notebook-before")
    assert styles_around(careless, tmp_path / "after", "notebook-careless") != before
