"""How the conformance vectors are made: `python -m tools.vectorgen`; hazards as recipes, certified by the referee."""
