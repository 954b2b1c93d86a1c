"""`python -m experiments.himmelblau` is `functional-mlp experiment himmelblau`."""

import sys

if __name__ == "__main__":
    from functional_mlp.experiments import run_experiment

    sys.exit(run_experiment("himmelblau"))
