"""The first call of `fm.train` for the moons, in a process of its own: compiled, or found in JAX's persistent cache.

Run as a program, this file makes that call and prints its seconds; importing and the data come before.
"""

import os
import sys
import time
from collections.abc import Callable

from benchmarks.compiler import new_folder
from benchmarks.speed.competitors import Runner
from benchmarks.speed.competitors.programs import CACHE, ENABLED, output_of
from benchmarks.speed.suite.problems import FirstCall

# whatever is compiled is kept
KEEP_ALL = {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0", "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1"}
COMMAND = [sys.executable, "-m", "benchmarks.speed.competitors.in_jax.first_calls"]


def fresh(problem: FirstCall) -> Runner:
    """With an empty cache."""
    return _runner(lambda: str(new_folder()))


def second(problem: FirstCall) -> Runner:
    """With what a process before it has left there."""
    cache = str(new_folder())
    _seconds(cache)
    return _runner(lambda: cache)


def _runner(cache: Callable[[], str]) -> Runner:
    return Runner(lambda times: _seconds(cache()), lambda seconds: {}, 1, seconds=float)


def _seconds(cache: str) -> float:
    return float(output_of(COMMAND, os.environ | KEEP_ALL | {ENABLED: "true", CACHE: cache}))


def main() -> None:
    """Makes the call that `experiments.moons` makes, for one epoch, and prints its seconds."""
    import jax
    import optax

    import functional_mlp as fm
    from functional_mlp.experiments import jax_array, jax_params, moons
    from functional_mlp.experiments.published import moons as reference

    train_inputs, train_targets, test_inputs, test_targets = (jax_array(x, "float32") for x in reference.data())
    params = jax.block_until_ready(jax_params(reference.initial_params(0), "float32"))
    start = time.perf_counter()
    result = fm.train(
        moons.NETWORK,
        moons.LOSS,
        params,
        train_inputs,
        train_targets,
        optimizer=optax.sgd(reference.LEARNING_RATE),
        epochs=1,
        batch_size=1,
        eval_inputs=test_inputs,
        eval_targets=test_targets,
        eval_every=moons.EVAL_EVERY,
        metrics=("mean_squared_error", "accuracy"),
    )
    jax.block_until_ready(result.params)
    print(time.perf_counter() - start)


if __name__ == "__main__":
    main()
