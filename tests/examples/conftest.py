"""The programs of the examples, compiled once."""

import pytest

from tests.examples.consoles import EXAMPLES, compile_c, needed


@pytest.fixture(scope="session")
def command(tmp_path_factory):
    """command(language, precision, mistaken): how the example is started."""
    compiled = {}

    def of_c(precision, mistaken):
        flags = ["-DREAL=float"] * (precision == "float32") + ["-DMISTAKE"] * mistaken
        key = " ".join(flags)
        if key not in compiled:
            compiled[key] = compile_c(tmp_path_factory.mktemp("c") / "mlp", *flags)
        return [str(compiled[key])]

    def of_javascript(precision, mistaken):
        script = EXAMPLES / "javascript" / ("mistaken.mjs" if mistaken else "mlp.mjs")
        return ["node", str(script), *["--float32"] * (precision == "float32")]

    def start(language, precision="float64", mistaken=False):
        missing = needed({"c": "gcc", "javascript": "node"}[language])
        if missing:
            pytest.skip(missing)
        return {"c": of_c, "javascript": of_javascript}[language](precision, mistaken)

    return start
