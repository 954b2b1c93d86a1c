"""The published systems and the demonstrations, as programs: `python -m experiments.NAME --help`.

`python -m experiments` runs them all and prints published, reference and functional_mlp numbers side by side. Nothing
is computed by importing this package.
"""
