"""Four ways to the gradients beside certified digits: `python -m benchmarks.accuracy.certification`."""
