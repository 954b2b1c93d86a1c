"""Programs that write generated files; run by the maintainers, never at import."""
