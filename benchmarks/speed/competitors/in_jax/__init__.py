"""The competitors that are written in JAX, this package among them."""
