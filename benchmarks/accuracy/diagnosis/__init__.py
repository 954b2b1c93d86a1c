"""How often the mistake is named, and one that was not made: `python -m benchmarks.accuracy.diagnosis`."""
