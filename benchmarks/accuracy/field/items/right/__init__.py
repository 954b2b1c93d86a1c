"""Right programs, by how they are written."""
