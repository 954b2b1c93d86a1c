"""The mistakes of the catalogue, put into the NumPy reference: what `python -m tools.mutate` runs."""
