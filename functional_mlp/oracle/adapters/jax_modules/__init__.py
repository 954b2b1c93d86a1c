"""Modules of JAX: flax and equinox, and what they share with Keras."""
