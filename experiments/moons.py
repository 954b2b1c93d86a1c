"""`python -m experiments.moons` is `functional-mlp experiment moons`."""

import sys

if __name__ == "__main__":
    from functional_mlp.experiments import run_experiment

    sys.exit(run_experiment("moons"))
