"""What writes generated files (`vectorgen/`, pages, coefficients), and what tries to break programs (`stress/`)."""
