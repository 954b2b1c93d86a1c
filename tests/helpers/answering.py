"""A program that answers cases with the NumPy reference, one per line; what its argument says is done to the answer.

It knows no more of the package than a stranger's program would.
"""

import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from reference import exact, plain

FIELDS = ("inputs", "loss", "targets", "sample_weights", "ct_outputs")


def forgets_penalty(case, answer):
    for own, layer in zip(answer["params"], case["params"], strict=True):
        own["weights"] = (np.array(own["weights"]) - case["loss"]["l2"] * np.array(layer["weights"])).tolist()


def refuses(case, answer):
    del answer["params"]
    answer |= {"unsupported": True, "reason": "no penalty"}


def crashes(case, answer):
    sys.exit(7)


def in_float32(case, answer):
    for layer in answer["params"]:
        layer |= {name: np.asarray(leaf, np.float32).astype(float).tolist() for name, leaf in layer.items()}


def off_by_one(case, answer):
    answer["params"][0]["weights"][0][0] += 1


def answer_to(case):
    layers = [(layer["weights"], layer.get("bias")) for layer in case["params"]]
    data = {name: case.get(name) for name in FIELDS}
    grads = plain.solve(exact.Case(**case["network"], params=layers, **data)).grads
    params = [{"weights": w.tolist()} | ({} if b is None else {"bias": b.tolist()}) for w, b in grads]
    return {"format": "functional-mlp/gradients", "version": 1, "case": case["name"], "params": params}


if __name__ == "__main__":
    change = globals()[sys.argv[1]] if len(sys.argv) > 1 else lambda case, answer: None
    for line in sys.stdin:
        case = json.loads(line)
        answer = answer_to(case)
        change(case, answer)
        print(json.dumps(answer), flush=True)
