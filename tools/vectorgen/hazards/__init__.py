"""What the vectors hunt: recipes by group, and the flags that say which hazard each shows."""
