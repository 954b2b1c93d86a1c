"""What `python -m tools.make_vectors` writes: hazards as recipes, certified by the referee."""
