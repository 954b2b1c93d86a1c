"""Lets a student's file answer cases, in a process of its own; started by its path, with an interpreter of its own.

    python answering.py SUBMISSION FUNCTION PARAMETERS CPU_SECONDS MEMORY_IN_MIB

SUBMISSION is a Python file, or a notebook, of which the code is run. Only NumPy is needed, so that nothing need be
installed that knows the gradients. What the submission prints goes to standard error; what it raises ends the process,
with one line that says what and where.
"""

import json
import os
import re
import runpy
import sys
import traceback
from typing import Any, NoReturn

import numpy as np

TREES = (list, tuple, dict)
MAGIC = re.compile(r"^\s*[%!?]")  # a line of a notebook that is none of Python
NAME = re.compile(r"^(?:d|g|grad_?|gradient_?|ct_)?_?([Wwb])(?:eights|ias)?_?(\d+)$")


def limit(cpu_seconds: int, mebibytes: int) -> None:
    """Limits of this process, which it cannot lift; none where the system has no such thing."""
    try:
        import resource
    except ImportError:
        return
    for kind, most in ((resource.RLIMIT_CPU, cpu_seconds), (resource.RLIMIT_AS, mebibytes * 2**20)):
        hard = resource.getrlimit(kind)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, most))


def names_of(path: str) -> dict[str, Any]:
    """What a submission defines."""
    if not path.endswith(".ipynb"):
        return runpy.run_path(path)
    with open(path, encoding="utf-8") as file:
        cells = [cell for cell in json.load(file)["cells"] if cell["cell_type"] == "code"]
    names: dict[str, Any] = {"__name__": "__notebook__"}
    for number, cell in enumerate(cells, 1):
        lines = "".join(cell["source"]).splitlines()
        if lines and lines[0].startswith("%%"):
            continue
        code = "\n".join("" if MAGIC.match(line) else line for line in lines)
        exec(compile(code, f"{path}, cell {number}", "exec"), names)
    return names


def parameters_of(case: Any, form: str) -> Any:
    """The parameters of a case, as a function takes them."""
    pairs = [tuple(np.array(layer[name], case["dtype"]) for name in ("weights", "bias")) for layer in case["params"]]
    if form == "pairs":
        return pairs
    return {f"{letter}{i}": leaf for i, pair in enumerate(pairs, 1) for letter, leaf in zip("Wb", pair, strict=True)}


def layers_of(gradients: Any) -> list[Any]:
    """Pairs of arrays from what a function returns: pairs, a flat list, or a dict of dW1, db1; a loss is left out."""
    if isinstance(gradients, dict):
        found: dict[tuple[int, str], Any] = {}
        for name, leaf in gradients.items():
            match = NAME.match(str(name))
            if match:
                found[int(match[2]), match[1].lower()] = leaf
        layers = sorted({layer for layer, _ in found})
        if not layers or any((layer, letter) not in found for layer in layers for letter in "wb"):
            raise TypeError(f"expected gradients by names such as dW1 and db1, got {', '.join(map(str, gradients))}")
        return [(found[layer, "w"], found[layer, "b"]) for layer in layers]
    if not isinstance(gradients, TREES):
        raise TypeError(f"expected a list of pairs or a dict of gradients, got {type(gradients).__name__}")
    parts = list(gradients)
    if len(parts) == 2:  # a loss, before or behind
        for loss, rest in (parts, parts[::-1]):
            if isinstance(rest, TREES) and not isinstance(loss, TREES) and np.size(loss) == 1:
                return layers_of(rest)
    if all(isinstance(part, list | tuple) and len(part) == 2 for part in parts):
        return parts
    if all(isinstance(part, dict) for part in parts):
        return [tuple(part.values()) for part in parts]
    if len(parts) % 2:
        raise TypeError(f"expected weights and a bias of every layer, got {len(parts)} arrays")
    return list(zip(parts[::2], parts[1::2], strict=True))


def answer(function: Any, case: Any, form: str) -> dict[str, Any]:
    """The gradients document of a case."""
    inputs, targets = (np.array(case[name], case["dtype"]) for name in ("inputs", "targets"))
    layers = layers_of(function(parameters_of(case, form), inputs, targets))
    params = [{"weights": np.asarray(w).tolist(), "bias": np.asarray(b).tolist()} for w, b in layers]
    return {"format": "functional-mlp/gradients", "version": 1, "case": case.get("name", ""), "params": params}


def failed(path: str, error: BaseException) -> NoReturn:
    """Ends the process with one line: what was raised, and where in the submission."""
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(path)]
    where = f" (line {own[-1].lineno} of {os.path.basename(own[-1].filename)}, in {own[-1].name})" if own else ""
    sys.stderr.write("\n" * 8)  # apart from what it printed
    sys.exit(f"{type(error).__name__}: {error}{where}")


def main(path: str, name: str, form: str, cpu_seconds: str, mebibytes: str) -> None:
    """Answers the cases of standard input, a line each."""
    answers, sys.stdout = sys.stdout, sys.stderr
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))  # modules beside the submission are its own
    limit(int(cpu_seconds), int(mebibytes))
    try:
        names = names_of(path)
        if not callable(names.get(name)):
            raise NameError(f"expected a function {name}(params, inputs, targets), got none of this name")
        for line in sys.stdin:
            print(json.dumps(answer(names[name], json.loads(line), form)), file=answers, flush=True)
    except Exception as error:
        failed(path, error)


if __name__ == "__main__":
    main(*sys.argv[1:])
