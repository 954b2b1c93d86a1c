"""How fast (`speed/`) and how right (`accuracy/`), always side by side in one run; each is a program of its own."""
