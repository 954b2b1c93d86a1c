"""Lets a student's file answer cases, in a process of its own:  python answer.py SUBMISSION.py

The file defines backward(params, inputs, targets), over NumPy arrays. Only NumPy is needed, so the interpreter may be
one in which nothing is installed that knows the gradients. What the file prints goes to standard error.
"""

import json
import runpy
import sys

import numpy as np


def answer(backward, case):
    """The gradients document of a case."""

    def arrays(layer):
        return [np.array(layer[name], case["dtype"]) for name in ("weights", "bias")]

    inputs, targets = (np.array(case[name], case["dtype"]) for name in ("inputs", "targets"))
    gradients = backward([arrays(layer) for layer in case["params"]], inputs, targets)
    params = [{"weights": np.asarray(ct_w).tolist(), "bias": np.asarray(ct_b).tolist()} for ct_w, ct_b in gradients]
    return {"format": "functional-mlp/gradients", "version": 1, "case": case.get("name", ""), "params": params}


if __name__ == "__main__":
    answers, sys.stdout = sys.stdout, sys.stderr
    backward = runpy.run_path(sys.argv[1])["backward"]
    for line in sys.stdin:
        print(json.dumps(answer(backward, json.loads(line))), file=answers, flush=True)
