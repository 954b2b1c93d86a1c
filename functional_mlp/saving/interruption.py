"""A run that is asked to end goes on to a place where it can go on from."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

ASKING = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def asked_to_end() -> Iterator[list[int]]:
    """Within, the first SIGINT or SIGTERM is only noted, in the list; the next one does what it did before."""
    asked: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {number: signal.getsignal(number) for number in ASKING}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number: int, _: Any) -> None:
        asked.append(number)
        restore()
        begin = "\n" if sys.stderr.isatty() else ""  # below a bar
        print(f"{begin}ending after this chunk of epochs; once more to end at once", file=sys.stderr)

    for number in ASKING:
        signal.signal(number, note)
    try:
        yield asked
    finally:
        restore()
