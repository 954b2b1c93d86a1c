"""11. Which operation of a function is missing, doubled or another one in the backward pass that made these numbers."""
