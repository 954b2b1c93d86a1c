"""Mistakes that people really made in hand-written backprop, and programs that are right, each with its answer."""
