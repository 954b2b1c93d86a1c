"""A backward pass without any library, and every way of answering wrongly: `faulty_program.py MODE SEED CASE`.

It reads cases of relu and sigmoid layers with a summed binary cross-entropy, one per line, and answers each, unless the
mode says otherwise for a case whose name begins with CASE. `tools/stress/fault_injection.py` runs it under `drive`.
"""

import json
import math
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from typing import Any, BinaryIO, NamedTuple

FOREVER = 600


def gradients(case: dict[str, Any]) -> dict[str, Any]:
    """The gradients document of a case, in plain lists."""
    targets, params = case["targets"], case["params"]
    activations = case["network"]["activations"]
    answer: list[dict[str, Any]] = [
        {"weights": [[0.0] * len(row) for row in p["weights"]], "bias": [0.0] * len(p["bias"])} for p in params
    ]
    for x, t in zip(case["inputs"], targets, strict=True):
        values = [x]
        for p, name in zip(params, activations, strict=True):
            z = [
                sum(a * row[j] for a, row in zip(values[-1], p["weights"], strict=True)) + b
                for j, b in enumerate(p["bias"])
            ]
            values.append([max(v, 0.0) if name == "relu" else 1 / (1 + math.exp(-v)) for v in z])
        delta = [p - y for p, y in zip(values[-1], t, strict=True)]
        for layer in reversed(range(len(params))):
            if layer < len(params) - 1:
                weights = params[layer + 1]["weights"]
                delta = [
                    sum(w * d for w, d in zip(row, delta, strict=True)) * (a > 0)
                    for row, a in zip(weights, values[layer + 1], strict=True)
                ]
            for i, a in enumerate(values[layer]):
                for j, d in enumerate(delta):
                    answer[layer]["weights"][i][j] += a * d
            for j, d in enumerate(delta):
                answer[layer]["bias"][j] += d
    return {"format": "functional-mlp/gradients", "version": 1, "case": case["name"], "params": answer}


class Case(NamedTuple):
    """What a mode has to work with.

    Attributes:
        rng: of its details.
        text: the right answer, a line.
        document: the same, to be changed.
        previous: the document of the case before, if there was one.
    """

    rng: random.Random
    text: bytes
    document: dict[str, Any]
    previous: dict[str, Any] | None

    @property
    def part(self) -> bytes:
        """The beginning of the right answer."""
        return self.text[: self.rng.randrange(2, len(self.text) - 2)]


# what they do


def say(content: bytes) -> None:
    """Prints bytes at once."""
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()


def say_and_exit(content: bytes, status: int = 0) -> None:
    """Prints bytes and ends."""
    say(content)
    sys.exit(status)


def changed(document: dict[str, Any], **fields: Any) -> None:
    """Prints the document with other fields."""
    say(json.dumps(document | fields).encode() + b"\n")


def die(case: Case) -> None:
    """Is killed by a signal."""
    os.kill(os.getpid(), case.rng.choice((signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM, signal.SIGABRT)))


def hang() -> None:
    """Waits longer than anybody."""
    time.sleep(FOREVER)


def hang_deaf() -> None:
    """The same, and ignores polite signals."""
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    hang()


def flood(stream: BinaryIO, size: int, width: int) -> None:
    """Prints very much, in lines of some width."""
    chunk = (b"x" * (width - 1) + b"\n") * (2**20 // width)
    for _ in range(size // len(chunk)):
        stream.write(chunk)


def leave_behind(case: Case, new_session: bool, count: int = 1) -> None:
    """Processes that go on when the program ends, some of them with its pipes."""
    keep_pipes = case.rng.randrange(2)
    for _ in range(count):
        if os.fork() == 0:
            if new_session:
                os.setsid()
                if os.fork():
                    os._exit(0)
            for fd in () if keep_pipes else (0, 1, 2):
                os.close(fd)
            hang()


def close(*descriptors: int) -> None:
    """Closes pipes."""
    for fd in descriptors:
        os.close(fd)


def spoilt(case: Case, spoil: Callable[[list[Any]], object]) -> None:
    """Prints the document after something was done to its parameters."""
    spoil(case.document["params"])
    changed(case.document)


def transpose(params: list[Any]) -> None:
    """Returns every matrix in the other layout."""
    for layer in params:
        layer["weights"] = [list(column) for column in zip(*layer["weights"], strict=True)]


def put(field: str, value: Any) -> Callable[[list[Any]], None]:
    """Puts a value in the first place of an array of the first layer."""

    def spoil(params: list[Any]) -> None:
        array = params[0][field]
        (array[0] if field == "weights" else array)[0] = value

    return spoil


def not_a_number(case: Case) -> None:
    """Prints a number as C does."""
    put("weights", math.nan)(case.document["params"])
    spelled = case.rng.choice(("nan", "-nan", "NaN", "inf", "-inf"))
    say(json.dumps(case.document).replace("NaN", spelled).encode() + b"\n")


def not_utf_8(case: Case) -> None:
    """Prints a byte that no text holds."""
    at = case.rng.randrange(len(case.text) - 1)
    say(case.text[:at] + bytes([case.rng.randrange(128, 256)]) + case.text[at:])


def noise(case: Case) -> None:
    """Prints random bytes."""
    say(case.rng.randbytes(case.rng.randrange(1, 2000)).replace(b"\n", b" ") + b"\n")


def fail() -> None:
    """Raises an exception of its own."""
    raise RuntimeError("an exception of the program's own")


# what each does, step by step
MODES: dict[str, tuple[Callable[[Case], object], ...]] = {
    "right": (lambda case: say(case.text),),
    "wrong": (lambda case: spoilt(case, put("bias", 1e3)),),
    "transposed": (lambda case: spoilt(case, transpose),),
    "killed": (die,),
    "killed-half-way": (lambda case: say(case.part), lambda case: die(case)),
    "exits": (lambda case: sys.exit(case.rng.randrange(1, 256)),),
    "answers-and-exits": (lambda case: say_and_exit(case.text, case.rng.randrange(1, 256)),),
    "raises": (lambda case: fail(),),
    "hangs": (lambda case: hang(),),
    "hangs-deaf": (lambda case: hang_deaf(),),
    "hangs-half-way": (lambda case: say(case.part), lambda case: hang()),
    "truncated": (lambda case: say_and_exit(case.part),),
    "flood": (lambda case: flood(sys.stdout.buffer, 2**30, case.rng.choice((80, 2**20))),),
    "flood-of-errors": (lambda case: flood(sys.stderr.buffer, 2**26, 80), lambda case: say(case.text)),
    "flood-of-nesting": (lambda case: say_and_exit(b"[" * case.rng.randrange(10**5, 10**6)),),
    "leaves-a-child": (lambda case: leave_behind(case, False), lambda case: say_and_exit(case.text)),
    "leaves-a-daemon": (lambda case: leave_behind(case, True), lambda case: say_and_exit(case.text)),
    "leaves-many": (lambda case: leave_behind(case, True, 20), lambda case: hang()),
    "closes-output": (lambda case: close(1), lambda case: hang()),
    "closes-everything": (lambda case: close(0, 1, 2), lambda case: os._exit(0)),
    "not-utf-8": (not_utf_8,),
    "other-name": (lambda case: changed(case.document, case="another case"),),
    "other-case": (lambda case: changed(case.previous or case.document, case=case.document["case"]),),
    "nothing": (lambda case: sys.exit(0),),
    "empty-line": (lambda case: say_and_exit(b"\n"),),
    "garbage": (noise,),
    "chatty": (lambda case: say(b"iteration 0\n" + case.text),),
    "wrong-stream": (lambda case: sys.stderr.buffer.write(case.text), lambda case: sys.exit(0)),
    "decimal-commas": (lambda case: say(case.text.replace(b".", b",")),),
    "nan": (not_a_number,),
    "huge-numbers": (lambda case: spoilt(case, put("weights", 10 ** case.rng.randrange(400, 4000))),),
    "update": (lambda case: changed(case.document, format="functional-mlp/update", learning_rate=1),),
    "unknown-field": (lambda case: changed(case.document, **{"<script>": 1}),),
    "texts": (lambda case: spoilt(case, put("bias", "zero")),),
    "missing-layer": (lambda case: spoilt(case, list.pop),),
    "blank-lines": (lambda case: say(b"\n \r\n" + case.text + b"\n\n"),),
    "byte-order-mark": (lambda case: say(b"\xef\xbb\xbf" + case.text),),
    "long-number": (lambda case: say_and_exit(b"1" * 2**20),),
    "unclosed-text": (lambda case: say_and_exit(b'"\\"' * 2**19),),
    "answers-once": (lambda case: say_and_exit(case.text),),
    "twice": (lambda case: say(case.text + case.text),),
}


def deaf() -> None:
    """Answers without having read anything."""
    say(b'{"format": "functional-mlp/gradients", "version": 1, "params": []}\n')


def keep_back() -> None:
    """Answers all lines when the input ends."""
    say("".join(json.dumps(gradients(json.loads(line))) + "\n" for line in sys.stdin).encode())


ALONE = {"deaf": deaf, "kept-back": keep_back}


def main() -> None:
    """The command."""
    mode, seed, only = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    if mode in ALONE:
        ALONE[mode]()
        return
    rng = random.Random(seed)
    previous = None
    for line in sys.stdin:
        right = json.dumps(gradients(json.loads(line)))
        document = json.loads(right)
        case = Case(rng, right.encode() + b"\n", json.loads(right), previous)
        for step in MODES[mode if document["case"].startswith(only) else "right"]:
            step(case)
        previous = document


if __name__ == "__main__":
    main()
