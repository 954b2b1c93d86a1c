"""What people really do wrong: real programs, written anew, and drawn ones (`python -m benchmarks.accuracy.field`)."""
