"""The commands that judge other functions than networks: `functional-mlp check-vjp` and `check-elementwise`."""

import importlib
import importlib.util
import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from functional_mlp.cli.console import conclude
from functional_mlp.cli.options import Html, MaxBytes, require_new_name
from functional_mlp.files import MAX_BYTES

FIGURES = ("png", "svg", "pdf")


def check_vjp_command(
    function: Annotated[
        str,
        typer.Argument(
            metavar="MODULE:FUNCTION",
            help="The reference in JAX, such as norms:layer_norm or norms.py:layer_norm. It is code, and is run.",
        ),
    ],
    arguments: Annotated[
        Path, typer.Argument(metavar="ARGUMENTS", help="What your program was given: .npz or .safetensors.")
    ],
    gradients: Annotated[
        Path, typer.Argument(metavar="GRADIENTS", help="What it computed, by the names of the arguments.")
    ],
    ct: Annotated[
        Path | None, typer.Option(help="A file with the cotangent of the outputs; default: 1, of one number.")
    ] = None,
    outputs: Annotated[Path | None, typer.Option(help="A file with the outputs, to be judged too.")] = None,
    precision: Annotated[
        str | None,
        typer.Option(help="What your program computed in, as in check; default: the dtype of the gradients."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The report as JSON, see report.schema.json.")] = False,
    html: Html = None,
    max_bytes: MaxBytes = MAX_BYTES,
) -> None:
    """Judge gradients of any JAX function that your program dumped.

    MODULE:FUNCTION is Python code and is run with your rights: never name one that you do not trust. The files are
    data: nothing in them is run. Every entry is compared with the truth, by the rounding noise of the precision that
    your program computes in. The verdict is consistent, wrong or undecided, and is the exit code too.
    """
    from functional_mlp import oracle
    from functional_mlp.oracle import traced
    from functional_mlp.oracle.documents import read_arrays, write_text
    from functional_mlp.oracle.noise import precision_named
    from functional_mlp.parallel import keep_compiled

    files = [arguments, gradients, *(file for file in (ct, outputs) if file is not None)]
    if files.count(Path("-")) > 1:
        raise ValueError("expected - for one file at most: standard input can be read only once")
    if html is not None:
        require_new_name("--html", html, files)
    if precision is not None:
        precision_named(precision)
    read = {file: read_arrays(file, max_bytes) for file in files}  # before any code is run
    asked = function_named(function)
    given = traced.arguments_in(asked, read[arguments], str(arguments))
    keep_compiled()
    report = oracle.check_vjp(
        asked,
        given,
        traced.gradients_in(asked, given, read[gradients], str(gradients)),
        None if ct is None else traced.outputs_in(read[ct], str(ct)),
        outputs=None if outputs is None else traced.outputs_in(read[outputs], str(outputs)),
        precision=precision,
    )
    if html is not None:
        write_text(html, report.html())
    conclude(report, as_json=as_json)


def check_elementwise_command(
    function: Annotated[
        str,
        typer.Argument(
            metavar="MODULE:FUNCTION",
            help="Your code, which maps an array to one of its shape: kernels:gelu or kernels.py:gelu. It is run.",
        ),
    ],
    reference: Annotated[
        str,
        typer.Argument(metavar="NAME", help="An activation such as gelu; or MODULE:FUNCTION, a reference in JAX."),
    ],
    derivative: Annotated[
        str | None,
        typer.Option(metavar="MODULE:FUNCTION", help="Your derivative, of x, or of x and a cotangent; default: JAX's."),
    ] = None,
    precision: Annotated[
        str, typer.Option(help='What your code computes in, such as bfloat16, or "bfloat16 in float32" for a kernel.')
    ] = "float32",
    as_json: Annotated[bool, typer.Option("--json", help="The report as JSON.")] = False,
    figure: Annotated[
        Path | None, typer.Option(help="Draw the errors into a file in .png, .svg or .pdf; takes matplotlib.")
    ] = None,
) -> None:
    """Judge an elementwise function and its derivative at every number of a format.

    MODULE:FUNCTION is Python code and is run with your rights: never name one that you do not trust. No tolerance is
    needed: a number is wrong if it is farther off than a right program of the declared precision may be. The verdict is
    consistent, wrong or undecided, and is the exit code too.
    """
    from functional_mlp import oracle
    from functional_mlp.oracle.noise import precision_named
    from functional_mlp.parallel import keep_compiled

    precision_named(precision)
    form = None if figure is None else _form_of(figure)
    asked = function_named(function)
    meant = function_named(reference) if ":" in reference else reference
    slopes = None if derivative is None else function_named(derivative)
    keep_compiled()
    report = oracle.check_elementwise(asked, meant, precision, derivative=slopes)
    if figure is not None and form is not None:
        _draw(report, figure, form)
    conclude(report, as_json=as_json)


def _form_of(figure: Path) -> str:
    """What a figure is written as; raises ValueError if it cannot be, before any code is run."""
    require_new_name("--figure", figure, [])
    form = figure.suffix.removeprefix(".").lower()
    if form not in FIGURES:
        raise ValueError(f"expected --figure to be a name in {', '.join(f'.{one}' for one in FIGURES)}, got {figure}")
    if importlib.util.find_spec("matplotlib") is None:
        raise ValueError("expected matplotlib for --figure, which is not installed: pip install matplotlib")
    return form


def _draw(report: Any, figure: Path, form: str) -> None:
    """Writes a report's figure, whole or not at all."""
    from functional_mlp.files import FileError, write_bytes

    content = io.BytesIO()
    report.figure().savefig(content, format=form)
    try:
        write_bytes(figure, content.getvalue())
    except OSError as error:
        raise FileError(f"{figure}: {error.strerror or error}") from error


def function_named(name: str) -> Callable[..., Any]:
    """The function that "module:function" names, or "file.py:function"; the current folder comes first, as in Python.

    Raises:
        ValueError: if there is none, or the module fails.
    """
    from functional_mlp.oracle.probing import raised

    module, colon, attribute = name.rpartition(":")
    if not (colon and module and attribute):
        raise ValueError(f"expected MODULE:FUNCTION, such as norms:layer_norm or norms.py:layer_norm, got {name!r}")
    try:
        found: Any = _from_file(Path(module)) if module.endswith(".py") else _imported(module)
    except (Exception, SystemExit) as error:
        raise ValueError(f"{module}: cannot be imported: {raised(error, function_named)}") from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise ValueError(f"expected {module} to have a function {attribute}, got none of that name")
        found = getattr(found, part)
    return found  # type: ignore[no-any-return]


def _imported(module: str) -> Any:
    if "" not in sys.path:
        sys.path.insert(0, "")
    return importlib.import_module(module)


def _from_file(path: Path) -> Any:
    """The module of a file, which is run once however many of its functions are named."""
    known = sys.modules.get(path.stem)
    if known is not None and getattr(known, "__file__", None) == str(path.resolve()):
        return known
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    module = importlib.util.module_from_spec(spec)
    module.__file__ = str(path.resolve())
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[path.stem]
        raise
    return module
