"""The C loops of sgd.c, compiled here: the limit that the others are measured by, for the moons alone.

Several networks lie in the lanes of vectors, 8 or 16 of them, whichever is faster here, and a thread per core takes
its share of these tiles (ctypes lets the others run meanwhile).
"""

import ctypes
import functools
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.compiler import shared_object
from benchmarks.speed.competitors import Runner
from benchmarks.speed.suite.problems import Pair, Training
from benchmarks.speed.suite.references import named, named_networks

SOURCE = Path(__file__).with_name("sgd.c")
FLAGS = ("-O3", "-march=native", "-ffast-math")
LANES = (8, 16)  # networks per vector that are tried
ALIGNMENT = 64  # bytes, of a vector of 16


@functools.cache
def loaded(networks: int) -> Callable[..., None]:
    """`train` of the source for so many networks at once.

    Raises:
        subprocess.CalledProcessError: if gcc refuses.
    """
    train = shared_object(SOURCE, ("-std=gnu11", f"-DNETS={networks}", *FLAGS)).train
    train.argtypes = [ctypes.c_void_p] * 3 + [ctypes.c_int] * 2 + [ctypes.c_double]
    train.restype = None
    return train


def aligned(values: np.ndarray) -> np.ndarray:
    """A copy in float32 that begins where a vector may."""
    values = np.ascontiguousarray(values, np.float32)
    memory = np.empty(values.nbytes + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    copy = memory[start : start + values.nbytes].view(np.float32).reshape(values.shape)
    copy[...] = values
    return copy


def single(problem: Training) -> Runner:
    """One network."""
    train = loaded(1)
    flat = np.concatenate([leaf.ravel() for layer in problem.params for leaf in layer])

    def run(epochs: int) -> np.ndarray:
        params = aligned(flat)
        _call(train, params, problem, epochs)
        return params

    return Runner(run, lambda params: named(unflattened(params, problem.sizes)), problem.updates)


def sweep(problem: Training) -> Runner:
    """All networks, in the lanes of vectors, on all cores."""
    lanes = min(LANES, key=lambda lanes: seconds(problem, lanes))
    networks, cores = problem.networks or 1, os.cpu_count() or 1
    start = tiles(problem, lanes)
    pool = ThreadPoolExecutor(cores)

    def run(epochs: int) -> np.ndarray:
        params = aligned(start)
        list(pool.map(lambda tile: _call(loaded(lanes), tile, problem, epochs), params))
        return params

    def leaves(params: np.ndarray) -> Any:
        each = np.moveaxis(params, 1, -1).reshape(-1, params.shape[1])  # (N, parameters)
        return named_networks(problem, unflattened(each, problem.sizes))

    facts = {"note": f"{lanes} per vector, {cores} threads", "networks": networks, "lanes": lanes}
    return Runner(run, leaves, problem.updates * networks, facts)


def tiles(problem: Training, lanes: int) -> np.ndarray:
    """Initial values (tiles, parameters, lanes); the last tile is filled up with the last network."""
    flat = np.concatenate([leaf.reshape(len(leaf), -1) for layer in problem.params for leaf in layer], axis=1)
    missing = -len(flat) % lanes
    flat = np.concatenate([flat, np.repeat(flat[-1:], missing, axis=0)])
    return np.ascontiguousarray(flat.reshape(-1, lanes, flat.shape[1]).transpose(0, 2, 1))


def seconds(problem: Training, lanes: int) -> float:
    """Of one tile and 100 updates, per network: the quickest of five."""
    train, tile, short = loaded(lanes), aligned(tiles(problem, lanes)[0]), problem.shortened(100)

    def once() -> float:
        start = time.perf_counter()
        _call(train, tile, short, 1)
        return time.perf_counter() - start

    return min(once() for _ in range(5)) / lanes


def _call(train: Callable[..., None], params: np.ndarray, problem: Training, epochs: int) -> None:
    pointers = [array.ctypes.data for array in (params, problem.inputs, problem.targets)]
    train(*pointers, len(problem.inputs), epochs, problem.learning_rate)


def unflattened(flat: np.ndarray, sizes: tuple[int, ...]) -> list[Pair]:
    """(weights, bias) from (…, parameters)."""
    pairs, start, lead = [], 0, flat.shape[:-1]
    for fan_in, fan_out in pairwise(sizes):
        middle = start + fan_in * fan_out
        weights = flat[..., start:middle].reshape(*lead, fan_in, fan_out)
        pairs.append((weights, flat[..., middle : middle + fan_out]))
        start = middle + fan_out
    return pairs
