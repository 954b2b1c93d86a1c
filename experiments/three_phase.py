"""`python -m experiments.three_phase` is `functional-mlp experiment three_phase`."""

import sys

if __name__ == "__main__":
    from functional_mlp.experiments import run_experiment

    sys.exit(run_experiment("three_phase"))
