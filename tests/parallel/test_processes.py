"""A process alone, and what is taken for the loss of another."""

import jax
import numpy as np
import pytest

from functional_mlp.parallel.processes import ALONE, Processes


def test_a_process_that_is_alone_asks_nobody():
    assert ALONE.any(1)
    assert not ALONE.any(None)
    assert ALONE.told("this", {"a": np.ones(1)}) == ("this", {"a": np.ones(1)})
    assert ALONE.share(6) == slice(0, 6)
    assert [Processes(3, index).share(6) for index in range(3)] == [slice(0, 2), slice(2, 4), slice(4, 6)]


def test_an_error_of_this_process_alone_is_not_taken_for_a_lost_one():
    for processes, text in ((ALONE, "Gloo"), (Processes(2, 0), "RESOURCE_EXHAUSTED: out of memory")):
        with pytest.raises(jax.errors.JaxRuntimeError), processes.together():
            raise jax.errors.JaxRuntimeError(text)
    with pytest.raises(ValueError, match="a number"), Processes(2, 0).together():
        raise ValueError("expected a number")


@pytest.mark.parametrize("error", [ValueError, jax.errors.JaxRuntimeError])
def test_a_lost_process_is_known_by_what_jax_says(error):
    with pytest.raises(ConnectionError, match="one that has ended"), Processes(2, 0).together():
        raise error("UNKNOWN: Gloo AllGather failed: Connection closed by peer")


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (FileNotFoundError("no file"), OSError),
        (ValueError("damaged"), ValueError),
        (MemoryError("full"), MemoryError),
        (AttributeError("a changed library"), RuntimeError),
    ],
)
def test_the_error_of_the_first_process_is_raised_in_all(failure, told, monkeypatch):
    def fails():
        raise failure

    sent = []
    monkeypatch.setattr(Processes, "told", lambda self, about: sent.append(about) or (sent[0], {}))
    with pytest.raises(type(failure)):
        Processes(2, 0).by_first(fails)
    with pytest.raises(told, match=str(failure)) as caught:
        Processes(2, 1).by_first(fails)
    assert type(caught.value) is told
