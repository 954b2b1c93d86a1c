"""Builds what is published, and tries it as somebody does who has nothing else:  python -m tools.distribution

Wheel and sdist are built into dist/ and checked by twine. The wheel is installed alone into an empty environment, where
every command is asked for its help, a gradient is judged, and what needs an extra must say which, with exit code 2 and
nothing written. The description that an index shows may have no link to a file.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from email.parser import BytesParser
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
LINK = re.compile(r"\]\((?!https?:)[^)]*\)")
ASSIGNMENT = 'sizes = [2, 1]\nactivations = "sigmoid"\n[loss]\nkind = "binary_cross_entropy"\n'
SUBMISSION = """
import numpy as np

def backward(params, x, t):
    (w, b), = params
    delta = 1 / (1 + np.exp(-(x @ w + b))) - t
    return [(x.T @ delta, delta.sum(axis=0))]
"""


class DistributionError(Exception):
    """What is built is not fit to be published."""


def run(command: Sequence[str | Path], folder: Path, code: int = 0) -> str:
    """What a command prints, its errors too; it must end with this exit code."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        list(map(str, command)), cwd=folder, capture_output=True, text=True, env=environment, check=False
    )
    if done.returncode != code:
        words = " ".join(map(str, command))
        raise DistributionError(
            f"expected exit code {code} of {words}, got {done.returncode}: {done.stdout}{done.stderr}"
        )
    return done.stdout + done.stderr


def built() -> Path:
    """The wheel; wheel and sdist are in dist/, and nothing else."""
    shutil.rmtree(DIST, ignore_errors=True)
    run([sys.executable, "-m", "build", "--outdir", DIST], ROOT)
    files = sorted(DIST.iterdir())
    if [file.suffix for file in files] != [".whl", ".gz"]:
        raise DistributionError(f"expected a wheel and an sdist, got {', '.join(file.name for file in files)}")
    run([sys.executable, "-m", "twine", "check", "--strict", *files], ROOT)
    return files[0]


def require_description(wheel: Path) -> None:
    """Raises DistributionError if the description has links that an index cannot follow, or none of the extras."""
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = BytesParser().parsebytes(archive.read(name))
    description = str(metadata.get_payload())
    links = LINK.findall(description)
    if links:
        raise DistributionError(f"expected a description without links to files, got {', '.join(links)}")
    missing = [extra for extra in metadata.get_all("Provides-Extra", []) if f"`{extra}`" not in description]
    if missing:
        raise DistributionError(f"expected the README to list every extra, got none of {', '.join(missing)}")


def commands_of(program: Path, folder: Path) -> list[list[str]]:
    """Every command of the program, with those of its groups; those of experiments say which extra they need."""
    found, groups = [], [[]]  # type: ignore[var-annotated]
    while groups:
        group = groups.pop()
        text = run([program, *group, "--help"], folder).partition("Commands:\n")[2]
        for name in re.findall(r"^  ([a-z][a-z-]*)(?:  |$)", text.partition("\n\n")[0], re.M):
            lacking = group == ["experiment"]
            inner = run([program, *group, name, "--help"], folder, code=2 if lacking else 0)
            if lacking and "functional-mlp[experiments]" not in inner:
                raise DistributionError(f"expected the experiment {name} to name the extra that it needs, got {inner}")
            (groups if "\nCommands:\n" in inner else found).append([*group, name])
    return found


def tried(wheel: Path, say: Callable[[str], object] = print) -> None:
    """Installs the wheel alone, and uses it."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        run([sys.executable, "-m", "venv", folder / "venv"], folder)
        python, program = (folder / "venv" / "bin" / name for name in ("python", "functional-mlp"))
        constraints = ROOT / "constraints.txt"
        run([python, "-m", "pip", "install", "--quiet", "--constraint", constraints, wheel], folder)
        say(_installed(python, folder))
        say(f"{len(commands_of(program, folder))} commands say what they do")
        _judges(python, program, folder)
        _says_what_is_missing(program, folder)
        run([python, "-m", "pip", "install", "--quiet", "--constraint", constraints, f"{wheel}[experiments]"], folder)
        _experiments(program, folder)
    say("a gradient is judged, homework is graded, what needs an extra says so, and an experiment runs where it is")


SIZES = """
from importlib.metadata import distributions
sizes = {}
for one in distributions():
    files = [file.locate() for file in one.files or () if not str(file).endswith(".pyc")]
    sizes[one.name] = sum(file.stat().st_size for file in files if file.exists()) / 2**20
sizes.pop("pip", None)
largest = sorted(sizes, key=sizes.get)[:-6:-1]
print(f"{sum(sizes.values()):.0f} MB installed:", ", ".join(f"{name} {sizes[name]:.0f}" for name in largest))
"""


def _installed(python: Path, folder: Path) -> str:
    """What the wheel and what it needs take, and the largest of these."""
    return run([python, "-c", SIZES], folder).strip()


def _judges(python: Path, program: Path, folder: Path) -> None:
    sizes = ("--sizes", "2,3,1", "--activations", "tanh,sigmoid", "--loss", "binary_cross_entropy", "--samples", "4")
    run([program, "case", "new", *sizes, "-o", "case.json"], folder)
    run([program, "solve", "case.json", "-o", "solution.json"], folder)
    params = json.loads((folder / "solution.json").read_text())["params"]
    document = {"format": "functional-mlp/gradients", "version": 1, "params": params}
    (folder / "right.json").write_text(json.dumps(document))
    params[0]["weights"][0][0] += 1
    (folder / "wrong.json").write_text(json.dumps(document))
    run([program, "check", "case.json", "right.json"], folder)
    run([program, "check", "case.json", "wrong.json"], folder, code=1)
    (folder / "homework.toml").write_text(ASSIGNMENT)
    (folder / "ada.py").write_text(SUBMISSION)
    if "ada,10,10" not in run([program, "grade", "homework.toml", "ada.py"], folder):
        raise DistributionError("expected a right submission to be graded 10 of 10")
    run([python, "-c", "import functional_mlp as fm; print(fm.vectors, fm.oracle.solve)"], folder)


def _says_what_is_missing(program: Path, folder: Path) -> None:
    (folder / "kernels.py").write_text("def square(x):\n    return x * x\n")
    needs = ["check-elementwise", "kernels:square", "kernels:square", "--figure", "errors.png"]
    said = run([program, *needs], folder, code=2)
    if "matplotlib" not in said or (folder / "errors.png").exists():
        raise DistributionError(f"expected a sentence that names matplotlib and nothing written, got {said}")
    (folder / "data.csv").write_text("x,y\n1,0\n2,1\n3,0\n4,1\n")
    said = run([program, "fit", "data.csv", "--target", "y", "-o", "fit"], folder, code=2)
    if "functional-mlp[experiments]" not in said or (folder / "fit").exists():
        raise DistributionError(f"expected a sentence that names the extra and nothing written, got {said}")
    said = run([program, "experiment", "moons", "--out", "moons"], folder, code=2)
    if "functional-mlp[experiments]" not in said or (folder / "moons").exists():
        raise DistributionError(f"expected a sentence that names the extra and nothing written, got {said}")


def _experiments(program: Path, folder: Path) -> None:
    for name in ("moons", "circles", "three_phase", "himmelblau", "calculus", "activations"):
        if f"functional-mlp experiment {name}" not in run([program, "experiment", name, "--help"], folder):
            raise DistributionError(f"expected the experiment {name} to say its options")
    asked: list[str | Path] = [program, "experiment", "moons", "--epochs", "20", "--out", "moons"]
    run(asked, folder)
    names = {file.name for file in (folder / "moons").iterdir()}
    if not {"history.csv", "manifest.json", "summary.json"} <= names or not any(
        name.endswith(".png") for name in names
    ):
        raise DistributionError(f"expected numbers, a manifest and figures of the moons, got {sorted(names)}")
    if "finished already" not in run([*asked, "--resume"], folder):
        raise DistributionError("expected a finished experiment that is asked for again to say so")


def main() -> int:
    """Builds and tries; 1 with a sentence if something is not as it should be."""
    try:
        wheel = built()
        require_description(wheel)
        tried(wheel)
    except DistributionError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{wheel.name} and its sdist are in {DIST.name}/")
    return 0


if __name__ == "__main__":
    sys.exit(main())
