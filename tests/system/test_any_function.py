"""docs/guide/any_function.md: its examples print what the page says."""

import importlib.util
import re

import numpy as np
import pytest

from tests.helpers.markdown import ROOT

PAGE = (ROOT / "docs" / "guide" / "any_function.md").read_text(encoding="utf-8")
FILES = ("layer_norm.py", "attention.py", "dumps.py", "softplus.py", "silu.py")


def without_numbers(text):
    """A report without its numbers, which depend on the machine and on what was drawn."""
    return re.sub(r"[-+]?\d[\d.]*(?:e[-+]?\d+)?", "…", " ".join(text.split()))


@pytest.mark.slow
def test_the_examples_print_what_the_page_says(tmp_path, monkeypatch, capsys, as_a_person):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```(python|text)\n(.*?)```", PAGE, re.DOTALL)
    codes = [code for language, code in blocks if language == "python"]
    assert len(codes) == len(FILES)
    names: dict = {}
    shown = dict(zip(FILES, (text for language, text in blocks if language == "text"), strict=True))
    for file, code in zip(FILES, codes, strict=True):
        if "import torch" in code and importlib.util.find_spec("torch") is None:
            continue
        if file == "dumps.py":
            continue  # the next test
        (tmp_path / file).write_text(code)
        exec(compile(code, str(tmp_path / file), "exec"), names)
        assert without_numbers(capsys.readouterr().out) == without_numbers(shown[file]), file


@pytest.mark.slow
def test_the_dump_is_judged_as_the_page_says(tmp_path, monkeypatch, as_a_person):
    from typer.testing import CliRunner

    from functional_mlp.cli.command import app

    monkeypatch.chdir(tmp_path)
    first, dump = (re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[i] for i in (0, 2))
    function = re.search(r"def layer_norm.*?\n\n\n", first, re.DOTALL)[0].rstrip()
    (tmp_path / "norms.py").write_text(f"import jax.numpy as jnp\n\n\n{function}\n")
    rng = np.random.default_rng(1)
    x, scale, bias, ct = (rng.normal(size=s).astype("f4") for s in ((64, 128), 128, 128, (64, 128)))
    centred = x - x.mean(axis=-1, keepdims=True)
    inverse = 1 / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + np.float32(1e-5))
    hat, g = centred * inverse, ct * scale
    ct_x = inverse * (g - g.mean(axis=-1, keepdims=True) - (g * hat).mean(axis=-1, keepdims=True) * hat)
    arrays = {"x": x, "scale": scale, "bias": bias, "ct": ct, "ct_x": ct_x}
    arrays |= {"ct_scale": (ct * hat).sum(axis=0), "ct_bias": ct.mean(axis=0)}
    for name, array in arrays.items():
        array.tofile(f"{name}.f32")
    exec(dump, {"np": np})
    pattern = r"\$ functional-mlp (check-vjp .*?)\n```\n\n```text\n(.*?)```"
    command, shown = re.search(pattern, PAGE, re.DOTALL).groups()
    result = CliRunner().invoke(app, command.split(), catch_exceptions=False)
    assert without_numbers(result.output) == without_numbers(shown)
