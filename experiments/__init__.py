"""The experiments of the package as `python -m experiments.NAME`; `functional-mlp experiment NAME` is the same."""
