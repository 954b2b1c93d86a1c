"""`python -m experiments.calculus` is `functional-mlp experiment calculus`."""

import sys

if __name__ == "__main__":
    from functional_mlp.experiments import run_experiment

    sys.exit(run_experiment("calculus"))
