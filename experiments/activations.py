"""`python -m experiments.activations` is `functional-mlp experiment activations`."""

import sys

if __name__ == "__main__":
    from functional_mlp.experiments import run_experiment

    sys.exit(run_experiment("activations"))
