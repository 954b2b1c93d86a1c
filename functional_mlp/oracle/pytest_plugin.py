"""The pytest plugin: a fixture whose checks fail a test with the oracle's report.

    def test_gradients(gradient_oracle):
        gradient_oracle.check_function(backward, network, loss)

pytest finds it by its entry point. Importing it imports neither JAX nor NumPy: they come when a test asks something.
"""

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from functional_mlp.files import write_bytes

if TYPE_CHECKING:
    from functional_mlp.oracle import ElementwiseReport, Report

MARKER = "gradient_precision"
OPTION = "--gradient-report"
FOLDER = pytest.StashKey[Path]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option that keeps reports."""
    group = parser.getgroup("functional-mlp", "gradients")
    group.addoption(OPTION, metavar="DIR", help="write an HTML report on the gradients of each failing test into DIR")


def pytest_configure(config: pytest.Config) -> None:
    """The marker; and the folder for reports, which is made before the tests cost any time."""
    config.addinivalue_line(
        "markers",
        f"{MARKER}(precision): what the gradients that gradient_oracle checks are computed in, such as 'float32'",
    )
    folder = config.getoption(OPTION)
    if folder is not None:
        path = config.invocation_params.dir / folder  # a test may change the current folder
        config.stash[FOLDER] = path
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = error.strerror or str(error)
            raise pytest.UsageError(
                f"{OPTION}: expected a folder that can be written, got {folder}: {reason}"
            ) from error


def _check(name: str, place: int, doc: str) -> Callable[..., Any]:
    """The method that asks a function of `oracle`; `place` is that of the precision among its arguments."""

    def check(self: "GradientOracle", *arguments: Any, **keywords: Any) -> Any:
        __tracebackhide__ = True
        from functional_mlp import oracle

        # a precision given by its place is the test's own affair
        if self.precision is not None and len(arguments) <= place:
            keywords = {"precision": self.precision} | keywords
        report: Report | ElementwiseReport = getattr(oracle, name)(*arguments, **keywords)
        if report.verdict != "consistent":
            pytest.fail(report.text() + self._kept(report))
        return report

    check.__name__, check.__doc__ = name, doc
    return check


class GradientOracle:
    """The oracle's checks, which fail the test unless the verdict is consistent.

    Each takes the arguments of the function of `functional_mlp.oracle` that it is named after, and returns its report.
    A precision that is not given is that of the marker `gradient_precision`, if the test has one.
    """

    def __init__(self, test: str, precision: str | None, folder: Path | None) -> None:
        self.test, self.precision, self.folder = test, precision, folder
        self.failures = 0

    check = _check("check", 2, "Of gradients: `oracle.check(case, gradients)`.")
    check_update = _check(
        "check_update", 3, "Of parameters after a step: `oracle.check_update(case, params_after, learning_rate)`."
    )
    check_function = _check("check_function", 3, "Of a function: `oracle.check_function(fn, network, loss)`.")
    check_update_function = _check(
        "check_update_function",
        3,
        "Of code that changes parameters: `oracle.check_update_function(step, network, loss)`.",
    )
    check_model = _check("check_model", 2, "Of a model of another framework: `oracle.check_model(model, loss)`.")
    check_vjp = _check("check_vjp", 5, "Of any JAX function: `oracle.check_vjp(function, arguments, gradients, ct)`.")
    check_operation = _check(
        "check_operation", 3, "Of a derivative: `oracle.check_operation(theirs, function, arguments)`."
    )
    check_elementwise = _check(
        "check_elementwise", 2, 'Of an elementwise function: `oracle.check_elementwise(fn, "gelu")`.'
    )
    drive = _check("drive", 3, "Of a program: `oracle.drive(command, network, loss)`.")

    def _kept(self, report: "Report | ElementwiseReport") -> str:
        """Writes the report, as text if it has no page, if that is wanted; a line that says where."""
        if self.folder is None:
            return ""
        self.failures += 1
        kind, ending, content = (
            ("HTML", "html", report.html) if hasattr(report, "html") else ("Text", "txt", report.text)
        )
        path = self.folder / report_name(self.test, self.failures, ending)
        try:
            write_bytes(path, content().encode())
        except OSError as error:
            return f"\nNo {kind} report: {path}: {error.strerror or error}\n"
        return f"\n{kind} report: {path}\n"


def report_name(test: str, number: int = 1, ending: str = "html") -> str:
    """The name of a test's file: its own, as far as any file system takes it, and a few digits that tell it apart."""
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "-", test).strip("-.")[-100:]
    digest = hashlib.sha256(test.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{plain}-{digest}{f'-{number}' if number > 1 else ''}.{ending}"


@pytest.fixture
def gradient_oracle(request: pytest.FixtureRequest) -> GradientOracle:
    """Checks of gradients that fail the test with the oracle's report; see `GradientOracle`."""
    marker = request.node.get_closest_marker(MARKER)
    precision = None
    if marker is not None:
        if len(marker.args) != 1 or marker.kwargs or not isinstance(marker.args[0], str):
            raise pytest.UsageError(f"expected @pytest.mark.{MARKER}('float32') with one precision, got {marker}")
        precision = marker.args[0]
    return GradientOracle(request.node.nodeid, precision, request.config.stash.get(FOLDER, None))
