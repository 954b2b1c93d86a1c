"""The parent's side of a competitor's process: requests go in, answers come out, and nothing of it is left running.

The process is in a group of its own: an interruption of this program is none of the process, which is ended by this
program instead, with whatever it has started.
"""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any, Self

GRACE = 5.0  # seconds to end by itself
# a comparison of CPUs, in which nobody finds what an earlier run has compiled
ENVIRONMENT = {"JAX_PLATFORMS": "cpu", "JAX_ENABLE_COMPILATION_CACHE": "false"}


class CompetitorError(Exception):
    """A competitor cannot go on; the message is one sentence."""


class Process:
    """A process that answers as worker.py does; a context manager that ends it.

    Args:
        command: that starts it, without the interpreter.
        timeout: seconds that an answer may take.
    """

    def __init__(self, command: Sequence[str], timeout: float) -> None:
        self.timeout = timeout
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115  closed in `close`
        self.process = subprocess.Popen(
            [sys.executable, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            start_new_session=True,
            env=os.environ | ENVIRONMENT,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, request: str, **arguments: Any) -> dict[str, Any]:
        """Sends one request and waits for the answer.

        Raises:
            CompetitorError: if it fails, ends, or takes too long.
        """
        with contextlib.suppress(BrokenPipeError):  # then the answer is missing too
            self._pipe("stdin").write(json.dumps({"ask": request} | arguments).encode() + b"\n")
            self._pipe("stdin").flush()
        answer: dict[str, Any] = json.loads(self._line())
        if "error" in answer:
            raise CompetitorError(answer["error"])
        return answer

    def _pipe(self, name: str) -> Any:
        return getattr(self.process, name)

    def _line(self) -> bytes:
        output = self._pipe("stdout")
        line, end = b"", time.monotonic() + self.timeout
        with selectors.DefaultSelector() as selector:
            selector.register(output, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                if not selector.select(max(0.0, end - time.monotonic())):
                    self.close()
                    raise CompetitorError(f"no answer within {self.timeout:g} s")
                read = os.read(output.fileno(), 65536)
                if not read:
                    raise CompetitorError(
                        f"the process ended with exit code {self.process.wait()}: {self._last_words()}"
                    )
                line += read
        return line

    def _last_words(self) -> str:
        self.errors.seek(0)
        lines = self.errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    def close(self) -> None:
        """Lets it end by itself for a moment, then ends it and whatever it started."""
        with contextlib.suppress(OSError):
            self._pipe("stdin").close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(GRACE)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._pipe("stdout").close()
        self.errors.close()
