"""How often right is called wrong, and wrong overlooked: `python -m benchmarks.accuracy.verdicts`."""
