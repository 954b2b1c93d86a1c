"""The pytest plugin, in the test suites of others: run as they run it, in processes of their own."""

import html.parser
import subprocess
import sys

import numpy as np
import pytest

from functional_mlp.oracle.pytest_plugin import GradientOracle, report_name

SUITE = """
import numpy as np
import pytest
import functional_mlp as fm

NETWORK, LOSS = fm.Network((4, 5), "identity"), fm.Loss("squared_error")


def right(params, inputs, targets):
    [(weights, bias)] = params
    ct_z = 2 * (inputs @ weights + bias - targets)
    return [(inputs.T @ ct_z, ct_z.sum(axis=0))]


def averaged(params, inputs, targets):
    [(ct_weights, ct_bias)] = right(params, inputs, targets)
    return [(ct_weights, ct_bias / len(inputs))]


def narrow(params, inputs, targets):
    wide = [tuple(np.asarray(leaf, np.float32) for leaf in layer) for layer in params]
    return [tuple(np.asarray(leaf, np.float64) for leaf in layer)
            for layer in right(wide, inputs.astype(np.float32), targets.astype(np.float32))]


def test_right(gradient_oracle):
    assert gradient_oracle.check_function(right, NETWORK, LOSS).verdict == "consistent"


@pytest.mark.parametrize("name", ["../a/<b>", "x" * 300])
def test_averaged(gradient_oracle, name):
    gradient_oracle.check_function(averaged, NETWORK, LOSS)  # the line that fails


@pytest.mark.gradient_precision("float32")
def test_declared(gradient_oracle):
    gradient_oracle.check_function(narrow, NETWORK, LOSS)


@pytest.mark.gradient_precision("float32")
def test_declared_by_the_test_itself(gradient_oracle):
    gradient_oracle.check_function(narrow, NETWORK, LOSS, precision="float64")


@pytest.mark.gradient_precision("float32")
def test_declared_in_its_old_place(gradient_oracle):
    with pytest.warns(DeprecationWarning, match="takes precision by name"):
        gradient_oracle.check_function(narrow, NETWORK, LOSS, "float64")


def test_two_cases(gradient_oracle, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    from functional_mlp import oracle

    case = oracle.draw_case(NETWORK, LOSS)
    with pytest.raises(pytest.fail.Exception):
        gradient_oracle.check(case, averaged(case.params, case.inputs, case.targets))
    gradient_oracle.check(case, averaged(case.params, case.inputs, case.targets))
"""


def run(folder, *arguments):
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--strict-markers", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    """A folder with `SUITE`, run in two processes with reports: the folder and what was printed."""
    folder = tmp_path_factory.mktemp("suite")
    (folder / "test_gradients.py").write_text(SUITE)
    return folder, run(folder, "-n", "2", "--gradient-report", "deep/reports")


@pytest.mark.slow
def test_right_gradients_pass_and_wrong_ones_fail(suite):
    _, ran = suite
    assert ran.returncode == 1
    assert "5 failed, 2 passed" in ran.stdout


def test_the_failure_shows_the_line_and_the_named_mistake(suite):
    _, ran = suite
    assert ">       gradient_oracle.check_function(averaged, NETWORK, LOSS)  # the line that fails" in ran.stdout
    assert "MISTAKE bias-gradient-averaged in layer 1" in ran.stdout
    assert "pytest_plugin.py" not in ran.stdout


def test_the_precision_of_the_marker_holds_unless_the_test_gives_its_own(suite):
    _, ran = suite
    assert "test_declared_by_the_test_itself" in ran.stdout
    assert "as float32 these numbers would be consistent" in " ".join(ran.stdout.replace("\nE", "\n").split())


def test_every_failure_keeps_its_report(suite):
    folder, ran = suite
    pages = sorted(path.name for path in (folder / "deep" / "reports").iterdir())
    assert len(pages) == 6
    assert sum(name.endswith("-2.html") for name in pages) == 1
    for name in pages:
        page = (folder / "deep" / "reports" / name).read_text()
        html.parser.HTMLParser().feed(page)
        assert "WRONG" in page
    assert "HTML report: " in ran.stdout


@pytest.mark.slow
def test_bad_use_is_said_before_or_in_place_of_the_test(tmp_path):
    (tmp_path / "test_marked.py").write_text(
        "import pytest\n@pytest.mark.gradient_precision()\ndef test_it(gradient_oracle): pass\n"
    )
    (tmp_path / "file").write_text("")
    ran = run(tmp_path, "--gradient-report", "file/reports")
    assert ran.returncode == 4
    assert "--gradient-report: expected a folder that can be written" in ran.stderr
    ran = run(tmp_path)
    assert ran.returncode != 0
    assert "expected @pytest.mark.gradient_precision('float32') with one precision" in ran.stdout + ran.stderr


@pytest.mark.slow
def test_importing_the_plugin_imports_no_array_library():
    code = (
        "import sys, functional_mlp.oracle.pytest_plugin\n"
        "print({'jax', 'jaxlib', 'numpy', 'ml_dtypes'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "set()"


@pytest.mark.parametrize("test", ["a/b.py::test[../../etc/passwd]", "", "\ud800", "x" * 5000, "con", "a b\n<c>"])
def test_names_of_reports_are_names_of_files(test):
    name = report_name(test)
    assert len(name) < 130
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")
    assert not name.startswith(".")
    assert name.endswith(".html")


def test_names_of_reports_differ():
    tests = ["a::b[c/d]", "a::b[c-d]", "x" * 500 + "y" * 100, "z" * 500 + "y" * 100]
    assert len({report_name(test) for test in tests} | {report_name("a::b", 2)}) == 5


def test_functions_that_are_no_networks_are_checked_in_the_precision_of_the_marker():
    x = np.arange(3, dtype=np.float32) + 1
    checks = GradientOracle("test", "float32", None)
    assert checks.check_vjp(lambda x: (x**2).sum(), x, (2 * x).astype(np.float64)).precision == "float32"
    with pytest.raises(pytest.fail.Exception, match="judged as float32"):
        checks.check_vjp(lambda x: (x**2).sum(), x, x)
    with pytest.raises(pytest.fail.Exception, match="telling cases"):
        checks.check_operation(lambda x, ct: x * ct, lambda x: x**2, x)


def test_elementwise_functions_are_checked_and_their_reports_kept_as_text(tmp_path):
    checks = GradientOracle("test", "float16", tmp_path)
    slope = lambda x: 1 - np.tanh(x) ** 2  # noqa: E731
    assert checks.check_elementwise(np.tanh, "tanh", derivative=slope).precision == "float16"
    with pytest.raises(pytest.fail.Exception, match="WRONG: sin in float16, 63487 numbers"):
        checks.check_elementwise(np.tanh, "sin", derivative=slope)
    assert checks.check_elementwise(np.tanh, "tanh", "float32", derivative=slope).precision == "float32"
    [kept] = tmp_path.iterdir()
    assert kept.suffix == ".txt"
    assert kept.read_text().startswith("WRONG: sin in float16")
