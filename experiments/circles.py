"""`python -m experiments.circles` is `functional-mlp experiment circles`."""

import sys

if __name__ == "__main__":
    from functional_mlp.experiments import run_experiment

    sys.exit(run_experiment("circles"))
