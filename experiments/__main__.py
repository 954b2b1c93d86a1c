"""`python -m experiments` is `functional-mlp experiment all`."""

import sys

if __name__ == "__main__":
    # here, not above: the processes that compute the reference import this file too, and need none of this
    from functional_mlp.experiments import run_experiment

    sys.exit(run_experiment("all"))
