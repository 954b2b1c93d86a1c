"""How well the diagnosis does on what people really do: `python -m benchmarks.accuracy.field`."""
