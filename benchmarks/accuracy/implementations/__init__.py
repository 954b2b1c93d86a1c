"""Gradients by people who know nothing of this package: NumPy, `jax.grad`, PyTorch, C; `registry.py` has them all."""
