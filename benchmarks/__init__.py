"""Speed and error rates, always side by side in one run: `python -m benchmarks.speed`, and the others by name."""
